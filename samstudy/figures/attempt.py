"""Draw and save what a table allows, and say in a sentence what it does not: a summary has to run on any profile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from samstudy.errors import StudyError
from samstudy.figures.captions import standard_caption
from samstudy.figures.output import save_figure


def save_or_say(
    draw: Callable[..., Figure],
    stem: str,
    table: pd.DataFrame,
    *more: Any,
    profile: str = "demo",
    dataset: Any = None,
) -> str:
    """Draw a figure of a score table and save it with its caption, or return why it cannot be drawn.

    Parameters
    ----------
    draw : callable
        A figure drawn from a score table, e.g. one of :data:`samstudy.figures.FIGURES`.
    stem : str
        File name without suffix.
    table : pandas.DataFrame
        Score table.
    *more
        What else the figure takes.
    profile, dataset
        As in :func:`samstudy.figures.save_figure`.

    Returns
    -------
    str
        The first sentence of the caption, what is shown; or a sentence that says what is missing.
    """
    try:
        figure = draw(table, *more, dataset=dataset)
    except StudyError as error:
        return f"Not drawn here: {error}"
    shown = _first_line(draw)
    caption = f"{shown} {standard_caption(dataset, table)}"
    save_figure(figure, stem, table=table, profile=profile, dataset=dataset, caption=caption)
    return shown


def _first_line(draw: Callable[..., Figure]) -> str:
    said = (draw.__doc__ or "").strip().split("\n", 1)[0].removeprefix("Draw ")
    return said[:1].upper() + said[1:]
