"""How often a model returns its target although it was prompted elsewhere: zero-shot beside tuned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from samstudy.bootstrap import MIN_GROUPS
from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    INTERVALS,
    facet_axes,
    head,
    info_of,
    is_bottom,
    shorten,
    stamp,
    style,
    title_of,
    usable,
)
from samstudy.figures.marks import draw_interval, marker_handle
from samstudy.phantoms import shown_name
from samstudy.returned import COLUMNS, most_images, rates
from samstudy.statistics import Estimate

_ROW_IN, _LEAST_ROW_IN = 0.2, 0.13
_MOST_ROWS_IN = 7.5


def draw_sensitivity(
    table: pd.DataFrame, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN
) -> Figure:
    """Draw how often the target comes back when the prompt is moved to where it is not.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`samstudy.sensitivity.run` or :func:`~samstudy.sensitivity.read`. Of the tuned models those of the
        most training images are drawn, repetitions pooled.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per prompt, a row per target (n objects asked, of how many where some had no room): the share zero-shot
        and after tuning with its 95 % interval over groups.

    Raises
    ------
    StudyError
        If the table has no answered row.
    """
    usable(table, COLUMNS, "draw_sensitivity", "dice")
    found = rates(most_images(table))
    found = found[found["n_scores"] + found["n_no_room"] > 0]
    methods = [name for name in found["tuning"].unique() if name != "none"]
    if not methods:
        raise StudyError("draw_sensitivity needs answers of a tuned model; this table has none.")
    looks = {"none": (palette.BLACK, True), methods[0]: (palette.TUNED, False)}
    looks |= {name: (colour, False) for name, colour in zip(methods[1:], palette.CYCLE, strict=False)}
    prompts = palette.prompt_order(found["prompt"])
    rows = list(found[["dataset", "target"]].drop_duplicates().itertuples(index=False, name=None))
    row_in = float(np.clip(_MOST_ROWS_IN / len(rows), _LEAST_ROW_IN, _ROW_IN))
    with style():
        figure, axes = facet_axes(
            len(prompts),
            width_in=width_in,
            panel_height_in=0.55 + row_in * len(rows),
            max_columns=2,
            sharex=True,
        )
        for axis, prompt in zip(axes, prompts, strict=True):
            of_prompt = found[found["prompt"] == prompt]
            for cell in of_prompt.itertuples():
                _draw_rate(axis, rows.index((cell.dataset, cell.target)), cell, looks)
            axis.set_yticks(range(len(rows)), _row_names(of_prompt, rows), fontsize=min(7, row_in * 50))
            axis.set(title=palette.prompt_words(prompt), xlim=(-0.03, 1.03), ylim=(len(rows) - 0.5, -0.5))
            axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            axis.tick_params(axis="y", length=0)
            axis.grid(axis="x")
            if is_bottom(axis, axes):
                axis.set_xlabel("share of answers")
        handles = [
            marker_handle("zero-shot" if name == "none" else f"tuned ({name})", colour, "o", hollow=hollow)
            for name, (colour, hollow) in looks.items()
        ]
        if found["n_no_room"].any():
            note = "n of all objects: those with room elsewhere"
            handles.append(Patch(facecolor="none", edgecolor="none", label=note))
        has_interval = (found["n_groups"] >= MIN_GROUPS).any()
        what = "answers that are the target although the prompt is elsewhere"
        title = title_of(f"{what}{f', {INTERVALS}' if has_interval else ''}", _named(table))
        head(figure, title, handles)
        stamp(figure, table, info_of(dataset))
    return figure


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(series=table["model"])


def _draw_rate(axis: Axes, at: int, cell: Any, looks: dict[str, tuple[str, bool]]) -> None:
    offset = 0.5 * ((list(looks).index(cell.tuning) + 0.5) / len(looks) - 0.5)
    colour, hollow = looks[cell.tuning]
    found = Estimate(cell.rate, cell.ci_low, cell.ci_high, "mean", "")
    draw_interval(axis, at + offset, found, colour, hollow=hollow, size=3.6)


def _row_names(of_prompt: pd.DataFrame, rows: list[tuple[str, str]]) -> list[str]:
    several, names = len({name for name, _ in rows}) > 1, []
    for i, (dataset, target) in enumerate(rows):
        begins = several and (i == 0 or rows[i - 1][0] != dataset)
        asked = of_prompt[(of_prompt["dataset"] == dataset) & (of_prompt["target"] == target)]
        n_asked = int(asked["n_objects"].max()) if len(asked) else 0
        n_all = n_asked + (int(asked["n_no_room"].max()) if len(asked) else 0)
        words = f"{shorten(shown_name(dataset), 20)}: " if begins else ""
        count = (
            f"(n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{n_asked}{'' if n_all == n_asked else f' of {n_all}'})"
        )
        names.append(f"{words}{shorten(palette.plain(target), 18)} {count}")
    return names
