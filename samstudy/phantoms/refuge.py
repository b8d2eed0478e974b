"""Phantom of REFUGE: fundus photographs from two cameras, with disc and cup in one mask.

Written with the official folders and codes (BMP of 0 cup, 128 rim, 255 background) at 0.3 of the official size. The
training part looks like a Zeiss Visucam 500, the others like a Canon CR-2: other size, colours, sharpness and framing,
so that a model tuned on one meets the other, as in the challenge. One image in four is of glaucoma (in the challenge
one in ten), with larger cups. Masks are those of an expert who is not exactly right.

No real image was at hand: scale, colours and framing of both cameras are chosen, not measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from samstudy.paths import written_whole
from samstudy.phantoms.base import Phantom
from samstudy.phantoms.fundus import Camera, Photograph, draw_fundus
from samstudy.phantoms.fundus_experts import drawn_outlines, outline_masks
from samstudy.phantoms.fundus_eye import Traits
from samstudy.seeds import rng_for

HEALTHY = Traits(cup_mean=0.44, cup_sd=0.10, retina_rgb=(0.50, 0.28, 0.16), atrophy=0.3, diabetic=0.08)
GLAUCOMA = replace(HEALTHY, cup_mean=0.70, cup_sd=0.08, atrophy=0.65)
ZEISS = Camera(
    size_hw=(617, 637),
    px_per_mm=45,
    field_px=296,
    gain=270,
    gain_sd=0.14,
    vignette=0.25,
    haze=0.25,
    blur_px=0.6,
)
CANON = Camera(
    size_hw=(490, 490), px_per_mm=36, field_px=238, gain=330, gain_sd=0.14, vignette=0.30, haze=0.45, blur_px=0.9,
    noise_levels=1.5, notch="square",
)  # fmt: skip
_FOLDERS = {
    "train": ("Training400", "Annotation-Training400"),
    "val": ("REFUGE-Validation400", "REFUGE-Validation400-GT"),
    "test": ("Test400", "REFUGE-Test-GT"),
}


def has_glaucoma(index: int) -> bool:
    """Whether case ``index`` of any part is of glaucoma: the second of every four."""
    return index % 4 == 1


def draw_case(part: str, index: int, seed: int) -> tuple[Photograph, np.ndarray]:
    """Draw one photograph and its mask (uint8, H x W; 0 cup, 128 rim, 255 background)."""
    rng = rng_for(seed, "phantom", "refuge", part, index)
    traits = GLAUCOMA if has_glaucoma(index) else HEALTHY
    camera = ZEISS if part == "train" else CANON
    # Zeiss images are centred between disc and fovea, Canon images nearer to the fovea
    aim_mm = (rng.normal(2.6, 0.4), rng.normal(0.2, 0.3)) if part == "train" else (rng.normal(3.6, 0.4), 0.3)
    photo = draw_fundus(rng, traits, camera, aim_mm, bool(rng.random() < 0.5))
    disc, cup = outline_masks(photo, *drawn_outlines(rng, photo))
    return photo, np.where(cup, 0, np.where(disc, 128, 255)).astype(np.uint8)


def write(root: Path, counts: Mapping[str, int], seed: int) -> Iterator[str]:
    """Write the six folders of the archives; see ``Phantom.write``."""
    for part, number in counts.items():
        for index in range(number):
            photo, mask = draw_case(part, index, seed)
            image_path, mask_path = case_paths(root, part, index)
            with written_whole(image_path) as temporary:
                Image.fromarray(photo.image).save(temporary, quality=93)
            with written_whole(mask_path) as temporary:
                Image.fromarray(mask).save(temporary)
            yield image_path.stem


def case_paths(root: Path, part: str, index: int) -> tuple[Path, Path]:
    """Official places of image and mask of a case."""
    images, masks = (root / name for name in _FOLDERS[part])
    masks /= "Disc_Cup_Masks"
    sick = has_glaucoma(index)
    if part == "train":
        n_sick = (index + 2) // 4
        stem = f"g{n_sick + 1:04d}" if sick else f"n{index - n_sick + 1:04d}"
        kind = "Glaucoma" if sick else "Non-Glaucoma"
        return images / kind / f"{stem}.jpg", masks / kind / f"{stem}.bmp"
    stem = f"{part[0].upper()}{index + 1:04d}"
    if part == "test":
        masks /= "G" if sick else "N"
    return images / f"{stem}.jpg", masks / f"{stem}.bmp"


PHANTOM = Phantom(
    name="refuge",
    counts={"train": 11, "val": 4, "test": 8},
    n_images=23,
    write=write,
    difficulty="vessels cross disc and cup, atrophy continues the disc, the cup fades into the rim; the test "
    "camera is not the training camera.",
)
