"""What surrounds the organs in a section: skin, fat, muscle, ribs, diaphragm and lung bases, spine, pelvis."""

from __future__ import annotations

import numpy as np

from samstudy.phantoms.abdomen import Ellipse
from samstudy.phantoms.abdomen_section import DIAPHRAGM_Z_MM, SQUARISH, Section, squarish
from samstudy.phantoms.soft_shapes import ANGLES, blob

_PELVIS_Z_MM = -85.0


def paint_frame(cut: Section) -> None:
    """Paint everything but the organs, from the skin inwards."""
    _wall(cut)
    if cut.z < _PELVIS_Z_MM:
        _pelvis(cut)
    else:
        _ribs(cut)
    _diaphragm(cut)
    _spine(cut)


def _wall(cut: Section) -> None:
    theta = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    groove = 0.05 * np.exp(-(((theta - np.pi / 2) / 0.16) ** 2))
    outline = (squarish(2.25) - groove) * cut.person.outlines["body"]
    body = Ellipse(0.0, 0.0, cut.a, cut.b, 0.0)
    cut.paint(cut.shape(body, outline), "skin")
    cut.paint(cut.shape(body.grown(-2.0), outline), "fat")
    depth = cut.b - (cut.fat_front + cut.fat_back) / 2
    lean = Ellipse(0.0, (cut.fat_front - cut.fat_back) / 2, cut.a - cut.fat_side, depth, 0.0)
    cut.paint(cut.shape(lean, outline - groove), "muscle")
    # seams of fat between the muscles of the back, the flank and the front
    y, back = cut.spine_y, lean.y + lean.ry
    for side in (-1, 1):
        seam = [(side * 8, back - 8), (side * 46, back - 9), (side * 80, y + 30)]
        cut.paint(cut.line(seam, [1.0, 1.6, 1.0]), "fat")
        cut.paint(cut.line([(side * 24, y + 24), (side * 46, y + 20), (side * 66, y + 10)], 1.2), "fat")
        wall = cut.cavity_ellipse.grown(6)
        arc = [cut.on_wall(wall, np.radians(angle), side) for angle in (60, 20, -25, -52)]
        cut.paint(cut.line(arc, 0.8, 24), "fat")
    cut.paint(cut.cavity, "visceral_fat")


def _ribs(cut: Section) -> None:
    """Ribs run forwards and down: in a section each is a short oblique piece, further in front the higher up."""
    wall = cut.cavity_ellipse.grown(7)
    front = np.interp(cut.z, (-60, -30, 0, 30, 80), (90, 45, 10, -25, -45))
    for side in (-1, 1):
        for number in range(9):
            angle = 68 - 22 * number + (cut.z * 0.42 + side * 4) % 22
            if not front < angle < 74:
                continue
            arc = [cut.on_wall(wall, np.radians(angle + d), side) for d in (-6, 0, 6)]
            cut.paint(cut.line(arc, [3.0, 4.2, 3.0], 8), "cortical_bone")
            cut.paint(cut.line(arc, [1.2, 2.4, 1.2], 8), "marrow")
        if cut.z > 15:
            for angle in (front - 8, front - 28):
                arc = [cut.on_wall(wall, np.radians(angle + d), side) for d in (-7, 0, 7)]
                cut.paint(cut.line(arc, 5.0, 8), "cartilage")


def _diaphragm(cut: Section) -> None:
    """The lung bases with their vessels, and the abdomen below the diaphragm."""
    if cut.z <= DIAPHRAGM_Z_MM:
        return
    cut.paint(cut.cavity, "lung")
    wall = cut.cavity_ellipse
    for x, y, radius, z in cut.person.vessels[:40]:
        if abs(z - cut.z) < 40:
            for side in (-1, 1):
                cut.paint(cut.dot(side * abs(x) * wall.rx, wall.y + y * wall.ry, 0.7 * radius), "artery")
    muscle = cut.shape(cut.below_diaphragm(-2.5), SQUARISH)
    cut.paint(np.minimum(muscle, cut.cavity), "muscle")
    cut.paint(cut.abdomen, "visceral_fat")


def _spine(cut: Section) -> None:
    y = cut.spine_y
    for side in (-1, 1):
        psoas = np.interp(cut.z, (-140, -90, -30, 25, 35), (17, 21, 15, 5, 0))
        cut.paint(blob(cut.grid, (side * (25 + 0.6 * psoas), y + 2), (psoas, 1.25 * psoas)), "muscle")
        if cut.z > -35:
            crus = [(side * 15, y - 12), (side * 15 + 2, y - 24), (side * 7 + 3, y - 42)]
            cut.paint(cut.line(crus, [3.5, 4.0, 2.5]), "muscle")
    disc = (cut.z % 38) < 8
    if cut.z < -170:
        return
    for tissue, shrink in (("cortical_bone", 0.0), ("marrow", 2.6)):
        arch = [(-17, y + 12), (-12, y + 30), (0, y + 38), (12, y + 30), (17, y + 12)]
        cut.paint(cut.line(arch, 5.5 - shrink), tissue)
        cut.paint(cut.line([(0, y + 34), (0, y + 62)], [4.5 - shrink, 3.4 - shrink], 6), tissue)
        for side in (-1, 1):
            wing = [(side * 14, y + 22), (side * 30, y + 25), (side * 44, y + 28)]
            cut.paint(cut.line(wing, [4.6 - shrink, 3.9 - shrink, 3.2 - shrink]), tissue)
        body = blob(cut.grid, (0, y), (24 - shrink, 18 - shrink), 0, squarish(2.5))
        cut.paint(body, "cartilage" if disc else tissue)
    cut.paint(blob(cut.grid, (0, y + 23), (10, 8)), "cord")


def _pelvis(cut: Section) -> None:
    """Hip bones, sacrum, buttocks: what frames the pelvic organs."""
    z, y = cut.z, cut.spine_y
    spread = cut.person.stretch_xy[0]
    for side in (-1, 1):
        if z > -170:
            low = np.interp(z, (-170, -90), (18, 42))
            wing = [
                (side * 48 * spread, y + 6),
                (side * 84 * spread, low),
                (side * 108 * spread, low - 44),
            ]
            cut.paint(blob(cut.grid, (side * 72 * spread, low - 20), (24, 26)), "muscle")
            cut.paint(cut.line(wing, [8, 6, 5]), "cortical_bone")
            cut.paint(cut.line(wing, [5.5, 3.6, 2.8]), "marrow")
            continue
        # obturator and levator muscles leave little fat around the bladder
        cut.paint(blob(cut.grid, (side * 62 * spread, -8), (22, 44)), "muscle")
        cut.paint(cut.line([(side * 50, -30), (side * 36, 10), (side * 18, 44)], [5, 6, 4]), "muscle")
        socket = [(side * 64 * spread, 34), (side * 58 * spread, 4), (side * 72 * spread, -26)]
        cut.paint(cut.line(socket, [9, 7, 7]), "cortical_bone")
        cut.paint(cut.line(socket, [6, 4.4, 4.4]), "marrow")
        cut.paint(cut.dot(side * 90 * spread, 4, 25), "cortical_bone")
        cut.paint(cut.dot(side * 90 * spread, 4, 22), "marrow")
    cut.paint(cut.line([(-34, y + 8), (0, y + 16), (34, y + 8)], [6, 10, 6]), "cortical_bone")
    cut.paint(cut.line([(-34, y + 8), (0, y + 16), (34, y + 8)], [4, 7.5, 4]), "marrow")
