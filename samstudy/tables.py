"""Aggregates as text and as files: CSV with every digit, Markdown and LaTeX to be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from samstudy.cells import cells
from samstudy.errors import StudyError, unknown_name
from samstudy.metrics import METRICS
from samstudy.paths import written_whole
from samstudy.phantoms import shown_name
from samstudy.provenance import record_output

_NO_VALUE = "–"
_COUNTS = {"n_objects": "n", "n_groups": "groups", "n_left_out": "left out"}
_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "_%&#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"∞": r"$\infty$", ">": "$>$", "–": "--", "−": "$-$"}
)


def format_cell(value: float, low: float = np.nan, high: float = np.nan, digits: int = 2) -> str:
    """Write a number with its interval: ``"0.87 [0.84, 0.90]"``.

    Parameters
    ----------
    value, low, high : float
        NaN bounds: no interval is written. NaN value: a dash. Infinite: ∞.
    digits : int
        Decimals.
    """
    if np.isnan(value):
        return _NO_VALUE
    text = _number(value, digits)
    return (
        text if np.isnan([low, high]).any() else f"{text} [{_number(low, digits)}, {_number(high, digits)}]"
    )


def _number(value: float, digits: int) -> str:
    text = "∞" if np.isinf(value) else f"{abs(value):.{digits}f}"
    is_negative = value < 0 and float(text.replace("∞", "inf")) != 0
    return f"−{text}" if is_negative else text


def format_table(
    summary: pd.DataFrame,
    rows: Sequence[str],
    columns: str | None = None,
    value: str | None = None,
    digits: int = 2,
    most: str | None = None,
) -> pd.DataFrame:
    """Lay aggregates out as a table to be read.

    Parameters
    ----------
    summary : pandas.DataFrame
        From :func:`samstudy.statistics.summarise`, :func:`~samstudy.statistics.skill` or
        :func:`~samstudy.statistics.paired_gain`.
    rows : sequence of str
        Columns that name a row of the result.
    columns : str, optional
        Column whose values become columns (``"prompt"``); None: one column of numbers.
    value : str, optional
        Column to write beside ``ci_low`` and ``ci_high``: ``"skill"``, ``"gain"``. By default the mean or
        median that ``statistic`` names.
    digits : int
        Decimals.
    most : str, optional
        Column of the largest number that was looked for; an infinite one is written as more than that.

    Returns
    -------
    pandas.DataFrame
        Text: ``rows``; cells such as ``"0.87 [0.84, 0.90]"`` under the values of ``columns`` or under the
        metric's title; ``n`` objects, ``groups`` and scores ``left out`` (``"12–40"`` where a row's cells
        differ). A cell that was not evaluated is a dash.

    Raises
    ------
    StudyError
        If a column is unknown, or two aggregates would fall into one cell.
    """
    keys = [*rows, *([columns] if columns else [])]
    for name in [*keys, *filter(None, [value, most])]:
        if name not in summary:
            raise unknown_name("column", name, map(str, summary.columns))
    if summary.duplicated(keys).any():
        raise StudyError(
            f"several aggregates fall into one cell of a table by {', '.join(keys)}; name the column that "
            "tells them apart, or filter first."
        )
    summary = summary.reset_index(drop=True)
    if "dataset" in summary:
        summary["dataset"] = summary["dataset"].map(shown_name)
    shown = (
        summary[value] if value else summary["mean"].where(summary["statistic"] == "mean", summary["median"])
    )
    headings = summary[columns].astype(str) if columns else pd.Series(_heading(summary, value), summary.index)
    empty = dict.fromkeys(headings, _NO_VALUE)
    lines = []
    for key, of_row in cells(summary, rows):
        numbers = zip(shown[of_row.index], of_row["ci_low"], of_row["ci_high"], strict=True)
        texts = [format_cell(*number, digits=digits) for number in numbers]
        if most:
            texts = [
                text.replace("∞", f"> {n:g}")
                for text, n in zip(texts, of_row[most].astype(float), strict=True)
            ]
        stands_on = {heading: _range(of_row[name]) for name, heading in _COUNTS.items()}
        lines.append(key | empty | dict(zip(headings[of_row.index], texts, strict=True)) | stands_on)
    return pd.DataFrame(lines)


def _heading(summary: pd.DataFrame, value: str | None) -> str:
    title = METRICS[summary["metric"].iloc[0]].title
    return f"{title} {value or summary['statistic'].iloc[0]} [95 % interval]"


def _range(counts: pd.Series) -> str:
    low, high = counts.min(), counts.max()
    return str(low) if low == high else f"{low}–{high}"


def write_tables(
    summary: pd.DataFrame,
    stem_path: str | Path,
    rows: Sequence[str],
    columns: str | None = None,
    value: str | None = None,
    digits: int = 2,
    caption: str = "",
    most: str | None = None,
) -> list[Path]:
    """Write aggregates as ``<stem>.csv``, ``<stem>.md`` and ``<stem>.tex``.

    Parameters
    ----------
    summary : pandas.DataFrame
        Aggregates; the CSV holds them all with full precision, so that every printed number can be traced.
    stem_path : str or pathlib.Path
        Path without suffix.
    rows, columns, value, digits, most
        Layout of the Markdown and LaTeX tables; see :func:`format_table`.
    caption : str
        Sentence below the Markdown table and in the LaTeX float.

    Returns
    -------
    list of pathlib.Path
        The three files. The LaTeX needs the package booktabs; its label is ``tab:<stem>``.

    Raises
    ------
    StudyError
        As :func:`format_table`, or if the folder cannot be written.
    """
    stem_path = Path(stem_path)
    text = format_table(summary, rows, columns, value, digits, most)
    contents = {
        ".csv": summary.to_csv(index=False),
        ".md": text.to_markdown(index=False, disable_numparse=True)
        + (f"\n\n{caption}\n" if caption else "\n"),
        ".tex": _latex(text, len(rows), caption, f"tab:{stem_path.name}"),
    }
    paths = []
    for suffix, content in contents.items():
        path = stem_path.with_name(stem_path.name + suffix)
        with written_whole(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
        record_output(path)
        paths.append(path)
    return paths


def _latex(text: pd.DataFrame, n_keys: int, caption: str, label: str) -> str:
    table = text.rename(columns=_escaped).map(_escaped)
    return table.to_latex(
        index=False,
        escape=False,
        column_format="l" * n_keys + "r" * (len(table.columns) - n_keys),
        caption=_escaped(caption) or None,
        label=label,
    )


def _escaped(value: object) -> str:
    return str(value).translate(_LATEX)
