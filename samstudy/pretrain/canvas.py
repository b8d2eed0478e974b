"""A scene while it is painted: leaves on a canvas, each a node with a parent."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from samstudy.pretrain.shapes import Shape, star
from samstudy.pretrain.textures import sample_texture, smooth_field

ADOPTION_SHARE = 0.75


@dataclass
class Canvas:
    """A scene while it is painted.

    With ``adopts``, a leaf of which ``ADOPTION_SHARE`` lies on one object becomes a part of it instead of a
    hole in it: what is seen inside a thing nearly always belongs to the thing.
    """

    rng: np.random.Generator
    size_hw: tuple[int, int]
    channels: int
    contrast: float
    roughness: float
    softness: float
    adopts: bool = False
    parents: list[int] = field(default_factory=lambda: [0])
    kinds: list[float] = field(default_factory=lambda: [0.0])
    painted_px: list[int] = field(default_factory=lambda: [0])
    colours: list[np.ndarray] = field(default_factory=list)
    groups: list[tuple[list[int], float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.side = max(self.size_hw)
        self.nodes = np.zeros(self.size_hw, np.int16)

    def start(self, colour: np.ndarray) -> None:
        """Fill the background, node 0."""
        self.colours.append(colour)
        texture = self._texture(self.size_hw)
        self.image = np.empty((*self.size_hw, self.channels), np.float32)
        self.image[:] = colour + texture

    def _texture(self, size_hw: tuple[int, int]) -> np.ndarray:
        texture = sample_texture(self.rng, size_hw, self.side / 256)
        if texture.shape[2] > self.channels:
            texture = texture.mean(axis=2, keepdims=True)
        return texture * np.float32(self.roughness * self.rng.uniform(0, 1))

    def new_colour(self, parent: int, strength: float = 1.0) -> np.ndarray:
        """A colour at about ``strength`` x the scene's contrast from the parent's, reflected into [0, 1]."""
        shift = strength * self.contrast * self.rng.uniform(0.4, 1.6) * self.rng.choice((-1, 1))
        tint = self.rng.normal(0, 0.4 * strength * self.contrast, self.channels) if self.channels == 3 else 0
        base = self.colours[parent]
        if not 0 <= (base + shift).mean() <= 1:
            shift = -shift
        return np.clip(base + shift + tint, 0, 1).astype(np.float32)

    def paint(
        self,
        shape: Shape,
        parent: int = 0,
        weight: float = 1.0,
        colour: np.ndarray | None = None,
        inside: bool = False,
        fading: bool = False,
    ) -> int:
        """Paint a leaf on top of everything and return its node; 0 if nothing of it is on the canvas.

        ``inside`` clips it to its parent's visible family; ``fading`` lets it vanish along parts of its course.
        """
        window = shape.window
        softness = max(0.7, self.softness * self.side * self.rng.uniform(0.3, 1.2))
        alpha = np.clip(0.5 + shape.level / np.float32(softness), 0, 1)
        if fading and alpha.size:
            alpha = alpha * np.clip(0.6 + smooth_field(self.rng, alpha.shape, self.rng.uniform(1, 4)), 0, 1)
        if self.adopts and not parent:
            parent = self.owner(self.nodes[window][alpha > 0.5])
            inside = parent > 0
        if inside:
            alpha = alpha * np.isin(self.nodes[window], self.family(parent))
        solid = alpha > 0.5
        count = int(solid.sum())
        if count < 6:
            return 0
        node = len(self.parents)
        self.parents.append(parent)
        self.kinds.append(weight)
        self.painted_px.append(count)
        self.colours.append(self.new_colour(parent) if colour is None else colour)
        fill = self.colours[node] + self._texture(shape.level.shape)
        self.image[window] += alpha[..., None] * (fill - self.image[window])
        self.nodes[window][solid] = node
        return node

    def owner(self, covered: np.ndarray) -> int:
        """The object whose family holds most of the covered nodes; 0 where none holds enough of them."""
        counts = np.bincount(covered, minlength=len(self.parents))
        for child in range(len(counts) - 1, 0, -1):
            if counts[child] >= ADOPTION_SHARE * covered.size > 0:
                return child
            counts[self.parents[child]] += counts[child]
        return 0

    def family(self, node: int) -> list[int]:
        """The node and all its descendants."""
        family = {node}
        for child in range(node + 1, len(self.parents)):
            if self.parents[child] in family:
                family.add(child)
        return sorted(family)

    def place(self, radius: float, spread: float = 1.0) -> Shape:
        """A star-shaped leaf of relative ``radius`` anywhere on the canvas, or near its centre."""
        offset = self.rng.uniform(-0.5, 0.5, 2) * spread
        centre = ((0.5 + offset[0]) * self.size_hw[0], (0.5 + offset[1]) * self.size_hw[1])
        return star(self.rng, self.size_hw, centre, radius * self.side)

    def place_inside(self, node: int, radius: float) -> Shape:
        """A leaf of relative ``radius`` centred on a random visible pixel of ``node``."""
        rows, columns = np.nonzero(self.nodes == node)
        if not len(rows):
            return Shape(np.zeros((0, 0), np.float32), 0, 0)
        i = self.rng.integers(len(rows))
        return star(self.rng, self.size_hw, (rows[i], columns[i]), radius * self.side)
