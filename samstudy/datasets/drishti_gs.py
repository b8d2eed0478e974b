"""Drishti-GS1: optic disc and cup in colour fundus photographs, with the agreement of four experts.

101 photographs (PNG, about 2045 x 1750 pixels, 30 degrees around the disc, sizes vary) from Aravind Eye Hospital,
Madurai; 50 for training, 51 for testing.

Layout::

    Drishti-GS1_files/
      Training/Images/drishtiGS_002.png
      Training/GT/drishtiGS_002/SoftMap/drishtiGS_002_ODsegSoftmap.png
      Training/GT/drishtiGS_002/SoftMap/drishtiGS_002_cupsegSoftmap.png
      Test/Images/drishtiGS_001.png
      Test/Test_GT/drishtiGS_001/SoftMap/...

* A soft map holds how many of the four experts marked a pixel, as greys 0, 64, 128, 191, 255.
* ``soft_map`` is the threshold, and changes the score: ``any`` (1 vote or more), ``majority`` (2 or more, grey 128 and
  above; the default) or ``all`` (4).
* ``optic_disc`` includes ``optic_cup``.

Traps: the masks of the test part are in ``Test_GT``, not ``GT`` (both are taken); some copies sort the images into
folders below ``Images`` (``GLAUCOMA``, ``NORMAL``, ``ALL``) or unpack each part into a folder of its own
(``Training/Training/Images``).

Terms: registration, research only.

Source: J. Sivaswamy, S. R. Krishnadas, G. Datt Joshi, M. Jain, A. U. Syed Tabish, "Drishti-GS: Retinal image
dataset for optic nerve head (ONH) segmentation", IEEE ISBI 2014, 53-56, doi 10.1109/ISBI.2014.6867807.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from samstudy.datasets.base import DatasetInfo, Reading, Record
from samstudy.datasets.fundus import (
    CUP,
    DISC,
    Masks,
    by_stem,
    grey_values,
    nest,
    one_of,
    pictures,
    root_of_parts,
    unread_folders,
)
from samstudy.datasets.official import OfficialDataset
from samstudy.datasets.tree import child, files, locate, nearest, visible
from samstudy.images import FileError, read_image

VOTES = {"any": 1, "majority": 2, "all": 4}
_GREY_OF_VOTE = 255 / 4
_PARTS = {"Training": "train", "Test": "test"}
_GT = {"Training": ("GT", "Training_GT"), "Test": ("Test_GT", "GT")}
_PATTERNS = {DISC: "*ODsegSoftmap.*", CUP: "*cupsegSoftmap.*"}


class DrishtiGS(OfficialDataset):
    """Drishti-GS1, ids ``drishtiGS_002``.

    Parameters
    ----------
    root : pathlib.Path, optional
        Folder that holds ``Training`` and ``Test``, or one up to two levels above it.
    soft_map : {"majority", "any", "all"}
        How many of the four experts make a pixel disc or cup. Column ``dataset_options``.

    Raises
    ------
    StudyError
        If ``soft_map`` is none of them; see also ``OfficialDataset``.
    """

    info = DatasetInfo(
        name="drishti_gs",
        title="Drishti-GS1: retinal images for optic nerve head segmentation",
        modality="colour fundus photograph",
        targets=(DISC, CUP),
        licence="research only, after registration; no open licence",
        citation="Sivaswamy et al., IEEE ISBI 2014, 53-56, doi 10.1109/ISBI.2014.6867807",
        how_to_get="register at the page of CVIT, IIIT Hyderabad, and unpack Drishti-GS1_files",
        url="http://cvit.iiit.ac.in/projects/mip/drishti-gs/mip-dataset2/Home.php",
        n_images=101,
        group_noun="image",
        interval_note="One photograph is one group: the files do not tell which two are of one person.",
        nsd_tolerance=4.0,
        display_note="as stored, 8-bit colour; tolerance of 4 px is about 1 % of a disc's diameter (321 and 441 px in "
        "two images measured)",
        split_note="published parts; one image in five of the training part, by hash, for validation",
        steps=(
            "Register at http://cvit.iiit.ac.in/projects/mip/drishti-gs/mip-dataset2/Home.php.",
            "Download Drishti-GS1_files (with the ground truth of the test part, where it is a file of its own).",
            "Unpack it into data/raw/drishti_gs, so that data/raw/drishti_gs/Drishti-GS1_files/Training/Images and "
            ".../Test/Test_GT are there.",
        ),
    )
    landmarks = tuple(
        f"{part}/{folder}/drishti*"
        for part, folders in _GT.items()
        for folder in ("Images", "Images/*", *folders)
    )
    expected: ClassVar[Mapping[str, int]] = {"train": 50, "test": 51}
    split_table = "drishti_gs"

    def __init__(self, root: Path | None = None, soft_map: str = "majority") -> None:
        self._least_votes = VOTES[one_of("soft_map", soft_map, tuple(VOTES))]
        self.options = {"soft_map": one_of("soft_map", soft_map, tuple(VOTES))}
        super().__init__(root)

    def _list(self) -> list[Record]:
        return [record for part in _PARTS for record in self._part(part)]

    def _locate(self, start: Path) -> Path:
        return root_of_parts(start, super()._locate(start), self.landmarks)

    def _part(self, part: str) -> list[Record]:
        parent = locate(self.root, [mark for mark in self.landmarks if mark.startswith(part)])
        if parent is None:
            return []
        folder = child(parent, part)
        self._findings += unread_folders(parent, tuple(_PARTS))
        self._findings += unread_folders(folder, ("Images", *_GT[part]))
        images, doubled = by_stem(pictures(child(folder, "Images"), depth=2))
        self._findings += doubled
        truth = child(folder, *_GT[part])
        cases = {case.name.casefold(): case for case in visible(truth) if case.is_dir()} if truth else {}
        if truth is None:
            missing = (
                f"has no soft maps: the folder {part}/{_GT[part][0]} is not there{nearest(folder, 'GT')}."
            )
        else:
            missing = f"has no soft maps: {part}/{truth.name} holds no folder of its name."
        records = [
            self._record(_PARTS[part], path, cases.get(stem), missing) for stem, path in images.items()
        ]
        records += [
            Record(
                case.name,
                case.name,
                _PARTS[part],
                problem="holds soft maps without their image.",
                problem_file=case,
            )
            for name, case in cases.items()
            if name not in images
        ]
        return sorted(records, key=lambda record: record.image_id)

    def _record(self, split: str, image: Path, case: Path | None, missing: str) -> Record:
        masks: list[tuple[str | None, Path]] = []
        if case is None:
            return Record(image.stem, image.stem, split, image, problem=missing)
        folder = child(case, "SoftMap")
        for target, pattern in _PATTERNS.items():
            masks += [(target, path) for path in files(folder, pattern)[:1]]
        lacking = [target for target in _PATTERNS if target not in dict(masks)]
        problem = ""
        if folder is None:
            problem = f"has no soft maps: {case.name}/SoftMap is not there{nearest(case, 'SoftMap')}."
        elif lacking:
            wanted = " and ".join(image.stem + _PATTERNS[target].strip("*.") + ".png" for target in lacking)
            problem = f"has no soft map of {' and '.join(lacking)}: {case.name}/SoftMap lacks {wanted}."
        return Record(image.stem, image.stem, split, image, tuple(masks), problem=problem)

    def _read(self, record: Record) -> Reading:
        image = read_image(record.image)
        sources = dict(record.masks)
        labels = {target: expert_votes(path) >= self._least_votes for target, path in sources.items()}
        masks = nest(Masks(labels, sources, [(record.image, text) for text in image.notes]))
        return Reading(image.rgb, masks.labels, sources=masks.sources, notes=masks.notes)


def expert_votes(path: Path) -> np.ndarray:
    """Read a soft map.

    Parameters
    ----------
    path : pathlib.Path
        Greys 0, 64, 128, 191, 255; one more or less, as rounding gives, is taken too.

    Returns
    -------
    numpy.ndarray, uint8, H x W
        Number of experts, 0 to 4.

    Raises
    ------
    FileError
        If it cannot be read, or holds other greys: they are named.
    """
    grey = grey_values(path)
    greys = np.unique(grey)
    wrong = [int(g) for g in greys if abs(g - round(g / _GREY_OF_VOTE) * _GREY_OF_VOTE) > 1]
    if wrong:
        raise FileError(
            path,
            f"holds the greys {', '.join(map(str, wrong[:8]))}; 0, 64, 128, 191, 255 (the votes of 4 experts) are "
            "expected.",
        )
    return np.rint(grey / _GREY_OF_VOTE).astype(np.uint8)
