"""Prompts for training: boxes, points and corrections, simulated from the masks of a scene.

:class:`SceneDataset` draws a scene and its prompts in a worker; :func:`next_click` places refinement clicks
where the current mask is wrong.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from samstudy.pretrain.leaves import Scene, draw_scene
from samstudy.seeds import rng_for

N_POINTS = 5
N_ALTERNATES = 2
TIGHT_SHARE = 0.7  # of the boxes
INTERIOR_SHARE = 0.75  # of the first points
LOW_RES_STRIDE = 2


class SceneDataset(torch.utils.data.Dataset):
    """Scenes with prompts; item ``i`` depends on the seed, ``i`` and the size only.

    Parameters
    ----------
    seed : int
    first, last : int
        Range of scene numbers, the end excluded.
    image_size : int
        Side of the padded square input in pixels.
    n_targets : int
        Objects prompted in each scene.
    split : str
        ``"train"`` or ``"heldout"``.
    """

    def __init__(
        self, seed: int, first: int, last: int, image_size: int, n_targets: int, split: str = "train"
    ) -> None:
        self.seed, self.first, self.last = seed, first, last
        self.image_size, self.n_targets, self.split = image_size, n_targets, split

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        """Return the arrays of :func:`prompted_scene` as tensors."""
        index = self.first + item
        scene = draw_scene(self.seed, index, self.image_size, self.split)
        rng = rng_for(self.seed, "prompts", self.split, index)
        arrays = prompted_scene(scene, rng, self.image_size, self.n_targets)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def prompted_scene(
    scene: Scene, rng: np.random.Generator, image_size: int, n_targets: int
) -> dict[str, np.ndarray]:
    """Choose objects of a scene and simulate prompts for them.

    Returns
    -------
    dict
        ``image`` uint8 3 x S x S, padded right and below with 0; ``size_hw`` int64 2, without padding;
        ``targets`` uint8 K x (1 + 2) x S/2 x S/2 in quarters (4 = wholly inside): the object asked for and
        up to two other objects under its first positive point; ``exists`` bool K x 3;
        ``boxes`` float32 K x 4 (x0 y0 x1 y1, last pixels); ``positive`` and ``negative``
        float32 K x 5 x 2 (x, y). All coordinates are pixels of the input.
    """
    height, width = scene.node_map.shape
    image = np.zeros((3, image_size, image_size), np.uint8)
    image[:, :height, :width] = scene.image.transpose(2, 0, 1)
    masks = [scene.mask(i) for i in range(len(scene.members))] or [scene.node_map >= 0]
    weights = scene.weights if len(scene.weights) else np.ones(1)
    repeat = len(masks) < n_targets
    chosen = rng.choice(len(masks), n_targets, replace=repeat, p=weights / weights.sum())
    low_res = {}
    targets = np.zeros((n_targets, 1 + N_ALTERNATES, *2 * (image_size // LOW_RES_STRIDE,)), np.uint8)
    exists = np.zeros((n_targets, 1 + N_ALTERNATES), bool)
    boxes = np.zeros((n_targets, 4), np.float32)
    positive = np.zeros((n_targets, N_POINTS, 2), np.float32)
    negative = np.zeros_like(positive)
    for k, index in enumerate(chosen):
        mask = masks[index]
        boxes[k] = jittered_box(mask, rng)
        positive[k], negative[k] = positive_points(mask, rng), negative_points(mask, boxes[k], rng)
        x, y = positive[k, 0].astype(int)
        others = [i for i in range(len(masks)) if i != index and masks[i][y, x]]
        rng.shuffle(others)
        for slot, i in enumerate([index, *others[:N_ALTERNATES]]):
            if i not in low_res:
                low_res[i] = _quarters(masks[i], image_size)
            targets[k, slot], exists[k, slot] = low_res[i], True
    return {
        "image": image,
        "size_hw": np.array([height, width]),
        "targets": targets,
        "exists": exists,
        "boxes": boxes,
        "positive": positive,
        "negative": negative,
    }


def _quarters(mask: np.ndarray, image_size: int) -> np.ndarray:
    """Count the mask's pixels in each 2 x 2 cell of the padded input, uint8 S/2 x S/2."""
    padded = np.zeros((image_size, image_size), np.uint8)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]


