"""Which attributes of an object go with a high or low Dice? A forest, judged on groups it has not seen.

Attributes of one family (three measures of size, say) tell nearly the same, and permuting one of them alone would
blame none: families are permuted together (Breiman 2001; grouped as in Au et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold

from samstudy.attributes import ATTRIBUTES
from samstudy.bootstrap import MIN_GROUPS, mean_interval
from samstudy.cells import OBJECT, Row, cells, counts, group_codes, needs, paired
from samstudy.errors import StudyError
from samstudy.seeds import rng_for, seed_for
from samstudy.statistics import BASELINE, headline

DATASET = "dataset"
CELL = ("model", "tuning", "shots", "prompt")
_FOLDS = 5
_N_TREES = 100
_LEAST_LEAF = 5
_N_REPEATS = 5


def families() -> dict[str, tuple[str, ...]]:
    """Names of the attributes by family, and ``dataset`` as a family of its own: what no attribute explains."""
    found: dict[str, tuple[str, ...]] = {}
    for name in ATTRIBUTES:
        found[ATTRIBUTES[name].family] = (*found.get(ATTRIBUTES[name].family, ()), name)
    return {**found, DATASET: (DATASET,)}


def with_attributes(table: pd.DataFrame, attributes: pd.DataFrame) -> pd.DataFrame:
    """Put the attributes of its object beside each scored headline row of a model.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table; baselines and rows without a Dice are left out.
    attributes : pandas.DataFrame
        From :func:`samstudy.attributes.measure_objects`, of all data sets together.

    Returns
    -------
    pandas.DataFrame
        The rows with one more column per attribute; NaN for an object that was not measured.

    Raises
    ------
    StudyError
        If no row remains, or none of its objects was measured.
    """
    needs(table, [*OBJECT, "model", "prompt", "mask_choice", "iou_pred", "dice"])
    rows = headline(table)
    rows = rows[rows["dice"].notna() & (rows["model"] != BASELINE)]
    for name in ATTRIBUTES:
        rows = paired(rows, attributes, OBJECT, name, name)
    if rows.empty or rows[list(ATTRIBUTES)].isna().all(axis=None):
        raise StudyError(
            "no scored object of a model has attributes: measure the images of this table "
            "with samstudy.attributes.measure_objects."
        )
    return rows


def attribute_correlations(rows: pd.DataFrame, by: Sequence[str] = (*CELL, DATASET)) -> pd.DataFrame:
    """Spearman's correlation of each attribute with Dice.

    Parameters
    ----------
    rows : pandas.DataFrame
        From :func:`with_attributes`.
    by : sequence of str
        Columns to split by; data sets pooled would correlate for reasons other than the attribute.

    Returns
    -------
    pandas.DataFrame
        One row per cell and attribute: ``by attribute n_objects spearman``, NaN where either is constant.
    """
    found = []
    for key, cell in cells(rows, by):
        for name in ATTRIBUTES:
            known = cell[cell[name].notna()]
            varied = np.ptp(known[name]) > 0 and np.ptp(known["dice"]) > 0 if len(known) else False
            value = float(spearmanr(known[name], known["dice"]).statistic) if varied else np.nan
            found.append(key | {"attribute": name, "n_objects": len(known), "spearman": value})
    return pd.DataFrame(found)


def family_importance(
    rows: pd.DataFrame, by: Sequence[str] = CELL, seed: int = 0, n_boot: int = 2000
) -> pd.DataFrame:
    """How much worse Dice is predicted for unseen groups when a family of attributes is shuffled among objects.

    A random forest learns Dice from the attributes and the data set on 4 of 5 folds of groups (``GroupKFold``) and
    predicts the fifth, as it is and with the family's columns permuted together.

    Parameters
    ----------
    rows : pandas.DataFrame
        From :func:`with_attributes`.
    by : sequence of str
        Columns to split by.
    seed, n_boot : int
        Seed of forest and permutations, and of the bootstrap; number of bootstrap resamples.

    Returns
    -------
    pandas.DataFrame
        One row per cell and family: ``by``; ``metric`` (dice); ``family``; ``n_objects n_images n_groups n_scores``;
        ``importance``, the rise of the mean absolute error in Dice, with ``ci_low ci_high`` over groups; ``error``, the
        mean absolute error as it is; ``r2`` on unseen groups; ``note``. A cell of fewer than 5 groups has a row per
        family with NaN and the reason.
    """
    needs(rows, [*by, *OBJECT, "group_id", "dice", *ATTRIBUTES])
    found = []
    for key, cell in cells(rows, by):
        known = {"metric": "dice"} | counts(cell)
        found += [key | known | row for row in _cell_importance(cell.reset_index(drop=True), seed, n_boot)]
    return pd.DataFrame(found)


def _cell_importance(cell: pd.DataFrame, seed: int, n_boot: int) -> list[Row]:
    codes, grouped = group_codes(cell), families()
    n_groups = len(np.unique(codes))
    if n_groups < MIN_GROUPS:
        unknown = dict.fromkeys(("importance", "ci_low", "ci_high", "error", "r2"), np.nan)
        note = f"not judged: {n_groups} group(s), fewer than {MIN_GROUPS}"
        return [{"family": family, **unknown, "note": note} for family in grouped]
    dice, (predicted, shuffled) = cell["dice"].to_numpy(float), _predictions(cell, codes, grouped, seed)
    error = np.abs(dice - predicted)
    score = r2_score(dice, predicted) if np.ptp(dice) > 0 else np.nan
    rows = []
    for family in grouped:
        rise = np.abs(dice - shuffled[family]).mean(axis=0) - error
        low, high, note = mean_interval(rise, codes, rng_for(seed, "bootstrap"), n_boot)
        value = {"importance": rise.mean(), "ci_low": low, "ci_high": high}
        rows.append({"family": family, **value, "error": error.mean(), "r2": score, "note": note})
    return rows


def _predictions(
    cell: pd.DataFrame, codes: np.ndarray, grouped: Mapping[str, Sequence[str]], seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Dice of every object from the fold that did not see its group, as it is (n) and shuffled (repeats x n)."""
    inputs = cell[list(ATTRIBUTES)].assign(**{DATASET: pd.factorize(cell[DATASET])[0]}).astype(float)
    dice, rng = cell["dice"].to_numpy(float), rng_for(seed, "importance")
    predicted = np.empty(len(cell))
    shuffled = {family: np.empty((_N_REPEATS, len(cell))) for family in grouped}
    for train, test in GroupKFold(min(_FOLDS, len(np.unique(codes)))).split(inputs, dice, codes):
        forest = RandomForestRegressor(
            _N_TREES, min_samples_leaf=_LEAST_LEAF, random_state=seed_for(seed, "forest") % 2**32, n_jobs=1
        ).fit(inputs.iloc[train], dice[train])
        asked = [inputs.iloc[test]]
        for names in grouped.values():
            for order in (rng.permutation(len(test)) for _ in range(_N_REPEATS)):
                asked.append(asked[0].assign(**{n: asked[0][n].to_numpy()[order] for n in names}))
        # One call for all of them: it costs a forest more to be called than to answer.
        predicted[test], *answers = forest.predict(pd.concat(asked)).reshape(len(asked), len(test))
        for i, family in enumerate(grouped):
            shuffled[family][:, test] = answers[i * _N_REPEATS : (i + 1) * _N_REPEATS]
    return predicted, shuffled
