"""What lies over a scene and belongs to nothing in it: threads, translucent bars, marks.

Vessels cross a disc, hairs a lesion, ribs a lung, and a scanner writes into its image; none of them is a hole in what
it crosses. So they change the image of a scene, and no mask.
"""

from __future__ import annotations

import numpy as np

from samstudy.pretrain.shapes import branches
from samstudy.pretrain.textures import smooth_field

KINDS = ("threads", "bars", "marks")
KIND_SHARES = (0.55, 0.3, 0.15)


def lay_over(rng: np.random.Generator, image: np.ndarray, contrast: float) -> np.ndarray:
    """Draw one kind of overlay onto painted values.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : numpy.ndarray, float32, H x W x 1 or 3
        Painted values, about [0, 1].
    contrast : float
        Of the scene; an overlay is between half and three times as strong.

    Returns
    -------
    numpy.ndarray, float32, H x W x 1 or 3
    """
    draw = {"threads": _threads, "bars": _bars, "marks": _marks}[rng.choice(KINDS, p=KIND_SHARES)]
    strength = contrast * np.exp(rng.uniform(np.log(0.5), np.log(3))) * rng.choice((-1, 1))
    tint = np.exp(rng.normal(0, 0.4, image.shape[2])) if rng.random() < 0.5 else np.ones(image.shape[2])
    return image + draw(rng, image.shape[:2])[..., None] * np.float32(strength) * tint.astype(np.float32)


def _threads(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Branching curves of changing strength, float32 H x W in [0, 1]."""
    thickness = max(size_hw) / 256 * np.exp(rng.uniform(np.log(0.7), np.log(5)))
    alpha = np.zeros(size_hw, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        shape = branches(rng, size_hw, thickness)
        alpha[shape.window] = np.maximum(alpha[shape.window], np.clip(shape.level, 0, 1))
    return alpha * np.clip(0.7 + 0.5 * smooth_field(rng, size_hw, rng.uniform(1, 4)), 0, 1)


def _bars(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Soft, bent, about parallel bars across the whole image, float32 H x W in [0, 1]."""
    rows = np.linspace(-1, 1, size_hw[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, size_hw[1], dtype=np.float32)[None, :]
    turn = rng.uniform(0, np.pi)
    across = np.float32(np.cos(turn)) * rows + np.float32(np.sin(turn)) * columns
    along = np.float32(np.sin(turn)) * rows - np.float32(np.cos(turn)) * columns
    bent = across + np.float32(rng.uniform(-0.4, 0.4)) * along**2
    bent = bent + np.float32(0.08) * smooth_field(rng, size_hw, rng.uniform(1, 4))
    wave = np.cos(bent * np.float32(np.pi * rng.uniform(2, 9)) + np.float32(rng.uniform(0, 6)))
    return np.clip((wave - np.float32(rng.uniform(-0.3, 0.6))) * np.float32(rng.uniform(1, 6)), 0, 1)


def _marks(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Short strokes side by side, as of writing or a ruler, float32 H x W in [0, 1]."""
    alpha = np.zeros(size_hw, np.float32)
    side = max(size_hw)
    for _ in range(int(rng.integers(1, 5))):
        height = max(2, int(side * rng.uniform(0.015, 0.05)))
        width = max(1, int(height * rng.uniform(0.1, 0.7)))
        row, column = (int(rng.integers(max(1, limit - height))) for limit in size_hw)
        for stroke in range(int(rng.integers(2, 12))):
            left = column + 2 * stroke * (width + 1)
            top = row + int(rng.integers(0, 1 + height // 2))
            alpha[top : row + height, left : left + width] = 1
    return alpha
