"""What everything mode finds: the share of objects among its proposals, and how many proposals that takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from samstudy.bootstrap import mean_interval
from samstudy.cells import OBJECT, Row, cells, counts, group_codes, left_out, needs, refuse_pooling
from samstudy.errors import StudyError
from samstudy.prompts import PROMPTS
from samstudy.seeds import rng_for
from samstudy.statistics import BASELINE, GRID
from samstudy.tables import format_cell

THRESHOLDS_IOU = (0.5, 0.75)
_CELL = ("model", "tuning", "shots", "prompt")
_MATCHES = {"oracle": "the best proposal (oracle)", "predicted_iou": "the surest proposal of the image"}


def everything_modes() -> list[str]:
    """Names of the registered modes whose answers are proposals."""
    return [name for name in PROMPTS if "single" not in PROMPTS[name].choices]


def everything_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of everything mode of models that propose.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table.

    Raises
    ------
    StudyError
        If there are none.
    """
    needs(table, ["model", "prompt", "mask_choice", "iou", "n_proposals"])
    modes = everything_modes()
    is_match = table["mask_choice"].isin(PROMPTS[modes[0]].choices)
    rows = table[table["prompt"].isin(modes) & is_match & (table["model"] != BASELINE)]
    if rows.empty:
        raise StudyError(
            f"the table has no rows of everything mode; evaluate the prompt {' or '.join(modes)} with a model."
        )
    return rows


def object_recall(
    table: pd.DataFrame,
    thresholds: Sequence[float] = THRESHOLDS_IOU,
    by: Sequence[str] = GRID,
    seed: int = 0,
    n_boot: int = 2000,
) -> pd.DataFrame:
    """Share of objects that everything mode covers with at least a given IoU, and its number of proposals.

    Two matches are told apart. ``oracle`` takes for each object the proposal of best overlap: the reference chooses
    it, and proposals of other things cost nothing. ``predicted_iou`` takes the one proposal that the model is surest
    of, for every object of the image.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table with rows of everything mode.
    thresholds : sequence of float
        IoU from which an object counts as found.
    by : sequence of str
        Columns to split by.
    seed, n_boot : int
        Seed and number of bootstrap resamples over groups.

    Returns
    -------
    pandas.DataFrame
        One row per cell, match and threshold: ``by``; ``mask_choice`` (oracle or predicted_iou); ``threshold_iou``;
        counts and ``left_out`` as in :func:`samstudy.statistics.summarise`; ``n_found``, ``recall`` with ``ci_low
        ci_high``; ``n_proposals_median n_proposals_min n_proposals_max`` over images; ``note``. Nothing scored is a
        recall of NaN.

    Raises
    ------
    StudyError
        If the table has no such rows, or a cell would pool what must not be pooled.
    """
    needs(table, by)
    found = []
    for key, cell in cells(everything_rows(table), [*by, "mask_choice"]):
        refuse_pooling(cell, "iou")
        scored, dropped = cell[cell["iou"].notna()], cell[cell["iou"].isna()]
        stands_on = counts(scored) | left_out(dropped, "iou")
        for threshold in thresholds:
            share = _share((scored["iou"] >= threshold).to_numpy(np.float64), scored, seed, n_boot)
            note = share.pop("note")
            found.append(
                key | {"threshold_iou": threshold} | stands_on | share | _proposals(cell) | {"note": note}
            )
    return pd.DataFrame(found)


def _share(hit: np.ndarray, scored: pd.DataFrame, seed: int, n_boot: int) -> Row:
    low, high, note = mean_interval(hit, group_codes(scored), rng_for(seed, "bootstrap"), n_boot)
    recall = hit.mean() if len(hit) else np.nan
    return {"n_found": int(hit.sum()), "recall": recall, "ci_low": low, "ci_high": high, "note": note}


def proposals_per_image(rows: pd.DataFrame) -> pd.Series:
    """Number of proposals of each image in rows of one model and mode: float, NaN where none was asked for."""
    return rows.drop_duplicates(OBJECT[:2])["n_proposals"].astype(float)


def _proposals(cell: pd.DataFrame) -> Row:
    answered = cell[cell["n_proposals"].notna()]
    n = proposals_per_image(answered)
    return {f"n_proposals_{name}": getattr(n, name)() for name in ("median", "min", "max")}


def say_recall(table: pd.DataFrame) -> str:
    """Say in Markdown, over all data sets, what everything mode finds and with how many proposals.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table.

    Returns
    -------
    str
        Lines for each model and mode, in which every object counts alike, whatever its data set; where the table has
        no everything mode, what to evaluate.
    """
    try:
        found = object_recall(table, by=_CELL)
    except StudyError as error:
        return f"Not counted here: {error}"
    lines = []
    for _, rows in found.groupby([*_CELL], sort=False):
        first = rows.iloc[0]
        lines.append(
            f"* {first['model']}, `{first['prompt']}`: {first['n_proposals_median']:g} proposals in the median image "
            f"({first['n_proposals_min']:g} to {first['n_proposals_max']:g}). {first['note']}"
        )
        lines.extend(f"  * {_MATCHES[row.mask_choice]} {_found(row)}" for row in rows.itertuples())
    return "Over all data sets:\n\n" + "\n".join(lines)


def _found(row: Any) -> str:
    share = format_cell(row.recall, row.ci_low, row.ci_high)
    return f"covers {row.n_found} of {row.n_objects} objects with an IoU of {row.threshold_iou:g} or more: {share}"
