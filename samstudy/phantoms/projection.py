"""Line integrals of a parallel X-ray beam through simple bodies, exact to the pixel.

Axes, in millimetres: x across the picture (the patient's left is at positive x), z down, y along the beam. A smooth
body is the interval of y in which each ray is inside it; bodies that overlap are combined as intervals, so that no
tissue is counted twice. A thin body (rib, vessel) is the path of a ball along a curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2

_TUBE_CLASSES = 5
_EMPTY = 1e6


@dataclass(frozen=True)
class Interval:
    """Where each ray is inside a body.

    Attributes
    ----------
    near, far : numpy.ndarray, float, H x W
        First and last y in mm; ``near > far`` where the ray misses the body.
    """

    near: np.ndarray
    far: np.ndarray

    def length_mm(self) -> np.ndarray:
        """Return the path in the body, >= 0."""
        return np.clip(self.far - self.near, 0, None)

    def meet(self, other: Interval) -> Interval:
        """Return the intersection."""
        return Interval(np.maximum(self.near, other.near), np.minimum(self.far, other.far))

    def hull(self, other: Interval) -> Interval:
        """Return the smallest interval over both: their union where they touch."""
        near = np.minimum(self.near, other.near)
        return Interval(near, np.maximum(self.far, other.far))


def around(centre_y_mm: float, half_depth_mm: np.ndarray) -> Interval:
    """Return the interval of a half depth about a centre; empty where the half depth is not positive."""
    inside = half_depth_mm > 0
    near = np.where(inside, centre_y_mm - half_depth_mm, _EMPTY)
    return Interval(near, np.where(inside, centre_y_mm + half_depth_mm, -_EMPTY))


def ellipsoid(
    x: np.ndarray,
    z: np.ndarray,
    centre_xyz: tuple[float, float, float],
    radii_xyz: tuple[float, float, float],
    tilt_deg: float = 0.0,
    power: float = 2.0,
) -> Interval:
    """Return the interval of an ellipsoid.

    Parameters
    ----------
    x, z : numpy.ndarray, float, H x W
        Position of each ray in mm.
    centre_xyz, radii_xyz : tuple of float
        In mm, in the order x, y, z.
    tilt_deg : float
        Turn about the beam, clockwise in the picture.
    power : float
        2 is an ellipsoid; more gives a blunter profile with a sharper edge.

    Returns
    -------
    Interval
    """
    c, s = np.cos(np.deg2rad(tilt_deg)), np.sin(np.deg2rad(tilt_deg))
    dx, dz = x - centre_xyz[0], z - centre_xyz[2]
    # no ray outside this square meets it: most bodies are small beside the picture
    reach = 1.5 * max(radii_xyz[0], radii_xyz[2])
    close = (np.abs(dx) < reach) & (np.abs(dz) < reach)
    dx, dz = dx[close], dz[close]
    u, v = (c * dx + s * dz) / radii_xyz[0], (c * dz - s * dx) / radii_xyz[2]
    rest = np.clip(1 - np.abs(u) ** power - np.abs(v) ** power, 0, None)
    half = np.zeros_like(x)
    half[close] = radii_xyz[1] * rest ** (1 / power)
    return around(centre_xyz[1], half)


def cylinder(x: np.ndarray, z: np.ndarray, ends_xz: np.ndarray, radius_mm: float) -> np.ndarray:
    """Return the path through a straight round cylinder across the beam, with round ends.

    Parameters
    ----------
    x, z : numpy.ndarray, float, H x W
        Position of each ray in mm.
    ends_xz : numpy.ndarray, float, 2 x 2
        Both ends of the axis.
    radius_mm : float

    Returns
    -------
    numpy.ndarray, float, H x W
        In mm.
    """
    a, b = np.asarray(ends_xz, float)
    along = np.clip(((x - a[0]) * (b - a)[0] + (z - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum(), 0, 1)
    away = np.hypot(x - a[0] - along * (b - a)[0], z - a[1] - along * (b - a)[1])
    return 2 * np.sqrt(np.clip(radius_mm**2 - away**2, 0, None))


def tubes(
    points_px: np.ndarray,
    radii_px: np.ndarray,
    lengths_px: np.ndarray,
    size_hw: tuple[int, int],
    shell: float = 0.0,
) -> np.ndarray:
    """Return the path through bodies swept by balls along curves.

    The volume of each piece is spread over the shadow of its ball, so that what runs along the beam is as
    opaque as it should be.

    Parameters
    ----------
    points_px : numpy.ndarray, float, N x 2
        Projected (column, row) of each piece; pieces outside the picture are left out.
    radii_px, lengths_px : numpy.ndarray, float, N
        Radius of each piece and its length in space, both in pixels.
    size_hw : tuple of int
        Size of the picture.
    shell : float
        Share of the radius that is dense, 0 for a solid tube; the core then has a third of the density.

    Returns
    -------
    numpy.ndarray, float, H x W
        In pixels.
    """
    shape = [next_fast_len(side + 2 * int(radii_px.max(initial=0)) + 4, real=True) for side in size_hw]
    edges = np.unique(np.quantile(radii_px, np.linspace(0, 1, _TUBE_CLASSES + 1))) if len(radii_px) else []
    classes = np.clip(np.searchsorted(edges, radii_px, side="right") - 1, 0, max(len(edges) - 2, 0))
    spectrum = 0
    for number in np.unique(classes):
        chosen = classes == number
        volume = np.pi * radii_px[chosen] ** 2 * lengths_px[chosen]
        splat = _splat(points_px[chosen], volume.astype(np.float32), size_hw)
        kernel = _ball(float(radii_px[chosen].mean()), shell)
        reach = len(kernel) // 2
        wrapped = np.zeros(shape, np.float32)
        wrapped[: len(kernel), : len(kernel)] = kernel
        wrapped = np.roll(wrapped, (-reach, -reach), (0, 1))
        spectrum = spectrum + rfft2(splat, shape) * rfft2(wrapped)
    return (
        np.clip(irfft2(spectrum, shape)[: size_hw[0], : size_hw[1]], 0, None)
        if len(radii_px)
        else np.zeros(size_hw)
    )


def _splat(points_px: np.ndarray, weights: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Add weights at positions between pixels, shared by the four around each."""
    corner = np.floor(points_px).astype(int)
    share = points_px - corner
    total = np.zeros(size_hw, np.float32)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = corner[:, 0] + dx, corner[:, 1] + dy
        inside = (column >= 0) & (column < size_hw[1]) & (row >= 0) & (row < size_hw[0])
        factor = np.abs(1 - dx - share[:, 0]) * np.abs(1 - dy - share[:, 1])
        np.add.at(total, (row[inside], column[inside]), (weights * factor)[inside])
    return total


def _ball(radius: float, shell: float) -> np.ndarray:
    """Shadow of a ball with a sum of 1."""
    reach = int(np.ceil(radius)) + 1
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    away = x**2 + y**2
    # a softened edge keeps thin tubes from falling between pixels
    kernel = np.sqrt(np.clip((radius + 0.5) ** 2 - away, 0, None))
    if shell:
        kernel -= 0.67 * np.sqrt(np.clip((radius * (1 - shell)) ** 2 - away, 0, None))
    return kernel / kernel.sum()
