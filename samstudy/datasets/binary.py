"""Binary mask files: full white is the object; greys of a resized copy are cut at half, anything else is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion

from samstudy.images import FileError, read_codes, read_image
from samstudy.images.masks import distinct

_SHOWN = 8
_EDGE_PX = 4
_INVERTED = 0.99


def read_binary(path: Path, name: str) -> tuple[np.ndarray, list[tuple[Path, str]]]:
    """Read a mask file that should hold 0 and 255 only.

    Parameters
    ----------
    path : pathlib.Path
        PNG or another raster format; 1-bit and two-colour files hold 0 and 1 by nature.
    name : str
        What white means, for the sentence: ``"lung"``.

    Returns
    -------
    mask : numpy.ndarray, bool, H x W
        All False where the file is black.
    notes : list of (pathlib.Path, str)
        That greys along the edges (a copy resized with interpolation) were cut above half of full scale, that
        the mask is empty, or that it was saved as 0 and 1.

    Raises
    ------
    FileError
        If the file cannot be read, is in colour, holds other values as areas (the values are named), or is inverted:
        white all along the border of the picture, and black inside.
    """
    mask, notes = _read(path, name)
    if border_share(mask) > _INVERTED and not mask.all():
        raise FileError(path, f"is white all along its border and black inside: inverted ({name} is white)?")
    return mask, notes


def border_share(mask: np.ndarray) -> float:
    """Return which part of a mask's outermost pixels is True, 0 to 1; 0 where it has no pixel."""
    border = np.concatenate([mask[:1].ravel(), mask[-1:].ravel(), mask[:, :1].ravel(), mask[:, -1:].ravel()])
    return float(border.mean()) if border.size else 0.0


def area_codes(codes: np.ndarray, white: int) -> list[int]:
    """Return the values between black and ``white`` that fill more than an edge, ascending."""
    square = np.ones((_EDGE_PX + 1, _EDGE_PX + 1), bool)
    return distinct(np.where(binary_erosion((codes > 0) & (codes < white), square), codes, 0)).tolist()


def _read(path: Path, name: str) -> tuple[np.ndarray, list[tuple[Path, str]]]:
    code_map = read_codes(path)
    codes, white = code_map.codes, code_map.full_scale or 1
    notes = [(path, f"{note}.") for note in code_map.notes]
    if code_map.colour:
        raise FileError(path, f"is in colour; a grey mask of 0 and {white} ({name}) is expected.")
    found = distinct(codes).tolist()
    if not found:
        return np.zeros(codes.shape, bool), [*notes, (path, f"is empty: no pixel is {name}.")]
    if found == [white]:
        return codes == white, notes
    if found == [1]:
        return codes == 1, [*notes, (path, f"holds 0 and 1 instead of 0 and {white}; 1 is read as {name}.")]
    wrong = found if found[-1] != white else area_codes(codes, white)
    if wrong:
        if not code_map.full_scale:
            # a palette's codes are its indices; its greys are what one sees in the file
            wrong, white = [grey for grey in distinct(read_image(path).rgb.max(axis=2)) if grey != 255], 255
        values = ", ".join(map(str, wrong[:_SHOWN])) + (", ..." if len(wrong) > _SHOWN else "")
        raise FileError(path, f"holds areas of the value {values}; only 0 and {white} ({name}) are expected.")
    half = white // 2
    return codes > half, [*notes, (path, f"holds greys along its edges (a resized copy); cut above {half}.")]
