"""What every figure shares: the style, the facets, the head with its legend, and the stamp."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.bootstrap import MIN_GROUPS
from samstudy.cells import OBJECT
from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.paths import PACKAGE_DIR
from samstudy.phantoms import SCENES, kind_of_images, shown_name

STYLE = PACKAGE_DIR / "style.mplstyle"
SINGLE_COLUMN_IN, DOUBLE_COLUMN_IN = 3.5, 7.2
PAGE_HEIGHT_IN = 9.6
_STAMP_SIZE_PT = 6
INTERVALS = "95 % interval over groups"
_FOOT_IN = 0.3
_LEAST_PANEL_IN = 1.1
_LINE_IN = 0.165
_WORDS = {"target": palette.plain, "dataset": shown_name}


class Facet(NamedTuple):
    """One panel's share of a table: its title and its rows."""

    title: str
    rows: pd.DataFrame


@contextmanager
def style() -> Iterator[None]:
    """Apply the study's print style inside the block and nowhere else."""
    with plt.style.context(STYLE):
        yield


def usable(
    table: pd.DataFrame, columns: Sequence[str], figure: str, value: str | None = None
) -> pd.DataFrame:
    """Check that a table can be drawn and return its rows that hold a score.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table.
    columns : sequence of str
        Columns the figure reads.
    figure : str
        Name of the figure, for the error sentence.
    value : str, optional
        Column of the score; rows where it is NaN are left out. Infinite distances stay.

    Returns
    -------
    pandas.DataFrame
        A copy, with ``series`` added: the model's name, and its shots where it was tuned.

    Raises
    ------
    StudyError
        If a column is missing, the table has no row, or no row has a score.
    """
    needed = [*columns, *([value] if value else [])]
    missing = [column for column in needed if column not in table]
    if missing:
        raise StudyError(
            f"{figure} needs the column(s) {', '.join(missing)}, which this table lacks; "
            "give it a score table made by samstudy.evaluate."
        )
    if table.empty:
        raise StudyError(f"{figure} got a table without rows; check the filter or the evaluation before it.")
    rows = table.loc[table[value].notna()].copy() if value else table.copy()
    if rows.empty:
        reasons = table["status"].value_counts().to_dict() if "status" in table else {}
        said = ", ".join(f"{count} {name}" for name, count in reasons.items()) or "no reason recorded"
        raise StudyError(
            f"{figure} has nothing to draw: all {len(table)} values of {value} are NaN ({said})."
        )
    rows["series"] = series_names(rows)
    return rows


def series_names(table: pd.DataFrame) -> pd.Series:
    """Name each row's model, with its method and shots where it was tuned: ``"vit_t (decoder, 5 shots)"``."""
    names = table["model"].astype(str)
    if "tuning" not in table or "shots" not in table:
        return names
    tuned = table["tuning"].fillna("none").astype(str)
    shots = pd.to_numeric(table["shots"], errors="coerce").fillna(0).astype(int).astype(str)
    return names.where(tuned == "none", names + " (" + tuned + ", " + shots + " shots)")


def prompted(rows: pd.DataFrame, figure: str) -> pd.DataFrame:
    """Return the rows of models other than the baseline; StudyError where there are none."""
    kept = rows.loc[rows["model"] != palette.BASELINE]
    if kept.empty:
        raise StudyError(
            f"{figure} needs rows of a model; this table holds the {palette.BASELINE} baseline only. "
            "Evaluate a model beside it."
        )
    return kept


