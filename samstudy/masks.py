"""Two questions asked of every mask: is it one, and where is it?"""

from __future__ import annotations

import numpy as np

from samstudy.errors import StudyError


def as_mask(array: np.ndarray, name: str = "the mask") -> np.ndarray:
    """Return a 2-D binary mask as bool, refusing whatever is not one.

    Parameters
    ----------
    array : array_like, H x W
        bool, or integer with no values but 0 and 1. May be empty of foreground.
    name : str
        How the error sentence calls it.

    Returns
    -------
    numpy.ndarray, bool, H x W
        The array itself where it is bool already.

    Raises
    ------
    StudyError
        If the array is not H x W, or holds probabilities, logits or label values: a silent threshold
        would change the score.
    """
    array = np.asarray(array)
    if array.ndim != 2 or array.size == 0:
        raise StudyError(f"{name} has shape {array.shape}; give one mask of shape (height, width).")
    if array.dtype == bool:
        return array
    if not np.issubdtype(array.dtype, np.integer):
        raise StudyError(
            f"{name} has dtype {array.dtype}, not bool; threshold probabilities or logits first, "
            "e.g. mask > 0.5."
        )
    low, high = array.min(), array.max()
    if low < 0 or high > 1:
        raise StudyError(
            f"{name} holds the values {low} to {high}, not only 0 and 1; pick one label first, "
            f"e.g. mask == {high}."
        )
    return array.astype(bool)


def bounds_of(mask: np.ndarray) -> tuple[slice, slice]:
    """Smallest (row, column) slices that hold every foreground pixel.

    Parameters
    ----------
    mask : numpy.ndarray, bool, H x W
        With at least one foreground pixel.

    Returns
    -------
    tuple of slice
        ``mask[bounds_of(mask)]`` is the mask cropped to its bounding box.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
