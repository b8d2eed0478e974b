"""How many training images does a score take? Learning curves in, the smallest number that reaches a level out.

A learning curve is the mean score of the same held-out objects at every number of training images that was evaluated;
0 is the model as it comes. Each object's scores are averaged over the repetitions first. A number that is given was
evaluated: nothing is interpolated between two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from samstudy.bootstrap import resampled_interval
from samstudy.cells import OBJECT, Row, cells, counts, group_codes, left_out, needs, over_repetitions
from samstudy.errors import StudyError
from samstudy.metrics import METRICS
from samstudy.phantoms import shown_name
from samstudy.seeds import rng_for
from samstudy.statistics import BASELINE, headline

CURVE = ("dataset", "target", "model", "tuning", "prompt")
"""Columns that name a learning curve."""
LEVELS, SHARES = (0.8, 0.9), (0.5, 0.9)
"""Scores, and shares of the gain that the most images bring, that are asked for."""
_SERIES = ["dataset", "target", "model", "prompt"]
_NEVER = np.inf


def held_out(rows: pd.DataFrame, name: str = "a learning curve") -> pd.DataFrame:
    """Keep the objects that every stage has scored, at the prompts' headline mask choices.

    A stage is zero-shot, or one tuning method with one number of training images, in any of its repetitions.

    Parameters
    ----------
    rows : pandas.DataFrame
        Scored rows of models before (``tuning == "none"``) and after fine-tuning.
    name : str
        What needs them, for the error sentence.

    Returns
    -------
    pandas.DataFrame
        Rows with ``stage`` added, a pair (tuning, shots).

    Raises
    ------
    StudyError
        If rows before or after are missing, or they share no scored object.
    """
    rows = headline(rows)
    shots = pd.to_numeric(rows["shots"]).fillna(0).astype(int)
    rows = rows.assign(shots=shots, stage=list(zip(rows["tuning"], shots, strict=True)))
    before = rows["tuning"] == "none"
    if not before.any() or before.all():
        missing = "zero-shot" if not before.any() else "fine-tuned"
        raise StudyError(
            f"{name} needs rows before and after fine-tuning; this table has no scored {missing} row. "
            "Concatenate the tables of both evaluations on the same split."
        )
    rows = rows[rows["model"].isin(set(rows.loc[~before, "model"]))]
    n_stages = rows.groupby(_SERIES)["stage"].transform("nunique")
    n_seen = rows.groupby([*_SERIES, "image_id", "object_id"])["stage"].transform("nunique")
    kept = rows[(n_seen == n_stages) & (n_stages > 1)]
    if kept.empty:
        raise StudyError(
            f"{name} found no object that was scored both before and after fine-tuning; evaluate both on the "
            "same split of the same data set."
        )
    return kept


def images_needed(
    table: pd.DataFrame,
    levels: Sequence[float] = LEVELS,
    shares: Sequence[float] = SHARES,
    metric: str = "dice",
    seed: int = 0,
    n_boot: int = 2000,
) -> pd.DataFrame:
    """Find the smallest number of training images at which the mean score reaches a level.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table of the fine-tuning stage; the baseline's rows are not looked at.
    levels : sequence of float
        Scores to reach.
    shares : sequence of float
        Shares, above 0 and up to 1, of the gain from zero-shot to the most images evaluated. Where these bring no
        gain there is nothing to reach.
    metric : str
        A fraction in :data:`samstudy.metrics.METRICS`.
    seed, n_boot : int
        Seed and number of bootstrap resamples over groups.

    Returns
    -------
    pandas.DataFrame
        One row per curve (:data:`CURVE`) and goal: ``metric``; ``goal`` (``"Dice 0.80"``, ``"50 % of the gain"``);
        ``level``, the score that it means; ``n_needed``, 0 where zero-shot is there, infinite where no number evaluated
        gets there (more than ``most_shots``), NaN where there is no gain; ``ci_low ci_high``, its interval over groups,
        each end moved outward to a number that was evaluated; ``most_shots``; ``score_zero`` and ``score_most``, the
        curve's ends; ``is_kept``, whether all larger numbers reach the level too, as a curve need not rise;
        ``n_repetitions``, the fewest at any number; counts as in :func:`samstudy.statistics.summarise`, a score being
        one object's at one number; ``n_left_out left_out``, objects that not every stage has scored; ``note``.

        The interval is that of the first number to reach the level, found anew on each resample; for shares so is the
        gain, and a resample without one counts as never: an infinite ``ci_high`` then means that the gain's own
        interval reaches down to 0.

    Raises
    ------
    StudyError
        As :func:`held_out`; also if a column is missing or the metric is no fraction.
    """
    if METRICS[metric].unit != "fraction":
        raise StudyError(f"images are counted up to a fraction such as dice, not {metric!r}.")
    needs(table, [*CURVE, metric, *OBJECT, "group_id", "shots", "fold", "mask_choice", "iou_pred", "status"])
    of_models = table[table["model"] != BASELINE]
    kept = held_out(of_models[of_models[metric].notna()], "images_needed")
    goals = [(f"{METRICS[metric].title} {_digits(level)}", level, False) for level in levels]
    goals += [(f"{share:.0%} of the gain".replace("%", " %"), share, True) for share in shares]
    found = []
    for key, curve in _curves(kept):
        dropped = _dropped(of_models, curve, key)
        wide = over_repetitions(curve, metric).pivot_table(
            index=[*OBJECT, "group_id"], columns="shots", values=metric
        )
        stands_on = (
            counts(wide.reset_index()) | {"n_scores": wide.size} | left_out(dropped, metric, "unpaired")
        )
        repeated = {"n_repetitions": int(curve[curve["shots"] > 0].groupby("shots")["fold"].nunique().min())}
        for goal in goals:
            found.append(
                key | {"metric": metric} | _reached(wide, *goal, seed, n_boot) | repeated | stands_on
            )
    return pd.DataFrame(found)


def _digits(level: float) -> str:
    return f"{level:.2f}" if round(level, 2) == level else f"{level:g}"


def _curves(kept: pd.DataFrame) -> list[tuple[Row, pd.DataFrame]]:
    """Each tuning method's rows together with those before it."""
    made = []
    for key, series in cells(kept, _SERIES):
        before = series[series["tuning"] == "none"]
        for name, after in series[series["tuning"] != "none"].groupby("tuning", sort=False):
            ordered = {column: key.get(column, name) for column in CURVE}
            made.append((ordered, pd.concat([before, after])))
    return made


