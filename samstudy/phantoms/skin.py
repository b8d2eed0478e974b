"""Skin under a dermoscope: pigment, blood and the colours they give, and a pigmented lesion with its structures.

Colour is that of two absorbers over white dermis, by Beer and Lambert, after Claridge et al. ("From colour to tissue
histology", Med. Image Anal. 7 (2003) 489): melanin, which takes blue most (absorption falls with the 3.3rd power of
the wavelength, Jacques 1998), and haemoglobin, which takes green. Pigment deep in the dermis looks blue-grey, since the
light scattered above it is blue (Tyndall).

The structures are those of the pattern analysis of dermoscopy (Argenziano et al., J. Am. Acad. Dermatol. 48 (2003)
679): network of brown lines around paler holes, globules and dots, streaks at the border, blotches, blue-white veil,
regression areas that are paler than the skin around, milia-like cysts, vessels. A lesion has two or three zones that
differ in colour and structure, a border that is abrupt on one side and fades on another, and lobes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter

from samstudy.phantoms.noise import smooth_noise

MELANIN_RGB = np.array([0.46, 0.70, 1.0], np.float32)
BLOOD_RGB = np.array([0.07, 1.0, 0.62], np.float32)
VEIL_RGB = np.array([0.47, 0.50, 0.58], np.float32)
_WHITE_RGB = np.array([0.97, 0.90, 0.84], np.float32)
_BORDER = 0.30
"""Share of the lesion's own pigment at which an expert draws the outline."""


@dataclass
class Skin:
    """Maps of what colours a picture; changed in place as structures are added.

    Attributes
    ----------
    melanin, blood : numpy.ndarray, float32, H x W
        Absorbance at 460 nm of melanin, at 540 nm of haemoglobin.
    veil : numpy.ndarray, float32, H x W
        Share of light that comes from above deep pigment, [0, 1].
    gloss : numpy.ndarray, float32, H x W
        White added: scales, cysts, scars.
    """

    melanin: np.ndarray
    blood: np.ndarray
    veil: np.ndarray = field(init=False)
    gloss: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.veil = np.zeros_like(self.melanin)
        self.gloss = np.zeros_like(self.melanin)

    def colour(self) -> np.ndarray:
        """Return the reflectance, float32, H x W x 3, in [0, 1]."""
        absorbed = self.melanin[..., None] * MELANIN_RGB + self.blood[..., None] * BLOOD_RGB
        light = _WHITE_RGB * np.exp(-absorbed)
        light += np.clip(self.veil, 0, 0.85)[..., None] * (VEIL_RGB - light)
        return np.clip(light + self.gloss[..., None] * (1 - light), 0, 1)


def bare_skin(size_hw: tuple[int, int], rng: np.random.Generator) -> Skin:
    """Draw skin of some tone without a lesion.

    Parameters
    ----------
    size_hw : tuple of int
        Height and width in pixels.
    rng : numpy.random.Generator

    Returns
    -------
    Skin
        Tone from very fair to olive, furrows, mottled redness, freckles on some.
    """
    unit = size_hw[0] / 450
    tone = rng.choice([rng.uniform(0.10, 0.28), rng.uniform(0.22, 0.5)], p=[0.65, 0.35])
    redness = rng.choice([rng.uniform(0.04, 0.14), rng.uniform(0.12, 0.28)], p=[0.7, 0.3])
    furrows = np.abs(smooth_noise(rng, size_hw, 13 * unit)) + 0.7 * np.abs(
        smooth_noise(rng, size_hw, 6 * unit)
    )
    melanin = tone * (
        1 + 0.10 * smooth_noise(rng, size_hw, 90 * unit) + 0.05 * smooth_noise(rng, size_hw, 20 * unit)
    )
    melanin = melanin + rng.uniform(0.006, 0.03) * (furrows - 1)
    blood = redness * (
        1 + 0.14 * smooth_noise(rng, size_hw, 70 * unit) + 0.10 * smooth_noise(rng, size_hw, 9 * unit)
    )
    if rng.random() < 0.35:
        # telangiectasia: thin red lines where a noise changes sign
        lines = np.exp(-((smooth_noise(rng, size_hw, 22 * unit) / 0.09) ** 2))
        blood += rng.uniform(0.04, 0.12) * lines * (smooth_noise(rng, size_hw, 70 * unit) > 0.2)
    if rng.random() < 0.4:
        spots = smooth_noise(rng, size_hw, rng.uniform(18, 40) * unit)
        melanin += rng.uniform(0.05, 0.2) * np.clip(spots - 1.6, 0, 0.6)
    return Skin(
        np.clip(melanin, 0.02, None).astype(np.float32), np.clip(blood, 0.01, None).astype(np.float32)
    )


