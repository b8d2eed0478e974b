"""The plane of an axial section while it is painted: its geometry, its canvas, and what is drawn again and again.

Picture frame: x to the person's left (right of the picture), y backwards (down), as a radiologist sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from samstudy.phantoms.abdomen import Ellipse, Person
from samstudy.phantoms.soft_shapes import ANGLES, Canvas, Grid, blob, curve, tube

DIAPHRAGM_Z_MM = 40.0
_POWER = 2.3


def squarish(power: float) -> np.ndarray:
    """Outline that turns an ellipse into a superellipse of that power (2 is the ellipse)."""
    theta = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    return (np.abs(np.cos(theta)) ** power + np.abs(np.sin(theta)) ** power) ** (-1 / power)


SQUARISH = squarish(_POWER)
"""Outline of the abdominal cavity."""


class Section:
    """A section of a person at a height, on a canvas.

    Parameters
    ----------
    person : Person
    z_mm : float
        Height above the kidneys' hila, -240 to 115.
    grid : Grid
    tissues : mapping of str to (float, float)
        Value and amplitude of the texture of each tissue.
    texture : numpy.ndarray, float32, H x W
    """

    def __init__(
        self,
        person: Person,
        z_mm: float,
        grid: Grid,
        tissues: Mapping[str, tuple[float, float]],
        texture: np.ndarray,
    ) -> None:
        self.person, self.z, self.grid = person, z_mm, grid
        self.canvas = Canvas(grid, tissues, texture)
        self.paint = self.canvas.paint
        self.spine_y = person.spine_y_mm(z_mm)
        width, depth = person.half_girth_mm
        self.a = width * np.interp(z_mm, (-240, -180, -110, -45, 40, 110), (1.04, 1.06, 1.0, 0.95, 1.0, 0.98))
        self.b = depth * np.interp(z_mm, (-240, -180, -110, -45, 40, 110), (0.98, 1.0, 0.96, 0.92, 1.0, 1.0))
        # fat is thicker on hips and belly than on the ribs
        fat = person.fat_mm * np.interp(z_mm, (-200, -60, 60), (1.5, 1.2, 0.8))
        self.fat_side, self.fat_front, self.fat_back = fat, fat * 0.8, fat * 0.9
        front = self.b - self.fat_front - 11
        back = self.b * np.interp(z_mm, (-150, -60, 0, 45), (0.45, 0.5, 0.58, 0.68))
        self.cavity_ellipse = Ellipse(
            0.0, (back - front) / 2, self.a - self.fat_side - 14, (back + front) / 2, 0.0
        )
        self.cavity = self.shape(self.cavity_ellipse, SQUARISH)

    def below_diaphragm(self, margin_mm: float) -> Ellipse:
        """Outline (to be used with ``SQUARISH``) of the abdomen below the diaphragm, smaller by a margin.

        The domes lean forwards: the lungs reach lowest behind, and lower on the left.
        """
        above = self.z - DIAPHRAGM_Z_MM
        gap = 3 + 0.34 * above if above > 0 else 0.0
        wall = self.cavity_ellipse
        radii = wall.rx - 0.75 * gap - margin_mm, wall.ry - 0.72 * gap - margin_mm
        return Ellipse(-0.12 * gap, wall.y - 0.62 * gap, *radii, 0.0)

    @cached_property
    def abdomen(self) -> np.ndarray:
        """Cover of the abdomen: within the wall, below the diaphragm, with what lies before the spine."""
        below = np.minimum(self.shape(self.below_diaphragm(0), SQUARISH), self.cavity)
        prevertebral = blob(self.grid, (4, self.spine_y - 30), (34, 26))
        return np.maximum(below, np.minimum(prevertebral, self.cavity))

    @cached_property
    def inside(self) -> np.ndarray:
        """Cover of the abdomen a little away from its wall: organs do not touch muscle without fat between."""
        return np.minimum(self.shape(self.below_diaphragm(2.0), SQUARISH), self.cavity)

    def shape(self, ellipse: Ellipse, outline: np.ndarray | None = None) -> np.ndarray:
        """Cover of an ellipse, see ``blob``."""
        return blob(self.grid, ellipse.centre_xy, ellipse.radii_xy, ellipse.degrees, outline)

    def organ(self, name: str, grow_mm: float = 0.0) -> np.ndarray | None:
        """Cover of an organ grown by so much, None where it is not cut."""
        place = self.person.section(name, self.z)
        return None if place is None else self.shape(place.grown(grow_mm), self.person.outlines[name])

    def dot(self, x: float, y: float, radius: float) -> np.ndarray:
        """Cover of a disc; all in mm."""
        return blob(self.grid, (x, y), (radius, radius))

    def line(self, points: list[tuple[float, float]], radii: float | list[float], n: int = 16) -> np.ndarray:
        """Cover of a smooth line through points, its thickness changing evenly between radii."""
        thickness = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, np.size(radii)), np.atleast_1d(radii))
        return tube(self.grid, curve(points, n), thickness)

    def on_wall(self, ellipse: Ellipse, angle: float, side: int) -> tuple[float, float]:
        """Point of the cavity's superellipse at an angle from the flank (positive: backwards)."""
        c, s = np.cos(angle), np.sin(angle)
        radius = (abs(c) ** _POWER + abs(s) ** _POWER) ** (-1 / _POWER)
        return float(side * ellipse.rx * c * radius), float(ellipse.y + ellipse.ry * s * radius)

    def hollow(self, outer: np.ndarray, inner: np.ndarray, contents: str, level_y: float, code: int) -> None:
        """A wall around contents, gas above a flat level."""
        self.paint(outer, "gut_wall", code)
        self.paint(inner, contents, None)
        self.paint(inner * self.grid.edge(self.grid.y_mm - level_y), "gas", None)
