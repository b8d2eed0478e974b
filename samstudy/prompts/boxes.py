"""Makers of box prompts: tight, moved on purpose, with a point, around the largest part, each part or the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from samstudy.masks import bounds_of
from samstudy.prompts.mode import PromptMaker
from samstudy.prompts.parts import largest_parts
from samstudy.prompts.points import center_xy
from samstudy.types import Prompt

Move = Callable[[np.ndarray, tuple[int, int], np.random.Generator], np.ndarray]
"""``(extent_px 4: width height width height, size_hw of the image, rng) -> displacement_px 4`` of left, top, right
and bottom; positive is rightwards and downwards."""

_OUTWARDS = np.array([-1, -1, 1, 1])
_MEDSAM_SIDE_PX = 1024


def tight_box_xyxy(mask: np.ndarray) -> np.ndarray:
    """Bounding box of a non-empty mask: float32 (left, top, right, bottom), the last pixel inclusive.

    A mask one pixel wide has left equal to right.
    """
    rows, columns = bounds_of(mask)
    return np.array([columns.start, rows.start, columns.stop - 1, rows.stop - 1], np.float32)


def jitter(fraction: float) -> Move:
    """Move each side on its own by a uniform draw of up to ``fraction`` of the extent, inwards or outwards."""
    return lambda extent_px, _size_hw, rng: rng.uniform(-fraction * extent_px, fraction * extent_px)


def shift(fraction: float) -> Move:
    """Move the whole box by ``fraction`` of its extent in a random direction, its size kept.

    The direction is a uniform angle t: rightwards by ``fraction * width * cos t``, downwards by
    ``fraction * height * sin t``.
    """

    def move(extent_px: np.ndarray, _size_hw: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        angle = rng.uniform(0, 2 * np.pi)
        return fraction * extent_px * np.tile([np.cos(angle), np.sin(angle)], 2)

    return move


def enlarge(fraction: float) -> Move:
    """Move each side outwards by ``fraction`` of the extent; no draw."""
    return lambda extent_px, _size_hw, _rng: fraction * extent_px * _OUTWARDS


def enlarge_px(most_px: int) -> Move:
    """Move each side outwards by a whole number of pixels drawn from 0 to ``most_px``, as MedSAM does.

    The pixels are those of an image whose longer side is 1024; MedSAM, which squeezes images to 1024 x 1024, counts
    them along each axis on its own.
    """

    def move(_extent_px: np.ndarray, size_hw: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        return _OUTWARDS * rng.integers(0, most_px + 1, 4) * (max(size_hw) / _MEDSAM_SIDE_PX)

    return move


def box(move: Move | None = None, center_point: bool = False) -> PromptMaker:
    """Maker of box prompts: the tight box, moved if wished, with the centre point if wished.

    A moved box keeps fractions of a pixel and is clipped to the image. Sides that pass each other (objects a
    pixel wide) are swapped: left <= right and top <= bottom always. ``Prompt.box_jitter_px`` is the largest
    displacement of a side that came out.

    Parameters
    ----------
    move : callable, optional
        :func:`jitter`, :func:`shift`, :func:`enlarge` or :func:`enlarge_px`.
    center_point : bool
        Add :func:`~samstudy.prompts.points.center_xy` as a positive point.
    """

    def make(mask: np.ndarray, rng: np.random.Generator) -> Prompt:
        prompt = Prompt(box_xyxy=tight_box_xyxy(mask))
        if move:
            moved = _moved(prompt.box_xyxy, move, mask.shape, rng)
            distance_px = float(np.abs(moved - prompt.box_xyxy).max())
            prompt = replace(prompt, box_xyxy=moved, box_jitter_px=distance_px)
        if center_point:
            prompt = replace(prompt, points_xy=center_xy(mask)[None], point_labels=np.ones(1, np.int64))
        return prompt

    return make


def _moved(
    box_xyxy: np.ndarray, move: Move, size_hw: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """The box with its sides moved, in the image and in order."""
    extent_px = np.tile(box_xyxy[2:] - box_xyxy[:2] + 1, 2)
    sides = (box_xyxy + move(extent_px, size_hw, rng)).reshape(2, 2)
    last = np.array([size_hw[1] - 1, size_hw[0] - 1])
    return np.clip(np.sort(sides, axis=0), 0, last).reshape(4).astype(np.float32)


def largest_box(mask: np.ndarray, _rng: np.random.Generator) -> Prompt:
    """Tight box of the part of largest area; the other parts get no prompt and count as missed when scored."""
    return Prompt(box_xyxy=tight_box_xyxy(*largest_parts(mask, 1)))


def whole_image(mask: np.ndarray, _rng: np.random.Generator) -> Prompt:
    """Box around the whole image, which says nothing of where the object is; of the mask only its size is used."""
    height, width = mask.shape
    return Prompt(box_xyxy=np.array([0, 0, width - 1, height - 1], np.float32))


def part_boxes(max_parts: int = 3) -> PromptMaker:
    """Maker of composite prompts: a tight box for each of the largest parts.

    Each box is predicted alone and the masks are united. Parts as in
    :func:`~samstudy.prompts.parts.largest_parts`; an object in one piece gives a composite of one part. Parts
    left out get no prompt and count as missed when scored.

    Parameters
    ----------
    max_parts : int
        At least 1; Mazurowski et al. (2023) take 3.
    """

    def make(mask: np.ndarray, _rng: np.random.Generator) -> Prompt:
        boxes = [tight_box_xyxy(part) for part in largest_parts(mask, max_parts)]
        return Prompt(parts=tuple(Prompt(box_xyxy=each) for each in boxes))

    return make
