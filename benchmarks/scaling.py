"""Two Dask workers beside one process: ``python benchmarks/scaling.py``.

The same evaluation, nothing cached, by one process and by two workers of one thread each, in turns; the tables are
compared. Workers are started and have loaded the model before the clock runs. How time and memory grow with the number
of images is in ``benchmarks/evaluation.py``.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np
import pandas as pd
import torch
from evaluation import interval

from samstudy.datasets import load_dataset
from samstudy.evaluation import evaluate
from samstudy.models import load_model
from samstudy.scheduling import connect

DATASET = "phantom_isic"
MODES = ("box", "point_center", "clicks_3")
N_IMAGES = 16
N_WORKERS = 2


def rows(rounds: int = 3, n_images: int = N_IMAGES) -> list[dict]:
    """Seconds of one process against those of two workers.

    Returns
    -------
    list of dict
        ``benchmark, case, ours, reference, ratio, ci_low, ci_high, unit, max_difference, note``: ours are the workers,
        the reference one process of one thread, whose table must be the same, and of two, whose last bits may differ.
    """
    dataset, model = load_dataset(DATASET), load_model("vit_t", "cpu")
    client = connect(f"local:{N_WORKERS}")
    client.wait_for_workers(N_WORKERS)

    def evaluated(scheduler: object, threads: int) -> tuple[float, pd.DataFrame]:
        torch.set_num_threads(threads)
        start = time.perf_counter()
        table = evaluate(
            dataset, [model], MODES, "all", n_images, cache=False, progress=False, scheduler=scheduler
        )
        return time.perf_counter() - start, table

    evaluated(client, 1)
    arms = {"one process, 1 thread": 1, f"one process, {N_WORKERS} threads": N_WORKERS}
    seconds: dict[str, list[float]] = {arm: [] for arm in ("workers", *arms)}
    tables = {}
    for _ in range(rounds):
        for arm, threads in {"workers": 1, **arms}.items():
            took, tables[arm] = evaluated(client if arm == "workers" else None, threads)
            seconds[arm].append(took)
    client.cluster.close()
    return [_row(arm, seconds["workers"], seconds[arm], tables["workers"], tables[arm]) for arm in arms]


def _row(arm: str, ours: list[float], theirs: list[float], table: pd.DataFrame, other: pd.DataFrame) -> dict:
    ratio, low, high = interval(ours, theirs)
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    return {
        "benchmark": "Dask",
        "case": f"{N_WORKERS} workers against {arm}",
        "ours": float(np.median(ours)),
        "reference": float(np.median(theirs)),
        "ratio": ratio,
        "ci_low": low,
        "ci_high": high,
        "unit": "s",
        "max_difference": float(np.nanmax(np.abs(table["dice"] - other["dice"]))),
        "note": f"{DATASET}, {table['image_id'].nunique()} images, {len(ours)} rounds, Dice compared; {load}",
    }


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=N_IMAGES)
    parsed = parser.parse_args()
    print(
        pd.DataFrame(rows(parsed.rounds, parsed.images)).to_string(index=False, float_format="{:.3g}".format)
    )


if __name__ == "__main__":
    main()
