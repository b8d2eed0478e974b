"""From the score table to the numbers of the study: score table in, DataFrame of aggregates out.

Intervals are 95 % intervals over groups (:mod:`samstudy.bootstrap`). Fractions (Dice, IoU, NSD, clDice) are
described by their mean, distances by their median, because an empty prediction has an infinite distance and
is part of the result. Nothing is dropped silently: every row says how many objects, images and groups it
stands on, and how many scores were left out and why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from samstudy.bootstrap import mean_interval, median_interval, quantile
from samstudy.cells import OBJECT, Row, cells, counts, group_codes, left_out, needs, paired, refuse_pooling
from samstudy.errors import StudyError
from samstudy.metrics import METRICS
from samstudy.prompts import headline_choice
from samstudy.ranks import signed_rank
from samstudy.seeds import rng_for

BASELINE = "ellipse"
GRID = ("dataset", "target", "model", "tuning", "shots", "prompt")
"""Columns that make up one cell of the study's grid, but for the mask choice."""


class Estimate(NamedTuple):
    """A mean or median (``statistic``) with its 95 % interval; NaN where there is none, why in ``note``."""

    value: float
    low: float
    high: float
    statistic: str
    note: str


def estimate(rows: pd.DataFrame, metric: str = "dice", seed: int = 0, n_boot: int = 2000) -> Estimate:
    """Mean (fractions) or median (distances) of one cell's scores with its interval over groups.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of one cell: ``dataset``, ``group_id`` and the metric. NaN scores are left out.
    metric : str
        A name in :data:`samstudy.metrics.METRICS`.
    seed, n_boot : int
        Seed and number of bootstrap resamples.

    Returns
    -------
    Estimate
        ``(value, low, high, statistic, note)``; all NaN without a score.
    """
    needs(rows, [metric, "dataset", "group_id"])
    scored = rows[rows[metric].notna()]
    return _estimate(scored[metric], group_codes(scored), metric, seed, n_boot)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Keep, for each prompt mode, the mask that SAM's authors would take.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table with any mask choices.

    Returns
    -------
    pandas.DataFrame
        Rows whose ``mask_choice`` is :func:`samstudy.prompts.headline_choice` of their prompt. A model that
        offers one mask and no score of its own (a baseline) keeps its ``single`` rows for every prompt.
    """
    needs(table, ["model", "prompt", "mask_choice", "iou_pred"])
    wanted = table["prompt"].map({prompt: headline_choice(prompt) for prompt in table["prompt"].unique()})
    offers_choice = (table["mask_choice"] != "single") | table["iou_pred"].notna()
    has_one_mask = ~offers_choice.groupby(table["model"]).transform("any")
    return table[(table["mask_choice"] == wanted) | has_one_mask]


def summarise(
    table: pd.DataFrame,
    by: Sequence[str] = (*GRID, "mask_choice"),
    metric: str = "dice",
    seed: int = 0,
    n_boot: int = 2000,
) -> pd.DataFrame:
    """Describe the scores of every cell of the grid.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table. Scores of different models, shots, prompts or mask choices are never pooled: name
        them in ``by`` or filter first, e.g. with :func:`headline`.
    by : sequence of str
        Columns to split by.
    metric : str
        A name in :data:`samstudy.metrics.METRICS`.
    seed, n_boot : int
        Seed and number of bootstrap resamples. The same cell has the same interval in any table.

    Returns
    -------
    pandas.DataFrame
        One row per cell, in order of first appearance: ``by``; ``metric``; ``unit`` (fraction, mm or px);
        ``n_objects n_images n_groups n_scores``; ``n_left_out`` and ``left_out`` (the reasons: error,
        ref_empty, undefined where both masks are empty); ``mean`` (NaN where a score is infinite),
        ``median q25 q75 n_infinite``; ``statistic`` (which of mean and median the interval is about) with
        ``ci_low ci_high``; ``note``.

    Raises
    ------
    StudyError
        If a column or metric is unknown, or a cell would pool what must not be pooled.
    """
    METRICS[metric]
    needs(table, [*by, metric, *OBJECT, "group_id", "status"])
    rows = []
    for key, cell in cells(table, by):
        has_score = cell[metric].notna()
        scored = cell[has_score]
        refuse_pooling(scored, metric)
        found = _estimate(scored[metric], group_codes(scored), metric, seed, n_boot)
        rows.append(
            key
            | {"metric": metric, "unit": _unit(scored, metric)}
            | counts(scored)
            | left_out(cell[~has_score], metric)
            | _spread(scored[metric].to_numpy(np.float64))
            | {"statistic": found.statistic, "ci_low": found.low, "ci_high": found.high, "note": found.note}
        )
    return pd.DataFrame(rows)


def summarise_metrics(
    table: pd.DataFrame,
    metrics: Sequence[str],
    by: Sequence[str] = (*GRID, "mask_choice"),
    seed: int = 0,
    n_boot: int = 2000,
) -> pd.DataFrame:
    """Put the summaries of several metrics below each other; parameters and errors are those of :func:`summarise`."""
    summaries = [summarise(table, by, metric, seed, n_boot) for metric in metrics]
    return pd.concat(summaries, ignore_index=True) if summaries else pd.DataFrame(columns=[*by, "metric"])


def skill(
    table: pd.DataFrame,
    by: Sequence[str] = GRID,
    baseline: str = BASELINE,
    seed: int = 0,
    n_boot: int = 2000,
) -> pd.DataFrame:
    """Dice of each model beside the no-image baseline on the same objects and prompts.

    A prompt made from the reference tells its shape: part of a prompted score needs no image. Of mean Dice
    ``d`` and the baseline's mean Dice ``b`` over the same objects, ``skill = (d - b) / (1 - b)``: 0 is no
    better than the baseline, 1 is perfect, negative is worse than not looking at the image.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table that holds the baseline's rows.
    by : sequence of str
        Columns to split by. Without ``mask_choice`` among them the table is reduced by :func:`headline`.
    baseline : str
        Name of the baseline model.
    seed, n_boot : int
        Seed and number of bootstrap resamples; model and baseline are resampled together.

    Returns
    -------
    pandas.DataFrame
        One row per cell: ``by``; ``metric``; counts as in :func:`summarise`, where ``left_out`` may also name
        no_baseline; ``mean``, ``baseline_mean``, ``skill`` with ``ci_low ci_high`` (NaN where the baseline is
        perfect); ``note``.

    Raises
    ------
    StudyError
        If the baseline is not in the table or has several scores for one object and prompt.
    """
    needs(table, [*by, "dice", "model", "prompt", "mask_choice", *OBJECT, "group_id", "status"])
    table = table if "mask_choice" in by else headline(table)
    is_baseline = table["model"] == baseline
    if not is_baseline.any():
        raise StudyError(
            f"the table has no rows of the baseline {baseline!r}; evaluate it on the same prompts."
        )
    pairs = paired(table[~is_baseline], table[is_baseline], [*OBJECT, "prompt"], "dice", "baseline")
    rows = []
    for key, cell in cells(pairs, by):
        has_score = cell["dice"].notna() & cell["baseline"].notna()
        scored = cell[has_score]
        refuse_pooling(scored, "dice")
        values = scored[["dice", "baseline"]].to_numpy(np.float64)
        means = values.mean(axis=0) if len(values) else np.full(2, np.nan)
        low, high, note = mean_interval(values, group_codes(scored), _rng(seed), n_boot, _skill_of)
        rows.append(
            key
            | {"metric": "dice"}
            | counts(scored)
            | left_out(cell[~has_score], "dice", "no_baseline")
            | {"mean": means[0], "baseline_mean": means[1], "skill": float(_skill_of(means))}
            | {"ci_low": low, "ci_high": high, "note": note}
        )
    return pd.DataFrame(rows)


def paired_gain(
    before: pd.DataFrame,
    after: pd.DataFrame,
    by: Sequence[str] = GRID,
    metric: str = "dice",
    seed: int = 0,
    n_boot: int = 2000,
) -> pd.DataFrame:
    """Difference that fine-tuning makes on the same held-out objects, after minus before.

    Parameters
    ----------
    before, after : pandas.DataFrame
        Score tables, reduced by :func:`headline` here. ``before`` holds one score per object and prompt;
        ``after`` may hold several models, shots and folds.
    by : sequence of str
        Columns of ``after`` to split by; folds that are not named are pooled.
    metric : str
        A name in :data:`samstudy.metrics.METRICS`; for distances a negative gain is the better.
    seed, n_boot : int
        Seed and number of bootstrap resamples of the differences.

    Returns
    -------
    pandas.DataFrame
        One row per cell: ``by``; ``metric``; ``unit``; counts as in :func:`summarise` (``left_out`` may name
        unpaired and both_infinite); ``before``, ``after`` and ``gain`` (means; for distances medians, the
        gain being the median difference) with ``ci_low ci_high``; ``n_better``, the scores that improved;
        ``p_wilcoxon`` of the two-sided signed-rank test on one mean (median) difference per group, NaN with
        fewer than :data:`samstudy.bootstrap.MIN_GROUPS` groups, each row's own and not corrected for their number;
        ``statistic``; ``note``.

    Raises
    ------
    StudyError
        If a column is missing, no object is in both tables, or ``before`` has several scores for one.
    """
    sign = 1 if METRICS[metric].better == "higher" else -1
    needs(before, [metric, "prompt", *OBJECT])
    needs(after, [*by, metric, "prompt", *OBJECT, "group_id", "status"])
    pairs = paired(headline(after), headline(before), [*OBJECT, "prompt"], metric, "before")
    if pairs["before"].isna().all():
        raise StudyError("before and after share no scored object; score both on the same held-out images.")
    with np.errstate(invalid="ignore"):  # two infinite distances have no difference: left out, counted
        pairs["gain"] = pairs[metric] - pairs["before"]
    pairs["unpairable"] = np.where(pairs["before"].isna(), "unpaired", "both_infinite")
    rows = []
    for key, cell in cells(pairs, by):
        has_score = cell["gain"].notna()
        scored = cell[has_score]
        refuse_pooling(scored, metric)
        codes = group_codes(scored)
        found = _estimate(scored["gain"], codes, metric, seed, n_boot)
        rows.append(
            key
            | {"metric": metric, "unit": _unit(scored, metric)}
            | counts(scored)
            | left_out(cell[~has_score], metric, cell.loc[~has_score, "unpairable"])
            | {"before": centre(scored["before"], metric), "after": centre(scored[metric], metric)}
            | {"gain": found.value, "ci_low": found.low, "ci_high": found.high}
            | {"n_better": int((sign * scored["gain"] > 0).sum())}
            | {"p_wilcoxon": _p_wilcoxon(scored["gain"], codes, metric)}
            | {"statistic": found.statistic, "note": found.note}
        )
    return pd.DataFrame(rows)


def _rng(seed: int) -> np.random.Generator:
    """The same draws for every cell: a figure and a table of the same rows show the same interval."""
    return rng_for(seed, "bootstrap")


def _estimate(scores: pd.Series, codes: np.ndarray, metric: str, seed: int, n_boot: int) -> Estimate:
    interval: Callable = {"mean": mean_interval, "median": median_interval}[METRICS[metric].statistic]
    low, high, note = interval(scores.to_numpy(np.float64), codes, _rng(seed), n_boot)
    return Estimate(centre(scores, metric), low, high, METRICS[metric].statistic, note)


def centre(scores: Sequence[float] | pd.Series | np.ndarray, metric: str) -> float:
    """Mean of fractions, median of distances; NaN of no scores."""
    values = np.asarray(scores, np.float64)
    if METRICS[metric].statistic == "median":
        return quantile(values, 0.5)
    return float(values.mean()) if len(values) else np.nan


def _spread(values: np.ndarray) -> Row:
    finite = np.isfinite(values)
    return {
        "mean": float(values.mean()) if len(values) and finite.all() else np.nan,
        "median": quantile(values, 0.5),
        "q25": quantile(values, 0.25),
        "q75": quantile(values, 0.75),
        "n_infinite": int((~finite).sum()),
    }


def _unit(scored: pd.DataFrame, metric: str) -> str:
    if METRICS[metric].unit == "fraction":
        return "fraction"
    return ", ".join(scored["distance_unit"].unique()) if "distance_unit" in scored else ""


def _skill_of(means: np.ndarray) -> np.ndarray:
    """Skill of (model, baseline) means in the last axis; NaN where the baseline is perfect."""
    model, baseline = means[..., 0], means[..., 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(baseline < 1, (model - baseline) / (1 - baseline), np.nan)


def _p_wilcoxon(gains: pd.Series, codes: np.ndarray, metric: str) -> float:
    """Signed-rank test over groups, whose objects are alike: one difference per group."""
    return signed_rank([centre(of_group, metric) for _, of_group in gains.groupby(codes)]).p
