"""Phantom of RIM-ONE r3: stereo pairs of the optic disc, outlined by two experts on the left view.

Written with the official folders and names at half the official size: pairs of 1072 x 712 pixels, two views
side by side, masks as wide as the pair with content on the left alone. The right view is the left one seen from the
side: what lies deeper, the floor of the cup, is displaced. Each view spans 5 mm of retina. No real image was at
hand: scale, colours and depth are chosen, not measured. Image ids are taken from the
official list, so that the committed split, and its patients, hold for the phantom too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from samstudy.paths import written_whole
from samstudy.phantoms.base import Phantom
from samstudy.phantoms.fundus import Camera, Photograph, develop, draw_fundus
from samstudy.phantoms.fundus_experts import drawn_outlines, outline_masks
from samstudy.phantoms.fundus_eye import Outline, Traits
from samstudy.seeds import rng_for

HEALTHY = Traits(
    cup_mean=0.42, cup_sd=0.10, retina_rgb=(0.62, 0.28, 0.15), atrophy=0.35, diabetic=0.0, drusen=0.05,
    tessellated=0.3,
)  # fmt: skip
TRAITS = {
    "N": HEALTHY,
    "S": replace(HEALTHY, cup_mean=0.56, cup_sd=0.09, atrophy=0.5),
    "G": replace(HEALTHY, cup_mean=0.70, cup_sd=0.09, atrophy=0.65),
}
CAMERA = Camera(
    size_hw=(712, 536), px_per_mm=107, field_px=float("inf"), gain=290, gain_sd=0.15, vignette=0.22, gradient=0.22,
    haze=0.0, blur_px=1.4, noise_levels=2.2,
)  # fmt: skip
IDS = (
    "N-2-R", "N-6-R", "N-12-R", "G-23-R", "G-3-R", "G-11-R", "S-3-R", "S-1-L", "S-14-R", "N-20-R", "N-7-L",
    "G-4-L", "S-8-R", "N-10-R", "G-29-R", "S-10-R", "N-14-R", "S-2-L", "N-24-R", "G-7-L", "S-12-L", "N-25-L",
)  # fmt: skip
CUP_DEPTH_PX = 9.0


def draw_case(index: int, seed: int) -> tuple[Photograph, np.ndarray, list[tuple[Outline, Outline]]]:
    """Draw the left view, the right view (uint8, H x W x 3) and the outlines of both experts."""
    rng = rng_for(seed, "phantom", "rim_one_r3", "all", index)
    name = image_id(index)
    aim_mm = (rng.normal(0.05, 0.15), rng.normal(0.0, 0.15))
    photo = draw_fundus(rng, TRAITS[name[0]], CAMERA, aim_mm, name.endswith("R"))
    return photo, right_view(rng, photo), [drawn_outlines(rng, photo) for _ in range(2)]


def right_view(rng: np.random.Generator, photo: Photograph) -> np.ndarray:
    """Look at the same retina from the side, with noise of its own.

    Returns
    -------
    numpy.ndarray, uint8, H x W x 3
    """
    depth = CUP_DEPTH_PX * np.clip(1.25 - photo.eye.cup.level(photo.grid.x_mm, photo.grid.y_mm), 0, 1)
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]].astype(np.float32)
    seen_at = columns + rng.uniform(6, 14) + ndimage.gaussian_filter(depth, 4)
    levels = [
        ndimage.map_coordinates(photo.levels[..., channel], (rows, seen_at), order=1, mode="nearest")
        for channel in range(3)
    ]
    return develop(rng, np.stack(levels, axis=-1), CAMERA, photo.depth_px)


def image_id(index: int) -> str:
    """Official id of a case; beyond the list, healthy eyes of new patients."""
    return IDS[index] if index < len(IDS) else f"N-{101 + index - len(IDS)}-R"


def write(root: Path, counts: Mapping[str, int], seed: int) -> Iterator[str]:
    """Write ``RIM-ONE r3/``; see ``Phantom.write``."""
    for index in range(counts["all"]):
        photo, other, outlines = draw_case(index, seed)
        name = image_id(index)
        folder = root / "RIM-ONE r3" / ("Healthy" if name.startswith("N") else "Glaucoma and suspects")
        with written_whole(folder / "Stereo Images" / f"{name}.jpg") as temporary:
            Image.fromarray(np.hstack([photo.image, other])).save(temporary, quality=94)
        for number, drawn in enumerate(outlines, 1):
            stem = f"Expert{number}_masks/{name}-1"
            _write_masks(folder, stem, f"exp{number}", outline_masks(photo, *drawn))
        average = [_average(a, b) for a, b in zip(*outlines, strict=True)]
        _write_masks(folder, f"Average_masks/{name}", "Avg", outline_masks(photo, *average))
        yield name


def _average(first: Outline, second: Outline) -> Outline:
    """Outline whose position, axes and waves are the means of two."""
    waves = [(one + other) / 2 for one, other in zip(first.waves, second.waves, strict=True)]
    return replace(
        first,
        centre_mm=tuple(np.mean([first.centre_mm, second.centre_mm], axis=0)),
        radii_mm=tuple(np.mean([first.radii_mm, second.radii_mm], axis=0)),
        waves=tuple(waves),
    )


def _write_masks(folder: Path, stem: str, suffix: str, masks: tuple[np.ndarray, np.ndarray]) -> None:
    for target, mask in zip(("Disc", "Cup"), masks, strict=True):
        pair = np.hstack([np.where(mask, 255, 0), np.zeros(mask.shape)]).astype(np.uint8)
        with written_whole(folder / f"{stem}-{target}-{suffix}.png") as temporary:
            Image.fromarray(pair).save(temporary)


PHANTOM = Phantom(
    name="rim_one_r3",
    counts={"all": 22},
    n_images=22,
    write=write,
    difficulty="the disc fills a third of the view, so its margin is soft at the scale of pixels; thick vessels cover "
    "the nasal half of the cup.",
)
