"""Gaussian noise with a scale, in a plane and along a line: the textures of every drawn tissue begin with it."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from scipy import ndimage


def smooth_noise(rng: np.random.Generator, size_hw: tuple[int, int], scale_px: float) -> np.ndarray:
    """Gaussian noise of unit variance whose features are about ``scale_px`` wide, float32, H x W."""
    if scale_px < 3:
        fine = ndimage.gaussian_filter(rng.standard_normal(size_hw, np.float32), scale_px / 2)
        return fine / fine.std()
    shape = [math.ceil(side / scale_px) + 4 for side in size_hw]
    coarse = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), 0.6)
    coarse /= coarse.std()
    left, top = rng.uniform(0.5, 1.5, 2)
    box = (left, top, left + size_hw[1] / scale_px, top + size_hw[0] / scale_px)
    return np.asarray(Image.fromarray(coarse).resize(size_hw[::-1], Image.Resampling.BICUBIC, box))


def smooth_line(rng: np.random.Generator, n: int, sigma: float) -> np.ndarray:
    """Gaussian noise of unit variance along a line, correlated over ``sigma`` samples."""
    pad = int(4 * sigma) + 1
    noise = ndimage.gaussian_filter1d(rng.standard_normal(n + 2 * pad), sigma)[pad:-pad]
    return noise * np.sqrt(2 * np.sqrt(np.pi) * sigma)
