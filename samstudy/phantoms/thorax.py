"""The X-ray shadow of a thorax: heart, vessels, diaphragm, bones and soft tissue around the lungs.

* Heart: cardiothoracic ratio 0.40-0.52, two thirds of it left of the midline; with the aortic arch, the right atrium
  and the hila it makes the inner borders of the lung fields.
* Lung goes on behind and in front of the domes of the diaphragm and of the heart, where it is not outlined.
* Ribs fall by 5-8 cm from the spine to their front ends.

Attenuation per mm at the mean energy of a 120 kV beam (60-70 keV), rounded from the NIST tables of mass attenuation and
the ICRU 44 densities: water 0.0195, lung 0.0045 (density about 0.25 in inspiration), bone of the cortex 0.055, of
vertebrae 0.030.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samstudy.phantoms.projection import Interval, around, cylinder, ellipsoid
from samstudy.phantoms.thorax_body import SIDES, Body, Frame, half_width, profile
from samstudy.phantoms.thorax_tissue import opacities, parenchyma, vessels

MU_SOFT, MU_LUNG, MU_BONE, MU_SPONGY = 0.0195, 0.0045, 0.055, 0.030


@dataclass(frozen=True)
class Shadow:
    """The X-ray shadow of a thorax.

    Attributes
    ----------
    attenuation : numpy.ndarray, float64, H x W
        Line integral, without unit.
    lungs : numpy.ndarray, bool, H x W
        The field that is outlined as lung: inside the rib cage, beside heart and mediastinum, above the domes.
    """

    attenuation: np.ndarray
    lungs: np.ndarray


def project(
    body: Body, x: np.ndarray, z: np.ndarray, pitch_mm: float, rng: np.random.Generator, sick: bool = False
) -> Shadow:
    """Cast the shadow of a person.

    Parameters
    ----------
    body : Body
    x, z : numpy.ndarray, float, H x W
        Position of each ray in the person's frame, mm; a turn and a shift of the person are in them.
    pitch_mm : float
        Pixel pitch.
    rng : numpy.random.Generator
        For ribs, vessels and tissue.
    sick : bool
        Whether there are opacities as of tuberculosis, mostly in the upper lobes.

    Returns
    -------
    Shadow
    """
    frame = Frame(x, z, pitch_mm)
    cage, edge = _cage(body, x, z)
    middle = _mediastinum(body, x, z, rng)
    soft = _torso(body, x, z)
    lungs = np.zeros(x.shape, bool)
    air = np.zeros(x.shape)
    for side, dome in zip(SIDES, body.domes, strict=True):
        below = _below_dome(body, x, z, side, dome)
        inside = cage.length_mm() - cage.meet(middle).length_mm() - cage.meet(below).length_mm()
        inside += cage.meet(below).meet(middle).length_mm()
        here = side * x > 0
        air += np.where(here, np.clip(inside, 0, None), 0)
        shaded = (middle.length_mm() > 0.28 * body.depth) | (below.length_mm() > 0)
        lungs |= here & (edge > 0) & ~shaded
    texture = parenchyma(x.shape, pitch_mm, rng)
    solid = vessels(body, frame, rng)
    if sick:
        solid = solid + opacities(body, x, z, pitch_mm, rng)
    total = MU_SOFT * soft - (MU_SOFT - MU_LUNG) * (air * texture - np.minimum(solid, 0.8 * air))
    total += (MU_BONE - MU_SOFT) * _ribs(body, frame, rng) + (MU_SPONGY - MU_SOFT) * _spine(body, x, z, rng)
    total += (MU_BONE - MU_SOFT) * _shoulders(body, frame, rng)
    total -= MU_SOFT * _airways(x, z) + MU_SOFT * _stomach(body, x, z, rng)
    return Shadow(np.clip(total, 0, None), lungs)


def _cage(body: Body, x: np.ndarray, z: np.ndarray) -> tuple[Interval, np.ndarray]:
    """Interval of the rib cage, and how far inside its outline each ray is (mm; negative outside)."""
    across = np.abs(x) / half_width(body, z)
    peak = 0.40 * body.width
    top = profile(
        np.abs(x), [0, 0.3 * peak, 0.6 * peak, peak, 1.45 * peak, 2.5 * peak], [60, 30, 9, 0, 7, 40]
    )
    edge = np.minimum((1 - across) * body.width, z - top)
    taper = np.sqrt(np.clip((z - top) / (0.3 * body.height), 0, 1))
    half = body.depth * np.sqrt(np.clip(1 - across**2.4, 0, None)) * (0.25 + 0.75 * taper) * (edge > 0)
    return around(0.0, half), edge


def _torso(body: Body, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Path through soft tissue and what it holds, as if all were water, mm."""
    h, w = body.height, body.width + body.wall
    knots = [-0.6 * h, -0.28 * h, -0.16 * h, -0.06 * h, 0.10 * h, 0.34 * h, 0.5 * h, 1.05 * h, 1.6 * h]
    half = profile(z, knots, [60, 62, 84, 150, 192, 1.12 * w, w, w, 0.97 * w])
    deep = profile(
        z, knots, [56, 58, 62, 70, 88, body.depth + 18, body.depth + 22, body.depth + 22, body.depth + 20]
    )
    path = 2 * deep * np.clip(1 - (np.abs(x) / half) ** 2.6, 0, None) ** (1 / 2.3)
    for side in SIDES:
        turn = np.deg2rad(body.arms_deg)
        shoulder = np.array([side * (body.width + 32), 0.14 * h])
        hand = shoulder + 400 * np.array([side * np.sin(turn), np.cos(turn)])
        path = np.maximum(path, cylinder(x, z, np.stack([shoulder, hand]), 44))
        if body.breasts:
            centre = (side * 0.58 * body.width, 0, 0.80 * h)
            path += ellipsoid(x, z, centre, (62, body.breasts / 2, 52), side * 12).length_mm()
    return path


