"""Which attributes of an object go with its Dice: importance of families beside the correlation of each attribute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.attributes import ATTRIBUTES
from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.calibration import shown_prompts
from samstudy.figures.common import DOUBLE_COLUMN_IN, head, info_of, series_names, stamp, style
from samstudy.figures.marks import draw_interval, marker_handle
from samstudy.importance import attribute_correlations, families, family_importance, with_attributes
from samstudy.statistics import Estimate

_WIDE_IN = 5.0
_FAMILY_WORDS = {"dataset": "data set"}


def draw_importance(
    importance: pd.DataFrame,
    correlations: pd.DataFrame,
    *,
    dataset: Any = None,
    width_in: float = DOUBLE_COLUMN_IN,
) -> Figure:
    """Draw what each family of attributes adds to a prediction of Dice, and how each attribute goes with Dice.

    Parameters
    ----------
    importance : pandas.DataFrame
        From :func:`samstudy.importance.family_importance`; one line of marks per model and prompt.
    correlations : pandas.DataFrame
        From :func:`samstudy.importance.attribute_correlations`, split by data set.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches; the parts are one below the other under 5.

    Returns
    -------
    matplotlib.figure.Figure
        Left, the rise of the error in Dice when the family is shuffled, with its 95 % interval over groups. Right,
        Spearman's correlation of each attribute with Dice, a dot per data set, the line their median.

    Raises
    ------
    StudyError
        If no importance could be judged.
    """
    known = importance[importance["importance"].notna()]
    if known.empty:
        reasons = "; ".join(importance["note"].unique()) if len(importance) else "no cell was given"
        raise StudyError(f"draw_importance has nothing to draw: {reasons}.")
    known, correlations = _named(known), _named(correlations)
    lines = list(known["line"].unique())
    colours = _line_colours(known)
    wide = width_in > _WIDE_IN
    height_in = 0.55 + 0.2 * len(ATTRIBUTES)
    with style():
        figure, axes = plt.subplots(
            *((1, 2) if wide else (2, 1)), figsize=(width_in, height_in * (1 if wide else 2))
        )
        _draw_families(axes[0], known, lines, colours)
        _draw_correlations(axes[1], correlations[correlations["line"].isin(lines)], lines, colours)
        handles = [
            marker_handle(f"{row.line} (mean error {row.error:.2f}, R² {row.r2:.2f})", colours[row.line], "o")
            for row in known.drop_duplicates("line").itertuples()
        ]
        head(figure, "Which attributes tell Dice, judged on groups not learnt from", handles)
        stamp(figure, correlations, info_of(dataset))
    return figure


def draw_importance_of(
    table: pd.DataFrame,
    attributes: pd.DataFrame,
    prompts: Sequence[str] | None = None,
    *,
    dataset: Any = None,
    width_in: float = DOUBLE_COLUMN_IN,
) -> Figure:
    """Draw which attributes of an object tell its Dice, judged on groups that were not learnt from.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table.
    attributes : pandas.DataFrame
        From :func:`samstudy.attributes.measure_table`, of the same data sets.
    prompts : sequence of str, optional
        Modes; by default ``point_center`` and ``box``, as :func:`samstudy.figures.shown_prompts` says.
    dataset, width_in
        As in :func:`draw_importance`.

    Raises
    ------
    StudyError
        As :func:`draw_importance` and :func:`samstudy.importance.with_attributes`.
    """
    rows = table[table["prompt"].isin(shown_prompts(table, prompts))]
    rows = with_attributes(rows, attributes)
    found = family_importance(rows), attribute_correlations(rows)
    return draw_importance(*found, dataset=dataset, width_in=width_in)


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(line=series_names(table) + ": " + table["prompt"].map(palette.prompt_words))


def _line_colours(known: pd.DataFrame) -> dict[str, str]:
    prompts = known.drop_duplicates("line").set_index("line")["prompt"]
    if prompts.is_unique:
        colours = palette.prompt_colours(prompts)
        return {line: colours[prompt] for line, prompt in prompts.items()}
    return dict(zip(prompts.index, palette.CYCLE * len(prompts), strict=False))


def _draw_families(axis: Axes, known: pd.DataFrame, lines: list[str], colours: dict[str, str]) -> None:
    names = [name for name in families() if name in set(known["family"])]
    for row in known.itertuples():
        offset = (lines.index(row.line) + 0.5) / len(lines) - 0.5
        found = Estimate(row.importance, row.ci_low, row.ci_high, "mean", "")
        draw_interval(axis, names.index(row.family) + 0.6 * offset, found, colours[row.line])
    axis.axvline(0, color=palette.GREY, linewidth=0.8, zorder=1)
    axis.set(ylim=(len(names) - 0.5, -0.5), xlabel="rise of the error when shuffled")
    axis.locator_params(axis="x", nbins=4)
    axis.set_yticks(range(len(names)), [_FAMILY_WORDS.get(name, name) for name in names])
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x")
    low, high = axis.get_xlim()
    axis.set_xticks([tick for tick in axis.get_xticks() if low <= tick <= high])
    axis.set_title("families of attributes")


def _draw_correlations(axis: Axes, table: pd.DataFrame, lines: list[str], colours: dict[str, str]) -> None:
    for (line, attribute), cell in table.groupby(["line", "attribute"], sort=False):
        values = cell["spearman"].dropna().to_numpy(float)
        at = list(ATTRIBUTES).index(attribute) + 0.6 * ((lines.index(line) + 0.5) / len(lines) - 0.5)
        axis.plot(values, np.full(len(values), at), ".", color=colours[line], markersize=4, alpha=0.6)
        if len(values):
            axis.plot([np.median(values)] * 2, [at - 0.18, at + 0.18], color=colours[line], linewidth=2)
    axis.axvline(0, color=palette.GREY, linewidth=0.8, zorder=1)
    axis.set(
        xlim=(-1.04, 1.04),
        ylim=(len(ATTRIBUTES) - 0.5, -0.5),
        xlabel="Spearman correlation with Dice\n(dot: a data set, line: their median)",
    )
    axis.set_yticks(range(len(ATTRIBUTES)), [ATTRIBUTES[name].title for name in ATTRIBUTES])
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x")
    axis.set_xticks([-1, -0.5, 0, 0.5, 1])
    axis.set_title("attributes")
