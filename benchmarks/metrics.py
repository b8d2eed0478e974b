"""Speed of ``samstudy.metrics`` beside MONAI on 512 x 512 masks: ``python benchmarks/metrics.py``.

Prints milliseconds per mask: the best of a few rounds, one thread. MONAI gets tensors ready made. clDice is
timed apart because MONAI has no such metric and thinning costs more than everything else. Then the surface
metrics together, beside MONAI, which has the same definitions, and ``surface-distance``, which has others. A kept
scorer answers a mask that it has seen from memory, so every call makes its own.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import surface_distance
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)
from scipy import ndimage, stats

from samstudy.metrics import score

SIZE = 512
SPACING_MM = (0.8, 0.8)
TOLERANCE_MM = 2.0
SURFACE = ("nsd", "hd95", "assd")
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
    compute_surface_dice(mask, reference, [TOLERANCE_MM], **surface)
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


def surface_by_monai(reference: torch.Tensor, mask: torch.Tensor) -> dict[str, float]:
    """The three surface metrics by MONAI."""
    surface = {"include_background": True, "spacing": SPACING_MM}
    return {
        "nsd": float(compute_surface_dice(mask, reference, [TOLERANCE_MM], **surface)),
        "hd95": float(compute_hausdorff_distance(mask, reference, percentile=95, **surface)),
        "assd": float(compute_average_surface_distance(mask, reference, symmetric=True, **surface)),
    }


def surface_by_deepmind(reference: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """The three by ``surface-distance``, whose border runs between pixels and whose elements are weighted by length."""
    found = surface_distance.compute_surface_distances(reference, mask, SPACING_MM)
    return {
        "nsd": surface_distance.compute_surface_dice_at_tolerance(found, TOLERANCE_MM),
        "hd95": surface_distance.compute_robust_hausdorff(found, 95),
        "assd": float(np.mean(surface_distance.compute_average_surface_distance(found))),
    }


def rows(rounds: int = 9) -> list[dict]:
    """NSD, HD95 and ASSD together, each call on masks it has not seen: rounds of all three packages alternate."""
    made = []
    for name, (reference, mask) in cases().items():
        tensors = [torch.from_numpy(m[None, None].astype(np.float32)) for m in (reference, mask)]
        calls = {
            "ours": lambda r=reference, m=mask: score(r, m, SPACING_MM, TOLERANCE_MM, metrics=SURFACE),
            "MONAI": lambda tensors=tensors: surface_by_monai(*tensors),
            "surface-distance": lambda r=reference, m=mask: surface_by_deepmind(r, m),
        }
        values = {package: call() for package, call in calls.items()}
        ms = {package: [] for package in calls}
        for _ in range(rounds):
            for package, call in calls.items():
                start = time.perf_counter()
                call()
                ms[package].append(1000 * (time.perf_counter() - start))
        for package in ("MONAI", "surface-distance"):
            logs = np.log(np.array(ms[package]) / np.array(ms["ours"]))
            half = stats.t.ppf(0.975, rounds - 1) * stats.sem(logs)
            ratio, low, high = np.exp([logs.mean(), logs.mean() - half, logs.mean() + half])
            same = (
                "the same definitions"
                if package == "MONAI"
                else "other definitions: the difference is not an error"
            )
            made.append({
                "benchmark": "metrics", "case": f"{name}, nsd + hd95 + assd, {package}",
                "ours": float(np.median(ms["ours"])), "reference": float(np.median(ms[package])),
                "ratio": float(ratio), "ci_low": float(low), "ci_high": float(high), "unit": "ms",
                "max_difference": max(abs(values["ours"][each] - values[package][each]) for each in SURFACE),
                "note": f"{SIZE} x {SIZE}, {rounds} rounds, {torch.get_num_threads()} thread; {same}",
            })  # fmt: skip
    return made


def main() -> None:
    """Print one line per case, then the rows of the surface metrics."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"{'ms per mask':<16}{'MONAI':>8}{'score':>8}{'ratio':>8}{'clDice':>8}")
    for name, (reference, mask) in cases().items():
        tensors = [torch.from_numpy(m[None, None].astype(np.float32)) for m in (reference, mask)]
        monai = milliseconds(lambda tensors=tensors: with_monai(*tensors))
        alone = milliseconds(lambda r=reference, m=mask: score(r, m, SPACING_MM, metrics=SHARED))
        thinned = milliseconds(lambda r=reference, m=mask: score(r, m, SPACING_MM, metrics=["cldice"]))
        print(f"{name:<16}{monai:8.2f}{alone:8.2f}{monai / alone:7.1f}x{thinned:8.2f}")
    made = pd.DataFrame(rows()).drop(columns=["benchmark", "unit", "note"])
    print(made.to_string(index=False, float_format="{:.3g}".format))


if __name__ == "__main__":
    main()
