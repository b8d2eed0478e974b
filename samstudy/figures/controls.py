"""The tuned model beside its controls: mean Dice of every method on the same held-out objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.controls.gains import METHODS, TUNED, ZERO_SHOT, one_score_each
from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    facet_axes,
    facets,
    head,
    info_of,
    interval_words,
    is_bottom,
    prompted,
    shorten,
    stamp,
    style,
    title_of,
    usable,
)
from samstudy.figures.marks import draw_interval, line_handle, marker_handle
from samstudy.statistics import GRID, estimate

_COLUMNS = (*GRID, "fold", "image_id", "object_id", "group_id", "mask_choice", "iou_pred", "status")
_DENSE = 12
_COLOURS = dict(
    zip(
        METHODS,
        (
            palette.TUNED,
            palette.PURPLE,
            palette.BLACK,
            palette.BLUE,
            palette.GREEN,
            palette.ORANGE,
            palette.GREY,
        ),
        strict=True,
    )
)
_ROW_IN, _DENSE_ROW_IN = 0.17, 0.13


def draw_controls(table: pd.DataFrame, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN) -> Figure:
    """Draw mean Dice of every method on the same held-out objects: SAM tuned and not, and the controls.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table of the stage ``controls``; repetitions are averaged per object.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per target and prompt, a row per method with its 95 % interval over groups; the dotted line is SAM
        zero-shot. A method that a panel lacks has an empty row.

    Raises
    ------
    StudyError
        If there is nothing to draw, or the table holds the ellipse only.
    """
    scored = usable(table, _COLUMNS, "draw_controls", "dice")
    prompted(scored, "draw_controls")
    rows = one_score_each(scored)
    order = {prompt: i for i, prompt in enumerate(palette.prompt_order(rows["prompt"]))}
    rows = rows.assign(prompt_words=rows["prompt"].map(palette.prompt_words), name=_names(rows))
    rows = rows.iloc[np.argsort(rows["prompt"].map(order), kind="stable")]
    methods = _methods(rows)
    dense = len(rows.drop_duplicates(["target", "prompt", "dataset"])) > _DENSE
    panels = facets(rows, ("target", "prompt_words", "dataset"), 20 if dense else 28)
    height_in = 0.5 + len(methods) * (_DENSE_ROW_IN if dense else _ROW_IN)
    with style():
        figure, axes = facet_axes(
            len(panels),
            width_in=width_in,
            panel_height_in=height_in,
            max_columns=5 if dense else 3,
            narrow_columns=2 if dense else 1,
            sharey=True,
        )
        for axis, panel in zip(axes, panels, strict=True):
            _rows_of(axis, panel.rows, methods)
            _set_up(axis, axes, panel.title, list(methods), dense)
        handles = [
            marker_handle("mean of one method", palette.GREY, "o"),
            line_handle("SAM zero-shot", palette.BLACK, linestyle=":"),
        ]
        title = (
            f"Fine-tuning beside its controls, same held-out objects, {_images(rows)}{interval_words(rows)}"
        )
        head(figure, title_of(title, rows, ("dataset",)), handles)
        stamp(figure, table, info_of(dataset))
    return figure


def _names(rows: pd.DataFrame) -> pd.Series:
    """Words of each row's method; the model's name as well where several share a method."""
    words = rows["method"].map(METHODS)
    n_models = rows.groupby("method")["model"].transform("nunique")
    return words.where(
        n_models == 1, rows["model"].map(lambda model: shorten(model, 14)) + ", " + rows["method"]
    )


def _methods(rows: pd.DataFrame) -> dict[str, str]:
    """Name of each method that has rows -> its key in METHODS, in that order."""
    found = rows.drop_duplicates(["method", "name"])
    order = list(METHODS)
    found = found.iloc[np.argsort(found["method"].map(order.index), kind="stable")]
    return dict(zip(found["name"], found["method"], strict=True))


def _rows_of(axis: Axes, rows: pd.DataFrame, methods: dict[str, str]) -> None:
    for at, (name, method) in enumerate(methods.items()):
        cell = rows[rows["name"] == name]
        if cell.empty:
            continue
        found = estimate(cell, "dice")
        marker = "D" if method == TUNED else "o"
        draw_interval(axis, at, found, _COLOURS[method], marker=marker, hollow=method == ZERO_SHOT)
        if method == ZERO_SHOT:
            axis.axvline(found.value, color=palette.BLACK, linestyle=":", linewidth=0.8, zorder=1)


def _set_up(axis: Axes, axes: list[Axes], title: str, names: list[str], dense: bool) -> None:
    axis.set(title=title, xlim=(0, 1), ylim=(len(names) - 0.5, -0.5))
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(axis="y", length=0, labelsize=6 if dense else None)
    axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axis.set_xticks([0.25, 0.75], minor=True)
    axis.grid(axis="x", which="both")
    if is_bottom(axis, axes):
        axis.set_xlabel("mean Dice")


def _images(rows: pd.DataFrame) -> str:
    shots = sorted(set(rows.loc[rows["shots"] > 0, "shots"]))
    return f"{' or '.join(map(str, shots))} training images, " if shots else ""
