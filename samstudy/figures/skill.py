"""The model against what the prompt alone gives away: the inscribed ellipse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    baseline,
    facet_axes,
    facets,
    head,
    info_of,
    interval_words,
    prompted,
    series_names,
    stamp,
    style,
    title_of,
    usable,
)
from samstudy.figures.marks import draw_interval, marker_handle, prompt_axis, signed
from samstudy.statistics import GRID, Estimate, skill

_COLUMNS = (*GRID, "image_id", "object_id", "group_id", "mask_choice", "iou_pred", "status")


def draw_skill(table: pd.DataFrame, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN) -> Figure:
    """Draw mean Dice of each model beside that of the ellipse inscribed in the same prompt.

    A prompt made from the reference leaks the object's place and size, so a Dice is read against what it would
    be without an image (:func:`samstudy.statistics.skill`). Only objects scored by both count. The interval is
    that of the skill, moved to the Dice axis: where it reaches the baseline, a gain is not shown.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table with rows of a model at the headline mask choice and rows of ``ellipse``.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per target, a dumbbell per prompt and model, the skill at the right.

    Raises
    ------
    StudyError
        If the baseline or the model is missing, or they share no scored object.
    """
    rows = usable(table, _COLUMNS, "draw_skill", "dice")
    if baseline(rows).empty:
        raise StudyError(
            f"draw_skill needs scored rows of the {palette.BASELINE} baseline; evaluate with "
            f"models=[..., {palette.BASELINE!r}] and the same prompts."
        )
    prompted(rows, "draw_skill")
    found = skill(rows, GRID)
    found = found[found["n_objects"] > 0].assign(series=series_names(found))
    if found.empty:
        raise StudyError(
            "draw_skill found no object and prompt that both a model and the baseline have scored."
        )
    prompts, names = palette.prompt_order(found["prompt"]), list(found["series"].unique())
    colours = palette.series_colours(found)
    panels = facets(found, ("target", "dataset"))
    height_in = 0.5 + len(prompts) * max(0.2, 0.15 * len(names))
    with style():
        figure, axes = facet_axes(len(panels), width_in=width_in, panel_height_in=height_in, sharey=True)
        for axis, panel in zip(axes, panels, strict=True):
            for _, cell in panel.rows.iterrows():
                offset = (names.index(cell["series"]) + 0.5) / len(names) - 0.5
                _dumbbell(axis, prompts.index(cell["prompt"]) + 0.8 * offset, cell, colours[cell["series"]])
            prompt_axis(axis, axes, panel.title, prompts, (0, 1), "mean Dice")
        handles = [marker_handle(palette.BASELINE_WORDS, palette.BASELINE_COLOUR, "D")]
        handles += [marker_handle(name, colours[name], "o") for name in names]
        title = f"Mean Dice against the baseline, {interval_words(rows)}; right: skill"
        head(figure, title_of(title, found, ("dataset",)), handles)
        stamp(figure, table, info_of(dataset))
    return figure


def _dumbbell(axis: Axes, at: float, cell: pd.Series, colour: str) -> None:
    ellipse = cell["baseline_mean"]
    low, high = (ellipse + cell[end] * (1 - ellipse) for end in ("ci_low", "ci_high"))
    axis.plot([ellipse, cell["mean"]], [at, at], color="0.75", linewidth=2.2, zorder=2, solid_capstyle="butt")
    axis.plot(ellipse, at, "D", color=palette.BASELINE_COLOUR, markersize=4, zorder=4, clip_on=False)
    draw_interval(axis, at, Estimate(cell["mean"], low, high, "mean", ""), colour, size=4.5)
    if np.isfinite(cell["skill"]):
        place = {"transform": axis.get_yaxis_transform(), "va": "center"}
        axis.text(1.03, at, signed(cell["skill"]), fontsize=7, **place)
