"""What is inside the lungs of a drawn thorax: texture, vessels, and opacities as of tuberculosis.

Vessels leave the hila and branch by Murray's law (``r0**3 = r1**3 + r2**3``, PNAS 1926); the thinner daughter turns
more (Zamir, J Theor Biol 1976). Opacities are patchy and lie mostly in the upper lobes; some lungs have small nodules
or a cavity.
"""

from __future__ import annotations

import numpy as np

from samstudy.phantoms.noise import smooth_noise
from samstudy.phantoms.projection import ellipsoid
from samstudy.phantoms.thorax_body import SIDES, Body, Frame, half_width

_GENERATIONS = 9
_THINNEST_MM = 0.6


def parenchyma(size_hw: tuple[int, int], pitch_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Return the relative amount of air (mean 1): vessels and septa too small to be drawn one by one."""
    fine, coarse = (smooth_noise(rng, size_hw, grain_mm / pitch_mm) for grain_mm in (2.2, 16))
    return 1 + 0.014 * fine + 0.016 * coarse


def opacities(
    body: Body, x: np.ndarray, z: np.ndarray, pitch_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """Return mm of lung without air (H x W, >= 0): infiltrates, some nodules, now and then a cavity."""
    patchy = np.clip(1 + 0.9 * smooth_noise(rng, x.shape, 11 / pitch_mm), 0, None)
    side = rng.choice(SIDES)
    path = np.zeros(x.shape)
    for _ in range(rng.integers(2, 6)):
        height = rng.beta(1.3, 2.6) * 0.85 * body.height
        reach = 0.75 * half_width(body, np.array(height))
        centre = (side * rng.uniform(0.35, 0.95) * reach, 0, height + 14)
        size = rng.uniform(9, 34)
        path += 0.55 * patchy * ellipsoid(x, z, centre, (size, size, 0.8 * size), power=1.6).length_mm()
        side = -side if rng.random() < 0.3 else side
    for _ in range(rng.integers(0, 14)):
        centre = (side * rng.uniform(30, 0.8 * body.width), 0, rng.uniform(0.1, 0.8) * body.height)
        size = rng.uniform(1.5, 5)
        path += ellipsoid(x, z, centre, (size, size, size)).length_mm()
    if rng.random() < 0.4:
        centre, size = (side * 0.45 * body.width, 0, 0.25 * body.height), rng.uniform(9, 17)
        shell, hole = (ellipsoid(x, z, centre, (r, r, r)).length_mm() for r in (size, 0.75 * size))
        path += 0.8 * shell - 0.8 * hole
    return np.clip(path, 0, None)


def vessels(body: Body, frame: Frame, rng: np.random.Generator) -> np.ndarray:
    """Return the path in mm (H x W) through arteries and veins, grown from the hila generation by generation."""
    angles = np.concatenate([np.linspace(-1.3, 1.45, 11) + rng.normal(0, 0.12, 11) for _ in SIDES])
    side = np.repeat(SIDES, 11)
    heading = np.stack([side * np.cos(angles), rng.normal(0, 0.5, 22), np.sin(angles)], axis=1)
    hila = np.stack([30.0 * side, 0.0 * side, 0.47 * body.height - 6.0 * side], axis=1)
    start, radius = hila + rng.normal(0, 7, (22, 3)), rng.uniform(2.6, 4.6, 22)
    # the descending branch of each pulmonary artery
    radius[[9, 20]], heading[[9, 20]] = 5.4, [[-0.35, 0.1, 1], [0.35, 0.1, 1]]
    pieces = []
    for _ in range(_GENERATIONS):
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        length = rng.uniform(6, 10, len(radius)) * radius**0.75 + 4
        along = (np.linspace(0, 1, 14) * length[:, None])[..., None]
        bend = rng.normal(0, 0.005, (len(radius), 1, 3))
        points = start[:, None] + along * heading[:, None] + along**2 * bend
        pieces.append((points.reshape(-1, 3), np.repeat(radius, 14), np.repeat(length / 14, 14)))
        start, grows = points[:, -1], radius > _THINNEST_MM
        grows &= np.abs(start[:, 0]) < 0.97 * half_width(body, start[:, 2])
        grows &= (
            (np.abs(start[:, 1]) < 0.9 * body.depth) & (start[:, 2] > 8) & (start[:, 2] < body.height + 25)
        )
        share = rng.uniform(0.25, 0.5, len(radius))
        # the thinner daughter turns more (Zamir, J Theor Biol 1976)
        parts, turns = (1 - share, share), (0.25, 0.7)
        scatter = [rng.normal(0, turn, heading.shape) * (1, 0.7, 1) for turn in turns]
        heading = np.concatenate([(heading + noise)[grows] for noise in scatter])
        radius = np.concatenate([(radius * part ** (1 / 3))[grows] for part in parts])
        start = np.concatenate([start[grows]] * 2)
    return frame.tubes(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))
