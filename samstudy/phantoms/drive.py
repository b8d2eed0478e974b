"""Phantom of DRIVE: fundus photographs of 45 degrees, with the vessels as two observers trace them.

Written as older copies of the archive are, with the labels of the test part: 565 x 584 pixels (the official size), LZW
TIFF, masks as GIF of 0 and 255, the field of view in ``mask/``, a second observer for the test part.

Scale: the field of about 540 pixels spans 45 degrees, hence 45 px/mm; measured on the seven real images beside the
checkout are the exposure, the share of vessel pixels (10-17 %), the traced length (5500-10800 px), the noise
(1.2-1.8 grey levels above a Gaussian of 1 px) and the contrast of vessels (12-17 levels of green). As in the
screening that DRIVE is from, about one eye in six has signs of mild diabetic retinopathy.
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
from samstudy.phantoms.fundus_experts import Tracer, trace_vessels
from samstudy.phantoms.fundus_eye import Traits
from samstudy.seeds import rng_for

TRAITS = Traits(cup_mean=0.42, cup_sd=0.10, retina_rgb=(0.64, 0.30, 0.155), diabetic=0.17, tessellated=0.15)
CAMERA = Camera(
    size_hw=(584, 565), px_per_mm=45, field_px=268, gain=330, gain_sd=0.13, sharpening=0.3, notch="round"
)
FIRST = Tracer()
SECOND = Tracer(widening=0.95, added_px=0.2, faintest_px=0.52, tremor_px=0.5, missed=0.25)
_FIRST_NUMBER = {"train": 21, "test": 1}
_FOLDER = {"train": "training", "test": "test"}


def draw_case(part: str, index: int, seed: int) -> tuple[Photograph, np.ndarray, np.ndarray]:
    """Draw one photograph and the tracings of both observers (bool, H x W)."""
    rng = rng_for(seed, "phantom", "drive", part, index)
    is_right = bool(rng.random() < 0.5)
    # the disc lies at one side of the field, the fovea near its middle
    aim_mm = (rng.normal(3.7, 0.35), rng.normal(0.3, 0.35))
    camera = replace(CAMERA, gain=CAMERA.gain * rng.uniform(0.85, 1.1))
    photo = draw_fundus(rng, TRAITS, camera, aim_mm, is_right)
    return photo, trace_vessels(rng, photo, FIRST), trace_vessels(rng, photo, SECOND)


def write(root: Path, counts: Mapping[str, int], seed: int) -> Iterator[str]:
    """Write ``training/`` and ``test/``; see ``Phantom.write``."""
    for part, number in counts.items():
        for index in range(number):
            photo, first, second = draw_case(part, index, seed)
            folder, name = root / _FOLDER[part], f"{_FIRST_NUMBER[part] + index:02d}"
            stem = f"{name}_{_FOLDER[part]}"
            with written_whole(folder / "images" / f"{stem}.tif") as temporary:
                Image.fromarray(photo.image).save(temporary, compression="tiff_lzw")
            _write_gif(folder / "mask" / f"{stem}_mask.gif", photo.field)
            _write_gif(folder / "1st_manual" / f"{name}_manual1.gif", first)
            if part == "test":
                _write_gif(folder / "2nd_manual" / f"{name}_manual2.gif", second)
            yield stem


def _write_gif(path: Path, mask: np.ndarray) -> None:
    with written_whole(path) as temporary:
        Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(temporary)


PHANTOM = Phantom(
    name="drive",
    counts={"train": 14, "test": 7},
    n_images=21,
    write=write,
    difficulty="half of the traced length is at most 3 pixels wide and fades into grain; choroid, haze and lesions "
    "are as dark or bright as vessels.",
)
