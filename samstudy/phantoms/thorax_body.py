"""The frame of a thorax: what differs between people, the outline of the rib cage, and points turned into pixels.

Axes in millimetres: x to the patient's left, z down from the level of the apices of the lungs, y to the back.

Every length is that of an adult, varied by a few per cent per person: inner rib cage 24-28 cm wide, lungs 20-25 cm high
in deep inspiration, chest 20-25 cm deep (a frontal radiograph of 35 x 43 cm shows it whole); right dome of the
diaphragm up to 2 cm above the left, at the tenth posterior rib.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from samstudy.phantoms.projection import tubes

SIDES = (-1, 1)
"""Patient's right (left in the picture), patient's left."""

_KNOTS_Z = (0, 0.06, 0.16, 0.32, 0.55, 0.8, 1, 1.3)
_KNOTS_WIDTH = (0.46, 0.63, 0.765, 0.87, 0.945, 0.98, 1, 1)
"""Half width of the rib cage by height, both as shares of the largest."""

_FINE_Z = np.linspace(0, 1.3, 120)
_FINE_WIDTH = PchipInterpolator(_KNOTS_Z, _KNOTS_WIDTH)(_FINE_Z)


@dataclass(frozen=True)
class Body:
    """What differs between people; lengths in mm.

    Attributes
    ----------
    width, height, depth : float
        Half width of the inner rib cage, height of the right lung over its dome, half depth of the cage.
    wall : float
        Thickness of the chest wall at the side.
    heart : float
        Scale of the heart.
    domes : tuple of float
        z of the right and left dome of the diaphragm; the apices are at z = 0.
    breasts : float
        Half depth of the breasts, 0 for none.
    arms_deg : float
        How far the arms hang from the body.
    """

    width: float
    height: float
    depth: float
    wall: float
    heart: float
    domes: tuple[float, float]
    breasts: float
    arms_deg: float


def draw_body(rng: np.random.Generator) -> Body:
    """Draw a person."""
    height = rng.uniform(195, 250)
    return Body(
        width=rng.uniform(122, 142),
        height=height,
        depth=rng.uniform(82, 102),
        wall=rng.uniform(16, 34),
        heart=rng.uniform(0.84, 1.08),
        domes=(height, height + rng.uniform(2, 18)),
        breasts=rng.choice([0.0, rng.uniform(18, 38)]),
        arms_deg=rng.uniform(8, 40),
    )


@dataclass(frozen=True)
class Frame:
    """Where the rays pass a person, to turn points of the person's frame into pixels.

    Attributes
    ----------
    x, z : numpy.ndarray, float, H x W
        Position of each ray in mm.
    pitch_mm : float
        Pixel pitch.
    """

    x: np.ndarray
    z: np.ndarray
    pitch_mm: float

    def tubes(
        self, xyz: np.ndarray, radii_mm: np.ndarray, lengths_mm: np.ndarray, shell: float = 0
    ) -> np.ndarray:
        """Return the path in mm (H x W) through tubes given by points (N x 3, mm), see ``projection.tubes``."""
        across = np.array([self.x[0, 1] - self.x[0, 0], self.z[0, 1] - self.z[0, 0]]) / self.pitch_mm**2
        down = np.array([self.x[1, 0] - self.x[0, 0], self.z[1, 0] - self.z[0, 0]]) / self.pitch_mm**2
        moved = xyz[:, [0, 2]] - (self.x[0, 0], self.z[0, 0])
        points = np.stack([moved @ across, moved @ down], axis=1)
        scale = 1 / self.pitch_mm
        path = tubes(points, radii_mm * scale, lengths_mm * scale, self.x.shape, shell)
        return path * self.pitch_mm


def profile(z: np.ndarray, knots_z: list[float], values: list[float]) -> np.ndarray:
    """Return a smooth curve through knots at heights z, constant beyond them; float32, of the shape of z."""
    fine = np.linspace(knots_z[0], knots_z[-1], 200)
    return np.interp(z, fine, PchipInterpolator(knots_z, values)(fine)).astype(np.float32)


def half_width(body: Body, z: np.ndarray) -> np.ndarray:
    """Return the half width of the inner rib cage at heights z, mm; float32, of the shape of z."""
    return body.width * np.interp(z / body.height, _FINE_Z, _FINE_WIDTH).astype(np.float32)
