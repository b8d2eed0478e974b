"""How many training images each target takes to reach a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    facet_axes,
    head,
    info_of,
    interval_words,
    is_bottom,
    prompted,
    stamp,
    style,
    title_of,
    usable,
)
from samstudy.figures.few_shot import shot_ticks
from samstudy.figures.marks import marker_handle, row_name
from samstudy.needed import LEVELS, SHARES, images_needed
from samstudy.statistics import GRID

_COLUMNS = (*GRID, "fold", "image_id", "object_id", "group_id", "mask_choice", "iou_pred", "status")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_BEYOND = 1.9
_SHORT_NAME = 22


def draw_images_needed(
    table: pd.DataFrame,
    *,
    dataset: Any = None,
    width_in: float = DOUBLE_COLUMN_IN,
    levels: Sequence[float] = LEVELS,
    shares: Sequence[float] = SHARES,
) -> Figure:
    """Draw the smallest number of training images at which mean Dice reaches a level.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table with rows of ``tuning == "none"`` and of fine-tuned models on the same objects.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.
    levels, shares : sequence of float
        As for :func:`samstudy.needed.images_needed`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per goal, a row per target, a mark per prompt (colour) and method (shape) with its 95 % interval. An
        arrow at the right edge: more images than were evaluated. No mark: no gain to have a share of.

    Raises
    ------
    StudyError
        As :func:`samstudy.needed.images_needed`.
    """
    scored = prompted(usable(table, _COLUMNS, "draw_images_needed", "dice"), "draw_images_needed")
    found = images_needed(scored, levels, shares)
    places = found.drop_duplicates(["dataset", "target", "model"]).reset_index(drop=True)
    colours = palette.prompt_colours(palette.prompt_order(found["prompt"]))
    methods = list(found["tuning"].unique())
    marks = {method: _MARKERS[i % len(_MARKERS)] for i, method in enumerate(methods)}
    names = [_name(row, found) for _, row in places.iterrows()]
    ticks = shot_ticks([0, *scored["shots"].unique()])
    edge = _BEYOND * int(found["most_shots"].max())
    goals = list(found["goal"].unique())
    height_in = 0.45 + len(places) * max(0.24, 0.1 * len(colours) * len(methods))
    with style():
        figure, axes = facet_axes(
            len(goals), width_in=width_in, panel_height_in=height_in, max_columns=4,
            narrow_columns=2 if max(map(len, names)) <= _SHORT_NAME else 1, sharex=True, sharey=True,
        )  # fmt: skip
        for axis, goal in zip(axes, goals, strict=True):
            of_goal = found[found["goal"] == goal]
            for place, row in places.iterrows():
                same = (of_goal[["dataset", "target", "model"]] == row[["dataset", "target", "model"]]).all(
                    axis=1
                )
                _draw_row(axis, int(place), of_goal[same], colours, marks, edge)
            _set_up(axis, axes, goal, names, ticks, edge)
        handles = [marker_handle(palette.prompt_words(name), colour, "o") for name, colour in colours.items()]
        if len(methods) > 1:
            handles += [
                marker_handle(name, palette.BLACK, shape, hollow=True) for name, shape in marks.items()
            ]
        handles.append(marker_handle("more than were evaluated", palette.GREY, ">"))
        title = f"Training images needed to reach a mean Dice, {interval_words(scored)}"
        head(figure, title_of(title, found, ("dataset", "model")), handles)
        stamp(figure, table, info_of(dataset))
    return figure


def _draw_row(
    axis: Axes, place: int, cells: pd.DataFrame, colours: dict[str, str], marks: dict[str, str], edge: float
) -> None:
    lanes = [(prompt, method) for prompt in colours for method in marks]
    for cell in cells.itertuples():
        if np.isnan(cell.n_needed):
            continue
        at = place + 0.7 * ((lanes.index((cell.prompt, cell.tuning)) + 0.5) / len(lanes) - 0.5)
        look = {"color": colours[cell.prompt], "clip_on": False}
        value, low, high = (min(number, edge) for number in (cell.n_needed, cell.ci_low, cell.ci_high))
        if np.isfinite([low, high]).all():
            axis.plot([low, high], [at, at], linewidth=1.1, solid_capstyle="butt", zorder=3, **look)
            if high == edge:
                axis.plot(high, at, marker=">", markersize=2, zorder=3, linestyle="none", **look)
        shape = ">" if value == edge else marks[cell.tuning]
        face = {} if value == edge or len(marks) == 1 else {"markerfacecolor": "white"}
        axis.plot(value, at, marker=shape, markersize=4, zorder=4, linestyle="none", **look, **face)


def _set_up(axis: Axes, axes: list[Axes], goal: str, names: list[str], ticks: list[int], edge: float) -> None:
    axis.set_xscale("symlog", linthresh=1, linscale=0.5)
    axis.set_xticks(ticks, [str(k) for k in ticks])
    axis.set_xticks([], minor=True)
    axis.set(title=goal, xlim=(-0.15, edge * 1.08), ylim=(len(names) - 0.5, -0.5))
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x")
    for below in range(1, len(names)):
        axis.axhline(below - 0.5, color="0.85", linewidth=0.5, zorder=0)
    if is_bottom(axis, axes):
        axis.set_xlabel("training images")


def _name(row: pd.Series, found: pd.DataFrame) -> str:
    several = len(found["dataset"].unique()) > 1
    name = row_name(row["dataset"] if several else "", row["target"], int(row["n_objects"]))
    return f"{name}\n{row['model']}" if len(found["model"].unique()) > 1 else name
