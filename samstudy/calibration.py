"""Does the model know when it fails? Its predicted IoU against the true one, score table in, aggregates out.

Reliability and its expected error as in Guo et al. (2017), with true IoU for accuracy and predicted IoU for
confidence; failures are found by scikit-learn's ROC. SAM's predicted IoU is trained as a regression of IoU
(Kirillov et al. 2023), so the comparison is fair to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from samstudy.bootstrap import Interval, resampled_interval
from samstudy.cells import cells, counts, group_codes, left_out, needs, refuse_pooling
from samstudy.errors import StudyError
from samstudy.seeds import rng_for
from samstudy.statistics import headline

FAILURE_IOU = 0.5
N_BINS = 10


def predicted_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Rows at the headline mask choice whose model gave a predicted IoU and which have a true one.

    Raises
    ------
    StudyError
        If there is none: baselines predict no IoU.
    """
    needs(table, ["iou", "iou_pred", "prompt", "mask_choice", "model"])
    rows = headline(table)
    rows = rows[rows["iou_pred"].notna() & rows["iou"].notna()]
    if rows.empty:
        raise StudyError(
            "no row has both a predicted and a true IoU: baselines make no prediction of their own; "
            "evaluate a model beside them."
        )
    return rows


def reliability(rows: pd.DataFrame, n_bins: int = N_BINS) -> pd.DataFrame:
    """Mean true IoU in equal bins of predicted IoU.

    Parameters
    ----------
    rows : pandas.DataFrame
        With finite ``iou_pred`` and ``iou``, e.g. from :func:`predicted_rows`. Predictions outside [0, 1], which
        SAM's regression allows, count in the first or last bin.
    n_bins : int
        Number of bins of [0, 1], at least 1.

    Returns
    -------
    pandas.DataFrame
        One row per bin that holds a row: ``bin n iou_pred iou``, the last two being means. Empty of no rows.
    """
    # linspace gives 0.30000000000000004, above a prediction of 0.3
    edges = np.arange(1, n_bins) / n_bins
    grouped = rows.assign(bin=np.digitize(rows["iou_pred"], edges)).groupby("bin")
    return grouped.agg(n=("iou", "size"), iou_pred=("iou_pred", "mean"), iou=("iou", "mean")).reset_index()


def calibration_error(rows: pd.DataFrame, n_bins: int = N_BINS) -> float:
    """Expected calibration error: mean gap of predicted and true IoU over the bins, weighted by their rows.

    Returns
    -------
    float
        In IoU, 0 where every bin is right on average; NaN of no rows.
    """
    found = reliability(rows, n_bins)
    if found.empty:
        return np.nan
    return float(np.average((found["iou_pred"] - found["iou"]).abs(), weights=found["n"]))


def rank_correlation(rows: pd.DataFrame) -> float:
    """Spearman's correlation of predicted and true IoU; NaN where either is constant."""
    if rows.empty or np.ptp(rows["iou_pred"]) == 0 or np.ptp(rows["iou"]) == 0:
        return np.nan
    return float(spearmanr(rows["iou_pred"], rows["iou"]).statistic)


def failure_auroc(rows: pd.DataFrame, failure_iou: float = FAILURE_IOU) -> float:
    """Area under the ROC of a low predicted IoU as the sign of a failure, IoU under ``failure_iou``.

    Returns
    -------
    float
        1 where every failure is predicted worse than every success, 0.5 for a coin; NaN where all or none fail.
    """
    failed = rows["iou"].to_numpy(float) < failure_iou
    if failed.all() or not failed.any():
        return np.nan
    return float(roc_auc_score(failed, -rows["iou_pred"].to_numpy(float)))


