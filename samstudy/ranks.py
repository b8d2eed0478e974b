"""Rank tests with their effect sizes: the part of the comparisons that knows no tables.

The tests are SciPy's and Holm's correction is statsmodels'; what they do not give, an effect size and a declared
answer where nothing differs, is added here. No function pools observations: each takes one value per group
(patient), since the objects of one patient are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import friedmanchisquare, kruskal, rankdata, wilcoxon

from samstudy.bootstrap import MIN_GROUPS

_DECIMALS = 12


class RankTest(NamedTuple):
    """One test: how many groups it stands on, the statistic, the two-sided p-value and the effect size."""

    n: int
    statistic: float
    p: float
    effect: float


def evened(values: np.ndarray) -> np.ndarray:
    """Drop the last digits, in which means of equal scores differ by their order: ranks would take it for real.

    Parameters and result are float arrays of the same shape; infinities stay.
    """
    return np.round(np.asarray(values, np.float64), _DECIMALS)


def signed_rank(differences: Sequence[float] | np.ndarray, tolerance: float = 0.0) -> RankTest:
    """Wilcoxon's signed-rank test of paired differences, one per group, with the rank-biserial correlation.

    Parameters
    ----------
    differences : array_like of float, n
        Without NaN; may be infinite.
    tolerance : float
        Differences of at most this size count as none. They are dropped before ranking (Wilcoxon 1945).

    Returns
    -------
    RankTest
        ``n`` groups, those without a difference included; ``statistic`` the smaller rank sum; ``p`` exact up to 50
        groups without ties and 13 with them, normal beyond; ``effect`` the matched-pairs rank-biserial correlation
        (Kerby 2014), the difference of the positive and the negative rank sums over their sum: -1 all fell, 1 all
        rose. Where no group differs: statistic 0, p 1, effect 0. Fewer than :data:`samstudy.bootstrap.MIN_GROUPS`
        groups: NaN but for ``n``.
    """
    values = np.asarray(differences, np.float64)
    if len(values) < MIN_GROUPS:
        return RankTest(len(values), np.nan, np.nan, np.nan)
    values = evened(values)
    changed = values[np.abs(values) > tolerance]
    if not len(changed):
        return RankTest(len(values), 0.0, 1.0, 0.0)
    ranks = rankdata(np.abs(changed))
    effect = float(np.sum(np.sign(changed) * ranks) / ranks.sum())
    found = wilcoxon(changed)
    return RankTest(len(values), float(found.statistic), float(found.pvalue), effect)


def friedman(values: np.ndarray) -> RankTest:
    """Friedman's test of several conditions in the same groups, with Kendall's W.

    Parameters
    ----------
    values : numpy.ndarray, float, groups x conditions
        Without NaN.

    Returns
    -------
    RankTest
        ``statistic`` chi-squared, ``effect`` Kendall's W in [0, 1]: 1 where every group ranks the conditions alike.
        All conditions equal in every group: statistic 0, p 1, effect 0. Fewer than 3 conditions or than
        :data:`samstudy.bootstrap.MIN_GROUPS` groups: NaN but for ``n``.
    """
    n, k = values.shape
    if k < 3 or n < MIN_GROUPS:
        return RankTest(n, np.nan, np.nan, np.nan)
    values = evened(values)
    if (values == values[:, :1]).all():
        return RankTest(n, 0.0, 1.0, 0.0)
    found = friedmanchisquare(*values.T)
    return RankTest(n, float(found.statistic), float(found.pvalue), float(found.statistic / (n * (k - 1))))


def kruskal_wallis(samples: Sequence[np.ndarray]) -> RankTest:
    """Kruskal and Wallis' test of independent samples, with epsilon squared.

    Parameters
    ----------
    samples : sequence of numpy.ndarray, float
        One value per group in each; without NaN.

    Returns
    -------
    RankTest
        ``n`` of all samples; ``statistic`` H; ``effect`` epsilon squared, ``H / (n - 1)`` (Tomczak & Tomczak 2014), in
        [0, 1]: the share of the spread of the ranks that the samples explain. All values equal: statistic 0, p 1,
        effect 0. Fewer than two samples, or one of fewer than :data:`samstudy.bootstrap.MIN_GROUPS`: NaN but for ``n``.
    """
    n = sum(map(len, samples))
    if len(samples) < 2 or min(map(len, samples)) < MIN_GROUPS:
        return RankTest(n, np.nan, np.nan, np.nan)
    samples = [evened(sample) for sample in samples]
    pooled = np.concatenate(samples)
    if (pooled == pooled[0]).all():
        return RankTest(n, 0.0, 1.0, 0.0)
    found = kruskal(*samples)
    return RankTest(n, float(found.statistic), float(found.pvalue), float(found.statistic / (n - 1)))


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Adjust p-values for their number by Holm's step-down method (Holm 1979).

    Parameters
    ----------
    p : array_like of float
        One family of tests; NaN are no tests, stay NaN and do not count.

    Returns
    -------
    numpy.ndarray, float
        In the given order, at most 1; empty for none.
    """
    # Takes a second to import, and everything that summarises a table imports this module.
    from statsmodels.stats.multitest import multipletests

    adjusted = np.asarray(p, np.float64).copy()
    tested = ~np.isnan(adjusted)
    if tested.any():
        adjusted[tested] = multipletests(adjusted[tested], method="holm")[1]
    return adjusted
