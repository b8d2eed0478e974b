"""What a decoder tuned on one data set gains and loses on the others: a matrix of paired changes in Dice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import (
    DOUBLE_COLUMN_IN,
    PAGE_HEIGHT_IN,
    SINGLE_COLUMN_IN,
    head,
    info_of,
    shorten,
    stamp,
    style,
)
from samstudy.figures.marks import signed
from samstudy.phantoms import shown_name
from samstudy.transferred import transfer_gains

_ROOM_IN = PAGE_HEIGHT_IN - 2.2
_ROW_IN, _LEAST_ROW_IN = 0.24, 0.11
_APART = 0.4
_DECIMALS_IN, _HUNDREDTHS_IN = 0.34, 0.19
_DARK_FROM = 0.62
_LEAST_LIMIT, _MOST_LIMIT = 0.1, 0.5


def draw_transfer(table: pd.DataFrame, *, dataset: Any = None, width_in: float = DOUBLE_COLUMN_IN) -> Figure:
    """Draw the change in Dice that a decoder tuned on one data set makes on each of the others.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`samstudy.transfer.run` or :func:`~samstudy.transfer.read`.
    dataset : Dataset or DatasetInfo, optional
        To stamp phantoms.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per prompt, in it a row per tuned decoder (data set, target and number of training images) and a column
        per data set (n objects, all targets). In a cell the mean paired change, after minus before, as a number where
        there is room; bold where its 95 % interval over groups leaves out 0. Framed: the decoder's own target on its
        own data set. Apart at the right: general-domain images, where a loss is what was forgotten.

    Raises
    ------
    StudyError
        If the table lacks a column, or base and tuned models share no scored object.
    """
    cells = transfer_gains(table)
    cells = cells[cells["gain"].notna()]
    if cells.empty:
        raise StudyError("draw_transfer has nothing to draw: no object has a Dice before and after.")
    shots = table[table["tuned_on"] != ""].groupby(["tuned_on", "tuned_target"])["shots"].max()
    rows = list(cells[["tuned_on", "tuned_target"]].drop_duplicates().itertuples(index=False, name=None))
    prompts, columns = palette.prompt_order(cells["prompt"]), _columns(cells)
    row_in = float(np.clip(_ROOM_IN / (len(rows) * len(prompts)), _LEAST_ROW_IN, _ROW_IN))
    largest = cells["gain"].abs().max()
    scale = Normalize(*np.array([-1, 1]) * np.clip(np.ceil(20 * largest) / 20, _LEAST_LIMIT, _MOST_LIMIT))
    colours = ScalarMappable(scale, plt.get_cmap("RdBu"))
    wide = width_in > (SINGLE_COLUMN_IN + DOUBLE_COLUMN_IN) / 2
    cell_in = (width_in - (2.7 if wide else 2.1)) / len(columns)
    with style():
        size_in = (width_in, len(prompts) * (0.3 + row_in * len(rows)) + (1.25 if wide else 1.7))
        figure, grid = plt.subplots(len(prompts), 1, figsize=size_in, sharex=True, squeeze=False)
        for axis, prompt in zip(grid.flat, prompts, strict=True):
            for cell in cells[cells["prompt"] == prompt].itertuples():
                place = columns[cell.dataset], rows.index((cell.tuned_on, cell.tuned_target))
                _draw_cell(axis, place, cell, colours, cell_in)
            _label_rows(axis, rows, shots, row_in, 40 if wide else 24)
            axis.set(title=palette.prompt_words(prompt), xlim=(-0.5, max(columns.values()) + 0.5))
        _label_columns(grid[-1, 0], cells, columns, 35 if wide else 90)
        beyond = "both" if largest > scale.vmax else "neither"
        bar = figure.colorbar(colours, ax=list(grid.flat), aspect=25, pad=0.02, fraction=0.03, extend=beyond)
        bar.set_ticks(
            [scale.vmin, 0, scale.vmax], labels=[_number(scale.vmin, 1), "0", _number(scale.vmax, 1)]
        )
        number = _number(0.1, cell_in)
        handles = [
            Patch(facecolor="white", edgecolor="black", linewidth=1.1, label="own target of own data set")
        ]
        if number:
            bold = "bold: 95 % interval over groups without 0"
            handles.append(Patch(facecolor="none", edgecolor="none", label=bold))
        unit = ", in hundredths" if number == "+10" else ""
        title = (
            f"Change in Dice{unit}: decoders tuned on (row; training images), tried on (column; n objects)"
        )
        head(figure, title, handles)
        stamp(figure, table, info_of(dataset))
    return figure


def _columns(cells: pd.DataFrame) -> dict[str, float]:
    """Place of each data set on the x axis: general-domain ones last and apart."""
    is_general = cells["trial"] == "general"
    shown, general = (list(cells.loc[which, "dataset"].unique()) for which in (~is_general, is_general))
    medical = list(dict.fromkeys([*(name for name in cells["tuned_on"].unique() if name in shown), *shown]))
    places = {name: float(i) for i, name in enumerate(medical)}
    apart = len(medical) + (_APART if medical else 0)
    return places | {name: apart + i for i, name in enumerate(general)}


def _draw_cell(
    axis: Axes, place: tuple[float, int], cell: Any, colours: ScalarMappable, cell_in: float
) -> None:
    column, row = place
    frame = {"edgecolor": "white", "linewidth": 0.6}
    if cell.trial == "own":
        frame = {"edgecolor": "black", "linewidth": 1.1, "zorder": 3}
    square = Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colours.to_rgba(cell.gain), **frame)
    square.set_clip_on(False)
    axis.add_patch(square)
    leaves_out_0 = cell.ci_low > 0 or cell.ci_high < 0
    look = {"ha": "center", "va": "center", "fontsize": 6, "zorder": 4}
    look["color"] = "white" if abs(cell.gain) > _DARK_FROM * colours.norm.vmax else "black"
    axis.text(
        column, row, _number(cell.gain, cell_in), fontweight="bold" if leaves_out_0 else "normal", **look
    )


def _number(gain: float, cell_in: float) -> str:
    """Write a change as wide as a cell allows: with two decimals, in hundredths, or not at all."""
    if cell_in >= _DECIMALS_IN:
        return signed(gain).replace("-", "\N{MINUS SIGN}")
    hundredths = f"{round(100 * gain):+d}".replace("-", "\N{MINUS SIGN}")
    return hundredths if cell_in >= _HUNDREDTHS_IN else ""


def _label_rows(
    axis: Axes, rows: list[tuple[str, str]], shots: Mapping[tuple[str, str], int], row_in: float, length: int
) -> None:
    names = []
    for i, (name, target) in enumerate(rows):
        begins = i == 0 or rows[i - 1][0] != name
        if begins and i:
            axis.axhline(i - 0.5, color="black", linewidth=0.6)
        words = f"{shown_name(name)}: {palette.plain(target)}" if begins else palette.plain(target)
        names.append(f"{shorten(words, length)} ({shots[name, target]})")
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_yticks(range(len(rows)), names, fontsize=float(np.clip(row_in * 45, 6, 7)))
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _label_columns(axis: Axes, cells: pd.DataFrame, columns: Mapping[str, float], rotation: int) -> None:
    # a decoder's own data set is asked about its own target alone: the others say how many objects there are
    elsewhere = cells[cells["trial"] != "own"].groupby("dataset")["n_objects"].max()
    counts = elsewhere.combine_first(cells.groupby("dataset")["n_objects"].max())
    names = [
        f"{shorten(shown_name(name), 24)} (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{counts[name]})"
        for name in columns
    ]
    look = {"rotation": rotation, "ha": "right", "rotation_mode": "anchor", "fontsize": 6.5}
    if rotation == 90:
        look["va"] = "center"
    axis.set_xticks(list(columns.values()), names, **look)
    axis.tick_params(axis="x", length=0, labelbottom=True)