def _dropped(table: pd.DataFrame, curve: pd.DataFrame, key: Row) -> pd.DataFrame:
    """One row for each object of the curve's target and prompt that is not in it."""
    same = (table[_SERIES] == [key[column] for column in _SERIES]).all(axis=1)
    of_cell = table[same & table["tuning"].isin(["none", key["tuning"]])]
    known = pd.MultiIndex.from_frame(curve[OBJECT])
    outside = of_cell[~pd.MultiIndex.from_frame(of_cell[OBJECT]).isin(known)]
    return outside.sort_values("status", kind="stable").drop_duplicates(OBJECT)


def _reached(wide: pd.DataFrame, goal: str, value: float, is_share: bool, seed: int, n_boot: int) -> Row:
    shots = wide.columns.to_numpy(np.float64)
    codes = group_codes(wide.reset_index())
    sums = np.stack([np.bincount(codes, scores) for scores in wide.to_numpy().T], axis=1)
    sizes = np.bincount(codes)

    def first(weights: np.ndarray) -> np.ndarray:
        means = (weights @ sums) / (weights @ sizes)[:, None]
        reaches = means >= _level(means, value, is_share)[:, None] - 1e-12
        return np.where(reaches.any(axis=1), shots[reaches.argmax(axis=1)], _NEVER)

    once = np.ones((1, len(sizes)))
    means = wide.to_numpy().mean(axis=0)
    level, needed = float(_level(means[None], value, is_share)[0]), float(first(once)[0])
    interval = resampled_interval(first, len(sizes), sums.size, rng_for(seed, "bootstrap"), n_boot)
    no_gain = is_share and not np.isfinite(level)
    low, high = (np.nan, np.nan) if no_gain else _outward(shots, interval.low, interval.high)
    below = shots[(shots > needed) & (means < level - 1e-12)]
    said = [f"{shots[-1]:g} images bring no gain"] if no_gain else [interval.note]
    said += ["the gain may be none: its interval reaches down to 0"] if is_share and np.isinf(high) else []
    said += [f"with {below[0]:g} images the mean is below it again"] if len(below) else []
    return (
        {"goal": goal, "level": np.nan if no_gain else level, "n_needed": np.nan if no_gain else needed}
        | {"ci_low": low, "ci_high": high, "most_shots": int(shots[-1])}
        | {"score_zero": means[0], "score_most": means[-1], "is_kept": not len(below)}
        | {"note": "; ".join(filter(None, said))}
    )


def _level(means: np.ndarray, value: float, is_share: bool) -> np.ndarray:
    """Score to reach on each resample: infinite where a share of no gain is asked for."""
    if not is_share:
        return np.full(len(means), value)
    gain = means[:, -1] - means[:, 0]
    return np.where(gain > 0, means[:, 0] + value * gain, np.inf)


def _outward(shots: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Move the ends of an interval, which may lie between two numbers, to numbers that were evaluated."""
    if np.isnan([low, high]).any():
        return low, high
    ends = np.append(shots, _NEVER)
    return float(ends[ends <= low].max()), float(ends[ends >= high].min())


def say_needed(found: pd.DataFrame) -> str:
    """Say in Markdown how many curves reach each goal, and with how many images.

    Parameters
    ----------
    found : pandas.DataFrame
        From :func:`images_needed`.

    Returns
    -------
    str
        A line per method and goal; then how many curves fall below a level again.
    """
    if found.empty:
        return "There is no learning curve."
    lines = []
    for (tuning, goal), rows in found.groupby(["tuning", "goal"], sort=False):
        lines.append(f"* {tuning}, {goal}: {_sentence(rows)}.")
    back = found[~found["is_kept"]]
    if len(back):
        lines.append(
            f"* In {len(back)} of {len(found)} cases the mean falls below the level again with more images: the "
            "smallest number is then not the one from which on it holds."
        )
    return "\n".join(lines)


def _sentence(rows: pd.DataFrame) -> str:
    of = f"of {len(rows)} curves"
    parts = []
    n_zero = int((rows["n_needed"] == 0).sum())
    if n_zero:
        parts.append(f"zero-shot is there in {n_zero} {of}")
    reached = rows[(rows["n_needed"] > 0) & np.isfinite(rows["n_needed"])]
    for n, alike in reached.groupby("n_needed"):
        parts.append(f"{n:g} image{'' if n == 1 else 's'} in {len(alike)}{'' if parts else f' {of}'}")
    never = rows[np.isinf(rows["n_needed"])]
    if len(never):
        names = [
            f"{shown_name(row.dataset)} {row.target} `{row.prompt}` (> {row.most_shots})"
            for row in never.itertuples()
        ]
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        parts.append(f"not reached in {len(never)}{'' if parts else f' {of}'}: {shown}")
    for note, words in (("bring no gain", "no gain to share in"), ("may be none", "the gain may be none in")):
        n_alike = int(rows["note"].str.contains(note).sum())
        if n_alike:
            parts.append(f"{words} {n_alike}{'' if parts else f' {of}'}")
    return "; ".join(parts)
