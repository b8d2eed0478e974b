"""Intervals by resampling whole groups, vectorised: the part of the statistics that knows no tables.

``scipy.stats.bootstrap`` resamples single observations; the objects of one patient are not independent, so
here groups are drawn with replacement and bring all their objects (Davison & Hinkley 1997, hierarchical data:
only the first stage is resampled).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

MIN_GROUPS = 5
FEW_GROUPS = 10
_LEVELS = (0.025, 0.975)
_MOST_CELLS_AT_ONCE = 4_000_000


class Interval(NamedTuple):
    """A 95 % percentile interval; NaN where there is none, and why in ``note``."""

    low: float
    high: float
    note: str


def quantile(values: np.ndarray, level: float) -> float:
    """Linearly interpolated quantile that stands infinite values.

    ``numpy.quantile`` gives NaN between a finite and an infinite value; here that is infinite.

    Parameters
    ----------
    values : array_like, n
        Without NaN; may hold infinities.
    level : float
        In [0, 1].

    Returns
    -------
    float
        NaN of no values.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    if not len(ordered):
        return np.nan
    position = level * (len(ordered) - 1)
    low, high = ordered[int(np.floor(position))], ordered[int(np.ceil(position))]
    return float(low if low == high or np.isinf(low) else low + (position % 1) * (high - low))


def mean_interval(
    values: np.ndarray,
    groups: np.ndarray,
    rng: np.random.Generator,
    n_boot: int = 2000,
    function: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Interval:
    """Interval of a mean, or of a function of several means, over groups.

    Parameters
    ----------
    values : numpy.ndarray, float, n or n x k
        Finite observations; the columns of one row stay together.
    groups : numpy.ndarray, int, n
        Codes 0 ... G - 1, each occurring.
    rng : numpy.random.Generator
        Source of the resamples.
    n_boot : int
        Number of resamples.
    function : callable, optional
        From means (n_boot x k) to what the interval is of (n_boot). The first column's mean by default.

    Returns
    -------
    Interval
        NaN with fewer than :data:`MIN_GROUPS` groups, or where the function is not defined on a resample.
    """
    columns = values if values.ndim == 2 else values[:, None]
    sums = np.stack([np.bincount(groups, column) for column in columns.T] + [np.bincount(groups)], axis=1)

    def statistic(weights: np.ndarray) -> np.ndarray:
        drawn = weights @ sums
        means = drawn[:, :-1] / drawn[:, -1:]
        return means[:, 0] if function is None else function(means)

    return resampled_interval(statistic, len(np.bincount(groups)), len(sums), rng, n_boot)


def median_interval(
    values: np.ndarray, groups: np.ndarray, rng: np.random.Generator, n_boot: int = 2000
) -> Interval:
    """Interval of a median over groups; infinite values are allowed, arguments as :func:`mean_interval`."""
    order = np.argsort(values, kind="stable")
    ordered, codes = values[order], groups[order]

    def statistic(weights: np.ndarray) -> np.ndarray:
        upto = np.cumsum(weights[:, codes], axis=1)
        n_drawn = upto[:, -1:]
        low = ordered[np.argmax(upto > (n_drawn - 1) // 2, axis=1)]
        high = ordered[np.argmax(upto > n_drawn // 2, axis=1)]
        with np.errstate(invalid="ignore"):
            middle = (low + high) / 2
        return np.where(low == high, low, middle)

    return resampled_interval(statistic, len(np.bincount(groups)), len(values), rng, n_boot)


def resampled_interval(
    statistic: Callable[[np.ndarray], np.ndarray],
    n_groups: int | Sequence[int],
    width: int,
    rng: np.random.Generator,
    n_boot: int = 2000,
) -> Interval:
    """Interval of any statistic that can be written as a function of how often each group is drawn.

    Parameters
    ----------
    statistic : callable
        From weights, int b x n_groups (strata side by side), to values, float b; called with a block of
        resamples at a time.
    n_groups : int or sequence of int
        Number of groups; of several strata (benchmarks), each of which is resampled apart, their numbers.
    width : int
        About how many numbers the statistic holds per resample, which sets the block.
    rng, n_boot
        As in :func:`mean_interval`.

    Returns
    -------
    Interval
        NaN with fewer than :data:`MIN_GROUPS` groups, or where the statistic is NaN on a resample.
    """
    sizes = np.atleast_1d(n_groups)
    fewest = int(sizes.min()) if len(sizes) else 0
    if fewest < MIN_GROUPS:
        return Interval(np.nan, np.nan, f"no interval: {fewest} group(s), fewer than {MIN_GROUPS}")
    block = max(1, _MOST_CELLS_AT_ONCE // max(width, int(sizes.sum())))
    drawn = np.concatenate([statistic(weights) for weights in _weights(sizes, rng, n_boot, block)])
    if np.isnan(drawn).any():
        return Interval(np.nan, np.nan, "no interval: undefined on a resample")
    where = " in a data set" if len(sizes) > 1 else ""
    note = (
        f"only {fewest} groups{where}: the interval is rough and rather too narrow"
        if fewest < FEW_GROUPS
        else ""
    )
    return Interval(quantile(drawn, _LEVELS[0]), quantile(drawn, _LEVELS[1]), note)


def _weights(sizes: np.ndarray, rng: np.random.Generator, n_boot: int, block: int) -> Iterator[np.ndarray]:
    """How often each group is drawn: int, up to ``block`` resamples x all groups at a time."""
    for start in range(0, n_boot, block):
        n_drawn = min(block, n_boot - start)
        yield np.hstack([rng.multinomial(size, np.full(size, 1 / size), size=n_drawn) for size in sizes])
