"""Prompts simulated from a reference mask: one registered function per mode, ``(mask, rng) -> Prompt``.

Coordinates are pixels of the original image, (x, y) = (column, row), origin at the centre of the top-left
pixel. A prompt made this way knows the reference; captions must say so. The same mask and the same seed
give the same prompt, whatever was asked before.

Sources: Mazurowski et al. 2023 (modes 1-5), Huang et al. 2024 (strategies S1-S6), Cheng et al. 2023,
MedSAM (Ma et al. 2023/24), He et al. 2023. They are followed in kind; the sampling rules written here are
this study's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from samstudy.errors import StudyError
from samstudy.masks import as_mask, bounds_of
from samstudy.registry import Registry
from samstudy.types import Prompt

PromptMaker = Callable[[np.ndarray, np.random.Generator], Prompt]

_EIGHT_CONNECTED = np.ones((3, 3), bool)


@dataclass(frozen=True)
class PromptMode:
    """A registered way to prompt.

    Attributes
    ----------
    name, title : str
        Registered name; words for figures and tables.
    make : callable
        ``(mask bool HxW, non-empty; numpy Generator) -> Prompt``.
    headline : {"single", "predicted_iou"}
        The mask choice SAM's authors make for such a prompt: the best of three by the model's own score
        for one ambiguous point, the single-mask output for boxes and several points (Kirillov et al. 2023).
    source : str
        Study whose mode this is.
    """

    name: str
    title: str
    make: PromptMaker
    headline: str
    source: str

    def __call__(self, mask: np.ndarray, rng: np.random.Generator) -> Prompt:
        """Make the prompt; see :func:`make_prompt`."""
        mask = as_mask(mask)
        if not mask.any():
            raise StudyError(
                f"cannot make the prompt {self.name!r} from an empty mask: "
                "the object is not in this image, so skip it."
            )
        if not isinstance(rng, np.random.Generator):
            raise StudyError(
                f"the prompt {self.name!r} needs a numpy Generator for its draws, got {rng!r}; "
                "pass numpy.random.default_rng(0) or samstudy.seeds.rng_for(...)."
            )
        return replace(self.make(mask, rng), mode=self.name)


PROMPTS: Registry[PromptMode] = Registry("prompt")


def add_mode(name: str, make: PromptMaker, *, title: str, source: str, headline: str = "single") -> None:
    """Register a prompt mode; see :class:`PromptMode` for the arguments."""
    PROMPTS.register(name)(PromptMode(name, title, make, headline, source))


def make_prompt(mode: str, mask: np.ndarray, rng: np.random.Generator) -> Prompt:
    """Simulate what a user would give the model for one object.

    Parameters
    ----------
    mode : str
        A name in :data:`PROMPTS`.
    mask : numpy.ndarray, bool, H x W
        Reference mask of the object; at least one pixel.
    rng : numpy.random.Generator
        Source of every draw (``seeds.rng_for(...)``); modes without randomness leave it untouched.

    Returns
    -------
    Prompt
        With ``mode`` set. Positive points lie in the mask, negative ones outside it, boxes in the image.

    Raises
    ------
    StudyError
        If the mode is unknown, or the mask is empty, not binary or not 2-D.
    """
    return PROMPTS[mode](mask, rng)


def headline_choice(mode: str) -> str:
    """Mask choice of SAM's authors for a mode: ``"predicted_iou"`` for one point, else ``"single"``."""
    return PROMPTS[mode].headline


def center_xy(mask: np.ndarray) -> np.ndarray:
    """Pixel of the object that is farthest from its border.

    Euclidean distance to the nearest background pixel, where everything outside the image is background.
    Of equally far pixels the one nearest to the centroid is taken, then the first in reading order, so a
    line one pixel wide is clicked near its middle.

    Parameters
    ----------
    mask : numpy.ndarray, bool, H x W
        Non-empty.

    Returns
    -------
    numpy.ndarray, float32, 2
        (x, y) of a pixel inside the mask.
    """
    rows, columns = bounds_of(mask)
    # A frame of background makes the crop exact: no background pixel beyond it can be nearer.
    depth = ndimage.distance_transform_edt(np.pad(mask[rows, columns], 1))
    deepest = np.argwhere(depth == depth.max())
    centroid = np.argwhere(depth > 0).mean(axis=0)
    # Rounded, so that exact ties are not broken by the last bit of the centroid.
    nearest = np.argmin(np.round(((deepest - centroid) ** 2).sum(axis=1), 6))
    row, column = deepest[nearest] - 1
    return np.array([column + columns.start, row + rows.start], np.float32)


