"""From stored values to the uint8 RGB picture a model is shown.

The rule, in order:

1. 8-bit pictures are kept as they are (a NIfTI volume is not a picture: it is windowed whatever its depth).
2. A window given by the caller (or by a DICOM header) is used.
3. Values that reach down to -500 are Hounsfield units (air is -1000, and no other modality goes there):
   level 40, width 400, the soft-tissue window.
4. Anything else is windowed from its 0.5th to its 99.5th percentile: of the non-zero values where nothing is
   negative and at least 1 % of the values are not zero (background is often 0), else of all finite values.

NaN and -inf are shown as the lowest value, +inf as the highest; the caller is told.
"""

from __future__ import annotations

import numpy as np

from samstudy.errors import DataError

CT_WINDOW = (40.0, 400.0)
PERCENTILES = (0.5, 99.5)
HU_CEILING_OF_AIR = -500.0
_PERCENTILE_SAMPLE = 4_000_000


def bounds_of(window: tuple[float, float]) -> tuple[float, float]:
    """Return (lowest, highest) shown value of a (level, width) window."""
    level, width = window
    return level - width / 2, level + width / 2


def default_bounds(values: np.ndarray) -> tuple[float, float]:
    """Return (lowest, highest) shown value by rules 3 and 4 of the module.

    Parameters
    ----------
    values : numpy.ndarray
        One image or a whole volume, any shape and real dtype.

    Returns
    -------
    tuple of float
        ``lowest < highest`` always; a constant image is shown black.

    Raises
    ------
    ValueError
        If no value is finite.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise ValueError("no value is finite")
    smallest, largest = float(finite.min()), float(finite.max())
    if smallest <= HU_CEILING_OF_AIR:
        return bounds_of(CT_WINDOW)
    if smallest == 0:
        present = finite[finite != 0]
        finite = present if present.size >= 0.01 * finite.size else finite
    low, high = np.percentile(finite[:: max(1, finite.size // _PERCENTILE_SAMPLE)], PERCENTILES)
    if low < high:
        return float(low), float(high)
    return (smallest, largest) if smallest < largest else (smallest, smallest + 1.0)


def to_uint8(values: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Map ``bounds`` linearly onto 0..255 and clip.

    Parameters
    ----------
    values : numpy.ndarray
        Any shape, real dtype; NaN becomes 0.
    bounds : tuple of float
        (lowest, highest) shown value, lowest < highest.

    Returns
    -------
    numpy.ndarray, uint8
        Same shape.
    """
    low, high = bounds
    clipped = np.clip(np.nan_to_num(values.astype(np.float32), nan=low, posinf=high, neginf=low), low, high)
    return np.rint((clipped - low) * (255.0 / (high - low))).astype(np.uint8)


def to_rgb(values: np.ndarray, bounds: tuple[float, float] | None = None) -> tuple[np.ndarray, list[str]]:
    """Return the picture shown to a model, and remarks on what had to be done to get it.

    Parameters
    ----------
    values : numpy.ndarray, H x W or H x W x 3
        uint8 and bool are kept (bool as 0/255); other dtypes are windowed.
    bounds : tuple of float, optional
        (lowest, highest) shown value; by the module's rules when not given.

    Returns
    -------
    rgb : numpy.ndarray, uint8, H x W x 3
        C-contiguous.
    notes : list of str
        Sentence parts such as ``"has 3 NaN or infinite values, shown as the lowest or highest"``.

    Raises
    ------
    ValueError
        If no value is finite.
    """
    notes = []
    if values.dtype == bool:
        values = values.astype(np.uint8) * 255
    elif values.dtype != np.uint8 or bounds is not None:
        unusable = int(values.size - np.isfinite(values).sum())
        if unusable == values.size:
            raise ValueError("no value is finite")
        if unusable:
            notes.append(f"has {unusable} NaN or infinite values, shown as the lowest or highest value")
        values = to_uint8(values, bounds or default_bounds(values))
    if values.size and values.min() == values.max():
        notes.append("is shown with one single value: there is nothing to see in it")
    rgb = values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=2)
    # a copy: Pillow hands out read-only arrays
    return np.array(rgb, order="C"), notes


def check_image(image: np.ndarray) -> None:
    """Refuse anything that is not a uint8 H x W x 3 array.

    Raises
    ------
    DataError
        With the shape and type that were given.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise DataError(
            f"an image must be a uint8 array H x W x 3 in [0, 255], not {got}: see samstudy.images."
        )
    if min(image.shape[:2]) == 0:
        raise DataError(f"the image has no pixels (shape {image.shape}).")
