"""Learning curves: Dice of the same held-out objects against the number of training images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.cells import over_repetitions
from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    baseline,
    facet_axes,
    facets,
    head,
    info_of,
    interval_words,
    stamp,
    style,
    title_of,
    usable,
)
from samstudy.figures.curves import dice_axis
from samstudy.figures.marks import line_handle
from samstudy.figures.tuning import baseline_line, held_out_rows
from samstudy.statistics import GRID, estimate

_COLUMNS = (*GRID, "fold", "image_id", "object_id", "group_id", "mask_choice", "iou_pred")
_DENSE = 12
_METHOD_COLOURS = {"decoder": palette.BLUE, "lora": palette.ORANGE, "full": palette.GREEN}
_ROUND = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_NEAR = 1.6


def draw_few_shot(table: pd.DataFrame, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN) -> Figure:
    """Draw mean Dice on held-out objects against the number of training images.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table with rows of ``tuning == "none"`` and of fine-tuned models on the same objects; ellipse rows
        add the baseline.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per target with a line per prompt; where several methods were tuned, a panel per target and prompt with
        a line per method. 0 images is zero-shot. The band is the 95 % interval over groups of the mean of each object's
        mean over the repetitions; where there are several, each has a thin line of its own. Dashed is the ellipse.

    Raises
    ------
    StudyError
        See :func:`samstudy.figures.tuning.held_out_rows`.
    """
    scored = usable(table, _COLUMNS, "draw_few_shot", "dice")
    rows, ellipses = held_out_rows(scored, "draw_few_shot"), baseline(scored)
    order = palette.prompt_order(rows["prompt"])
    rows = rows.assign(prompt_words=rows["prompt"].map(palette.prompt_words))
    place = rows.groupby(["dataset", "target"], sort=False).ngroup()
    rows = rows.iloc[np.lexsort([rows["prompt"].map(order.index), place])]
    methods = [method for method in rows["tuning"].unique() if method != "none"]
    by_method = len(methods) > 1
    colours = method_colours(methods) if by_method else palette.prompt_colours(order)
    keys = ("target", *(["prompt_words"] if by_method else []), "dataset", "model")
    dense = len(rows.drop_duplicates(list(keys))) > _DENSE
    panels = facets(rows, keys, 20 if dense else 38)
    ticks = shot_ticks(rows["shots"].unique())
    with style():
        figure, axes = facet_axes(
            len(panels), width_in=width_in, panel_height_in=1.9, max_columns=4 if dense else 3,
            narrow_columns=2 if dense else 1, sharey=True, sharex=True,
        )  # fmt: skip
        for axis, panel in zip(axes, panels, strict=True):
            for prompt, of_prompt in panel.rows.groupby("prompt", sort=False):
                for method in methods:
                    of_method = of_prompt[of_prompt["tuning"].isin(["none", method])]
                    draw_learning(axis, of_method, colours[method if by_method else prompt])
                colour = palette.GREY if by_method else colours[prompt]
                baseline_line(axis, ellipses, of_prompt, colour)
            axis.set_xscale("symlog", linthresh=1, linscale=0.5)
            dice_axis(axis, axes, panel.title, {k: str(k) for k in ticks}, "training images")
            axis.set_xticks([], minor=True)
            axis.set_xlim(-0.15, max(rows["shots"].max(), 1) * 1.25)
        names = {key: key if by_method else palette.prompt_words(key) for key in colours}
        handles = [line_handle(names[key], colour) for key, colour in colours.items()]
        if _n_repetitions(rows) > 1:
            handles.append(line_handle("one repetition", palette.GREY, linewidth=0.5))
        if len(ellipses):
            words = "ellipse baseline" if by_method else "ellipse baseline of that prompt"
            handles.append(line_handle(words, palette.GREY, linestyle="--"))
        title = f"Mean Dice by number of training images, {interval_words(rows)}"
        head(figure, title_of(title, rows, ("dataset", "model")), handles)
        stamp(figure, table, info_of(dataset))
    return figure


def draw_learning(axis: Axes, rows: pd.DataFrame, colour: str) -> None:
    """Draw one learning curve with its interval as a band, and each repetition as a thin line where there are several.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
        Where to draw.
    rows : pandas.DataFrame
        Scored rows of one prompt before and after one method, from
        :func:`samstudy.figures.tuning.held_out_rows`. Nothing is drawn without a tuned one.
    colour : str
        Matplotlib colour.
    """
    tuned = rows[rows["tuning"] != "none"]
    if tuned.empty:
        return
    averaged = over_repetitions(rows, "dice")
    shots = sorted(averaged["shots"].unique())
    found = [estimate(averaged[averaged["shots"] == k], "dice") for k in shots]
    low, high = [e.low for e in found], [e.high for e in found]
    axis.fill_between(shots, low, high, color=colour, alpha=0.18, linewidth=0)
    if len(tuned["fold"].unique()) > 1:
        for _, repetition in tuned.groupby("fold"):
            means = pd.concat([rows[rows["tuning"] == "none"], repetition]).groupby("shots")["dice"].mean()
            axis.plot(means.index, means, color=colour, linewidth=0.5, alpha=0.7, zorder=2)
    look = {"color": colour, "marker": "o", "markersize": 3.5, "clip_on": False, "zorder": 4}
    axis.plot(shots, [e.value for e in found], **look)


def method_colours(methods: Sequence[str]) -> dict[str, str]:
    """Colour of each fine-tuning method: fixed for the known ones, unused colours in turn for others."""
    spare = [colour for colour in palette.CYCLE if colour not in _METHOD_COLOURS.values()]
    others = [method for method in methods if method not in _METHOD_COLOURS]
    return {
        method: _METHOD_COLOURS.get(method) or spare[others.index(method) % len(spare)] for method in methods
    }


def shot_ticks(shots: Sequence[int]) -> list[int]:
    """Numbers of training images to be written at an axis: all of them, or round ones where they would touch."""
    numbers = sorted({int(k) for k in shots})
    close = any(low and high / low < _NEAR for low, high in pairwise(numbers))
    return [k for k in _ROUND if k <= numbers[-1]] if close else numbers


def _n_repetitions(rows: pd.DataFrame) -> int:
    tuned = rows[rows["tuning"] != "none"]
    return int(tuned.groupby(["dataset", "target", "prompt", "tuning", "shots"])["fold"].nunique().max())
