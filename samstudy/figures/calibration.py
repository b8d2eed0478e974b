"""Reliability diagrams: the IoU a model predicts for its mask against the IoU the mask has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.calibration import (
    FAILURE_IOU,
    calibration_error,
    failure_auroc,
    predicted_rows,
    rank_correlation,
    reliability,
)
from samstudy.errors import unknown_name
from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    facet_axes,
    head,
    info_of,
    is_bottom,
    prompted,
    stamp,
    style,
    title_of,
    usable,
)
from samstudy.figures.curves import panels_of
from samstudy.figures.marks import line_handle, marker_handle
from samstudy.statistics import GRID

_COLUMNS = (*GRID, "image_id", "object_id", "group_id", "mask_choice", "iou", "iou_pred", "status")
_SHOWN_FIRST = ("point_center", "box")
_LINE_PT = 8.0


def shown_prompts(rows: pd.DataFrame, prompts: Sequence[str] | None = None) -> list[str]:
    """Prompts to show: those asked for, else one point and box where they are there, else the first two.

    Raises
    ------
    StudyError
        If one that is asked for is not in the rows.
    """
    here = palette.prompt_order(rows["prompt"])
    for prompt in prompts or ():
        if prompt not in here:
            raise unknown_name("prompt of this table", prompt, here)
    return list(prompts or [prompt for prompt in _SHOWN_FIRST if prompt in here] or here[:2])


def draw_calibration(
    table: pd.DataFrame,
    prompts: Sequence[str] | None = None,
    *,
    dataset: Any = None,
    width_in: float = DOUBLE_COLUMN_IN,
) -> Figure:
    """Draw predicted against true IoU of every object at the headline mask choice.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table.
    prompts : sequence of str, optional
        At most two or three modes; by default ``point_center`` and ``box``.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per target, or per data set where there are more than 18. Dots are objects, joined marks the means of
        tenths of predicted IoU, the diagonal a model that knows, the shade failures (IoU under 0.5). Written per
        prompt: expected calibration error, Spearman's rho, and the AUROC of a low prediction as the sign of a failure.

    Raises
    ------
    StudyError
        If there is nothing to draw, no model beside the baseline, no predicted IoU, or a prompt is not there.
    """
    scored = prompted(usable(table, _COLUMNS, "draw_calibration", "dice"), "draw_calibration")
    rows = predicted_rows(scored)
    shown = shown_prompts(rows, prompts)
    rows = rows[rows["prompt"].isin(shown)]
    lines = rows.drop_duplicates(["series", "prompt"])[["series", "prompt"]].apply(tuple, axis=1).tolist()
    several = len(rows["series"].unique()) > 1
    colours = dict(zip(lines, palette.CYCLE * len(lines), strict=False))
    if not several:
        colours = {line: palette.prompt_colours(shown)[line[1]] for line in lines}
    panels, _ = panels_of(rows)
    many = len(panels) > 6
    with style():
        figure, axes = facet_axes(
            len(panels), width_in=width_in, panel_height_in=1.5 + _LINE_PT * len(lines) / 72,
            max_columns=4 if many else 3, narrow_columns=2 if many else 1, sharex=True, sharey=True,
        )  # fmt: skip
        for axis, panel in zip(axes, panels, strict=True):
            axis.axhspan(0, FAILURE_IOU, color="0.93", linewidth=0, zorder=0)
            axis.plot([0, 1], [0, 1], color=palette.GREY, linestyle="--", linewidth=0.8, zorder=1)
            for i, line in enumerate(reversed(lines)):
                mine = (panel.rows["series"] == line[0]) & (panel.rows["prompt"] == line[1])
                _draw_reliability(axis, panel.rows[mine], colours[line], i)
            axis.set_title(panel.title, pad=4 + _LINE_PT * len(lines))
            axis.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
            if axis.get_subplotspec().is_first_col():
                axis.set_ylabel("true IoU")
            if is_bottom(axis, axes):
                axis.set_xlabel("predicted IoU")
        handles = [
            marker_handle(f"{f'{series}, ' if several else ''}{palette.prompt_words(prompt)}", colour, "o")
            for (series, prompt), colour in colours.items()
        ]
        handles.append(line_handle("a model that knows", palette.GREY, linestyle="--", linewidth=0.8))
        words = f"Predicted against true IoU; shade: failures, IoU under {FAILURE_IOU:g}"
        head(figure, title_of(words, rows), handles)
        stamp(figure, table, info_of(dataset))
    return figure


def _draw_reliability(axis: Axes, rows: pd.DataFrame, colour: str, line: int) -> None:
    if rows.empty:
        return
    predicted = np.clip(rows["iou_pred"].to_numpy(float), 0, 1)
    dots = {"s": 4, "color": colour, "alpha": 0.35, "linewidths": 0, "zorder": 2, "clip_on": False}
    axis.scatter(predicted, rows["iou"].to_numpy(float), rasterized=len(rows) > 300, **dots)
    binned = reliability(rows)
    means = {"marker": "o", "markersize": 3.2, "markeredgecolor": "black", "markeredgewidth": 0.4}
    axis.plot(np.clip(binned["iou_pred"], 0, 1), binned["iou"], color=colour, linewidth=1, zorder=4, **means)
    found = {"ECE": calibration_error(rows), "ρ": rank_correlation(rows), "AUROC": failure_auroc(rows)}
    text = "  ".join(f"{name}\N{NO-BREAK SPACE}{_digits(value)}" for name, value in found.items())
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": 6, "va": "bottom"}
    for at_pt, part in ((0, ("●", colour)), (8, (text, palette.BLACK))):
        axis.annotate(
            part[0], (0, 1), (at_pt, 3 + _LINE_PT * line), color=part[1], annotation_clip=False, **place
        )


def _digits(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "–"
