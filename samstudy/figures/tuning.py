"""Fine-tuning: the same held-out objects before and after, and Dice against the number of training images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.cells import OBJECT
from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    Facet,
    baseline,
    facet_axes,
    facets,
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
from samstudy.figures.marks import draw_interval, line_handle, marker_handle, signed
from samstudy.statistics import GRID, estimate, headline

_COLUMNS = (*GRID, "fold", "image_id", "object_id", "group_id", "mask_choice", "iou_pred")
_SERIES = ["target", "dataset", "model", "prompt"]
_DENSE = 12
ZERO_SHOT = ("none", 0)


def held_out_rows(rows: pd.DataFrame, figure: str) -> pd.DataFrame:
    """Keep the objects that every stage has scored, at the prompts' headline mask choices.

    A stage is zero-shot, or one tuning method with one number of shots in any of its folds.

    Parameters
    ----------
    rows : pandas.DataFrame
        Scored rows before (``tuning == "none"``) and after fine-tuning.
    figure : str
        Name of the figure, for the error sentence.

    Returns
    -------
    pandas.DataFrame
        Rows with ``stage`` added, a pair (tuning, shots).

    Raises
    ------
    StudyError
        If rows before or after are missing, or they share no scored object.
    """
    rows = headline(prompted(rows, figure))
    shots = pd.to_numeric(rows["shots"]).fillna(0).astype(int)
    rows = rows.assign(shots=shots, stage=list(zip(rows["tuning"], shots, strict=True)))
    before = rows["tuning"] == "none"
    if not before.any() or before.all():
        missing = "zero-shot" if not before.any() else "fine-tuned"
        raise StudyError(
            f"{figure} needs rows before and after fine-tuning; this table has no scored {missing} row. "
            "Concatenate the tables of both evaluations on the same split."
        )
    rows = rows[rows["model"].isin(set(rows.loc[~before, "model"]))]
    n_stages = rows.groupby(_SERIES)["stage"].transform("nunique")
    n_seen = rows.groupby([*_SERIES, "image_id", "object_id"])["stage"].transform("nunique")
    kept = rows[(n_seen == n_stages) & (n_stages > 1)]
    if kept.empty:
        raise StudyError(
            f"{figure} found no object that was scored both before and after fine-tuning; evaluate both on the "
            "same split of the same data set."
        )
    return kept


def draw_before_after(
    table: pd.DataFrame, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN
) -> Figure:
    """Draw each held-out object's Dice zero-shot and after fine-tuning on k images, joined by a line.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table with rows of ``tuning == "none"`` and of fine-tuned models on the same objects; ellipse rows
        add the baseline. Folds of one number of shots are averaged per object.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per prompt and target; grey lines are objects, coloured marks the mean with its 95 % interval,
        the numbers under the axis the mean change from zero-shot.

    Raises
    ------
    StudyError
        See :func:`held_out_rows`.
    """
    scored = usable(table, _COLUMNS, "draw_before_after", "dice")
    rows, ellipses = held_out_rows(scored, "draw_before_after"), baseline(scored)
    order = {prompt: i for i, prompt in enumerate(palette.prompt_order(rows["prompt"]))}
    rows = rows.assign(prompt_words=rows["prompt"].map(palette.prompt_words))
    rows = rows.iloc[np.argsort(rows["prompt"].map(order), kind="stable")]
    n_panels = len(rows.drop_duplicates(_SERIES))
    dense = n_panels > _DENSE
    panels = facets(rows, ("target", "prompt_words", "dataset", "model"), 20 if dense else 38)
    with style():
        figure, axes = facet_axes(
            n_panels,
            width_in=width_in,
            panel_height_in=1.8,
            max_columns=5 if dense else 3,
            narrow_columns=2 if dense else 1,
            sharey=True,
        )
        for axis, panel in zip(axes, panels, strict=True):
            _paired_lines(axis, panel)
            _baseline_line(axis, ellipses, panel.rows, palette.GREY)
            axis.set(title=panel.title, ylim=(-0.02, 1.02))
            _label(axis, axes, "images; change" if dense else "training images; mean change")
            axis.tick_params(axis="x", labelsize=6 if dense else None)
        handles = [
            line_handle("one object", "0.75", linewidth=0.8),
            marker_handle("mean, zero-shot", palette.BLACK, "o", hollow=True),
            marker_handle("mean, fine-tuned", palette.TUNED, "o"),
        ]
        if len(ellipses):
            handles.append(line_handle("mean of the ellipse baseline", palette.GREY, linestyle="--"))
        title = f"Before and after fine-tuning, same held-out objects, {interval_words(rows)}"
        head(figure, title_of(title, rows, ("dataset", "model")), handles)
        stamp(figure, table, info_of(dataset))
    return figure


def _paired_lines(axis: Axes, panel: Facet) -> None:
    rows = panel.rows
    stages = sorted(rows["stage"].unique(), key=lambda stage: (stage != ZERO_SHOT, stage[1], stage[0]))
    wide = rows.pivot_table(index=OBJECT, columns="stage", values="dice", aggfunc="mean")[stages]
    axis.plot(np.arange(len(stages)), wide.to_numpy(float).T, color="0.7", linewidth=0.5, alpha=0.6, zorder=1)
    found = [estimate(rows[rows["stage"] == stage], "dice") for stage in stages]
    several_methods = len({tuning for tuning, _ in stages}) > 2
    labels = []
    for at, (stage, mean) in enumerate(zip(stages, found, strict=True)):
        zero_shot = stage == ZERO_SHOT
        colour = palette.BLACK if zero_shot else palette.TUNED
        draw_interval(axis, at, mean, colour, horizontal=False, hollow=zero_shot, size=4.5)
        method = f" {stage[0]}" if several_methods and not zero_shot else ""
        change = "" if zero_shot else f"\n{signed(mean.value - found[0].value)}"
        labels.append(f"{stage[1]}{method}{change}")
    axis.set_xticks(np.arange(len(stages)), labels)
    axis.set_xlim(-0.35, len(stages) - 0.65)


def _baseline_line(axis: Axes, ellipses: pd.DataFrame, rows: pd.DataFrame, colour: str) -> None:
    keys = [*OBJECT, "prompt"]
    same = ellipses.merge(rows[keys].drop_duplicates(), on=keys)
    if len(same):
        axis.axhline(same["dice"].mean(), color=colour, linestyle="--", linewidth=0.9, zorder=2)


def _label(axis: Axes, axes: list[Axes], words: str) -> None:
    axis.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axis.set_yticks([0.25, 0.75], minor=True)
    axis.grid(axis="y", which="both")
    if axis.get_subplotspec().is_first_col():
        axis.set_ylabel("Dice")
    if is_bottom(axis, axes):
        axis.set_xlabel(words)


def draw_few_shot(table: pd.DataFrame, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN) -> Figure:
    """Draw mean Dice on held-out objects against the number of training images.

    Parameters
    ----------
    table : pandas.DataFrame
        As for :func:`draw_before_after`.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per target, a line per prompt with its 95 % interval as a band; 0 images is zero-shot. Dashed
        lines are the ellipse baseline of the prompt of that colour.

    Raises
    ------
    StudyError
        See :func:`held_out_rows`.
    """
    scored = usable(table, _COLUMNS, "draw_few_shot", "dice")
    rows, ellipses = held_out_rows(scored, "draw_few_shot"), baseline(scored)
    colours = palette.prompt_colours(palette.prompt_order(rows["prompt"]))
    methods = [method for method in rows["tuning"].unique() if method != "none"]
    looks = dict(zip(methods, palette.LINE_STYLES[::2], strict=False))
    dense = len(rows.drop_duplicates(["target", "dataset", "model"])) > _DENSE
    panels = facets(rows, ("target", "dataset", "model"), 20 if dense else 38)
    with style():
        figure, axes = facet_axes(
            len(panels),
            width_in=width_in,
            panel_height_in=1.9,
            narrow_columns=2 if dense else 1,
            sharey=True,
            sharex=True,
        )
        for axis, panel in zip(axes, panels, strict=True):
            for prompt, of_prompt in panel.rows.groupby("prompt", sort=False):
                for method, linestyle in looks.items():
                    _few_shot_line(axis, of_prompt, method, colours[prompt], linestyle)
                _baseline_line(axis, ellipses, of_prompt, colours[prompt])
            _shots_axis(axis, axes, sorted(rows["shots"].unique()), panel.title)
        handles = [line_handle(palette.prompt_words(prompt), colour) for prompt, colour in colours.items()]
        if len(looks) > 1:
            handles += [line_handle(method, palette.BLACK, linestyle=look) for method, look in looks.items()]
        if len(ellipses):
            handles.append(line_handle("ellipse baseline of that prompt", palette.GREY, linestyle="--"))
        title = f"Mean Dice by number of training images, {interval_words(rows)}"
        head(figure, title_of(title, rows, ("dataset", "model")), handles)
        stamp(figure, table, info_of(dataset))
    return figure


def _few_shot_line(axis: Axes, rows: pd.DataFrame, method: str, colour: str, linestyle: str) -> None:
    rows = rows[rows["tuning"].isin(["none", method])]
    shots = sorted(rows["shots"].unique())
    found = [estimate(rows[rows["shots"] == k], "dice") for k in shots]
    axis.fill_between(
        shots, [e.low for e in found], [e.high for e in found], color=colour, alpha=0.18, linewidth=0
    )
    line = {"color": colour, "linestyle": linestyle, "marker": "o", "markersize": 3.5, "clip_on": False}
    axis.plot(shots, [e.value for e in found], **line)


def _shots_axis(axis: Axes, axes: list[Axes], shots: list[int], title: str) -> None:
    axis.set_xscale("symlog", linthresh=1, linscale=0.5)
    axis.set_xticks(shots, [str(k) for k in shots])
    axis.set_xticks([], minor=True)
    axis.set(title=title, ylim=(0, 1.02), xlim=(-0.15, shots[-1] * 1.25))
    _label(axis, axes, "training images")
