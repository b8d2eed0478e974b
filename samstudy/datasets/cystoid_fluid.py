"""Intraretinal Cystoid Fluid: OCT B-scans of diabetic macular edema with the fluid outlined.

* Features: 1460 B-scans of eyes with cystoid macular edema, each with one mask of all its cystoid fluid.
* Format: a folder per sample, with one JPEG in ``images`` and one PNG of three channels in ``masks``.
* Layout (names in any capitals, with or without the outer folders)::

      2021-training-data-ZA/2021-training-data-ZA/144DME_as_F/images/144DME_as_F.jpeg
                                                             /masks/144MASK_DME_as_F.png

  Samples are named in several ways (``6DME_as_F``, ``815DME_F``, ``dme_a10``, ``DME_S_001``, ``DME84``),
  and so are their masks (``6MASK_DME_as_F``, ``dme_a10mask``, ``MASK-DME84``); the first number in a name
  is what they share.
* Target: ``cystoid_fluid``, every pixel whose brightest channel is above ``threshold``.
* Licence: CC BY-NC-SA 4.0; Kaggle,
  <https://www.kaggle.com/datasets/zeeshanahmed13/intraretinal-cystoid-fluid>, with an account.
* Paper: Z. Ahmed et al., International Journal of Imaging Systems and Technology (2022), doi
  10.1002/ima.22662; data doi 10.34740/KAGGLE/DS/2277068.
* Traps handled: the sample ``815DME_F`` holds a second mask, of sample 511 (the one of its own number is
  read, and it is said); masks with greys between black and white (along edges they are read, and it is said;
  as areas they are refused); masks with holes (option ``fill_holes``); inverted masks.
* Split: none is official and nothing tells the patients. Samples whose names differ only in the number, and
  whose numbers fall in the same run of 20, are one group: neighbours may well be scans of one eye. Groups
  are dealt by hash, 60 : 15 : 25. That a patient is on both sides is thereby less likely, not excluded.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.ndimage import binary_fill_holes, maximum_filter, minimum_filter

from samstudy.datasets import tree
from samstudy.datasets.base import DatasetInfo, Reading, Record
from samstudy.datasets.binary import border_share
from samstudy.datasets.official import OfficialDataset
from samstudy.errors import StudyError
from samstudy.images import FileError, kind_of, read_codes, read_image
from samstudy.images.masks import distinct

TARGET = "cystoid_fluid"
_OUTER = "2021-training-data-ZA"
_RUN_OF_NUMBERS = 20
_HALF = 127
_SOLID_PX = 5


class CystoidFluid(OfficialDataset):
    """B-scans with cystoid fluid; the id is the name of the sample's folder, ``144DME_as_F``.

    Parameters
    ----------
    root : pathlib.Path, optional
        Folder with ``2021-training-data-ZA``, or with the samples' folders themselves.
    fill_holes : bool
        Count what a mask encloses as fluid; the masks as they are by default.
    threshold : int
        A pixel is fluid where its brightest channel is above this; 0 to 254. At 0, a mask with areas of two values
        is refused. Where a mask is a JPEG, never
        less than 127: its black is not 0.

    Raises
    ------
    StudyError
        If ``fill_holes`` is no truth value, or ``threshold`` out of range.
    """

    info = DatasetInfo(
        name="cystoid_fluid",
        title="Intraretinal Cystoid Fluid: OCT of diabetic macular edema",
        modality="retinal OCT",
        targets=(TARGET,),
        licence="CC BY-NC-SA 4.0",
        citation="Ahmed et al., Int. J. Imaging Syst. Technol. (2022), doi 10.1002/ima.22662; data doi "
        "10.34740/KAGGLE/DS/2277068",
        how_to_get="download it from Kaggle with an account and unpack it into data/raw/cystoid_fluid",
        url="https://www.kaggle.com/datasets/zeeshanahmed13/intraretinal-cystoid-fluid",
        n_images=1460,
        group_noun="run of 20 sample numbers",
        interval_note="The files do not tell the patients: a group is a run of 20 sample numbers, and scans "
        "of one eye may be in several groups, so that intervals are rather too narrow.",
        display_note="whole B-scan as stored, vitreous on top",
        split_note="runs of 20 sample numbers dealt by hash, 60 : 15 : 25; none is official, patients unknown",
        trained_on="MedSAM, as others read its lists of training sets, and the CVPR 2024 challenge "
        "for MedSAM on a laptop",
        steps=(
            "Sign in at kaggle.com and open "
            "https://www.kaggle.com/datasets/zeeshanahmed13/intraretinal-cystoid-fluid.",
            "Download the archive intraretinal-cystoid-fluid.zip.",
            "Unpack it so that data/raw/cystoid_fluid/2021-training-data-ZA exists.",
            "Run `samstudy check cystoid_fluid`.",
        ),
    )
    landmarks = (f"{_OUTER}*", "*dme*/images", "*dme*/masks")
    expected: ClassVar = {"all": 1460}
    split_table = "cystoid_fluid"

    def __init__(self, root: Path | None = None, fill_holes: bool = False, threshold: int = 0) -> None:
        if not isinstance(fill_holes, bool):
            raise StudyError(f"fill_holes is {fill_holes!r}; use true or false.")
        if isinstance(threshold, bool) or not isinstance(threshold, int) or not 0 <= threshold <= 254:
            raise StudyError(f"threshold is {threshold!r}; it is a whole number from 0 to 254.")
        self.fill_holes, self.threshold = fill_holes, threshold
        self.options = {"fill_holes": fill_holes, "threshold": threshold}
        super().__init__(root)

    def _list(self) -> list[Record]:
        top = self.root
        while (inner := tree.child(top, f"{_OUTER}*")) is not None:
            top = inner
        records = []
        for folder in tree.visible(top):
            if not folder.is_dir():
                self._find(folder, "is not the folder of a sample; not read.", "note")
            elif tree.child(folder, "*") is None:
                self._find(folder, "is empty; 'images' and 'masks' are expected in it.")
            else:
                records.append(self._record(folder))
        return records

    def _record(self, folder: Path) -> Record:
        for entry in tree.visible(folder):
            if entry.name.casefold() not in ("images", "masks"):
                self._find(entry, "is neither 'images' nor 'masks'; not read.", "note")
        image, image_problem = self._own(folder, "images")
        mask, mask_problem = self._own(folder, "masks")
        problem = image_problem or mask_problem
        return Record(
            image_id=folder.name,
            group_id=group_of(folder.name),
            split="",
            image=image,
            masks=((TARGET, mask),) if mask else (),
            problem=problem,
            problem_file=folder if problem else None,
        )

    def _own(self, sample: Path, name: str) -> tuple[Path | None, str]:
        """Return the one picture of a sub-folder that can be the sample's, or what is wrong."""
        folder = tree.child(sample, name)
        if folder is None:
            return None, f"has no folder '{name}'{tree.nearest(sample, name)}."
        number, own, others = _number(sample.name), [], []
        for path in tree.visible(folder):
            if kind_of(path) != "raster":
                self._find(path, "is no picture; not read.", "note")
            elif number is None or _number(path.name) in (number, None):
                own.append(path)
            else:
                others.append(path)
        if len(own) == 1:
            for path in others:
                text = f"is not of the sample {sample.name}, by the number in its name; not read."
                self._find(path, text, "note")
            return own[0], ""
        if own:
            names = ", ".join(path.name for path in own[:4])
            return None, f"holds {len(own)} files in '{name}' that may be its own: {names}; keep one."
        if others:
            names = ", ".join(path.name for path in others[:4])
            return None, f"holds in '{name}' only files of another number than its own: {names}."
        return None, f"has no picture in its folder '{name}'."

    def _read(self, record: Record) -> Reading:
        image, path = read_image(record.image), record.masks[0][1]
        code_map = read_codes(path)
        values = _brightest(code_map.codes) if code_map.colour else code_map.codes
        threshold = max(self.threshold, _HALF) if code_map.lossy else self.threshold
        fluid = values > threshold
        if border_share(fluid) > 0.5:
            raise FileError(
                path,
                "covers most of the picture's border: inverted (fluid is white), or not a mask of fluid.",
            )
        notes = [(record.image, note) for note in image.notes] + [(path, note) for note in code_map.notes]
        solid = _solid_values(values) if not self.threshold and not code_map.lossy else []
        if solid:
            raise FileError(
                path,
                f"holds areas of the value {', '.join(map(str, solid[:8]))} beside {values.max()}: which of them is "
                "fluid? Option threshold=<number> says above which.",
            )
        between = int(((values > 0) & (values < values.max(initial=0))).sum())
        if between:
            text = f"holds {between} pixels between black and white; those above {threshold} are fluid."
            notes.append((path, text))
        if self.fill_holes:
            fluid = binary_fill_holes(fluid)
        return Reading(image.rgb, {TARGET: fluid}, sources={TARGET: path}, notes=notes)


def group_of(sample: str) -> str:
    """Return the group of a sample by its name: ``815DME_F`` -> ``dme_f_800-819``.

    Capitals do not matter. A name without a number is a group of its own.
    """
    number = _number(sample)
    if number is None:
        return sample.casefold()
    series = re.sub(r"\d+", "", sample, count=1).strip("_- ").casefold()
    first = number - number % _RUN_OF_NUMBERS
    return f"{series}_{first}-{first + _RUN_OF_NUMBERS - 1}"


def _number(name: str) -> int | None:
    match = re.search(r"\d+", name)
    return int(match[0]) if match else None


def _solid_values(values: np.ndarray) -> list[int]:
    """Return the values between black and the brightest that fill a square of their own: no smoothed edge does."""
    filled = minimum_filter(values, _SOLID_PX) == maximum_filter(values, _SOLID_PX)
    return [int(value) for value in distinct(values[filled]) if value < values.max()]


def _brightest(colours: np.ndarray) -> np.ndarray:
    return np.maximum(np.maximum(colours >> 16, colours >> 8 & 255), colours & 255)
