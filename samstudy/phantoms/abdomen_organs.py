"""The organs of a section, painted from back to front over its frame, with the label codes of AMOS22."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from samstudy.phantoms.abdomen import Ellipse, Person
from samstudy.phantoms.abdomen_frame import paint_frame
from samstudy.phantoms.abdomen_section import Section
from samstudy.phantoms.soft_shapes import Canvas, Grid, blob, curve, tube

CODES = {
    "spleen": 1, "right_kidney": 2, "left_kidney": 3, "gall_bladder": 4, "esophagus": 5, "liver": 6, "stomach": 7,
    "aorta": 8, "postcava": 9, "pancreas": 10, "right_adrenal": 11, "left_adrenal": 12, "duodenum": 13, "bladder": 14,
    "prostate_uterus": 15,
}  # fmt: skip
_HIP_Z_MM = -150.0


def draw_section(
    person: Person, z_mm: float, grid: Grid, tissues: Mapping[str, tuple[float, float]], texture: np.ndarray
) -> Canvas:
    """Draw the section of a person at a height.

    Parameters
    ----------
    person, z_mm, grid, tissues, texture
        As in ``Section``.

    Returns
    -------
    Canvas
        ``values`` without blur and noise; ``codes`` by ``CODES``.
    """
    cut = Section(person, z_mm, grid, tissues, texture)
    paint_frame(cut)
    for paint in (
        _bowel, _stomach, _liver, _spleen, _adrenals, _kidneys, _vessels, _pancreas, _pelvic_organs,
    ):  # fmt: skip
        paint(cut)
    return cut.canvas


def _bowel(cut: Section) -> None:
    room = cut.abdomen
    if cut.z < _HIP_Z_MM:
        room = np.minimum(room, blob(cut.grid, (0, -16), (48, 58)))
    for loop in cut.person.loops:
        x, y, z = loop.centre_xyz
        reach = 1 - ((cut.z - z) / (1.15 * loop.radius_mm)) ** 2
        if reach <= 0.05:
            continue
        radius = loop.radius_mm * np.sqrt(reach)
        place = Ellipse(x, y, radius, radius * loop.flatness, loop.degrees)
        outer = np.minimum(cut.shape(place, cut.person.outlines["duodenum"]), room)
        inner = np.minimum(outer, cut.shape(place.grown(-2.6), cut.person.outlines["duodenum"]))
        level = y - radius * (1 - 2 * loop.gas_share) if loop.gas_share else -1e3
        cut.hollow(outer, inner, loop.content, level, 0)
    for x, y, radius, z in cut.person.vessels:
        if cut.z < 20 and abs(z - cut.z) < 35:
            cut.paint(cut.dot(70 * x, -25 + 40 * y, 0.8 * radius), "vein")


def _stomach(cut: Section) -> None:
    place = cut.person.section("stomach", cut.z)
    if place is None:
        return
    outline = cut.person.outlines["stomach"]
    outer = np.minimum(cut.shape(place, outline), cut.inside)
    inner = np.minimum(cut.shape(place.grown(-4.5), outline), outer)
    level = place.y - place.ry * (1 - 2 * cut.person.stomach_gas)
    cut.hollow(outer, inner, "chyme", level, CODES["stomach"])


def _liver(cut: Section) -> None:
    right, left = (cut.person.section(f"liver_{lobe}", cut.z) for lobe in ("right", "left"))
    if right is None:
        return
    liver = cut.organ("liver_right")
    if left is not None:
        # the lobes are one organ: no deep notch between them
        between = (0.42 * right.x + 0.58 * left.x, 0.32 * right.y + 0.68 * left.y)
        bridge = blob(cut.grid, between, (0.5 * right.rx, min(0.95 * left.ry, 0.55 * right.ry)), -14)
        liver = np.maximum.reduce([liver, bridge, cut.organ("liver_left")])
    liver = np.minimum(liver, cut.inside)
    gall = cut.person.section("gall_bladder", cut.z)
    cut.paint(liver, "liver", CODES["liver"])
    _liver_vessels(cut, liver)
    if gall is not None:
        outline = cut.person.outlines["gall_bladder"]
        cut.paint(cut.shape(gall.grown(1.0), outline), "gut_wall", CODES["gall_bladder"])
        cut.paint(cut.shape(gall.grown(-0.8), outline), "bile", CODES["gall_bladder"])


def _liver_vessels(cut: Section, liver: np.ndarray) -> None:
    """Hepatic veins run to the cava above, portal branches from the hilum below; others are seen end on."""
    right = cut.person.section("liver_right", cut.z)
    cava = cut.person.section("postcava", cut.z)
    if right is None:
        return
    for x, y, radius, z in cut.person.vessels[:70]:
        if abs(z - cut.z) < 30:
            dot = cut.dot(right.x + x * right.rx, right.y + y * right.ry, 0.75 * radius)
            cut.paint(np.minimum(dot, liver), "portal", None)
    if cava is not None and cut.z > 55:
        stem, tissue = cava.centre_xy, "vein"
        ends = ((-0.55, 0.35), (-0.35, -0.45), (0.35, -0.75))
    elif -5 < cut.z < 50:
        stem, tissue = (-22 * cut.person.stretch_xy[0], cut.spine_y - 48), "portal"
        ends = ((-0.45, 0.15), (-0.3, -0.5), (0.1, 0.5))
    else:
        return
    for (x, y), (dx, dy, *_) in zip(ends, cut.person.vessels, strict=False):
        end = (right.x + (x + 0.2 * dx) * right.rx, right.y + (y + 0.2 * dy) * right.ry)
        bend = ((end[0] + stem[0]) / 2 + 9 * dy, (end[1] + stem[1]) / 2 + 9 * dx)
        vein = cut.line([stem, bend, end], [5.0, 3.4, 1.2])
        cut.paint(np.minimum(vein, liver), tissue, None)


def _spleen(cut: Section) -> None:
    spleen = cut.organ("spleen")
    if spleen is None:
        return
    place = cut.person.section("spleen", cut.z)
    # the stomach and the kidney press a hollow into its inner side
    hollow = blob(
        cut.grid,
        (place.x - 1.35 * place.rx, place.y - 10),
        (0.8 * place.rx, 0.85 * place.ry),
        8,
    )
    spleen = np.clip(np.minimum(spleen, cut.inside) - hollow, 0, 1)
    cut.paint(spleen, "spleen", CODES["spleen"])
    cut.paint(cut.dot(place.x - 0.62 * place.rx, place.y - 4, 3.0), "vein")


def _kidneys(cut: Section) -> None:
    for name, side in (("right_kidney", -1), ("left_kidney", 1)):
        place = cut.person.section(name, cut.z)
        if place is None:
            continue
        outline = cut.person.outlines[name]
        around = place.grown(4.0)
        around = Ellipse(around.x - side * 1.5, around.y + 2.5, around.rx, around.ry, around.degrees)
        halo = np.minimum(cut.shape(around, outline), cut.cavity)
        cut.paint(halo, "visceral_fat")
        kidney = cut.shape(place, outline)
        hilum = abs(cut.z - (0 if side > 0 else -14)) / 24
        opening = None
        if hilum < 1:
            depth = np.sqrt(1 - hilum**2)
            centre = (place.x - side * 0.72 * place.rx, place.y - 0.42 * place.ry)
            opening = blob(cut.grid, centre, (15 * depth, 11 * depth), side * 30)
            kidney = np.clip(kidney - opening, 0, 1)
        cut.paint(kidney, "kidney_cortex", CODES[name])
        _pyramids(cut, place, kidney, side)
        if opening is not None:
            x, y = place.x - side * 0.5 * place.rx, place.y - 0.3 * place.ry
            cut.paint(blob(cut.grid, (x, y), (7 * depth, 4 * depth), side * 30), "urine")
            vein = [(x - side * 4, y - 4), (x - side * 22, y - 14), (side * 14, cut.spine_y - 30)]
            cut.paint(cut.line(vein, 3.4), "vein")


def _pyramids(cut: Section, place: Ellipse, kidney: np.ndarray, side: int) -> None:
    for angle in np.radians((-95, -48, 0, 48, 95)):
        x = place.x + side * 0.56 * place.rx * np.cos(angle)
        y = place.y + 0.56 * place.ry * np.sin(angle)
        pyramid = blob(cut.grid, (x, y), (0.26 * place.rx, 0.17 * place.ry), float(np.degrees(angle)) * side)
        cut.paint(np.minimum(pyramid, kidney), "kidney_medulla", None)


def _vessels(cut: Section) -> None:
    for name, tissue in (("postcava", "vein"), ("aorta", "artery")):
        cover = cut.organ(name)
        if cover is not None:
            if name == "aorta" or cut.z < 20:
                cut.paint(cut.organ(name, 1.6), "visceral_fat")
            cut.paint(cover, tissue, CODES[name])
    esophagus = cut.organ("esophagus")
    if esophagus is not None:
        cut.paint(cut.organ("esophagus", 1.2), "visceral_fat")
        cut.paint(esophagus, "gut_wall", CODES["esophagus"])
        place = cut.person.section("esophagus", cut.z)
        cut.paint(cut.dot(place.x, place.y, 1.8 if cut.person.stomach_gas > 0.4 else 0.6), "gas", None)
    if -70 < cut.z < 8:
        y = cut.spine_y
        cut.paint(cut.dot(8, y - 52, 3.8), "artery")
        cut.paint(cut.dot(-6, y - 54, 5.8), "vein")
    if cut.z < -76:
        drop = (-76 - cut.z) * 0.42
        for side in (-1, 1):
            cut.paint(cut.dot(side * (8 + drop), cut.spine_y - 26, 5.4), "artery")
            cut.paint(cut.dot(side * (11 + drop), cut.spine_y - 16, 6.0), "vein")


def _pancreas(cut: Section) -> None:
    """A bent tube, its tail higher than its head: a section shows the part at its height."""
    z = cut.z - cut.person.shifts["duodenum"][2]
    if not -28 < z < 44:
        return
    sx, sy = cut.person.stretch_xy
    y = cut.spine_y
    path = [(-30, y - 38), (-14, y - 52), (6, y - 58), (34, y - 54), (62, y - 36), (80, y - 22)]
    line = curve([(x * sx, y + (v - y) * sy) for x, v in path], 48)
    radii = np.interp(np.linspace(0, 1, 48), (0, 0.2, 0.35, 0.7, 1), (13, 9.5, 8, 9.5, 7.5))
    middle = np.interp(z, (-28, -5, 15, 30, 44), (0.0, 0.12, 0.45, 0.7, 0.95))
    spread = np.interp(z, (-28, -15, 10, 20, 44), (0.05, 0.18, 0.42, 0.4, 0.1))
    kept = np.abs(np.linspace(0, 1, 48) - middle) <= spread
    lobules = 1 + 0.1 * np.sin(np.arange(48) * 1.9 + cut.person.turns["spleen"])
    if kept.sum() < 3:
        return
    vein = line[kept] + np.array([2.0, 8.0])
    cut.paint(tube(cut.grid, vein, 3.6), "portal")
    pancreas = tube(cut.grid, line[kept], (radii * lobules)[kept])
    cut.paint(np.clip(pancreas - _kept_organs(cut), 0, 1), "pancreas", CODES["pancreas"])
    duodenum = cut.person.section("duodenum", cut.z)
    if duodenum is not None:
        _duodenum(cut, duodenum)


def _kept_organs(cut: Section) -> np.ndarray:
    """Cover of what the pancreas lies against and does not cover."""
    names = ("aorta", "postcava", "left_kidney", "right_kidney", "spleen")
    return np.isin(cut.canvas.codes, [CODES[name] for name in names]).astype(np.float32)


def _duodenum(cut: Section, place: Ellipse) -> None:
    outline = cut.person.outlines["duodenum"]
    outer = cut.shape(place, outline)
    inner = np.minimum(outer, cut.shape(place.grown(-3.2), outline))
    gas = place.y - place.ry * (0.4 if cut.person.stomach_gas > 0.35 else 1.5)
    cut.hollow(outer, inner, "chyme", gas, CODES["duodenum"])


def _adrenals(cut: Section) -> None:
    y = cut.spine_y
    for side, name, low, high in ((-1, "right_adrenal", 34, 70), (1, "left_adrenal", 24, 60)):
        if not low < cut.z < high:
            continue
        size = np.interp(cut.z, (low, low + 8, high - 8, high), (0.5, 1.0, 1.0, 0.5))
        root = (side * 29, y - 21) if side < 0 else (side * 36, y - 30)
        limbs = ((side * 9, 19), (-side * 1, 20)) if side < 0 else ((side * 13, 16), (-side * 4, 20))
        if side < 0:
            cut.paint(blob(cut.grid, (root[0] - 2, root[1] + 11), (10, 13), -15), "visceral_fat")
        for dx, dy in limbs:
            bend = (root[0] + 0.4 * dx * size, root[1] + 0.6 * dy * size)
            end = (root[0] + dx * size, root[1] + dy * size)
            cover = cut.line([root, bend, end], [2.6, 2.3, 1.8], 10)
            cut.paint(cut.line([root, bend, end], 4.2, 10), "visceral_fat")
            cut.paint(cover, "adrenal", CODES[name])


def _pelvic_organs(cut: Section) -> None:
    if cut.z < -130:
        rectum = Ellipse(2.0, min(cut.spine_y - 20, 44.0), 17.0, 14.0, 0.0)
        outer = cut.shape(rectum, cut.person.outlines["stomach"])
        inner = cut.shape(rectum.grown(-4.0), cut.person.outlines["stomach"])
        cut.hollow(outer, inner, "faeces", rectum.y - 7, 0)
        for side in (-1, 1):
            if cut.z < -150:
                cut.paint(blob(cut.grid, (side * 24, 14), (15, 7), side * 20), "uterus")
    gland = "uterus" if cut.person.female else "prostate"
    cover = cut.organ(gland)
    if cover is not None:
        cut.paint(cover, gland, CODES["prostate_uterus"])
    bladder = cut.organ("bladder")
    if bladder is not None:
        cut.paint(bladder, "muscle", CODES["bladder"])
        cut.paint(cut.organ("bladder", -3.0), "urine", CODES["bladder"])
