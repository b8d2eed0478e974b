"""Outlines of leaves as level maps: positive inside, about the distance to the border in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from samstudy.pretrain.textures import smooth_field

N_ANGLES = 256
_ANGLES = np.arange(N_ANGLES, dtype=np.float32) * np.float32(2 * np.pi / N_ANGLES)


@dataclass(frozen=True)
class Shape:
    """A level map on its bounding box.

    Attributes
    ----------
    level : numpy.ndarray, float32, h x w
        Positive inside, about the distance to the border in pixels; h or w may be 0 off the canvas.
    row, column : int
        Canvas position of ``level[0, 0]``.
    """

    level: np.ndarray
    row: int
    column: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Slices of the canvas that the level map covers."""
        height, width = self.level.shape
        return slice(self.row, self.row + height), slice(self.column, self.column + width)

    def mirrored(self, width: int) -> Shape:
        """The shape seen in a mirror standing at the middle column of a canvas of that width."""
        return Shape(self.level[:, ::-1], self.row, width - self.column - self.level.shape[1])

    def ring(self, thickness: float) -> Shape:
        """The rim of that thickness in pixels, inside the border."""
        return Shape(np.minimum(self.level, thickness - self.level), self.row, self.column)

    def shrunk(self, margin: float) -> Shape:
        """The shape with its border moved inwards by ``margin`` pixels."""
        return Shape(self.level - np.float32(margin), self.row, self.column)


def radius_table(rng: np.random.Generator) -> np.ndarray:
    """Radius by angle (float32, 256) of an ellipse, blob, polygon, rounded box or lobed outline, about 1."""
    kind = rng.choice(5, p=(0.42, 0.4, 0.06, 0.07, 0.05))
    if kind == 0:
        return np.ones(N_ANGLES, np.float32)
    if kind == 1:
        order = np.arange(2, 8)
        strength = rng.uniform(0.1, 0.5) * rng.standard_normal(len(order)) / order
        phase = rng.uniform(0, 2 * np.pi, len(order))
        waves = np.cos(order[:, None] * _ANGLES + phase[:, None])
        return np.exp(strength @ waves).astype(np.float32)
    if kind == 2:
        sector = 2 * np.pi / rng.integers(3, 8)
        return (np.cos(sector / 2) / np.cos(_ANGLES % sector - sector / 2)).astype(np.float32)
    if kind == 3:
        power = rng.uniform(2.5, 8)
        total = np.abs(np.cos(_ANGLES)) ** power + np.abs(np.sin(_ANGLES)) ** power
        return (total ** (-1 / power)).astype(np.float32)
    return (1 + rng.uniform(0.1, 0.4) * np.cos(rng.integers(2, 7) * _ANGLES)).astype(np.float32)


def star(
    rng: np.random.Generator, size_hw: tuple[int, int], centre_yx: tuple[float, float], radius: float
) -> Shape:
    """Star-shaped leaf of about ``radius`` pixels, stretched, turned, sometimes warped or made a crescent.

    The area is about that of the disc of that radius.
    """
    stretch = np.exp(rng.uniform(0, 0.4) if rng.random() < 0.8 else rng.uniform(0.4, 1.0))
    reach = radius * stretch * 1.35 + 2
    row0, row1 = max(0, int(centre_yx[0] - reach)), min(size_hw[0], int(centre_yx[0] + reach) + 2)
    column0, column1 = max(0, int(centre_yx[1] - reach)), min(size_hw[1], int(centre_yx[1] + reach) + 2)
    if row1 <= row0 or column1 <= column0:
        return Shape(np.zeros((0, 0), np.float32), 0, 0)
    y = (np.arange(row0, row1, dtype=np.float32) - np.float32(centre_yx[0]))[:, None]
    x = (np.arange(column0, column1, dtype=np.float32) - np.float32(centre_yx[1]))[None, :]
    if rng.random() < 0.35:
        amount = np.float32(radius * rng.uniform(0.03, 0.22))
        cells = rng.uniform(2, 7)
        y = y + amount * smooth_field(rng, (row1 - row0, column1 - column0), cells)
        x = x + amount * smooth_field(rng, (row1 - row0, column1 - column0), cells)
    turn = rng.uniform(0, np.pi)
    cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    along, across = (
        (cosine * x + sine * y) / np.float32(stretch),
        (cosine * y - sine * x) * np.float32(stretch),
    )
    table = np.float32(radius) * radius_table(rng)
    level = _star_level(along, across, table) / np.float32(stretch)
    if rng.random() < 0.05:
        shift = np.float32(radius * rng.uniform(0.3, 0.9))
        level = np.minimum(level, -_star_level(along - shift, across, table) / np.float32(stretch))
    return Shape(level, row0, column0)


def _star_level(along: np.ndarray, across: np.ndarray, table: np.ndarray) -> np.ndarray:
    index = np.arctan2(across, along) * np.float32(N_ANGLES / (2 * np.pi))
    return table[index.astype(np.int32) % N_ANGLES] - np.hypot(along, across)


def bands(rng: np.random.Generator, size_hw: tuple[int, int], n: int) -> list[Shape]:
    """``n`` neighbouring bands that cross the canvas, wavy and tilted; thin ones are common."""
    height, width = size_hw
    share = rng.dirichlet(np.full(n, 1.2)) * rng.uniform(0.3, 0.9)
    depth = rng.uniform(0.02, 0.98 - share.sum()) + np.concatenate([[0.0], np.cumsum(share)])
    base = smooth_field(rng, (3, width), rng.uniform(1, 6))[1] * height * rng.uniform(0.0, 0.07)
    base = base + np.linspace(-1, 1, width) * height * rng.uniform(-0.12, 0.12)
    rows = np.arange(height, dtype=np.float32)[:, None]
    edges = []
    for level in depth:
        own = smooth_field(rng, (3, width), rng.uniform(2, 10))[1] * height * rng.uniform(0, 0.025)
        edges.append((level * height + base + own).astype(np.float32))
    edges = np.maximum.accumulate(np.stack(edges), axis=0)
    return [Shape(np.minimum(rows - top, bottom - rows), 0, 0) for top, bottom in pairwise(edges)]


def branches(rng: np.random.Generator, size_hw: tuple[int, int], thickness: float) -> Shape:
    """A tree of thin curves, drawn as polylines that bend, fork and thin out."""
    canvas = Image.new("L", (size_hw[1], size_hw[0]))
    draw = ImageDraw.Draw(canvas)
    side = max(size_hw)
    start = rng.uniform(0.1, 0.9, 2) * size_hw
    stems = [(start, rng.uniform(0, 2 * np.pi), thickness) for _ in range(rng.integers(1, 4))]
    step = side / 24
    for _ in range(40):
        if not stems:
            break
        point, heading, width = stems.pop(0)
        for _ in range(rng.integers(4, 12)):
            heading += rng.normal(0, 0.25)
            after = point + step * np.array([np.sin(heading), np.cos(heading)])
            draw.line([point[1], point[0], after[1], after[0]], fill=255, width=max(1, round(width)))
            point = after
        if width > 1 and (point > 0).all() and (point < size_hw).all():
            spread = rng.uniform(0.3, 0.7)
            stems += [(point, heading + turn, 0.75 * width) for turn in (-spread, spread)]
    drawn = np.asarray(canvas, np.float32) / 255
    return Shape(ndimage.uniform_filter(drawn, 3) * 2 - 1, 0, 0)
