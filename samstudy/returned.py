"""How often did the target come back although the prompt was elsewhere? Rates with intervals, and sentences.

Reads the table of :mod:`samstudy.sensitivity`; its columns are here, so that reading it needs no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from samstudy.bootstrap import mean_interval
from samstudy.cells import OBJECT, Row, cells, counts, group_codes, needs, refuse_pooling
from samstudy.errors import StudyError
from samstudy.seeds import rng_for
from samstudy.statistics import GRID
from samstudy.tables import format_cell

RETURNED_DICE = 0.5
"""Dice with the target from which an answer to a prompt elsewhere counts as the target."""

COLUMNS = (
    "dataset dataset_options split image_id group_id object_id target model weights_sha tuning shots fold prompt "
    "prompt_seed place overlap distance_px dice returned n_ref_px n_pred_px status error"
).split()
"""Columns in order; one row is one object x model x prompt x place. ``dice`` is with the target, not with what is at
the place; ``returned`` is 1 where it is at least :data:`RETURNED_DICE`, else 0. ``overlap`` and ``distance_px`` are
those of :class:`samstudy.places.Place`. ``status``: ok, no_room (nowhere to move the prompt to), ref_empty, error."""

_WHOLE = ["shots", "fold", "prompt_seed", "place", "n_ref_px", "n_pred_px"]
_REAL = ["overlap", "distance_px", "dice", "returned"]
_POOLED = ("model", "tuning", "prompt")


def with_types(rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows the columns of :data:`COLUMNS` in order, with types that Parquet keeps; what is absent is missing."""
    table = rows.reindex(columns=COLUMNS).reset_index(drop=True)
    text = [name for name in COLUMNS if name not in (*_WHOLE, *_REAL)]
    table[text] = table[text].astype(object).fillna("")
    return table.astype(dict.fromkeys(_WHOLE, "Int64") | dict.fromkeys(_REAL, "float64"))


def rates(table: pd.DataFrame, by: Sequence[str] = GRID, seed: int = 0, n_boot: int = 2000) -> pd.DataFrame:
    """How often the target came back although the prompt was elsewhere, and how that differs from zero-shot.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`samstudy.sensitivity.run` or :func:`~samstudy.sensitivity.read`.
    by : sequence of str
        Columns to split by; repetitions (``fold``) and places that are not named are pooled.
    seed, n_boot : int
        Seed and number of bootstrap resamples over groups.

    Returns
    -------
    pandas.DataFrame
        One row per cell: ``by``; ``n_objects n_images n_groups n_scores`` of what was asked; ``n_no_room``, objects for
        which there was no place; ``n_left_out`` and ``left_out``, rows without an answer; ``n_returned``; ``rate`` with
        ``ci_low ci_high``; ``mean_dice`` with the target; ``zero_shot``, the rate of the untuned model at the same
        places; ``change``, the rate minus that, with ``change_low change_high``; ``note``. NaN where nothing was
        asked; of the untuned model the change is 0.

    Raises
    ------
    StudyError
        If the table has no rows, lacks a column, or a cell would pool different models, numbers of images or prompts.
    """
    needs(table, [*by, *COLUMNS])
    rows = []
    for key, cell in cells(_beside_zero_shot(table), by):
        asked = cell[cell["status"] == "ok"]
        refuse_pooling(asked, "dice")
        rate, change = (_mean(asked, column, seed, n_boot) for column in ("returned", "change"))
        no_room = cell[cell["status"] == "no_room"]
        rows.append(
            key
            | counts(asked)
            | {"n_no_room": len(no_room.drop_duplicates(OBJECT)), **_unanswered(cell)}
            | {"n_returned": int(asked["returned"].sum())}
            | {"rate": rate[0], "ci_low": rate[1], "ci_high": rate[2], "mean_dice": asked["dice"].mean()}
            | {"zero_shot": asked["zero_shot"].mean()}
            | {"change": change[0], "change_low": change[1], "change_high": change[2], "note": rate[3]}
        )
    return pd.DataFrame(rows)


def _beside_zero_shot(table: pd.DataFrame) -> pd.DataFrame:
    keys = [*OBJECT, "prompt", "place", "model"]
    before = table.loc[table["tuning"] == "none", [*keys, "returned"]].drop_duplicates(keys)
    beside = table.merge(before.rename(columns={"returned": "zero_shot"}), on=keys, how="left")
    return beside.assign(change=beside["returned"] - beside["zero_shot"])


def _mean(asked: pd.DataFrame, column: str, seed: int, n_boot: int) -> tuple[float, float, float, str]:
    known = asked[asked[column].notna()]
    if known.empty:
        return np.nan, np.nan, np.nan, "nothing was asked"
    values = known[column].to_numpy(np.float64)
    return float(values.mean()), *mean_interval(
        values, group_codes(known), rng_for(seed, "bootstrap"), n_boot
    )


def _unanswered(cell: pd.DataFrame) -> Row:
    reasons = cell.loc[cell["status"] != "ok", "status"].value_counts().sort_index()
    said = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return {"n_left_out": int(reasons.sum()), "left_out": said}


def most_images(table: pd.DataFrame) -> pd.DataFrame:
    """Keep zero-shot rows, and of each data set's and target's tuned models those of the most training images."""
    tuned = table["tuning"] != "none"
    most = table["shots"].where(tuned).groupby([table["dataset"], table["target"]]).transform("max")
    return table[~tuned | (table["shots"] == most)]


def say_sensitivity(table: pd.DataFrame) -> str:
    """Say in Markdown how often the target came back from elsewhere, zero-shot and after tuning.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`samstudy.sensitivity.run` or :func:`~samstudy.sensitivity.read`.

    Returns
    -------
    str
        A line for each model, prompt and way of tuning, over all data sets of the table, every prompt counting alike;
        of the tuned models those of the most images. Where there are no rows, what is missing.
    """
    try:
        # numbers of images differ between data sets: here they are one, the most there are
        found = rates(most_images(table).assign(shots=pd.NA), _POOLED)
    except StudyError as error:
        return f"Not counted here: {error}"
    asked = (
        "Every prompt moved to where its target is not; *returned* means that the answer has a Dice of at least "
        f"{RETURNED_DICE:g} with the target all the same. A mode that names no single place (`automatic`) is left out."
    )
    return "\n".join([asked, "", *(_line(row) for row in found.to_dict("records"))])


def _line(row: Mapping[str, Any]) -> str:
    is_tuned = row["tuning"] != "none"
    how = f"tuned ({row['tuning']}) with the most images" if is_tuned else "zero-shot"
    room = f" No room for {row['n_no_room']} objects." if row["n_no_room"] else ""
    who = f"* {row['model']}, `{row['prompt']}`, {how}"
    if not row["n_scores"]:
        return f"{who}: nothing could be asked.{room}"
    said = [
        f"{who}: returned in {row['n_returned']} of {row['n_scores']} answers about {row['n_objects']} objects, a rate "
        f"of {format_cell(row['rate'], row['ci_low'], row['ci_high'])}; mean Dice with the target "
        f"{row['mean_dice']:.2f}."
    ]
    if is_tuned:
        change = format_cell(row["change"], row["change_low"], row["change_high"])
        said.append(f"Against zero-shot at the same places: {change}.")
    if row["note"]:
        said.append(f"{row['note'].capitalize()}.")
    return " ".join(said) + room
