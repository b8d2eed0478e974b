"""Tests between prompt modes and between benchmarks: score table in, DataFrame of tests out.

Every test takes one value per group (patient): the mean of its objects' scores, for distances their median. Prompt
modes are compared in the same objects (Wilcoxon, Friedman), benchmarks as independent samples (Kruskal-Wallis).
Every row says how many groups and objects it stands on, what was left out and why, and what its tolerances were.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from pandas.api.typing import DataFrameGroupBy, SeriesGroupBy

from samstudy.bootstrap import MIN_GROUPS
from samstudy.cells import OBJECT, Row, cells, counts, left_out, needs, refuse_pooling
from samstudy.errors import StudyError, unknown_name
from samstudy.metrics import METRICS
from samstudy.ranks import friedman, holm, kruskal_wallis, signed_rank
from samstudy.statistics import centre, headline

SAME = ("dataset", "target", "model", "tuning", "shots")
"""Columns that are the same for all prompt modes that are compared."""

_WHERE = [*OBJECT, "group_id"]


def compare_modes(
    table: pd.DataFrame,
    by: Sequence[str] = SAME,
    metric: str = "dice",
    against: str | None = None,
    tolerance: float = 0.0,
) -> pd.DataFrame:
    """Wilcoxon's signed-rank test between every two prompt modes, with Holm's correction.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table; without ``mask_choice`` in ``by`` it is reduced by :func:`samstudy.statistics.headline`.
    by : sequence of str
        Columns to split by. The pairs of one cell are one family of Holm's correction.
    metric : str
        A name in :data:`samstudy.metrics.METRICS`.
    against : str, optional
        Compare each mode with this one only; every pair otherwise.
    tolerance : float
        Differences between groups of at most this size count as none.

    Returns
    -------
    pandas.DataFrame
        One row per cell and pair: ``by``; ``prompt_a prompt_b``; ``metric``; ``n_groups n_objects`` scored under both;
        ``n_left_out left_out``, the objects that were not (error, ref_empty, undefined, unpaired, as two infinite
        distances are); ``difference``, the mean over groups of a - b (distances: the median); ``statistic p p_holm``;
        ``p_least``, the smallest ``p_holm`` that so few groups and so many tests allow, were every group of one mind;
        ``rank_biserial`` (1: a has the higher scores in every group); ``tolerance``; ``nsd_tolerance`` of the scores,
        for NSD only; ``note``, why there is no test. Empty where no cell has two modes.

    Raises
    ------
    StudyError
        If a column, metric or mode is unknown, or an object has several scores for a mode.
    """
    rows = []
    for key, cell in cells(_scores(table, by, metric, against), by):
        wide = _wide(cell, metric)
        pairs = combinations(wide, 2) if against is None else ((mode, against) for mode in wide)
        tests = [_pair(cell, wide, a, b, metric, tolerance) for a, b in pairs if a != b and {a, b} <= {*wide}]
        n_tests = sum(not np.isnan(test["p"]) for test in tests)
        for test, p in zip(tests, holm([test["p"] for test in tests]), strict=True):
            corrected = {"p_holm": p, "p_least": _least(test["n_groups"], n_tests)}
            rows.append(key | test | corrected | {"nsd_tolerance": _nsd_tolerance(cell, metric)})
    order = ["statistic", "p", "p_holm", "p_least", "rank_biserial", "tolerance", "nsd_tolerance", "note"]
    named = [*by, "prompt_a", "prompt_b", "metric", "n_groups", "n_objects", "n_left_out", "left_out"]
    return pd.DataFrame(rows, columns=[*named, "difference", *order])


def tally(tests: pd.DataFrame, level: float = 0.05) -> pd.DataFrame:
    """Count in how many cells one mode scores higher or lower than another, after Holm's correction.

    Parameters
    ----------
    tests : pandas.DataFrame
        From :func:`compare_modes`, with ``model`` among its cells' columns.
    level : float
        Adjusted p-values below it count.

    Returns
    -------
    pandas.DataFrame
        One row per ``model prompt_a prompt_b``: ``n_tested`` cells and ``n_untested`` (too few groups); in how many of
        the tested a is ``higher``, ``lower`` or ``undecided``, and how many of these are ``undecidable``, having too
        few groups for any difference to be clear; ``difference`` and ``rank_biserial``, medians over the tested.
    """
    needs(tests, ["model", "prompt_a", "prompt_b", "p_holm", "p_least", "rank_biserial", "difference"])
    rows = []
    for key, of_pair in cells(tests, ["model", "prompt_a", "prompt_b"]):
        tested = of_pair[of_pair["p_holm"].notna()]
        clear = tested["p_holm"] < level
        higher, lower = (int((clear & (sign * tested["rank_biserial"] > 0)).sum()) for sign in (1, -1))
        rows.append(
            key
            | {"n_tested": len(tested), "n_untested": len(of_pair) - len(tested)}
            | {"higher": higher, "lower": lower, "undecided": len(tested) - higher - lower}
            | {"undecidable": int((tested["p_least"] >= level).sum())}
            | {name: tested[name].median() for name in ("difference", "rank_biserial")}
        )
    return pd.DataFrame(rows)


def friedman_modes(table: pd.DataFrame, by: Sequence[str] = SAME, metric: str = "dice") -> pd.DataFrame:
    """Friedman's test over all prompt modes of a cell: does the way of prompting matter at all?

    Parameters and errors are those of :func:`compare_modes`.

    Returns
    -------
    pandas.DataFrame
        One row per cell: ``by``; ``metric``; ``prompts`` and ``n_prompts``; ``n_groups n_objects`` with a score under
        every mode, ``n_left_out left_out``; ``statistic p``; ``p_holm`` over the rows; ``kendall_w``;
        ``nsd_tolerance``; ``note``.
    """
    rows = []
    for key, cell in cells(_scores(table, by, metric), by):
        wide = _wide(cell, metric)
        complete = wide.dropna()
        found = friedman(_per_group(complete, metric).to_numpy())
        rows.append(
            key
            | {"metric": metric, "prompts": ", ".join(wide), "n_prompts": wide.shape[1]}
            | {"n_groups": found.n, "n_objects": len(complete)}
            | _without(cell, wide.index.difference(complete.index), metric)
            | {"statistic": found.statistic, "p": found.p, "kendall_w": found.effect}
            | {"nsd_tolerance": _nsd_tolerance(cell, metric)}
            | {"note": _few(found.n) or ("" if wide.shape[1] > 2 else "no test: fewer than 3 prompt modes")}
        )
    return _corrected(rows, "p_holm")


def compare_benchmarks(
    table: pd.DataFrame,
    by: Sequence[str] = ("model", "tuning", "shots", "prompt"),
    metric: str = "dice",
) -> pd.DataFrame:
    """Kruskal and Wallis' test between data sets: does the same model score alike on all of them?

    Parameters
    ----------
    table, by, metric
        As for :func:`compare_modes`; a cell holds several data sets. A group's value is the mean over its targets of
        the mean over their objects (distances: medians), so that a target with many objects weighs no more.

    Returns
    -------
    pandas.DataFrame
        One row per cell: ``by``; ``metric``; ``datasets`` and ``n_datasets`` that were compared; ``n_groups
        n_objects``; ``n_left_out left_out``, objects without a score and those of data sets with fewer than
        :data:`samstudy.bootstrap.MIN_GROUPS` groups (few_groups); ``statistic p``; ``p_holm`` over the rows;
        ``epsilon_squared``; ``lowest highest``, the data sets' extreme means over groups; ``nsd_tolerance``; ``note``.
    """
    rows = []
    for key, cell in cells(_scores(table, by, metric), by):
        refuse_pooling(cell[cell[metric].notna()], metric)
        values = group_values(cell, metric)
        enough = values.groupby("dataset", sort=False)["group_id"].transform("size") >= MIN_GROUPS
        samples = {
            name: each["value"].to_numpy() for name, each in values[enough].groupby("dataset", sort=False)
        }
        found = kruskal_wallis(list(samples.values()))
        is_used = cell[metric].notna() & cell["dataset"].isin(list(samples))
        centres = [centre(sample, metric) for sample in samples.values()] or [np.nan]
        rows.append(
            key
            | {"metric": metric, "datasets": ", ".join(samples), "n_datasets": len(samples)}
            | {"n_groups": found.n, "n_objects": counts(cell[is_used])["n_objects"]}
            | left_out(cell[~is_used], metric, "few_groups")
            | {"statistic": found.statistic, "p": found.p, "epsilon_squared": found.effect}
            | {"lowest": min(centres), "highest": max(centres), "nsd_tolerance": _nsd_tolerance(cell, metric)}
            | {
                "note": ""
                if len(samples) > 1
                else f"no test: {len(samples)} data set(s) of {MIN_GROUPS} groups"
            }
        )
    return _corrected(rows, "p_holm")


def group_values(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Reduce the scores of one model and prompt to a value per group: ``dataset group_id value``.

    Parameters
    ----------
    rows : pandas.DataFrame
        With ``dataset group_id target`` and the metric; NaN scores are left out.
    metric : str
        A name in :data:`samstudy.metrics.METRICS`.

    Returns
    -------
    pandas.DataFrame
        Sorted by data set, in order of first appearance, and group. Empty without a score.
    """
    scored = rows[rows[metric].notna()]
    of_target = scored.groupby(["dataset", "group_id", "target"], sort=False)[metric].agg(
        centre, metric=metric
    )
    keyed = _centres(of_target.groupby(["dataset", "group_id"], sort=False), metric)
    return keyed.rename("value").reset_index()