def baseline(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the baseline's rows, one per object and prompt: its mask choices are all the same mask."""
    kept = rows.loc[rows["model"] == palette.BASELINE]
    return kept.drop_duplicates([*OBJECT, "target", "prompt"])


def facets(
    rows: pd.DataFrame, keys: Sequence[str] = ("target", "dataset", "series"), title_length: int = 38
) -> list[Facet]:
    """Split rows into panels, titled by what differs among them and the number of objects.

    Parameters
    ----------
    rows : pandas.DataFrame
        Usable rows, or aggregates with ``n_objects``; order of appearance is the order of the panels.
    keys : sequence of str
        Columns to split by; the first is always in the title, another one where it has several values.
    title_length : int
        Characters after which a title breaks into another line.

    Returns
    -------
    list of Facet
    """
    named = [key for i, key in enumerate(keys) if i == 0 or len(rows[key].unique()) > 1]
    made = []
    for values, group in rows.groupby(list(keys), sort=False, observed=True):
        words = [
            shorten(_WORDS.get(key, str)(v), 30) for key, v in zip(keys, values, strict=True) if key in named
        ]
        aggregated = "n_objects" in group
        n_objects = int(group["n_objects"].max()) if aggregated else len(group.drop_duplicates(OBJECT))
        count = f"(n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{n_objects})"
        made.append(Facet(textwrap.fill(f"{', '.join(words)} {count}", title_length), group))
    return made


def title_of(words: str, rows: pd.DataFrame, columns: Sequence[str] = ("dataset", "series")) -> str:
    """Put before a title the data set and the model, where there is one of them."""
    found = [rows[column].unique() for column in columns]
    names = [
        shorten(_WORDS.get(column, str)(values[0]), 40)
        for column, values in zip(columns, found, strict=True)
        if len(values) == 1
    ]
    return f"{', '.join(names)}: {words}" if names else words


def shrinkage(figure: Figure, axes: Sequence[Axes], panel_height_in: float) -> float:
    """How much smaller than wished the panels had to become to fit a page: a factor from 0.5 to 1."""
    n_rows = axes[0].get_subplotspec().get_gridspec().nrows
    return float(np.clip((figure.get_size_inches()[1] - _FOOT_IN) / (n_rows * panel_height_in), 0.5, 1))


def interval_words(rows: pd.DataFrame) -> str:
    """Say what the intervals of a figure are, or why it has none."""
    if len(rows.drop_duplicates(["dataset", "group_id"])) < MIN_GROUPS:
        return f"no intervals: fewer than {MIN_GROUPS} groups"
    return INTERVALS


def shorten(text: str, length: int) -> str:
    """Cut a long name in its middle, so that both its ends stay readable."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def facet_axes(
    n_panels: int,
    *,
    width_in: float = DOUBLE_COLUMN_IN,
    panel_height_in: float = 1.6,
    max_columns: int = 3,
    narrow_columns: int = 1,
    **shared: Any,
) -> tuple[Figure, list[Axes]]:
    """Make a figure of wrapped panels.

    Parameters
    ----------
    n_panels : int
        Number of panels, at least 1.
    width_in, panel_height_in : float
        Width of the figure and wished height of a panel, in inches; panels shrink to fit a page.
    max_columns, narrow_columns : int
        Most panels side by side at double-column and at single-column width.
    **shared
        ``sharex``, ``sharey`` and the like for ``matplotlib.pyplot.subplots``.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : list of matplotlib.axes.Axes
        ``n_panels`` of them, row by row.
    """
    wide = width_in > (SINGLE_COLUMN_IN + DOUBLE_COLUMN_IN) / 2
    n_columns = min(n_panels, (2 if n_panels == 4 else max_columns) if wide else narrow_columns)
    n_rows = -(-n_panels // n_columns)
    height_in = min(n_rows * panel_height_in + _FOOT_IN, max(PAGE_HEIGHT_IN - 0.6, n_rows * _LEAST_PANEL_IN))
    figure, grid = plt.subplots(n_rows, n_columns, figsize=(width_in, height_in), squeeze=False, **shared)
    axes = list(grid.flat)
    for spare in axes[n_panels:]:
        spare.remove()
    for axis in axes[max(n_panels - n_columns, 0) : n_panels]:
        axis.tick_params(labelbottom=True)
    return figure, axes[:n_panels]


def is_bottom(axis: Axes, axes: Sequence[Axes]) -> bool:
    """Say whether no other panel stands below this one, so that it carries the axis label."""
    return axis in axes[-axis.get_subplotspec().get_gridspec().ncols :]


def head(figure: Figure, title: str, handles: Sequence[Artist] = ()) -> None:
    """Put a title and the legend above the panels and make the figure taller by them."""
    width_in, height_in = figure.get_size_inches()
    widths_in = [0.058 * len(str(handle.get_label())) + 0.42 for handle in handles]
    fitting = width_in // max(widths_in, default=1.0) if sum(widths_in) > width_in else len(handles)
    n_columns = int(np.clip(fitting, 1, max(len(handles), 1)))
    lines = textwrap.wrap(title, int(width_in / 0.068))
    n_lines = -(-len(handles) // n_columns) + 1.15 * len(lines)
    figure.set_size_inches(width_in, height_in + n_lines * _LINE_IN)
    figure.legend(
        handles=list(handles),
        loc="outside upper left",
        ncols=n_columns,
        title="\n".join(lines),
        title_fontsize=9,
        alignment="left",
    )


def stamp(figure: Figure, table: pd.DataFrame, info: Any = None) -> None:
    """Say in small type below the panels that data are drawn or that the model is a demonstration."""
    notes = stamps(table, info)
    if notes:
        n_characters = int(figure.get_size_inches()[0] / 0.05)
        text = textwrap.fill(" · ".join(notes), n_characters)
        figure.supxlabel(text, x=0.995, ha="right", fontsize=_STAMP_SIZE_PT, color=palette.GREY)


def stamps(table: pd.DataFrame | None, info: Any = None) -> list[str]:
    """Return the warnings a figure of this table has to carry.

    Parameters
    ----------
    table : pandas.DataFrame or None
        Score table; the names of its data sets tell which are drawn.
    info : DatasetInfo, optional
        ``synthetic`` marks what is drawn.

    Returns
    -------
    list of str
        Empty for real data and official models.
    """
    kinds, demonstration = _kinds(table, info), palette.DEMONSTRATION_MODEL
    is_demonstration = table is not None and "model" in table and demonstration in set(table["model"])
    notes = []
    if "phantom" in kinds:
        which = "the data sets named PHANTOM are" if len(kinds) > 1 else "PHANTOM:"
        notes.append(f"{which} drawn images, no patients")
    if "drawn" in kinds:
        home = f", of the kind that {demonstration} was pretrained on" if is_demonstration else ""
        notes.append(f"{shown_name(SCENES)}: no photographs{home}")
    if is_demonstration:
        notes.append(f"demonstration model {demonstration}: not the paper's numbers")
    return notes


def is_synthetic(table: pd.DataFrame | None, info: Any = None) -> bool:
    """Say whether any of the data are drawn rather than acquired: by the info, or the table's data set names."""
    return bool(_kinds(table, info) - {"real"})


def _kinds(table: pd.DataFrame | None, info: Any) -> set[str]:
    """Kinds of images by the table's data set names, and by an info that says that they are drawn."""
    names = table["dataset"].unique() if table is not None and "dataset" in table else []
    kinds = {kind_of_images(name) for name in names}
    if getattr(info, "synthetic", False) and not kinds - {"real"}:
        kinds.add("drawn" if info.name == SCENES else "phantom")
    return kinds


def info_of(dataset: Any) -> Any:
    """Return the DatasetInfo of a dataset, of an info itself, or None."""
    return getattr(dataset, "info", dataset)