def _mediastinum(body: Body, x: np.ndarray, z: np.ndarray, rng: np.random.Generator) -> Interval:
    """Heart, great vessels and the tissue between the lungs."""
    h, k = body.height, body.heart
    base = min(body.domes)
    across = np.abs(x - 2) / profile(z, [-80, 0, 0.3 * h, 0.55 * h, 1.2 * h], [28, 18, 21, 27, 31])
    whole = around(0.0, 0.95 * body.depth * np.clip(1 - across**6, 0, None) ** 0.5)
    parts = [
        ((24, -14, base - 38 * k), (67 * k, 48, 46 * k), rng.uniform(27, 41)),
        ((-12, -14, base - 36 * k), (34 * k, 42, 56 * k), 0),
        ((22, -4, base - 88 * k), (25 * k, 40, 50 * k), -15),
        ((rng.uniform(14, 19), 0, 0.29 * h), (rng.uniform(17, 23), 42, 19), 0),
        ((-14, 0, 0.30 * h), (rng.uniform(12, 17), 40, 0.33 * h), 0),
        ((rng.uniform(-25, -18), 0, 0.48 * h), (rng.uniform(9, 14), 26, rng.uniform(14, 24)), 12),
        ((rng.uniform(20, 28), 0, 0.45 * h), (rng.uniform(9, 14), 26, rng.uniform(12, 22)), -12),
    ]
    for centre, radii, turn in parts:
        whole = whole.hull(ellipsoid(x, z, centre, radii, turn, power=2.6))
    return whole


def _below_dome(body: Body, x: np.ndarray, z: np.ndarray, side: int, dome_z: float) -> Interval:
    """Interval under one dome of the diaphragm: the lung goes on in front of and behind it."""
    outward = side * x - 0.50 * body.width
    share = np.abs(outward) / (0.5 * body.width)
    fall = np.where(outward > 0, 44 * share**2.3, 13 * share**2)
    depth = 1.02 * body.depth * np.sqrt(np.clip((z - dome_z - fall) / 62, 0, None))
    return around(-8.0, np.where(side * x > -25, depth, 0))


def _ribs(body: Body, frame: Frame, rng: np.random.Generator) -> np.ndarray:
    h, xyz, radii, lengths = body.height, [], [], []
    start = rng.uniform(-0.02, 0.04) * h
    for side in SIDES:
        for number in range(11):
            z0 = start + 0.099 * h * number + rng.normal(0, 1.5)
            turn = np.linspace(0.12, 2.25 if number < 7 else 1.9, 240)
            drop = rng.uniform(0.24, 0.30) * h * (0.45 + 0.075 * number)
            z = z0 - 0.035 * h * np.sin(np.clip(turn * 2, 0, np.pi)) + drop * (1 - np.cos(turn)) / 1.7
            half = half_width(body, z) + 4
            xyz.append(np.stack([side * half * np.sin(turn), (body.depth + 3) * np.cos(turn), z], axis=1))
            step = np.linalg.norm(np.diff(xyz[-1], axis=0, prepend=xyz[-1][:1]), axis=1)
            # flat bones, seen on edge at the side; the front ends hold less mineral
            radii.append(
                np.interp(turn, [0, 0.5, 1.1, 1.57, 2.0, 2.25], [4.6, 5.6, 5.0, 3.0, 4.6, 4.4])
                * rng.uniform(0.93, 1.07)
            )
            lengths.append(step * np.interp(turn, [0, 1.2, 2.25], [0.72, 0.62, 0.34]))
    return frame.tubes(np.concatenate(xyz), np.concatenate(radii), np.concatenate(lengths), shell=0.28)


