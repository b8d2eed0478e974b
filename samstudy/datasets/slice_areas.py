"""How much of each label there is in each axial slice of a label volume, found once per file and kept.

Only the content of a label volume tells which of its slices are worth an image. Reading a few hundred volumes takes
minutes, so what was found is kept in the cache, by the file's path, size and time stamp.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from samstudy.images import FileError
from samstudy.images.volume import read_nifti
from samstudy.paths import cache_dir, written_whole

_VERSION = 1
_MOST_SHOWN = 5


@dataclass(frozen=True)
class SliceAreas:
    """What a label volume holds.

    Attributes
    ----------
    n_pixels : list of list of int, K x (n_codes + 1)
        Pixels of each code in each slice, counted from inferior; code 0 is background.
    centre_mm : list of (float or None), n_codes + 1
        Mean distance of a code's voxels from the left edge of the picture (the patient's right); None where the code
        is absent.
    pixel_mm2 : float
        Area of a pixel.
    fault : str
        Why the volume is no map of these codes, as the rest of a sentence that starts with the file; ``""`` where
        it is one.
    """

    n_pixels: list[list[int]]
    centre_mm: list[float | None]
    pixel_mm2: float
    fault: str = ""

    @property
    def areas_mm2(self) -> np.ndarray:
        """Area of each code in each slice, float64, K x (n_codes + 1)."""
        return np.asarray(self.n_pixels, float) * self.pixel_mm2


def slice_areas(path: Path, n_codes: int) -> SliceAreas:
    """Return what a label volume holds, from the cache where the file has not changed since.

    Parameters
    ----------
    path : pathlib.Path
        NIfTI volume of whole numbers 0..n_codes.
    n_codes : int
        Largest valid code.

    Raises
    ------
    FileError
        If the file cannot be read. A wrong code is a ``fault``, not raised.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror}.") from error
    key = f"{_VERSION} {n_codes} {path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    kept = cache_dir() / "slice_areas" / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.json"
    try:
        return SliceAreas(**json.loads(kept.read_text()))
    except (OSError, ValueError, TypeError):
        found = _scan(path, n_codes)
    with written_whole(kept) as temporary:
        temporary.write_text(json.dumps(asdict(found)))
    return found


def _scan(path: Path, n_codes: int) -> SliceAreas:
    volume = read_nifti(path)
    height, width, count = volume.slices.shape
    columns = np.broadcast_to(np.arange(width, dtype=float), (height, width)).ravel()
    n_pixels = np.zeros((count, n_codes + 1), np.int64)
    column_sums = np.zeros(n_codes + 1)
    wrong: set[float] = set()
    for k in range(count):
        plane = volume.slices[..., k].ravel()
        # NaN is not equal to itself, so that it is wrong too
        valid = (plane >= 0) & (plane <= n_codes) & (plane == np.floor(plane))
        wrong.update(() if valid.all() else np.unique(plane[~valid]).tolist())
        codes = np.where(valid, plane, 0).astype(np.int64)
        n_pixels[k] = np.bincount(codes, minlength=n_codes + 1)
        column_sums += np.bincount(codes, weights=columns, minlength=n_codes + 1)
    rows_mm, columns_mm = volume.spacing_mm
    total = n_pixels.sum(axis=0)
    centres = [columns_mm * s / n if n else None for s, n in zip(column_sums.tolist(), total, strict=True)]
    fault = _wrong_codes(sorted(wrong), n_codes) if wrong else ""
    return SliceAreas(n_pixels.tolist(), centres, rows_mm * columns_mm, fault)


def _wrong_codes(values: Sequence[float], n_codes: int) -> str:
    listed = ", ".join(f"{value:g}" for value in values[:_MOST_SHOWN])
    more = ", ..." if len(values) > _MOST_SHOWN else ""
    noun = "code" if len(values) == 1 else "codes"
    return f"holds the wrong {noun} {listed}{more}; whole numbers from 0 to {n_codes} are expected."
