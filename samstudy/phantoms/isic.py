"""Drawn dermoscopic images, written as the 2017 release of the ISIC challenge, superpixels among the images included.

Lesions cover 5 to 90 % of the frame, most of them 8 to 40 %, in the middle of it as a clinician aims. The outlines are
drawn in the three manners seen in the real masks: smooth, a polygon of a few corners, and the blocks of a
coarse automatic mask. Sizes have the official 3 : 4, at a quarter of the usual number of pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, label
from skimage.measure import approximate_polygon, find_contours

from samstudy.paths import written_whole
from samstudy.phantoms.base import Phantom
from samstudy.phantoms.dermoscope import look
from samstudy.phantoms.skin import add_lesion, bare_skin
from samstudy.seeds import rng_for

_PARTS = {"train": "Training", "val": "Validation", "test": "Test_v2"}
_FIRST_ID = {"train": 0, "val": 3000, "test": 12000}
_SIZES_HW = ((450, 600), (480, 640), (384, 512))
_JPEG_QUALITY = 92
_SUPERPIXEL_PX = 18


def write(root: Path, counts: Mapping[str, int], seed: int) -> Iterator[str]:
    """Write images, superpixels and masks of each part, yielding the id of each image."""
    for part, count in counts.items():
        images = root / f"ISIC-2017_{_PARTS[part]}_Data"
        masks = root / f"ISIC-2017_{_PARTS[part]}_Part1_GroundTruth"
        for index in range(count):
            stem = f"ISIC_{_FIRST_ID[part] + index:07d}"
            picture, lesion = _case(rng_for(seed, "phantom", "isic", part, index))
            with written_whole(images / f"{stem}.jpg") as temporary:
                Image.fromarray(picture).save(temporary, quality=_JPEG_QUALITY)
            with written_whole(images / f"{stem}_superpixels.png") as temporary:
                Image.fromarray(_superpixels(lesion.shape)).save(temporary)
            with written_whole(masks / f"{stem}_segmentation.png") as temporary:
                Image.fromarray(lesion.astype(np.uint8) * 255).save(temporary)
            yield stem


def _case(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture (uint8, H x W x 3) and the lesion (bool, H x W)."""
    size_hw = _SIZES_HW[rng.integers(len(_SIZES_HW))]
    share = float(np.clip(np.exp(rng.normal(np.log(0.17), 0.75)), 0.05, 0.9))
    skin = bare_skin(size_hw, rng)
    lesion = add_lesion(skin, share, rng)
    return look(skin.colour(), rng), _outlined(lesion, rng)


def _outlined(lesion: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the outline around the largest piece as an annotator does."""
    pieces, count = label(gaussian_filter(lesion.astype(np.float32), 3) > 0.5)
    if not count:
        return lesion
    whole = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    manner = rng.choice(["smooth", "polygon", "blocks"], p=[0.5, 0.3, 0.2])
    wide = gaussian_filter(whole.astype(np.float32), rng.uniform(3, 9)) > rng.uniform(0.2, 0.5)
    if manner == "polygon":
        return _polygon(wide, rng.uniform(2, 7))
    if manner == "blocks":
        step = int(rng.integers(4, 8))
        coarse = wide[step // 2 :: step, step // 2 :: step]
        return np.kron(np.pad(coarse, (0, 1), "edge"), np.ones((step, step), bool))[
            : wide.shape[0], : wide.shape[1]
        ]
    return wide


def _polygon(mask: np.ndarray, tolerance_px: float) -> np.ndarray:
    image = Image.new("1", mask.shape[::-1])
    outline = max(find_contours(np.pad(mask, 1).astype(float), 0.5), key=len) - 1
    corners = approximate_polygon(outline, tolerance_px)[:, ::-1]
    ImageDraw.Draw(image).polygon([tuple(corner) for corner in corners], fill=1)
    return np.asarray(image)


def _superpixels(size_hw: tuple[int, int]) -> np.ndarray:
    """Return a picture whose colours number the superpixels, as those of the 2017 release do."""
    rows, columns = (np.arange(side) // _SUPERPIXEL_PX for side in size_hw)
    number = rows[:, None] * (columns[-1] + 1) + columns
    return np.stack([number & 255, number >> 8 & 255, number >> 16], axis=-1).astype(np.uint8)


PHANTOM = Phantom(
    name="isic",
    counts={"train": 12, "val": 3, "test": 8},
    n_images=23,
    write=write,
    difficulty="borders fade, zones and regression areas are as pale as the skin, hair, ruler, vignette and frame are "
    "darker than the lesion",
)
