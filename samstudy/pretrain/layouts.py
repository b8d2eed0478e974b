"""Layouts of a scene: which leaves are painted, in which order, and what belongs to what."""

from __future__ import annotations

import numpy as np

from samstudy.pretrain.canvas import Canvas
from samstudy.pretrain.shapes import Shape, bands, star

RIM_WEIGHT = 0.08  # a rim shares its box with the whole, which is what a box nearly always means


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
    body = canvas.paint(shape, 0, 1.2, np.full(canvas.channels, low, np.float32))
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
        canvas.groups.append(([node for node in nodes if node], 0.5))


def _layout_composite(canvas: Canvas) -> None:
    """A large object (or a pair that is one) whose inner edges may be stronger than its outline."""
    rng = canvas.rng
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 9))):
            canvas.paint(canvas.place(_power_law(rng, 0.04, 0.35)), 0, 0.4)
    radius = np.exp(rng.uniform(np.log(0.08), np.log(0.6)))
    shape = canvas.place(radius, rng.uniform(0, 1 - radius))
    colour = canvas.new_colour(0, np.exp(rng.uniform(np.log(0.1), 0)))
    bodies = [canvas.paint(shape, 0, 3.0, colour)]
    if radius < 0.3 and rng.random() < 0.35:
        twin = canvas.paint(shape.mirrored(canvas.size_hw[1]), 0, 1.5, colour)
        bodies = [body for body in {bodies[0], twin} if body]
        canvas.groups.append((bodies, 4.0))
    for body in filter(None, bodies):
        own = shape if body == bodies[0] else shape.mirrored(canvas.size_hw[1])
        _fill_composite(canvas, body, own, radius)
    for _ in range(int(rng.integers(0, 4))):
        canvas.paint(canvas.place(radius * rng.uniform(0.1, 0.7)), 0, 0.4)


def _fill_composite(canvas: Canvas, body: int, shape: Shape, radius: float) -> None:
    """Give an object a core, parts and a broken rim, in strong colours; none of them is often asked for."""
    rng = canvas.rng
    if rng.random() < 0.3:
        margin = radius * canvas.side * rng.uniform(0.1, 0.6)
        canvas.paint(shape.shrunk(margin), body, 0.4, inside=True)
    for _ in range(int(rng.integers(0, 20))):
        part = canvas.place_inside(body, radius * _power_law(rng, 0.05, 0.7))
        colour = canvas.new_colour(body, rng.uniform(0.3, 1.5))
        canvas.paint(part, body, 0.3, colour, inside=True, fading=rng.random() < 0.3)
    if rng.random() < 0.45:
        rim = shape.ring(radius * canvas.side * rng.uniform(0.03, 0.2))
        colour = canvas.new_colour(body, rng.uniform(0.5, 2.0))
        canvas.paint(rim, body, 0.0, colour, inside=True, fading=rng.random() < 0.7)


def _layout_nested(canvas: Canvas) -> None:
    """Leaves one within the other, the inner ones off the centre and often of little contrast."""
    rng = canvas.rng
    for _ in range(int(rng.integers(0, 6))):
        canvas.paint(canvas.place(_power_law(rng, 0.04, 0.3)), 0, 0.4)
    radius = np.exp(rng.uniform(np.log(0.08), np.log(0.5)))
    centre = np.array(canvas.size_hw) * rng.uniform(0.25, 0.75, 2)
    node = canvas.paint(star(rng, canvas.size_hw, tuple(centre), radius * canvas.side), 0, 1.5)
    for _ in range(int(rng.integers(1, 4)) if node else 0):
        outer, radius = radius, radius * rng.uniform(0.35, 0.85)
        centre = centre + rng.uniform(-0.5, 0.5, 2) * (outer - radius) * canvas.side
        inner = star(rng, canvas.size_hw, tuple(centre), radius * canvas.side)
        colour = canvas.new_colour(node, np.exp(rng.uniform(np.log(0.15), np.log(1.2))))
        node = canvas.paint(inner, node, 2.0, colour, inside=True) or node


_PAINT = {
    "leaves": _layout_leaves,
    "few": _layout_few,
    "container": _layout_container,
    "bands": _layout_bands,
    "cluster": _layout_cluster,
    "composite": _layout_composite,
    "nested": _layout_nested,
}


def paint_layout(canvas: Canvas, layout: str) -> None:
    """Paint the leaves of a layout, one of ``LAYOUTS``, on a started canvas."""
    _PAINT[layout](canvas)
