"""Statistics against SciPy and hand values."""

import numpy as np
import pytest
from scipy import stats

from regenv.core.statistics import (
    Interval,
    holm,
    interquartile_mean,
    mean_interval,
    performance_profile,
    probability_of_improvement,
    share_interval,
    signed_rank_test,
)


@pytest.mark.parametrize("n", [1, 3, 4, 10, 103])
def test_interquartile_mean_is_scipys_trimmed_mean(n):
    x = np.random.default_rng(n).normal(size=n)
    assert interquartile_mean(x) == pytest.approx(stats.trim_mean(x, 0.25))


@pytest.mark.parametrize("n", [5, 12, 30])
def test_signed_rank_exact(n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=n), rng.normal(0.5, 1, size=n)
    assert signed_rank_test(a, b) == pytest.approx(stats.wilcoxon(a, b, method="exact").pvalue)


def test_signed_rank_with_ties_large():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 6, 200), rng.integers(1, 6, 200)
    expected = stats.wilcoxon(a, b, method="asymptotic", correction=False).pvalue
    assert signed_rank_test(a, b) == pytest.approx(expected)


def test_signed_rank_with_ties_small_by_enumeration():
    difference = np.array([1, 1, -1, 2, 2, 3, -4])
    ranks = stats.rankdata(np.abs(difference))
    observed = ranks[difference > 0].sum()
    signs = np.array(np.meshgrid(*[[0, 1]] * 7)).reshape(7, -1).T
    sums = signs @ ranks
    expected = min(1, 2 * min((sums <= observed).mean(), (sums >= observed).mean()))
    assert signed_rank_test(difference, np.zeros(7)) == pytest.approx(expected)
    assert signed_rank_test([1, 2], [1, 2]) == 1.0


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_probability_of_improvement():
    assert probability_of_improvement([1, 2, 3], [0, 2, 4]) == 0.5
    assert probability_of_improvement([[1, 1], [0, 0]], [[0.5, 0.5]]) == 0.5
    with pytest.raises(ValueError, match="same cases"):
        probability_of_improvement([1, 2], [1])


def test_probability_of_improvement_equals_mann_whitney_for_one_case():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(9, 1)), rng.normal(0.3, 1, size=(7, 1))
    u = stats.mannwhitneyu(a[:, 0], b[:, 0]).statistic
    assert probability_of_improvement(a, b) == pytest.approx(u / 63)


def test_performance_profile():
    assert performance_profile([0, 0.5, 1, 1], [-1, 0, 0.7, 1]).tolist() == [1.0, 0.75, 0.5, 0.0]


def population(seed):
    """Shares and means of 60 subjects of five cases, with failures that run in subjects."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(2, 0.5, size=(60, 1))
    hits = rng.random((60, 5)) < chance
    return hits.astype(float), np.where(hits, rng.normal(0.9, 0.05, (60, 5)), rng.normal(0.3, 0.2, (60, 5)))


def coverage(interval, table, n, by_subject=True, draws=300):
    """Share of intervals from ``n`` drawn subjects that hold the mean of all of them."""
    rng = np.random.default_rng(n)
    subjects = [str(i // 5 if by_subject else i) for i in range(5 * n)]
    found = [interval(table[rng.integers(len(table), size=n)].reshape(-1), subjects) for _ in range(draws)]
    return np.mean([i.low <= table.mean() <= i.high for i in found])


@pytest.mark.parametrize("n", [10, 25])
def test_intervals_cover(n):
    shares, means = population(0)
    assert coverage(share_interval, shares, n) >= 0.93
    assert 0.90 <= coverage(mean_interval, means, n) <= 0.98
    # Cases of one subject are not independent: taken as if they were, they claim too much.
    assert coverage(share_interval, shares, n, by_subject=False) < 0.85
    assert coverage(mean_interval, means, n, by_subject=False) < 0.85


def test_intervals_cover_over_training_seeds():
    rng = np.random.default_rng(3)
    held = []
    for _ in range(300):
        scores = 0.5 + 0.1 * rng.normal(size=(5, 1)) + 0.1 * rng.normal(size=20) + 0.05 * rng.normal(size=(5, 20))
        interval = mean_interval(scores, [str(i) for i in range(20)])
        held.append(interval.low <= 0.5 <= interval.high)
    assert 0.91 <= np.mean(held) <= 0.99


def test_training_seeds_widen_the_interval():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(4, 1)) + 0.01 * rng.normal(size=(4, 50))
    subjects = [str(i) for i in range(50)]
    together, one = mean_interval(scores, subjects), mean_interval(scores[:1], subjects)
    assert together.high - together.low > 20 * (one.high - one.low)


def test_mean_interval_is_scipys_on_the_subjects_means():
    scores = np.random.default_rng(1).normal(size=(12, 4))
    expected = stats.ttest_1samp(scores.mean(axis=1), 0).confidence_interval()
    interval = mean_interval(scores.reshape(-1), [str(i) for i in range(12) for _ in range(4)])
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_share_interval_is_scipys_where_all_or_none_succeed():
    """There the effective number is that of the subjects, and only the quantile differs."""
    confidence = 2 * stats.norm.cdf(stats.t.ppf(0.975, 11)) - 1
    for hits in (0, 12):
        expected = stats.binomtest(hits, 12).proportion_ci(confidence, method="wilson")
        interval = share_interval([hits // 12] * 24, [str(i // 2) for i in range(24)])
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_subjects_that_agree_count_as_their_cases_at_most():
    """Every subject succeeds in half of its cases: no variance between them, and yet no certainty."""
    interval = share_interval([0, 1] * 20, [str(i // 2) for i in range(40)])
    assert 0.3 < interval.low < 0.5 < interval.high < 0.7


def test_subjects_of_different_sizes_weigh_as_their_cases():
    scores = [0.0] * 30 + [1.0] * 10
    subjects = ["large"] * 30 + [str(i) for i in range(10)]
    interval = mean_interval(scores, subjects)
    assert interval.value == 0.25
    assert interval.low < 0 < 0.5 < interval.high  # one subject makes up most of the cases


def test_no_interval_under_ten_subjects_or_where_all_agree():
    nine, ten = [str(i) for i in range(9)], [str(i) for i in range(10)]
    for interval in (mean_interval, share_interval):
        assert interval([0, 1, 0, 1, 0, 1, 0, 1, 1], nine) == Interval(5 / 9)
        assert interval([0, 1, 0, 1, 0, 1, 0, 1, 1, 1], ten).low is not None
    assert mean_interval([1.0] * 10, ten) == Interval(1.0)
    with pytest.raises(ValueError, match="10 cases and subjects of 9"):
        share_interval([1] * 10, nine)


def test_an_interval_ends_at_what_no_value_can_pass():
    scores = np.array([1.0] * 11 + [-0.9])
    subjects = [str(i) for i in range(12)]
    free, held = mean_interval(scores, subjects), mean_interval(scores, subjects, limits=(-1.0, 1.0))
    assert free.high > 1.0 == held.high and held.low == free.low
