"""How many clicks an object takes: score table of ``clicks_1 ... clicks_9`` in, DataFrame of aggregates out.

The number of clicks to a Dice of 0.80 or 0.90 is the *NoC* of interactive segmentation (e.g. Sofiiuk et al.
2022, there for IoU): an object that never gets there counts with the most clicks made, and is counted apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from samstudy.bootstrap import mean_interval
from samstudy.cells import OBJECT, cells, counts, group_codes, left_out, needs
from samstudy.errors import StudyError
from samstudy.prompts import PROMPTS
from samstudy.seeds import rng_for
from samstudy.statistics import GRID, headline, summarise

SERIES = "clicks"
CELL = tuple(column for column in GRID if column != "prompt")
"""Columns that make up one cell of the study's grid, but for prompt and mask choice."""

_ONE_RUN = ["model", "tuning", "shots", "fold", "weights_sha", *OBJECT]


def click_rows(table: pd.DataFrame, mask_choice: str | None = None) -> pd.DataFrame:
    """Rows of the clicks modes, with the column ``n_clicks``.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table.
    mask_choice : str, optional
        Keep this choice; by default that of SAM's authors (:func:`samstudy.statistics.headline`).

    Raises
    ------
    StudyError
        If the table has no such rows.
    """
    needs(table, ["prompt", "mask_choice"])
    n_clicks = {name: PROMPTS[name].n_turns for name in PROMPTS if PROMPTS[name].series == SERIES}
    rows = table[table["prompt"].isin(n_clicks)]
    if not rows.empty:
        rows = headline(rows) if mask_choice is None else rows[rows["mask_choice"] == mask_choice]
    if rows.empty:
        raise StudyError(
            f"the table has no rows of clicks with the mask choice {mask_choice or 'of the headline'}; evaluate "
            f"the prompts {', '.join(n_clicks)}."
        )
    return rows.assign(n_clicks=rows["prompt"].map(n_clicks))


def click_curve(
    table: pd.DataFrame,
    by: Sequence[str] = CELL,
    metric: str = "dice",
    mask_choice: str | None = None,
    seed: int = 0,
    n_boot: int = 2000,
) -> pd.DataFrame:
    """Describe the scores after each click.

    Parameters
    ----------
    table, mask_choice
        As in :func:`click_rows`.
    by, metric, seed, n_boot
        As in :func:`samstudy.statistics.summarise`.

    Returns
    -------
    pandas.DataFrame
        That of :func:`~samstudy.statistics.summarise`, one row per cell and number of clicks ``n_clicks``.
    """
    rows = click_rows(table, mask_choice).sort_values("n_clicks", kind="stable")
    return summarise(rows, (*by, "prompt", "n_clicks"), metric, seed, n_boot)


def clicks_needed(
    table: pd.DataFrame, threshold: float = 0.9, metric: str = "dice", mask_choice: str | None = None
) -> pd.DataFrame:
    """Count, for each object, the clicks until its score first reaches a threshold.

    Parameters
    ----------
    table, mask_choice
        As in :func:`click_rows`; every number of clicks from 1 on must have been evaluated.
    threshold : float
        Score that is good enough.
    metric : str
        Column of a fraction.

    Returns
    -------
    pandas.DataFrame
        One row per object and model: the columns of its first click (``metric`` among them, NaN where one of its
        clicks has no score), ``n_clicks``, the clicks needed or else the most made, and ``reached``.

    Raises
    ------
    StudyError
        If a number of clicks is missing.
    """
    rows = click_rows(table, mask_choice)
    needs(rows, [metric, *_ONE_RUN])
    made = sorted(rows["n_clicks"].unique())
    if made != list(range(1, len(made) + 1)):
        raise StudyError(
            f"the clicks {', '.join(map(str, made))} do not say when a score was first reached: evaluate clicks_1 to "
            f"clicks_{made[-1]}, which cost no more than the last of them."
        )
    scores = rows.set_index([*_ONE_RUN, "n_clicks"])[metric].unstack()  # noqa: PD010 - nothing is to be pooled
    good = scores.to_numpy(np.float64) >= threshold
    found = pd.DataFrame(
        {
            "has_scores": scores.notna().all(axis=1).to_numpy(),
            "reached": good.any(axis=1),
            "needed": np.where(good.any(axis=1), good.argmax(axis=1) + 1, len(made)),
        },
        index=scores.index,
    )
    first = rows[rows["n_clicks"] == 1].merge(found.reset_index(), on=_ONE_RUN, how="left")
    first[metric] = first[metric].where(first.pop("has_scores"))
    return first.assign(n_clicks=first.pop("needed"))


def clicks_to(
    table: pd.DataFrame,
    thresholds: Sequence[float] = (0.8, 0.9),
    by: Sequence[str] = CELL,
    metric: str = "dice",
    mask_choice: str | None = None,
    seed: int = 0,
    n_boot: int = 2000,
) -> pd.DataFrame:
    """Mean number of clicks to each threshold, and the share of objects that get there at all.

    Parameters
    ----------
    table, mask_choice, metric
        As in :func:`clicks_needed`.
    thresholds : sequence of float
        Scores to reach.
    by : sequence of str
        Columns to split by.
    seed, n_boot : int
        Seed and number of bootstrap resamples over groups.

    Returns
    -------
    pandas.DataFrame
        One row per cell and threshold: ``by``; ``metric``; ``threshold``; counts and ``left_out`` as in
        :func:`~samstudy.statistics.summarise`; ``mean_clicks`` with ``ci_low ci_high``, objects that never get
        there counting with ``most_clicks``; ``n_reached`` and ``share_reached``; ``note``. NaN of no objects.
    """
    found = []
    for threshold in thresholds:
        objects = clicks_needed(table, threshold, metric, mask_choice)
        most_clicks = int(click_rows(table, mask_choice)["n_clicks"].max())
        for key, cell in cells(objects, by):
            has_score = cell[metric].notna()
            scored = cell[has_score]
            values = scored["n_clicks"].to_numpy(np.float64)
            low, high, note = mean_interval(values, group_codes(scored), rng_for(seed, "bootstrap"), n_boot)
            found.append(
                key
                | {"metric": metric, "threshold": threshold}
                | counts(scored)
                | left_out(cell[~has_score], metric)
                | {"mean_clicks": values.mean() if len(values) else np.nan, "ci_low": low, "ci_high": high}
                | {"most_clicks": most_clicks, "n_reached": int(scored["reached"].sum())}
                | {"share_reached": scored["reached"].mean() if len(values) else np.nan, "note": note}
            )
    return pd.DataFrame(found)
