"""RIM-ONE r3: optic disc and cup in stereo fundus photographs, outlined by two experts.

159 stereo JPEGs of 2144 x 1424 pixels, two views side by side (85 of healthy eyes, 39 of glaucoma, 35 of suspects).

Layout::

    RIM-ONE r3/Healthy/Stereo Images/N-10-R.jpg
    RIM-ONE r3/Healthy/Expert1_masks/N-10-R-1-Disc-exp1.png, N-10-R-1-Cup-exp1.png
    RIM-ONE r3/Healthy/Expert2_masks/N-10-R-1-Disc-exp2.png, ...
    RIM-ONE r3/Healthy/Average_masks/N-10-R-Disc-Avg.png, N-10-R-Cup-Avg.png
    RIM-ONE r3/Glaucoma and suspects/Stereo Images/G-22-L.jpg, S-9-L.jpg     (and the same three folders of masks)

* Only the **left half** (1072 px) is outlined. Masks are as wide as the pair: image and masks are cropped to the left
  half of their own width. A file that is already one view (higher than wide) is not cropped.
* ``expert``: whose outlines are the reference, ``1`` (the default), ``2`` or ``average``.
* 255 is the structure; ``optic_disc`` includes ``optic_cup``.

Traps: some copies write the experts' names without ``-1-``; where an expert has several attempts (``-1-``,
``-2-``), the last one counts; the letter R or L in the name is the eye, not the view.

Groups: no list of patients is published, but the numbers tell. Among the healthy, 43 of 45 even numbers are right
eyes and 38 of 40 odd ones left eyes, and after a missing number the rest goes on as if it were there: the right and
the left eye of a person have consecutive numbers. So an R and the L of the next number are one group (97 groups).

Split: none is published. The 60 test images of Maninis et al. (MICCAI 2016) are test here; 5 of their 99 training
images (N-5-L, N-16-R, N-79-L, G-21-R, G-32-L) are the other eye of a test image by the rule above, and are test too.
One in five of the other groups, by hash, is val: 78 train, 16 val, 65 test.

Source: F. Fumero, J. Sigut, S. Alayon, M. Gonzalez-Hernandez, M. Gonzalez de la Rosa, "Interactive tool and
database for optic disc and cup segmentation of stereo and monocular retinal fundus images", 2015.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from samstudy.datasets.base import DatasetInfo, Reading, Record
from samstudy.datasets.binary import read_binary
from samstudy.datasets.fundus import CUP, DISC, Masks, nest, refuse_inverted
from samstudy.datasets.official import OfficialDataset
from samstudy.datasets.pairing import keyed, looked_in, pair_masks, pictures, unread_folders
from samstudy.datasets.tree import child, seek
from samstudy.images import FileError, read_image

_CLASSES = ("Healthy", "Glaucoma and suspects")
_FOLDERS = {"1": "Expert1_masks", "2": "Expert2_masks", "average": "Average_masks"}
_IMAGES = "Stereo Images"
_NAME = r"([NGS])-0*(\d+)-([LR])"
_TARGETS = {"disc": DISC, "cup": CUP}


class RimOneR3(OfficialDataset):
    """RIM-ONE r3, ids ``N-10-R``, ``G-22-L``, ``S-9-L``.

    Parameters
    ----------
    root : pathlib.Path, optional
        Folder that holds ``Healthy`` and ``Glaucoma and suspects``, or one up to three levels above it.
    expert : {1, 2, "average"}
        Whose outlines are the reference. Column ``dataset_options``.

    Raises
    ------
    StudyError
        If ``expert`` is none of them; see also ``OfficialDataset``.
    """

    info = DatasetInfo(
        name="rim_one_r3",
        title="RIM-ONE r3: stereo retinal images for optic nerve evaluation",
        modality="colour fundus photograph (left view of a stereo pair)",
        targets=(DISC, CUP),
        licence="academic use; no licence text was found, so ask the authors before passing it on",
        citation="Fumero et al., Interactive tool and database for optic disc and cup segmentation of stereo and "
        "monocular retinal fundus images, 2015",
        how_to_get="download RIM-ONE r3 from the page of the group at Universidad de La Laguna and unpack it",
        url="http://medimrg.webs.ull.es/research/retinal-imaging/rim-one/",
        n_images=159,
        group_noun="patient",
        interval_note="Patients are inferred from the numbering: a right eye and the left eye of the next number are "
        "taken as one person.",
        nsd_tolerance=4.0,
        display_note="left view of the stereo pair, as stored, 8-bit colour",
        split_note="the 60 test images of Maninis et al. 2016 and 5 that are the other eye of one of them; one in five "
        "of the other groups, by hash, for validation",
        steps=(
            "Open http://medimrg.webs.ull.es/research/retinal-imaging/rim-one/ and download release 3 (not RIM-ONE DL, "
            "which is cropped and has other names).",
            "Unpack it into data/raw/rim_one_r3, so that there is a folder "
            "data/raw/rim_one_r3/RIM-ONE r3/Healthy/Stereo Images.",
        ),
    )
    landmarks = tuple(f"{name}/{part}" for name in _CLASSES for part in (_IMAGES, *_FOLDERS.values()))
    expected: ClassVar[Mapping[str, int]] = {"all": 159}
    split_table = "rim_one_r3"

    def __init__(self, root: Path | None = None, expert: int | str = 1) -> None:
        self._expert = self._chosen("expert", expert, tuple(_FOLDERS))
        self.options = {"expert": self._expert}
        super().__init__(root)

    def _list(self) -> list[Record]:
        folders = [folder for name in _CLASSES if (folder := seek(self.root, name)) is not None]
        self._findings += unread_folders(self.root, _CLASSES, folders)
        return [record for folder in folders for record in self._class(folder)]

    def _class(self, folder: Path) -> list[Record]:
        official = (_IMAGES, *_FOLDERS.values())
        self._findings += unread_folders(folder, official)
        masks = self._masks(child(folder, _FOLDERS[self._expert]))
        where = dict.fromkeys(_TARGETS.values(), looked_in(folder, _FOLDERS[self._expert], official))
        where["image"] = looked_in(folder, _IMAGES, official)
        records = pair_masks(self._images(child(folder, _IMAGES)), masks, "", where)
        # the split table joins neighbouring numbers; a name it does not list is grouped by its own number
        return [replace(record, group_id=record.image_id.rsplit("-", 1)[0]) for record in records]

    def _images(self, folder: Path | None) -> dict[str, Path]:
        found, findings = keyed(pictures(folder), _image_id, "N-10-R.jpg, G-22-L.jpg, S-9-L.jpg")
        self._findings += findings
        return found

    def _masks(self, folder: Path | None) -> dict[str, dict[str, Path]]:
        """Return the mask files, target -> image id -> file: of several attempts of an expert, the last."""
        suffix = "Avg" if self._expert == "average" else f"exp{self._expert}"
        paths = sorted(pictures(folder), key=_attempt, reverse=True)
        found: dict[str, dict[str, Path]] = {}
        for word, target in _TARGETS.items():
            ours = [path for path in paths if f"-{word}-" in path.name.casefold()]
            official = f"N-10-R-1-{word.title()}-{suffix}.png"
            found[target], findings = keyed(ours, partial(_mask_id, suffix=suffix), official)
            self._findings += findings
        odd = [path for path in paths if not any(f"-{word}-" in path.name.casefold() for word in _TARGETS)]
        self._findings += [(path, "is not read: its name says neither Disc nor Cup.", "note") for path in odd]
        return found

    def _read(self, record: Record) -> Reading:
        image = read_image(record.image)
        masks = Masks(sources=dict(record.masks), notes=[(record.image, text) for text in image.notes])
        for target, path in masks.sources.items():
            whole, notes = read_binary(path, target.replace("_", " "))
            masks.labels[target] = _left_of(whole, image.rgb.shape[:2], path, record.image)
            refuse_inverted(path, masks.labels[target], target.replace("_", " "))
            masks.notes += [(path, text) for text in notes]
            beside = int(whole.sum() - masks.labels[target].sum())
            if beside:
                masks.notes.append((path, f"has {beside} px in the right view, which is not used."))
        nest(masks)
        return Reading(left_view(image.rgb), masks.labels, sources=masks.sources, notes=masks.notes)


def left_view(picture: np.ndarray) -> np.ndarray:
    """Return the left half of a stereo pair (wider than high), H x W // 2 [x 3]; one view alone as it is."""
    height, width = picture.shape[:2]
    return picture[:, : width // 2] if width > height else picture


def _image_id(path: Path) -> str | None:
    name = re.fullmatch(_NAME, path.stem, re.IGNORECASE)
    return f"{name[1].upper()}-{int(name[2])}-{name[3].upper()}" if name else None


def _mask_id(path: Path, suffix: str) -> str | None:
    name = re.fullmatch(rf"({_NAME})(?:-\d+)?-(?:disc|cup)-{suffix}", path.stem, re.IGNORECASE)
    return _image_id(Path(name[1])) if name else None


def _attempt(path: Path) -> int:
    number = re.search(r"-(\d+)-(?:disc|cup)-", path.name, re.IGNORECASE)
    return int(number[1]) if number else 0


def _left_of(mask: np.ndarray, size_hw: tuple[int, int], path: Path, image: Path) -> np.ndarray:
    """Return the left view of a mask, refusing other sizes and one that is drawn in the other view."""
    left = left_view(mask)
    if left.shape not in (size_hw, (size_hw[0], size_hw[1] // 2)):
        raise FileError(
            path,
            f"is {mask.shape[1]}x{mask.shape[0]} pixels but its image {image.name} is {size_hw[1]}x{size_hw[0]} "
            "(width x height); a mask has the size of its stereo pair, or of one view.",
        )
    if mask.any() and not left.any():
        raise FileError(path, "is drawn in the right half; the outlines belong to the left view of the pair.")
    return left
