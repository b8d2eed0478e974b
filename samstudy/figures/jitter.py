"""Dice under boxes that are not tight: how much a careless box costs."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    Facet,
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
from samstudy.figures.curves import dice_axis, draw_baseline, draw_curve, note, panels_of
from samstudy.figures.marks import line_handle, signed
from samstudy.prompts import PROMPTS
from samstudy.statistics import GRID, headline

_COLUMNS = (*GRID, "image_id", "object_id", "group_id", "mask_choice", "iou_pred", "status")
_TIGHT = "box"
_KIND = re.compile(r"box_(jitter|enlarge|shift)(\d+)$")
_WORDS = {"jitter": "each side moved by up to", "enlarge": "each side outwards by", "shift": "box moved by"}
_COLOURS = {"jitter": palette.BLUE, "enlarge": palette.ORANGE, "shift": palette.GREEN}


def moved_boxes() -> dict[str, tuple[str, float]]:
    """Kind and percent of every registered mode of a moved box: ``"box_jitter10" -> ("jitter", 10)``."""
    found = {name: _KIND.match(name) for name in PROMPTS}
    return {name: (match[1], float(match[2])) for name, match in found.items() if match}


def jitter_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep moved boxes at their headline choice, and the tight box as the 0 % of each kind that is there.

    Parameters
    ----------
    rows : pandas.DataFrame
        Scored rows.

    Returns
    -------
    pandas.DataFrame
        With ``kind`` (jitter, enlarge or shift) and ``percent`` of the box's extent. Only objects that were scored
        under every box of a kind: the curve compares the same objects.

    Raises
    ------
    StudyError
        If the tight box or every moved one is missing, or no object was scored under all of them.
    """
    moved = moved_boxes()
    here = set(rows["prompt"])
    if _TIGHT not in here or not here & set(moved):
        raise StudyError(
            f"draw_jitter needs scored rows of the prompt {_TIGHT!r} and of some of {', '.join(moved)}; this table "
            f"has {', '.join(sorted(here))}. Evaluate them too."
        )
    rows = headline(rows)
    parts = []
    for kind in dict.fromkeys(kind for kind, _ in moved.values()):
        percents = {_TIGHT: 0.0} | {name: percent for name, (of, percent) in moved.items() if of == kind}
        part = rows[rows["prompt"].isin(percents)]
        if len(part["prompt"].unique()) > 1:
            parts.append(part.assign(kind=kind, percent=part["prompt"].map(percents)))
    found = pd.concat(parts, ignore_index=True)
    cell = ["series", "kind", "target", "dataset"]
    n_boxes = found.groupby(cell)["percent"].transform("nunique")
    n_seen = found.groupby([*cell, "image_id", "object_id"])["percent"].transform("nunique")
    kept = found[(n_seen == n_boxes) & (n_boxes > 1)]
    if kept.empty:
        raise StudyError("draw_jitter found no object that was scored under the tight and the moved boxes.")
    return kept


def draw_jitter(table: pd.DataFrame, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN) -> Figure:
    """Draw mean Dice over how far the box was moved, in percent of its extent.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table with rows of ``box`` and of ``box_jitter5``, ``box_enlarge10``, ``box_shift20`` and the like.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per target, or per data set where there are more than 18; a line per kind of move with its 95 %
        interval as a band, a line style per model; dashed grey the ellipse in the jittered box. Written in a panel of
        one model: what the widest jitter changes on the same objects.

    Raises
    ------
    StudyError
        If there is nothing to draw, no model beside the baseline, or see :func:`jitter_rows`.
    """
    scored = usable(table, _COLUMNS, "draw_jitter", "dice")
    rows, ellipses = jitter_rows(prompted(scored, "draw_jitter")), baseline(scored)
    kinds = [kind for kind in _WORDS if kind in set(rows["kind"])]
    looks = dict(zip(rows["series"].unique(), palette.LINE_STYLES[::2] * len(rows), strict=False))
    ticks = {percent: f"{percent:g}" for percent in sorted(rows["percent"].unique())}
    panels, _ = panels_of(rows)
    with style():
        figure, axes = facet_axes(
            len(panels), width_in=width_in, panel_height_in=1.6, max_columns=4 if len(panels) > 6 else 3,
            narrow_columns=2 if len(panels) > 4 else 1, sharex=True, sharey=True,
        )  # fmt: skip
        for axis, panel in zip(axes, panels, strict=True):
            draw_baseline(axis, ellipses, panel.rows[panel.rows["kind"] == kinds[0]], "percent")
            for (series, kind), cell in panel.rows.groupby(["series", "kind"], sort=False):
                draw_curve(axis, cell, "percent", _COLOURS[kind], linestyle=looks[series])
            if len(looks) == 1:
                note(axis, _cost(panel, kinds[0]))
            dice_axis(axis, axes, panel.title, ticks, "percent of the box")
        handles = [line_handle(_WORDS[kind], _COLOURS[kind]) for kind in kinds]
        if len(looks) > 1:
            handles += [line_handle(series, palette.BLACK, linestyle=look) for series, look in looks.items()]
        if len(ellipses):
            handles.append(line_handle(f"ellipse, {_WORDS[kinds[0]]}", palette.GREY, linestyle="--"))
        title = f"Mean Dice with boxes that are not tight, {interval_words(rows)}"
        head(figure, title_of(title, rows), handles)
        stamp(figure, table, info_of(dataset))
    return figure


def _cost(panel: Facet, kind: str) -> str:
    rows = panel.rows[panel.rows["kind"] == kind]
    if rows.empty:
        return ""
    means, widest = rows.groupby("percent")["dice"].mean(), rows["percent"].max()
    return f"{kind} of {widest:g} %: {signed(means[widest] - means[0])}"
