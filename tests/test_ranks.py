"""The rank tests equal values worked out by hand, and say what they must where nothing can be said."""

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, kruskal, wilcoxon

from samstudy.ranks import friedman, holm, kruskal_wallis, signed_rank

RNG = np.random.default_rng(0)


def test_signed_rank_by_hand():
    found = signed_rank([1, 2, -3, 4, 5, 6])
    assert (found.n, found.statistic) == (6, 3)
    assert found.effect == pytest.approx((18 - 3) / 21)
    # Subsets of the ranks 1 ... 6 with a sum of at most 3: {}, 1, 2, 3, 1 + 2; twice 5 of 64.
    assert found.p == pytest.approx(10 / 64)


def test_signed_rank_is_scipy_s_and_changes_sign_with_its_argument():
    values = RNG.normal(0.3, 1, 20)
    assert signed_rank(values).p == wilcoxon(values).pvalue
    assert signed_rank(-values).effect == -signed_rank(values).effect
    assert signed_rank(np.abs(values)).effect == 1


def test_small_differences_count_as_none():
    values = np.array([0.001, -0.002, 0.5, 0.6, 0.7, 0.8])
    assert signed_rank(values, tolerance=0.01).effect == 1
    assert signed_rank(values, tolerance=0.01).n == 6
    assert signed_rank(values).effect < 1
    assert signed_rank(values, tolerance=1) == (6, 0, 1, 0)
    assert signed_rank(np.full(6, 1e-17)) == (6, 0, 1, 0)


def test_infinite_differences_have_the_largest_ranks():
    found = signed_rank([np.inf, -1, 2, 3, 4, 5])
    assert found.effect == pytest.approx((20 - 1) / 21)


def test_friedman_is_scipy_s_with_kendall_s_w():
    values = RNG.normal(size=(9, 4))
    found = friedman(values)
    assert found[1:3] == pytest.approx(tuple(friedmanchisquare(*values.T)))
    alike = friedman(np.arange(4) + 10 * RNG.normal(size=(9, 1)))
    assert alike.effect == pytest.approx(1)
    assert friedman(np.ones((9, 4))) == (9, 0, 1, 0)


def test_kruskal_is_scipy_s_with_epsilon_squared():
    samples = [RNG.normal(i, 1, 8) for i in range(3)]
    found = kruskal_wallis(samples)
    assert found[1:3] == pytest.approx(tuple(kruskal(*samples)))
    apart = kruskal_wallis([np.zeros(6), np.ones(6)])
    assert apart.effect == pytest.approx(1)
    assert kruskal_wallis([np.ones(6), np.ones(6)]) == (12, 0, 1, 0)


@pytest.mark.parametrize(
    ("found", "n"),
    [
        (signed_rank([1, 2, 3, 4]), 4),
        (signed_rank([]), 0),
        (friedman(np.ones((9, 2))), 9),
        (friedman(np.ones((4, 3))), 4),
        (kruskal_wallis([np.ones(9)]), 9),
        (kruskal_wallis([np.ones(9), np.ones(4)]), 13),
        (kruskal_wallis([]), 0),
    ],
)
def test_too_little_to_test_is_nan(found, n):
    assert found.n == n
    assert np.isnan(found[1:]).all()


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.04, np.nan, 0.03]) == pytest.approx([0.06, np.nan, 0.06], nan_ok=True)
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert holm([]).size == 0
    assert np.isnan(holm([np.nan])).all()


def test_means_of_equal_scores_in_another_order_are_no_difference():
    scores = [0.1, 0.2, 0.3]
    a, b = np.mean(scores), np.mean(scores[::-1]) + np.spacing(0.2)
    assert a != b
    assert signed_rank([a - b] * 6) == (6, 0, 1, 0)
    assert friedman(np.array([[a, b, a]] * 6)) == (6, 0, 1, 0)
    assert kruskal_wallis([np.full(5, a), np.full(5, b)]) == (10, 0, 1, 0)


def test_few_and_tied_differences_get_the_exact_probability():
    """Five alike: two of the 32 signs are as extreme; the normal approximation would say 0.03."""
    found = signed_rank([0.1] * 5)
    assert (found.p, found.effect) == (2 / 32, 1)
    # 1 and 1 share rank 1.5: sums of at most 1.5 come from {}, and either; twice 3 of 32
    assert signed_rank([-1, 1, 2, 3, 4]).p == pytest.approx(6 / 32)
    assert signed_rank([np.inf] * 4 + [-1.0]).p == pytest.approx(4 / 32)
