"""The study's numbers computed a second time from the score table, by definition and without the package.

Means, intervals, gains, tests, clicks and calibration as ``docs/statistics.md`` defines them, written down plainly:
groups are drawn one by one, ranks are counted, signs are enumerated. ``claims.py`` adds the verdicts and
``recompute.py`` compares. Needs NumPy, SciPy and pandas; nothing here may import samstudy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm, rankdata

CELL = ["dataset", "target", "model", "tuning", "shots", "prompt"]
OBJECT = ["dataset", "image_id", "object_id"]
GROUP = ["dataset", "group_id"]
BASELINE = "ellipse"
LEAST_GROUPS, MOST_ENUMERATED = 5, 13
FAILURE_IOU, BINS = 0.5, 10
N_DRAWS, N_DRAWS_CHECKED, SIGMAS = 4000, 1000, 4.5
"""Resamples here; the fewest in an interval that is checked; how unlikely a difference is called an error."""

Row = dict[str, object]


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """One point, the first click and everything mode: best predicted IoU; other prompts: the single mask."""
    one = table["prompt"].str.match(r"point_|clicks_1$|everything")
    wanted = one.map({True: "predicted_iou", False: "single"})
    has_choice = [
        name
        for name, rows in table.groupby("model")
        if rows["iou_pred"].notna().any() or (rows["mask_choice"] != "single").any()
    ]
    return table[(table["mask_choice"] == wanted) | ~table["model"].isin(has_choice)]


def split(table: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[Row, pd.DataFrame]]:
    """Cells of a table by columns."""
    for key, cell in table.groupby(list(by), sort=False, dropna=False):
        yield dict(zip(by, key, strict=True)), cell


# --- intervals ----------------------------------------------------------------------------------------------


def draws_of(
    strata: Sequence[Sequence[np.ndarray]], statistic: Callable[[list[list[np.ndarray]]], float]
) -> np.ndarray:
    """Values of a statistic when the groups of each stratum are drawn with replacement; groups are arrays of rows."""
    rng = np.random.default_rng(20231947)
    values = np.empty(N_DRAWS)
    for i in range(N_DRAWS):
        values[i] = statistic(
            [[groups[j] for j in rng.integers(0, len(groups), len(groups))] for groups in strata]
        )
    return values


def mean_draws(sums: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Resampled means of rows, given their sums (groups x k) and numbers for each group: resamples x k."""
    chosen = np.random.default_rng(20231947).integers(0, len(sums), (N_DRAWS, len(sums)))
    return sums[chosen].sum(axis=1) / numbers[chosen].sum(axis=1)[:, None]


def interval(draws: np.ndarray | None) -> Row:
    """95 % percentiles, and between which values those of another resampling must lie; NaN without draws."""
    if draws is None:
        return dict.fromkeys(("ci_low", "ci_high"), np.nan)
    reach = SIGMAS * np.sqrt(0.025 * 0.975 * (1 / N_DRAWS_CHECKED + 1 / len(draws)))
    found: Row = {"ci_missing": float(np.isnan(draws).mean())}
    draws = draws[~np.isnan(draws)]
    for name, level in (("ci_low", 0.025), ("ci_high", 0.975)):
        levels = np.clip([level, level - reach, level + reach], 0, 1)
        ends = np.quantile(draws, levels) if len(draws) else [np.nan] * 3
        found |= dict(zip((name, f"{name}_from", f"{name}_to"), map(float, ends), strict=True))
    return found


def _grouped(scored: pd.DataFrame, columns: list[str]) -> tuple[np.ndarray, np.ndarray]:
    groups = scored.groupby(GROUP)[columns]
    return groups.sum().to_numpy(float), groups.size().to_numpy(float)


def _draws(scored: pd.DataFrame, columns: list[str]) -> np.ndarray | None:
    sums, numbers = _grouped(scored, columns)
    return mean_draws(sums, numbers) if len(sums) >= LEAST_GROUPS else None


def _counts(scored: pd.DataFrame, n_rows: int) -> Row:
    return {
        "n_objects": scored.groupby(OBJECT).ngroups,
        "n_groups": scored.groupby(GROUP).ngroups,
        "n_scores": len(scored),
        "n_left_out": n_rows - len(scored),
    }


# --- tables -------------------------------------------------------------------------------------------------


