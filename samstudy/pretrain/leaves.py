"""Occlusion scenes in the manner of the dead-leaves model, with masks for free.

A scene is painted leaf by leaf onto a canvas (Lee, Mumford & Huang, IJCV 2001). Each leaf is a node with a
parent: a part belongs to its object, an object to its container; groups of nodes are objects too. So one
point has several right answers, as it has in real images. Seven layouts are drawn: many overlapping leaves,
few soft leaves, one large container with an inside, stacked bands, clusters of small leaves, objects
whose inner edges outdo their outline, and leaves one within the other. Threads, bars and marks may lie over it all.
All lengths are relative to the canvas, so that a scene looks alike at any size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samstudy.pretrain.appearance import finish
from samstudy.pretrain.canvas import Canvas
from samstudy.pretrain.layouts import paint_layout
from samstudy.pretrain.overlays import lay_over
from samstudy.pretrain.shapes import branches
from samstudy.seeds import rng_for

LAYOUTS = ("leaves", "few", "container", "bands", "cluster", "composite", "nested")
LAYOUT_WEIGHTS = (0.11, 0.13, 0.17, 0.08, 0.18, 0.2, 0.13)
OVERLAY_SHARE = 0.3
LEAST_VISIBLE = 0.55  # of what was painted; fragments of buried leaves are nobody's object
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
    contrast = float(np.exp(rng.uniform(np.log(0.06), np.log(0.45))))
    canvas = Canvas(
        rng=rng,
        size_hw=_canvas_size(rng, size),
        channels=1 if rng.random() < 0.65 else 3,
        contrast=contrast,
        roughness=contrast * float(rng.uniform(0.0, 1.2)),
        softness=float(rng.choice((0.002, 0.01, 0.04), p=(0.5, 0.28, 0.22))),
        adopts=rng.random() < 0.85,
    )
    dark = layout in ("container", "composite", "cluster") and rng.random() < 0.5
    level = rng.uniform(0, 0.08) if dark else rng.uniform(0.1, 0.9)
    tint = rng.normal(0, 0.1, canvas.channels) if canvas.channels == 3 and not dark else 0
    canvas.start(np.clip(np.full(canvas.channels, level) + tint, 0, 1).astype(np.float32))
    paint_layout(canvas, layout)
    if rng.random() < 0.1:
        canvas.paint(branches(rng, canvas.size_hw, canvas.side / 256 * rng.uniform(1.5, 7)), 0, 0.5)
    if rng.random() < OVERLAY_SHARE:
        canvas.image = lay_over(rng, canvas.image, contrast)
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
        enough = seen_px >= max(least_px, LEAST_VISIBLE * canvas.painted_px[node])
        if weight and enough:
            members.append(np.array(nodes))
            weights.append(weight * seen_px**AREA_POWER)
    for nodes, weight in canvas.groups:
        family = sorted({member for node in nodes for member in canvas.family(node)})
        seen_px = visible_px[family].sum()
        if seen_px >= least_px:
            members.append(np.array(family))
            weights.append(weight * seen_px**AREA_POWER)
    return Scene(image, canvas.nodes, tuple(members), np.array(weights, np.float32), layout)
