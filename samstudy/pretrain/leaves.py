"""Occlusion scenes in the manner of the dead-leaves model, with masks for free.

A scene is painted leaf by leaf onto a canvas (Lee, Mumford & Huang, IJCV 2001). Each leaf is a node with a
parent: a part belongs to its object, an object to its container; groups of nodes are objects too. So one
point has several right answers, as it has in real images. Five layouts are drawn: many overlapping leaves,
few soft leaves, one large container with an inside, stacked bands, and clusters of small leaves.
All lengths are relative to the canvas, so that a scene looks alike at any size.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from samstudy.pretrain.appearance import finish
from samstudy.pretrain.shapes import Shape, bands, branches, star
from samstudy.pretrain.textures import sample_texture
from samstudy.seeds import rng_for

LAYOUTS = ("leaves", "few", "container", "bands", "cluster")
LAYOUT_WEIGHTS = (0.26, 0.24, 0.26, 0.12, 0.12)
LEAST_VISIBLE = 0.55  # of what was painted; fragments of buried leaves are nobody's object
RIM_WEIGHT = 0.08  # a rim shares its box with the whole, which is what a box nearly always means
AREA_POWER = 0.35  # small leaves are many; without it large objects would hardly be asked for


@dataclass(frozen=True)
class Scene:
    """A drawn image and the objects in it.

    Attributes
    ----------
    image : numpy.ndarray, uint8, H x W x 3
        RGB; the longer side is the size asked for, the shorter one at least half of it.
    node_map : numpy.ndarray, int16, H x W
        Topmost node of each pixel; 0 is the background.
    members : tuple of numpy.ndarray
        For each object the sorted nodes it consists of: itself, its parts, their parts; or a group.
    weights : numpy.ndarray, float32
        How often each object should be asked for.
    layout : str
        One of ``LAYOUTS``.
    """

    image: np.ndarray
    node_map: np.ndarray
    members: tuple[np.ndarray, ...]
    weights: np.ndarray
    layout: str

    def mask(self, index: int) -> np.ndarray:
        """Visible pixels of an object, bool H x W."""
        lookup = np.zeros(int(self.node_map.max()) + 1, bool)
        nodes = self.members[index]
        lookup[nodes[nodes < len(lookup)]] = True
        return lookup[self.node_map]


@dataclass
class Canvas:
    """A scene while it is painted."""

    rng: np.random.Generator
    size_hw: tuple[int, int]
    channels: int
    contrast: float
    roughness: float
    softness: float
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

    def new_colour(self, parent: int) -> np.ndarray:
        """A colour at about the scene's contrast from the parent's, kept within [0, 1] by reflection."""
        shift = self.contrast * self.rng.uniform(0.4, 1.6) * self.rng.choice((-1, 1))
        tint = self.rng.normal(0, 0.4 * self.contrast, self.channels) if self.channels == 3 else 0
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
    ) -> int:
        """Paint a leaf on top of everything and return its node; 0 if nothing of it is on the canvas.

        ``inside`` clips it to its parent's visible family.
        """
        window = shape.window
        softness = max(0.7, self.softness * self.side * self.rng.uniform(0.3, 1.2))
        alpha = np.clip(0.5 + shape.level / np.float32(softness), 0, 1)
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


def _power_law(rng: np.random.Generator, low: float, high: float) -> float:
    """Radius with density ~ r^-2 between the bounds: small leaves are many."""
    return 1 / rng.uniform(1 / high, 1 / low)


def _add_parts(canvas: Canvas, node: int, radius: float, n: int) -> None:
    """Paint up to ``n`` parts inside an object; a rim or a core now and then."""
    for _ in range(n):
        shape = canvas.place_inside(node, radius * canvas.rng.uniform(0.15, 0.6))
        canvas.paint(shape, parent=node, weight=0.6, inside=True)


def _paint_object(canvas: Canvas, shape: Shape, radius: float, parent: int = 0, inside: bool = False) -> int:
    """Paint a leaf that may have a rim, a core of the same outline, parts, or be a ring."""
    rng, thickness = canvas.rng, radius * canvas.side * canvas.rng.uniform(0.06, 0.4)
    style = rng.random()
    if style < 0.05:
        return canvas.paint(shape.ring(thickness), parent, 0.4, inside=inside)
    node = canvas.paint(shape, parent, inside=inside)
    if node and style < 0.13:
        canvas.paint(shape.ring(thickness), node, RIM_WEIGHT, inside=True)
    elif node and style < 0.24:
        canvas.paint(shape.shrunk(2 * thickness), node, 0.7, inside=True)
    elif node and style < 0.4:
        _add_parts(canvas, node, radius, int(rng.integers(1, 4)))
    return node


def _paint_pair(canvas: Canvas, radius: float, parent: int, inside: bool) -> None:
    """Two mirrored leaves that are also one object together."""
    rng = canvas.rng
    offset = rng.uniform(0.12, 0.34)
    centre = (canvas.size_hw[0] * rng.uniform(0.3, 0.7), canvas.size_hw[1] * (0.5 - offset))
    shape = star(rng, canvas.size_hw, centre, radius * canvas.side)
    left = canvas.paint(shape, parent, 0.6, inside=inside)
    if left:
        right = canvas.paint(
            shape.mirrored(canvas.size_hw[1]), parent, 0.6, canvas.colours[left], inside=inside
        )
        if right:
            canvas.groups.append(([left, right], 1.0))


def _layout_leaves(canvas: Canvas) -> None:
    for _ in range(int(canvas.rng.integers(5, 26))):
        radius = _power_law(canvas.rng, 0.04, 0.4)
        _paint_object(canvas, canvas.place(radius), radius)


def _layout_few(canvas: Canvas) -> None:
    for _ in range(int(canvas.rng.integers(1, 4))):
        radius = canvas.rng.uniform(0.05, 0.42)
        _paint_object(canvas, canvas.place(radius, 0.7), radius)


def _layout_container(canvas: Canvas) -> None:
    rng = canvas.rng
    radius = rng.uniform(0.25, 0.5)
    shape = canvas.place(radius, 0.25)
    low = rng.uniform(0.05, 0.9)
    body = canvas.paint(shape, 0, 2.0, np.full(canvas.channels, low, np.float32))
    if not body:
        return
    if rng.random() < 0.6:
        thickness = radius * canvas.side * rng.uniform(0.03, 0.2)
        canvas.paint(shape.ring(thickness), body, RIM_WEIGHT, inside=True)
        if rng.random() < 0.3:
            gap = thickness * rng.uniform(1.2, 2)
            canvas.paint(shape.shrunk(gap).ring(thickness), body, RIM_WEIGHT, inside=True)
    if rng.random() < 0.35:
        _paint_pair(canvas, radius * rng.uniform(0.15, 0.45), body, inside=True)
    for _ in range(int(rng.integers(0, 14))):
        part_radius = radius * _power_law(rng, 0.06, 0.6)
        part = canvas.place_inside(body, part_radius)
        _paint_object(canvas, part, part_radius, body, inside=True)


def _layout_bands(canvas: Canvas) -> None:
    rng = canvas.rng
    nodes = [canvas.paint(band, 0, 0.8) for band in bands(rng, canvas.size_hw, int(rng.integers(2, 8)))]
    nodes = [node for node in nodes if node]
    if len(nodes) > 2:
        first = int(rng.integers(len(nodes) - 1))
        canvas.groups.append((nodes[first : int(rng.integers(first + 2, len(nodes) + 1))], 0.6))
    for _ in range(int(rng.integers(0, 6))):
        radius = _power_law(rng, 0.02, 0.15)
        canvas.paint(canvas.place(radius), 0, 0.8)


def _layout_cluster(canvas: Canvas) -> None:
    rng = canvas.rng
    radius = rng.uniform(0.015, 0.08)
    colour = canvas.new_colour(0)
    spread = rng.uniform(0.4, 1.0)
    nodes = []
    for _ in range(int(rng.integers(6, 45))):
        jitter = rng.normal(0, 0.15 * canvas.contrast, canvas.channels)
        shape = canvas.place(radius * rng.uniform(0.6, 1.5), spread)
        nodes.append(canvas.paint(shape, 0, 1.0, np.clip(colour + jitter, 0, 1).astype(np.float32)))
    if rng.random() < 0.3:
        canvas.groups.append(([node for node in nodes if node], 2.0))


_PAINT = {
    "leaves": _layout_leaves,
    "few": _layout_few,
    "container": _layout_container,
    "bands": _layout_bands,
    "cluster": _layout_cluster,
}


def _canvas_size(rng: np.random.Generator, size: int) -> tuple[int, int]:
    """Square in half of the scenes, else one side down to half."""
    if rng.random() < 0.5:
        return size, size
    short = int(size * rng.uniform(0.55, 1))
    return (size, short) if rng.random() < 0.4 else (short, size)


def draw_scene(seed: int, index: int, size: int, split: str = "train") -> Scene:
    """Draw one scene; the same arguments give the same scene in any process and order.

    Parameters
    ----------
    seed, index : int
        Study seed and number of the scene.
    size : int
        Longer side in pixels, at least 32.
    split : str
        ``"train"`` or ``"heldout"``: names of disjoint streams of randomness.

    Returns
    -------
    Scene
        With at least one object, except in the rare case that nothing is visible.
    """
    rng = rng_for(seed, "scene", split, index)
    layout = str(rng.choice(LAYOUTS, p=LAYOUT_WEIGHTS))
    contrast = float(np.exp(rng.uniform(np.log(0.07), np.log(0.5))))
    canvas = Canvas(
        rng=rng,
        size_hw=_canvas_size(rng, size),
        channels=1 if rng.random() < 0.55 else 3,
        contrast=contrast,
        roughness=contrast * float(rng.uniform(0.0, 1.0)),
        softness=float(rng.choice((0.002, 0.01, 0.04), p=(0.55, 0.25, 0.2))),
    )
    dark = layout == "container" and rng.random() < 0.6
    level = rng.uniform(0, 0.08) if dark else rng.uniform(0.1, 0.9)
    tint = rng.normal(0, 0.1, canvas.channels) if canvas.channels == 3 and not dark else 0
    canvas.start(np.clip(np.full(canvas.channels, level) + tint, 0, 1).astype(np.float32))
    _PAINT[layout](canvas)
    if rng.random() < 0.1:
        canvas.paint(branches(rng, canvas.size_hw, canvas.side / 256 * rng.uniform(1.5, 7)), 0, 0.5)
    image, field_of_view = finish(rng, canvas.image)
    if field_of_view is not None:
        canvas.nodes[~field_of_view] = 0
    return _collect(canvas, image, layout)


def _collect(canvas: Canvas, image: np.ndarray, layout: str) -> Scene:
    """Keep the objects of which enough is visible."""
    visible_px = np.bincount(canvas.nodes.ravel(), minlength=len(canvas.parents))
    least_px = max(24, canvas.nodes.size * 0.0006)
    members, weights = [], []
    candidates = [(canvas.family(node), canvas.kinds[node], node) for node in range(1, len(canvas.parents))]
    for nodes, weight, node in candidates:
        seen_px = visible_px[nodes].sum()
        if seen_px >= least_px and seen_px >= LEAST_VISIBLE * canvas.painted_px[node]:
            members.append(np.array(nodes))
            weights.append(weight * seen_px**AREA_POWER)
    for nodes, weight in canvas.groups:
        family = sorted({member for node in nodes for member in canvas.family(node)})
        seen_px = visible_px[family].sum()
        if seen_px >= least_px:
            members.append(np.array(family))
            weights.append(weight * seen_px**AREA_POWER)
    return Scene(image, canvas.nodes, tuple(members), np.array(weights, np.float32), layout)
