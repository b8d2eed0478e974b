"""Tiny copies of the four fundus sets, drawn in their official layouts: four images each, all in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from samstudy.datasets.base import Dataset

HEIGHT, WIDTH = 48, 40


def circle(radius: float, width: int = WIDTH, centre_xy: tuple[int, int] = (20, 24)) -> np.ndarray:
    """Bool, HEIGHT x width."""
    y, x = np.ogrid[:HEIGHT, :width]
    return (x - centre_xy[0]) ** 2 + (y - centre_xy[1]) ** 2 <= radius**2


DISC, CUP, FIELD = circle(9), circle(4), circle(18)
VESSELS = np.zeros((HEIGHT, WIDTH), bool)
VESSELS[22:25] = True
CODES = np.where(CUP, 0, np.where(DISC, 128, 255)).astype(np.uint8)
"""REFUGE: cup 0, rim 128, background 255."""


def grey(mask: np.ndarray, value: int = 255) -> np.ndarray:
    return (mask * value).astype(np.uint8)


def eye(width: int = WIDTH) -> np.ndarray:
    picture = np.full((HEIGHT, width, 3), (150, 70, 40), np.uint8)
    picture[circle(9, width)] = 220
    return picture


def save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def soft_map(radius: float) -> np.ndarray:
    """Votes of four experts whose outlines are one pixel apart, as greys."""
    votes = sum(circle(radius + step).astype(int) for step in (-1, 0, 1, 2))
    return np.array([0, 64, 128, 191, 255], np.uint8)[votes]


def drishti_gs(root: Path) -> None:
    for part, truth, numbers in (("Training", "GT", (2, 4)), ("Test", "Test_GT", (1, 3))):
        for number in numbers:
            name = f"drishtiGS_{number:03d}"
            save(root / part / "Images" / f"{name}.png", eye())
            maps = root / part / truth / name / "SoftMap"
            save(maps / f"{name}_ODsegSoftmap.png", soft_map(9))
            save(maps / f"{name}_cupsegSoftmap.png", soft_map(4))


def pair(mask: np.ndarray) -> np.ndarray:
    """Outline of the left view, in the width of a stereo pair."""
    return np.hstack([mask, np.zeros_like(mask)])


def rim_one_r3(root: Path) -> None:
    for kind, names in (("Healthy", ("N-10-R", "N-11-L")), ("Glaucoma and suspects", ("G-22-L", "S-9-L"))):
        folder = root / kind
        for name in names:
            save(folder / "Stereo Images" / f"{name}.jpg", np.hstack([eye(), eye()]))
            for word, mask in (("Disc", grey(DISC)), ("Cup", grey(CUP))):
                save(folder / "Expert1_masks" / f"{name}-1-{word}-exp1.png", pair(mask))
                save(folder / "Expert2_masks" / f"{name}-{word}-exp2.png", pair(np.roll(mask, 1, axis=0)))
                save(folder / "Average_masks" / f"{name}-{word}-Avg.png", pair(mask))


def refuge(root: Path) -> None:
    for images, masks, name in (
        ("Training400/Glaucoma", "Annotation-Training400/Disc_Cup_Masks/Glaucoma", "g0001"),
        ("Training400/Non-Glaucoma", "Annotation-Training400/Disc_Cup_Masks/Non-Glaucoma", "n0001"),
        ("REFUGE-Validation400", "REFUGE-Validation400-GT/Disc_Cup_Masks", "V0001"),
        ("Test400", "REFUGE-Test-GT/Disc_Cup_Masks/G", "T0001"),
    ):
        save(root / images / f"{name}.jpg", eye())
        save(root / masks / f"{name}.bmp", CODES)


def drive(root: Path) -> None:
    for part, numbers in (("training", ("21", "24")), ("test", ("01", "02"))):
        folder = root / part
        for number in numbers:
            save(folder / "images" / f"{number}_{part}.tif", eye())
            save(folder / "1st_manual" / f"{number}_manual1.gif", grey(VESSELS))
            save(folder / "mask" / f"{number}_{part}_mask.gif", grey(FIELD))
            if part == "test":
                save(folder / "2nd_manual" / f"{number}_manual2.gif", grey(np.roll(VESSELS, 3, axis=0)))


DRAW: dict[str, Callable[[Path], None]] = {f.__name__: f for f in (drishti_gs, rim_one_r3, refuge, drive)}

SET_NAMES = tuple(DRAW)


def check(dataset: Dataset) -> tuple[pd.DataFrame, dict]:
    """Findings, those about what is missing against the official counts aside; the summary."""
    table = dataset.check(progress=False)
    return table[table["level"] != "missing"], table.attrs["summary"]
