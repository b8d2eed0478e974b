"""Distributions of a score per target, prompt and mask choice; and what the choice of the mask is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from samstudy.bootstrap import quantile
from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    baseline,
    facet_axes,
    facets,
    head,
    info_of,
    interval_words,
    prompted,
    shrinkage,
    stamp,
    style,
    title_of,
    usable,
)
from samstudy.figures.curves import panels_of
from samstudy.figures.marks import (
    draw_distribution,
    draw_interval,
    limits,
    marker_handle,
    mask_choice_handles,
    prompt_axis,
    shown,
    signed,
)
from samstudy.metrics import METRICS
from samstudy.statistics import estimate, headline
from samstudy.types import MASK_CHOICES

_COLUMNS = (
    "dataset",
    "target",
    "image_id",
    "object_id",
    "group_id",
    "model",
    "prompt",
    "mask_choice",
    "iou_pred",
)
_BAND = 0.86
_BASELINE_BAND = "#DDDDDD"


def draw_scores(
    table: pd.DataFrame, metric: str = "dice", *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN
) -> Figure:
    """Draw every object's score, per target, prompt and mask choice, beside the ellipse baseline.

    Each distribution is points (one an object), a 5-95 % line, an interquartile bar and the median; the headline
    choice's median is a diamond. The grey band and line are the baseline's quartiles and median.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table. Rows without a score are left out; infinite distances are arrows at the right edge.
    metric : str
        A name in :data:`samstudy.metrics.METRICS`.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches: 7.2 for two columns of a journal, 3.5 for one.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per target (and data set and model, where there are several), n in its title.

    Raises
    ------
    StudyError
        If the metric is unknown, there is nothing to draw, or no model beside the baseline.
    """
    words = palette.metric_words(metric, table)
    rows = usable(table, _COLUMNS, "draw_scores", metric)
    scored, ellipses = prompted(rows, "draw_scores"), baseline(rows)
    prompts, choices, panels = palette.prompt_order(scored["prompt"]), _choices(scored), facets(scored)
    height_in = 0.45 + len(prompts) * max(0.1 * len(choices), 0.16)
    with style():
        figure, axes = facet_axes(len(panels), width_in=width_in, panel_height_in=height_in, sharey=True)
        scale = shrinkage(figure, axes, height_in)
        for axis, panel in zip(axes, panels, strict=True):
            mine = _beside(ellipses, panel.rows)
            limit = limits(np.concatenate([panel.rows[metric], mine[metric]]), metric)
            for i, prompt in enumerate(prompts):
                _baseline_band(axis, i, mine.loc[mine["prompt"] == prompt, metric].to_numpy(float), limit)
            for at, choice, cell, is_headline in _cells(panel.rows, prompts, choices):
                values, colour = cell[metric].to_numpy(float), palette.mask_choice_colour(choice)
                look = {
                    "height": _BAND / len(choices),
                    "limit": limit,
                    "headline": is_headline,
                    "scale": scale,
                }
                draw_distribution(axis, at, values, colour, **look)
            prompt_axis(axis, axes, panel.title, prompts, limit, words)
        head(figure, title_of(f"{words} of each object", scored), _score_handles(choices, rows, metric))
        stamp(figure, table, info_of(dataset))
    return figure


def draw_mask_choice(
    table: pd.DataFrame, metric: str = "dice", *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN
) -> Figure:
    """Draw the mean score of each mask choice per prompt, and how far the oracle is from the headline choice.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table.
    metric : str
        A name in :data:`samstudy.metrics.METRICS`; distances are described by their median.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per target, or per data set where there are more than 18 targets; 95 % bootstrap intervals over groups;
        at the right, oracle minus headline.

    Raises
    ------
    StudyError
        If the metric is unknown, there is nothing to draw, or no model beside the baseline.
    """
    words = f"{METRICS[metric].statistic} {palette.metric_words(metric, table)}"
    scored = prompted(usable(table, _COLUMNS, "draw_mask_choice", metric), "draw_mask_choice")
    prompts, choices = palette.prompt_order(scored["prompt"]), _choices(scored)
    panels, _ = panels_of(scored, ("series",))
    with style():
        figure, axes = facet_axes(
            len(panels), width_in=width_in, panel_height_in=0.5 + 0.3 * len(prompts), sharey=True
        )
        for axis, panel in zip(axes, panels, strict=True):
            means: dict[str, dict[str, float]] = {prompt: {} for prompt in prompts}
            for at, choice, cell, is_headline in _cells(panel.rows, prompts, choices):
                found = estimate(cell, metric)
                means[cell["prompt"].iloc[0]] |= {choice: found.value} | (
                    {"": found.value} if is_headline else {}
                )
                look = {"marker": "D" if is_headline else "o", "hollow": choice == palette.ORACLE}
                draw_interval(axis, at, found, palette.mask_choice_colour(choice), **look)
            for i, prompt in enumerate(prompts):
                _gain(axis, i, means[prompt].get(palette.ORACLE, np.nan) - means[prompt].get("", np.nan))
            prompt_axis(
                axis, axes, panel.title, prompts, limits(panel.rows[metric].to_numpy(float), metric), words
            )
        title = f"{words[0].upper()}{words[1:]}, {interval_words(scored)}; right: oracle minus headline"
        head(figure, title_of(title, scored), _mean_handles(choices))
        stamp(figure, table, info_of(dataset))
    return figure


def _choices(scored: pd.DataFrame) -> list[str]:
    present = set(scored["mask_choice"])
    return [choice for choice in MASK_CHOICES if choice in present]


def _cells(
    rows: pd.DataFrame, prompts: Sequence[str], choices: Sequence[str]
) -> Iterator[tuple[float, str, pd.DataFrame, bool]]:
    """Yield position, mask choice, rows and whether it is the headline, of every cell that has rows."""
    step = _BAND / len(choices)
    headlines = set(headline(rows).index)
    for i, prompt in enumerate(prompts):
        for j, choice in enumerate(choices):
            cell = rows[(rows["prompt"] == prompt) & (rows["mask_choice"] == choice)]
            if len(cell):
                yield i + (j + 0.5) * step - _BAND / 2, choice, cell, cell.index[0] in headlines


def _beside(ellipses: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    first = rows.iloc[0]
    return ellipses[(ellipses["dataset"] == first["dataset"]) & (ellipses["target"] == first["target"])]


def _baseline_band(axis: Axes, position: float, values: np.ndarray, limit: tuple[float, float]) -> None:
    if not len(values):
        return
    lower, median, upper = (float(shown(quantile(values, level), limit)) for level in (0.25, 0.5, 0.75))
    low = position - _BAND / 2
    axis.add_patch(
        Rectangle((lower, low), upper - lower, _BAND, facecolor=_BASELINE_BAND, linewidth=0, zorder=1)
    )
    line = {"color": palette.GREY, "linewidth": 1.1, "solid_capstyle": "butt"}
    axis.plot([median] * 2, [low, low + _BAND], zorder=1.5, **line)


def _gain(axis: Axes, position: float, gain: float) -> None:
    if np.isfinite(gain):
        place = {"transform": axis.get_yaxis_transform(), "ha": "left", "va": "center"}
        axis.text(1.03, position, signed(gain), fontsize=7, color=palette.ORACLE_TEXT, **place)


def _score_handles(choices: Sequence[str], rows: pd.DataFrame, metric: str) -> list[Patch | Line2D]:
    handles = [*mask_choice_handles(choices), marker_handle("headline choice", "white", "D", edge="black")]
    if len(baseline(rows)):
        handles.append(Patch(facecolor=_BASELINE_BAND, edgecolor=palette.GREY, label=palette.BASELINE_WORDS))
    if np.isinf(rows[metric]).any():
        handles.append(marker_handle("infinite: an empty mask", palette.BLACK, ">"))
    return handles


def _mean_handles(choices: Sequence[str]) -> list[Line2D]:
    marks = [
        marker_handle(
            palette.MASK_CHOICE_WORDS[choice],
            palette.mask_choice_colour(choice),
            "o",
            hollow=choice == palette.ORACLE,
        )
        for choice in choices
    ]
    return [*marks, marker_handle("headline choice", "white", "D", edge="black")]
