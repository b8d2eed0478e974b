"""Phantom of Drishti-GS1: fundus photographs around the disc, with the votes of four experts.

Written with the official folders (``Test/Test_GT``, not ``GT``) and greys (0, 64, 128, 191, 255 for 0 to 4 votes) at a
third of the official size: about 682 x 584 pixels, sizes vary by a few. The field of view spans 30 degrees; as in the
two real images beside the checkout its top and bottom are cut off, exposures are dark, and most discs are of glaucoma
(the experts' ratios of cup and disc in those two: 0.67 to 0.82). Boundaries and ratios, which the archive holds
beside the soft maps, are written too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.measure import find_contours

from samstudy.paths import written_whole
from samstudy.phantoms.base import Phantom
from samstudy.phantoms.fundus import Camera, Photograph, draw_fundus
from samstudy.phantoms.fundus_experts import drawn_outlines, outline_masks
from samstudy.phantoms.fundus_eye import Traits
from samstudy.seeds import rng_for

N_EXPERTS = 4
GREYS = np.array((0, 64, 128, 191, 255), np.uint8)
GLAUCOMA = Traits(
    cup_mean=0.70, cup_sd=0.09, retina_rgb=(0.44, 0.245, 0.12), retina_sd=0.22, atrophy=0.6, diabetic=0.0,
    drusen=0.1, tessellated=0.6,
)  # fmt: skip
HEALTHY = replace(GLAUCOMA, cup_mean=0.48, cup_sd=0.10, atrophy=0.3)
CAMERA = Camera(
    size_hw=(584, 682), px_per_mm=65, field_px=338, gain=190, gain_sd=0.16, vignette=0.35, gradient=0.35, haze=0.25,
    blur_px=1.1, noise_levels=1.3, notch="square", cut_share=0.075,
)  # fmt: skip
_FOLDERS = {"train": ("Training", "GT"), "test": ("Test", "Test_GT")}


def draw_case(part: str, index: int, seed: int) -> tuple[Photograph, list[tuple[np.ndarray, np.ndarray]]]:
    """Draw one photograph and the masks of disc and cup of each expert (bool, H x W)."""
    rng = rng_for(seed, "phantom", "drishti_gs", part, index)
    traits = HEALTHY if index % 3 == 2 else GLAUCOMA
    height, width = CAMERA.size_hw
    size_hw = (height + int(rng.integers(-2, 3)), width + int(rng.integers(-3, 4)))
    camera = replace(CAMERA, size_hw=size_hw, gain=CAMERA.gain * rng.uniform(0.75, 1.15))
    aim_mm = (rng.normal(0.0, 0.6), rng.normal(0.2, 0.3))
    photo = draw_fundus(rng, traits, camera, aim_mm, bool(rng.random() < 0.5))
    return photo, [outline_masks(photo, *drawn_outlines(rng, photo)) for _ in range(N_EXPERTS)]


def write(root: Path, counts: Mapping[str, int], seed: int) -> Iterator[str]:
    """Write ``Drishti-GS1_files/``; see ``Phantom.write``."""
    for part, number in counts.items():
        folder, truth = _FOLDERS[part]
        for index in range(number):
            # the official parts mix the numbers; here the training part has the even ones
            stem = f"drishtiGS_{2 * index + (2 if part == 'train' else 1):03d}"
            photo, drawn = draw_case(part, index, seed)
            top = root / "Drishti-GS1_files" / folder
            with written_whole(top / "Images" / f"{stem}.png") as temporary:
                Image.fromarray(photo.image).save(temporary, compress_level=2)
            _write_truth(top / truth / stem, stem, drawn)
            yield stem


def _write_truth(folder: Path, stem: str, drawn: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Write soft maps, the boundaries of the majority as (row, column) lines, and each expert's ratio."""
    for target, masks in zip(("OD", "cup"), zip(*drawn, strict=True), strict=True):
        votes = sum(mask.astype(int) for mask in masks)
        with written_whole(folder / "SoftMap" / f"{stem}_{target}segSoftmap.png") as temporary:
            Image.fromarray(GREYS[votes]).save(temporary)
        name = "ODAvgBoundary" if target == "OD" else "CupAvgBoundary"
        contour = np.rint(max(find_contours(votes >= N_EXPERTS / 2, 0.5), key=len)).astype(int)
        _write_lines(
            folder / "AvgBoundary" / f"{stem}_{name}.txt", [f"{row} {column}" for row, column in contour]
        )
        if target == "OD":
            row, column = np.argwhere(votes >= N_EXPERTS / 2).mean(axis=0).round().astype(int)
            _write_lines(folder / "AvgBoundary" / f"{stem}_diskCenter.txt", [f"{row} {column}"])
    ratios = [np.ptp(np.flatnonzero(cup.any(1))) / np.ptp(np.flatnonzero(disc.any(1))) for disc, cup in drawn]
    _write_lines(folder / f"{stem}_cdrValues.txt", [" ".join(f"{ratio:.2f}" for ratio in ratios)])


def _write_lines(path: Path, lines: list[str]) -> None:
    with written_whole(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


PHANTOM = Phantom(
    name="drishti_gs",
    counts={"train": 14, "test": 8},
    n_images=22,
    write=write,
    difficulty="dark, unevenly lit pictures; the cup's margin is a slope on which four experts disagree, and "
    "vessels hide part of it.",
)
