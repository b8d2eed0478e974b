"""PASCAL VOC 2012, segmentation: photographs with every object outlined, the general-domain control of the full study.

Features
    17,125 JPEG photographs from flickr, mostly 500 x 375 pixels; 2,913 of them (1,464 train, 1,449 val) have
    segmentations, with 6,929 objects of 20 classes as the challenge states.
Layout::

    VOCdevkit/VOC2012/JPEGImages/2007_000032.jpg
    VOCdevkit/VOC2012/SegmentationObject/2007_000032.png     palette index = number of the object
    VOCdevkit/VOC2012/SegmentationClass/2007_000032.png      palette index = class, 1 aeroplane ... 20 tvmonitor
    VOCdevkit/VOC2012/ImageSets/Segmentation/{train,val}.txt

Target
    ``object``, one for each object (``object#1`` ...): the claim it serves is about objects in general. With
    ``name_by=class`` each is called by its class (``person#2``), which then weighs as a target of its own.
Traps
    * 255 is *void*, a border of about 5 pixels around each object and whatever is too hard to tell: the challenge does
      not score it, and neither is it scored here (it is outside ``valid``, in prompts too).
    * Masks are palette images: a copy that was saved as plain colour has lost the numbers and is refused.
    * Most photographs have no segmentation: the two lists say which ones do; the others are not looked at.
Split
    Published parts; the labels of the official test part are secret, so ``val`` is the test part here, as in most
    papers, and one image in five of ``train`` is for validation.
Papers
    M. Everingham et al., "The PASCAL Visual Object Classes (VOC) challenge", Int. J. Comput. Vis. 88 (2010) 303-338;
    "... challenge: a retrospective", 111 (2015) 98-136.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from samstudy.datasets.base import DatasetInfo, Download, Reading, Record
from samstudy.datasets.official import OfficialDataset
from samstudy.datasets.pairing import looked_in, pair_masks
from samstudy.datasets.tree import child, descend, files, nearest
from samstudy.errors import StudyError
from samstudy.images import CodeMap, FileError, read_codes, read_image, shown, stem_of
from samstudy.images.masks import distinct

TARGET = "object"
VOID = 255
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""Class of each palette index from 1 on."""

_LISTS = {"train": "train", "val": "test"}
_FOLDERS = {"object": "SegmentationObject", "class": "SegmentationClass"}
_PICTURES = "JPEGImages"
_SETS = "ImageSets/Segmentation"


