"""What a camera or a scanner does to a painted scene: light, blur, noise, resolution, tone, field of view."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from samstudy.pretrain.textures import smooth_field


def finish(rng: np.random.Generator, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn painted values into an image.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : numpy.ndarray, float32, H x W x 1 or 3
        Painted values, about [0, 1].

    Returns
    -------
    image : numpy.ndarray, uint8, H x W x 3
    field_of_view : numpy.ndarray, bool, H x W, or None
        Where a vignette leaves something to see; None without one.
    """
    scale = max(image.shape[:2]) / 256
    if rng.random() < 0.5:
        image = _illuminate(rng, image)
    if rng.random() < 0.5:
        sigma = scale * rng.uniform(0.3, 2.0)
        image = ndimage.gaussian_filter(image, (sigma, sigma, 0), truncate=2.5)
    if rng.random() < 0.12:
        image = _shade(rng, image)
    if rng.random() < 0.75:
        image = _add_noise(rng, image, scale)
    image = _tone(rng, image)
    view = _field_of_view(rng, image.shape[:2]) if rng.random() < 0.08 else None
    if view is not None:
        image = image * view[..., None]
    pixels = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        pixels = _lower_resolution(rng, pixels)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels, view


def _illuminate(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Multiply by a smooth field, up to a factor of about two."""
    light = smooth_field(rng, image.shape[:2], rng.uniform(1, 4)) * np.float32(rng.uniform(0.05, 0.35))
    return image * np.exp(light)[..., None]


def _shade(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Darken a few soft streaks that cross the image, as shadows and signal drop-outs do."""
    rows = np.linspace(-1, 1, image.shape[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, image.shape[1], dtype=np.float32)[None, :]
    light = np.ones(image.shape[:2], np.float32)
    for _ in range(int(rng.integers(1, 4))):
        slope, offset = rng.uniform(-0.7, 0.7), rng.uniform(-1, 1)
        distance = np.abs(columns - np.float32(slope) * rows - np.float32(offset))
        streak = np.clip(1 - distance / np.float32(rng.uniform(0.05, 0.3)), 0, 1)
        light *= 1 - np.float32(rng.uniform(0.3, 1)) * streak
    return image * light[..., None]


def _add_noise(rng: np.random.Generator, image: np.ndarray, scale: float) -> np.ndarray:
    """Additive, signal-dependent, speckle or Rician noise, white or correlated over a few pixels."""
    amount = np.float32(np.exp(rng.uniform(np.log(0.005), np.log(0.1))))
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < 0.4:
        sigma = scale * rng.uniform(0.4, 1.5)
        noise = ndimage.gaussian_filter(noise, (sigma, sigma * rng.uniform(0.5, 2), 0), truncate=2)
        noise /= noise.std() + np.float32(1e-6)
    kind = rng.integers(4)
    if kind == 0:
        return image + amount * noise
    if kind == 1:
        return image + amount * noise * np.sqrt(np.clip(image, 0, 1)) * 2
    if kind == 2:
        return image * np.abs(1 + 5 * amount * noise)
    second = rng.standard_normal(image.shape, dtype=np.float32)
    return np.hypot(image + amount * noise, amount * second)


def _tone(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Stretch to a window, bend by a gamma, sometimes invert."""
    if rng.random() < 0.6:
        low, high = np.percentile(image[::4, ::4], (rng.uniform(0, 3), rng.uniform(95, 100)))
        image = (image - low) / max(high - low, 0.1)
    image = np.clip(image, 0, 1)
    if rng.random() < 0.5:
        image = image ** np.float32(np.exp(rng.uniform(-0.6, 0.6)))
    return 1 - image if rng.random() < 0.1 else image


def _field_of_view(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """A centred disc that may be cut by the frame, bool H x W."""
    rows = np.arange(size_hw[0], dtype=np.float32)[:, None] - size_hw[0] / 2
    columns = np.arange(size_hw[1], dtype=np.float32)[None, :] - size_hw[1] / 2
    return np.hypot(rows, columns) < rng.uniform(0.45, 0.6) * max(size_hw)


def _lower_resolution(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Shrink and enlarge again, as a small image is when it is fed to the model."""
    height, width = pixels.shape[:2]
    factor = np.exp(rng.uniform(np.log(0.15), np.log(0.8)))
    small = (max(8, int(width * factor)), max(8, int(height * factor)))
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    picture = picture.resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(height, width, -1)
