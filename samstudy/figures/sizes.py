"""How large the objects of a data set are: measured from the masks, drawn one line an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import DOUBLE_COLUMN_IN, head, info_of, shorten, stamp, style
from samstudy.phantoms import shown_name
from samstudy.types import target_of

if TYPE_CHECKING:
    from samstudy.datasets import Dataset

_COLUMNS = ["image_id", "object_id", "target", "pixels", "percent"]


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
        Logarithmic axis in percent; a thin line is an object, the shape their density, the thick line the median.

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
        sns.violinplot(
            sizes, x="percent", y="target", log_scale=True, ax=axis, color=palette.SKY, cut=0, inner="stick",
            density_norm="width", linewidth=0.4,
        )  # fmt: skip
        medians = sizes.groupby("target", sort=False)["percent"].median()
        rows = range(len(targets))
        axis.vlines(
            medians, [r - 0.42 for r in rows], [r + 0.42 for r in rows], color=palette.BLACK, linewidth=1.6
        )
        names = [shorten(palette.plain(target), 24) for target in targets]
        axis.set_yticks(rows, names)
        axis.set(xscale="log", xlabel="percent of the image", ylabel="", ylim=(len(targets) - 0.5, -0.5))
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        title = f"Size of each of {len(sizes)} objects, median marked"
        head(figure, ", ".join([title, *([shown_name(info.name)] if info is not None else [])]))
        stamp(figure, None, info)
    return figure
