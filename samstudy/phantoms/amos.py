"""Phantom of AMOS22: drawn abdomens as CT and MRI volumes, with the folders, names, codes and headers of the archive.

Every third case of a part is an MRI (numbers from 507), the others CT; every second CT reaches down to the pelvis, as
some of the real ones do. To be small, a volume has three slices (five with the pelvis) of 5 mm, some 4-6 cm apart;
a real one has a hundred without gaps, but the study looks at slices. CT volumes are stored left-anterior-superior,
MRI volumes left-posterior-superior, so that the affine has to be heeded.

See ``samstudy.phantoms.abdomen`` for the anatomy and ``samstudy.phantoms.abdomen_scans`` for the scanners.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from samstudy.phantoms.abdomen import Person, draw_person
from samstudy.phantoms.abdomen_scans import scan_ct, scan_mri
from samstudy.phantoms.base import Phantom
from samstudy.phantoms.soft_shapes import Grid
from samstudy.seeds import rng_for

_FOLDERS = {"train": "Tr", "val": "Va", "test": "Ts"}
_FIRST_NUMBERS = {"train": (1, 507), "val": (2, 508), "test": (3, 509)}
_CT_SIZE_HW, _MRI_SIZE_HW = (256, 256), (168, 216)
# as the archive's own dataset.json spells them
_LABELS = (
    "background", "spleen", "right kidney", "left kidney", "gall bladder", "esophagus", "liver", "stomach", "arota",
    "postcava", "pancreas", "right adrenal gland", "left adrenal gland", "duodenum", "bladder", "prostate/uterus",
)  # fmt: skip


def write(root: Path, counts: Mapping[str, int], seed: int) -> Iterator[str]:
    """Write the archive below ``root``, case by case.

    Parameters
    ----------
    root : pathlib.Path
        ``amos22/`` is made in it.
    counts : mapping of str to int
        Cases of ``train``, ``val`` and ``test`` (images only).
    seed : int

    Yields
    ------
    str
        Name of the case just written.
    """
    home = root / "amos22"
    names: dict[str, list[str]] = {}
    for part, count in counts.items():
        names[part] = [_case_name(part, index) for index in range(count)]
        for index, name in enumerate(names[part]):
            _write_case(home, part, index, name, seed)
            yield name
    _write_index(home, names)
    # what archives made on a Mac carry along
    stray = root / "__MACOSX" / "amos22" / "imagesTr" / "._amos_0001.nii.gz"
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"\x00\x05\x16\x07")


def _is_mri(index: int) -> bool:
    return index % 3 == 2


def _case_name(part: str, index: int) -> str:
    ct, mri = _FIRST_NUMBERS[part]
    number = mri + 3 * (index // 3) if _is_mri(index) else ct + 3 * (index - (index + 1) // 3)
    return f"amos_{number:04d}"


def _write_case(home: Path, part: str, index: int, name: str, seed: int) -> None:
    rng = rng_for(seed, "phantom", "amos", part, index)
    person = draw_person(rng)
    heights = _heights_mm(person, index % 3 == 1, rng)
    size_hw = _MRI_SIZE_HW if _is_mri(index) else _CT_SIZE_HW
    grid = Grid(size_hw, round((2 * person.half_girth_mm[0] + rng.uniform(28, 44)) / size_hw[1], 4))
    scan = (scan_mri if _is_mri(index) else scan_ct)(person, heights, grid, rng)
    volumes = {"images": scan.values, "labels": scan.codes}
    if part == "test":
        del volumes["labels"]
    for folder, stack in volumes.items():
        path = home / f"{folder}{_FOLDERS[part]}" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_nifti(stack, grid, heights, posterior=_is_mri(index)))


def _heights_mm(person: Person, with_pelvis: bool, rng: np.random.Generator) -> np.ndarray:
    """Middles of the slices, evenly spaced from inferior; the lowest of five shows the uterus or the prostate."""
    if not with_pelvis:
        return rng.uniform(-34, -20) + rng.uniform(39, 47) * np.arange(3)
    lowest = (-182.0 if person.female else -218.0) + rng.uniform(-4, 4)
    return np.linspace(lowest, rng.uniform(34, 50), 5)


def _nifti(stack: np.ndarray, grid: Grid, heights_mm: np.ndarray, posterior: bool) -> bytes:
    """Gzipped NIfTI of a K x H x W stack in display orientation; the second axis points to posterior or anterior."""
    voxels = stack.transpose(2, 1, 0)
    voxels = voxels if posterior else voxels[:, ::-1]
    pitch = float(heights_mm[1] - heights_mm[0])
    sign = -1.0 if posterior else 1.0
    affine = np.diag([-grid.pixel_mm, sign * grid.pixel_mm, pitch, 1.0])
    affine[0, 3] = (grid.size_hw[1] - 1) / 2 * grid.pixel_mm
    affine[1, 3] = -sign * (grid.size_hw[0] - 1) / 2 * grid.pixel_mm
    affine[2, 3] = heights_mm[0]
    image = nib.Nifti1Image(np.ascontiguousarray(voxels), affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    return gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)


def _write_index(home: Path, names: Mapping[str, list[str]]) -> None:
    def pairs(part: str) -> list[dict[str, str]]:
        end = _FOLDERS[part]
        return [
            {"image": f"./images{end}/{name}.nii.gz", "label": f"./labels{end}/{name}.nii.gz"}
            for name in names.get(part, ())
        ]

    index = {
        "name": "AMOS",
        "description": "PHANTOM in the layout of AMOS22: drawn, not acquired",
        "modality": {"0": "CT"},
        "labels": {str(code): label for code, label in enumerate(_LABELS)},
        "numTraining": len(names.get("train", ())),
        "numValidation": len(names.get("val", ())),
        "numTest": len(names.get("test", ())),
        "training": pairs("train"),
        "validation": pairs("val"),
        "test": [pair["image"] for pair in pairs("test")],
    }
    home.mkdir(parents=True, exist_ok=True)
    (home / "dataset.json").write_text(json.dumps(index, indent=1) + "\n")


PHANTOM = Phantom(
    name="amos",
    counts={"train": 7, "val": 5, "test": 1},
    n_images=35,
    write=write,
    difficulty="organs of nearly one grey touch each other: liver and stomach, pancreas and bowel, spleen and muscle",
)
