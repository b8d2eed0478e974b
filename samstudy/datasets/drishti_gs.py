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

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from samstudy.datasets.base import DatasetInfo, Reading, Record
from samstudy.datasets.fundus import CUP, DISC, Masks, grey_values, nest
from samstudy.datasets.official import OfficialDataset
from samstudy.datasets.pairing import keyed, looked_in, pair_masks, part_folders, pictures, unread_folders
from samstudy.datasets.tree import child, files, nearest, visible
from samstudy.images import FileError, read_image

VOTES = {"any": 1, "majority": 2, "all": 4}
_GREY_OF_VOTE = 255 / 4
_PARTS = {"Training": "train", "Test": "test"}
_GT = {"Training": ("GT", "Training_GT"), "Test": ("Test_GT", "GT")}
_SOFT_MAPS = {DISC: "ODsegSoftmap", CUP: "cupsegSoftmap"}


class DrishtiGS(OfficialDataset):
    """Drishti-GS1, ids ``drishtiGS_002``.

    Parameters
    ----------
    root : pathlib.Path, optional
        Folder that holds ``Training`` and ``Test``, or one up to three levels above it.
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
        threshold = self._chosen("soft_map", soft_map, tuple(VOTES))
        self._least_votes = VOTES[threshold]
        self.options = {"soft_map": threshold}
        super().__init__(root)

    def _list(self) -> list[Record]:
        folders = part_folders(self.root, tuple(_PARTS), self.landmarks)
        for parent in {folder.parent for folder in folders.values()}:
            self._findings += unread_folders(parent, tuple(_PARTS), list(folders.values()))
        return [record for part, folder in folders.items() for record in self._part(part, folder)]

    def _part(self, part: str, folder: Path) -> list[Record]:
        self._findings += unread_folders(folder, ("Images", *_GT[part]))
        images, findings = keyed(pictures(child(folder, "Images"), depth=2), _case_of, "drishtiGS_002.png")
        self._findings += findings
        truth = child(folder, *_GT[part])
        masks = {target: self._soft_maps(truth, name) for target, name in _SOFT_MAPS.items()}
        where = looked_in(folder, _GT[part][0] if truth is None else truth.name, ("Images",))
        if truth is not None:
            self._refuse_renamed(truth)
            where += "/<image>/SoftMap"
        places = {**dict.fromkeys(masks, where), "image": looked_in(folder, "Images", _GT[part])}
        return pair_masks(images, masks, _PARTS[part], places)

    def _soft_maps(self, truth: Path | None, name: str) -> dict[str, Path]:
        """Return the soft maps of one structure by case; each has to carry the name of its case."""
        cases = [] if truth is None else [entry for entry in visible(truth) if entry.is_dir()]
        paths = [p for case in cases for p in files(child(case, "SoftMap"), f"{case.name}_{name}.*")]
        found, findings = keyed(paths, _case_of, f"drishtiGS_002_{name}.png")
        self._findings += findings
        return found

    def _refuse_renamed(self, truth: Path) -> None:
        for case in visible(truth):
            if case.is_dir() and child(case, "SoftMap") is None:
                self._find(case, f"has no folder SoftMap{nearest(case, 'SoftMap')}.")

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


def _case_of(path: Path) -> str | None:
    number = re.match(r"drishti[_-]?gs[_-]?(\d+)(?![0-9])", path.name, re.IGNORECASE)
    return f"drishtiGS_{int(number[1]):03d}" if number else None
