"""A fundus camera: takes the photograph of a drawn eye.

Light falls unevenly on the retina and comes back through a pupil that clips it at the border; haze of the lens, blur,
shot noise and the sensor's saturation follow. The cameras of the four benchmarks differ in their parameters only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from samstudy.phantoms.fundus_eye import Eye, Traits, draw_eye
from samstudy.phantoms.fundus_tissue import Grid, make_grid, reflectance
from samstudy.phantoms.noise import smooth_noise


@dataclass(frozen=True)
class Camera:
    """A fundus camera and how it is used.

    Attributes
    ----------
    size_hw : tuple of int
        Height and width of the picture in pixels.
    px_per_mm : float
        Pixels per millimetre of retina.
    field_px : float
        Radius of the circular field of view; infinite where it is larger than the picture.
    gain : float
        Grey level of white under mean light: above 255 where the disc saturates.
    gain_sd : float
        Spread of the exposure between pictures, in parts of it.
    vignette, gradient : float
        Loss of light at the border of the field, and from one side to the other, in parts of the light.
    haze : float
        Greenish veil at the border, 0 to 1.
    blur_px : float
        Standard deviation of the optics' point spread.
    sharpening : float
        Of the camera's own processing: 0 for none.
    noise_levels : float
        Standard deviation of the noise in a mean grey.
    notch : {"", "round", "square"}
        Mark at the upper right of the field of view.
    cut_share : float
        Part of the field's height that the frame cuts off above and below.
    """

    size_hw: tuple[int, int]
    px_per_mm: float
    field_px: float
    gain: float
    gain_sd: float = 0.12
    vignette: float = 0.22
    gradient: float = 0.18
    haze: float = 0.5
    blur_px: float = 0.7
    sharpening: float = 0.0
    noise_levels: float = 2.0
    notch: str = ""
    cut_share: float = 0.0


@dataclass(frozen=True)
class Photograph:
    """A photograph of a drawn eye, and what is known of it.

    Attributes
    ----------
    image : numpy.ndarray, uint8, H x W x 3
    levels : numpy.ndarray, float32, H x W x 3
        Exposure before blur and noise, in grey levels.
    field : numpy.ndarray, bool, H x W
        Field of view.
    depth_px : numpy.ndarray, float32, H x W
        Distance of each pixel from the border of the field, positive inside.
    eye : Eye
    grid : Grid
        Where the pixels lie on the retina.
    """

    image: np.ndarray
    levels: np.ndarray
    field: np.ndarray
    depth_px: np.ndarray
    eye: Eye
    grid: Grid


def draw_fundus(
    rng: np.random.Generator, traits: Traits, camera: Camera, aim_mm: tuple[float, float], is_right: bool
) -> Photograph:
    """Draw an eye and take its photograph.

    Parameters
    ----------
    rng : numpy.random.Generator
    traits : Traits
        What the eyes of the benchmark are like.
    camera : Camera
    aim_mm : tuple of float
        Point of the eye at the middle of the picture: (x, y), x temporal, from the centre of the disc.
    is_right : bool

    Returns
    -------
    Photograph
    """
    half = math.hypot(*camera.size_hw) / 2
    reach_mm = min(half, camera.field_px + 12) / camera.px_per_mm
    eye = draw_eye(rng, traits, is_right, aim_mm, reach_mm)
    return photograph(rng, eye, camera, aim_mm)


def photograph(rng: np.random.Generator, eye: Eye, camera: Camera, aim_mm: tuple[float, float]) -> Photograph:
    """Take a photograph of an eye; the random generator gives textures, exposure and noise."""
    grid = make_grid(camera.size_hw, camera.px_per_mm, aim_mm, eye.is_right)
    field, depth_px = _field(rng, camera)
    exposed = _exposed(rng, reflectance(rng, eye, grid), camera, depth_px)
    image = develop(rng, exposed, camera, depth_px)
    return Photograph(image, exposed, field, depth_px, eye, grid)


def _field(rng: np.random.Generator, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Field of view, and the distance (px) of each pixel from its border, positive inside."""
    height, width = camera.size_hw
    if math.isinf(camera.field_px):
        return np.ones(camera.size_hw, bool), np.full(camera.size_hw, np.inf, np.float32)
    shift = rng.uniform(-3, 3, 2).tolist()
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x - (width - 1) / 2 - shift[0], y - (height - 1) / 2 - shift[1]
    depth = camera.field_px - np.hypot(x, y)
    if camera.cut_share:
        depth = np.minimum(depth, camera.field_px * (1 - 2 * camera.cut_share) - np.abs(y))
    if camera.notch:
        along = (x - y) / math.sqrt(2) - 0.985 * camera.field_px
        beside = (x + y) / math.sqrt(2)
        half = 0.047 * camera.field_px
        reach = (
            np.hypot(along, beside) if camera.notch == "round" else np.maximum(np.abs(along), np.abs(beside))
        )
        depth = np.maximum(depth, half - reach)
    return depth > 0, depth


