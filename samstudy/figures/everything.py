"""Everything mode: which share of the objects is among the proposals, and how many proposals an image gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    Facet,
    head,
    info_of,
    interval_words,
    prompted,
    shorten,
    stamp,
    style,
    title_of,
    usable,
)
from samstudy.figures.curves import panels_of
from samstudy.figures.marks import draw_distribution, draw_interval, marker_handle
from samstudy.recall import THRESHOLDS_IOU, everything_rows, object_recall, proposals_per_image
from samstudy.statistics import GRID, Estimate

_COLUMNS = (
    *GRID,
    "image_id",
    "object_id",
    "group_id",
    "mask_choice",
    "iou",
    "iou_pred",
    "n_proposals",
    "status",
)
_WIDE_IN = 5.0
_ROW_IN = 0.34
_CELL = ("model", "tuning", "shots", "prompt")
_MATCHES = {
    "oracle": "best proposal (oracle: uses the reference)",
    "predicted_iou": "surest proposal of the image",
}
_MARKERS = dict(zip(THRESHOLDS_IOU, ("o", "D"), strict=True))


def draw_everything(
    table: pd.DataFrame, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN
) -> Figure:
    """Draw the share of objects that everything mode finds without a prompt, and the number of its proposals.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table with rows of everything mode.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches; the parts are one below the other under 5.

    Returns
    -------
    matplotlib.figure.Figure
        A row of marks per target, or per data set where there are more than 18, n objects beside it. Left, recall at
        an IoU of 0.5 (circle) and 0.75 (diamond) with 95 % intervals over groups, by the best proposal and by the one
        that the model is surest of. Right, proposals of each image (a dot) and their median. A pair of panels per
        model and mode.

    Raises
    ------
    StudyError
        If there is nothing to draw, or no model beside the baseline, or no everything mode.
    """
    scored = usable(table.reset_index(drop=True), _COLUMNS, "draw_everything", "dice")
    rows = everything_rows(prompted(scored, "draw_everything"))
    lines = [cell for _, cell in rows.groupby(["series", "prompt"], sort=False)]
    places, _ = panels_of(rows)
    wide = width_in > _WIDE_IN
    height_in = 0.5 + _ROW_IN * len(places)
    with style():
        figure, axes = plt.subplots(
            *((len(lines), 2) if wide else (2 * len(lines), 1)),
            figsize=(width_in, height_in * len(lines) * (1 if wide else 2)),
            squeeze=False,
            **({"width_ratios": (3, 2), "sharex": "col", "sharey": "row"} if wide else {}),
        )
        limit = (0.0, 1.06 * max(1.0, rows["n_proposals"].astype(float).max(skipna=True) or 1.0))
        for i, (line, pair) in enumerate(zip(lines, axes.reshape(-1, 2), strict=True)):
            _draw_recall(pair[0], line, places)
            _draw_proposals(pair[1], line, places, limit)
            _set_up(pair, _line_title(line, rows), places, limit)
            _label(pair, last=i == len(lines) - 1 or not wide)
        title = f"Objects that everything mode finds, {interval_words(rows)}"
        head(figure, title_of(title, rows), _handles())
        stamp(figure, table, info_of(dataset))
    return figure


def _draw_recall(axis: Axes, line: pd.DataFrame, places: Sequence[Facet]) -> None:
    n_marks = len(_MATCHES) * len(_MARKERS)
    for at, place in enumerate(places):
        cell = line.loc[line.index.intersection(place.rows.index)]
        if cell.empty:
            continue
        found = object_recall(cell, tuple(_MARKERS), _CELL).set_index(["mask_choice", "threshold_iou"])
        marks = [(choice, threshold) for choice in _MATCHES for threshold in _MARKERS]
        for i, (choice, threshold) in enumerate(marks):
            if (choice, threshold) in found.index:
                row = found.loc[(choice, threshold)]
                share = Estimate(row["recall"], row["ci_low"], row["ci_high"], "mean", row["note"])
                colour, hollow = palette.mask_choice_colour(choice), choice == palette.ORACLE
                look = {"marker": _MARKERS[threshold], "hollow": hollow, "size": 3.6}
                draw_interval(axis, at + 0.8 * ((i + 0.5) / n_marks - 0.5), share, colour, **look)


def _draw_proposals(
    axis: Axes, line: pd.DataFrame, places: Sequence[Facet], limit: tuple[float, float]
) -> None:
    for at, place in enumerate(places):
        cell = line.loc[line.index.intersection(place.rows.index)]
        n = proposals_per_image(cell).dropna().to_numpy()
        draw_distribution(axis, at, n, palette.BLUE, height=0.8, limit=limit)


def _set_up(pair: Sequence[Axes], title: str, places: Sequence[Facet], limit: tuple[float, float]) -> None:
    recall, proposals = pair
    for axis in pair:
        axis.set_ylim(len(places) - 0.5, -0.5)
        axis.set_yticks(range(len(places)), [place.title for place in places])
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x")
        for edge in range(1, len(places)):
            axis.axhline(edge - 0.5, color="0.85", linewidth=0.5, zorder=0)
    recall.set(title=title, xlim=(-0.02, 1.02))
    recall.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    proposals.set_xlim(limit)
    ticks = MaxNLocator(4, integer=True).tick_values(*limit)
    proposals.set_xticks([tick for tick in ticks if limit[0] <= tick <= limit[1]])


def _label(pair: Sequence[Axes], last: bool) -> None:
    recall, proposals = pair
    if last:
        recall.set_xlabel("share of objects found")
        proposals.set_xlabel("proposals of an image")


def _line_title(line: pd.DataFrame, rows: pd.DataFrame) -> str:
    words = [palette.prompt_words(line["prompt"].iloc[0])]
    if len(rows["series"].unique()) > 1:
        words.insert(0, shorten(line["series"].iloc[0], 26))
    return "\n".join(words)


def _handles() -> list[Line2D]:
    matches = [
        marker_handle(words, palette.mask_choice_colour(choice), "s", hollow=choice == palette.ORACLE)
        for choice, words in _MATCHES.items()
    ]
    levels = [
        marker_handle(f"IoU of {threshold:g} or more", palette.BLACK, marker)
        for threshold, marker in _MARKERS.items()
    ]
    return [*matches, *levels]
