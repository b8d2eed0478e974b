"""Every object's score for every target, the targets in order of their median: where a model is good and where not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.figures import palette
from samstudy.figures.calibration import shown_prompts
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    PAGE_HEIGHT_IN,
    baseline,
    head,
    info_of,
    prompted,
    shorten,
    stamp,
    style,
    title_of,
    usable,
)
from samstudy.figures.marks import draw_distribution, limits, line_handle, marker_handle, row_name, shown
from samstudy.statistics import headline

_COLUMNS = ("dataset", "target", "image_id", "object_id", "model", "prompt", "mask_choice", "iou_pred")
_ROW_IN, _LEAST_ROW_IN = 0.19, 0.1
_LINE = ["dataset", "target"]


def draw_distributions(
    table: pd.DataFrame,
    prompts: Sequence[str] | None = None,
    series: str | None = None,
    metric: str = "dice",
    *,
    dataset: Any = None,
    width_in: float = DOUBLE_COLUMN_IN,
) -> Figure:
    """Draw each target's objects at the headline mask choice, the target of the best median on top.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table. Rows without a score are left out.
    prompts : sequence of str, optional
        A column each; by default one point and the box, where they are there.
    series : str, optional
        Which model; by default the first in the table.
    metric : str
        A name in :data:`samstudy.metrics.METRICS`.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A row per data set and target (n objects), ordered by the median under the last prompt; points, 5-95 % line,
        interquartile bar and median, with the baseline's median as a grey tick.

    Raises
    ------
    StudyError
        If the metric is unknown or there is nothing to draw.
    """
    words = palette.metric_words(metric, table)
    rows = headline(usable(table, _COLUMNS, "draw_distributions", metric))
    chosen = shown_prompts(prompted(rows, "draw_distributions"), prompts)
    rows = rows[rows["prompt"].isin(chosen)]
    models, ellipses = prompted(rows, "draw_distributions"), baseline(rows)
    models = models[models["series"] == (series or models["series"].iloc[0])]
    lines = _ordered(models, chosen[-1], metric)
    row_in = float(np.clip((PAGE_HEIGHT_IN - 1.2) / len(lines), _LEAST_ROW_IN, _ROW_IN))
    limit = limits(models[metric].to_numpy(float), metric)
    with style():
        size_in = (width_in, 0.95 + row_in * len(lines))
        figure, axes = plt.subplots(1, len(chosen), figsize=size_in, sharey=True, squeeze=False)
        for axis, prompt in zip(axes[0], chosen, strict=True):
            scored, beside = models[models["prompt"] == prompt], ellipses[ellipses["prompt"] == prompt]
            for at, line in enumerate(lines):
                values = _of(scored, line)[metric].to_numpy(float)
                colour = palette.CYCLE[0]
                draw_distribution(axis, at, values, colour, height=0.8, limit=limit, scale=row_in / _ROW_IN)
                _tick(axis, at, _of(beside, line)[metric].to_numpy(float), limit)
            axis.set(title=palette.prompt_words(prompt), xlim=limit, xlabel=words)
            axis.grid(axis="x")
        _label(axes[0][0], models, lines, row_in)
        model = shorten(str(models["series"].iloc[0]), 40)
        handles = [
            marker_handle(f"{model}: objects, quartiles, median", palette.CYCLE[0], "o", hollow=True),
            line_handle("median of the ellipse baseline (sees no image)", "0.4", linewidth=1.6),
        ]
        order = f"in order of the median, {palette.prompt_words(chosen[-1])}"
        head(figure, title_of(f"{words} of each object, targets {order}", models), handles)
        stamp(figure, table, info_of(dataset))
    return figure


def _ordered(models: pd.DataFrame, prompt: str, metric: str) -> list[tuple[str, str]]:
    medians = models[models["prompt"] == prompt].groupby(_LINE, sort=False)[metric].median()
    rising = palette.is_distance(metric)
    best_first = medians.sort_values(ascending=rising, kind="stable")
    others = models.drop_duplicates(_LINE)[_LINE].itertuples(index=False, name=None)
    return list(dict.fromkeys([*best_first.index, *others]))


def _of(rows: pd.DataFrame, line: tuple[str, str]) -> pd.DataFrame:
    return rows[(rows["dataset"] == line[0]) & (rows["target"] == line[1])]


def _tick(axis: Axes, at: float, values: np.ndarray, limit: tuple[float, float]) -> None:
    if len(values):
        axis.plot([shown(np.median(values), limit)] * 2, [at - 0.38, at + 0.38], color="0.4", linewidth=1.6)


def _label(axis: Axes, models: pd.DataFrame, lines: list[tuple[str, str]], row_in: float) -> None:
    several = len(models["dataset"].unique()) > 1
    names = []
    for name, target in lines:
        n_objects = len(_of(models, (name, target)).drop_duplicates(["image_id", "object_id"]))
        names.append(row_name(name if several else "", target, n_objects))
    axis.set_yticks(range(len(lines)), names, fontsize=min(7.5, row_in * 45))
    axis.set_ylim(len(lines) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
