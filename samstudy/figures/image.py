"""One image, every model and prompt mode of a run side by side: what `samstudy run` leaves to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import DOUBLE_COLUMN_IN, head, shorten, stamp, style
from samstudy.figures.panel import (
    draw_outline,
    draw_prompt,
    draw_scale_bar,
    fill_mask,
    overlay_handles,
    show_image,
)
from samstudy.phantoms import shown_name
from samstudy.types import Prompt, Sample

if TYPE_CHECKING:
    from samstudy.datasets import Dataset
    from samstudy.models import Model

_MOST_PROMPTS_SHOWN = 12
_MOST_COLUMNS = 4
_MODEL = ("model", "weights_sha", "tuning", "shots")


def draw_image(
    dataset: Dataset, table: pd.DataFrame, image_id: str, models: Sequence[Model], seed: int = 0
) -> Figure:
    """Draw all objects of one image, a panel for each model and prompt mode.

    Parameters
    ----------
    dataset : Dataset
        Where the image is.
    table : pandas.DataFrame
        Score table of the run; each mode's headline mask choice is drawn.
    image_id : str
        The image.
    models : sequence of Model
        Those of the table, prepared.
    seed : int
        Base seed of the run, so that the prompts are those that were scored.

    Returns
    -------
    matplotlib.figure.Figure
        Reference outlines, united predictions, and the prompts of at most 12 objects a panel.

    Raises
    ------
    StudyError
        If the image has no scored object.
    """
    from samstudy.replay import predict_sample
    from samstudy.statistics import headline

    rows = headline(table)
    rows = rows[(rows["image_id"] == image_id) & rows["status"].isin(["ok", "pred_empty"])]
    if rows.empty:
        raise StudyError(f"the image {image_id!r} has no scored object to draw.")
    sample = dataset.load(image_id)
    cells = list(rows.groupby([*_MODEL, "prompt"], sort=False))
    n_columns = min(_MOST_COLUMNS, len(cells))
    n_rows = -(-len(cells) // n_columns)
    tall = min(2.0, sample.size_hw[0] / sample.size_hw[1])
    with style():
        panel_in = DOUBLE_COLUMN_IN / max(2, n_columns)
        figure, grid = plt.subplots(
            n_rows,
            n_columns,
            figsize=(panel_in * n_columns, n_rows * (panel_in * tall + 0.25) + 0.15),
            squeeze=False,
        )
        by_row = {tuple(getattr(model, name) for name in ("name", *_MODEL[1:])): model for model in models}
        shown: list[Prompt] = []
        for axis, ((*model, _), cell) in zip(grid.flat, cells, strict=False):
            shown += _draw_cell(
                axis, sample, predict_sample(dataset, by_row[tuple(model)], sample, cell, seed)
            )
            axis.set_title(_cell_title(cell.iloc[0], cell["dice"].mean(), len(cell)))
        for spare in list(grid.flat)[len(cells) :]:
            spare.set_axis_off()
        head(figure, shorten(f"{shown_name(dataset.info.name)}: {image_id}", 80), overlay_handles(shown))
        stamp(figure, rows, dataset.info)
    return figure


def _cell_title(row: pd.Series, dice: float, n_objects: int) -> str:
    tuned = "" if row["tuning"] == "none" else f" {row['tuning']}, {row['shots']} shots"
    return f"{row['model']}{tuned}, {palette.prompt_words(row['prompt'])}\nmean Dice {dice:.2f} (n = {n_objects})"


def _draw_cell(axis: Axes, sample: Sample, drawn: list[tuple[str, Prompt, np.ndarray]]) -> list[Prompt]:
    show_image(axis, sample.image, sample.spacing_mm)
    fill_mask(axis, np.logical_or.reduce([mask for _, _, mask in drawn]), palette.PREDICTION)
    for object_id, _, _ in drawn:
        draw_outline(axis, sample.reference(object_id), palette.REFERENCE, width=0.8)
    prompts = [prompt for _, prompt, _ in drawn][:_MOST_PROMPTS_SHOWN]
    for prompt in prompts:
        draw_prompt(axis, prompt)
    draw_scale_bar(axis, sample.spacing_mm)
    return prompts
