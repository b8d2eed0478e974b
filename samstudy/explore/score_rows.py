"""Rows of a score table: filtered, sorted and dealt in pages, fast enough for a hundred thousand of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from samstudy.errors import StudyError, unknown_name

FILTERS = ("dataset", "target", "model", "tuning", "prompt", "mask_choice", "status")


class ScoreRows:
    """A score table behind filters, sorted by one score.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table; may be empty. It is not changed.
    metric : str
        Column to sort by.
    page_size : int
        Rows a page.

    Raises
    ------
    StudyError
        If a column that is filtered or sorted by is missing.
    """

    def __init__(self, table: pd.DataFrame, metric: str = "dice", page_size: int = 15) -> None:
        missing = [name for name in (*FILTERS, metric) if name not in table]
        if missing:
            raise StudyError(f"this is not a score table: the columns {', '.join(missing)} are missing.")
        self.table, self.page_size = table, page_size
        values = table[metric].to_numpy(float)
        # rows without a score (both masks empty, or an error) come last either way
        self._worst_first = np.argsort(values, kind="stable")
        n_scored = int(np.isfinite(values).sum() + np.isinf(values).sum())
        scored, rest = self._worst_first[:n_scored], self._worst_first[n_scored:]
        self._best_first = np.concatenate([scored[::-1], rest])
        self._codes = {name: pd.Categorical(table[name]) for name in FILTERS}
        self._kept = self._worst_first

    def values(self, column: str) -> list[str]:
        """Values of a filter that the table has, in order of name."""
        return [str(value) for value in self._codes[column].categories]

    def select(self, wanted: Mapping[str, str] | None = None, worst_first: bool = True) -> int:
        """Keep the rows with these values and sort them; return how many there are.

        Parameters
        ----------
        wanted : mapping of str to str
            Value by column of :data:`FILTERS`; what is not named is not filtered.
        worst_first : bool
            Lowest score first, else highest.

        Raises
        ------
        StudyError
            If a column or a value is not there.
        """
        keep = np.ones(len(self.table), bool)
        for column, value in (wanted or {}).items():
            if column not in FILTERS:
                raise unknown_name("filter", column, FILTERS)
            if value not in self.values(column):
                raise unknown_name(column, value, self.values(column))
            codes = self._codes[column]
            keep &= codes.codes == codes.categories.get_loc(value)
        order = self._worst_first if worst_first else self._best_first
        self._kept = order[keep[order]]
        return len(self._kept)

    @property
    def n_pages(self) -> int:
        """Number of pages; 1 where nothing is kept."""
        return max(1, -(-len(self._kept) // self.page_size))

    def page(self, number: int) -> pd.DataFrame:
        """Rows of a page, counted from 0; past the last there are none."""
        start = number * self.page_size
        return self.table.iloc[self._kept[start : start + self.page_size]]


def lines(rows: pd.DataFrame, columns: Sequence[tuple[str, int]]) -> list[str]:
    """Write rows as lines of equal columns, for a list in a font of one width.

    Parameters
    ----------
    rows : pandas.DataFrame
    columns : sequence of (str, int)
        Column and its width in characters; longer text is cut in its middle, numbers have three digits.

    Returns
    -------
    list of str
    """
    return [" ".join(_cell(row[name], width) for name, width in columns) for row in rows.to_dict("records")]


def _cell(value: object, width: int) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    if len(text) > width:
        half = (width - 2) // 2
        text = f"{text[: width - 2 - half]}..{text[len(text) - half :]}"
    return text.ljust(width)