def dice(zero: pd.DataFrame) -> pd.DataFrame:
    """Table 1: mean Dice of each cell at the headline mask."""
    rows = []
    for key, cell in split(headline(zero), CELL):
        scored = cell.dropna(subset="dice")
        draws = _draws(scored, ["dice"])
        rows.append(
            key
            | _counts(scored, len(cell))
            | {"mean": scored["dice"].mean(), "median": scored["dice"].median()}
            | interval(None if draws is None else draws[:, 0])
        )
    return pd.DataFrame(rows)


def skill(zero: pd.DataFrame) -> pd.DataFrame:
    """Table 2: (d - b) / (1 - b) of the mean Dice d of a model and b of the ellipse on the same objects."""
    table = headline(zero)
    beside = table[table["model"] == BASELINE].set_index([*OBJECT, "prompt"])["dice"].rename("beside")
    rows = []
    for key, cell in split(table[table["model"] != BASELINE].join(beside, on=[*OBJECT, "prompt"]), CELL):
        scored = cell.dropna(subset=["dice", "beside"])
        d, b = scored["dice"].mean(), scored["beside"].mean()
        draws = _draws(scored, ["dice", "beside"])
        with np.errstate(invalid="ignore", divide="ignore"):
            of_draws = None if draws is None else (draws[:, 0] - draws[:, 1]) / (1 - draws[:, 1])
            value = np.float64(d - b) / (1 - b) if b < 1 else np.nan
        rows.append(
            key
            | _counts(scored, len(cell))
            | {"mean": d, "baseline_mean": b, "skill": value}
            | interval(None if of_draws is None else np.where(np.isinf(of_draws), np.nan, of_draws))
        )
    return pd.DataFrame(rows)


def gain(tuned: pd.DataFrame) -> pd.DataFrame:
    """Table 3: Dice after minus before fine-tuning, object by object, at the headline mask."""
    of_sam = headline(tuned[tuned["model"] != BASELINE])
    before = of_sam[of_sam["tuning"] == "none"].set_index([*OBJECT, "prompt"])["dice"].rename("before")
    after = of_sam[of_sam["tuning"] != "none"].join(before, on=[*OBJECT, "prompt"])
    after["gain"] = after["dice"] - after["before"]
    rows = []
    for key, cell in split(after, CELL):
        scored = cell.dropna(subset="gain")
        draws = _draws(scored, ["gain"])
        rows.append(
            key
            | _counts(scored, len(cell))
            | {
                "before": scored["before"].mean(),
                "after": scored["dice"].mean(),
                "gain": scored["gain"].mean(),
            }
            | {"n_better": int((scored["gain"] > 0).sum())}
            | {"p_wilcoxon": signed_rank(scored.groupby(GROUP)["gain"].mean().to_numpy())[0]}
            | interval(None if draws is None else draws[:, 0])
        )
    return pd.DataFrame(rows)


