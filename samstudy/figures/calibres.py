"""Long thin targets zero-shot and fine-tuned: Dice, clDice and precision beside recall by calibre."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.cells import over_repetitions
from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    facet_axes,
    facets,
    head,
    info_of,
    interval_words,
    is_bottom,
    stamp,
    style,
    title_of,
    usable,
)
from samstudy.figures.marks import draw_interval, marker_handle
from samstudy.figures.tuning import held_out_rows
from samstudy.statistics import GRID, estimate
from samstudy.tubular import MEASURES, RECALLS, as_metric, tubular_rows

_COLUMNS = (
    *GRID, "fold", "image_id", "object_id", "group_id", "mask_choice", "iou_pred", "cldice", *RECALLS, "n_ref_px",
    "n_pred_px", "status",
)  # fmt: skip
_PANEL = ("target", "prompt_words", "dataset", "model")
_WORDS = {"dice": "Dice", "cldice": "clDice", "precision": "precision"} | {
    recall: recall.removeprefix("recall_") for recall in RECALLS
}
_MARKERS = ("o", "s", "^")
_DENSE = 12
_APART = 0.16


def draw_calibres(table: pd.DataFrame, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN) -> Figure:
    """Draw Dice, clDice, precision and recall by calibre of long thin targets, zero-shot and fine-tuned side by side.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table with rows of ``tuning == "none"`` and of fine-tuned models on the same objects. Of several numbers
        of training images the largest is drawn; an object is averaged over its repetitions.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per long thin target and prompt; marks are means with their 95 % interval over groups. Recall is that of
        :data:`samstudy.vessels.CALIBRES_PX`; a measure that no object has is left blank.

    Raises
    ------
    StudyError
        If no target is long and thin; see also :func:`samstudy.figures.tuning.held_out_rows`.
    """
    rows = held_out_rows(usable(table, _COLUMNS, "draw_calibres", "dice"), "draw_calibres")
    rows = tubular_rows(rows)
    if rows.empty:
        raise StudyError("draw_calibres found no target that is long and thin (rows with a clDice).")
    rows = _largest_shots(rows.assign(prompt_words=rows["prompt"].map(palette.prompt_words)))
    methods = [method for method in rows["tuning"].unique() if method != "none"]
    n_panels = len(rows.drop_duplicates(list(_PANEL)))
    dense = n_panels > _DENSE
    with style():
        figure, axes = facet_axes(
            n_panels, width_in=width_in, panel_height_in=1.9, max_columns=5 if dense else 3,
            narrow_columns=2 if dense else 1, sharey=True, sharex=True,
        )  # fmt: skip
        for axis, panel in zip(axes, facets(rows, _PANEL, 20 if dense else 38), strict=True):
            _draw_marks(axis, panel.rows, methods)
            _label(axis, axes, panel.title, dense)
        title = f"Long thin targets before and after fine-tuning, {interval_words(rows)}"
        head(figure, title_of(title, rows, ("dataset", "model")), _handles(rows, methods))
        stamp(figure, table, info_of(dataset))
    return figure


def _largest_shots(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep zero-shot rows and, of each panel, those of most training images; prompts in their order."""
    most = rows.groupby(list(_PANEL), sort=False)["shots"].transform("max")
    rows = rows[(rows["tuning"] == "none") | (rows["shots"] == most)]
    order = {prompt: i for i, prompt in enumerate(palette.prompt_order(rows["prompt"]))}
    return rows.iloc[np.argsort(rows["prompt"].map(order), kind="stable")]


def _draw_marks(axis: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    looks = {"none": ("o", palette.BLACK)} | {
        method: (_MARKERS[i % len(_MARKERS)], palette.TUNED) for i, method in enumerate(methods)
    }
    shifts = np.linspace(-_APART, _APART, len(looks))
    for shift, (method, (marker, colour)) in zip(shifts, looks.items(), strict=True):
        of_method = rows[rows["tuning"] == method]
        for at, measure in enumerate(MEASURES):
            scored, metric = as_metric(of_method, measure)
            found = estimate(over_repetitions(scored, metric), metric)
            look = {"marker": marker, "hollow": method == "none"}
            draw_interval(axis, at + shift, found, colour, horizontal=False, **look)


def _label(axis: Axes, axes: list[Axes], title: str, dense: bool) -> None:
    axis.set(title=title, xlim=(-0.5, len(MEASURES) - 0.5), ylim=(-0.02, 1.02))
    turned = {"rotation": 90 if dense else 30, "rotation_mode": "anchor", "ha": "right", "fontsize": 6.5}
    axis.set_xticks(range(len(MEASURES)), [_WORDS[measure] for measure in MEASURES], **turned)
    axis.tick_params(axis="x", length=0)
    axis.axvline(MEASURES.index(RECALLS[0]) - 0.5, color="0.7", linewidth=0.6, zorder=0)
    axis.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axis.set_yticks([0.25, 0.75], minor=True)
    axis.grid(axis="y", which="both")
    if is_bottom(axis, axes):
        axis.set_xlabel("right of the line: recall" if dense else "right of the line: recall by calibre")


def _handles(rows: pd.DataFrame, methods: list[str]) -> list[Artist]:
    shots = sorted(rows.loc[rows["tuning"] != "none", "shots"].unique())
    images = " to ".join(str(n) for n in dict.fromkeys([shots[0], shots[-1]]))
    noun = "image" if images == "1" else "images"
    handles: list[Artist] = [marker_handle("mean, zero-shot", palette.BLACK, "o", hollow=True)]
    for i, method in enumerate(methods):
        words = f"mean, tuned on {images} {noun} ({method})"
        handles.append(marker_handle(words, palette.TUNED, _MARKERS[i % len(_MARKERS)]))
    return handles
