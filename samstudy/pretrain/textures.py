"""Textures that fill the leaves of a scene: flat, gradient, stripes, noise and crops of natural photographs.

The photographs are the public-domain ones inside scikit-image's package (astronaut, brick, camera, chelsea,
coffee, coins, grass, gravel, moon, rocket); none is medical.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage
from skimage import data

PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "moon",
    "rocket",
)
BANK_SIDE = 512
_SPECTRA = (0.0, 0.6, 1.0, 1.4, 1.8, 2.4)
_KINDS = ("flat", "gradient", "stripes", "noise", "photograph")
_KIND_WEIGHTS = (0.24, 0.12, 0.08, 0.28, 0.28)


@lru_cache(maxsize=1)
def photograph_bank() -> tuple[np.ndarray, ...]:
    """Photographs as float32 H x W x 3 of zero mean and unit deviation over the whole image."""
    bank = []
    for name in PHOTOGRAPHS:
        image = np.asarray(getattr(data, name)(), np.float32)
        image = image[..., :3] if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        bank.append((image - image.mean()) / image.std())
    return tuple(bank)


@lru_cache(maxsize=1)
def noise_bank() -> tuple[np.ndarray, ...]:
    """Periodic noise fields of power spectrum 1/f^(2 a), float32 512 x 512, zero mean, unit deviation."""
    rng = np.random.default_rng(20230508)
    frequency = np.hypot(np.fft.fftfreq(BANK_SIDE)[:, None], np.fft.rfftfreq(BANK_SIDE)[None, :])
    frequency[0, 0] = 1
    bank = []
    for exponent in _SPECTRA:
        spectrum = np.fft.rfft2(rng.standard_normal((BANK_SIDE, BANK_SIDE))) / frequency**exponent
        spectrum[0, 0] = 0
        field = np.fft.irfft2(spectrum, s=(BANK_SIDE, BANK_SIDE)).astype(np.float32)
        bank.append(field / field.std())
    return tuple(bank)


def smooth_field(rng: np.random.Generator, size_hw: tuple[int, int], cells: float) -> np.ndarray:
    """Random smooth surface with about ``cells`` undulations across, float32 H x W, about unit deviation."""
    n = max(3, int(np.ceil(cells)) + 2)
    coarse = rng.standard_normal((n, n)).astype(np.float32)
    rows = np.linspace(1.0, n - 2.0, size_hw[0], dtype=np.float32)
    columns = np.linspace(1.0, n - 2.0, size_hw[1], dtype=np.float32)
    filtered = ndimage.spline_filter(coarse, order=3, output=np.float32)
    return _cubic_grid(filtered, rows) @ _cubic_grid(filtered.T, columns, matrix_only=True).T


def _cubic_grid(coefficients: np.ndarray, positions: np.ndarray, matrix_only: bool = False) -> np.ndarray:
    """B-spline weights of ``positions`` (P x n), applied to the coefficients unless ``matrix_only``."""
    distance = np.abs(positions[:, None] - np.arange(coefficients.shape[0], dtype=np.float32)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    weights = np.where(distance < 1, near, far).astype(np.float32)
    return weights if matrix_only else weights @ coefficients


def sample_texture(rng: np.random.Generator, size_hw: tuple[int, int], scale: float) -> np.ndarray:
    """Draw a texture of zero mean and about unit deviation.

    Parameters
    ----------
    rng : numpy.random.Generator
    size_hw : tuple of int
        Height and width in pixels.
    scale : float
        Pixels of this scene per pixel of a 256-pixel scene; keeps grain alike at any size.

    Returns
    -------
    numpy.ndarray
        float32 H x W x 1, or H x W x 3 for a photograph.
    """
    kind = rng.choice(_KINDS, p=_KIND_WEIGHTS)
    if kind == "flat":
        return np.zeros((*size_hw, 1), np.float32)
    if kind == "gradient":
        return _ramp(rng, size_hw)[..., None] * np.float32(rng.uniform(0.5, 1.0))
    if kind == "stripes":
        return _stripes(rng, size_hw, scale)[..., None]
    if kind == "noise":
        bank = noise_bank()
        return _crop(rng, bank[rng.integers(len(bank))][..., None], size_hw, rng.uniform(0.5, 3) / scale)
    bank = photograph_bank()
    crop = _crop(rng, bank[rng.integers(len(bank))], size_hw, rng.uniform(0.5, 4) / scale)
    return crop - crop.mean(axis=(0, 1))


def _ramp(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Linear ramp in a random direction, in [-1.7, 1.7]."""
    angle = rng.uniform(0, 2 * np.pi)
    rows = np.linspace(-1, 1, size_hw[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, size_hw[1], dtype=np.float32)[None, :]
    return np.float32(1.2 * np.sin(angle)) * rows + np.float32(1.2 * np.cos(angle)) * columns


def _stripes(rng: np.random.Generator, size_hw: tuple[int, int], scale: float) -> np.ndarray:
    """Sine stripes with a period of 4 to 40 pixels of a 256-pixel scene."""
    period = scale * np.exp(rng.uniform(np.log(4), np.log(40)))
    angle = rng.uniform(0, np.pi)
    rows = np.arange(size_hw[0], dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    columns = np.arange(size_hw[1], dtype=np.float32)[None, :] * np.float32(np.cos(angle))
    phase = np.float32(rng.uniform(0, 2 * np.pi))
    return np.sin((rows + columns) * np.float32(2 * np.pi / period) + phase) * np.float32(1.4)


def _crop(rng: np.random.Generator, source: np.ndarray, size_hw: tuple[int, int], step: float) -> np.ndarray:
    """Nearest-neighbour crop of ``source`` read every ``step`` pixels, mirrored randomly, wrapped round."""
    row0, column0 = rng.integers(source.shape[0]), rng.integers(source.shape[1])
    flips = rng.integers(0, 2, 2) * 2 - 1
    rows = (row0 + flips[0] * step * np.arange(size_hw[0])).astype(np.int64) % source.shape[0]
    columns = (column0 + flips[1] * step * np.arange(size_hw[1])).astype(np.int64) % source.shape[1]
    crop = source[rows[:, None], columns[None, :]]
    return crop.transpose(1, 0, 2) if rng.random() < 0.5 and size_hw[0] == size_hw[1] else crop
