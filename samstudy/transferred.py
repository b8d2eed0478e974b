"""What transfer gains and loses: paired differences in the tables of :mod:`samstudy.transfer`, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from samstudy.cells import OBJECT, needs
from samstudy.errors import StudyError
from samstudy.phantoms import shown_name
from samstudy.statistics import paired_gain
from samstudy.tables import format_cell

ORIGIN = ("tuned_on", "tuned_target", "trial")
"""Columns beside those of the score table: data set and target that the model was tuned on, ``""`` for the base; and
what the row's data set is to it: own, other or general."""

MATRIX = (*ORIGIN, "dataset", "prompt")
"""Columns that name one cell of the matrix."""

TOLERANCE = 0.01
"""Change in mean Dice that counts as none."""

_TRIALS = {
    "own": "on the data set they were tuned on",
    "other": "on the other data sets",
    "general": "on general-domain images (forgetting)",
}


def transfer_gains(
    table: pd.DataFrame,
    by: Sequence[str] = MATRIX,
    metric: str = "dice",
    seed: int = 0,
    n_boot: int = 2000,
) -> pd.DataFrame:
    """Difference that a decoder tuned on one data set makes on another, after minus before on the same objects.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`samstudy.transfer.run` or :func:`~samstudy.transfer.read`.
    by : sequence of str
        Columns to split by. Without ``tuned_on`` among them, models of different data sets are pooled, each
        with the most training images it had.
    metric, seed, n_boot
        As in :func:`samstudy.statistics.paired_gain`.

    Returns
    -------
    pandas.DataFrame
        As of :func:`samstudy.statistics.paired_gain`: one row per cell with counts, ``before after gain ci_low
        ci_high``, every object counting alike.

    Raises
    ------
    StudyError
        If the table has no rows, or none of the base or of a tuned model.
    """
    needs(table, [*ORIGIN, *OBJECT, "prompt", "mask_choice"])
    before, after = table[table["tuned_on"] == ""], table[table["tuned_on"] != ""]
    if before.empty or after.empty:
        which = "the base" if before.empty else "a tuned model"
        raise StudyError(f"the table has no row of {which}: there is nothing to compare on other data sets.")
    if "tuned_on" not in by:
        after = after.assign(shots=pd.NA)
    return paired_gain(before, after, by, metric, seed, n_boot)


def say_transfer(table: pd.DataFrame) -> str:
    """Say in Markdown what tuned decoders gain and lose on other data sets, and what they have forgotten.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`samstudy.transfer.run` or :func:`~samstudy.transfer.read`.

    Returns
    -------
    str
        Lines for each prompt: mean change in Dice on the own, the other and the general-domain data sets with its
        interval over groups, and how many pairs of decoder and data set lose or gain more than :data:`TOLERANCE`.
        Where nothing was tried, what is missing.
    """
    try:
        cells, pooled = transfer_gains(table), transfer_gains(table, ("prompt", "trial"))
    except StudyError as error:
        return f"Not tried here: {error}"
    n_decoders = len(cells.drop_duplicates(["tuned_on", "tuned_target"]))
    lines = [
        f"{n_decoders} decoder(s), each tuned for one target of one data set. Dice after minus before, same objects:"
    ]
    for prompt in pooled["prompt"].unique():
        lines.append(f"\n* `{prompt}`")
        for row in pooled[pooled["prompt"] == prompt].itertuples():
            of_trial = cells[(cells["prompt"] == prompt) & (cells["trial"] == row.trial)]
            lines.append(f"  * {_TRIALS[row.trial]}: {_change(row)} {_pairs(of_trial)}")
    return "\n".join(lines)


def _change(row: Any) -> str:
    change = format_cell(row.gain, row.ci_low, row.ci_high)
    note = f" ({row.note})" if row.note else ""
    return f"{change} over {row.n_objects} objects in {row.n_images} images of {row.n_groups} groups{note}."


def _pairs(cells: pd.DataFrame) -> str:
    """Say how many cells of the matrix lose or gain, and which most."""
    known = cells[cells["gain"].notna()]
    if known.empty:
        return "No pair has a score."
    loses, gains = (known["gain"] < -TOLERANCE).sum(), (known["gain"] > TOLERANCE).sum()
    worst, best = known.loc[known["gain"].idxmin()], known.loc[known["gain"].idxmax()]
    counted = f"Of {len(known)} pair(s) of decoder and data set {loses} lose and {gains} gain more than {TOLERANCE:g}"
    if len(known) == 1:
        return f"{counted}."
    return f"{counted}: from {_named(worst)} to {_named(best)}."


def _named(cell: pd.Series) -> str:
    gain = format_cell(cell["gain"])
    return f"{gain} (*{cell['tuned_target']}* of {shown_name(cell['tuned_on'])} on {shown_name(cell['dataset'])})"
