"""What a prompt tells, given to a mask that was made without it: the cut to the box, the components at the points.

A U-Net or a threshold takes no prompt. Beside a prompted model it would be asked to find what that one is shown, so it
gets what the prompt tells.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from samstudy.types import Prompt

_EIGHT_CONNECTED = np.ones((3, 3), bool)


def as_told(mask: np.ndarray, prompt: Prompt) -> np.ndarray:
    """Cut a whole-image mask to what a prompt tells.

    Parameters
    ----------
    mask : numpy.ndarray, bool, H x W
        Made without the prompt.
    prompt : Prompt
        A box cuts; of what is left, points keep the 8-connected components that hold a positive one. ``automatic``,
        whose box is the image, and the grids of everything mode change nothing. Negative points and mask inputs
        tell nothing more. A composite prompt gives the union over its parts.

    Returns
    -------
    numpy.ndarray, bool, H x W
        Empty where no positive point lies on the mask; with a box, then all that is in the box.
    """
    if prompt.parts:
        return np.logical_or.reduce([as_told(mask, part) for part in prompt.parts])
    if prompt.points_per_side:
        return mask
    if prompt.box_xyxy is None:
        return components_at(mask, prompt)
    inside = mask & box_mask(prompt.box_xyxy, mask.shape)
    hit = components_at(inside, prompt)
    return hit if hit.any() else inside


def components_at(mask: np.ndarray, prompt: Prompt) -> np.ndarray:
    """8-connected components of a mask (bool H x W) in which a positive point lies; empty where there is none."""
    parts, _ = ndimage.label(mask, structure=_EIGHT_CONNECTED)
    columns, rows = pixels_of(prompt.points_xy[prompt.point_labels == 1], mask.shape)
    hit = np.setdiff1d(parts[rows, columns], 0)
    return np.isin(parts, hit)


def pixels_of(points_xy: np.ndarray, size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of the pixels that points (N x 2) lie in; points outside the image take its nearest pixel."""
    nearest = np.rint(np.asarray(points_xy, np.float64).reshape(-1, 2)).astype(int)
    columns, rows = np.clip(nearest, 0, [size_hw[1] - 1, size_hw[0] - 1]).T
    return columns, rows


def box_slices(box_xyxy: np.ndarray, size_hw: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a box whose last pixels belong to it, cut to the image; at least one pixel each."""
    columns, rows = pixels_of(np.reshape(box_xyxy, (2, 2)), size_hw)
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def box_mask(box_xyxy: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Pixels of a box, bool H x W, as :func:`box_slices` has them."""
    inside = np.zeros(size_hw, bool)
    inside[box_slices(box_xyxy, size_hw)] = True
    return inside
