"""The verdicts computed a second time, from ``study.yaml`` and the score tables alone; see ``recomputed.py``.

Data sets weigh alike in a mean, and so do the targets of each; groups are drawn within each data set. Also the tests
between modes and between data sets that ``30_summary`` prints. Nothing here may import samstudy.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
import pandas as pd
from recomputed import (
    BASELINE,
    CELL,
    GROUP,
    LEAST_GROUPS,
    OBJECT,
    Row,
    draws_of,
    epsilon_squared,
    friedman,
    headline,
    holm,
    interval,
    signed_rank,
    split,
)
from scipy.stats import chi2

_KINDS = ("real", "phantom", "drawn")


def kind_of(dataset: str) -> str:
    """What the images of a data set are."""
    return "phantom" if dataset.startswith("phantom_") else "drawn" if dataset == "heldout_scenes" else "real"


def verdicts(hypotheses: Row, zero: pd.DataFrame, tuned: pd.DataFrame) -> pd.DataFrame:
    """Table 5: a row for each hypothesis, model, prompt and kind of images."""
    zero, tuned = headline(zero), headline(tuned)
    models = [m for m in dict.fromkeys([*zero["model"], *tuned["model"]]) if m != BASELINE]
    rows = []
    for name, test in hypotheses["tests"].items():
        table = tuned if test["compare"] == "gain" else zero
        for model, prompt in product(models, test["prompts"]):
            of_model = table[table["model"] == model]
            asked = of_model[of_model["prompt"] == prompt]
            methods = {*of_model["tuning"]} - {"none"} if test["compare"] == "gain" else set()
            for tuning in methods or {"none"}:
                known = {"hypothesis": name, "model": model, "tuning": tuning, "prompt": prompt}
                judged = asked[asked["tuning"].isin(["none", tuning])]
                rows += [known | found for found in _judged(test, hypotheses["general_domain"], judged)]
    return pd.DataFrame(rows)


def _judged(test: Row, general: Sequence[str], table: pd.DataFrame) -> list[Row]:
    is_general = table["dataset"].isin(general)
    wanted = is_general if test.get("domain") == "general" else ~is_general
    if "datasets" in test:
        wanted &= table["dataset"].str.removeprefix("phantom_").isin(test["datasets"])
    if "targets" in test:
        wanted &= table["target"].isin([*test["targets"], test.get("against")])
    kinds = table["dataset"].map(kind_of)
    rows = []
    for kind in _KINDS:
        here = table[wanted & (kinds == kind)]
        if len(here):
            control = table[is_general & ((kinds == "real") == (kind == "real"))]
            rows.append({"images": kind} | _verdict(test, here, control))
    return rows or [{"images": "none"} | _verdict(test, table.head(0), table.head(0))]


def _verdict(test: Row, rows: pd.DataFrame, control: pd.DataFrame) -> Row:
    value, draws = _number(test, rows, control)
    found = {"side": test["is"], "threshold": test["threshold"], "value": value} | interval(draws)
    if draws is not None and test["compare"] == "spread":
        found["ci_low"], found["ci_high"] = min(found["ci_low"], value), max(found["ci_high"], value)
        found["ci_low_from"] = min(found["ci_low_from"], value)
        found["ci_high_to"] = max(found["ci_high_to"], value)
    return found


def judge(side: str, threshold: float, low: float, high: float) -> str:
    """Verdict that an interval gives: supported where all of it lies beyond the threshold."""
    if np.isnan(low):
        return "not testable here"
    beyond = low > threshold if side == "above" else high < threshold
    return "supported" if beyond else "not supported"


def _number(test: Row, rows: pd.DataFrame, control: pd.DataFrame) -> tuple[float, np.ndarray | None]:
    measure = test["measure"]
    if test["compare"] == "contrast":
        rows = _contrast(rows, test)
    if test["compare"] == "gain":
        rows = _gains(rows, test)
    rows, control = _enough(rows, measure), _enough(control, measure)
    if test["compare"] == "spread":
        return _spread(rows, measure)
    if rows.empty or (test["compare"] == "gap" and control.empty):
        return np.nan, None
    parts = [(control, 1), (rows, -1)] if test["compare"] == "gap" else [(rows, 1)]
    strata, weights = [], []
    for part, sign in parts:
        sets = [of_set for _, of_set in part.groupby("dataset")]
        strata += [_by_target(of_set, measure) for of_set in sets]
        weights += [sign / len(sets)] * len(sets)

    def statistic(drawn: list[list[np.ndarray]]) -> float:
        return sum(
            w * _mean_of_targets(np.sum(groups, axis=0)) for w, groups in zip(weights, drawn, strict=True)
        )

    return statistic(strata), draws_of(strata, statistic)


def _enough(rows: pd.DataFrame, measure: str) -> pd.DataFrame:
    scored = rows.dropna(subset=measure)
    n_groups = scored.groupby("dataset")["group_id"].transform("nunique")
    return scored[n_groups >= LEAST_GROUPS]


def _by_target(rows: pd.DataFrame, measure: str) -> list[np.ndarray]:
    """Sum and number of the scores of each target, 2 x targets, for every group."""
    sums = rows.pivot_table(index="group_id", columns="target", values=measure, aggfunc="sum", fill_value=0)
    numbers = rows.pivot_table(
        index="group_id", columns="target", values=measure, aggfunc="count", fill_value=0
    )
    return list(np.stack([sums.to_numpy(float), numbers.to_numpy(float)], axis=1))


def _mean_of_targets(sums: np.ndarray) -> float:
    shown = sums[1] > 0
    return float((sums[0, shown] / sums[1, shown]).mean())


def _contrast(rows: pd.DataFrame, test: Row) -> pd.DataFrame:
    measure, (target,), against = test["measure"], test["targets"], test["against"]
    of_image = rows.groupby(["dataset", "image_id", "group_id", "target"])[measure].mean().unstack()  # noqa: PD010
    difference = of_image.get(target, np.nan) - of_image.get(against, np.nan)
    return pd.Series(difference, of_image.index, name=measure).reset_index().assign(target="difference")


def _gains(rows: pd.DataFrame, test: Row) -> pd.DataFrame:
    measure = test["measure"]
    before = rows[rows["tuning"] == "none"].set_index([*OBJECT, "prompt"])[measure].rename("before")
    after = rows[(rows["tuning"] != "none") & (rows["shots"] <= test["most_shots"])]
    after = after[after["shots"] == after.groupby("dataset")["shots"].transform("max")]
    each = [*OBJECT, "group_id", "target", "prompt"]
    after = after.groupby(each, as_index=False)[measure].mean()  # repetitions are no further objects
    paired = after.join(before, on=[*OBJECT, "prompt"])
    return paired.assign(**{measure: paired[measure] - paired["before"]})


def _spread(rows: pd.DataFrame, measure: str) -> tuple[float, np.ndarray | None]:
    samples = list(_samples(rows, measure).values())
    if len(samples) < 2:
        return np.nan, None
    value = epsilon_squared(samples)
    strata = [[np.array([x]) for x in sample] for sample in samples]
    draws = draws_of(strata, lambda drawn: epsilon_squared([np.concatenate(groups) for groups in drawn]))
    if (draws == value).all():
        return value, draws
    scale = np.arctanh(np.sqrt(np.clip([value, *draws], 0, 1 - np.finfo(float).eps)))
    return value, np.tanh(np.maximum(2 * scale[0] - scale[1:], 0)) ** 2


def _samples(rows: pd.DataFrame, measure: str) -> dict[str, np.ndarray]:
    """One value per group and data set: the mean over its targets of the mean over their objects."""
    of_group = rows.groupby([*GROUP, "target"])[measure].mean().groupby(GROUP).mean()
    return {name: values.to_numpy() for name, values in of_group.groupby("dataset")}


def between_datasets(zero: pd.DataFrame) -> pd.DataFrame:
    """Kruskal and Wallis' test between data sets for each model and prompt, adjusted over the rows."""
    rows = []
    for key, cell in split(headline(zero), ["model", "tuning", "shots", "prompt"]):
        samples = _samples(_enough(cell, "dice"), "dice")
        n, k = sum(map(len, samples.values())), len(samples)
        share = epsilon_squared(list(samples.values())) if k > 1 else np.nan
        p = 1.0 if share == 0 else chi2.sf(share * (n - 1), k - 1)
        means = [sample.mean() for sample in samples.values()] or [np.nan]
        found = {"n_groups": n, "n_datasets": k, "statistic": share * (n - 1), "p": p if k > 1 else np.nan}
        rows.append(key | found | {"epsilon_squared": share, "lowest": min(means), "highest": max(means)})
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table["p"]))


