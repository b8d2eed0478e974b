"""Intervals over groups equal plain loops, cover what they should, and say when there are none."""

import math

import numpy as np
import pytest

from samstudy.bootstrap import MIN_GROUPS, mean_interval, median_interval, quantile


def test_interval_of_a_mean_equals_a_plain_loop():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(9), rng.integers(1, 6, 9))
    values = rng.normal(size=len(groups)) + 0.5 * groups
    loop = np.random.default_rng(2)
    means = []
    for _ in range(4000):
        picked = loop.integers(0, 9, 9)
        means.append(np.concatenate([values[groups == g] for g in picked]).mean())
    found = mean_interval(values, groups, np.random.default_rng(3), 4000)
    assert found[:2] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.06)


def test_interval_of_a_median_equals_a_plain_loop_on_the_same_draws():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(7), rng.integers(1, 5, 7))
    values = np.where(rng.random(len(groups)) < 0.2, np.inf, rng.normal(size=len(groups)))
    weights = np.random.default_rng(5).multinomial(7, np.full(7, 1 / 7), size=300)
    medians = [quantile(np.repeat(values, times[groups]), 0.5) for times in weights]
    low, high, _ = median_interval(values, groups, np.random.default_rng(5), 300)
    assert low == quantile(medians, 0.025)
    assert high == quantile(medians, 0.975)


def test_objects_of_one_group_do_not_narrow_the_interval():
    group_means = np.random.default_rng(0).normal(size=20)
    once = mean_interval(group_means, np.arange(20), np.random.default_rng(1))
    copied = mean_interval(np.repeat(group_means, 50), np.repeat(np.arange(20), 50), np.random.default_rng(1))
    assert copied[:2] == pytest.approx(once[:2])
    naive = mean_interval(np.repeat(group_means, 50), np.arange(1000), np.random.default_rng(1))
    assert naive.high - naive.low < 0.3 * (once.high - once.low)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(40), 4)
        values = rng.normal(size=40)[groups] + rng.normal(size=160)
        low, high, _ = mean_interval(values, groups, rng, 400)
        covered += low <= 0 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_too_few_groups_give_no_interval_but_a_note():
    values = np.arange(MIN_GROUPS - 1.0)
    found = mean_interval(values, np.arange(MIN_GROUPS - 1), np.random.default_rng(0))
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.note == "no interval: 4 group(s), fewer than 5"
    enough = median_interval(np.arange(5.0), np.arange(5), np.random.default_rng(0))
    assert enough.low < enough.high
    assert "only 5 groups" in enough.note


@pytest.mark.parametrize("level", [0, 0.1, 0.25, 0.5, 0.975, 1])
def test_quantile_is_numpys_on_finite_values(level):
    values = np.random.default_rng(0).normal(size=17)
    assert quantile(values, level) == pytest.approx(np.quantile(values, level))


def test_quantile_stands_infinity():
    assert quantile([1.0, np.inf], 0.5) == np.inf
    assert quantile([1.0, 2.0, np.inf], 0.5) == 2
    assert quantile([-np.inf, 1.0], 0.5) == -np.inf
    assert math.isnan(quantile([], 0.5))