def add_lesion(skin: Skin, share: float, rng: np.random.Generator) -> np.ndarray:
    """Add a lesion and return where it is.

    Parameters
    ----------
    skin : Skin
        Changed in place.
    share : float
        Share of the picture that it should cover, about.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, bool, H x W
        Its extent as an expert would draw it.
    """
    size_hw = skin.melanin.shape
    depth = _depth(size_hw, share, rng)
    reach = 2 * np.sqrt(share * size_hw[0] * size_hw[1] / np.pi)
    ragged = (
        depth
        + 0.035 * smooth_noise(rng, size_hw, reach / 14)
        + 0.025 * smooth_noise(rng, size_hw, reach / 40)
    )
    if rng.random() < 0.3:
        ragged += _streaks(depth, reach, rng)
    width = rng.uniform(0.06, 0.26) * (1 + 0.5 * smooth_noise(rng, size_hw, 0.35 * size_hw[0]))
    presence = 1 / (1 + np.exp(-np.clip((ragged / np.clip(width, 0.02, None) - 0.3) * 2.2, -30, 30)))
    pigment = presence * _zones(size_hw, depth, rng) * _core(ragged, reach, rng)
    _add_network(pigment, depth, reach, rng)
    _add_globules(pigment, depth, reach, rng)
    strength = rng.choice([rng.uniform(0.42, 0.7), rng.uniform(0.7, 1.6)], p=[0.4, 0.6])
    skin.melanin += (strength * pigment).astype(np.float32)
    redness = rng.choice([rng.uniform(0, 0.12), rng.uniform(0.12, 0.4)], p=[0.75, 0.25])
    skin.blood += (redness * presence * (0.8 + 0.3 * smooth_noise(rng, size_hw, reach / 8))).astype(
        np.float32
    )
    _add_veil(skin, depth, reach, rng)
    _add_regression(skin, presence, depth, reach, rng)
    _add_cysts(skin, depth, reach, rng)
    return presence > _BORDER


