"""What a phantom is, and where its files are kept between runs."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tqdm import tqdm

from samstudy.errors import StudyError
from samstudy.paths import cache_dir
from samstudy.registry import Registry

PREFIX = "phantom_"
"""What the name of a benchmark's phantom begins with."""

SCENES = "heldout_scenes"
"""The drawn control of the study, which stands for no benchmark (see ``samstudy.datasets.heldout_scenes``)."""

Writer = Callable[[Path, Mapping[str, int], int], Iterator[str]]


@dataclass(frozen=True)
class Phantom:
    """A drawn stand-in for one benchmark.

    Attributes
    ----------
    name : str
        Name of the benchmark.
    counts : dict of str to int
        How many cases (images, patients, volumes: whatever the writer counts) of each part of the official archive
        are drawn by default, e.g. ``{"train": 20, "test": 10}``; ``{"all": 24}`` where it has no parts.
    n_images : int
        2-D images that the loader finds in the default phantom.
    write : callable
        ``write(root, counts, seed)`` writes the official tree below ``root`` and yields a name after each case. Case
        ``i`` of a part is the same whatever the counts: its generator is seeded by name.
    difficulty : str
        What makes it hard, in a sentence.
    """

    name: str
    counts: Mapping[str, int]
    n_images: int
    write: Writer
    difficulty: str


PHANTOMS: Registry[str] = Registry("phantom")
for _name in (
    "isic", "drishti_gs", "rim_one_r3", "refuge", "drive", "aroi", "cystoid_fluid", "amos", "chest_xray",
):  # fmt: skip
    PHANTOMS.register(_name)(f"samstudy.phantoms.{_name}")
"""Module of each phantom; it defines ``PHANTOM``."""


def kind_of_images(dataset: object) -> str:
    """Return what the images of a data set are, by its name: ``"real"``, ``"phantom"`` or ``"drawn"`` (scenes)."""
    text = str(dataset)
    return "phantom" if text.startswith(PREFIX) else "drawn" if text == SCENES else "real"


def shown_name(dataset: object) -> str:
    """Name of a data set as shown, so that nobody takes it for real.

    ``"phantom_drive"`` -> ``"PHANTOM drive"``; ``"heldout_scenes"`` -> ``"DRAWN heldout_scenes"``.
    """
    text, kind = str(dataset), kind_of_images(dataset)
    return text if kind == "real" else f"{kind.upper()} {text.removeprefix(PREFIX)}"


def load_phantom(name: str) -> Phantom:
    """Return a phantom by the name of its benchmark.

    Raises
    ------
    StudyError
        If there is none of that name.
    """
    return import_module(PHANTOMS[name]).PHANTOM


def write_phantom(name: str, root: Path, counts: Mapping[str, int] | None = None, seed: int = 0) -> Path:
    """Draw a phantom and write it in the benchmark's official layout.

    Parameters
    ----------
    name : str
        Name of the benchmark.
    root : pathlib.Path
        Folder to write into; made where absent.
    counts : mapping of str to int, optional
        Cases of each part of the archive; the phantom's own by default.
    seed : int
        The same seed gives the same files, byte for byte.

    Returns
    -------
    pathlib.Path
        ``root``.

    Raises
    ------
    StudyError
        If the name is unknown, a part is not one of the archive's, or the folder cannot be written.
    """
    phantom = load_phantom(name)
    counts = dict(phantom.counts if counts is None else counts)
    unknown = sorted(set(counts) - set(phantom.counts))
    if unknown:
        raise StudyError(
            f"the phantom of {name} has no part {unknown[0]!r}; its parts: {', '.join(phantom.counts)}."
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        written = phantom.write(root, counts, seed)
        for _ in tqdm(
            written, desc=f"drawing the phantom of {name}", total=sum(counts.values()), unit="case"
        ):
            pass
    except OSError as error:
        raise StudyError(
            f"cannot write the phantom of {name} to {root}: {error.strerror or error}."
        ) from error
    return root


def phantom_root(name: str) -> Path:
    """Return the folder of the default phantom, drawn at first use and kept in the cache.

    The folder's name carries the hash of the code that drew it; older ones are removed.
    """
    phantom = load_phantom(name)
    parent = cache_dir() / "phantoms"
    key = hashlib.sha256(f"{_code_sha()} {json.dumps(dict(phantom.counts))}".encode()).hexdigest()[:12]
    final = parent / f"{name}-{key}"
    if final.is_dir():
        return final
    try:
        parent.mkdir(parents=True, exist_ok=True)
        working = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
    except OSError as error:
        raise StudyError(f"cannot write to {parent}: {error.strerror or error}.") from error
    try:
        write_phantom(name, working)
        # another process may have been first: its files are the same
        with suppress(OSError):
            working.rename(final)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    for old in parent.glob(f"{name}-*"):
        if old != final:
            shutil.rmtree(old, ignore_errors=True)
    return final


def _code_sha() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
