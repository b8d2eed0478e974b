"""All data sets and targets against all prompts on one page: mean Dice as colour, beside that of the ellipse."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from samstudy.errors import unknown_name
from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    PAGE_HEIGHT_IN,
    head,
    info_of,
    interval_words,
    prompted,
    shorten,
    stamp,
    style,
    usable,
)
from samstudy.figures.marks import row_name
from samstudy.statistics import GRID, headline, skill, summarise

_COLUMNS = (*GRID, "image_id", "object_id", "group_id", "mask_choice", "iou_pred")
_ROW_IN, _LEAST_ROW_IN = 0.25, 0.12
_INTERVAL_FITS_IN = 0.2
_STRIP = 0.14
_DARK_BELOW = 0.55


def draw_matrix(
    table: pd.DataFrame, series: str | None = None, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN
) -> Figure:
    """Draw mean Dice of one model for every target and prompt at the headline mask choice.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table. Rows without a score are left out; a cell without any is blank.
    series : str, optional
        Which model, as ``common.series_names`` says it; by default the first in the table.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A row per data set and target (n objects), a column per prompt. In a cell: the mean, bold where the interval of
        the skill lies above 0, its 95 % interval over groups, and at the right a strip in the colour of the ellipse's
        mean on the same objects.

    Raises
    ------
    StudyError
        If there is no scored row of a model, or none of ``series``.
    """
    rows = headline(usable(table, _COLUMNS, "draw_matrix", "dice"))
    models = prompted(rows, "draw_matrix")
    names = list(models["series"].unique())
    series = series or names[0]
    if series not in names:
        raise unknown_name("series of this table", series, names)
    found = _cells(rows, models[models["series"] == series])
    lines = list(found.drop_duplicates(["dataset", "target"])[["dataset", "target"]].itertuples(index=False))
    prompts = palette.prompt_order(found["prompt"])
    row_in = float(np.clip((PAGE_HEIGHT_IN - 1.2) / len(lines), _LEAST_ROW_IN, _ROW_IN))
    colours, scale = plt.get_cmap("cividis"), Normalize(0, 1)
    with style():
        figure, axis = plt.subplots(figsize=(width_in, 0.75 + row_in * len(lines)))
        for cell in found.itertuples():
            place = (prompts.index(cell.prompt), lines.index((cell.dataset, cell.target)))
            _draw_cell(axis, place, cell, colours, row_in > _INTERVAL_FITS_IN and width_in > 5)
        _label(axis, found, lines, prompts, row_in)
        figure.colorbar(
            ScalarMappable(scale, colours), ax=axis, aspect=40, pad=0.015, fraction=0.02, label="mean Dice"
        )
        strip = Patch(facecolor="0.75", edgecolor="0.3", label="right strip: the ellipse on the same objects")
        title = f"{shorten(series, 40)}: mean Dice, {interval_words(rows)}; bold: better than the ellipse"
        head(figure, title, [strip])
        stamp(figure, table, info_of(dataset))
    return figure


def _cells(rows: pd.DataFrame, of_model: pd.DataFrame) -> pd.DataFrame:
    by = ["dataset", "target", "prompt"]
    found = summarise(of_model, by=by)
    ellipses = rows[rows["model"] == palette.BASELINE]
    if ellipses.empty:
        return found.assign(baseline_mean=np.nan, better=False)
    beside = skill(pd.concat([of_model, ellipses]), by=by)
    beside["better"] = beside["ci_low"] > 0
    return found.merge(beside[[*by, "baseline_mean", "better"]], on=by, how="left")


def _draw_cell(axis: Axes, place: tuple[int, int], cell: Any, colours: Colormap, with_interval: bool) -> None:
    column, row = place
    axis.add_patch(
        Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colours(cell.mean), edgecolor="white")
    )
    if np.isfinite(cell.baseline_mean):
        corner = (column + 0.5 - _STRIP, row - 0.5)
        axis.add_patch(
            Rectangle(
                corner, _STRIP, 1, facecolor=colours(cell.baseline_mean), edgecolor="white", linewidth=0.6
            )
        )
    ink = "white" if cell.mean < _DARK_BELOW else "black"
    centre = column - _STRIP / 2
    known = with_interval and np.isfinite([cell.ci_low, cell.ci_high]).all()
    weight = "bold" if cell.better else "normal"
    look = {"ha": "center", "va": "center", "color": ink}
    axis.text(centre, row - (0.17 if known else 0), f"{cell.mean:.2f}", fontsize=7, fontweight=weight, **look)
    if known:
        axis.text(centre, row + 0.25, f"{cell.ci_low:.2f}–{cell.ci_high:.2f}", fontsize=5, **look)


def _label(
    axis: Axes, found: pd.DataFrame, lines: list[tuple[str, str]], prompts: list[str], row_in: float
) -> None:
    counts = found.groupby(["dataset", "target"])["n_objects"].max()
    several = len(set(found["dataset"])) > 1
    names = []
    for i, (name, target) in enumerate(lines):
        begins = several and (i == 0 or lines[i - 1][0] != name)
        names.append(row_name(name if begins else "", target, counts[name, target]))
        if begins and i:
            axis.axhline(i - 0.5, color="black", linewidth=0.8, clip_on=False)
    axis.set(xlim=(-0.5, len(prompts) - 0.5), ylim=(len(lines) - 0.5, -0.5))
    axis.set_yticks(range(len(lines)), names, fontsize=min(7.5, row_in * 50))
    axis.set_xticks(range(len(prompts)), [palette.prompt_words(prompt) for prompt in prompts])
    axis.tick_params(length=0)
    axis.xaxis.tick_top()
    if len(prompts) > 4:
        plt.setp(axis.get_xticklabels(), rotation=20, ha="left", rotation_mode="anchor")
    axis.spines[:].set_visible(False)
