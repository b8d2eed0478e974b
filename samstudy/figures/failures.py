"""The failures worth looking at: of every data set the object with the lowest Dice, picked by rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from samstudy.figures import palette
from samstudy.figures.common import DOUBLE_COLUMN_IN
from samstudy.figures.overview import draw_picked

if TYPE_CHECKING:
    from samstudy.datasets import Dataset
    from samstudy.models import Model


def draw_failures(
    datasets: Sequence[Dataset],
    table: pd.DataFrame,
    model: Model,
    prompt: str,
    seed: int = 0,
    *,
    width_in: float = DOUBLE_COLUMN_IN,
) -> Figure:
    """Draw the object of lowest Dice of every data set, the lowest of them first.

    Objects of equal Dice go by image_id, then object_id, so nothing is chosen by eye.

    Parameters
    ----------
    datasets : sequence of Dataset
        Any order; one without a scored row of this model and prompt is left out.
    table, model, prompt, seed, width_in
        As in :func:`samstudy.figures.draw_overview`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per data set: target and Dice above, image id below. Small objects are magnified.

    Raises
    ------
    StudyError
        As :func:`samstudy.figures.draw_overview`.
    """
    mine = (table["model"] == model.name) & (table["prompt"] == prompt)
    mine &= table["mask_choice"] == palette.headline(prompt)
    lowest = table[mine].groupby("dataset")["dice"].min()
    ordered = sorted(datasets, key=lambda one: lowest.get(one.info.name, 1.0))
    return draw_picked(ordered, table, model, prompt, "worst", seed, width_in=width_in)
