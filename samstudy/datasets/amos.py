"""AMOS22: abdominal CT and MRI volumes with 15 organs, as axial slices.

Layout (NIfTI, one file per case; case numbers below 500 are CT, others MRI)::

    amos22/dataset.json
    amos22/imagesTr/amos_0001.nii.gz    amos22/labelsTr/amos_0001.nii.gz    200 CT + 40 MRI
    amos22/imagesVa/amos_0008.nii.gz    amos22/labelsVa/amos_0008.nii.gz    100 CT + 20 MRI
    amos22/imagesTs/                                                        no public labels: not used

Codes of the label volumes: 0 background, 1 spleen, 2 right kidney, 3 left kidney, 4 gall bladder, 5 esophagus, 6 liver,
7 stomach, 8 aorta, 9 postcava (inferior vena cava), 10 pancreas, 11 right adrenal gland, 12 left adrenal gland,
13 duodenum, 14 bladder, 15 prostate/uterus.

* Picture: axial slice turned by the affine, anterior up, patient's right on the left. CT: level 40 HU, width 400. MRI:
  from the 0.5th to the 99.5th percentile of the volume's non-zero voxels. Spacing from the header.
* Slices (option ``slices``): ``largest`` (default) takes, for each organ of a case, the one slice where its area is
  largest; there are at most 15 images per case, and every organ is seen at its best once. ``every10`` (any number)
  takes each tenth slice that shows an organ, without a bound.
* Objects: every organ that covers at least ``min_area_mm2`` (default 25 mm2, a square of 5 mm) of a slice taken. The
  slivers below, ends of organs of a few pixels, are not labels; ``check`` counts them. An organ that is not in a
  slice is no label either: there are no empty masks.
* Split: the release's own training cases are train, one in five of them (by the hash of the case) val; its
  validation cases (``labelsVa``) are the test split here, as the labels of its test cases are not public.
* Group: the case. An image id is the case and the slice counted from inferior, ``amos_0001_z045``.

Named by ``check``: a code outside 0..15, fractional or negative; an image and a label volume on different grids (shape,
or affines more than half a voxel apart); a file cut short; one of the two missing; right and left exchanged, by the
affine (the liver to the left of the spleen, the right kidney to the left of the left one, the same for the adrenal
glands, by more than 20 mm). ``__MACOSX`` and hidden files are passed over.

Source: Y. Ji et al., "AMOS: A Large-Scale Abdominal Multi-Organ Benchmark for Versatile Medical Image Segmentation",
NeurIPS 2022 Datasets and Benchmarks, arXiv 2206.08023. CC BY 4.0.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np
from tqdm import tqdm

from samstudy.datasets import tree
from samstudy.datasets.base import DatasetInfo, Download, Reading, Record
from samstudy.datasets.official import OfficialDataset
from samstudy.datasets.slice_areas import SliceAreas, slice_areas
from samstudy.errors import StudyError
from samstudy.images import FileError, shown, stem_of
from samstudy.images.display import CT_WINDOW, PERCENTILES, bounds_of, to_rgb
from samstudy.images.volume import Volume, read_nifti, same_grid

TARGETS = (
    "spleen", "right_kidney", "left_kidney", "gall_bladder", "esophagus", "liver", "stomach", "aorta", "postcava",
    "pancreas", "right_adrenal_gland", "left_adrenal_gland", "duodenum", "bladder", "prostate_uterus",
)  # fmt: skip
"""Organs in the order of their codes, 1 to 15."""

MODALITIES = ("CT", "MRI")
_FIRST_MRI_CASE = 500
_PARTS = {"Tr": "train", "Va": "test"}
_CASES = {"CT": {"train": 200, "test": 100}, "MRI": {"train": 40, "test": 20}}
_RIGHT_AND_LEFT = (
    ("liver", "spleen"),
    ("right_kidney", "left_kidney"),
    ("right_adrenal_gland", "left_adrenal_gland"),
)
_SIDE_TOLERANCE_MM = 20.0
_GRID_TOLERANCE_VOXELS = 0.5
_FOLDERS = ("imagesTr", "labelsTr", "imagesVa", "labelsVa", "imagesTs", "labelsTs")
_NAME = re.compile(r"amos_(\d+)", re.IGNORECASE)
_EVERY = re.compile(r"every([1-9]\d*)")
_PERCENTILE_SAMPLE = 4_000_000


class Amos(OfficialDataset):
    """AMOS22 as axial slices; see the module for layout, codes, slices and split.

    Parameters
    ----------
    root : pathlib.Path, optional
        Where the archive was unpacked.
    modality : {"both", "ct", "mri"}
        Which cases are listed.
    slices : str
        ``"largest"``, or ``"every<n>"``.
    min_area_mm2 : float
        Least area of an organ in a slice to be scored, in square millimetres; 0 keeps every pixel.

    Raises
    ------
    StudyError
        If an option has no such value, or the files are not there.
    """

    info = DatasetInfo(
        name="amos",
        title="AMOS22: abdominal multi-organ segmentation",
        modality="CT and MRI",
        targets=TARGETS,
        licence="CC BY 4.0",
        citation="Ji et al., AMOS: A Large-Scale Abdominal Multi-Organ Benchmark for Versatile Medical Image "
        "Segmentation, NeurIPS 2022 Datasets and Benchmarks, arXiv 2206.08023",
        how_to_get="download amos22.zip from Zenodo (record 7262581; no registration) and unpack it",
        url="https://amos22.grand-challenge.org",
        group_noun="case",
        interval_note="A case is one scan; whether two scans are of one person, the files do not tell.",
        spacing_known=True,
        nsd_tolerance=2.0,
        display_note="axial, anterior up, patient's right on the left; for each organ of a case the slice with its "
        "largest area; CT level 40 HU, width 400; MRI 0.5-99.5 percentile of the volume's non-zero voxels",
        split_note="official: training cases, one in five of them val; the official validation cases are the test "
        "split, because the labels of the official test cases are not public",
        trained_on="SAM-Med2D (amos_0006 is in the training list of its demonstration data)",
        downloads=(Download("https://zenodo.org/records/7262581/files/amos22.zip", "amos22.zip"),),
        steps=(
            "Download amos22.zip from https://zenodo.org/records/7262581 (no registration).",
            "Unpack it into data/raw/amos, so that data/raw/amos/amos22/imagesTr exists.",
        ),
    )
    landmarks = ("imagesTr", "imagesVa", "labelsTr", "labelsVa")
    expected: ClassVar = {part: sum(_CASES[kind][part] for kind in MODALITIES) for part in ("train", "test")}
    counted = "cases"
    split_table = "amos"

    def __init__(
        self,
        root: Path | None = None,
        modality: str = "both",
        slices: str = "largest",
        min_area_mm2: float = 25.0,
    ) -> None:
        modality = self._chosen("modality", modality, ("both", "ct", "mri"))
        if slices != "largest" and not _EVERY.fullmatch(str(slices)):
            raise StudyError(f"slices is {slices!r}; use 'largest', or 'every10' for each tenth slice.")
        if not (isinstance(min_area_mm2, int | float) and 0 <= min_area_mm2 < float("inf")):
            raise StudyError(f"min_area_mm2 is {min_area_mm2!r}; it is an area in mm2, 0 or more.")
        self.modality, self.slices, self.min_area_mm2 = modality, slices, float(min_area_mm2)
        self.options = {"slices": slices, "min_area_mm2": f"{min_area_mm2:g}", "modality": modality}
        self._n_slivers = 0
        super().__init__(root)

    def _list(self) -> list[Record]:
        self._find_strange_folders()
        cases = []
        for part in _PARTS:
            images, labels = self._volumes(f"images{part}"), self._volumes(f"labels{part}")
            cases += [(case, part, images.get(case), labels.get(case)) for case in sorted({*images, *labels})]
        unlabelled = tree.files(tree.seek(self.root, "imagesTs"), "*.nii.gz", "*.nii")
        if unlabelled:
            text = f"holds {len(unlabelled)} volumes whose labels are not public; they are not used."
            self._find(unlabelled[0].parent, text, "note")
        records = []
        for case in tqdm(cases, desc="looking into label volumes", unit="case", delay=2):
            records += self._slices_of(*case)
        if self._n_slivers:
            text = (
                f"has {self._n_slivers} organ sections of less than {self.min_area_mm2:g} mm2 in the slices "
                "taken; they are not scored."
            )
            self._find(self.root, text, "note")
        return records

    def _strange_folders(self) -> list[Path]:
        """Folders at the root that are none of the release's, nor above one of them."""
        read = [path for name in _FOLDERS if (path := tree.seek(self.root, name)) is not None]
        inside = [path for path in tree.visible(self.root) if path.is_dir()]
        return [folder for folder in inside if not any(path.is_relative_to(folder) for path in read)]

    def _find_strange_folders(self) -> None:
        for folder in self._strange_folders():
            near = difflib.get_close_matches(folder.name, _FOLDERS, n=1)
            text = "is no folder of the release; its files are not read"
            text += f" (is it {near[0]} renamed?)." if near else "."
            self._find(folder, text, "error" if near else "note")

    def _volumes(self, folder: str) -> dict[str, Path]:
        """Return the volume of each case of the wanted modality in a folder."""
        found: dict[str, Path] = {}
        directory = tree.seek(self.root, folder)
        for path in tree.files(directory, "*"):
            name = _NAME.fullmatch(stem_of(path))
            if name is None or not path.name.lower().endswith((".nii.gz", ".nii")):
                self._find(path, "is not understood; a name like amos_0001.nii.gz is expected.", "note")
            elif self.modality == "both" or self.modality == modality_of(int(name[1])).lower():
                case = f"amos_{int(name[1]):04d}"
                if case in found:
                    self._find(path, f"is a second file of its case; {shown(found[case])} is read.", "note")
                found.setdefault(case, path)
        return found

    def _slices_of(self, case: str, part: str, image: Path | None, label: Path | None) -> list[Record]:
        whole = Record(case, case, _PARTS[part], image, ((None, label),) if label else ())
        if image is None:
            return [_faulty(whole, label, f"has no image: {self._absent(f'images{part}', label.name)}")]
        if label is None:
            return [_faulty(whole, image, f"has no label: {self._absent(f'labels{part}', image.name)}")]
        try:
            areas = slice_areas(label, len(TARGETS))
        except FileError as error:
            return [_faulty(whole, error.file, error.reason)]
        fault = areas.fault or wrong_side(areas)
        if fault:
            return [_faulty(whole, label, fault)]
        chosen, slivers = choose_slices(areas.areas_mm2, self.slices, self.min_area_mm2)
        self._n_slivers += slivers
        if not chosen:
            least = f"of at least {self.min_area_mm2:g} mm2 in the slices asked for"
            self._find(label, f"has no organ {least}: the case gives no image.", "note")
        return [
            Record(f"{case}_z{k:03d}", case, whole.split, image, whole.masks, index=int(k)) for k in chosen
        ]

    def _absent(self, folder: str, name: str) -> str:
        if tree.seek(self.root, folder) is not None:
            return f"{folder}/{name} is not there."
        near = difflib.get_close_matches(folder, [p.name for p in self._strange_folders()], n=1)
        return f"the folder {folder} is not there" + (f"; there is {near[0]!r}." if near else ".")

    def official_counts(self) -> dict[str, tuple[int, int]]:
        """Return, for each part of the release, how many cases of the wanted modality are here and how many it has."""
        kinds = MODALITIES if self.modality == "both" else (self.modality.upper(),)
        # where the cases of a part are counted, its images are of no use: their number depends on the options
        parts = {record.group_id: record.split for record in self._records.values()}
        have = Counter("test" if split == "test" else "train" for split in parts.values())
        return {part: (have[part], sum(_CASES[kind][part] for kind in kinds)) for part in self.expected}

    def _read(self, record: Record) -> Reading:
        label_file = record.masks[0][1]
        image, label = read_nifti(record.image), read_nifti(label_file)
        fault = grid_fault(image, label, record.image)
        if fault:
            raise FileError(label_file, fault)
        modality = modality_of(int(_NAME.fullmatch(record.group_id)[1]))
        stamp = record.image.stat().st_mtime_ns
        bounds = bounds_of(CT_WINDOW) if modality == "CT" else _mri_bounds(record.image, stamp)
        try:
            rgb, remarks = to_rgb(image.slices[..., record.index], bounds)
        except ValueError as error:
            raise FileError(record.image, f"cannot be shown: {error}.") from error
        plane = label.slices[..., record.index]
        least = self.min_area_mm2 / float(np.prod(label.spacing_mm))
        masks = {name: plane == code for code, name in enumerate(TARGETS, 1)}
        labels = {name: mask for name, mask in masks.items() if mask.any() and mask.sum() >= least}
        notes = [(record.image, remark) for remark in remarks]
        moved = same_grid(record.image, label_file)
        notes += [(label_file, moved + ".")] if moved else []
        sources = dict.fromkeys(labels, label_file)
        return Reading(rgb, labels, image.spacing_mm, sources=sources, notes=notes, modality=modality)