def tight_box_xyxy(mask: np.ndarray) -> np.ndarray:
    """Bounding box of a non-empty mask: float32 (left, top, right, bottom), the last pixel inclusive.

    A mask one pixel wide has left equal to right.
    """
    return _box_of(bounds_of(mask))


def _box_of(bounds: tuple[slice, slice]) -> np.ndarray:
    rows, columns = bounds
    return np.array([columns.start, rows.start, columns.stop - 1, rows.stop - 1], np.float32)


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
        positive = np.vstack([center[None], _draw_xy(rest, n_positive - 1, rng)])
        outside = _around(mask, margin)
        if np.count_nonzero(outside) < n_negative:
            outside = ~mask
        negative = _draw_xy(outside, n_negative, rng)
        labels = np.repeat(np.array([1, 0], np.int64), [len(positive), len(negative)])
        return Prompt(points_xy=np.vstack([positive, negative]), point_labels=labels)

    return make


def box(jitter: float = 0.0, center_point: bool = False) -> PromptMaker:
    """Maker of box prompts: the tight box, shaken if wished, with the centre point if wished.

    Each side moves on its own by a uniform draw of up to ``jitter`` of the box's width (left, right) or
    height (top, bottom), inwards or outwards, in fractions of a pixel; then the box is clipped to the image.
    Sides that pass each other (objects a pixel wide) are swapped: left <= right and top <= bottom always.
    ``Prompt.box_jitter_px`` is the largest displacement of a side that came out.

    Parameters
    ----------
    jitter : float
        Fraction of the box's extent, 0 or more; 0.1 is 10 %.
    center_point : bool
        Add :func:`center_xy` as a positive point.
    """

    def make(mask: np.ndarray, rng: np.random.Generator) -> Prompt:
        prompt = Prompt(box_xyxy=tight_box_xyxy(mask))
        if jitter:
            shaken = _shaken(prompt.box_xyxy, jitter, mask.shape, rng)
            moved = float(np.abs(shaken - prompt.box_xyxy).max())
            prompt = replace(prompt, box_xyxy=shaken, box_jitter_px=moved)
        if center_point:
            prompt = replace(prompt, points_xy=center_xy(mask)[None], point_labels=np.ones(1, np.int64))
        return prompt

    return make


def _shaken(
    box_xyxy: np.ndarray, jitter: float, size_hw: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """The box with every side moved by up to ``jitter`` of the extent, in the image and in order."""
    low, high = box_xyxy[:2], box_xyxy[2:]
    step = jitter * np.tile(high - low + 1, 2)
    sides = (box_xyxy + rng.uniform(-step, step)).reshape(2, 2)
    last = np.array([size_hw[1] - 1, size_hw[0] - 1])
    return np.clip(np.sort(sides, axis=0), 0, last).reshape(4).astype(np.float32)


def part_boxes(max_parts: int = 3) -> PromptMaker:
    """Maker of composite prompts: a tight box for each of the largest parts.

    Parts are 8-connected; the ``max_parts`` largest by area are kept, equal areas in reading order. An object
    in one piece gives a composite of one part. Parts left out get no prompt and count as missed when scored.

    Parameters
    ----------
    max_parts : int
        At least 1; Mazurowski et al. (2023) take 3.
    """

    def make(mask: np.ndarray, _rng: np.random.Generator) -> Prompt:
        labelled, _ = ndimage.label(mask, structure=_EIGHT_CONNECTED)
        areas = np.bincount(labelled.ravel())[1:]
        largest = np.argsort(-areas, kind="stable")[:max_parts]
        bounds = ndimage.find_objects(labelled)
        return Prompt(parts=tuple(Prompt(box_xyxy=_box_of(bounds[i])) for i in largest))

    return make


add_mode(
    "point_center",
    points(1),
    title="centre point",
    headline="predicted_iou",
    source="one point inside, as Mazurowski 2023 mode 1, Huang 2024 S2 and He 2023",
)
add_mode("points_p5", points(5), title="5 points", source="Huang 2024 S3; Cheng 2023 varies the number")
add_mode("points_p5n5", points(5, 5), title="5 + 5 points", source="Huang 2024 S4")
add_mode("box", box(), title="box", source="Huang 2024 S5; Mazurowski 2023 mode 5; Cheng 2023; MedSAM")
add_mode(
    "box_jitter10",
    box(jitter=0.1),
    title="box, 10 % jitter",
    source="Cheng 2023 (jittered boxes); MedSAM enlarges its boxes by 0-20 px at 1024",
)
add_mode("box_point", box(center_point=True), title="box + point", source="Huang 2024 S6")
add_mode("boxes_parts", part_boxes(3), title="box per part", source="Mazurowski 2023 mode 4")
