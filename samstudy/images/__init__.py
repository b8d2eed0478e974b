"""One 2-D image or mask out of one file, whatever its format: the only place that decodes files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from samstudy.images import display, masks, raster, volume
from samstudy.images.files import IMAGE_SUFFIXES, FileError, kind_of, shown, stem_of, suffix_of
from samstudy.images.masks import CodeMap, labels_of

__all__ = [
    "IMAGE_SUFFIXES",
    "CodeMap",
    "FileError",
    "ImageFile",
    "kind_of",
    "labels_of",
    "read_codes",
    "read_image",
    "shown",
    "stem_of",
    "suffix_of",
    "upright",
]


@dataclass(frozen=True)
class ImageFile:
    """A picture as shown to a model, with what its file says about it.

    Attributes
    ----------
    rgb : numpy.ndarray, uint8, H x W x 3
        See ``samstudy.images.display`` for how other depths get here.
    spacing_mm : tuple of float or None
        (row, column) pitch from a NIfTI or DICOM header.
    orientation : int
        EXIF orientation tag, 1 where there is none; not applied to ``rgb``.
    notes : tuple of str
        Remarks that continue the file's name: ``"has 3 NaN ..."``.
    """

    rgb: np.ndarray
    spacing_mm: tuple[float, float] | None = None
    orientation: int = 1
    notes: tuple[str, ...] = ()


def read_image(path: Path, index: int | None = None, window: tuple[float, float] | None = None) -> ImageFile:
    """Read one picture.

    Parameters
    ----------
    path : pathlib.Path
        PNG, JPEG, TIFF, BMP, GIF, NIfTI or DICOM, told by the suffix.
    index : int, optional
        Axial slice of a NIfTI volume, counted from inferior; not needed where there is only one.
    window : tuple of float, optional
        (level, width) to show values of more than 8 bits with, see ``samstudy.images.display`` for the
        default. Has no effect on 8-bit pictures.

    Returns
    -------
    ImageFile

    Raises
    ------
    FileError
        If the file cannot be read, has no finite value, or no pixel.
    """
    path = Path(path)
    kind = kind_of(path)
    bounds = display.bounds_of(window) if window else None
    spacing, orientation, inverted, notes = None, 1, False, []
    try:
        if kind == "raster":
            picture, notes = raster.open_raster(path)
            values, orientation = raster.picture_values(picture), picture.info["orientation"]
        elif kind == "nifti":
            stack = volume.read_nifti(path)
            values, spacing = _slice(stack, index, path), stack.spacing_mm
            bounds = bounds or stack.bounds
        elif kind == "dicom":
            stored = volume.read_dicom(path)
            values, spacing, inverted = stored.values, stored.spacing_mm, stored.inverted
            bounds = bounds or stored.bounds
        else:
            raise FileError(path, f"is of no known image type; known are {', '.join(IMAGE_SUFFIXES)}.")
        if kind == "raster" and values.dtype == np.uint8:
            bounds = None
        rgb, more = display.to_rgb(values, bounds)
    except ValueError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(path, f"cannot be shown: {error}.") from error
    return ImageFile(255 - rgb if inverted else rgb, spacing, orientation, (*notes, *more))


def read_codes(path: Path, index: int | None = None) -> CodeMap:
    """Read one mask file as a map of label codes.

    Parameters
    ----------
    path : pathlib.Path
        Same formats as ``read_image``.
    index : int, optional
        Axial slice of a NIfTI volume; not needed where there is only one.

    Returns
    -------
    CodeMap
        To be split into named masks by ``labels_of``.

    Raises
    ------
    FileError
        If the file cannot be read or does not hold label codes.
    """
    path = Path(path)
    kind = kind_of(path)
    full_scale, notes = 0, []
    if kind == "raster":
        picture, notes = raster.open_raster(path)
        values, full_scale = raster.code_values(picture)
        if values.ndim == 3 and raster.is_lossy(path):
            # the brightest channel: a mask in pure red or blue is dark as a grey
            values, full_scale = values.max(axis=2), 255
    elif kind == "nifti":
        values = _slice(volume.read_nifti(path), index, path)
    elif kind == "dicom":
        values = volume.read_dicom(path).values
    else:
        raise FileError(path, f"is of no known mask type; known are {', '.join(IMAGE_SUFFIXES)}.")
    if values.ndim == 3:
        weights = np.array([1 << 16, 1 << 8, 1])
        return CodeMap((values * weights).sum(axis=2), colour=True, notes=tuple(notes))
    try:
        codes, more = masks.integer_codes(values)
    except ValueError as error:
        raise FileError(path, f"{error}.") from error
    return CodeMap(codes, full_scale, lossy=raster.is_lossy(path), notes=(*notes, *more))


def upright(image: ImageFile) -> np.ndarray:
    """Return the picture turned as its EXIF orientation tag asks for.

    Returns
    -------
    numpy.ndarray, uint8, H x W x 3
        Height and width are exchanged for the tags 5 to 8.
    """
    turn = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, 1),
    }.get(image.orientation, lambda a: a)
    return np.ascontiguousarray(turn(image.rgb))


def _slice(stack: volume.Volume, index: int | None, path: Path) -> np.ndarray:
    count = stack.slices.shape[2]
    if index is None:
        if count > 1:
            raise FileError(path, f"is a volume of {count} slices; image and mask must both be volumes.")
        index = 0
    if not 0 <= index < count:
        raise FileError(path, f"has {count} axial slices; there is no slice {index}.")
    return stack.slices[..., index]
