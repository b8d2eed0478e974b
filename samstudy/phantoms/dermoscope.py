"""What a dermoscope and its user add to a picture of skin: hair, gel, ruler, chart, lamps, lens and camera."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from samstudy.phantoms.noise import smooth_noise

_OVERSAMPLING = 2
_CHART_RGB = ((38, 84, 160), (205, 60, 70), (228, 196, 60), (60, 150, 95), (225, 120, 50))


def look(reflectance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Photograph skin through a dermoscope.

    Parameters
    ----------
    reflectance : numpy.ndarray, float32, H x W x 3
        Colour of the skin in even light, in [0, 1].
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, uint8, H x W x 3
        With hair in half of the pictures, and now and then bubbles, a ruler, a colour chart, reflections of the
        lamps, dark corners or a round frame; uneven light, a colour cast, blur and noise in all.
    """
    picture = reflectance.astype(np.float32)
    if rng.random() < 0.30:
        picture = _with_bubbles(picture, rng)
    if rng.random() < 0.55:
        picture = _with_hair(picture, rng)
    if rng.random() < 0.22:
        picture = _with_ruler(picture, rng)
    if rng.random() < 0.09:
        picture = _with_chart(picture, rng)
    picture = _in_light(picture, rng)
    if rng.random() < 0.25:
        picture = _with_lamps(picture, rng)
    picture = _through_lens(picture, rng)
    blurred = gaussian_filter(picture, (*[rng.uniform(0.5, 1.0)] * 2, 0))
    noise = rng.normal(0, rng.uniform(0.004, 0.012), blurred.shape).astype(np.float32)
    # the camera's curve lifts the shadows
    return np.clip(255 * np.clip(blurred + noise, 0, 1) ** rng.uniform(0.80, 1.0), 0, 255).astype(np.uint8)