def _scores(table: pd.DataFrame, by: Sequence[str], metric: str, against: str | None = None) -> pd.DataFrame:
    METRICS[metric]
    needs(table, [*by, metric, "model", "prompt", "mask_choice", *_WHERE, "target", "status"])
    if against is not None and against not in set(table["prompt"]):
        raise unknown_name("prompt mode of the table", against, table["prompt"].unique())
    return table if "mask_choice" in by else headline(table)


def _wide(cell: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Objects x prompt modes, in the table's order; what has no score is NaN."""
    twice = cell[cell.duplicated([*_WHERE, "prompt"])]
    if len(twice):
        object_id, image_id, prompt = twice.iloc[0][["object_id", "image_id", "prompt"]]
        raise StudyError(
            f"several scores of {object_id!r} in {image_id!r} for the prompt {prompt!r}; name what tells them apart "
            "in `by`, or filter the table to one model, tuning, fold and mask choice."
        )
    # Modes differ in the mask that SAM's authors would take; that is no reason not to compare them.
    refuse_pooling(cell[cell[metric].notna()].drop(columns=["prompt", "mask_choice"]), metric)
    by_mode = {mode: rows.set_index(_WHERE)[metric] for mode, rows in cell.groupby("prompt", sort=False)}
    return pd.concat(by_mode, axis=1)


def _pair(cell: pd.DataFrame, wide: pd.DataFrame, a: str, b: str, metric: str, tolerance: float) -> Row:
    of_pair = cell[cell["prompt"].isin([a, b])]
    with np.errstate(invalid="ignore"):  # two infinite distances have no difference
        difference = (wide[a] - wide[b]).dropna()
    per_group = _per_group(difference.to_frame("difference"), metric)["difference"].to_numpy()
    found = signed_rank(per_group, tolerance)
    return (
        {"prompt_a": a, "prompt_b": b, "metric": metric, "n_groups": found.n, "n_objects": len(difference)}
        | _without(of_pair, wide.index.difference(difference.index), metric)
        | {"difference": centre(per_group, metric), "statistic": found.statistic, "p": found.p}
        | {"rank_biserial": found.effect, "tolerance": tolerance, "note": _few(found.n)}
    )


def _without(cell: pd.DataFrame, objects: pd.MultiIndex, metric: str) -> Row:
    """Objects that are not compared, each once: by the reason of its first row without a score, else unpaired."""
    rows = cell.set_index(_WHERE).loc[objects].reset_index()
    rows = rows.sort_values(metric, na_position="first", kind="stable").drop_duplicates(_WHERE)
    return left_out(rows, metric, "unpaired")


def _per_group(wide: pd.DataFrame, metric: str) -> pd.DataFrame:
    return _centres(wide.groupby(level=["dataset", "group_id"], sort=False), metric)


def _centres(grouped: DataFrameGroupBy | SeriesGroupBy, metric: str) -> pd.DataFrame | pd.Series:
    """:func:`samstudy.statistics.centre` of each group; pandas' own mean is far faster than a function."""
    return grouped.mean() if METRICS[metric].statistic == "mean" else grouped.agg(centre, metric=metric)


def _least(n_groups: int, n_tests: int) -> float:
    """Twice the one of the 2 ** n signs that is all plus, times the tests of the family."""
    return min(1.0, n_tests * 2.0 ** (1 - n_groups)) if n_groups >= MIN_GROUPS else np.nan


def _few(n: int) -> str:
    return "" if n >= MIN_GROUPS else f"no test: {n} group(s), fewer than {MIN_GROUPS}"


def _nsd_tolerance(cell: pd.DataFrame, metric: str) -> float:
    is_stated = metric == "nsd" and "nsd_tolerance" in cell
    return float(cell["nsd_tolerance"].dropna().max()) if is_stated else np.nan


def _corrected(rows: list[Row], name: str) -> pd.DataFrame:
    tests = pd.DataFrame(rows)
    tests.insert(tests.columns.get_loc("p") + 1, name, holm(tests["p"]))
    return tests