def modality_of(case_number: int) -> str:
    """Return ``"CT"`` for case numbers below 500, else ``"MRI"``."""
    return "CT" if case_number < _FIRST_MRI_CASE else "MRI"


def choose_slices(areas_mm2: np.ndarray, rule: str, min_area_mm2: float) -> tuple[list[int], int]:
    """Return the slices of a case that are shown.

    Parameters
    ----------
    areas_mm2 : numpy.ndarray, float, K x (n_codes + 1)
        Area of each code in each slice; column 0 is background.
    rule : str
        ``"largest"`` or ``"every<n>"``.
    min_area_mm2 : float
        Sections below are no reason to take a slice.

    Returns
    -------
    slices : list of int
        Ascending; empty where no section is large enough. Of equally large sections the lowest counts.
    n_slivers : int
        Sections in these slices that are too small to be scored.
    """
    organs = np.asarray(areas_mm2, float)[:, 1:]
    large = (organs > 0) & (organs >= min_area_mm2)
    if rule == "largest":
        chosen = np.unique(organs.argmax(axis=0)[large.any(axis=0)])
    else:
        step = int(_EVERY.fullmatch(rule)[1])
        chosen = np.flatnonzero(large.any(axis=1) & (np.arange(len(organs)) % step == 0))
    return chosen.tolist(), int(((organs > 0) & ~large)[chosen].sum())


