"""From the table of controls to its numbers: every method by its name, paired gains, and what they say."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from samstudy.bootstrap import MIN_GROUPS
from samstudy.cells import OBJECT, cells, needs
from samstudy.controls import probe, shuffled, unet
from samstudy.errors import StudyError
from samstudy.otsu import OtsuModel
from samstudy.phantoms import shown_name
from samstudy.statistics import BASELINE, headline, paired_gain
from samstudy.tables import format_cell

TUNED, ZERO_SHOT = "tuned", "zero-shot"
METHODS = {
    TUNED: "SAM, tuned",
    shuffled.TUNING: "SAM, shuffled labels",
    ZERO_SHOT: "SAM, zero-shot",
    unet.NAME: "U-Net from scratch",
    probe.NAME: "linear probe",
    OtsuModel.name: "Otsu's threshold",
    BASELINE: "ellipse (no image)",
}
"""Methods of the table in the order of figures, with their words."""

COMPARISONS = (
    (TUNED, ZERO_SHOT), (shuffled.TUNING, ZERO_SHOT), (TUNED, unet.NAME), (TUNED, probe.NAME),
    (TUNED, OtsuModel.name), (TUNED, BASELINE),
)  # fmt: skip
"""Which method is held against which."""

_CELL = ["dataset", "target", "prompt"]
_SAME = [*OBJECT, "target", "group_id", "model", "tuning", "shots", "prompt", "mask_choice", "method"]


def with_method(table: pd.DataFrame) -> pd.DataFrame:
    """Add the column ``method``: a key of :data:`METHODS`."""
    other = {shuffled.TUNING: shuffled.TUNING, "none": ZERO_SHOT}
    of_sam = table["tuning"].map(lambda tuning: other.get(tuning, TUNED))
    named = table["model"].isin([unet.NAME, probe.NAME, OtsuModel.name, BASELINE])
    return table.assign(method=table["model"].where(named, of_sam))


def one_score_each(table: pd.DataFrame) -> pd.DataFrame:
    """Dice of every object by every method, averaged over repetitions, at the headline mask choices.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table of the stage ``controls``.

    Returns
    -------
    pandas.DataFrame
        One row per object, prompt, model, tuning and number of images, with ``method``; repetitions would otherwise
        count as patients. Objects without a score are not among them.
    """
    needs(table, [*_SAME[:-1], "dice", "iou_pred", "status"])
    rows = with_method(headline(table))
    scored = rows[rows["dice"].notna()]
    means = {"dice": "mean", "iou_pred": "first", "status": "first"}
    return scored.groupby(_SAME, sort=False, as_index=False).agg(means)


def control_gains(table: pd.DataFrame, seed: int = 0, n_boot: int = 2000) -> pd.DataFrame:
    """Paired differences in Dice between the methods of :data:`COMPARISONS`, on the same objects and prompts.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table of the stage ``controls``, of one or more data sets.
    seed, n_boot : int
        Seed and number of bootstrap resamples.

    Returns
    -------
    pandas.DataFrame
        Rows of :func:`samstudy.statistics.paired_gain`, the gain being ``method`` minus ``against``; a comparison that
        a data set, target and prompt does not have is left out. No rows where there is none at all.

    Raises
    ------
    StudyError
        If a column is missing, the table is empty, or has several models or numbers of images for one method.
    """
    rows = one_score_each(table)
    found = []
    for _, cell in cells(rows, _CELL):
        for method, against in COMPARISONS:
            after, before = (cell[cell["method"] == name] for name in (method, against))
            shared = before.merge(after[[*OBJECT, "prompt"]], on=[*OBJECT, "prompt"])
            for side, name in ((after, method), (before, against)):
                if side.duplicated(OBJECT).any():
                    raise StudyError(
                        f"the table has several models or numbers of images for {METHODS[name]!r}: filter it to one."
                    )
            if len(shared):
                gains = paired_gain(before, after, seed=seed, n_boot=n_boot)
                found.append(gains.assign(method=method, against=against))
    columns = [*_CELL, "method", "against", "gain"]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)


def say_controls(gains: pd.DataFrame) -> str:
    """Tell in Markdown what the controls show.

    Parameters
    ----------
    gains : pandas.DataFrame
        From :func:`control_gains`.

    Returns
    -------
    str
        A line for each data set, target and prompt: the mean Dice of the tuned model, and its paired gains with their
        95 % intervals; then in how many of them shuffled labels gained and the tuned model is ahead.
    """
    if gains.empty:
        return "There are no controls of fine-tuning in this run."
    lines = []
    for key, cell in cells(gains, _CELL):
        name = f"{shown_name(key['dataset'])}, *{key['target']}*, `{key['prompt']}`"
        lines.append(f"* {name} ({cell['n_objects'].max()} objects): {'; '.join(_clauses(cell))}.")
    counted = [_count(gains, *pair) for pair in COMPARISONS]
    few = int(gains["ci_low"].isna().sum())
    note = f" ({few} gains have no interval: fewer than {MIN_GROUPS} groups.)" if few else ""
    return "\n".join([*lines, "", f"{' '.join(filter(None, counted))}{note}"])


def _clauses(cell: pd.DataFrame) -> Iterator[str]:
    for method, rows in cell.groupby("method", sort=False):
        said = [
            f"{METHODS[row.against].removeprefix('SAM, ')} {row.before:.2f} "
            f"(gain {format_cell(row.gain, row.ci_low, row.ci_high)})"
            for row in rows.itertuples()
        ]
        yield f"{METHODS[method].removeprefix('SAM, ')} {rows['after'].iloc[0]:.2f} against {', '.join(said)}"


def _count(gains: pd.DataFrame, method: str, against: str) -> str:
    rows = gains[(gains["method"] == method) & (gains["against"] == against)]
    tested = rows[rows["ci_low"].notna()]
    if tested.empty:
        return ""
    ahead, behind = int((tested["ci_low"] > 0).sum()), int((tested["ci_high"] < 0).sum())
    names = (METHODS[name].removeprefix("SAM, ") for name in (method, against))
    return (
        f"**{' − '.join(names)}**: above 0 with all of its interval in {ahead} of {len(tested)}, below in {behind}, "
        f"mean {format_cell(rows['gain'].mean())}."
    )
