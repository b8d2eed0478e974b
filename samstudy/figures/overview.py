"""One picture of every data set: its median object, or another picked by rule, prompted, labelled and segmented."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import DOUBLE_COLUMN_IN, head, series_names, shorten, stamp, style, usable
from samstudy.figures.overlays import draw_object, pick_objects, scored_rows
from samstudy.figures.panel import overlay_handles
from samstudy.phantoms import shown_name
from samstudy.replay import predict_row

if TYPE_CHECKING:
    from samstudy.datasets import Dataset
    from samstudy.models import Model
    from samstudy.types import Prompt

_N_COLUMNS = 5
_RANKS = {"best": "the best object", "median": "the object of median Dice", "worst": "the worst object"}


def draw_overview(
    datasets: Sequence[Dataset],
    table: pd.DataFrame,
    model: Model,
    prompt: str,
    seed: int = 0,
    *,
    width_in: float = DOUBLE_COLUMN_IN,
) -> Figure:
    """Draw the object of median Dice of every data set.

    Parameters
    ----------
    datasets : sequence of Dataset
        In the order of the panels; one without a scored row of this model and prompt is left out.
    table : pandas.DataFrame
        Score table of them all.
    model : Model
        The model those rows were made with.
    prompt : str
        Prompt mode; masks are those of its headline choice.
    seed : int
        Base seed of the evaluation.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per data set: target and Dice above, image id below. Small objects are magnified.

    Raises
    ------
    StudyError
        If no data set has a scored row, or the rows were made with another base seed.
    """
    return draw_picked(datasets, table, model, prompt, "median", seed, width_in=width_in)


def draw_picked(
    datasets: Sequence[Dataset],
    table: pd.DataFrame,
    model: Model,
    prompt: str,
    rank: str,
    seed: int = 0,
    *,
    width_in: float = DOUBLE_COLUMN_IN,
) -> Figure:
    """Draw of every data set the object of a rank; parameters and errors as :func:`draw_overview`.

    Parameters
    ----------
    rank : {"best", "median", "worst"}
        As :func:`samstudy.figures.pick_objects` has them; a data set of one object shows that.
    """
    usable(table, ["dataset"], "draw_overview", "dice")
    mine = table[(table["model"] == model.name) & (table["prompt"] == prompt)]
    shown = [one for one in datasets if mine.loc[mine["dataset"] == one.info.name, "dice"].notna().any()]
    if not shown:
        raise StudyError(f"draw_overview found no scored row of {model.name!r} with the prompt {prompt!r}.")
    n_columns = min(_N_COLUMNS, len(shown))
    n_rows = -(-len(shown) // n_columns)
    with style():
        figure, grid = plt.subplots(
            n_rows, n_columns, figsize=(width_in, n_rows * (width_in / n_columns + 0.45)), squeeze=False,
            layout="compressed",
        )  # fmt: skip
        prompts = [
            _draw_one(axis, one, table, model, prompt, rank, seed, width_in / n_columns)
            for axis, one in zip(grid.flat, shown, strict=False)
        ]
        for spare in list(grid.flat)[len(shown) :]:
            spare.set_axis_off()
        words = f"{series_names(mine).iloc[0]}, {palette.prompt_words(prompt)}: {_RANKS[rank]} of each set"
        head(figure, words, overlay_handles(prompts))
        stamp(figure, table)
    return figure


def _draw_one(
    axis: Axes,
    dataset: Dataset,
    table: pd.DataFrame,
    model: Model,
    prompt: str,
    rank: str,
    seed: int,
    panel_in: float,
) -> Prompt:
    picked = pick_objects(scored_rows(dataset, table, model, prompt, palette.headline(prompt), seed))
    row = picked.get(rank, next(iter(picked.values())))
    sample, made, mask = predict_row(dataset, model, row, seed)
    draw_object(axis, row, sample, made, mask, panel_in)
    name = shorten(shown_name(dataset.info.name), int(panel_in / 0.065))
    target = shorten(palette.plain(row["target"]), int(panel_in / 0.065) - 5)
    axis.set_title(f"{name}\n{target} {row['dice']:.2f}", pad=2)
    return made
