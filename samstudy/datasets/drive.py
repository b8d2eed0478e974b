"""DRIVE, Digital Retinal Images for Vessel Extraction: retinal vessels in colour fundus photographs.

40 photographs (Canon CR5, 45 degrees) of a diabetic retinopathy screening in the Netherlands, 33 without and 7
with signs of mild early diabetic retinopathy, drawn at random from 400 people; 565 x 584 pixels (width x height).

Layout::

    training/images/21_training.tif     training/1st_manual/21_manual1.gif     training/mask/21_training_mask.gif
    test/images/01_test.tif             test/1st_manual/01_manual1.gif         test/mask/01_test_mask.gif
                                        test/2nd_manual/01_manual2.gif

* ``vessels``: 255 in ``1st_manual`` (``2nd_manual`` with ``annotator=2``); observers marked what they were at least
  70 % certain of.
* ``mask/`` is not a target: it is the circular field of view of about 540 pixels. It becomes ``valid``, so prompts
  are made and scores computed inside it. Some vessel pixels lie outside it (7 to 67 in the images looked at) and are
  not scored.

Traps: the current official archive has no labels for its 20 test images. Then they are left out (a note says so) and
the 20 training images are split by ``data/splits/drive_train20.csv``. Older copies have them, and are split as
published (20 test, 16 train, 4 of the training part for validation) by ``data/splits/drive.csv``. Training images were
annotated once, so ``annotator=2`` changes the test part only.

Terms: free of charge for research and education; copying, redistribution and commercial use prohibited.

Source: J. Staal, M. D. Abramoff, M. Niemeijer, M. A. Viergever, B. van Ginneken, "Ridge based vessel segmentation in
color images of the retina", IEEE Trans. Med. Imaging 23 (2004) 501-509, doi 10.1109/TMI.2004.825627.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from samstudy.datasets.base import DatasetInfo, Reading, Record
from samstudy.datasets.binary import read_binary
from samstudy.datasets.fundus import refuse_inverted
from samstudy.datasets.official import OfficialDataset
from samstudy.datasets.pairing import keyed, looked_in, pair_masks, part_folders, pictures, unread_folders
from samstudy.datasets.tree import child, nearest
from samstudy.errors import StudyError
from samstudy.images import FileError, read_image

VESSELS, FIELD = "vessels", "field-of-view"
_PARTS = {"training": "train", "test": "test"}
_MANUAL = {"1": "1st_manual", "2": "2nd_manual"}
_FOLDERS = ("images", "mask", *_MANUAL.values())


class Drive(OfficialDataset):
    """DRIVE, ids ``21_training``, ``01_test``.

    Parameters
    ----------
    root : pathlib.Path, optional
        Folder that holds ``training`` and ``test``, or one up to three levels above it.
    annotator : {1, 2}
        Whose vessels of the test images are the reference: the first observer's, or the second's. Column
        ``dataset_options``.

    Raises
    ------
    StudyError
        If the annotator is neither, or this copy has no labels of the second; see also ``OfficialDataset``.
    """

    info = DatasetInfo(
        name="drive",
        title="DRIVE: Digital Retinal Images for Vessel Extraction",
        modality="colour fundus photograph",
        targets=(VESSELS,),
        licence="free of charge for research and education; copying, redistribution and commercial use prohibited",
        citation="Staal et al., IEEE Trans. Med. Imaging 23 (2004) 501-509, doi 10.1109/TMI.2004.825627",
        how_to_get="register at drive.grand-challenge.org and unpack training.zip and test.zip",
        url="https://drive.grand-challenge.org/",
        n_images=40,
        group_noun="image",
        interval_note="One photograph is one group: 40 drawn at random from a screening of 400 people; whether two "
        "are of one person is not stated.",
        nsd_tolerance=1.0,
        display_note="as stored, 8-bit colour; scored inside the field of view",
        split_note="published parts, with 4 of the 20 training images for validation; where the copy has no test "
        "labels, the 20 training images alone, 12 / 3 / 5",
        steps=(
            "Register at https://drive.grand-challenge.org/ and join the challenge.",
            "Download training.zip and test.zip from its download page.",
            "Unpack both into data/raw/drive, so that data/raw/drive/training/images and "
            "data/raw/drive/test/images are there.",
            "The test part of this archive has no labels: the training part is then split by "
            "data/splits/drive_train20.csv. A copy from before the move to grand-challenge has test/1st_manual.",
        ),
    )
    landmarks = (
        "training/images/*_training.*",
        "test/images/*_test.*",
        "training/1st_manual",
        "test/1st_manual",
    )
    expected: ClassVar[Mapping[str, int]] = {"train": 20, "test": 20}
    split_table = "drive"

    def __init__(self, root: Path | None = None, annotator: int | str = 1) -> None:
        self._annotator = self._chosen("annotator", annotator, tuple(_MANUAL))
        self.options = {"annotator": self._annotator}
        super().__init__(root)

    def _list(self) -> list[Record]:
        folders = part_folders(self.root, tuple(_PARTS), self.landmarks)
        for parent in {folder.parent for folder in folders.values()}:
            self._findings += unread_folders(parent, tuple(_PARTS), list(folders.values()))
        records = [record for part, folder in folders.items() for record in self._part(part, folder)]
        if not any(record.split == "test" for record in records):
            # nothing to test on: the labelled part has to serve for all three
            self.split_table = "drive_train20"
            self.options["split"] = "train20"
        return records

    def _part(self, part: str, folder: Path) -> list[Record]:
        manual = _MANUAL[self._annotator if part == "test" else "1"]
        if manual == _MANUAL["2"] and child(folder, manual) is None:
            raise StudyError(
                f"annotator=2 asks for {folder}/{manual}, which this copy lacks; use annotator=1."
            )
        images = self._numbered(child(folder, "images"))
        if part == "test" and self._is_unlabelled(folder):
            text = f"holds {len(images)} images without labels, as the current official release; not used."
            self._find(folder, text, "note")
            if self.expected:
                self.expected = {"train": self.expected["train"]}
            return []
        looked = {VESSELS: manual, FIELD: "mask"}
        masks = {target: self._numbered(child(folder, name)) for target, name in looked.items()}
        places = {**looked, "image": "images"}
        where = {what: looked_in(folder, name, _FOLDERS) for what, name in places.items()}
        self._findings += unread_folders(folder, _FOLDERS)
        records = pair_masks(images, masks, _PARTS[part], where)
        return [replace(record, image_id=f"{record.image_id}_{part}") for record in records]

    def _is_unlabelled(self, folder: Path) -> bool:
        manuals = [child(folder, name) for name in _MANUAL.values()]
        return not any(manuals) and not any(nearest(folder, name) for name in _MANUAL.values())

    def _numbered(self, folder: Path | None) -> dict[str, Path]:
        """Return the files of a folder by the number their name begins with, ``"07"``."""
        found, findings = keyed(pictures(folder), _number_of, "21_training.tif, 21_manual1.gif")
        self._findings += findings
        return found

    def _read(self, record: Record) -> Reading:
        image = read_image(record.image)
        files = dict(record.masks)
        vessels, vessel_notes = read_binary(files[VESSELS], "vessel")
        field, field_notes = read_binary(files[FIELD], "field of view")
        if not field.any():
            raise FileError(files[FIELD], "marks no pixel as field of view; there is nothing to score.")
        refuse_inverted(files[VESSELS], vessels, "vessel", field)
        notes = [(record.image, text) for text in image.notes]
        notes += [(files[VESSELS], text) for text in vessel_notes]
        notes += [(files[FIELD], text) for text in field_notes]
        sources = {VESSELS: files[VESSELS], "the valid region": files[FIELD]}
        return Reading(image.rgb, {VESSELS: vessels}, valid=field, sources=sources, notes=notes)


def _number_of(path: Path) -> str | None:
    number = re.match(r"(\d+)_", path.name)
    return f"{int(number[1]):02d}" if number else None