class Voc2012(OfficialDataset):
    """PASCAL VOC 2012, ids ``2007_000033``.

    Parameters
    ----------
    root : pathlib.Path, optional
        Folder that holds ``JPEGImages`` and the others, or one up to three levels above it.
    name_by : {"object", "class"}
        What the targets are: any object, or the classes. Column ``dataset_options``.

    Raises
    ------
    StudyError
        If ``name_by`` is neither, or there is no list of the images of a part; see also ``OfficialDataset``.
    """

    info = DatasetInfo(
        name="voc2012",
        title="PASCAL VOC 2012, segmentation of objects in photographs",
        modality="colour photograph",
        targets=(TARGET,),
        licence="photographs from flickr, used under its terms of use; free for research as the challenge offers it",
        citation="Everingham et al., Int. J. Comput. Vis. 111 (2015) 98-136, doi 10.1007/s11263-014-0733-5; Everingham "
        "et al., Int. J. Comput. Vis. 88 (2010) 303-338, doi 10.1007/s11263-009-0275-4",
        how_to_get="direct download, no registration; 2 GB",
        url="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
        n_images=2913,
        group_noun="image",
        interval_note="One photograph is one group; which were taken by the same photographer is not stated.",
        display_note="the JPEG as stored; void pixels (255) are not scored",
        split_note="published train and val; val is the test part here, and one image in five of train validates",
        downloads=(
            Download(
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                "VOCtrainval_11-May-2012.tar",
                "md5:6cd6e144f989b92b3379bac3b3de84fd",
                1_999_639_040,
            ),
        ),
    )
    landmarks = (*_FOLDERS.values(), _SETS)
    expected: ClassVar[Mapping[str, int]] = {"train": 1464, "test": 1449}
    split_table = "voc2012"

    def __init__(self, root: Path | None = None, name_by: str = TARGET) -> None:
        self._name_by = self._chosen("name_by", name_by, tuple(_FOLDERS))
        self.options = {"name_by": self._name_by}
        if self._name_by == "class":
            self.info = replace(self.info, targets=CLASSES)
        super().__init__(root)

    def _list(self) -> list[Record]:
        pictures = self._by_stem(_PICTURES, "*.jpg", "*.jpeg")
        masks = {what: self._by_stem(folder, "*.png") for what, folder in _FOLDERS.items()}
        where = {what: looked_in(self.root, name, self.landmarks) for what, name in _FOLDERS.items()}
        where["image"] = looked_in(self.root, _PICTURES, self.landmarks)
        records, listed = [], set()
        for name, part in _LISTS.items():
            wanted = self._listed(name)
            listed |= wanted
            of_part = {what: _only(found, wanted) for what, found in masks.items()}
            records += pair_masks(_only(pictures, wanted), of_part, part, where)
        if not listed:
            raise StudyError(
                f"{self.root} has no list of images: {_SETS}/train.txt and val.txt say which photographs have masks, "
                f"and which part they are in. {self._help()}"
            )
        for stem, path in masks["object"].items():
            if stem not in listed:
                self._find(path, f"is not read: no list in {_SETS} names it.", "note")
        return records

    def _listed(self, name: str) -> set[str]:
        """Return the ids in one of the two lists; none, and a finding, where it is not there."""
        folder = descend(self.root, *_SETS.split("/"))
        path = child(folder, f"{name}.txt") if folder else None
        if path is None:
            place = self.root / _SETS
            hint = nearest(place, f"{name}.txt", [f"{other}.txt" for other in (*_LISTS, "trainval")])
            self._find(place / f"{name}.txt", f"is missing{hint}: its images are not read.")
            return set()
        try:
            return {line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
        except (OSError, UnicodeDecodeError) as error:
            raise StudyError(f"{path} cannot be read as a list of images: {error}.") from error

    def _by_stem(self, folder: str, *patterns: str) -> dict[str, Path]:
        return {stem_of(path): path for path in files(child(self.root, folder), *patterns)}

    def _read(self, record: Record) -> Reading:
        image = read_image(record.image)
        paths = dict(record.masks)
        objects, classes = (_indices(paths[what]) for what in _FOLDERS)
        if objects.codes.shape != classes.codes.shape:
            (height, width), (h, w) = objects.codes.shape, classes.codes.shape
            raise FileError(
                paths["class"],
                f"is {w}x{h} pixels but its {shown(paths['object'])} is {width}x{height} (width x height).",
            )
        _refuse_unknown(paths["class"], classes.codes)
        void = (objects.codes == VOID) | (classes.codes == VOID)
        notes = [(record.image, text) for text in image.notes]
        notes += [
            (paths[what], t) for what, file in (("object", objects), ("class", classes)) for t in file.notes
        ]
        masks = {int(code): objects.codes == code for code in distinct(objects.codes) if code != VOID}
        names = {code: _class_of(code, classes.codes[mask], paths, notes) for code, mask in masks.items()}
        labels = _labels(masks, names if self._name_by == "class" else dict.fromkeys(masks, TARGET))
        if not labels:
            raise FileError(paths["object"], "marks no object: nothing to score.")
        sources = {**dict.fromkeys(labels, paths["object"]), "the valid region": paths["object"]}
        return Reading(image.rgb, labels, valid=~void, sources=sources, notes=notes)


def _only(found: Mapping[str, Path], wanted: set[str]) -> dict[str, Path]:
    return {stem: path for stem, path in found.items() if stem in wanted}


def _indices(path: Path) -> CodeMap:
    code_map = read_codes(path)
    if code_map.colour:
        raise FileError(
            path,
            "is in colour; a palette image is expected: saved anew, it has lost the numbers of its objects.",
        )
    return code_map


def _refuse_unknown(path: Path, classes: np.ndarray) -> None:
    unknown = [code for code in distinct(classes).tolist() if code > len(CLASSES) and code != VOID]
    if unknown:
        values = ", ".join(map(str, unknown[:8])) + (", ..." if len(unknown) > 8 else "")
        raise FileError(
            path,
            f"holds the codes {values}; only 0 to {len(CLASSES)} (classes) and {VOID} (void) are expected.",
        )


def _class_of(code: int, under: np.ndarray, paths: Mapping[str, Path], notes: list[tuple[Path, str]]) -> str:
    """Return the class that most pixels of an object have; a note where some have another."""
    counts = Counter(under[(under != 0) & (under != VOID)].tolist())
    if not counts:
        raise FileError(paths["class"], f"has no class where {shown(paths['object'])} has object {code}.")
    (index, n_pixels), *others = counts.most_common()
    if others:
        whole = f"the class of {n_pixels} of its {len(under)} pixels is taken, {CLASSES[index - 1]}."
        notes.append((paths["class"], f"gives object {code} several classes: {whole}"))
    return CLASSES[index - 1]


def _labels(masks: Mapping[int, np.ndarray], names: Mapping[int, str]) -> dict[str, np.ndarray]:
    return {f"{names[code]}#{code}": mask for code, mask in masks.items()}
