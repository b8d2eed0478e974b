"""Drawn chest radiographs, written as the Kaggle bundle of the Montgomery and Shenzhen sets.

Two rooms are imitated, in turn, as the two hospitals differ: ``MCUCXR`` with a steep film curve (lungs nearly black),
black surround, letter R and a lead label; ``CHNCXR`` with a wide latitude, letter L and collimator edges, stored with a
palette. A quarter of the persons of each is drawn with opacities, and their names end in ``_1``.

How an exposure is made from the line integrals of ``samstudy.phantoms.thorax``: primary ``exp(-integral)``; scatter
as a broad (25 mm) blur of it, as strong as is left behind an anti-scatter grid; a detector blur of 0.6 pixels; Poisson
noise; and the negative logarithm through a film curve. Pixels are 0.7 mm, an eighth of the official number; the frame
has the official aspect.

The outlines are those of the thorax, smoothed as by hand. Two Shenzhen images without a mask lie in ``CXR_png`` and
again in ``test``, as 96 do in the bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, zoom

from samstudy.datasets.chest_xray import UNMASKED
from samstudy.errors import StudyError
from samstudy.paths import written_whole
from samstudy.phantoms.base import Phantom
from samstudy.phantoms.thorax import project
from samstudy.phantoms.thorax_body import draw_body
from samstudy.seeds import rng_for

_PITCH_MM = 0.7
_STRIDE = 11
_PHOTONS = 60_000
_SCATTER_MM = 25.0
_COARSE = 8
_CASES = 104


def write(root: Path, counts: Mapping[str, int], seed: int) -> Iterator[str]:
    """Write the bundle; cases take turns between the two rooms and between normal and not.

    Raises
    ------
    StudyError
        If more cases are asked for than the official numbering holds here.
    """
    wanted = counts.get("all", 0)
    if wanted > _CASES:
        raise StudyError(f"the phantom of chest_xray has at most {_CASES} cases; {wanted} were asked for.")
    folder = root / "Lung Segmentation"
    for number in sorted(UNMASKED)[:2] if wanted else ():
        stem = f"CHNCXR_{number:04d}_0"
        image, _ = _case("CHNCXR", False, rng_for(seed, "phantom", "chest_xray", "unmasked", number))
        for place in ("CXR_png", "test"):
            _save(folder / place / f"{stem}.png", image, "CHNCXR")
        _save_reading(folder, stem, rng_for(seed, "phantom", "chest_xray", "reading", stem))
    for index in range(wanted):
        stem, room = _name(index)
        image, lungs = _case(room, stem.endswith("_1"), rng_for(seed, "phantom", "chest_xray", "all", index))
        _save(folder / "CXR_png" / f"{stem}.png", image, room)
        mask = f"{stem}_mask.png" if room == "CHNCXR" else f"{stem}.png"
        _save(folder / "masks" / mask, lungs.astype(np.uint8) * 255, "")
        _save_reading(folder, stem, rng_for(seed, "phantom", "chest_xray", "reading", stem))
        yield stem


def _name(index: int) -> tuple[str, str]:
    """Return the file stem and room of a case: official-like numbers, normal below 327 in Shenzhen."""
    room, sick = ("CHNCXR", "MCUCXR")[index % 2], index % 4 // 2
    place = _STRIDE * (index // 4)
    if room == "MCUCXR":
        return f"MCUCXR_{place + 1 + 100 * sick:04d}_{sick}", room
    numbers = range(327, 663) if sick else range(1, 327)
    number = [n for n in numbers if n not in UNMASKED][place]
    return f"CHNCXR_{number:04d}_{sick}", room


def _case(room: str, sick: bool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the picture (uint8, H x W) and the lung mask (bool) of one person."""
    size_hw = _size(room, rng)
    body = draw_body(rng)
    extent = np.array(size_hw) * _PITCH_MM
    # the frame ends a little below the costophrenic angles, or further down
    above = min(rng.uniform(35, 80), extent[0] - max(body.domes) - 60)
    across = (np.arange(size_hw[1], dtype=np.float32) + 0.5) * np.float32(_PITCH_MM) - np.float32(
        extent[1] / 2
    )
    down = (np.arange(size_hw[0], dtype=np.float32) + 0.5) * np.float32(_PITCH_MM) - np.float32(above)
    u, v = np.meshgrid(across - np.float32(rng.normal(0, 7)), down)
    turn = np.deg2rad(rng.normal(0, 1.6))
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    shadow = project(body, c * u + s * v, c * v - s * u, _PITCH_MM, rng, sick)
    outline = gaussian_filter(shadow.lungs.astype(np.float32), 2.0) > 0.5
    picture = _film(_expose(shadow.attenuation, rng), room, rng)
    lowest = np.flatnonzero(outline.any(axis=1))[-1]
    return _labelled(picture, room, lowest, rng), outline


