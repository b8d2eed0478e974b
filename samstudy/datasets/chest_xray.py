"""Montgomery and Shenzhen: frontal chest radiographs with outlined lungs.

Features
    800 postero-anterior radiographs, 138 from Montgomery County (USA; 12-bit, 4020 x 4892 or 4892 x 4020) and 662
    from Shenzhen No. 3 Hospital (China; about 3000 x 3000); the last digit of a name is 0 for normal, 1 for
    manifestations of tuberculosis. 704 have a lung mask: all of Montgomery, 566 of Shenzhen.
Targets
    ``lungs``: white (255) in the mask, left and right together. The field that is outlined leaves out heart,
    mediastinum and what is seen through the diaphragm.
Layouts (``source``; ``auto`` takes the bundle where both are there)
    ``kaggle``, the bundle "Chest Xray Masks and Labels"::

        Lung Segmentation/CXR_png/CHNCXR_0001_0.png, MCUCXR_0001_0.png
                         /masks/CHNCXR_0001_0_mask.png, MCUCXR_0001_0.png
                         /test/                  the 96 images without a mask, again
                         /ClinicalReadings/      not used

    ``nlm``, the archives of the National Library of Medicine::

        MontgomerySet/CXR_png/MCUCXR_0001_0.png
                     /ManualMask/{leftMask,rightMask}/MCUCXR_0001_0.png
        ChinaSet_AllFiles/CXR_png/CHNCXR_0001_0.png       no masks: they were made and are published by others
        mask/CHNCXR_0001_0_mask.png                       those masks, anywhere up to two folders below the root
Traps
    * 96 Shenzhen images have no mask in any release: they are left out and counted by ``check``. Any other image
      without a mask is an error.
    * Masks of resized copies have grey edges: cut above 127, and it is said.
    * ``leftMask`` and ``rightMask`` do not change their union when they are exchanged, and which side "left" means
      is not stated by the files: ``check`` names the images whose masks lie on other sides than in most others. Two
      masks on one side lose a lung: an error.
    * No pixel pitch in the PNG files: distances are in pixels.
Split
    One image per patient; none is official: dealt by hash, see ``data/splits/chest_xray.csv``.
Papers
    S. Jaeger et al., "Two public chest X-ray datasets for computer-aided screening of pulmonary diseases", Quant.
    Imaging Med. Surg. 4 (2014) 475-477; S. Candemir et al., "Lung segmentation in chest radiographs using anatomical
    atlases with nonrigid registration", IEEE TMI 33 (2014) 577-590 (Montgomery masks); S. Stirenko et al., "Chest
    X-ray analysis of tuberculosis by deep learning with segmentation and augmentation", IEEE ELNANO 2018 (Shenzhen
    masks).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from samstudy.datasets.base import DatasetInfo, Download, Reading, Record, validate
from samstudy.datasets.binary import read_binary
from samstudy.datasets.official import OfficialDataset
from samstudy.datasets.pairing import pair_masks
from samstudy.datasets.tree import child, files, is_named, nearest, seek, visible
from samstudy.errors import StudyError
from samstudy.images import FileError, read_image, shown, stem_of

SOURCES = ("auto", "kaggle", "nlm")
_UNMASKED_SPANS = (
    (25, 25), (36, 40), (65, 65), (181, 220), (336, 336), (341, 360), (481, 500), (502, 502), (505, 505), (560, 565),
)  # fmt: skip
UNMASKED = frozenset(number for first, last in _UNMASKED_SPANS for number in range(first, last + 1))
"""Numbers of the 96 Shenzhen images that have no mask in any release."""

_SAME_LUNG = 0.5
_LEVELS = 4


class ChestXray(OfficialDataset):
    """Chest radiographs of the Montgomery and Shenzhen sets; ids are the file stems, ``MCUCXR_0001_0``.

    Parameters
    ----------
    root : pathlib.Path, optional
        Folder with ``Lung Segmentation``, or with ``MontgomerySet`` and ``ChinaSet_AllFiles``.
    source : {"auto", "kaggle", "nlm"}
        Which layout is read; a column of the results.

    Raises
    ------
    StudyError
        If the source is unknown, or its files are not there.
    """

    info = DatasetInfo(
        name="chest_xray",
        title="Montgomery County and Shenzhen chest X-ray sets",
        modality="chest radiograph",
        targets=("lungs",),
        licence="NLM: free, with acknowledgement of the source and citation of its papers; the Kaggle bundle states "
        "CC0",
        citation="Jaeger et al., Quant. Imaging Med. Surg. 4 (2014) 475, doi 10.3978/j.issn.2223-4292.2014.11.20; "
        "Candemir et al., IEEE TMI 33 (2014) 577, doi 10.1109/TMI.2013.2290491; Stirenko et al., IEEE ELNANO (2018)",
        how_to_get="Montgomery (138 images) downloads directly; both sets with all masks (704 images) are the Kaggle "
        "bundle 'Chest Xray Masks and Labels', which needs a Kaggle account",
        url="https://data.lhncbc.nlm.nih.gov/public/Tuberculosis-Chest-X-ray-Datasets/index.html",
        n_images=704,
        interval_note="One image per patient, two hospitals: intervals do not cover a third hospital.",
        nsd_tolerance=5.0,
        display_note="as stored, patient's right on the left; more than 8 bits: 0.5-99.5 percentile of the values "
        "that are not zero",
        split_note="none is official: 60 : 15 : 25 by the hash of the patient",
        downloads=(
            Download(
                "https://openi.nlm.nih.gov/imgs/collections/NLM-MontgomeryCXRSet.zip",
                "NLM-MontgomeryCXRSet.zip",
                "sha256:54601e952315d8f67383e9202a6e145997ade429f54f7e0af44b4e158714f424",
            ),
        ),
        steps=(
            "Log in at Kaggle and open the data set 'Chest Xray Masks and Labels' "
            "(nikhilpandey360/chest-xray-masks-and-labels).",
            "Download it and unpack it into data/raw/chest_xray, so that data/raw/chest_xray/Lung Segmentation "
            "holds CXR_png and masks.",
            "Or, for NLM's own files of Shenzhen: put ChinaSet_AllFiles beside MontgomerySet, and the masks of the "
            "Kaggle data set 'shcxr-lung-mask' (yoctoman) as mask beside them.",
        ),
    )
    landmarks = ("CXR_png", "ManualMask", "Lung Segmentation", "MontgomerySet", "ChinaSet_AllFiles")
    expected = {"all": 704}  # noqa: RUF012
    split_table = "chest_xray"

    def __init__(self, root: Path | None = None, source: str = "auto") -> None:
        self._source = self._chosen("source", source, SOURCES)
        self._left_is_left: dict[str, bool] = {}
        super().__init__(root)

    def _list(self) -> list[Record]:
        sets = self._sets()
        source = self._source
        if source == "auto":
            source = "kaggle" if "kaggle" in sets else "nlm"
        self.options = {"source": source}
        listers = {"montgomery": self._list_montgomery, "shenzhen": self._list_shenzhen}
        if source == "kaggle":
            listers = {"kaggle": self._list_bundle}
        records = []
        for kind, folder in sets.items():
            if kind in listers:
                records += listers[kind](folder)
            else:
                self._find(folder, f"is not read: source={source}.", "note")
        if not records and self._findings:
            path, text, _ = self._findings[0]
            raise StudyError(f"no image of chest_xray can be used: {path} {text}")
        return [replace(record, group_id=record.image_id.rsplit("_", 1)[0]) for record in records]

    def _sets(self) -> dict[str, Path]:
        """Return the folder of each set below the root, the nearest where there are several."""
        level, found = [self.root], {}
        for _ in range(_LEVELS):
            for folder in level:
                kind = _kind_of_set(folder)
                if kind and found.setdefault(kind, folder) != folder:
                    self._find(folder, f"is not read: {shown(found[kind])} holds the same set.", "note")
            level = [sub for folder in level for sub in visible(folder) if sub.is_dir()]
        return found

    def _list_bundle(self, folder: Path) -> list[Record]:
        return self._paired(folder, folder / "masks", self._masks(self._folder(folder, "masks")))

    def _list_shenzhen(self, folder: Path) -> list[Record]:
        place = seek(self.root, "mask", "masks")
        if place is None:
            text = (
                "is left out: NLM publishes no masks for Shenzhen. Put those of the Kaggle data set "
                "'shcxr-lung-mask' beside it as mask, or use the Kaggle bundle."
            )
            self._find(folder, text, "missing")
            return []
        place = child(place, "mask", "masks") or place
        masks = {key: path for key, path in self._masks(place).items() if key.startswith("CHNCXR")}
        return self._paired(folder, place, masks)

    def _list_montgomery(self, folder: Path) -> list[Record]:
        images = self._images(folder)
        manual = self._folder(folder, "ManualMask") or folder / "ManualMask"
        sides = {side: self._masks(self._folder(manual, side)) for side in ("leftMask", "rightMask")}
        where = {
            side: f"in ManualMask/{side}{nearest(manual, side) or nearest(folder, 'ManualMask')}"
            for side in sides
        }
        return pair_masks(images, sides, "", where, "lung mask")

    def _paired(self, folder: Path, place: Path, masks: dict[str, Path]) -> list[Record]:
        """Pair images and masks; those that have no mask in any release are left out and counted."""
        images = self._images(folder)
        bare = {key for key in images if key not in masks and _is_unmasked(key)}
        if bare and masks:
            text = f"has no mask of {len(bare)} images: {len(UNMASKED)} have none in any release. Left out."
            self._find(place, text, "note")
            images = {key: path for key, path in images.items() if key not in bare}
        records = pair_masks(images, {None: masks}, "", {None: f"in {place.name}"}, "lung mask")
        if masks:
            return records
        problem = f"has no lung mask: the folder {place.name} is missing or empty{nearest(place.parent, place.name)}."
        return [replace(record, problem=problem) for record in records]

    def _folder(self, parent: Path, name: str) -> Path | None:
        found = child(parent, name)
        if found is None and parent.is_dir():
            self._find(parent / name, f"is missing{nearest(parent, name)}.")
        return found

    def _images(self, parent: Path) -> dict[str, Path]:
        return self._pngs(self._folder(parent, "CXR_png"))

    def _masks(self, folder: Path | None) -> dict[str, Path]:
        found = {}
        for stem, path in self._pngs(folder).items():
            if found.setdefault(stem.removesuffix("_mask"), path) != path:
                self._find(
                    path, f"is a second mask of the image of {found[stem.removesuffix('_mask')].name}."
                )
        return found

    def _pngs(self, folder: Path | None) -> dict[str, Path]:
        # capitals as in the official files, so that those of a copy change no split
        found = {_official(stem_of(path)): path for path in files(folder, "*.png")}
        known = set(found.values())
        for path in visible(folder) if folder is not None else ():
            if path.is_file() and path not in known:
                self._find(path, "is not a PNG file: not read.", "note")
        return found

    def _read(self, record: Record) -> Reading:
        picture = read_image(record.image)
        notes = [(record.image, f"{note}.") for note in picture.notes]
        masks = {}
        for side, path in record.masks:
            masks[side or "lungs"], more = read_binary(path, "lung")
            notes += more
        sources = {side or "lungs": path for side, path in record.masks}
        if len(masks) == 2:
            validate(record, Reading(picture.rgb, masks, sources=sources))
            self._compare_sides(record, masks["leftMask"], masks["rightMask"])
            sources["lungs"] = sources["leftMask"]
        return Reading(
            picture.rgb, {"lungs": np.logical_or.reduce(list(masks.values()))}, sources=sources, notes=notes
        )

    def _compare_sides(self, record: Record, left: np.ndarray, right: np.ndarray) -> None:
        if not (left.any() and right.any()):
            return
        if (left & right).sum() > _SAME_LUNG * min(left.sum(), right.sum()):
            (_, first), (_, second) = record.masks
            raise FileError(
                second, f"covers the same lung as {shown(first)}: the other lung's mask is not there."
            )
        columns = [np.flatnonzero(mask.any(axis=0)).mean() for mask in (left, right)]
        self._left_is_left[record.image_id] = bool(columns[0] < columns[1])

    def _listing_findings(self) -> list[tuple[Path, str, str]]:
        """Add the images whose two masks lie the other way round than in most images read so far."""
        found = super()._listing_findings()
        counts = Counter(self._left_is_left.values())
        usual = counts[True] >= counts[False]
        text = (
            f"lies in the {'right' if usual else 'left'} of the picture, but leftMask of {counts[usual]} other images "
            f"lies in the {'left' if usual else 'right'}: left and right are swapped. Their union is the same, so the "
            "image is used."
        )
        for image_id, is_left in self._left_is_left.items():
            if is_left != usual:
                found.append((dict(self.record(image_id).masks)["leftMask"], text, "error"))
        return found


def _official(stem: str) -> str:
    """Return ``CHNCXR_0001_0_mask`` for such a stem in whatever capitals, and any other stem as it is."""
    is_known = stem.casefold().startswith(("chncxr_", "mcucxr_"))
    return stem.upper().replace("_MASK", "_mask") if is_known else stem


def _is_unmasked(image_id: str) -> bool:
    name, _, rest = image_id.partition("_")
    number = rest.split("_")[0]
    return name == "CHNCXR" and number.isdecimal() and int(number) in UNMASKED


def _kind_of_set(folder: Path) -> str:
    """Return which set begins in a folder: ``"kaggle"``, ``"montgomery"``, ``"shenzhen"``, or ``""`` for none."""
    name = folder.name.casefold()
    has_images, has_sides = child(folder, "CXR_png") is not None, child(folder, "ManualMask") is not None
    if has_sides or (has_images and name.startswith("montgomery")):
        return "montgomery"
    if has_images and name.startswith(("chinaset", "shenzhen")):
        return "shenzhen"
    is_bundle = is_named(name, "lung segmentation") and child(folder, "masks") is not None
    return "kaggle" if has_images or is_bundle else ""
