"""Dice over the number of clicks: how much correction an object takes."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.clicks import click_rows, clicks_to
from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    baseline,
    facet_axes,
    head,
    info_of,
    interval_words,
    prompted,
    stamp,
    style,
    title_of,
    usable,
)
from samstudy.figures.curves import dice_axis, draw_baseline, draw_curve, draw_targets, note, panels_of
from samstudy.figures.marks import line_handle
from samstudy.statistics import GRID

_COLUMNS = (
    *GRID, "fold", "weights_sha", "image_id", "object_id", "group_id", "mask_choice", "iou_pred", "status",
)  # fmt: skip
_TO_REACH = 0.8


def draw_clicks(table: pd.DataFrame, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN) -> Figure:
    """Draw mean Dice after each simulated click, at the headline mask choice.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table with rows of the prompts ``clicks_1``, ``clicks_2``, ...; other prompts are not looked at.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per target, or per data set with a thin line per target where there are more than 18; a line per
        model with its 95 % interval as a band, dashed the ellipse. Written in a panel of one model: the mean number of
        clicks to a Dice of 0.80 and the share of objects that get there.

    Raises
    ------
    StudyError
        If there is nothing to draw, no model beside the baseline, or no row of clicks.
    """
    scored = usable(table, _COLUMNS, "draw_clicks", "dice")
    rows = click_rows(prompted(scored, "draw_clicks"))
    ellipses, colours = baseline(scored), palette.series_colours(rows)
    panels, per_target = panels_of(rows)
    ticks = {float(n): str(n) for n in sorted(rows["n_clicks"].unique())}
    with style():
        figure, axes = facet_axes(
            len(panels), width_in=width_in, panel_height_in=1.6, max_columns=4 if len(panels) > 6 else 3,
            narrow_columns=2 if len(panels) > 4 else 1, sharex=True, sharey=True,
        )  # fmt: skip
        for axis, panel in zip(axes, panels, strict=True):
            draw_baseline(axis, ellipses, panel.rows, "n_clicks")
            for series, of_series in panel.rows.groupby("series", sort=False):
                if not per_target:
                    draw_targets(axis, of_series, "n_clicks", colours[series])
                draw_curve(axis, of_series, "n_clicks", colours[series])
            if len(colours) == 1:
                _note_needed(axis, panel.rows)
            dice_axis(axis, axes, panel.title, ticks, "clicks")
        handles = [line_handle(series, colour) for series, colour in colours.items()]
        if not per_target:
            handles.append(line_handle("one target", palette.GREY, linewidth=0.5))
        if len(ellipses):
            handles.append(line_handle(palette.BASELINE_WORDS, palette.GREY, linestyle="--"))
        title = title_of(f"Mean Dice after each click, {interval_words(rows)}", rows, ("dataset",))
        head(figure, title, handles)
        stamp(figure, table, info_of(dataset))
    return figure


def _note_needed(axis: Axes, rows: pd.DataFrame) -> None:
    try:
        (found,) = clicks_to(rows, (_TO_REACH,), by=(), n_boot=1).to_dict("records")
    except StudyError:
        return  # not every number of clicks was evaluated: when Dice was first reached is not known
    if not found["n_objects"]:
        return
    words = f"{found['mean_clicks']:.1f} clicks, {found['share_reached']:.0%} get there"
    note(axis, f"to {_TO_REACH:.2f}: {words if found['n_reached'] else 'never'}")
