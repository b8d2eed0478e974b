"""Tables on pages: as small as must be to fit side by side, cut between columns where even that is too wide."""

from __future__ import annotations

from collections.abc import Sequence

from samstudy.supplement.blocks import Table, whole_intervals
from samstudy.supplement.typeset import BOLD, COLUMN_PT, LINE, SANS, Flow, width_pt, wrapped

SIZES_PT = (6.5, 6.0, 5.5)
_GAP_PT, _ROW_GAP_PT = 6.0, 1.5


def set_table(flow: Flow, table: Table) -> None:
    """Set a table; its head is repeated on every page, its key columns in every block of columns."""
    cells = [tuple(whole_intervals(cell) for cell in row) for row in (table.columns, *table.rows)]
    size = next(
        (size for size in SIZES_PT if len(column_blocks(cells, table.n_keys, size)) == 1), SIZES_PT[-1]
    )
    for columns in column_blocks(cells, table.n_keys, size):
        _rows(flow, [[row[i] for i in columns] for row in cells], size)
        flow.skip(6)
    flow.skip(6)


def column_blocks(cells: Sequence[Sequence[str]], n_keys: int, size: float) -> list[list[int]]:
    """Say which columns stand side by side, where a table is wider than the page.

    Parameters
    ----------
    cells : sequence of rows of str
        The first row holds the headings.
    n_keys : int
        Leading columns that every block repeats.
    size : float
        Of the letters, in points.

    Returns
    -------
    list of list of int
        Indices of columns; one block where everything fits.
    """
    least = [_least(column, size) for column in zip(*cells, strict=True)]
    keys, others = list(range(n_keys)), range(n_keys, len(least))
    taken = sum(least[i] + _GAP_PT for i in keys)
    blocks: list[list[int]] = [[]]
    used = taken
    for i in others:
        if blocks[-1] and used + least[i] > COLUMN_PT:
            blocks.append([])
            used = taken
        blocks[-1].append(i)
        used += least[i] + _GAP_PT
    return [keys + block for block in blocks]


def _least(column: Sequence[str], size: float) -> float:
    """Return the width a column needs: its longest word, within bounds."""
    head, *body = (max(cell.split(" "), key=len) for cell in column)
    return min(COLUMN_PT / 4, _widest([head], body, size))


def _widest(heads: Sequence[str], body: Sequence[str], size: float) -> float:
    return max(*(width_pt(text, size, BOLD) for text in heads), *(width_pt(text, size) for text in body), 0.0)


def _widths(cells: Sequence[Sequence[str]], size: float) -> list[float]:
    columns = list(zip(*cells, strict=True))
    least = [_least(column, size) for column in columns]
    more = [max(0.0, _widest(c[:1], c[1:], size) - low) for c, low in zip(columns, least, strict=True)]
    spare = COLUMN_PT - _GAP_PT * (len(columns) - 1) - sum(least)
    share = min(1.0, max(0.0, spare) / sum(more)) if sum(more) else 0.0
    return [low + share * extra for low, extra in zip(least, more, strict=True)]


def _rows(flow: Flow, cells: Sequence[Sequence[str]], size: float) -> None:
    widths = _widths(cells, size)
    starts = [sum(widths[:i]) + _GAP_PT * i for i in range(len(widths))]
    full = sum(widths) + _GAP_PT * (len(widths) - 1)
    fonts = [BOLD, *[SANS] * (len(cells) - 1)]
    # a hair wider, for what summing rounds away
    lines = [
        [wrapped(cell, width + 0.01, size, name) for cell, width in zip(row, widths, strict=True)]
        for row, name in zip(cells, fonts, strict=True)
    ]
    head, *body = lines

    def begin() -> None:
        flow.rule(full, 0.9)
        flow.row(list(zip(starts, head, strict=True)), size, BOLD)
        flow.rule(full)

    flow.need(sum(_height(row, size) for row in lines[:3]) + 12)
    begin()
    for row in body:
        if flow.room < _height(row, size) + 4:
            flow.rule(full, 0.9)
            flow.new_page()
            begin()
        flow.row(list(zip(starts, row, strict=True)), size)
        flow.skip(_ROW_GAP_PT)
    flow.rule(full, 0.9)


def _height(row: Sequence[Sequence[str]], size: float) -> float:
    return max(map(len, row)) * size * LINE + _ROW_GAP_PT
