"""What one scores without looking at the image: the shape that a prompt from the reference gives away."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from samstudy.errors import DataError
from samstudy.images.display import check_image
from samstudy.inference import Embedding
from samstudy.types import Prediction, Prompt, target_of

if TYPE_CHECKING:
    from samstudy.datasets import Dataset

FALLBACK_AREA_FRACTION = 0.05
_MOST_TRAINING_IMAGES = 50


class EllipseModel:
    """The ellipse inscribed in the box; for points alone, a disc of the median training size.

    A box drawn around the reference leaks its position, size and much of its shape, so that every prompted
    score is to be read beside this one. With points only, the disc is centred on the mean of the positive
    points; its area is the median, over the training objects of the same target, of the fraction of the
    image they cover. Before :meth:`prepare`, or for a target that training does not have, the fraction is 0.05.
    In everything mode, which has no prompt, the disc lies in the middle of the image.

    Notes
    -----
    It makes one candidate (the mask choice ``single``) and no estimate of its IoU. Negative points and mask inputs
    do not move it: clicks on its own errors shift the disc to the mean of the positive ones.
    """

    name = "ellipse"
    weights_sha = ""
    encoder_sha = ""
    tuning = "none"
    shots = 0
    fold = 0
    uses_image = False
    image_size = 0

    def __init__(self) -> None:
        self.area_fraction: dict[str, float] = {}

    def prepare(self, dataset: Dataset) -> None:
        """Learn the median size of each target from the training split.

        At most 50 training images are read, evenly spaced; where a set has no training split, all its
        images stand in for it. Images that cannot be read are passed over: the evaluation reports them.
        """
        ids = dataset.ids("train") or dataset.ids("all")
        step = max(1, math.ceil(len(ids) / _MOST_TRAINING_IMAGES))
        fractions = defaultdict(list)
        for image_id in ids[::step]:
            try:
                sample = dataset.load(image_id)
            except DataError:
                continue
            for label, mask in sample.labels.items():
                if mask.any():
                    fractions[target_of(label)].append(float(mask.mean()))
        self.area_fraction = {target: float(np.median(values)) for target, values in fractions.items()}

    def embed(self, image: np.ndarray) -> Embedding:
        """Remember the size of the image and nothing else."""
        check_image(image)
        return Embedding(None, image.shape[:2], image.shape[:2])

    def predict(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Prediction]:
        """Draw one ellipse or disc per prompt; a composite prompt gives the union over its parts."""
        return [self._one(prompt, embedding.size_hw) for prompt in prompts]

    def _one(self, prompt: Prompt, size_hw: tuple[int, int]) -> Prediction:
        masks = [self._shape(part, size_hw) for part in (prompt.parts or (prompt,))]
        united = np.logical_or.reduce(masks)
        return Prediction(united[None], np.full(1, np.nan, np.float32))

    def _shape(self, prompt: Prompt, size_hw: tuple[int, int]) -> np.ndarray:
        if prompt.box_xyxy is not None:
            return inscribed_ellipse(prompt.box_xyxy, size_hw)
        inside = prompt.points_xy[prompt.point_labels == 1]
        if prompt.points_per_side:
            inside = np.array([[size_hw[1] - 1, size_hw[0] - 1]]) / 2
        if not len(inside):
            return np.zeros(size_hw, bool)
        fraction = self.area_fraction.get(prompt.target, FALLBACK_AREA_FRACTION)
        # The last pixel of a box belongs to it, so a disc of radius r spans r - 1/2 to each side of its centre.
        reach_px = max(0.0, math.sqrt(fraction * size_hw[0] * size_hw[1] / math.pi) - 0.5)
        x, y = inside.mean(axis=0)
        return inscribed_ellipse(np.array([x - reach_px, y - reach_px, x + reach_px, y + reach_px]), size_hw)


def inscribed_ellipse(box_xyxy: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Rasterise the ellipse inscribed in a box whose last row and column belong to it.

    Parameters
    ----------
    box_xyxy : numpy.ndarray, 4
        Left, top, right, bottom in pixels, inclusive: a one-pixel object has left = right.
    size_hw : tuple of int
        Image size; what lies outside is cut off.

    Returns
    -------
    numpy.ndarray, bool, H x W
        Pixels whose centre lies in the ellipse; a box of one pixel gives that pixel.
    """
    left, top, right, bottom = map(float, box_xyxy)
    y, x = np.ogrid[: size_hw[0], : size_hw[1]]
    across = (x - (left + right) / 2) / ((right - left + 1) / 2)
    down = (y - (top + bottom) / 2) / ((bottom - top + 1) / 2)
    return across**2 + down**2 <= 1