def _exposed(
    rng: np.random.Generator, reflected: np.ndarray, camera: Camera, depth_px: np.ndarray
) -> np.ndarray:
    """Grey levels under uneven light, with the veil at the border, before blur and noise."""
    height, width = camera.size_hw
    half = min(camera.field_px, max(height, width) / 2)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = (x - (width - 1) / 2) / half, (y - (height - 1) / 2) / half
    direction = rng.uniform(0, 2 * math.pi)
    tilt = rng.uniform(0.3, 1.0) * camera.gradient * (x * math.cos(direction) + y * math.sin(direction))
    uneven = 0.04 * smooth_noise(rng, camera.size_hw, 0.6 * half)
    light = (1 - camera.vignette * (x**2 + y**2) + tilt + uneven) * rng.lognormal(0, camera.gain_sd)
    levels = camera.gain * light[..., None] * reflected
    if camera.haze:
        veil_direction = rng.uniform(0, 2 * math.pi)
        off_centre = np.hypot(x + 0.18 * math.cos(veil_direction), y + 0.18 * math.sin(veil_direction))
        veil = camera.haze * np.clip((off_centre - 0.62) / 0.5, 0, 1)[..., None] ** 1.5
        colour = camera.gain * light.mean() * np.array((0.42, 0.36, 0.22), np.float32)
        levels = levels * (1 - veil) + colour * veil
    glow = np.exp(-((np.minimum(depth_px, 60) / 2.2) ** 2))
    return np.maximum(levels * (1 + 0.25 * glow[..., None]), 0)


def develop(rng: np.random.Generator, levels: np.ndarray, camera: Camera, depth_px: np.ndarray) -> np.ndarray:
    """Turn exposure into a picture: blur, field stop, saturation, noise, sharpening.

    Parameters
    ----------
    rng : numpy.random.Generator
    levels : numpy.ndarray, float32, H x W x 3
        Grey levels, 255 for full scale; above it the sensor saturates.
    camera : Camera
    depth_px : numpy.ndarray, H x W
        Distance from the border of the field of view.

    Returns
    -------
    numpy.ndarray, uint8, H x W x 3
    """
    stop = 1 / (1 + np.exp(-np.clip(depth_px, -20, 20) / 0.6))
    levels = levels * stop[..., None]
    blurred = ndimage.gaussian_filter(levels, (camera.blur_px, camera.blur_px, 0))
    knee = 225.0
    high = blurred > knee
    blurred[high] = knee + 34 * np.tanh((blurred[high] - knee) / 60)
    shared = smooth_noise(rng, levels.shape[:2], 1.1)[..., None]
    own = ndimage.gaussian_filter(rng.standard_normal(levels.shape, np.float32), (0.45, 0.45, 0))
    own /= own.std()
    spread = camera.noise_levels * np.sqrt((blurred + 40) / 140)
    noisy = blurred + spread * (0.6 * shared + 0.8 * own)
    if camera.sharpening:
        noisy += camera.sharpening * (blurred - ndimage.gaussian_filter(blurred, (1.6, 1.6, 0)))
    return np.clip(np.rint(noisy + 2.5 * (1 - stop[..., None])), 0, 255).astype(np.uint8)
