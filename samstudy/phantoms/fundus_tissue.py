"""What each point of a drawn eye reflects: background, fovea, atrophy, disc and cup, vessels, lesions.

Layers are laid over one another from the choroid forwards. Reflectances are (R, G, B) in parts of a white
reference; blood absorbs along the chord of the vessel (Beer-Lambert), so that thin vessels fade by themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from samstudy.phantoms.fundus_eye import Eye, Spots
from samstudy.phantoms.fundus_stamps import beads, chords, reflexes, spots
from samstudy.phantoms.noise import smooth_noise

_RIM_RGB = np.array((0.90, 0.57, 0.33), np.float32)
_CUP_RGB = np.array((0.97, 0.87, 0.58), np.float32)
_DISC_REACH_MM = 2.2
_ABSORPTION_PER_MM = {"vein": 13.0, "artery": 12.0}
_BLOOD = {
    "vein": np.array((0.66, 0.50, 0.56), np.float32),
    "artery": np.array((0.84, 0.60, 0.60), np.float32),
}
"""Colour of an opaque vessel in parts of the background's."""


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a picture lie on the retina.

    Attributes
    ----------
    x_mm, y_mm : numpy.ndarray, float32, H x W
        Position of each pixel in the frame of the eye.
    px_per_mm : float
    aim_mm : tuple of float
        Point of the eye at the middle of the picture.
    is_right : bool
        x runs to the left in the picture.
    """

    x_mm: np.ndarray
    y_mm: np.ndarray
    px_per_mm: float
    aim_mm: tuple[float, float]
    is_right: bool

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.x_mm.shape

    def window(self, reach_mm: float) -> tuple[slice, slice]:
        """Rows and columns of what lies within a distance of the disc's centre along either axis, maybe none."""
        near = (
            np.flatnonzero(np.abs(self.y_mm[:, 0]) < reach_mm),
            np.flatnonzero(np.abs(self.x_mm[0]) < reach_mm),
        )
        rows, columns = (slice(i[0], i[-1] + 1) if len(i) else slice(0) for i in near)
        return rows, columns

    def to_px(self, points_mm: np.ndarray) -> np.ndarray:
        """Turn N x 2 points (x, y) of the eye into pixels."""
        height, width = self.size_hw
        flip = np.array((-1.0 if self.is_right else 1.0, 1.0))
        return (np.asarray(points_mm) - self.aim_mm) * flip * self.px_per_mm + (
            (width - 1) / 2,
            (height - 1) / 2,
        )