def jittered_box(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tight box in ``TIGHT_SHARE`` of the draws; else each edge moves by N(0, 10 % of the side), at most 20 px.

    Parameters
    ----------
    mask : numpy.ndarray, bool, H x W
        Not empty.

    Returns
    -------
    numpy.ndarray, float32, 4
        x0 y0 x1 y1 inside the image.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.array([columns[0], rows[0], columns[-1], rows[-1]], np.float32)
    if rng.random() < TIGHT_SHARE:
        return box
    side = np.array([box[2] - box[0] + 1, box[3] - box[1] + 1] * 2)
    moved = box + np.clip(rng.normal(0, 0.1 * side), -20, 20)
    limit = np.array([mask.shape[1] - 1, mask.shape[0] - 1])
    corner = np.clip(moved[:2], 0, limit)
    return np.concatenate([corner, np.clip(moved[2:], corner, limit)]).astype(np.float32)


def positive_points(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Five points in a mask, float32 5 x 2 (x, y); the first mostly its most interior one."""
    rows, columns = np.nonzero(mask)
    pick = rng.integers(len(rows), size=N_POINTS)
    points = np.stack([columns[pick], rows[pick]], axis=1).astype(np.float32)
    if rng.random() < INTERIOR_SHARE:
        row0, column0 = rows.min(), columns.min()
        crop = np.pad(mask[row0 : rows.max() + 1, column0 : columns.max() + 1], 1)
        depth = ndimage.distance_transform_edt(crop)
        row, column = np.unravel_index(np.argmax(depth), depth.shape)
        points[0] = column + column0 - 1, row + row0 - 1
    return points


def negative_points(mask: np.ndarray, box_xyxy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Five points outside a mask, float32 5 x 2 (x, y): most of them near its box, the others anywhere.

    For a mask that fills the image they repeat a corner.
    """
    height, width = mask.shape
    reach = 0.35 * (box_xyxy[2:] - box_xyxy[:2]) + 3
    low, high = box_xyxy[:2] - reach, box_xyxy[2:] + reach
    near = rng.uniform(low, high, (24, 2))
    anywhere = rng.uniform(0, (width, height), (12, 2))
    tries = np.concatenate([near, anywhere])[rng.permutation(36)]
    tries = np.clip(np.round(tries), 0, (width - 1, height - 1)).astype(int)
    outside = tries[~mask[tries[:, 1], tries[:, 0]]]
    if not len(outside):
        rows, columns = np.nonzero(~mask)
        outside = np.stack([columns, rows], axis=1)[:1] if len(rows) else np.zeros((1, 2), int)
    return outside[np.arange(N_POINTS) % len(outside)].astype(np.float32)


def next_click(logits: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Place one click per prompt in the region where mask and target differ.

    Half of the clicks go to the middle of the largest error (the maximum of the smoothed error map), half to
    a random wrong pixel.

    Parameters
    ----------
    logits : Tensor
        N x h x w at half the side of the input.
    target : Tensor
        N x h x w in [0, 1].
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    points : Tensor
        N x 1 x 2 (x, y) in pixels of the input.
    labels : Tensor
        N x 1; 1 where something is missing, 0 where something is too much. Without any error the most
        certain pixel of the target.
    """
    n, height, width = logits.shape
    inside = target > 0.5
    wrong = ((logits > 0) != inside).float()
    wrong = torch.where(wrong.flatten(1).any(1)[:, None, None], wrong, inside.float())
    smooth = sum(_box_mean(wrong, k) for k in (3, 9, 21)) * wrong
    largest = (smooth + 1e-6 * wrong).flatten(1).argmax(1)
    noise = torch.rand(n, height * width, generator=generator).to(logits.device)
    anyone = (wrong.flatten(1) * (0.01 + noise)).argmax(1)
    use_largest = (torch.rand(n, generator=generator) < 0.5).to(logits.device)
    where = torch.where(use_largest, largest, anyone)
    labels = inside.flatten(1).gather(1, where[:, None]).long()
    xy = torch.stack([where % width, where // width], dim=1).float()
    return (xy * LOW_RES_STRIDE + (LOW_RES_STRIDE - 1) / 2)[:, None], labels


def _box_mean(maps: Tensor, k: int) -> Tensor:
    """Mean over k x k pixels (zeros beyond the border), N x h x w, from summed-area tables; ``k`` is odd."""
    before, after = k // 2 + 1, k // 2
    table = F.pad(maps, (before, after, before, after)).cumsum(1).cumsum(2)
    return (table[:, k:, k:] - table[:, :-k, k:] - table[:, k:, :-k] + table[:, :-k, :-k]) / k**2