def _painted(size_hw: tuple[int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (size_hw[1] * _OVERSAMPLING, size_hw[0] * _OVERSAMPLING))
    return image, ImageDraw.Draw(image)


def _cover(image: Image.Image, size_hw: tuple[int, int]) -> np.ndarray:
    """Share of each pixel that is painted, float32, H x W x 1."""
    return np.asarray(image.resize(size_hw[::-1], Image.Resampling.BOX), np.float32)[..., None] / 255


def _with_hair(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = size_hw = picture.shape[:2]
    lean, dark = rng.uniform(0, np.pi), rng.random() < 0.8
    colour = np.array([0.16, 0.11, 0.08] if dark else [0.80, 0.68, 0.50], np.float32) * rng.uniform(0.7, 1.2)
    image, draw = _painted(size_hw)
    for _ in range(int(rng.choice([rng.integers(2, 9), rng.integers(9, 36)], p=[0.65, 0.35]))):
        angle, length = lean + rng.normal(0, 0.5), rng.uniform(0.25, 1.1) * width
        start = rng.uniform(-0.1, 1.1, 2) * (width, height)
        along = np.array([np.cos(angle), np.sin(angle)]) * length
        bow = np.array([-along[1], along[0]]) * rng.normal(0, 0.2)
        t = np.linspace(0, 1, 40)[:, None]
        path = start + t * along + 4 * t * (1 - t) * bow
        thick = max(2, round(rng.uniform(1.6, 4.2) * width / 600))
        draw.line(
            [tuple(point) for point in path * _OVERSAMPLING], fill=int(rng.uniform(150, 245)), width=thick
        )
    cover = _cover(image, size_hw)
    shade = 1 - 0.25 * gaussian_filter(cover, (2.5, 2.5, 0))
    return picture * shade * (1 - cover) + cover * colour


def _with_bubbles(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Air in the gel: a thin dark ring, a bright one inside, a spark."""
    height, width = size_hw = picture.shape[:2]
    dark, bright = _painted(size_hw), _painted(size_hw)
    for _ in range(rng.integers(1, 14)):
        radius = rng.uniform(3, 16) * width / 600 * (3.5 if rng.random() < 0.08 else 1)
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        for (_, draw), shrink in ((dark, 0), (bright, 1.5)):
            r = max(1.0, radius - shrink)
            box = [_OVERSAMPLING * v for v in (x - r, y - r, x + r, y + r)]
            draw.ellipse(box, outline=int(rng.uniform(110, 190)), width=2)
        spark, at = 0.22 * radius, (x - 0.4 * radius, y - 0.4 * radius)
        box = [_OVERSAMPLING * v for v in (at[0] - spark, at[1] - spark, at[0] + spark, at[1] + spark)]
        bright[1].ellipse(box, fill=240)
    shade, light = (_cover(image, size_hw) for image, _ in (dark, bright))
    picture = picture * (1 - 0.35 * shade)
    return picture + 0.55 * light * (1 - picture)


def _with_ruler(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ticks of a scale on the contact plate, along one side."""
    height, width = size_hw = picture.shape[:2]
    image, draw = _painted(size_hw)
    step, upright = rng.uniform(16, 34) * width / 600, rng.random() < 0.5
    offset = rng.uniform(0.02, 0.16) * (width if upright else height)
    slope = rng.normal(0, 0.03)
    for number in range(int((height if upright else width) / step) + 1):
        long = (16 if number % 5 == 0 else 9) * width / 600
        a = np.array([offset + slope * number * step, number * step])
        b = a + np.array([long, -slope * long])
        ends = (a, b) if upright else (a[::-1], b[::-1])
        draw.line([tuple(_OVERSAMPLING * end) for end in ends], fill=230, width=3)
    cover = gaussian_filter(_cover(image, size_hw), (0.6, 0.6, 0))
    return picture * (1 - rng.uniform(0.6, 0.95) * cover)


def _with_chart(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A round sticker at the border, as some clinics use for scale and colour."""
    height, width = size_hw = picture.shape[:2]
    image, draw = _painted(size_hw)
    radius = rng.uniform(0.12, 0.24) * height
    x, y = rng.choice([0, width]), rng.uniform(0.05, 0.95) * height
    draw.ellipse([_OVERSAMPLING * v for v in (x - radius, y - radius, x + radius, y + radius)], fill=255)
    cover = gaussian_filter(_cover(image, size_hw), (0.8, 0.8, 0))
    colour = np.array(_CHART_RGB[rng.integers(len(_CHART_RGB))], np.float32) / 255
    weave = 1 + 0.05 * smooth_noise(rng, size_hw, 4)[..., None]
    return picture * (1 - cover) + cover * colour * weave


def _in_light(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = picture.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    slope = rng.normal(0, 0.05, 2)
    light = 1 + slope[0] * x + slope[1] * y - rng.uniform(0.02, 0.22) * (x**2 + y**2) / 2
    cast = 1 + rng.normal(0, 0.025, 3)
    return picture * (light[..., None] * cast * rng.uniform(0.92, 1.08)).astype(np.float32)


def _with_lamps(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Reflections of the lamps, over-exposed, left and right."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    flare = np.zeros((height, width), np.float32)
    for side in rng.choice([0.0, 1.0], rng.integers(1, 3), replace=False):
        for number in range(rng.integers(1, 4)):
            centre = (side * width + rng.normal(0, 8), height * (0.40 + 0.11 * number))
            away = np.hypot(x - centre[0], (y - centre[1]) * 0.9) / (0.05 * height)
            flare += np.exp(-(np.clip(away - 0.55, 0, 30) ** 1.3) * 2.2)
    return picture + np.clip(flare, 0, 1)[..., None] * (1.05 - picture)


def _through_lens(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dark corners of a round field; the frame is seen where the field is smaller than the picture."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    centre = 0.5 * np.array([width, height]) + rng.normal(0, 0.015 * width, 2)
    away = np.hypot(x - centre[0], y - centre[1]) / width
    kind = rng.choice(["open", "corners", "round"], p=[0.54, 0.36, 0.10])
    if kind == "open":
        return picture
    radius = rng.uniform(0.56, 0.64) if kind == "corners" else rng.uniform(0.42, 0.52)
    soft = rng.uniform(0.012, 0.045)
    field = 1 / (1 + np.exp(np.clip((away - radius) / soft * 2.2, -30, 30)))
    return picture * (0.02 + 0.98 * field)[..., None]