def wrong_side(areas: SliceAreas) -> str:
    """Return which organs lie on the wrong side of each other by the affine, ``""`` where none do."""
    for right, left in _RIGHT_AND_LEFT:
        centres = [areas.centre_mm[TARGETS.index(name) + 1] for name in (right, left)]
        if None not in centres and centres[0] - centres[1] > _SIDE_TOLERANCE_MM:
            return (
                f"has the {right.replace('_', ' ')} {centres[0] - centres[1]:.0f} mm to the left of the "
                f"{left.replace('_', ' ')} by its affine: codes {TARGETS.index(right) + 1} and "
                f"{TARGETS.index(left) + 1} are exchanged, or the volume is mirrored; get the file again."
            )
    return ""


def grid_fault(image: Volume, label: Volume, image_file: Path) -> str:
    """Return why a label volume does not lie on the grid of its image, ``""`` where it does.

    Corners of the two grids may be half a voxel apart: headers round.
    """
    if image.slices.shape != label.slices.shape:
        (h, w, k), (height, width, count) = label.slices.shape, image.slices.shape
        return (
            f"is {w}x{h}x{k} voxels but its image {shown(image_file)} is {width}x{height}x{count} "
            "(width x height x slices); a label volume must have the grid of its image."
        )
    height, width, count = image.slices.shape
    corners = np.array(list(product((0, width - 1), (0, height - 1), (0, count - 1), (1,))), float).T
    apart_mm = (label.affine - image.affine) @ corners
    apart_voxels = np.linalg.inv(image.affine) @ apart_mm
    if np.abs(apart_voxels).max() <= _GRID_TOLERANCE_VOXELS:
        return ""
    return (
        f"lies up to {np.abs(apart_mm).max():.1f} mm away from its image {shown(image_file)} by their affines; "
        "a label volume must have the grid of its image."
    )


@lru_cache(maxsize=4)
def _mri_bounds(path: Path, stamp: int) -> tuple[float, float]:
    """Percentiles of the non-zero voxels; ``stamp`` is the file's time, so that a changed file is read again."""
    values = read_nifti(path).slices
    present = values[np.isfinite(values) & (values != 0)]
    if not present.size:
        raise FileError(path, "is 0 everywhere: there is nothing to show.")
    low, high = np.percentile(present[:: max(1, present.size // _PERCENTILE_SAMPLE)], PERCENTILES)
    return float(low), float(max(high, low + 1e-6 * max(1.0, abs(low))))


def _faulty(record: Record, file: Path, problem: str) -> Record:
    return replace(record, problem=problem, problem_file=file)
