"""How large the objects of a data set are: measured from the masks, drawn one point an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import DOUBLE_COLUMN_IN, head, info_of, shorten, stamp, style
from samstudy.types import target_of

if TYPE_CHECKING:
    from samstudy.datasets import Dataset

_COLUMNS = ["image_id", "object_id", "target", "pixels", "percent"]
_MOST_SPREAD = 0.32


def object_sizes(dataset: Dataset, ids: Sequence[str]) -> pd.DataFrame:
    """Measure every object of some images.

    Parameters
    ----------
    dataset : Dataset
        Where the images are.
    ids : sequence of str
        image_id of each image; none give an empty table.

    Returns
    -------
    pandas.DataFrame
        Columns ``image_id, object_id, target, pixels, percent``, the last of all pixels of the image. Empty
        masks have no row.

    Raises
    ------
    DataError
        If an image cannot be read.
    """
    rows = [
        (sample.image_id, label, target_of(label), int(mask.sum()), 100 * float(mask.mean()))
        for sample in map(dataset.load, ids)
        for label, mask in sample.labels.items()
        if mask.any()
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def draw_sizes(sizes: pd.DataFrame, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN) -> Figure:
    """Draw the share of the image that each object covers, a row per target.

    Parameters
    ----------
    sizes : pandas.DataFrame
        From :func:`object_sizes`.
    dataset : Dataset or DatasetInfo, optional
        For the title and to stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        Logarithmic axis in percent; a point is an object, the black line the median of its target.

    Raises
    ------
    StudyError
        If there is no object.
    """
    if sizes.empty:
        raise StudyError("draw_sizes needs at least one object; the masks of these images are all empty.")
    targets, info = list(sizes["target"].unique()), info_of(dataset)
    with style():
        figure, axis = plt.subplots(figsize=(width_in, 0.8 + 0.4 * len(targets)))
        for i, target in enumerate(targets):
            percent = np.sort(sizes.loc[sizes["target"] == target, "percent"].to_numpy())
            axis.plot(percent, i + _spread(len(percent)), ".", color=palette.BLUE, markersize=3, alpha=0.6)
            axis.vlines(np.median(percent), i - 0.4, i + 0.4, color=palette.BLACK, linewidth=1.4)
        names = [shorten(palette.plain(target), 24) for target in targets]
        axis.set_yticks(range(len(targets)), names)
        axis.set(xscale="log", xlabel="percent of the image", ylim=(len(targets) - 0.5, -0.5))
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        title = f"Size of each of {len(sizes)} objects, median marked"
        head(figure, ", ".join([title, *([info.name] if info is not None else [])]))
        stamp(figure, None, info)
    return figure


def _spread(count: int) -> np.ndarray:
    """Vertical places that keep neighbours in size apart, the same on every run."""
    golden = 0.618034 * np.arange(count) % 1
    return (2 * golden - 1) * _MOST_SPREAD
