"""Where the target is not: a prompt of the same kind and size, moved there.

A model that answers a prompt with whatever is under it is told apart from one that has learnt to return the organ
wherever it is asked (:mod:`samstudy.sensitivity`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from samstudy.prompts import PROMPTS
from samstudy.prompts.points import deepest
from samstudy.types import Prompt

MOST_OVERLAP = 0.25
"""Most of the target that a moved box may hold. An answer that stays in such a box has a Dice of at most
2 f / (1 + f) = 0.4 with the target."""

LEAST_DISTANCE = 0.05
"""Least distance of a moved point from the target, as a fraction of the image's longer side."""


@dataclass(frozen=True)
class Place:
    """A prompt moved to where the target is not.

    Attributes
    ----------
    prompt : Prompt
        Of the kind and size of the one that was moved.
    overlap : float
        Share of the target's pixels in the moved box, in [0, :data:`MOST_OVERLAP`]; 0 for a point.
    distance_px : float
        From the moved box's or point's pixels to the nearest pixel of the target; 0 where they overlap.
    """

    prompt: Prompt
    overlap: float
    distance_px: float


def movable_modes(prompts: Sequence[str]) -> tuple[str, ...]:
    """Return the modes whose prompt can be moved: those of one turn that are one box, or one positive point.

    A mode that asks for the whole image (``automatic``), for everything, in several turns or with several points or
    boxes is none of these.

    Raises
    ------
    StudyError
        For an unknown mode.
    """
    return tuple(name for name in prompts if _is_movable(name))


def _is_movable(name: str) -> bool:
    mode = PROMPTS[name]
    if mode.per_target or mode.n_turns > 1:
        return False
    two_parts = np.zeros((9, 9), bool)
    two_parts[1:4, 1:4] = two_parts[6:8, 6:8] = True
    prompt = mode(two_parts, np.random.default_rng(0))
    is_box = prompt.box_xyxy is not None and not prompt.n_points
    return not prompt.parts and (is_box or (prompt.n_points == 1 and prompt.box_xyxy is None))


def places(
    prompt: Prompt,
    reference: np.ndarray,
    target: np.ndarray,
    valid: np.ndarray | None,
    rng: np.random.Generator,
    count: int = 1,
) -> list[Place]:
    """Move a prompt to random places where the target is not.

    Parameters
    ----------
    prompt : Prompt
        Of a mode in :func:`movable_modes`, made from ``reference``.
    reference : numpy.ndarray, bool, H x W
        The object that was asked for; non-empty.
    target : numpy.ndarray, bool, H x W
        All instances of its target: places are away from each of them.
    valid : numpy.ndarray, bool, H x W, or None
        Pixels that count; the moved prompt lies within them. None means all.
    rng : numpy.random.Generator
        Source of the draws.
    count : int
        Most places.

    Returns
    -------
    list of Place
        Distinct ones, drawn uniformly; fewer than ``count`` where there are not so many, none where there is no room.
        A box keeps its size and goes where it holds none of the target or, where there is no such place, where it
        holds the least, unless that is more than :data:`MOST_OVERLAP`. A point goes at least as far from the target as
        the object's centre lies inside it, and at least :data:`LEAST_DISTANCE`.
    """
    valid = np.ones_like(target) if valid is None else valid
    distances_px = ndimage.distance_transform_edt(~target)
    if prompt.box_xyxy is None:
        return _points(prompt, reference, distances_px, valid, rng, count)
    return _boxes(prompt, target, distances_px, valid, rng, count)


def _points(
    prompt: Prompt,
    reference: np.ndarray,
    distances_px: np.ndarray,
    valid: np.ndarray,
    rng: np.random.Generator,
    count: int,
) -> list[Place]:
    _, depth_px = deepest(reference)
    allowed = valid & (distances_px >= max(depth_px, LEAST_DISTANCE * max(valid.shape)))
    return [
        Place(
            replace(prompt, points_xy=np.array([[column, row]], np.float32)),
            overlap=0.0,
            distance_px=float(distances_px[row, column]),
        )
        for row, column in _drawn(allowed, rng, count)
    ]


def _boxes(
    prompt: Prompt,
    target: np.ndarray,
    distances_px: np.ndarray,
    valid: np.ndarray,
    rng: np.random.Generator,
    count: int,
) -> list[Place]:
    left, top = np.floor(prompt.box_xyxy[:2]).astype(int)
    right, bottom = np.ceil(prompt.box_xyxy[2:]).astype(int)
    size_hw = bottom - top + 1, right - left + 1
    overlap = _in_windows(target, *size_hw) / np.count_nonzero(target)
    overlap[_in_windows(~valid, *size_hw) > 0] = np.inf
    if overlap.min() > MOST_OVERLAP:
        return []
    made = []
    for row, column in _drawn(overlap == overlap.min(), rng, count):
        moved = prompt.box_xyxy + np.tile(np.array([column - left, row - top], np.float32), 2)
        window = distances_px[row : row + size_hw[0], column : column + size_hw[1]]
        made.append(Place(replace(prompt, box_xyxy=moved), float(overlap[row, column]), float(window.min())))
    return made


def _in_windows(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Number of pixels of a mask in each window, by the window's top left pixel (sums over areas, Crow 1984)."""
    sums = np.pad(np.cumsum(np.cumsum(mask, axis=0), axis=1), ((1, 0), (1, 0)))
    return sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]


def _drawn(allowed: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Distinct (row, column) of an allowed region, uniformly: int, at most ``count`` x 2."""
    inside = np.argwhere(allowed)
    return inside[rng.choice(len(inside), size=min(count, len(inside)), replace=False)]
