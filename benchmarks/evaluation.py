"""What an evaluation costs beside the loop that most studies write: ``python benchmarks/evaluation.py``.

``loop``: seven prompt modes and four mask choices of every object of one image, by :func:`samstudy.evaluate` and by
``SamPredictor`` with the image set for each object, or for each object and prompt, predicting twice, for the single
mask and for the three, and scoring each mask by itself with MONAI or with :func:`samstudy.metrics.score`. Same model,
same prompts, one thread, nothing cached; the arms alternate. The scores are compared.

``images``: time and peak memory of an evaluation of 10, 100 and 1,000 small images, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)
from PIL import Image
from scipy import stats
from segment_anything import SamPredictor

from samstudy.datasets import Dataset, load_dataset
from samstudy.evaluation import evaluate
from samstudy.metrics import score
from samstudy.models import SamModel, load_model
from samstudy.questions import Question, questions_about
from samstudy.vit_t import set_image_size

MODES = ("point_center", "points_p3", "points_p5", "points_p5n5", "box", "box_jitter10", "box_point")
METRICS = ("dice", "iou", "nsd", "hd95", "assd")
DATASETS = ("phantom_isic", "phantom_amos")
N_IMAGES = (10, 100, 1000)
_SIDE = 64
_SPLIT, _SEED = "test", 0
_MIB = 2**20

Score = Callable[[np.ndarray, np.ndarray, "tuple[float, float] | None", float], dict[str, float]]


def with_ours(
    reference: np.ndarray, mask: np.ndarray, spacing_mm: tuple[float, float] | None, tolerance: float
) -> dict[str, float]:
    """Score one mask by itself with this package."""
    return score(reference, mask, spacing_mm, tolerance, metrics=METRICS)


def with_monai(
    reference: np.ndarray, mask: np.ndarray, spacing_mm: tuple[float, float] | None, tolerance: float
) -> dict[str, float]:
    """Score one mask by itself with MONAI."""
    pair = [torch.from_numpy(each[None, None].astype(np.float32)) for each in (mask, reference)]
    surface = {"include_background": True, "spacing": spacing_mm or (1.0, 1.0)}
    found = (
        compute_dice(*pair),
        compute_iou(*pair),
        compute_surface_dice(*pair, [tolerance], **surface),
        compute_hausdorff_distance(*pair, percentile=95, **surface),
        compute_average_surface_distance(*pair, symmetric=True, **surface),
    )
    return dict(zip(METRICS, map(float, found), strict=True))


def by_the_loop(model: SamModel, dataset: Dataset, set_for_each_prompt: bool, measure: Score) -> pd.DataFrame:
    """Score the first test image as a loop over objects and prompts does: one row for each candidate mask."""
    predictor, rows = SamPredictor(model.sam), []
    sample = dataset.load(dataset.ids(_SPLIT)[0])
    last = None
    for question in _asked(dataset, sample):
        if set_for_each_prompt or question.known["object_id"] != last:
            predictor.set_image(sample.image)
            last = question.known["object_id"]
        prompt = question.dialogue.first
        points = (prompt.points_xy, prompt.point_labels) if len(prompt.points_xy) else (None, None)
        for multimask in (False, True):
            masks, iou_pred, _ = predictor.predict(*points, box=prompt.box_xyxy, multimask_output=multimask)
            for mask, iou in zip(masks, iou_pred, strict=True):
                counted = mask if sample.valid is None else mask & sample.valid
                tolerance = dataset.info.nsd_tolerance
                found = measure(question.reference, counted, sample.spacing_mm, tolerance)
                rows.append({"object_id": last, "prompt": prompt.mode, "iou_pred": float(iou)} | found)
    return pd.DataFrame(rows)


def _asked(dataset: Dataset, sample: object) -> Iterator[Question]:
    questions = questions_about(dataset, sample, MODES, _SEED, ())
    return (question for question in questions if question.dialogue is not None)


def by_evaluate(model: SamModel, dataset: Dataset) -> pd.DataFrame:
    """Score the same image with this package: one row for each mask choice."""
    return evaluate(dataset, [model], MODES, _SPLIT, 1, _SEED, cache=False, progress=False)


def largest_difference(table: pd.DataFrame, loop: pd.DataFrame) -> float:
    """Largest difference of Dice between the single mask of each object and prompt in both."""
    single = table[(table["mask_choice"] == "single") & table["dice"].notna()]
    first = loop.groupby(["object_id", "prompt"], sort=False)["dice"].first()
    keys = pd.MultiIndex.from_frame(single[["object_id", "prompt"]])
    return float(np.abs(single["dice"].to_numpy() - first.reindex(keys).to_numpy()).max())


def interval(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """Geometric mean of paired ratios theirs / ours with the 95 % t interval of its logarithm."""
    logs = np.log(np.array(theirs) / np.array(ours))
    half = stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs) if len(logs) > 1 else np.nan
    return tuple(float(np.exp(value)) for value in (logs.mean(), logs.mean() - half, logs.mean() + half))


def loop_rows(rounds: int = 3, datasets: tuple[str, ...] = DATASETS) -> list[dict]:
    """Time both ways on the first test image of each data set with ``vit_t``."""
    os.environ["SAMSTUDY_CACHE_DTYPE"] = "float32"  # SamPredictor does not round its embedding
    found, model = [], load_model("vit_t", "cpu")
    for name in datasets:
        dataset = load_dataset(name)
        arms = {
            f"image set per {'object and prompt' if each else 'object'}, {scored}": (each, measure)
            for each in (False, True)
            for scored, measure in (("MONAI", with_monai), ("our metrics", with_ours))
        }
        seconds: dict[str, list[float]] = {arm: [] for arm in ("ours", *arms)}
        differences = {}
        for _ in range(rounds):
            seconds["ours"].append(_timed(lambda: by_evaluate(model, dataset)))  # noqa: B023
            for arm, (each, measure) in arms.items():
                start = time.perf_counter()
                loop = by_the_loop(model, dataset, each, measure)
                seconds[arm].append(time.perf_counter() - start)
                differences[arm] = loop
        table = by_evaluate(model, dataset)
        n_objects = table["object_id"].nunique()
        for arm in arms:
            ratio, low, high = interval(seconds["ours"], seconds[arm])
            found.append({
                "benchmark": "evaluation",
                "case": f"{name}: {n_objects} objects x {len(MODES)} prompts, {arm}",
                "ours": float(np.median(seconds["ours"])),
                "reference": float(np.median(seconds[arm])),
                "ratio": ratio, "ci_low": low, "ci_high": high, "unit": "s",
                "max_difference": largest_difference(table, differences[arm]),
                "note": f"vit_t, one image, {rounds} rounds, {torch.get_num_threads()} thread, Dice compared",
            })  # fmt: skip
    return found


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def images_rows(n_images: tuple[int, ...] = N_IMAGES) -> list[dict]:
    """Time and memory of evaluations of more and more images; the first is the reference of the others."""
    measured = [
        json.loads(subprocess.run([sys.executable, __file__, "small", str(n)], capture_output=True, text=True,
                                  check=True).stdout.splitlines()[-1])
        for n in n_images
    ]  # fmt: skip
    found = []
    for unit, per in (("MiB", 1), ("ms per image", 1)):
        for n, each in zip(n_images, measured, strict=True):
            ours, reference = each[unit] * per, measured[0][unit] * per
            found.append({
                "benchmark": "number of images", "case": f"{n} images of {_SIDE} x {_SIDE}: {unit}",
                "ours": ours, "reference": reference, "ratio": reference / ours, "ci_low": np.nan, "ci_high": np.nan,
                "unit": unit, "max_difference": np.nan,
                "note": f"the reference is {n_images[0]} images; vit_t at {_SIDE} pixels, box and point, not cached",
            })  # fmt: skip
    return found


def small(n_images: int) -> dict[str, float]:
    """Evaluate so many drawn images of discs in this process; peak memory in MiB and milliseconds per image."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    model = load_model("vit_t", "cpu")
    set_image_size(model.sam, _SIDE)
    with tempfile.TemporaryDirectory() as folder:
        for index in range(n_images):
            row, column, radius = *rng.integers(20, 44, 2), rng.integers(6, 16)
            disc = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
            image = rng.integers(0, 120, (_SIDE, _SIDE, 3), dtype=np.uint8) + (100 * disc[..., None]).astype(
                np.uint8
            )
            for kind, array in (("images", image), ("masks", (255 * disc).astype(np.uint8))):
                path = Path(folder, kind, f"{index:04d}.png")
                path.parent.mkdir(exist_ok=True)
                Image.fromarray(array).save(path)
        dataset = load_dataset(f"folder:{folder}")
        seconds = _timed(
            lambda: evaluate(dataset, [model], ["box", "point_center"], "all", cache=False, progress=False)
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MIB
    return {"MiB": peak, "ms per image": 1000 * seconds / n_images}


def rows() -> list[dict]:
    """All rows of this benchmark."""
    return [*loop_rows(), *images_rows()]


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=["all", "loop", "images", "small"], default="all")
    parser.add_argument("n_images", nargs="?", type=int, default=N_IMAGES[0])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if asked.part == "small":
        print(json.dumps(small(asked.n_images)))
        return
    made = {"all": rows, "loop": loop_rows, "images": images_rows}[asked.part]()
    print(
        pd.DataFrame(made)
        .drop(columns=["benchmark", "note"])
        .to_string(index=False, float_format="{:.3g}".format)
    )


if __name__ == "__main__":
    main()