def calibration(zero: pd.DataFrame) -> pd.DataFrame:
    """Table 6: predicted against true IoU; AUROC of finding failures by counting ranks."""
    rows = []
    table = headline(zero)
    for key, cell in split(table, ["model", "tuning", "shots", "prompt", "dataset"]):
        scored = cell.dropna(subset=["iou", "iou_pred"])
        if scored.empty:
            continue
        true, said = scored["iou"].to_numpy(float), scored["iou_pred"].to_numpy(float)
        bins = np.clip(np.floor(said * BINS), 0, BINS - 1)
        gaps = [
            abs(said[bins == b].mean() - true[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)
        ]
        constant = np.ptp(said) == 0 or np.ptp(true) == 0
        rho = np.nan if constant else np.corrcoef(rankdata(said), rankdata(true))[0, 1]
        groups = [of_group[["iou", "iou_pred"]].to_numpy(float) for _, of_group in scored.groupby(GROUP)]
        enough = len(groups) >= LEAST_GROUPS
        rows.append(
            key
            | _counts(scored, len(cell))
            | {"mean_iou_pred": said.mean(), "mean_iou": true.mean(), "ece": sum(gaps) / len(said)}
            | {"spearman": rho, "n_failures": int((true < FAILURE_IOU).sum()), "auroc": auroc(true, said)}
            | interval(
                draws_of([groups], lambda drawn: auroc(*np.concatenate(drawn[0]).T)) if enough else None
            )
        )
    return pd.DataFrame(rows)


def auroc(true: np.ndarray, said: np.ndarray) -> float:
    """Share of pairs of a failure and a success of which the failure is predicted worse; ties count a half."""
    failed = true < FAILURE_IOU
    n_failed, n_others = failed.sum(), (~failed).sum()
    if not n_failed or not n_others:
        return np.nan
    ranks = rankdata(-said)
    return float((ranks[failed].sum() - n_failed * (n_failed + 1) / 2) / (n_failed * n_others))


def clicks(zero: pd.DataFrame, goals: Sequence[float] = (0.8, 0.9)) -> pd.DataFrame:
    """Mean number of clicks to a Dice; who never gets there counts with the most clicks made."""
    rows = headline(zero[zero["prompt"].str.match(r"clicks_\d+$")])
    rows = rows.assign(n=rows["prompt"].str.removeprefix("clicks_").astype(int))
    found = []
    for goal, (key, cell) in product(goals, list(split(rows, CELL[:-1]))):
        most, needed = int(rows["n"].max()), []
        for _, of_object in cell.groupby([*OBJECT, "fold"]):
            if of_object["dice"].notna().all():
                good = of_object.loc[of_object["dice"] >= goal, "n"]
                needed.append(
                    (of_object["group_id"].iloc[0], good.min() if len(good) else most, len(good) > 0)
                )
        of_objects = pd.DataFrame(needed, columns=["group_id", "n", "reached"])
        found.append(
            key
            | {"threshold": goal, "mean_clicks": of_objects["n"].mean(), "n_objects": len(of_objects)}
            | {"share_reached": of_objects["reached"].mean(), "n_groups": of_objects["group_id"].nunique()}
        )
    return pd.DataFrame(found)


# --- tests --------------------------------------------------------------------------------------------------


def signed_rank(differences: np.ndarray) -> tuple[float, float]:
    """P-value, by enumeration of all signs where they are few, and rank-biserial correlation."""
    if len(differences) < LEAST_GROUPS:
        return np.nan, np.nan
    changed = differences[np.abs(differences) > 5e-13]
    if not len(changed):
        return 1.0, 0.0
    # to twelve digits: means of equal scores differ in the last ones
    ranks = rankdata(np.abs(changed).round(12))
    up, n = ranks[changed > 0].sum(), len(ranks)
    effect = (2 * up - ranks.sum()) / ranks.sum()
    if n > MOST_ENUMERATED:
        _, ties = np.unique(ranks, return_counts=True)
        spread = np.sqrt(n * (n + 1) * (2 * n + 1) / 24 - (ties**3 - ties).sum() / 48)
        if n <= 50 and (ties == 1).all():
            return _exact(n, up), effect
        return float(2 * norm.sf(abs(up - ranks.sum() / 2) / spread)), effect
    sums = np.array(list(product((0, 1), repeat=n))) @ ranks
    extreme = np.abs(sums - ranks.sum() / 2) >= abs(up - ranks.sum() / 2) - 1e-9
    return float(extreme.mean()), effect


def _exact(n: int, up: float) -> float:
    ways = np.ones(1)
    for rank in range(1, n + 1):
        ways = np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))
    tail = min(up, n * (n + 1) / 2 - up)
    return float(min(1, 2 * ways[: int(tail) + 1].sum() / 2.0**n))


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjustment; NaN are no tests."""
    given = np.array(p, float)
    adjusted, so_far = given.copy(), 0.0
    order = [i for i in np.argsort(given) if not np.isnan(given[i])]
    for place, i in enumerate(order):
        so_far = max(so_far, given[i] * (len(order) - place))
        adjusted[i] = min(1.0, so_far)
    return adjusted


def friedman(values: np.ndarray) -> tuple[float, float]:
    """Chi-squared with correction for ties, p; groups x conditions."""
    n, k = values.shape
    if n < LEAST_GROUPS or k < 3:
        return np.nan, np.nan
    ranks = np.apply_along_axis(rankdata, 1, values.round(12))
    spread = ((ranks - (k + 1) / 2) ** 2).sum() / (n * (k - 1))
    if not spread:
        return 0.0, 1.0
    statistic = n * ((ranks.mean(axis=0) - (k + 1) / 2) ** 2).sum() / spread
    return float(statistic), float(chi2.sf(statistic, k - 1))


def epsilon_squared(samples: Sequence[np.ndarray]) -> float:
    """Share of the variance of ranks that lies between the samples: H / (n - 1) of Kruskal and Wallis."""
    ranks = rankdata(np.concatenate(samples).round(12))
    middle, start, between = ranks.mean(), 0, 0.0
    for sample in samples:
        of_sample = ranks[start : start + len(sample)]
        between += len(sample) * (of_sample.mean() - middle) ** 2
        start += len(sample)
    total = ((ranks - middle) ** 2).sum()
    return float(between / total) if total else 0.0