def make_grid(
    size_hw: tuple[int, int], px_per_mm: float, aim_mm: tuple[float, float], is_right: bool
) -> Grid:
    """Lay a pixel grid over the retina; see ``Grid``."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]].astype(np.float32)
    x_mm = (x - (size_hw[1] - 1) / 2) / px_per_mm * (-1 if is_right else 1) + aim_mm[0]
    return Grid(x_mm, (y - (size_hw[0] - 1) / 2) / px_per_mm + aim_mm[1], px_per_mm, aim_mm, is_right)


def reflectance(rng: np.random.Generator, eye: Eye, grid: Grid) -> np.ndarray:
    """Draw the eye as it would look under even white light, through perfect optics.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of the textures.
    eye : Eye
    grid : Grid

    Returns
    -------
    numpy.ndarray, float32, H x W x 3
        About 0 to 1.1.
    """
    level = eye.disc.level(grid.x_mm, grid.y_mm)
    angle = np.arctan2(grid.y_mm, grid.x_mm)
    retina = _background(rng, eye, grid)
    _add_fovea(rng, eye, grid, retina)
    _add_fibres(rng, retina, level, angle)
    _add_atrophy(rng, eye, grid, retina, level, angle)
    picture = _with_disc(rng, eye, grid, retina, level, angle)
    bright = [spot for spot in eye.lesions if not spot.relative]
    for spot in bright:
        _add_spots(spot, grid, picture)
    _add_vessels(eye, grid, picture, retina)
    for spot in eye.lesions:
        if spot.relative:
            _add_spots(spot, grid, picture)
    return picture


def _background(rng: np.random.Generator, eye: Eye, grid: Grid) -> np.ndarray:
    """Pigment epithelium with its grain and patches, and the choroidal vessels that shine through."""
    size, scale = grid.size_hw, grid.px_per_mm
    patches = smooth_noise(rng, size, 2.2 * scale) + 0.5 * smooth_noise(rng, size, 0.7 * scale)
    grain = smooth_noise(rng, size, 0.12 * scale) + 0.8 * smooth_noise(rng, size, 0.05 * scale)
    stripes = np.tanh(sum(_streaks(rng, grid, eye.stripes_rad + turn) for turn in (-0.35, 0.35)))
    where = 1 / (1 + np.exp(-1.5 * smooth_noise(rng, size, 2.6 * scale) - 0.3))
    fovea = np.hypot(grid.x_mm - eye.fovea_mm[0], grid.y_mm - eye.fovea_mm[1])
    stripes *= eye.tessellation * where * (1 - 0.8 * np.exp(-((fovea / 1.3) ** 2)))
    shade = [0.045, 0.055, 0.06]
    colour = [0.085, 0.12, 0.10]
    return np.stack(
        [
            value * np.exp(shade[c] * patches + 0.014 * grain + colour[c] * stripes)
            for c, value in enumerate(eye.retina_rgb)
        ],
        axis=-1,
    ).astype(np.float32)


def _streaks(rng: np.random.Generator, grid: Grid, direction: float) -> np.ndarray:
    """Long wavy streaks of zero mean: choroidal vessels between columns of pigment, 0.25 mm wide."""
    size, scale = grid.size_hw, grid.px_per_mm
    bend = 0.30 * smooth_noise(rng, size, 1.6 * scale)
    across = grid.x_mm * math.cos(direction) + grid.y_mm * math.sin(direction) + bend
    along = grid.y_mm * math.cos(direction) - grid.x_mm * math.sin(direction)
    texture = ndimage.gaussian_filter(rng.standard_normal((128, 64), np.float32), 0.55, mode="wrap")
    places = np.stack([(across / 0.21) % 128, (along / 1.4) % 64])
    return ndimage.map_coordinates(texture / texture.std(), places, order=1, mode="grid-wrap")


def _add_fovea(rng: np.random.Generator, eye: Eye, grid: Grid, retina: np.ndarray) -> None:
    """Darken the macula: luteal pigment takes blue and green, taller epithelium the rest."""
    distance = np.hypot(grid.x_mm - eye.fovea_mm[0], 1.1 * (grid.y_mm - eye.fovea_mm[1]))
    depth = rng.uniform(0.7, 1.2)
    wide, narrow = np.exp(-((distance / 0.95) ** 2)), np.exp(-((distance / 0.36) ** 2))
    for channel, (broad, core) in enumerate(((0.14, 0.07), (0.22, 0.12), (0.20, 0.10))):
        retina[..., channel] *= 1 - depth * (broad * wide + core * narrow)


def _add_fibres(rng: np.random.Generator, retina: np.ndarray, level: np.ndarray, angle: np.ndarray) -> None:
    """Sheen of the nerve fibre layer: streaks that leave the disc above and below."""
    turns = rng.normal(0, 1, 180)
    streaks = np.interp(angle, np.linspace(-math.pi, math.pi, 180), ndimage.gaussian_filter1d(turns, 0.8))
    fade = np.exp(-((np.maximum(level - 1, 0) / 1.3) ** 2)) * (0.35 + 0.65 * np.abs(np.sin(angle)))
    retina *= (1 + fade * (0.045 + 0.028 * streaks))[..., None].astype(np.float32)


def _add_atrophy(
    rng: np.random.Generator, eye: Eye, grid: Grid, retina: np.ndarray, level: np.ndarray, angle: np.ndarray
) -> None:
    """Crescent where the pigment epithelium is gone (zone beta), bordered by pigment (zone alpha)."""
    width, direction = eye.atrophy
    reach = width * np.maximum(np.cos(angle - direction), 0) ** 1.3 + 0.02
    ragged = 0.02 * smooth_noise(rng, grid.size_hw, 0.2 * grid.px_per_mm)
    beta = (
        1 / (1 + np.exp(np.clip((level - 1 - reach + ragged) / 0.02, -30, 30))) * np.clip(reach / 0.06, 0, 1)
    )
    alpha = np.exp(-(((level - 1.05 - reach) / 0.07) ** 2)) * np.clip(width / 0.2, 0, 1)
    for channel, gain in enumerate((0.22, 0.40, 0.50)):
        retina[..., channel] *= (1 + gain * beta) * (1 - 0.13 * alpha)


def _with_disc(
    rng: np.random.Generator, eye: Eye, grid: Grid, retina: np.ndarray, level: np.ndarray, angle: np.ndarray
) -> np.ndarray:
    """Lay the disc over the retina: the rim pinker and vaguer nasally, the cup paler, its floor with pores."""
    at, scale = grid.window(_DISC_REACH_MM), grid.px_per_mm
    level, angle = level[at], angle[at]
    size = level.shape
    if not level.size:
        return retina.copy()
    nasal = np.maximum(0, -np.cos(angle))
    softness = rng.uniform(0.02, 0.05) * (1 + 2.5 * nasal)
    ragged = 0.014 * smooth_noise(rng, size, 0.16 * scale) + 0.010 * smooth_noise(rng, size, 0.06 * scale)
    disc = 1 / (1 + np.exp(np.clip((level - 1 + ragged) / softness, -30, 30)))
    cup_level = eye.cup.level(grid.x_mm[at], grid.y_mm[at])
    slope = rng.uniform(0.07, 0.16)
    cup = 1 / (1 + np.exp(np.clip((cup_level - 1 + 4 * ragged) / slope, -30, 30)))
    floor = np.clip(1.15 - cup_level, 0, 1)
    pores = smooth_noise(rng, size, 0.085 * scale) * floor * eye.pallor
    mottle = smooth_noise(rng, size, 0.35 * scale)
    rim = _RIM_RGB * (1 - nasal[..., None] * np.array((0.06, 0.20, 0.22), np.float32))
    rim = rim * (0.80 + 0.20 * np.clip(level, 0, 1))[..., None]
    paleness = (cup * (0.35 + 0.65 * np.clip(0.45 + 0.9 * floor, 0, 1)) * eye.pallor)[..., None]
    tissue = rim + (_CUP_RGB - rim) * paleness
    tissue *= np.exp(0.04 * mottle - 0.05 * np.maximum(pores, -0.5))[..., None]
    # melanin in front of the lens and the lens itself tint the disc a little as they do the retina
    tint = (np.asarray(eye.retina_rgb) / np.mean(eye.retina_rgb)) ** 0.12
    picture = retina.copy()
    picture[at] += (tissue * tint - picture[at]) * disc[..., None]
    return picture


def _add_vessels(eye: Eye, grid: Grid, picture: np.ndarray, retina: np.ndarray) -> None:
    """Lay the veins, then the arteries, over everything but haemorrhages."""
    ground = 0.72 * retina + 0.28 * picture
    for kind in ("vein", "artery"):
        lines = [
            beads(grid.to_px(v.points_mm), v.radii_mm * grid.px_per_mm) for v in eye.vessels if v.kind == kind
        ]
        if not lines:
            continue
        points = np.concatenate([line for line, _ in lines])
        radii = np.concatenate([radius for _, radius in lines])
        depth = chords(points, radii, grid.size_hw) / grid.px_per_mm
        opacity = 1 - np.exp(-_ABSORPTION_PER_MM[kind] * depth)
        streak = reflexes(points, radii, grid.size_hw) * (0.30 if kind == "artery" else 0.10)
        blood = ground * _BLOOD[kind] * (1 + streak[..., None])
        picture += (blood - picture) * opacity[..., None]


def _add_spots(lesion: Spots, grid: Grid, picture: np.ndarray) -> None:
    radii = lesion.radii_mm * grid.px_per_mm
    softness = np.maximum(lesion.softness * radii, 0.25)
    share = lesion.opacity * spots(grid.to_px(lesion.centres_mm), radii, softness, grid.size_hw)[..., None]
    colour = np.asarray(lesion.colour, np.float32)
    picture += ((picture * colour if lesion.relative else colour * 0.9) - picture) * share
