"""What fine-tuning changes on long thin targets: Dice, clDice, precision, and recall by calibre, before and after."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from samstudy.cells import cells, needs
from samstudy.phantoms import shown_name
from samstudy.statistics import BASELINE, paired_gain
from samstudy.tables import format_cell
from samstudy.types import AUTOMATIC
from samstudy.vessels import CALIBRES_PX

RECALLS = tuple(f"recall_{name}" for name in CALIBRES_PX)
MEASURES = ("dice", "cldice", "precision", *RECALLS)
"""What is told of a long thin target. Recall does not punish what a mask adds, so precision stands beside it."""

_LEAST_SHARE = 0.5
_READ = ("dataset", "target", "model", "tuning", "shots", "prompt", "status", "n_ref_px", "n_pred_px", "dice")


def tubular_targets(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Name the targets that are long and thin: at least half of their scored rows have a clDice.

    clDice is scored where a reference is tubular (:func:`samstudy.vessels.is_tubular`); of a fluid pocket that is one
    now and then.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table; may hold several data sets.

    Returns
    -------
    list of (str, str)
        Pairs (data set, target) in order of appearance; empty where none is long and thin.
    """
    needs(table, ["dataset", "target", "dice", "cldice"])
    scored = table[table["dice"].notna()]
    shares = scored["cldice"].notna().groupby([scored["dataset"], scored["target"]], sort=False).mean()
    return list(shares.index[shares >= _LEAST_SHARE])


def tubular_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of long thin targets: objects with a clDice, and errors, so that they are counted.

    Returns
    -------
    pandas.DataFrame
        A part of the table; without rows where no target is long and thin.
    """
    mine = pd.MultiIndex.from_frame(table[["dataset", "target"]]).isin(tubular_targets(table))
    return table[mine & (table["cldice"].notna() | (table["status"] == "error"))]


def precision(rows: pd.DataFrame) -> pd.Series:
    """Share of a mask's pixels that are the reference's, from Dice and the two sizes.

    Dice is ``2 t / (r + p)`` with ``t`` common pixels, ``r`` of the reference and ``p`` of the mask, hence precision is
    ``t / p = dice (r + p) / (2 p)``.

    Parameters
    ----------
    rows : pandas.DataFrame
        With ``dice n_ref_px n_pred_px``.

    Returns
    -------
    pandas.Series, float64
        In [0, 1]; 0 for an empty mask, NaN where Dice or a size is missing.
    """
    n_ref, n_pred = (pd.to_numeric(rows[name]).astype("Float64") for name in ("n_ref_px", "n_pred_px"))
    share = rows["dice"] * (n_ref + n_pred) / (2 * n_pred.where(n_pred > 0))
    return share.where(n_pred != 0, rows["dice"]).astype("float64")


def as_metric(rows: pd.DataFrame, measure: str) -> tuple[pd.DataFrame, str]:
    """Return rows and the column that holds a measure, for the functions of :mod:`samstudy.statistics`.

    Precision is no column of the score table. It takes the place of Dice in the rows returned: both are
    fractions and are averaged alike.
    """
    if measure != "precision":
        return rows, measure
    return rows.assign(dice=precision(rows)), "dice"


def vessel_gains(table: pd.DataFrame, seed: int = 0, n_boot: int = 2000) -> pd.DataFrame:
    """Long thin targets before and after fine-tuning, on the same held-out objects.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table of fine-tuning: rows with ``tuning == "none"`` and of tuned models.
    seed, n_boot : int
        Seed and number of bootstrap resamples of the differences.

    Returns
    -------
    pandas.DataFrame
        Rows of :func:`samstudy.statistics.paired_gain` (``before``, ``after``, ``gain`` with ``ci_low ci_high``,
        counts) for each of :data:`MEASURES`, named in ``metric``; a measure that no object has, such as the recall of
        thick parts where nothing is thick, has no rows. No rows at all where no target is long and thin.

    Raises
    ------
    StudyError
        If a column is missing or the table is empty; if there is no row before or after, or no object in both.
    """
    needs(table, [*_READ, "cldice", *RECALLS])
    rows = tubular_rows(table)
    rows = rows[rows["model"] != BASELINE]
    found = []
    for _, of_model in rows.groupby("model", sort=False):
        for measure in MEASURES:
            scored, metric = as_metric(of_model, measure)
            is_before = scored["tuning"] == "none"
            if scored[metric].notna().any():
                gains = paired_gain(
                    scored[is_before], scored[~is_before], metric=metric, seed=seed, n_boot=n_boot
                )
                found.append(gains.assign(metric=measure))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=[*_READ[:6], "metric"])


def say_vessels(gains: pd.DataFrame) -> str:
    """Tell what fine-tuning changed on long thin targets, without a prompt and beside the prompts.

    Parameters
    ----------
    gains : pandas.DataFrame
        From :func:`vessel_gains`. Of several numbers of training images the largest is told.

    Returns
    -------
    str
        Markdown: a line for each data set, target, model and method; one sentence where there is none.
    """
    if gains.empty:
        return "No target of this run is long and thin."
    lines = []
    for key, cell in cells(gains, ["dataset", "target", "model", "tuning"]):
        most = cell[cell["shots"] == cell.groupby("prompt")["shots"].transform("max")]
        name = f"{shown_name(key['dataset'])}, *{key['target']}* ({key['model']}, {key['tuning']})"
        lines.append(f"* {name}: {' '.join(_sentences(most))}")
    beside = "Recall is read beside precision: a mask that covers everything finds everything."
    return "\n".join([*lines, "", beside])


def _sentences(most: pd.DataFrame) -> Iterator[str]:
    alone = most[most["prompt"] == AUTOMATIC].set_index("metric")
    if alone.empty:
        yield "no model was tuned to answer without a prompt."
    else:
        dice = alone.loc["dice"]
        yield (
            f"without a prompt and tuned on {dice['shots']} image(s), mean Dice goes from {dice['before']:.2f} to "
            f"{dice['after']:.2f}, a gain of {_gain(dice)} over {dice['n_objects']} objects; {_others(alone)}."
        )
    prompted = most[(most["prompt"] != AUTOMATIC) & (most["metric"] == "dice")]
    if len(prompted):
        said = [f"`{row.prompt}` {row.before:.2f} to {row.after:.2f}" for row in prompted.itertuples()]
        yield f"With a prompt, mean Dice before and after: {', '.join(said)}."


def _others(alone: pd.DataFrame) -> str:
    words = {"cldice": "clDice", "precision": "precision"}
    words |= {recall: f"recall of {name} parts" for recall, name in zip(RECALLS, CALIBRES_PX, strict=True)}
    told = [(word, alone.loc[measure]) for measure, word in words.items() if measure in alone.index]
    return ", ".join(f"{word} {row['before']:.2f} to {row['after']:.2f}" for word, row in told)


def _gain(row: pd.Series) -> str:
    return format_cell(row["gain"], row["ci_low"], row["ci_high"])
