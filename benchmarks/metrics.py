"""Speed of ``samstudy.metrics`` beside MONAI on 512 x 512 masks: ``python benchmarks/metrics.py``.

Prints milliseconds per mask: the best of a few rounds, one thread. MONAI gets tensors ready made. clDice is
timed apart because MONAI has no such metric and thinning costs more than everything else.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)
from scipy import ndimage

from samstudy.metrics import MaskScorer, score

SIZE = 512
SPACING_MM = (0.8, 0.8)
SHARED = ("dice", "iou", "nsd", "hd95", "assd")


def disc(row: float, column: float, radius: float) -> np.ndarray:
    """Filled disc, bool, 512 x 512."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def field(seed: int, sigma: float) -> np.ndarray:
    """Smooth noise of unit variance, 512 x 512."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(SIZE, SIZE)), sigma)
    return noise / noise.std()


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs (reference, mask) of the kinds of object that the study meets."""
    return {
        "small object": (disc(100, 100, 20), disc(103, 99, 22)),
        "large object": (disc(256, 256, 150), disc(270, 250, 160)),
        "ragged regions": (field(1, 15) > 0.5, field(1, 15) + 0.3 * field(2, 10) > 0.5),
        "vessels": (np.abs(field(3, 8)) < 0.06, np.abs(field(3, 8) + 0.05) < 0.06),
    }


def with_monai(reference: torch.Tensor, mask: torch.Tensor) -> None:
    """The five metrics that both have, by MONAI's functions."""
    surface = {"include_background": True, "spacing": SPACING_MM}
    compute_dice(mask, reference)
    compute_iou(mask, reference)
    compute_surface_dice(mask, reference, [2.0], **surface)
    compute_hausdorff_distance(mask, reference, percentile=95, **surface)
    compute_average_surface_distance(mask, reference, symmetric=True, **surface)


def milliseconds(call: Callable[[], object], rounds: int = 7, calls: int = 5) -> float:
    """Time of one call: the best round's mean, so that other work on the machine counts little."""
    call()
    best = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, (time.perf_counter() - start) / calls)
    return 1000 * best


def main() -> None:
    """Print one line per case."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"{'ms per mask':<16}{'MONAI':>8}{'score':>8}{'scorer':>8}{'ratio':>8}{'clDice':>8}")
    for name, (reference, mask) in cases().items():
        tensors = [torch.from_numpy(m[None, None].astype(np.float32)) for m in (reference, mask)]
        shared = MaskScorer(reference, SPACING_MM, metrics=SHARED)
        centre = MaskScorer(reference, SPACING_MM, metrics=["cldice"])
        monai = milliseconds(lambda tensors=tensors: with_monai(*tensors))
        alone = milliseconds(lambda r=reference, m=mask: score(r, m, SPACING_MM, metrics=SHARED))
        cached = milliseconds(lambda s=shared, m=mask: s.score(m))
        thinned = milliseconds(lambda s=centre, m=mask: s.score(m))
        print(f"{name:<16}{monai:8.2f}{alone:8.2f}{cached:8.2f}{monai / cached:7.1f}x{thinned:8.2f}")


if __name__ == "__main__":
    main()
