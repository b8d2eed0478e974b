"""Fine-tuning: the same held-out objects before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.cells import OBJECT, over_repetitions
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
from samstudy.needed import held_out
from samstudy.statistics import GRID, estimate

_COLUMNS = (*GRID, "fold", "image_id", "object_id", "group_id", "mask_choice", "iou_pred")
_SERIES = ["target", "dataset", "model", "prompt"]
_DENSE = 12
MOST_STAGES = 5
ZERO_SHOT = ("none", 0)


def held_out_rows(rows: pd.DataFrame, figure: str) -> pd.DataFrame:
    """Keep the objects of models other than the baseline that every stage has scored.

    See :func:`samstudy.needed.held_out`, whose errors name the ``figure``.
    """
    return held_out(prompted(rows, figure), figure)


def shown_stages(rows: pd.DataFrame, most: int = MOST_STAGES) -> list[tuple[str, int]]:
    """Choose stages to be drawn side by side: zero-shot, then each method's numbers of training images.

    Where there are more than ``most``, each method keeps its largest number and of the others as many as there is room
    for, evenly spaced.

    Returns
    -------
    list of (tuning, shots)
        Zero-shot first, then by method and number.
    """
    tuned = sorted(set(rows["stage"]) - {ZERO_SHOT})
    methods = list(dict.fromkeys(method for method, _ in tuned))
    room = max(1, (most - 1) // len(methods))
    kept = [ZERO_SHOT]
    for method in methods:
        of_method = [stage for stage in tuned if stage[0] == method]
        places = np.linspace(len(of_method) - 1, 0, min(room, len(of_method))).round().astype(int)
        kept += [of_method[place] for place in sorted(set(places))]
    return kept


def draw_before_after(
    table: pd.DataFrame, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN
) -> Figure:
    """Draw each held-out object's Dice zero-shot and after fine-tuning on k images, joined by a line.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table with rows of ``tuning == "none"`` and of fine-tuned models on the same objects; ellipse rows
        add the baseline. Repetitions are averaged per object.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per prompt and target; grey lines are objects, coloured marks the mean with its 95 % interval,
        the numbers under the axis the mean change from zero-shot. Of many stages some are shown: :func:`shown_stages`.

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
            baseline_line(axis, ellipses, panel.rows, palette.GREY)
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
    rows = over_repetitions(panel.rows, "dice")
    stages = shown_stages(rows)
    wide = rows.pivot_table(index=OBJECT, columns="stage", values="dice")[stages]
    axis.plot(np.arange(len(stages)), wide.to_numpy(float).T, color="0.7", linewidth=0.5, alpha=0.6, zorder=1)
    found = [estimate(rows[rows["stage"] == stage], "dice") for stage in stages]
    several_methods = len({tuning for tuning, _ in stages}) > 2
    labels = []
    for at, (stage, mean) in enumerate(zip(stages, found, strict=True)):
        zero_shot = stage == ZERO_SHOT
        colour = palette.BLACK if zero_shot else palette.TUNED
        draw_interval(axis, at, mean, colour, horizontal=False, hollow=zero_shot, size=4.5)
        method = f"\n{stage[0]}" if several_methods and not zero_shot else ""
        change = "" if zero_shot else f"\n{signed(mean.value - found[0].value)}"
        labels.append(f"{stage[1]}{method}{change}")
    axis.set_xticks(np.arange(len(stages)), labels)
    axis.set_xlim(-0.35, len(stages) - 0.65)


def baseline_line(axis: Axes, ellipses: pd.DataFrame, rows: pd.DataFrame, colour: str) -> None:
    """Draw the ellipse's mean Dice on the same objects and prompts as a dashed line; nothing without its rows."""
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
