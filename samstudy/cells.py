"""A cell of the study grid: its rows, what it stands on, what was left out, what is never mixed in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from samstudy.errors import StudyError, unknown_name
from samstudy.metrics import METRICS

OBJECT = ["dataset", "image_id", "object_id"]
"""Columns that together name one object."""

_NEVER_POOLED = ("model", "tuning", "shots", "prompt", "mask_choice")
_WITH_LENGTHS = ("distance_unit", "nsd_tolerance")

Row = dict[str, Any]


def needs(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise a StudyError if a table has no rows or lacks a column; near misses are offered."""
    for column in columns:
        if column not in table:
            raise unknown_name("column", column, map(str, table.columns))
    if table.empty:
        raise StudyError("the score table has no rows; check the filter or the evaluation before it.")


def cells(table: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[Row, pd.DataFrame]]:
    """Split a table by columns, in order of first appearance; missing values are a value of their own.

    Yields
    ------
    key : dict
        Column to value; empty where ``by`` is, and then the cell is the whole table.
    cell : pandas.DataFrame
    """
    if not by:
        yield {}, table
        return
    for key, cell in table.groupby(list(by), sort=False, dropna=False):
        yield dict(zip(by, key, strict=True)), cell


def refuse_pooling(scored: pd.DataFrame, metric: str) -> None:
    """Raise a StudyError if the scores of one cell differ in what makes them incomparable.

    That is model, tuning, shots, prompt and mask choice; for a surface metric also its unit and tolerance.
    """
    is_surface = METRICS[metric].unit == "distance" or metric == "nsd"
    for column in (*_NEVER_POOLED, *(_WITH_LENGTHS if is_surface else ())):
        values = scored[column].dropna().unique() if column in scored else ()
        if len(values) > 1:
            raise StudyError(
                f"one cell would pool scores of different {column} ({', '.join(map(str, values))}); "
                f"add {column!r} to `by`, or filter the table first, e.g. with headline()."
            )


def counts(scored: pd.DataFrame) -> Row:
    """``n_objects n_images n_groups``, distinct ones, and ``n_scores``, rows (more with pooled folds)."""
    return {
        "n_objects": len(scored.drop_duplicates(OBJECT)),
        "n_images": len(scored.drop_duplicates(["dataset", "image_id"])),
        "n_groups": len(scored.drop_duplicates(["dataset", "group_id"])),
        "n_scores": len(scored),
    }


def left_out(dropped: pd.DataFrame, metric: str, otherwise: str | pd.Series = "undefined") -> Row:
    """``n_left_out`` and, in ``left_out``, the reasons with their numbers.

    Parameters
    ----------
    dropped : pandas.DataFrame
        Rows without a usable score.
    metric : str
        Column of the score.
    otherwise : str or pandas.Series of str
        Reason of rows that have a score, for all or for each. Those that have none are error or ref_empty by
        their status, else undefined: both masks are empty where it counts.
    """
    reasons = dropped["status"].where(dropped["status"].isin(["error", "ref_empty"]), "undefined")
    reasons = reasons.where(dropped[metric].isna(), otherwise)
    said = ", ".join(f"{count} {reason}" for reason, count in reasons.value_counts().sort_index().items())
    return {"n_left_out": len(dropped), "left_out": said}


def group_codes(scored: pd.DataFrame) -> np.ndarray:
    """Number the groups 0 ... G - 1, sorted by (dataset, group_id): int, one per row."""
    return scored.groupby(["dataset", "group_id"], sort=True).ngroup().to_numpy()


def over_repetitions(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Average the scores of each object over the repetitions of a fine-tuning.

    Parameters
    ----------
    rows : pandas.DataFrame
        Score table; rows that differ in ``fold``, weights and scores alone are repetitions.
    metric : str
        Column; what has no score in some repetitions is the mean over the others.

    Returns
    -------
    pandas.DataFrame
        One row per object and cell of the grid, at the place of its first one, so that repetitions count as no
        further objects. The columns that the mean is not of are those of one repetition.
    """
    rows = rows.reset_index(drop=True)
    keys = [column for column in (*OBJECT, "target", *_NEVER_POOLED) if column in rows]
    mean = rows.groupby(keys, sort=False, dropna=False)[metric].transform("mean")
    scored_first = rows.index[np.argsort(rows[metric].isna(), kind="stable")]
    kept = rows.assign(**{metric: mean}).loc[scored_first].drop_duplicates(keys)
    return kept.sort_index(ignore_index=True)


def paired(
    rows: pd.DataFrame, beside: pd.DataFrame, keys: Sequence[str], value: str, name: str
) -> pd.DataFrame:
    """Put another table's score of the same object beside each row.

    Parameters
    ----------
    rows, beside : pandas.DataFrame
        Score tables; ``beside`` has at most one row per key.
    keys : sequence of str
        Columns that name what is the same.
    value, name : str
        Column of ``beside`` and what it is called in the result; NaN where there is no such object.

    Raises
    ------
    StudyError
        If ``beside`` has several rows for a key: which of them to compare with is not ours to guess.
    """
    twice = beside[beside.duplicated(keys)]
    if len(twice):
        which = ", ".join(f"{key} {twice.iloc[0][key]!r}" for key in keys)
        raise StudyError(
            f"{name}: several scores for {which}; filter that table to one model, tuning and mask choice."
        )
    return rows.merge(beside[[*keys, value]].rename(columns={value: name}), on=list(keys), how="left")