def auroc_interval(
    rows: pd.DataFrame, failure_iou: float = FAILURE_IOU, seed: int = 0, n_boot: int = 1000
) -> Interval:
    """95 % interval of :func:`failure_auroc` over groups.

    The area is the share of pairs of a failure and a success that are told apart (Mann and Whitney 1947), ties
    counting half; a group drawn twice counts twice, so all resamples are products of one matrix of pairs.

    Parameters
    ----------
    rows : pandas.DataFrame
        With ``iou iou_pred dataset group_id``.
    failure_iou, seed, n_boot
        As in :func:`calibration`.

    Returns
    -------
    Interval
        NaN, with the reason, where there are too few groups or a resample has no failure or no success.
    """
    failed = rows["iou"].to_numpy(float) < failure_iou
    if failed.all() or not failed.any():
        return Interval(np.nan, np.nan, f"no AUROC: {int(failed.sum())} of {len(rows)} fail")
    predicted, codes = rows["iou_pred"].to_numpy(float), group_codes(rows)
    of_failed, of_others = predicted[failed][:, None], predicted[~failed][None]
    apart = (of_failed < of_others) + 0.5 * (of_failed == of_others)

    def statistic(weights: np.ndarray) -> np.ndarray:
        drawn = weights[:, codes].astype(np.float64)
        n_pairs = drawn[:, failed].sum(axis=1) * drawn[:, ~failed].sum(axis=1)
        n_apart = np.einsum("bs,bs->b", drawn[:, failed] @ apart, drawn[:, ~failed])
        return np.divide(n_apart, n_pairs, out=np.full(len(drawn), np.nan), where=n_pairs > 0)

    return resampled_interval(statistic, int(codes.max()) + 1, len(rows), rng_for(seed, "bootstrap"), n_boot)


def calibration(
    table: pd.DataFrame,
    by: Sequence[str] = ("model", "tuning", "shots", "prompt", "dataset"),
    failure_iou: float = FAILURE_IOU,
    n_bins: int = N_BINS,
    seed: int = 0,
    n_boot: int = 1000,
) -> pd.DataFrame:
    """Say for every cell how well predicted IoU tells the true one.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table; reduced to the headline mask choice, baselines left out.
    by : sequence of str
        Columns to split by. Different models, shots and prompts are never pooled.
    failure_iou : float
        A true IoU under it is a failure.
    n_bins : int
        Bins of the calibration error.
    seed, n_boot : int
        Seed and number of bootstrap resamples of the AUROC over groups.

    Returns
    -------
    pandas.DataFrame
        One row per cell: ``by``; ``metric`` (iou); counts and ``left_out`` as in
        :func:`samstudy.statistics.summarise`, where ``left_out`` may also name no_prediction; ``mean_iou_pred
        mean_iou``; ``ece``; ``spearman``; ``failure_iou n_failures``; ``auroc`` with ``ci_low ci_high``; ``note``.

    Raises
    ------
    StudyError
        If a column is unknown, no row has a predicted IoU, or a cell would pool what must not be pooled.
    """
    needs(table, [*by, "dataset", "image_id", "object_id", "group_id", "status"])
    predicted_rows(table)
    rows = headline(table)
    offers = rows["iou_pred"].notna().groupby(rows["model"]).transform("any")
    found = []
    for key, cell in cells(rows[offers], by):
        kept = cell["iou"].notna() & cell["iou_pred"].notna()
        scored = cell[kept]
        refuse_pooling(scored, "iou")
        low, high, note = auroc_interval(scored, failure_iou, seed, n_boot)
        found.append(
            key
            | {"metric": "iou"}
            | counts(scored)
            | left_out(cell[~kept], "iou", "no_prediction")
            | {"mean_iou_pred": scored["iou_pred"].mean(), "mean_iou": scored["iou"].mean()}
            | {"ece": calibration_error(scored, n_bins), "spearman": rank_correlation(scored)}
            | {"failure_iou": failure_iou, "n_failures": int((scored["iou"] < failure_iou).sum())}
            | {"auroc": failure_auroc(scored, failure_iou), "ci_low": low, "ci_high": high, "note": note}
        )
    return pd.DataFrame(found)
