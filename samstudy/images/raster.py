"""PNG, JPEG, TIFF, BMP and GIF: as a picture, or as a map of label codes.

Pixels are taken as they are stored: an EXIF orientation tag is not applied here, because masks rarely carry
one and would no longer lie on their image. ``ImageFile.orientation`` keeps the tag for the caller.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from samstudy.images.files import LOSSY_SUFFIXES, FileError, suffix_of

_EXIF_ORIENTATION = 274
_GREY_MODES = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
MANY_CODES = 32


def open_raster(path: Path) -> tuple[Image.Image, list[str]]:
    """Decode the first frame of a file.

    Returns
    -------
    image : PIL.Image.Image
        Fully read, file closed.
    notes : list of str
        A remark where there are further frames.

    Raises
    ------
    FileError
        If the file is missing, truncated or not an image.
    """
    try:
        with Image.open(path) as image:
            image.load()
            frames = getattr(image, "n_frames", 1)
            image.info["orientation"] = image.getexif().get(_EXIF_ORIENTATION, 1)
            decoded = image.copy()
    except UnidentifiedImageError as error:
        if suffix_of(path) in (".tif", ".tiff"):
            return _open_numeric_tiff(path), []
        raise FileError(
            path, "is not an image that can be read: its contents match no known format."
        ) from error
    except _UNREADABLE as error:
        raise FileError(path, f"cannot be read: {error}; copy it again if it was cut short.") from error
    return decoded, [f"has {frames} frames; only the first is read"] if frames > 1 else []


def _open_numeric_tiff(path: Path) -> Image.Image:
    """Read the TIFF types that Pillow has no mode for (float64, uint64, ...), as float32."""
    try:
        # on demand: few files need it
        from skimage.io import imread

        values = imread(path)
    except (*_UNREADABLE, IndexError, KeyError) as error:
        raise FileError(path, f"is not an image that can be read: {error}.") from error
    if values.ndim != 2 or values.dtype.kind not in "uif":
        raise FileError(path, f"holds a {values.dtype} array of {values.shape}; one 2-D picture is expected.")
    image = Image.fromarray(values.astype(np.float32))
    image.info["orientation"] = 1
    return image


def picture_values(image: Image.Image) -> np.ndarray:
    """Return the values of a picture: palettes as their colours, transparency laid on black.

    An alpha channel that is the same everywhere says nothing and is dropped.

    Returns
    -------
    numpy.ndarray, H x W (any real dtype) or H x W x 3 (uint8)
        bool for 1-bit files. Colour of 16 bits a channel arrives as its upper 8 bits.
    """
    if image.mode in _GREY_MODES and not (image.mode in ("1", "L") and "transparency" in image.info):
        return np.asarray(image)
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB"))
    rgba = np.asarray(image.convert("RGBA"))
    alpha = rgba[..., 3:]
    if alpha.min() == alpha.max():
        return rgba[..., :3]
    return np.rint(rgba[..., :3] * (alpha / 255.0)).astype(np.uint8)


def code_values(image: Image.Image) -> tuple[np.ndarray, int]:
    """Return the label codes of a mask file.

    Palette files give their indices, unless the palette is grey and either not in the order of brightness
    (a two-colour GIF may store white as 0) or longer than a label map's: then the greys. Colours whose three
    channels are equal are greys. Transparent pixels are background; where the colour is the same everywhere,
    the alpha channel itself is the mask.

    Returns
    -------
    values : numpy.ndarray, H x W (any real dtype) or H x W x 3 (uint8)
        Codes, or colours.
    full_scale : int
        Value of full white where the codes may be greys (255, 65535), else 0.
    """
    if image.mode == "P":
        return _palette_codes(image)
    if image.mode in _GREY_MODES:
        values = np.asarray(image)
        return values, {"|u1": 255, "<u2": 65535, ">u2": 65535}.get(values.dtype.str, 0)
    has_alpha = image.has_transparency_data
    colours = np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
    if has_alpha:
        alpha, colours = colours[..., 3], colours[..., :3]
        if alpha.min() < alpha.max():
            if (colours == colours[:1, :1]).all():
                return alpha, 255
            colours = np.where(alpha[..., None] >= 128, colours, 0).astype(np.uint8)
    if (colours == colours[..., :1]).all():
        return colours[..., 0], 255
    return colours, 0


def _palette_codes(image: Image.Image) -> tuple[np.ndarray, int]:
    indices = np.asarray(image)
    palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    used = np.unique(indices)
    if used.max() >= len(palette):
        return indices, 0
    colours = palette[used].astype(int)
    is_grey = (colours == colours[:, :1]).all()
    in_order = (np.diff(colours[:, 0]) > 0).all()
    if is_grey and (not in_order or len(used) > MANY_CODES):
        return palette[indices][..., 0], 255
    return indices, 0


def is_lossy(path: Path) -> bool:
    """Whether a file's format blurs label codes."""
    return suffix_of(path) in LOSSY_SUFFIXES
