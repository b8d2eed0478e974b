"""Closed curves and tubes in millimetres, with edges that cover pixels partly, and a canvas to lay them on.

Every shape is a *cover*: float32, H x W, the fraction of each pixel that lies inside. Covers combine as sets do: the
smaller of two is their intersection, ``cover - other`` clipped at 0 their difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

ANGLES = 512
"""Samples of an outline over the full turn."""
_MARGIN_PX = 2


@dataclass(frozen=True)
class Grid:
    """Pixels of a picture in millimetres, the origin in its middle; x grows to the right, y downwards.

    Attributes
    ----------
    size_hw : tuple of int
        Height and width in pixels.
    pixel_mm : float
        Edge of a square pixel.
    """

    size_hw: tuple[int, int]
    pixel_mm: float

    @property
    def x_mm(self) -> np.ndarray:
        """Centres of the columns, float32, 1 x W."""
        return self._centres(self.size_hw[1])[None, :]

    @property
    def y_mm(self) -> np.ndarray:
        """Centres of the rows, float32, H x 1."""
        return self._centres(self.size_hw[0])[:, None]

    def _centres(self, count: int) -> np.ndarray:
        return ((np.arange(count) - (count - 1) / 2) * self.pixel_mm).astype(np.float32)

    def empty(self) -> np.ndarray:
        """A cover of nothing."""
        return np.zeros(self.size_hw, np.float32)

    def window(self, low_xy: Sequence[float], high_xy: Sequence[float]) -> tuple[slice, slice]:
        """Rows and columns of a rectangle in mm, two pixels wider on each side and cut at the picture."""
        spans = []
        for low, high, count in zip(low_xy, high_xy, self.size_hw[::-1], strict=True):
            middle = (count - 1) / 2
            first = int(np.floor(low / self.pixel_mm + middle)) - _MARGIN_PX
            last = int(np.ceil(high / self.pixel_mm + middle)) + _MARGIN_PX + 1
            spans.append(slice(min(max(first, 0), count), min(max(last, 0), count)))
        return spans[1], spans[0]

    def edge(self, distance_mm: np.ndarray) -> np.ndarray:
        """Cover of a signed distance (negative inside): linear over one pixel's diagonal."""
        return np.clip(0.5 - distance_mm / (1.2 * self.pixel_mm), 0, 1)


def blob(
    grid: Grid,
    centre_xy: tuple[float, float],
    radii_xy: tuple[float, float],
    degrees: float = 0.0,
    outline: np.ndarray | None = None,
) -> np.ndarray:
    """Cover of an ellipse whose radius is multiplied by ``outline`` along its angle.

    Parameters
    ----------
    grid : Grid
    centre_xy, radii_xy : tuple of float
        In mm.
    degrees : float
        Turn, from x towards y.
    outline : numpy.ndarray, optional
        As :func:`wavy` gives it; 1 everywhere by default.

    Returns
    -------
    numpy.ndarray, float32, H x W
        All 0 for a radius of 0.5 mm or less.
    """
    cover = grid.empty()
    if min(radii_xy) <= 0.5:
        return cover
    reach = max(radii_xy) * (1.0 if outline is None else float(outline.max()))
    window = grid.window([c - reach for c in centre_xy], [c + reach for c in centre_xy])
    dx, dy = grid.x_mm[:, window[1]] - centre_xy[0], grid.y_mm[window[0]] - centre_xy[1]
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    u, v = (dx * cos + dy * sin) / radii_xy[0], (dy * cos - dx * sin) / radii_xy[1]
    rho = np.hypot(u, v) + 1e-6
    radius = 1.0
    if outline is not None:
        radius = outline[((np.arctan2(v, u) / (2 * np.pi) % 1) * ANGLES).astype(int) % ANGLES]
    # mm per unit of rho: across the curve where it is, not along the ray
    scale = rho / np.hypot(u / radii_xy[0], v / radii_xy[1])
    cover[window] = grid.edge((rho - radius) * scale)
    return cover


def wavy(rng: np.random.Generator, amount: float, order: int = 7) -> np.ndarray:
    """A closed outline around 1: harmonics 2 to ``order`` of amplitudes that fall with their number.

    Parameters
    ----------
    rng : numpy.random.Generator
    amount : float
        Standard deviation of the second harmonic, as a fraction of the radius.

    Returns
    -------
    numpy.ndarray, float64, 512
        Over the full turn.
    """
    theta = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    outline = np.ones(ANGLES)
    for k in range(2, order + 1):
        outline += rng.normal(0, 2 * amount / k) * np.cos(k * theta + rng.uniform(0, 2 * np.pi))
    return np.clip(outline, 0.6, 1.5)


def curve(points_xy: Sequence[tuple[float, float]], count: int = 24) -> np.ndarray:
    """``count`` points (N x 2, mm) of the smooth (Catmull-Rom) curve through some points."""
    points = np.asarray(points_xy, float)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    along = np.linspace(0, len(points) - 1, count)
    i = np.minimum(along.astype(int), len(points) - 2)
    t = (along - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def tube(grid: Grid, points_xy: np.ndarray, radii_mm: float | np.ndarray) -> np.ndarray:
    """Cover of a line of varying thickness with round ends.

    Parameters
    ----------
    grid : Grid
    points_xy : numpy.ndarray, float, N x 2
        Its centre line in mm; N at least 2.
    radii_mm : float or numpy.ndarray of N
        Radius at each point.

    Returns
    -------
    numpy.ndarray, float32, H x W
    """
    cover = grid.empty()
    points = np.asarray(points_xy, float)
    radii = np.broadcast_to(np.asarray(radii_mm, float), len(points))
    reach = radii.max()
    window = grid.window(points.min(axis=0) - reach, points.max(axis=0) + reach)
    x, y = grid.x_mm[:, window[1]], grid.y_mm[window[0]]
    nearest = np.full((y.size, x.size), np.inf, np.float32)
    for (ax, ay), (bx, by), ra, rb in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
        length2 = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-9)
        t = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length2, 0, 1)
        away = np.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay)) - (ra + t * (rb - ra))
        np.minimum(nearest, away, out=nearest)
    cover[window] = grid.edge(nearest)
    return cover


class Canvas:
    """A picture of tissue values and a map of label codes, painted from back to front.

    Parameters
    ----------
    grid : Grid
    tissues : mapping of str to (float, float)
        Mean value and amplitude of the texture of each tissue; ``"air"`` is the background.
    texture : numpy.ndarray, float32, H x W
        Of mean 0 and standard deviation 1.
    """

    def __init__(self, grid: Grid, tissues: Mapping[str, tuple[float, float]], texture: np.ndarray) -> None:
        self.grid, self.tissues, self._texture = grid, tissues, texture
        self.values = np.full(grid.size_hw, tissues["air"][0], np.float32)
        self.codes = np.zeros(grid.size_hw, np.uint8)

    def paint(self, cover: np.ndarray, tissue: str, code: int | None = 0) -> None:
        """Lay a cover on top; ``code`` is written where it fills half a pixel, None leaves the codes."""
        rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
        if not rows.size:
            return
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        mean, amplitude = self.tissues[tissue]
        cover, values = cover[window], self.values[window]
        values += cover * (mean + amplitude * self._texture[window] - values)
        if code is not None:
            self.codes[window][cover >= 0.5] = code