def between_modes(zero: pd.DataFrame, against: str | None = None) -> pd.DataFrame:
    """Wilcoxon's test of every two modes in the objects that both scored; each cell is a family of Holm's."""
    rows = []
    for key, cell in split(headline(zero), CELL[:-1]):
        by_mode = {
            mode: of_mode.set_index([*OBJECT, "group_id"])["dice"] for mode, of_mode in split_modes(cell)
        }
        pairs = (
            combinations(by_mode, 2) if against is None else ((m, against) for m in by_mode if m != against)
        )
        tests = []
        for a, b in pairs:
            difference = (by_mode[a] - by_mode[b]).dropna().groupby(GROUP).mean().to_numpy()
            p, effect = signed_rank(difference)
            mean = difference.mean() if len(difference) else np.nan
            found = {"p": p, "rank_biserial": effect, "difference": mean, "n_groups": len(difference)}
            tests.append({"prompt_a": a, "prompt_b": b} | found)
        n_tests = sum(not np.isnan(test["p"]) for test in tests)
        for test, p in zip(tests, holm([test["p"] for test in tests]), strict=True):
            least = min(1.0, n_tests / 2 ** (test["n_groups"] - 1))
            rows.append(key | test | {"p_holm": p, "p_least": least})
    return pd.DataFrame(rows)


