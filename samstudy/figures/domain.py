"""The map of the data sets as the image encoder sees them, and how well they are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import DOUBLE_COLUMN_IN, head, info_of, shorten, stamp, style
from samstudy.figures.marks import marker_handle
from samstudy.phantoms import PREFIX, shown_name

if TYPE_CHECKING:
    from samstudy.datasets import Dataset
    from samstudy.domain import Separability
    from samstudy.models import SamModel

_MARKERS = ("o", "s", "^", "D", "v")
_WIDE_IN = 5.0


def draw_domain(
    plane: pd.DataFrame, found: Separability, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN
) -> Figure:
    """Draw the map of the images' embeddings beside the confusion of the data sets.

    Parameters
    ----------
    plane : pandas.DataFrame
        From :func:`samstudy.domain.embedding_map`.
    found : Separability
        From :func:`samstudy.domain.separability`, of the same images.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches; the parts are one below the other under 5.

    Returns
    -------
    matplotlib.figure.Figure
        Left, a mark per image; right, the share of each data set's images (row) taken for each data set (column) by a
        classifier that saw none of their groups, with the balanced accuracy and its 95 % interval above.

    Raises
    ------
    StudyError
        If the map has no image.
    """
    if plane.empty:
        raise StudyError(
            "draw_domain needs a map with at least one image; see samstudy.domain.embedding_map."
        )
    names = list(dict.fromkeys([*found.datasets, *plane["dataset"]]))
    wide = width_in > _WIDE_IN
    size_in = (width_in, 3.3) if wide else (width_in, 2 * width_in)
    with style():
        figure, axes = plt.subplots(*((1, 2) if wide else (2, 1)), figsize=size_in)
        handles = [_draw_images(axes[0], plane, name, i) for i, name in enumerate(names)]
        axes[0].set(xticks=[], yticks=[], xlabel="t-SNE 1", ylabel="t-SNE 2", title="each mark an image")
        axes[0].set_aspect("equal", adjustable="datalim")
        _draw_confusion(axes[1], found, " " if wide else "\n")
        models = ", ".join(plane["model"].unique())
        title = f"Image embeddings of {models}: {len(plane)} images of {len(names)} data sets"
        head(figure, title, handles)
        stamp(figure, plane, info_of(dataset))
    return figure


def draw_domain_of(
    table: pd.DataFrame,
    datasets: Sequence[Dataset],
    model: SamModel,
    seed: int = 0,
    *,
    dataset: Any = None,
    width_in: float = DOUBLE_COLUMN_IN,
) -> Figure:
    """Draw how the image encoder maps the images of all data sets, and how well it tells the data sets apart.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table; its images are embedded.
    datasets : sequence of Dataset
        Where they are, the general-domain control among them where there is one.
    model : SamModel
        Its encoder is used; embeddings come from the cache where an evaluation left them.
    seed : int
        Of the map.
    dataset, width_in
        As in :func:`draw_domain`.

    Raises
    ------
    StudyError
        If there is nothing to map or to tell apart: fewer than 4 images, or than 2 data sets of two groups.
    """
    # with it comes torch, which no other figure needs
    from samstudy.domain import embedding_map, pooled_embeddings, separability

    seen = {str(name): list(ids.unique()) for name, ids in table.groupby("dataset", sort=False)["image_id"]}
    pooled = pooled_embeddings(datasets, model, seen, progress=False)
    found = separability(pooled, seed)
    return draw_domain(embedding_map(pooled, seed), found, dataset=dataset, width_in=width_in)


def _draw_images(axis: Axes, plane: pd.DataFrame, name: str, index: int) -> Any:
    colour = palette.CYCLE[index % len(palette.CYCLE)]
    marker = _MARKERS[index % len(_MARKERS)]
    mine = plane[plane["dataset"] == name]
    axis.scatter(mine["x"], mine["y"], s=13, color=colour, marker=marker, linewidths=0.3, edgecolors="black")
    return marker_handle(f"{shorten(shown_name(name), 24)} ({len(mine)})", colour, marker)


def _draw_confusion(axis: Axes, found: Separability, gap: str) -> None:
    names = [shorten(str(name).removeprefix(PREFIX), 16) for name in found.datasets]
    axis.imshow(found.recall, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(found.recall > 0):
        value = found.recall[row, column]
        ink = "white" if value < 0.55 else "black"
        axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6, color=ink)
    axis.set_yticks(range(len(names)), names)
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    interval = f" [{found.low:.2f}, {found.high:.2f}]" if np.isfinite([found.low, found.high]).all() else ""
    axis.set(ylabel="data set", xlabel="taken for (unseen groups)")
    accuracy = f"balanced accuracy {found.balanced_accuracy:.2f}{interval},"
    axis.set_title(f"{accuracy}{gap}chance {1 / len(names):.2f}")
