"""Curves of mean Dice over something that can be counted, in panels that still fit a page for many targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from samstudy.figures import palette
from samstudy.figures.common import Facet, facets, is_bottom
from samstudy.statistics import estimate

MOST_PANELS = 18
_TITLE_LENGTH = 26
_LOW_DICE = 0.6


def panels_of(
    rows: pd.DataFrame, more: Sequence[str] = (), most: int = MOST_PANELS
) -> tuple[list[Facet], bool]:
    """Split rows into a panel per target; where they would not fit a page, into a panel per data set.

    Parameters
    ----------
    rows : pandas.DataFrame
        Usable rows.
    more : sequence of str
        Columns to split by besides.
    most : int
        Most panels of a target each.

    Returns
    -------
    panels : list of Facet
    per_target : bool
        Whether each panel is one target's.
    """
    per_target = len(rows.drop_duplicates(["dataset", "target"])) <= most
    keys = ("target", "dataset") if per_target else ("dataset",)
    return facets(rows, (*keys, *more), _TITLE_LENGTH), per_target


def draw_curve(axis: Axes, rows: pd.DataFrame, x: str, colour: str, *, linestyle: str = "-") -> pd.Series:
    """Draw mean Dice at every value of a column, with its interval as a band.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
        Where to draw.
    rows : pandas.DataFrame
        Scored rows of one model; one per object and value of ``x``, or several folds.
    x : str
        Column of numbers.
    colour, linestyle : str
        Look of the line.

    Returns
    -------
    pandas.Series
        Means by ``x``.
    """
    places = sorted(rows[x].unique())
    found = [estimate(rows[rows[x] == place], "dice") for place in places]
    low, high = [e.low for e in found], [e.high for e in found]
    axis.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
    look = {"color": colour, "linestyle": linestyle, "marker": "o", "markersize": 3, "clip_on": False}
    axis.plot(places, [e.value for e in found], zorder=4, **look)
    return pd.Series([e.value for e in found], index=places)


def draw_targets(axis: Axes, rows: pd.DataFrame, x: str, colour: str) -> None:
    """Draw mean Dice of each target as a thin line, behind the mean over them all."""
    for _, cell in rows.groupby("target", sort=False):
        means = cell.groupby(x)["dice"].mean()
        axis.plot(means.index, means, color=colour, linewidth=0.5, alpha=0.55, zorder=2)


def draw_baseline(axis: Axes, ellipses: pd.DataFrame, rows: pd.DataFrame, x: str) -> None:
    """Draw the ellipse's mean Dice on the same objects and prompts as a dashed line; nothing without its rows."""
    keys = ["dataset", "image_id", "object_id", "prompt"]
    same = ellipses.merge(rows[[*keys, x]].drop_duplicates(), on=keys)
    if same.empty:
        return
    means = same.groupby(x)["dice"].mean()
    axis.plot(means.index, means, color=palette.GREY, linestyle="--", linewidth=0.9, zorder=3)


def dice_axis(axis: Axes, axes: Sequence[Axes], title: str, ticks: Mapping[float, str], words: str) -> None:
    """Set up a panel whose y axis is Dice; ``ticks`` are places and texts of the x axis, named by ``words``."""
    axis.set(title=title, ylim=(0, 1.02))
    axis.set_xticks(list(ticks), list(ticks.values()))
    axis.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axis.set_yticks([0.25, 0.75], minor=True)
    axis.grid(axis="y", which="both")
    if axis.get_subplotspec().is_first_col():
        axis.set_ylabel("mean Dice")
    if is_bottom(axis, axes):
        axis.set_xlabel(words)


def note(axis: Axes, text: str) -> None:
    """Write small text into the right of a panel, at the bottom, or at the top where curves stay low."""
    ground = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1}
    low = all(np.nanmax(line.get_ydata(), initial=0.0) < _LOW_DICE for line in axis.lines)
    at = {"y": 0.97, "va": "top"} if low else {"y": 0.03, "va": "bottom"}
    axis.text(0.99, s=text, fontsize=6.5, ha="right", zorder=6, bbox=ground, transform=axis.transAxes, **at)