def split_modes(cell: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Rows of each prompt mode, in the table's order."""
    return [(key["prompt"], rows) for key, rows in split(cell, ["prompt"])]


def over_modes(zero: pd.DataFrame) -> pd.DataFrame:
    """Friedman's test over all modes, in the objects that every mode scored; adjusted over the rows."""
    rows = []
    for key, cell in split(headline(zero), CELL[:-1]):
        wide = pd.concat(
            {mode: r.set_index([*OBJECT, "group_id"])["dice"] for mode, r in split_modes(cell)}, axis=1
        )
        values = wide.dropna().groupby(GROUP).mean().to_numpy()
        statistic, p = friedman(values)
        kendall = (
            statistic / (len(values) * (values.shape[1] - 1))
            if values.shape[1] > 1 and len(values)
            else np.nan
        )
        rows.append(key | {"n_groups": len(values), "statistic": statistic, "p": p, "kendall_w": kendall})
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table["p"]))


def tally(pairs: pd.DataFrame, level: float = 0.05) -> pd.DataFrame:
    """In how many cells one mode is higher or lower than the other after adjustment."""
    rows = []
    for key, of_pair in split(pairs, ["model", "prompt_a", "prompt_b"]):
        tested = of_pair.dropna(subset="p_holm")
        clear = tested[tested["p_holm"] < level]
        higher, lower = int((clear["rank_biserial"] > 0).sum()), int((clear["rank_biserial"] < 0).sum())
        found = {
            "n_tested": len(tested),
            "n_untested": len(of_pair) - len(tested),
            "higher": higher,
            "lower": lower,
        }
        found["undecidable"] = int((tested["p_least"] >= level).sum())
        rows.append(key | found | {name: tested[name].median() for name in ("difference", "rank_biserial")})
    return pd.DataFrame(rows)
