"""Makers of point prompts: the most interior pixel, random points inside and around, a point in each part."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from samstudy.masks import bounds_of
from samstudy.prompts.mode import PromptMaker
from samstudy.prompts.parts import largest_parts
from samstudy.types import Prompt


def center_xy(mask: np.ndarray) -> np.ndarray:
    """Pixel of the object that is farthest from its border.

    Euclidean distance to the nearest background pixel, where everything outside the image is background.
    Of equally far pixels the one nearest to the centroid is taken, then the first in reading order, so a
    line one pixel wide is clicked near its middle. An object in several parts has one such pixel, not always in
    the part of largest area.

    Parameters
    ----------
    mask : numpy.ndarray, bool, H x W
        Non-empty.

    Returns
    -------
    numpy.ndarray, float32, 2
        (x, y) of a pixel inside the mask.
    """
    return deepest(mask)[0]


def deepest(mask: np.ndarray) -> tuple[np.ndarray, float]:
    """Return :func:`center_xy` of a non-empty mask and its distance in pixels from the nearest background pixel."""
    rows, columns = bounds_of(mask)
    # A frame of background makes the crop exact: no background pixel beyond it can be nearer.
    depth = ndimage.distance_transform_edt(np.pad(mask[rows, columns], 1))
    candidates = np.argwhere(depth == depth.max())
    centroid = np.argwhere(depth > 0).mean(axis=0)
    # Rounded, so that exact ties are not broken by the last bit of the centroid.
    nearest = np.argmin(np.round(((candidates - centroid) ** 2).sum(axis=1), 6))
    row, column = candidates[nearest] - 1
    return np.array([column + columns.start, row + rows.start], np.float32), float(depth.max())


def positive(points_xy: np.ndarray) -> Prompt:
    """Prompt of positive points (N x 2) alone."""
    return Prompt(points_xy=points_xy, point_labels=np.ones(len(points_xy), np.int64))


def _draw_xy(region: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Up to ``count`` distinct pixels of a region, uniformly: float32, n x 2, (x, y)."""
    inside = np.flatnonzero(region)
    picked = inside[rng.choice(len(inside), size=min(count, len(inside)), replace=False)]
    return np.column_stack([picked % region.shape[1], picked // region.shape[1]]).astype(np.float32)


def _around(mask: np.ndarray, margin: float) -> np.ndarray:
    """Background within the object's box, grown on every side by ``margin`` of its extent (at least 1 px)."""
    region = np.zeros_like(mask)
    grown = []
    for span in bounds_of(mask):
        step = max(1, round(margin * (span.stop - span.start)))
        grown.append(slice(max(0, span.start - step), span.stop + step))
    region[tuple(grown)] = True
    return region & ~mask


def points(n_positive: int, n_negative: int = 0, margin: float = 0.5) -> PromptMaker:
    """Maker of point prompts: the centre, then random points inside, then random points around.

    The first positive point is :func:`center_xy`, so that more points extend ``point_center`` rather than
    replace it. The others are drawn uniformly from the rest of the object, distinct; an object of fewer
    than ``n_positive`` pixels gives one point per pixel. Negative points are drawn, distinct, from the
    background within the bounding box grown by ``margin`` of its extent on each side (0.5: twice as wide
    and high); where that holds too few, from the background of the whole image; an object that fills the
    image gets none. Background of this object may be another object of the same target.

    Parameters
    ----------
    n_positive : int
        At least 1.
    n_negative : int
        0 or more.
    margin : float
        Growth of the box on each side as a fraction of its width or height.
    """

    def make(mask: np.ndarray, rng: np.random.Generator) -> Prompt:
        center = center_xy(mask)
        rest = mask.copy()
        rest[int(center[1]), int(center[0])] = False
        inside = np.vstack([center[None], _draw_xy(rest, n_positive - 1, rng)])
        outside = _around(mask, margin)
        if np.count_nonzero(outside) < n_negative:
            outside = ~mask
        around = _draw_xy(outside, n_negative, rng)
        labels = np.repeat(np.array([1, 0], np.int64), [len(inside), len(around)])
        return Prompt(points_xy=np.vstack([inside, around]), point_labels=labels)

    return make


def part_points(max_parts: int = 3) -> PromptMaker:
    """Maker of one prompt that holds a positive point for each of the largest parts: its :func:`center_xy`.

    The points are given together, as one prompt for one mask. Parts as in
    :func:`~samstudy.prompts.parts.largest_parts`; with ``max_parts=1`` it is the most interior pixel of the part
    of largest area.

    Parameters
    ----------
    max_parts : int
        At least 1; Mazurowski et al. (2023) take 1 in their mode 1 and 3 in their mode 2.
    """

    def make(mask: np.ndarray, _rng: np.random.Generator) -> Prompt:
        return positive(np.stack([center_xy(part) for part in largest_parts(mask, max_parts)]))

    return make


def grid(points_per_side: int) -> PromptMaker:
    """Maker of the prompt of everything mode, which takes nothing from the mask (:mod:`samstudy.everything`)."""
    return lambda _mask, _rng: Prompt(points_per_side=points_per_side)
