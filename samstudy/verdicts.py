"""The claims judged: hypotheses of ``study.yaml`` and score tables in, verdicts with their numbers out.

*supported*: the whole 95 % interval lies beyond the threshold, on the stated side. *not supported*: it does not; where
it holds the threshold the note says that the run cannot tell. *not testable here*: there are no rows for it, or too
few patients for an interval; the note says which. Real and drawn images are never put together, and neither are
fine-tuning methods: each gets a verdict of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pandas as pd

from samstudy.cells import OBJECT, Row, needs, over_repetitions, paired
from samstudy.errors import StudyError
from samstudy.findings import Finding, balanced_mean, nothing, rank_spread
from samstudy.hypotheses import Hypotheses, Hypothesis
from samstudy.metrics import METRICS
from samstudy.phantoms import PREFIX, kind_of_images
from samstudy.statistics import BASELINE, headline
from samstudy.tables import format_cell

SUPPORTED, NOT_SUPPORTED, NOT_TESTABLE = "supported", "not supported", "not testable here"
COLUMNS = (
    "claim hypothesis says model tuning prompt images verdict compare metric value ci_low ci_high side threshold "
    "n_groups n_objects datasets n_left_out left_out figure note"
).split()
"""Columns of the verdicts; ``side`` is the side of the ``threshold`` that the hypothesis claims, ``tuning`` the method
whose gain is judged, ``none`` where no tuned model is."""

_WORDS = {
    "level": "mean {}",
    "gap": "mean {} on general-domain images minus that on these",
    "contrast": "difference in mean {}",
    "spread": "epsilon squared of {} between data sets",
    "gain": "change of mean {}",
}


def verdicts(
    hypotheses: Hypotheses,
    zero: pd.DataFrame,
    tuned: pd.DataFrame | None = None,
    seed: int = 0,
    n_boot: int = 2000,
) -> pd.DataFrame:
    """Judge every hypothesis for every model and prompt mode that it names.

    Parameters
    ----------
    hypotheses : Hypotheses
        From :func:`samstudy.study.load_study`.
    zero : pandas.DataFrame
        Zero-shot score table, reduced by :func:`samstudy.statistics.headline` here.
    tuned : pandas.DataFrame, optional
        Score table of the fine-tuning stage, for gains.
    seed, n_boot : int
        Seed and number of bootstrap resamples.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`COLUMNS`; one row per hypothesis, model, fine-tuning method (for gains), prompt and kind of
        images (``images``: real, phantom, drawn for the drawn scenes, or none), in that order. No hypotheses: no
        rows. A gain takes of each data set the most images up to the hypothesis' ``most_shots``, and each object's
        mean over the repetitions; the note says with how many of both.

    Raises
    ------
    StudyError
        If a table has no rows, lacks a column, or a measure is no fraction.
    """
    columns = "model prompt mask_choice iou_pred tuning shots fold target group_id status".split()
    needs(zero, [*columns, *OBJECT])
    zero = headline(zero)
    tuned = zero.head(0) if tuned is None else headline(tuned)
    rows = []
    for test in hypotheses.tests:
        if METRICS[test.measure].unit != "fraction":
            raise StudyError(f"hypothesis {test.name}: {test.measure!r} is no fraction; use dice or another.")
        for model, tuning, prompt, asked in _asked(test, zero, tuned):
            for images, found in _findings(test, hypotheses, asked, seed, n_boot):
                rows.append(_row(test, model, tuning, prompt, images, found))
    return pd.DataFrame(rows, columns=COLUMNS)


def _asked(
    test: Hypothesis, zero: pd.DataFrame, tuned: pd.DataFrame
) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """Yield model, fine-tuning method, prompt and the rows that a verdict is about; for a gain those before it too."""
    models = [name for name in dict.fromkeys([*zero["model"], *tuned["model"]]) if name != BASELINE]
    table = tuned if test.compare == "gain" else zero
    for model in models:
        of_model = table[table["model"] == model]
        methods = [name for name in of_model["tuning"].unique() if name != "none"]
        for tuning, prompt in product((test.compare == "gain" and methods) or ["none"], test.prompts):
            wanted = of_model["tuning"].isin(["none", tuning]) & (of_model["prompt"] == prompt)
            yield model, tuning, prompt, of_model[wanted]


def say(found: pd.DataFrame, claim: str) -> str:
    """Return the verdicts on one claim as Markdown: a sentence each, with number, interval, n and figure.

    Parameters
    ----------
    found : pandas.DataFrame
        From :func:`verdicts`.
    claim : str
        ``"C1"`` and so on; a claim without a hypothesis is said to have none.
    """
    lines = []
    for says, of_test in found[found["claim"] == claim].groupby("says", sort=False):
        lines.append(f"*{says[0].upper()}{says[1:]}.*\n")
        lines += [f"* {_sentence(row)}" for row in of_test.itertuples()]
        lines.append("")
    return "\n".join(lines) or f"study.yaml states no hypothesis about {claim}."


def _sentence(row: tuple) -> str:
    method = "" if row.tuning == "none" else f" ({row.tuning})"
    about = f"**{row.verdict}**: {row.model}{method}, `{row.prompt}`"
    if np.isnan(row.value):
        return f"{about}: {row.note}."
    words = _WORDS[row.compare].format(METRICS[row.metric].title)
    without = f"; left out: {row.left_out}" if row.left_out else ""
    note = f" ({row.note})" if row.note else ""
    return (
        f"{about}, {row.datasets}: {words} {format_cell(row.value, row.ci_low, row.ci_high)}, to be {row.side} "
        f"{row.threshold:g}; n = {row.n_objects} objects of {row.n_groups} groups{without}; see {row.figure}{note}."
    )


def _row(test: Hypothesis, model: str, tuning: str, prompt: str, images: str, found: Finding) -> Row:
    verdict, undecided = _judge(test, found)
    numbers = found._asdict()
    known = {name: getattr(test, name) for name in ("claim", "says", "compare", "side", "threshold")}
    return (
        known
        | {
            "hypothesis": test.name,
            "metric": test.measure,
            "model": model,
            "tuning": tuning,
            "prompt": prompt,
            "images": images,
            "verdict": verdict,
        }
        | {"value": numbers.pop("value"), "ci_low": numbers.pop("low"), "ci_high": numbers.pop("high")}
        | numbers
        | {"figure": test.figure.replace("{model}", model)}
        | {"note": "; ".join(filter(None, (undecided, found.note)))}
    )


def _judge(test: Hypothesis, found: Finding) -> tuple[str, str]:
    if np.isnan([found.value, found.low, found.high]).any():
        return NOT_TESTABLE, ""
    beyond = found.low > test.threshold if test.side == "above" else found.high < test.threshold
    if beyond:
        return SUPPORTED, ""
    holds = found.low <= test.threshold <= found.high and found.low < found.high
    return NOT_SUPPORTED, "the interval holds the threshold: this run cannot tell" if holds else ""


def _findings(
    test: Hypothesis, hypotheses: Hypotheses, table: pd.DataFrame, seed: int, n_boot: int
) -> Iterator[tuple[str, Finding]]:
    benchmark = table["dataset"].str.removeprefix(PREFIX)
    is_general = hypotheses.is_general(table["dataset"])
    wanted = is_general if test.domain == "general" else ~is_general
    if test.datasets:
        wanted &= benchmark.isin(test.datasets)
    if test.targets:
        wanted &= table["target"].isin([*test.targets, test.against])
    rows = table[wanted]
    if rows.empty:
        yield "none", nothing(_absent(test, hypotheses.general_domain))
        return
    kind = table["dataset"].map(kind_of_images)
    for images in ("real", "phantom", "drawn"):
        here = rows[kind[wanted] == images]
        if len(here):
            is_alike = (kind == "real") == (images == "real")
            yield images, _compare(test, here, table[is_general & is_alike], seed, n_boot)


def _absent(test: Hypothesis, general_domain: tuple[str, ...]) -> str:
    kind = "fine-tuning" if test.compare == "gain" else "zero-shot"
    parts = [f"data set {' or '.join(test.datasets)}"] if test.datasets else []
    if test.domain == "general":
        parts.append(f"general-domain data set ({', '.join(general_domain)})")
    parts += [f"target {' or '.join(filter(None, [*test.targets, test.against]))}"] if test.targets else []
    return f"the {kind} table has no rows of this prompt" + (
        f" with a {' and a '.join(parts)}" if parts else ""
    )


def _compare(test: Hypothesis, rows: pd.DataFrame, control: pd.DataFrame, seed: int, n_boot: int) -> Finding:
    if test.compare == "gap":
        if control.empty:
            kind = "real" if kind_of_images(rows["dataset"].iloc[0]) == "real" else "drawn"
            return nothing(
                f"there is no general-domain data set of {kind} images in this run to compare with"
            )
        return balanced_mean(rows, test.measure, control, seed, n_boot)
    if test.compare == "spread":
        return rank_spread(rows, test.measure, seed, n_boot)
    if test.compare == "gain":
        return _gain(rows, test, seed, n_boot)
    prepared = _differences(rows, test) if test.compare == "contrast" else rows
    if prepared.empty:
        return nothing("no image has both targets")
    return balanced_mean(prepared, test.measure, None, seed, n_boot)


def _differences(rows: pd.DataFrame, test: Hypothesis) -> pd.DataFrame:
    """One row per image: mean of its objects of one target minus that of the other; without a score left out."""
    image = ["dataset", "image_id", "group_id"]
    mean = rows.groupby([*image, "target"], sort=False)[test.measure].mean().reset_index("target")
    by_target = {
        name: mean.loc[mean["target"] == name, test.measure] for name in (*test.targets, test.against)
    }
    of_target = pd.DataFrame(by_target).dropna(how="all").reset_index()
    difference = of_target[test.targets[0]] - of_target[test.against]
    named = f"{test.targets[0]} - {test.against}"
    return of_target[image].assign(
        **{test.measure: difference, "object_id": named, "target": named, "status": "ok"}
    )


def _gain(rows: pd.DataFrame, test: Hypothesis, seed: int, n_boot: int) -> Finding:
    """After minus before, with the largest number of images of each data set that is a small amount of data."""
    before = rows[rows["tuning"] == "none"]
    after = rows[(rows["tuning"] != "none") & (rows["shots"] <= test.most_shots)]
    after = after[after["shots"] == after.groupby("dataset")["shots"].transform("max")]
    if after.empty or before.empty:
        return nothing("no tuned model to compare")
    pairs = paired(over_repetitions(after, test.measure), before, [*OBJECT, "prompt"], test.measure, "before")
    gains = pairs.assign(**{test.measure: pairs[test.measure] - pairs["before"]})
    found = balanced_mean(gains, test.measure, None, seed, n_boot)
    return found._replace(note="; ".join(filter(None, (_pooled(after), found.note))))


def _pooled(after: pd.DataFrame) -> str:
    """Say with how many images and repetitions the models were tuned that a gain is the mean of."""
    shots = after["shots"].astype(int)
    repeated = after.groupby(["dataset", "target"])["fold"].nunique(dropna=False)
    images = f"{_range(shots)} training image{'' if shots.max() == 1 else 's'}"
    times = "" if repeated.max() == 1 else f", each object's mean over {_range(repeated)} repetitions"
    return images + times


def _range(numbers: pd.Series) -> str:
    low, high = numbers.min(), numbers.max()
    return f"{low}" if low == high else f"{low} to {high}"
