"""REFUGE, Retinal Fundus Glaucoma Challenge (MICCAI 2018): optic disc and cup in colour fundus photographs.

1200 JPEG photographs, 400 each for training (Zeiss Visucam 500, 2124 x 2056 pixels, width x height), validation and
test (Canon CR-2, 1634 x 1634). The outlines of seven glaucoma specialists were merged by an eighth.

Layout::

    Training400/{Glaucoma,Non-Glaucoma}/g0001.jpg | n0001.jpg
    Annotation-Training400/Disc_Cup_Masks/{Glaucoma,Non-Glaucoma}/g0001.bmp | n0001.bmp
    REFUGE-Validation400/V0001.jpg        REFUGE-Validation400-GT/Disc_Cup_Masks/V0001.bmp
    Test400/T0001.jpg                     REFUGE-Test-GT/Disc_Cup_Masks/{G,N}/T0001.bmp

Codes of the BMP masks: **0 cup, 128 rim of the disc, 255 background**.

* ``optic_disc``: 128 and below, so it includes the cup.
* ``optic_cup``: 0.

Traps: dark is foreground; the test images also come as ``REFUGE-Test400``, and the archives unpack into a folder of
their own (``REFUGE-Training400/Training400``), so images and masks are found at any depth below these folders and
paired by name.

Terms: research and education under the terms of the challenge, after registration.

Source: J. I. Orlando et al., "REFUGE Challenge: A unified framework for evaluating automated methods for glaucoma
assessment from fundus photographs", Medical Image Analysis 59 (2020) 101570, doi 10.1016/j.media.2019.101570.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.ndimage import binary_fill_holes

from samstudy.datasets.base import DatasetInfo, Reading, Record
from samstudy.datasets.fundus import CUP, DISC, grey_values, refuse_inverted
from samstudy.datasets.official import OfficialDataset
from samstudy.datasets.pairing import keyed, looked_in, pair_masks, pictures, unread_folders
from samstudy.datasets.tree import child, locate, seek
from samstudy.images import FileError, read_image

CUP_CODE, RIM_CODE, BACKGROUND_CODE = 0, 128, 255
_DEPTH = 3
_MASKS = "Disc_Cup_Masks"
_PARTS = {
    "train": (("Training400", "REFUGE-Training400"), ("Annotation-Training400",)),
    "val": (("REFUGE-Validation400", "Validation400"), ("REFUGE-Validation400-GT", "Validation400-GT")),
    "test": (("Test400", "REFUGE-Test400"), ("REFUGE-Test-GT", "REFUGE-Test400-GT", "Test400-GT")),
}


class Refuge(OfficialDataset):
    """REFUGE, ids ``g0001``, ``n0001``, ``V0001``, ``T0001``.

    Parameters
    ----------
    root : pathlib.Path, optional
        Folder that holds ``Training400`` and the others, or one up to three levels above it.

    Raises
    ------
    StudyError
        See ``OfficialDataset``.
    """

    info = DatasetInfo(
        name="refuge",
        title="REFUGE: Retinal Fundus Glaucoma Challenge (2018)",
        modality="colour fundus photograph",
        targets=(DISC, CUP),
        licence="research and education under the terms of the challenge, after registration; no open licence",
        citation="Orlando et al., Medical Image Analysis 59 (2020) 101570, doi 10.1016/j.media.2019.101570",
        how_to_get="register at refuge.grand-challenge.org and unpack its six archives side by side",
        url="https://refuge.grand-challenge.org/",
        n_images=1200,
        group_noun="image",
        interval_note="One photograph is one group: the files do not tell which two are of one person.",
        nsd_tolerance=4.0,
        display_note="as stored, 8-bit colour; training and the other parts come from different cameras",
        split_note="published parts",
        steps=(
            "Register at https://refuge.grand-challenge.org/ and join the challenge.",
            "Download, at https://refuge.grand-challenge.org/REFUGE2Download/, REFUGE-Training400.zip, "
            "Annotation-Training400.zip, REFUGE-Validation400.zip, REFUGE-Validation400-GT.zip, REFUGE-Test400.zip and "
            "REFUGE-Test-GT.zip.",
            "Unpack the six side by side in data/raw/refuge.",
        ),
    )
    landmarks = tuple(name for images, masks in _PARTS.values() for name in (*images, *masks))
    expected: ClassVar[Mapping[str, int]] = {"train": 400, "val": 400, "test": 400}
    split_table = "refuge"

    def _list(self) -> list[Record]:
        read = [folder for pair in _PARTS.values() for names in pair if (folder := seek(self.root, *names))]
        self._findings += unread_folders(self.root, self.landmarks, read)
        return [record for part in _PARTS for record in self._part(part)]

    def _part(self, part: str) -> list[Record]:
        image_names, mask_names = _PARTS[part]
        image_folder, mask_folder = seek(self.root, *image_names), seek(self.root, *mask_names)
        parent = locate(mask_folder, (_MASKS,)) if mask_folder is not None else None
        masks = self._by_stem(child(parent, _MASKS) if parent is not None else None)
        searched = (self.root, mask_names[0]) if mask_folder is None else (parent or mask_folder, _MASKS)
        target = "disc and cup"
        images = image_folder or self.root / image_names[0]
        where = {
            target: looked_in(*searched, self.landmarks),
            "image": looked_in(images.parent, images.name, self.landmarks),
        }
        records = pair_masks(self._by_stem(image_folder), {target: masks}, part, where)
        return [self._named(record) for record in records]

    def _by_stem(self, folder: Path | None) -> dict[str, Path]:
        found, findings = keyed(pictures(folder, _DEPTH), lambda path: path.stem.casefold(), "g0001.jpg")
        self._findings += findings
        return found

    @staticmethod
    def _named(record: Record) -> Record:
        # in the official capitals whatever the copy's: g0001, n0001, V0001, T0001
        name = record.image_id
        name = name.capitalize() if name.startswith(("v", "t")) else name
        return replace(record, image_id=name, group_id=name)

    def _read(self, record: Record) -> Reading:
        image = read_image(record.image)
        file = record.masks[0][1]
        labels = disc_and_cup(file)
        notes = [(record.image, text) for text in image.notes]
        return Reading(image.rgb, labels, sources=dict.fromkeys(labels, file), notes=notes)


def disc_and_cup(path: Path) -> dict[str, np.ndarray]:
    """Read a REFUGE mask.

    Returns
    -------
    dict of str to numpy.ndarray, bool, H x W
        ``optic_disc`` and ``optic_cup``.

    Raises
    ------
    FileError
        If the file cannot be read, holds other values than 0, 128 and 255, or two of them are exchanged: most of the
        picture would be disc, or the cup would surround the rim.
    """
    codes = grey_values(path)
    wrong = [int(code) for code in np.unique(codes) if code not in (CUP_CODE, RIM_CODE, BACKGROUND_CODE)]
    if wrong:
        raise FileError(
            path,
            f"holds the values {', '.join(map(str, wrong[:8]))}; 0 for the cup, 128 for the rim of the disc and 255 "
            "for background are expected.",
        )
    cup, rim = codes == CUP_CODE, codes == RIM_CODE
    refuse_inverted(path, cup | rim, "disc")
    if rim.any() and (binary_fill_holes(cup) & rim).sum() > rim.sum() / 2:
        raise FileError(
            path, "has the rim of the disc (128) inside the cup (0); are the two codes exchanged?"
        )
    return {DISC: cup | rim, CUP: cup}
