"""What a threshold gives: the simplest answer that looks at the image and learns nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from skimage.filters import threshold_otsu

from samstudy.images.display import check_image
from samstudy.inference import Embedding
from samstudy.told import as_told, box_slices, pixels_of
from samstudy.types import Prediction, Prompt

if TYPE_CHECKING:
    from samstudy.datasets import Dataset

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


class OtsuModel:
    """Otsu's threshold of the grey values in the box; for points, the component of the whole image's threshold.

    In a box, the threshold is that of the box alone, and the foreground is the side that is more frequent in the
    middle of the box (its central half in each direction) than in the rest of it. For points alone the threshold is
    that of the whole image, the foreground the side on which the first positive point lies, and of its 8-connected
    components those are kept in which a positive point lies. Without a prompt (``automatic``, everything mode) the box
    is the image. The reference is never looked at.

    Notes
    -----
    Grey is the luminance 0.299 R + 0.587 G + 0.114 B. A box of one grey value is all foreground. It makes one mask (the
    mask choice ``single``) and no estimate of its IoU. Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9(1),
    1979; the threshold is scikit-image's.
    """

    name = "otsu"
    weights_sha = ""
    encoder_sha = ""
    tuning = "none"
    shots = 0
    fold = 0
    uses_image = True
    one_mask = True
    image_size = 0

    def prepare(self, dataset: Dataset) -> None:
        """Nothing to learn."""

    def embed(self, image: np.ndarray) -> Embedding:
        """Keep the grey values, float32 1 x 1 x H x W."""
        check_image(image)
        grey = torch.from_numpy(image.astype(np.float32) @ _LUMINANCE)
        return Embedding(grey[None, None], image.shape[:2], image.shape[:2])

    def predict(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Prediction]:
        """Threshold once per prompt; a composite prompt gives the union over its parts."""
        grey = embedding.features[0, 0].numpy()
        return [
            Prediction(self._mask(grey, prompt)[None], np.full(1, np.nan, np.float32)) for prompt in prompts
        ]

    def _mask(self, grey: np.ndarray, prompt: Prompt) -> np.ndarray:
        if prompt.parts:
            return np.logical_or.reduce([self._mask(grey, part) for part in prompt.parts])
        if prompt.box_xyxy is None and not prompt.points_per_side:
            return as_told(_side_of_the_point(grey, prompt), prompt)
        box = prompt.box_xyxy
        area = (slice(None), slice(None)) if box is None else box_slices(box, grey.shape)
        mask = np.zeros(grey.shape, bool)
        mask[area] = foreground(grey[area])
        return as_told(mask, prompt)


def _side_of_the_point(grey: np.ndarray, prompt: Prompt) -> np.ndarray:
    inside = prompt.points_xy[prompt.point_labels == 1]
    if not len(inside):
        return np.zeros(grey.shape, bool)
    bright = grey > _threshold(grey)
    columns, rows = pixels_of(inside[:1], grey.shape)
    return bright == bright[rows[0], columns[0]]


def foreground(grey: np.ndarray) -> np.ndarray:
    """Otsu's threshold of a crop, and the side of it that is more frequent in the middle than around it.

    Parameters
    ----------
    grey : numpy.ndarray, float32, h x w
        At least one pixel.

    Returns
    -------
    numpy.ndarray, bool, h x w
        The brighter side where both are as frequent; all of it where there is one grey value.
    """
    if grey.min() == grey.max():
        return np.ones(grey.shape, bool)
    bright = grey > _threshold(grey)
    middle = np.zeros(grey.shape, bool)
    middle[tuple(slice(n // 4, n - n // 4) for n in grey.shape)] = True
    if middle.all() or bright[middle].mean() >= bright[~middle].mean():
        return bright
    return ~bright


def _threshold(grey: np.ndarray) -> float:
    return float(grey.min()) if grey.min() == grey.max() else float(threshold_otsu(grey))