def _depth(size_hw: tuple[int, int], share: float, rng: np.random.Generator) -> np.ndarray:
    """How deep in the lesion a pixel lies: 1 in the middle, 0 at the border, negative outside."""
    height, width = size_hw
    scale = np.sqrt(share * height * width / np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    room = np.clip(0.5 - 0.9 * scale / np.array([height, width]), 0.02, 0.13)
    cy, cx = (0.5 + rng.uniform(-1, 1, 2) * room) * (height, width)
    # the outline is irregular at every size: the ground is bent, coarsely and finely
    bend = [(0.55, rng.uniform(0.08, 0.2)), (0.22, rng.uniform(0.03, 0.08)), (0.07, rng.uniform(0.01, 0.03))]
    for length, amount in bend:
        x = x + amount * scale * smooth_noise(rng, size_hw, max(3, length * 2 * scale))
        y = y + amount * scale * smooth_noise(rng, size_hw, max(3, length * 2 * scale))
    turn, ratio = rng.uniform(0, np.pi), rng.uniform(0.62, 1.0)
    level = np.full(size_hw, -9.0, np.float32)
    for lobe in range(rng.integers(1, 5)):
        size = 1.0 if lobe == 0 else rng.uniform(0.4, 0.75)
        away = 0 if lobe == 0 else rng.uniform(0.4, 0.85)
        angle = rng.uniform(0, 2 * np.pi)
        dx, dy = (x - cx) / scale - away * np.cos(angle), (y - cy) / scale - away * np.sin(angle)
        u, v = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        reach = np.hypot(u * np.sqrt(ratio), v / np.sqrt(ratio)) / size
        level = np.maximum(level, size * (1 - reach))
    # lobes enlarge it: shift the border to the share that was asked for
    return level - np.quantile(level, 1 - share)


def _streaks(depth: np.ndarray, reach: float, rng: np.random.Generator) -> np.ndarray:
    """Fingers of pigment that leave the border outwards, in some sectors."""
    height, width = depth.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    inside = depth > 0
    angle = np.arctan2(y - y[inside].mean(), x - x[inside].mean())
    wave = np.cos(rng.integers(22, 54) * angle + 1.5 * smooth_noise(rng, depth.shape, reach / 3))
    sector = np.clip(smooth_noise(rng, depth.shape, 0.7 * reach) + 0.4, 0, 1)
    return rng.uniform(0.06, 0.14) * sector * np.clip(wave, -0.3, 1) * np.exp(-((depth / 0.14) ** 2))


def _core(depth: np.ndarray, reach: float, rng: np.random.Generator) -> np.ndarray:
    """Relative pigment of a dark core in a paler rim of uneven width, now and then without a rim."""
    pale = rng.choice([rng.uniform(0.18, 0.4), rng.uniform(0.4, 0.9)], p=[0.55, 0.45])
    shift = rng.uniform(0.05, 0.3) + 0.22 * smooth_noise(rng, depth.shape, 0.6 * reach)
    width = rng.uniform(0.02, 0.10)
    return pale + (1 - pale) / (1 + np.exp(-np.clip((depth - shift) / width, -30, 30)))


def _zones(size_hw: tuple[int, int], depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Relative pigment: zones of different colour, darker or paler inside."""
    reach = np.sqrt((depth > 0).sum())
    zones = 1 + rng.uniform(0.15, 0.55) * np.tanh(2.5 * smooth_noise(rng, size_hw, 0.6 * reach))
    zones += 0.10 * smooth_noise(rng, size_hw, max(3, 0.12 * reach)) + 0.07 * smooth_noise(rng, size_hw, 4)
    return np.clip(zones + rng.uniform(-0.25, 0.5) * np.clip(depth, 0, 1), 0.15, None)


def _add_network(pigment: np.ndarray, depth: np.ndarray, reach: float, rng: np.random.Generator) -> None:
    """Brown lines around holes: three waves at 60 degrees, bent until the mesh is irregular."""
    if rng.random() < 0.25:
        return
    size_hw = pigment.shape
    mesh = np.clip(reach / rng.uniform(18, 40), 4.5, 20)
    y, x = np.mgrid[: size_hw[0], : size_hw[1]].astype(np.float32)
    x = x + 0.5 * mesh * smooth_noise(rng, size_hw, 3 * mesh)
    y = y + 0.5 * mesh * smooth_noise(rng, size_hw, 3 * mesh)
    angles = rng.uniform(0, np.pi) + np.arange(3) * np.pi / 3
    waves = sum(np.cos(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / mesh) for a in angles)
    lines = np.clip((0.4 - waves) / 1.9, 0, 1)
    where = np.clip(1.2 + 1.4 * smooth_noise(rng, size_hw, 0.5 * reach), 0, 1) * np.clip(
        depth * 12 + 0.4, 0, 1
    )
    where *= np.clip(1.6 - 1.3 * depth, 0.2, 1)
    pigment *= 1 + rng.uniform(0.1, 0.55) * where * (lines - 0.35)


def _add_globules(pigment: np.ndarray, depth: np.ndarray, reach: float, rng: np.random.Generator) -> None:
    if rng.random() < 0.35:
        return
    inside = np.flatnonzero(depth.ravel() > rng.choice([-0.02, 0.15, 0.3]))
    if not inside.size:
        return
    for size in (reach / 90, reach / 45):
        dots = np.zeros(pigment.shape, np.float32)
        dots.ravel()[rng.choice(inside, rng.integers(8, 90))] = 1
        sigma = max(0.8, size)
        spread = gaussian_filter(dots, sigma) * 2 * np.pi * sigma**2
        pigment += rng.uniform(0.25, 0.7) * np.clip(1.8 * spread, 0, 1)


def _add_veil(skin: Skin, depth: np.ndarray, reach: float, rng: np.random.Generator) -> None:
    if rng.random() < 0.7:
        return
    patch = smooth_noise(rng, depth.shape, 0.45 * reach) + 1.6 * np.clip(depth, 0, 1) - rng.uniform(0.3, 1.0)
    cloudy = np.clip(0.75 + 0.3 * smooth_noise(rng, depth.shape, reach / 9), 0, 1)
    skin.veil += rng.uniform(0.3, 0.65) * cloudy * np.clip(patch, 0, 1) * np.clip(depth * 6, 0, 1)


def _add_regression(
    skin: Skin, presence: np.ndarray, depth: np.ndarray, reach: float, rng: np.random.Generator
) -> None:
    """Scar-like white or peppered grey areas, where the pigment is gone."""
    if rng.random() < 0.7:
        return
    patch = np.clip(0.9 * (smooth_noise(rng, depth.shape, 0.3 * reach) - 0.7), 0, 1) * presence
    skin.melanin *= 1 - 0.7 * patch
    skin.gloss += 0.22 * patch
    pepper = np.clip(smooth_noise(rng, depth.shape, max(2, reach / 80)) - 1.1, 0, 1)
    skin.veil += 0.5 * patch * pepper


def _add_cysts(skin: Skin, depth: np.ndarray, reach: float, rng: np.random.Generator) -> None:
    inside = np.flatnonzero(depth.ravel() > 0.05)
    if rng.random() < 0.75 or not inside.size:
        return
    dots = np.zeros(depth.shape, np.float32)
    dots.ravel()[rng.choice(inside, rng.integers(3, 22))] = rng.uniform(0.3, 1)
    sigma = max(0.9, reach / 110)
    skin.gloss += 0.4 * np.clip(gaussian_filter(dots, sigma) * 2 * np.pi * sigma**2 * 1.4, 0, 1)