def _size(room: str, rng: np.random.Generator) -> tuple[int, int]:
    if room == "MCUCXR":
        return (502, 611) if rng.random() < 0.6 else (611, 502)
    return int(rng.uniform(500, 550)), int(rng.uniform(500, 550))


def _expose(attenuation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the negative logarithm of the detected intensity."""
    primary = np.exp(-attenuation).astype(np.float32)
    # unattenuated rays are outside the collimated field or saturate; they scatter nothing
    coarse = zoom(np.minimum(primary, 0.12), 1 / _COARSE, order=1)
    broad = gaussian_filter(coarse, _SCATTER_MM / _PITCH_MM / _COARSE)
    broad = zoom(broad, np.array(primary.shape) / broad.shape, order=1)
    detected = gaussian_filter(primary + rng.uniform(0.10, 0.25) * broad, 0.6)
    photons = _PHOTONS * rng.uniform(0.5, 1.5)
    return -np.log(np.clip(rng.poisson(detected * photons), 1, None) / photons)


def _film(log_exposure: np.ndarray, room: str, rng: np.random.Generator) -> np.ndarray:
    """Return grey levels in [0, 1], bone white."""
    if room == "MCUCXR":
        middle, latitude = rng.uniform(2.45, 2.8), rng.uniform(0.40, 0.52)
        return 1 / (1 + np.exp(-(log_exposure - middle) / latitude)) - 0.004
    white, low = rng.uniform(4.5, 5.1), rng.uniform(0.06, 0.16)
    return low + (0.97 - low) * np.clip(log_exposure / white, 0, 1) ** rng.uniform(0.6, 0.85)


def _labelled(picture: np.ndarray, room: str, lowest: int, rng: np.random.Generator) -> np.ndarray:
    """Add collimator edges (below the lowest row of the lungs) and lead letters; return uint8."""
    height, width = picture.shape
    image = Image.fromarray(np.clip(picture * 255, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    if room == "MCUCXR":
        draw.text((rng.uniform(0.05, 0.12) * width, rng.uniform(0.03, 0.08) * height), "R", 215, _font(26))
        left, top = rng.uniform(0.80, 0.86) * width, rng.uniform(0.01, 0.05) * height
        draw.rectangle((left, top, left + 64, top + 38), fill=240)
        draw.text((left + 18, top), "PA", 20, _font(16))
        draw.text((left + 2, top + 18), "ERECT", 20, _font(16))
        edge, slope = lowest + rng.uniform(16, 50), rng.uniform(-9, 9)
        if rng.random() < 0.7 and edge < height - 5:
            draw.polygon([(0, edge), (width, edge + slope), (width, height), (0, height)], fill=0)
            draw.line([(0, edge), (width, edge + slope)], fill=250, width=3)
        return np.asarray(image)
    draw.text((rng.uniform(0.82, 0.92) * width, rng.uniform(0.02, 0.08) * height), "L", 235, _font(24))
    draw.text((rng.uniform(0.86, 0.92) * width, rng.uniform(0.09, 0.12) * height), "pa", 225, _font(13))
    lean = rng.normal(0, 7, 4)
    draw.polygon([(-1, -1), (max(1, lean[0]), -1), (max(1, -lean[0]), height), (-1, height)], fill=0)
    draw.polygon(
        [(width, -1), (width - max(1, lean[1]), -1), (width - max(1, -lean[1]), height), (width, height)],
        fill=0,
    )
    edge = height - rng.uniform(2, 7)
    draw.polygon(
        [(0, edge + lean[2] / 3), (width, edge - lean[2] / 3), (width, height), (0, height)], fill=252
    )
    return np.asarray(image)


def _font(size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size_px)


def _save(path: Path, values: np.ndarray, room: str) -> None:
    image = Image.fromarray(values)
    with written_whole(path) as temporary:
        (image.convert("P") if room == "CHNCXR" else image).save(temporary)


def _save_reading(folder: Path, stem: str, rng: np.random.Generator) -> None:
    sex, age = rng.choice(["male", "female"]), int(rng.integers(16, 80))
    finding = "opacities as of pulmonary tuberculosis" if stem.endswith("_1") else "normal"
    head = (
        f"{sex} {age}yrs"
        if stem.startswith("CHN")
        else f"Patient's Sex: {sex[0].upper()} \nPatient's Age: {age:03d}Y"
    )
    with written_whole(folder / "ClinicalReadings" / f"{stem}.txt") as temporary:
        temporary.write_text(f"{head}\n{finding}\n", encoding="utf-8")


PHANTOM = Phantom(
    name="chest_xray",
    counts={"all": 20},
    n_images=20,
    write=write,
    difficulty="ribs and vessels cross the outline, heart and diaphragm shade part of the lung, surround and gas are "
    "as dark as lung, and opacities are as bright as what is outside",
)
