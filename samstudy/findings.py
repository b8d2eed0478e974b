"""The numbers that the claims are judged by, each with its interval over patients.

Benchmarks weigh alike, and so do the targets of one benchmark: a set of fifteen organs or of a thousand images says
no more than another. Patients are resampled within each benchmark, and bring all their objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from samstudy.bootstrap import MIN_GROUPS, resampled_interval
from samstudy.cells import Row, counts, left_out
from samstudy.comparisons import group_values
from samstudy.phantoms import shown_name
from samstudy.ranks import evened
from samstudy.seeds import rng_for

Statistic = Callable[[np.ndarray], np.ndarray]


class Finding(NamedTuple):
    """A number with its 95 % interval and what it stands on; NaN where there is none, why in ``note``."""

    value: float
    low: float
    high: float
    n_groups: int
    n_objects: int
    datasets: str
    n_left_out: int
    left_out: str
    note: str


def nothing(note: str, n_left_out: int = 0, left_out: str = "") -> Finding:
    """Return a finding without a number, for a reason."""
    return Finding(np.nan, np.nan, np.nan, 0, 0, "", n_left_out, left_out, note)


def balanced_mean(
    rows: pd.DataFrame,
    measure: str,
    control: pd.DataFrame | None = None,
    seed: int = 0,
    n_boot: int = 2000,
) -> Finding:
    """Mean over benchmarks of the mean over targets of the mean over objects; with a control, its mean minus that.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of one model, prompt and mask choice: ``dataset target image_id object_id group_id status`` and the measure,
        in [-1, 1]. NaN is left out, and so is a data set with fewer than :data:`samstudy.bootstrap.MIN_GROUPS` groups;
        both are counted.
    measure : str
        Column.
    control : pandas.DataFrame, optional
        Rows of other data sets.
    seed, n_boot : int
        Seed and number of bootstrap resamples.
    """
    both = rows if control is None else pd.concat([control, rows], ignore_index=True)
    scored, without = _usable(both, measure)
    names = list(dict.fromkeys(scored["dataset"]))
    signs = np.ones(len(names))
    if control is not None:
        of_control = np.isin(names, control["dataset"].unique())
        if of_control.all() or not of_control.any():
            which = "medical" if of_control.any() else "general-domain"
            return nothing(f"no {which} data set has {MIN_GROUPS} groups with a score", **without)
        signs = np.where(of_control, 1 / of_control.sum(), -1 / (~of_control).sum())
    elif names:
        signs = signs / len(names)
    return _finding(scored, without, _weighted_means(scored, names, measure, signs), seed, n_boot)


def rank_spread(rows: pd.DataFrame, measure: str, seed: int = 0, n_boot: int = 2000) -> Finding:
    """Epsilon squared of Kruskal and Wallis between benchmarks, one value per group.

    Of the same groups it equals :func:`samstudy.comparisons.compare_benchmarks`. Chance alone lifts it above 0, by
    about (k - 1) / (n - 1) for k benchmarks and n groups, and resampling, which repeats groups, by as much again:
    percentiles would lie too high. The interval is reflected instead (basic bootstrap, Davison & Hinkley 1997) on
    Fisher's z of the square root, the correlation ratio, and stretched where it would not hold the number itself.

    Parameters and left-out rows are those of :func:`balanced_mean`; there is nothing to compare in fewer than two
    data sets.
    """
    scored, without = _usable(rows, measure)
    names = list(dict.fromkeys(scored["dataset"]))
    if len(names) < 2:
        return nothing(
            f"{len(names)} data set(s) of at least {MIN_GROUPS} groups: two are needed to compare", **without
        )
    found = _finding(scored, without, _epsilon_squared(scored, names, measure), seed, n_boot)
    low, high = _reflected(found.value, found.low, found.high)
    return found._replace(low=low, high=high)


def _reflected(share: float, low: float, high: float) -> tuple[float, float]:
    """Mirror percentiles of a share of variance at the share itself, on the z scale; NaN stays."""
    if np.isnan([share, low, high]).any() or low == share == high:
        return low, high
    centre, *ends = np.arctanh(np.sqrt(np.clip([share, high, low], 0, 1 - np.finfo(float).eps)))
    mirrored = np.tanh(np.maximum(2 * centre - np.array(ends), 0)) ** 2
    return float(min(mirrored[0], share)), float(max(mirrored[1], share))


def _usable(rows: pd.DataFrame, measure: str) -> tuple[pd.DataFrame, Row]:
    """Rows that count, and how many do not and why."""
    has_score = rows[measure].notna()
    n_groups = rows[has_score].groupby("dataset")["group_id"].nunique()
    enough = rows["dataset"].map(n_groups).fillna(0) >= MIN_GROUPS
    dropped = rows[~(has_score & enough)]
    return rows[has_score & enough], left_out(dropped, measure, "few_groups")


def _finding(scored: pd.DataFrame, without: Row, statistic: Statistic, seed: int, n_boot: int) -> Finding:
    if scored.empty:
        return nothing(f"no data set has {MIN_GROUPS} groups with a score ({without['left_out']})", **without)
    sizes = [len(groups) for groups in _groups(scored).values()]
    value = float(statistic(np.ones((1, sum(sizes))))[0])
    interval = resampled_interval(statistic, sizes, len(scored), rng_for(seed, "bootstrap"), n_boot)
    n = counts(scored)
    shown = ", ".join(map(shown_name, dict.fromkeys(scored["dataset"])))
    stands_on = n["n_groups"], n["n_objects"], shown
    return Finding(value, *interval[:2], *stands_on, **without, note=interval.note)


def _groups(scored: pd.DataFrame) -> dict[str, list[str]]:
    """Groups of each data set, in the order in which weights stand side by side."""
    return {
        name: sorted(of_set["group_id"].unique()) for name, of_set in scored.groupby("dataset", sort=False)
    }


def _columns(scored: pd.DataFrame) -> dict[tuple[str, str], int]:
    pairs = [(name, group) for name, groups in _groups(scored).items() for group in groups]
    return {pair: column for column, pair in enumerate(pairs)}


def _weighted_means(scored: pd.DataFrame, names: list[str], measure: str, signs: np.ndarray) -> Statistic:
    column = _columns(scored)
    codes = np.array([column[pair] for pair in zip(scored["dataset"], scored["group_id"], strict=True)], int)
    keys = list(scored.groupby(["dataset", "target"], sort=False).groups)
    target_codes = scored.groupby(["dataset", "target"], sort=False).ngroup().to_numpy()
    sums, n_scores = np.zeros((2, len(column), len(keys)))
    np.add.at(sums, (codes, target_codes), scored[measure].to_numpy(np.float64))
    np.add.at(n_scores, (codes, target_codes), 1)
    of_set = [[i for i, (name, _) in enumerate(keys) if name == wanted] for wanted in names]

    def statistic(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # a rare target may be in no patient of a resample
            means = (weights @ sums) / (weights @ n_scores)
        return np.stack([np.nanmean(means[:, targets], axis=1) for targets in of_set], axis=1) @ signs

    return statistic


def _epsilon_squared(scored: pd.DataFrame, names: list[str], measure: str) -> Statistic:
    values = group_values(scored, measure).set_index(["dataset", "group_id"])["value"]
    column = _columns(scored)
    _, code = np.unique(evened(values[list(column)].to_numpy()), return_inverse=True)
    is_of = np.array([[name == wanted for wanted in names] for name, _ in column], float)
    is_value = np.eye(code.max() + 1)[code]

    def statistic(weights: np.ndarray) -> np.ndarray:
        n_of_value = weights @ is_value
        rank = (np.cumsum(n_of_value, axis=1) - n_of_value / 2 + 0.5)[:, code]
        n_of_set = weights @ is_of
        from_middle = rank - (weights.sum(axis=1, keepdims=True) + 1) / 2
        between = (((weights * from_middle) @ is_of) ** 2 / n_of_set).sum(axis=1)
        total = (weights * from_middle**2).sum(axis=1)
        return np.where(total > 0, between / np.where(total > 0, total, 1), 0.0)

    return statistic
