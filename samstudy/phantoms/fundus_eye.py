"""One drawn eye: disc and cup, fovea, vessels, lesions and pigment, in millimetres on the retina.

The frame is that of ``fundus_vessels``: origin at the centre of the disc, x temporal, y down. Nothing here
knows of pixels; ``samstudy.phantoms.fundus`` takes the photograph.

Sizes and their sources
-----------------------
* Disc: 1.88 x 1.77 mm vertically and horizontally on average (Quigley et al., Arch Ophthalmol 1990; 108:51).
* Cup: ratio of the vertical diameters about 0.4 in healthy eyes and 0.7 in glaucoma, where it grows vertically first.
* Fovea: 15.5 +- 1.1 degrees temporal of the disc's centre, 1.5 +- 0.9 below (Rohrschneider, IOVS 2004; 45:3257);
  0.29 mm a degree.
* Lesions, chosen in the range that photographs show: microaneurysms 15-60 um, exudates and hard drusen up to 125 um,
  blot haemorrhages up to 0.4 mm.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, replace

import numpy as np

from samstudy.phantoms.fundus_vessels import Territory, Vessel, grow_vessels

MM_PER_DEGREE = 0.29
_N_WAVES = 5
_N_ANGLES = 721


@dataclass(frozen=True)
class Outline:
    """A closed, star-shaped outline: an ellipse with a few low waves.

    Attributes
    ----------
    centre_mm : tuple of float
        (x, y).
    radii_mm : tuple of float
        Half axes, horizontal and vertical before the tilt.
    tilt_rad : float
    waves : tuple of complex
        Amplitude (part of the radius) and phase of the waves 2, 3, 4, ... around.
    """

    centre_mm: tuple[float, float]
    radii_mm: tuple[float, float]
    tilt_rad: float
    waves: tuple[complex, ...]

    def radius(self, angle: np.ndarray) -> np.ndarray:
        """Radius (mm) at an angle (rad, from temporal towards below)."""
        a, b = self.radii_mm
        turned = angle - self.tilt_rad
        base = a * b / np.hypot(b * np.cos(turned), a * np.sin(turned))
        waves = (abs(w) * np.cos(n * angle + cmath.phase(w)) for n, w in enumerate(self.waves, 2))
        return base * (1 + sum(waves))

    def level(self, x_mm: np.ndarray, y_mm: np.ndarray) -> np.ndarray:
        """Distance from the centre in parts of the radius: below 1 inside, 1 on the outline."""
        x, y = x_mm - self.centre_mm[0], y_mm - self.centre_mm[1]
        angles = np.linspace(-math.pi, math.pi, _N_ANGLES)
        radius = np.interp(np.arctan2(y, x), angles, self.radius(angles)).astype(
            np.result_type(x, np.float32)
        )
        return np.hypot(x, y) / radius

    def redrawn(self, rng: np.random.Generator, size_sd: float, shape_sd: float) -> Outline:
        """Return the outline as another expert would draw it.

        Parameters
        ----------
        rng : numpy.random.Generator
        size_sd, shape_sd : float
            Standard deviation of the expert's size, and of each wave, in parts of the radius.
        """
        scale = 1 + rng.normal(0, size_sd)
        radius = sum(self.radii_mm) / 2
        return replace(
            self,
            centre_mm=tuple(np.asarray(self.centre_mm) + rng.normal(0, 0.5 * shape_sd * radius, 2)),
            radii_mm=(
                self.radii_mm[0] * scale * (1 + rng.normal(0, shape_sd)),
                self.radii_mm[1] * scale,
            ),
            waves=tuple(map(sum, zip(self.waves, _waves(rng, shape_sd), strict=True))),
        )


@dataclass(frozen=True)
class Spots:
    """Lesions of one kind: many soft discs.

    Attributes
    ----------
    centres_mm : numpy.ndarray, N x 2
    radii_mm : numpy.ndarray, N
    softness : float
        Width of the margin in parts of the radius.
    colour : tuple of float
        Reflectance (R, G, B) they are blended towards, relative to the retina where ``relative``.
    opacity : float
    relative : bool
    """

    centres_mm: np.ndarray
    radii_mm: np.ndarray
    softness: float
    colour: tuple[float, float, float]
    opacity: float
    relative: bool = False


@dataclass(frozen=True)
class Traits:
    """What the eyes of one benchmark are like.

    Attributes
    ----------
    cup_mean, cup_sd : float
        Ratio of the vertical diameters of cup and disc.
    retina_rgb : tuple of float
        Mean reflectance of the background: lower and browner with more pigment.
    retina_sd : float
        Spread of that between eyes, in parts of it.
    atrophy : float
        How many of the eyes have a zone of peripapillary atrophy.
    diabetic, drusen : float
        How many of the eyes have lesions of diabetic retinopathy; drusen.
    tessellated : float
        How many of the eyes show their choroidal vessels.
    """

    cup_mean: float
    cup_sd: float
    retina_rgb: tuple[float, float, float]
    retina_sd: float = 0.08
    atrophy: float = 0.35
    diabetic: float = 0.15
    drusen: float = 0.2
    tessellated: float = 0.2


@dataclass(frozen=True)
class Eye:
    """Everything that a camera sees of one eye; see ``draw_eye``.

    Attributes
    ----------
    disc, cup : Outline
        The cup lies inside the disc.
    fovea_mm : tuple of float
    vessels : list of Vessel
    lesions : list of Spots
    retina_rgb : tuple of float
    tessellation : float
        Contrast of the choroidal vessels, 0 to 1.
    stripes_rad : float
        Direction of the choroidal vessels.
    atrophy : tuple of float
        Width (parts of the disc's radius; 0: none) and direction (rad) of the crescent.
    pallor : float
        How pale the cup is, 0 to 1.
    is_right : bool
        A right eye: temporal is on the left of the picture.
    """

    disc: Outline
    cup: Outline
    fovea_mm: tuple[float, float]
    vessels: list[Vessel]
    lesions: list[Spots]
    retina_rgb: tuple[float, float, float]
    tessellation: float
    stripes_rad: float
    atrophy: tuple[float, float]
    pallor: float
    is_right: bool


def draw_eye(
    rng: np.random.Generator, traits: Traits, is_right: bool, centre_mm: tuple[float, float], radius_mm: float
) -> Eye:
    """Draw an eye.

    Parameters
    ----------
    rng : numpy.random.Generator
    traits : Traits
    is_right : bool
    centre_mm, radius_mm : tuple of float, float
        Circle that the camera sees; vessels are grown no farther.

    Returns
    -------
    Eye
    """
    vertical = float(np.clip(rng.normal(0.94, 0.09), 0.76, 1.18))
    disc = Outline(
        (0.0, 0.0), (vertical * rng.uniform(0.88, 1.0), vertical), rng.normal(0, 0.2), _waves(rng, 0.012)
    )
    ratio = float(np.clip(rng.normal(traits.cup_mean, traits.cup_sd), 0.2, 0.86))
    cup = _cup(rng, disc, ratio)
    fovea = (15.5 + rng.normal(0, 1.1), 1.5 + rng.normal(0, 0.9))
    fovea_mm = (fovea[0] * MM_PER_DEGREE, fovea[1] * MM_PER_DEGREE)
    tortuosity = float(np.clip(rng.lognormal(0.0, 0.4), 0.5, 2.4))
    root = (cup.centre_mm[0] - 0.35 * cup.radii_mm[0], cup.centre_mm[1] + rng.normal(0, 0.05))
    vessels = grow_vessels(
        rng, Territory(sum(disc.radii_mm) / 2, root, ratio, fovea_mm, centre_mm, radius_mm, tortuosity)
    )
    has_atrophy = rng.random() < traits.atrophy
    has_stripes = rng.random() < traits.tessellated
    return Eye(
        disc=disc,
        cup=cup,
        fovea_mm=fovea_mm,
        vessels=vessels,
        lesions=_lesions(rng, traits, fovea_mm),
        retina_rgb=_pigmented(rng, traits),
        tessellation=rng.uniform(0.5, 1.0) if has_stripes else rng.uniform(0.05, 0.3),
        stripes_rad=rng.uniform(0, math.pi),
        atrophy=(rng.uniform(0.10, 0.38) if has_atrophy else rng.uniform(0, 0.05), rng.normal(0.25, 0.5)),
        pallor=float(np.clip(rng.normal(0.35 + 0.6 * ratio, 0.12), 0.3, 1.0)),
        is_right=is_right,
    )


def _waves(rng: np.random.Generator, sd: float) -> tuple[complex, ...]:
    """Waves 2 to 6 around, smaller the finer they are."""
    sizes = np.abs(rng.normal(0, sd, _N_WAVES)) / np.sqrt(np.arange(1, _N_WAVES + 1))
    return tuple((sizes * np.exp(1j * rng.uniform(0, 2 * math.pi, _N_WAVES))).tolist())


def _cup(rng: np.random.Generator, disc: Outline, ratio: float) -> Outline:
    """A cup with its rim thickest below, then above, then nasally, thinnest temporally (the ISNT rule)."""
    vertical = ratio * disc.radii_mm[1]
    horizontal = vertical * rng.uniform(0.86, 1.04) * disc.radii_mm[0] / disc.radii_mm[1]
    spare_x, spare_y = disc.radii_mm[0] - horizontal, disc.radii_mm[1] - vertical
    centre = (spare_x * rng.uniform(0.05, 0.35), spare_y * rng.uniform(-0.25, 0.1))
    return Outline(centre, (horizontal, vertical), disc.tilt_rad + rng.normal(0, 0.15), _waves(rng, 0.018))


def _pigmented(rng: np.random.Generator, traits: Traits) -> tuple[float, float, float]:
    """Reflectance of one eye's background: melanin darkens, and takes more of the green and blue."""
    melanin = rng.normal(0, traits.retina_sd)
    red, green, blue = (
        value * math.exp(-melanin * weight) * math.exp(rng.normal(0, 0.2 * traits.retina_sd))
        for value, weight in zip(traits.retina_rgb, (0.8, 1.4, 1.6), strict=True)
    )
    return red, green, blue


def _lesions(rng: np.random.Generator, traits: Traits, fovea_mm: tuple[float, float]) -> list[Spots]:
    lesions = []
    if rng.random() < traits.drusen:
        centres = np.asarray(fovea_mm) + rng.normal(0, 0.8, (rng.integers(10, 70), 2))
        lesions.append(
            Spots(centres, 0.012 + rng.exponential(0.014, len(centres)), 0.4, (0.92, 0.62, 0.32), 0.4)
        )
    if rng.random() >= traits.diabetic:
        return lesions
    anywhere = np.asarray(fovea_mm) + rng.normal(0, 2.4, (rng.integers(4, 22), 2))
    dark = (0.62, 0.42, 0.50)
    lesions.append(Spots(anywhere, rng.uniform(0.012, 0.028, len(anywhere)), 0.25, dark, 0.85, relative=True))
    for _ in range(rng.integers(0, 5)):
        blot = np.asarray(fovea_mm) + rng.normal(0, 2.2, 2) + rng.normal(0, 0.05, (rng.integers(3, 7), 2))
        lesions.append(Spots(blot, rng.uniform(0.04, 0.10, len(blot)), 0.22, dark, 0.8, relative=True))
    for _ in range(rng.integers(1, 4)):
        cluster = np.asarray(fovea_mm) + rng.normal(0, 1.6, 2) + rng.normal(0, 0.22, (rng.integers(8, 36), 2))
        lesions.append(
            Spots(cluster, 0.008 + rng.exponential(0.013, len(cluster)), 0.22, (1.0, 0.82, 0.42), 0.8)
        )
    return lesions
