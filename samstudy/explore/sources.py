"""Where an explorer's images come from: a data set, files of one's own, or an array."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from samstudy.datasets import Dataset
from samstudy.datasets.splits import PARTS
from samstudy.errors import StudyError
from samstudy.images import kind_of, read_image
from samstudy.images.display import bounds_of, to_rgb
from samstudy.prediction.pictures import list_pictures

Window = tuple[float, float]


@dataclass(frozen=True)
class Shown:
    """One picture as the model is shown it.

    Attributes
    ----------
    image_id : str
    rgb : numpy.ndarray, uint8, H x W x 3
    references : dict of str to numpy.ndarray, bool, H x W
        By object; empty for images of one's own.
    spacing_mm : tuple of float or None
        (row, column) pitch.
    valid : numpy.ndarray, bool, H x W, or None
        Pixels that count when scoring; None means all.
    file : pathlib.Path or None
        Where it was read from, if reading it again gives the same picture: no window of one's own was used, no
        EXIF turn is pending.
    index : int or None
        Axial slice of a NIfTI file.
    origin : str
        What it is from, for the record.
    """

    image_id: str
    rgb: np.ndarray
    references: dict[str, np.ndarray] = field(default_factory=dict)
    spacing_mm: tuple[float, float] | None = None
    valid: np.ndarray | None = None
    file: Path | None = None
    index: int | None = None
    origin: str = ""


class Source(Protocol):
    """A list of pictures, any of which can be opened."""

    name: str
    splits: tuple[str, ...]
    windowed: bool

    def ids(self, split: str = "all") -> list[str]:
        """Names of the pictures of a part."""

    def load(self, image_id: str, window: Window | None = None) -> Shown:
        """Open one; ``window`` is (level, width) for more than 8 bits."""


class DatasetSource:
    """The images of a data set, with their references.

    Parameters
    ----------
    dataset : Dataset
    """

    windowed = False

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.name = dataset.info.name
        self.splits = tuple(part for part in (*PARTS, "all") if dataset.ids(part))

    def ids(self, split: str = "all") -> list[str]:
        """See :meth:`samstudy.datasets.Dataset.ids`."""
        return self.dataset.ids(split)

    def load(self, image_id: str, window: Window | None = None) -> Shown:
        """Open an image; a data set has its own window, so ``window`` is not used."""
        sample = self.dataset.load(image_id)
        return Shown(image_id, sample.image, sample.labels, sample.spacing_mm, sample.valid, origin=self.name)


class FileSource:
    """Images of one's own: a file or a folder of any format of ``samstudy.images``; a volume gives its axial slices.

    Parameters
    ----------
    path : str or pathlib.Path

    Raises
    ------
    StudyError
        If there is no image (see :func:`samstudy.prediction.pictures.list_pictures`).
    """

    splits = ("all",)

    def __init__(self, path: str | Path) -> None:
        pictures, _ = list_pictures([path])
        self._pictures = {picture.image_id: picture for picture in pictures}
        self.name = Path(path).name
        self.windowed = True

    def ids(self, split: str = "all") -> list[str]:
        """Names without suffix; ``<stem>_z012`` for a slice."""
        return list(self._pictures)

    def load(self, image_id: str, window: Window | None = None) -> Shown:
        """Read one; a file that cannot be read raises DataError."""
        picture = self._pictures[image_id]
        image = read_image(picture.file, picture.index, window)
        as_stored = image.orientation == 1 and (
            window is None or np.array_equal(image.rgb, read_image(picture.file, picture.index).rgb)
        )
        return Shown(
            image_id, image.rgb, spacing_mm=image.spacing_mm, file=picture.file if as_stored else None,
            index=picture.index if kind_of(picture.file) == "nifti" else None,
            origin=f"{picture.file.name}" + ("" if window is None else f" at level {window[0]:g} width {window[1]:g}"),
        )  # fmt: skip


class ArraySource:
    """An array of one's own.

    Parameters
    ----------
    array : numpy.ndarray
        H x W (grey), H x W x 3 (RGB) or H x W x K (K > 4 slices); uint8, bool or any real type, which is windowed
        as ``samstudy.images.display`` has it.
    name : str
        Of the image.

    Raises
    ------
    StudyError
        For another shape or type, or an array without a pixel.
    """

    splits = ("all",)

    def __init__(self, array: np.ndarray, name: str = "array") -> None:
        array = np.asarray(array)
        is_volume = array.ndim == 3 and array.shape[2] > 4
        if array.dtype.kind not in "buif" or not array.size or not (
            array.ndim == 2 or is_volume or (array.ndim == 3 and array.shape[2] in (1, 3))
        ):  # fmt: skip
            raise StudyError(
                f"an image of one's own is an array H x W, H x W x 3 or H x W x K slices of real numbers, not "
                f"{array.dtype} {array.shape}."
            )
        self.name = name
        self.windowed = array.dtype not in (np.uint8, np.bool_)
        grey = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
        self._slices = (
            {f"{name}_z{k:03d}": array[..., k] for k in range(array.shape[2])} if is_volume else {name: grey}
        )

    def ids(self, split: str = "all") -> list[str]:
        """The name, or ``<name>_z012`` for a slice."""
        return list(self._slices)

    def load(self, image_id: str, window: Window | None = None) -> Shown:
        """Show one slice.

        Raises
        ------
        StudyError
            If no value of it is finite.
        """
        values = self._slices[image_id]
        try:
            rgb, _ = to_rgb(values, bounds_of(window) if window and self.windowed else None)
        except ValueError as error:
            raise StudyError(f"{image_id} cannot be shown: {error}.") from error
        return Shown(image_id, rgb, origin="array")


def open_source(what: str | Path | np.ndarray | Dataset, name: str = "array") -> Source:
    """Open a path, an array or a data set as a source."""
    if isinstance(what, np.ndarray):
        return ArraySource(what, name)
    return DatasetSource(what) if isinstance(what, Dataset) else FileSource(what)
