"""All benchmarks as one table and one plot: ``make benchmark``, or ``python benchmarks/run.py encoder scaling``.

Each runs in a process of its own, one after the other. What they return is written to ``data/results/benchmarks``:
``benchmarks.csv``, ``benchmarks.md`` and ``benchmarks.png``, with the machine. A run of some replaces their rows only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from tqdm import tqdm
from tuning import markdown

from samstudy.errors import unknown_name
from samstudy.figures.common import DOUBLE_COLUMN_IN, STYLE
from samstudy.figures.palette import BLUE, VERMILION
from samstudy.paths import results_dir, written_whole
from samstudy.provenance import provenance

BENCHMARKS = ("encoder", "evaluation", "metrics", "tuning", "scaling")
# what a ratio should reach, by benchmark and words that its case holds
BARS = {
    ("encoder", "vit_b, one image"): 2.4,
    ("encoder", "vit_b, peak memory"): 2.0,
    ("evaluation", "image set per object"): 6.0,
    ("metrics", "MONAI"): 5.0,
    ("Dask", "workers"): 1.0,
}
_MARK = "rows: "


def machine() -> str:
    """Describe this machine in one line, without its name."""
    name = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.is_file():
        lines = cpus.read_text(encoding="utf-8").splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, PyTorch {torch.__version__}"
    )


def measured(name: str) -> list[dict]:
    """Run one benchmark in a process of its own, so that its peak memory is its own.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails; its words are on standard error.
    """
    done = subprocess.run(
        [sys.executable, __file__, "--only", name], check=True, stdout=subprocess.PIPE, text=True
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    load = os.getloadavg()[0]
    return [{"part": name, **row, "load": load} for row in json.loads(line.removeprefix(_MARK))]


def bar_of(row: pd.Series) -> float:
    """What the ratio of a row should reach; NaN where nothing is asked."""
    found = [bar for (kind, word), bar in BARS.items() if row["benchmark"] == kind and word in row["case"]]
    return found[0] if found else np.nan


def draw(table: pd.DataFrame, about: str) -> Figure:
    """One line for each row with a ratio: the ratio, its interval, and the bar where one is asked."""
    rows = table[table["ratio"].notna()].reset_index(drop=True)
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(figsize=(DOUBLE_COLUMN_IN, 1.2 + 0.24 * len(rows)), layout="constrained")
        at = np.arange(len(rows))
        low, high = (rows[end].fillna(rows["ratio"]) for end in ("ci_low", "ci_high"))
        axes.hlines(at, low, high, color=BLUE, linewidth=1.5)
        axes.plot(rows["ratio"], at, "o", color=BLUE, markersize=4, label="ratio, 95 % interval over rounds")
        axes.plot(rows["bar"], at, "|", color=VERMILION, markersize=10, markeredgewidth=2, label="bar")
        axes.axvline(1, color="0.6", linewidth=0.8)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.set_xticks([value for value in (0.5, 1, 2, 5, 10, 20, 50, 100) if value <= 1.2 * high.max()])
        axes.minorticks_off()
        axes.set_yticks(at, [f"{row.benchmark}: {row.case}" for row in rows.itertuples()], fontsize=6)
        axes.invert_yaxis()
        axes.set_xlabel("reference / ours (more than 1: ours takes less)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
        figure.supxlabel(about, fontsize=6)
    return figure


def write(table: pd.DataFrame) -> Path:
    """Write table and plot; returns their folder."""
    folder, source = results_dir("benchmarks"), provenance()
    dirty = " with changes" if source["git_dirty"] else ""
    about = f"{machine()}. Commit {str(source['git_commit'])[:10]}{dirty}, {source['created_utc']}."
    with written_whole(folder / "benchmarks.csv") as temporary:
        table.assign(machine=machine(), commit=source["git_commit"]).to_csv(temporary, index=False)
    with written_whole(folder / "benchmarks.md") as temporary:
        shown = table.drop(columns=["part"])
        temporary.write_text(f"{about}\n\n{markdown(shown)}\n", encoding="utf-8")
    figure = draw(table, about)
    with written_whole(folder / "benchmarks.png") as temporary:
        figure.savefig(temporary, dpi=200)
    plt.close(figure)
    return folder


def main() -> None:
    """Measure, merge with what was measured before, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[], help=f"of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.only:
        print(_MARK + json.dumps(import_module(parsed.only).rows(), default=float))
        return
    names = parsed.names or list(BENCHMARKS)
    for name in names:
        if name not in BENCHMARKS:
            parser.error(str(unknown_name("benchmark", name, BENCHMARKS)))
    made = pd.DataFrame([row for name in tqdm(names, "benchmarks") for row in measured(name)])
    made["bar"] = made.apply(bar_of, axis=1)
    before = results_dir("benchmarks") / "benchmarks.csv"
    if before.is_file():
        kept = pd.read_csv(before).drop(columns=["machine", "commit"])
        made = pd.concat([kept[~kept["part"].isin(names)], made], ignore_index=True)
    print(f"{write(made)}: benchmarks.csv, benchmarks.md, benchmarks.png")


if __name__ == "__main__":
    main()