def _spine(body: Body, x: np.ndarray, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vertebral bodies, discs, pedicles and spinous processes."""
    gap = rng.uniform(0.098, 0.108) * body.height
    phase = (z / gap + rng.uniform(0, 1)) % 1.0
    bend = rng.normal(0, 3) * np.sin(z / body.height * 2)
    across = np.abs(x - bend)
    half = profile(z, [-60, 0, body.height, 1.5 * body.height], [14, 16, 19, 22])
    waist = half * (0.90 + 0.10 * np.abs(2 * phase - 1) ** 2)
    disc = 1 / (1 + np.exp(-(np.abs(phase - 0.5) - 0.40) / 0.02))
    path = 34 * np.clip(1 - (across / waist) ** 4, 0, None) ** 0.5 * (1 - 0.55 * disc)
    path += (
        10 * np.clip(1 - ((across - 0.62 * half) / 4.2) ** 2 - ((phase - 0.42) / 0.2) ** 2, 0, None) ** 0.5
    )
    return path + 9 * np.clip(1 - (across / 3.0) ** 2 - ((phase - 0.65) / 0.28) ** 2, 0, None) ** 0.5


def _shoulders(body: Body, frame: Frame, rng: np.random.Generator) -> np.ndarray:
    """Clavicles, shoulder blades and upper arms."""
    h, xyz, radii = body.height, [], []
    for side in SIDES:
        s = np.linspace(0, 1, 200)
        lift = rng.uniform(0.10, 0.24) * h
        xyz.append(
            np.stack([side * (14 + 150 * s), 60 - 50 * s, 0.10 * h - lift * s + 9 * np.sin(2 * np.pi * s)], 1)
        )
        radii.append(np.interp(s, [0, 0.15, 1], [8, 5.2, 6]))
        edge = body.width + rng.uniform(-14, 4)
        corners = np.array([[edge - 24, 0.02], [edge + 34, 0.06], [edge + 4, 0.62], [edge - 24, 0.02]])
        outline = np.stack(
            [np.interp(np.linspace(0, 3, 300), range(4), corners[:, i]) for i in (0, 1)], axis=1
        )
        xyz.append(np.stack([side * outline[:, 0], np.full(300, 80.0), outline[:, 1] * h], axis=1))
        radii.append(np.full(300, 2.6))
        turn = np.deg2rad(body.arms_deg)
        down = 260 * s[:, None] * np.array([side * np.sin(turn), 0, np.cos(turn)])
        xyz.append(np.array([side * (body.width + 34), 20, 0.07 * h]) + down)
        radii.append(np.interp(s, [0, 0.08, 0.2, 1], [19, 20, 11, 10]))
    points = np.concatenate(xyz)
    lengths = np.linalg.norm(np.diff(points, axis=0, prepend=points[:1]), axis=1)
    lengths[lengths > 8] = 0
    return frame.tubes(points, np.concatenate(radii), 0.42 * lengths, shell=0.3)


def _airways(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Trachea and main bronchi, mm of air."""
    fork = 84.0
    path = cylinder(x, z, np.array([[1, -160], [0, fork]]), 8.5)
    for end in ((-38, fork + 34), (46, fork + 42)):
        path = np.maximum(path, cylinder(x, z, np.array([[0, fork], end]), 6.0))
    return path


def _stomach(body: Body, x: np.ndarray, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gas under the left dome, mm of air."""
    centre = (rng.uniform(50, 85), 20, body.domes[1] + rng.uniform(26, 44))
    radii = (rng.uniform(16, 38), rng.uniform(10, 28), rng.uniform(9, 20))
    return ellipsoid(x, z, centre, radii, rng.uniform(-15, 15)).length_mm()
