"""Statistics against SciPy and hand values."""

import numpy as np
import pytest
from scipy import stats

from regenv.evaluation.statistics import (
    bootstrap,
    holm,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
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


def test_bootstrap_covers_the_mean_and_is_reproducible():
    """Of 100 samples of 30 subjects, about 95 intervals hold the true mean."""
    rng = np.random.default_rng(0)
    covered = 0
    for i in range(100):
        effect = rng.normal(size=30).repeat(3)
        scores = 2 + effect + 0.1 * rng.normal(size=90)
        interval = bootstrap(scores, [str(s) for s in np.arange(30).repeat(3)], resamples=200, seed=i)
        covered += interval.low <= 2 <= interval.high
    assert 86 <= covered <= 99
    again = bootstrap(scores, [str(s) for s in np.arange(30).repeat(3)], resamples=200, seed=i)
    assert again == interval


def test_subjects_not_cases_are_resampled():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=5).repeat(200)
    by_subject = bootstrap(scores, [str(s) for s in np.arange(5).repeat(200)], resamples=300)
    by_case = bootstrap(scores, [str(s) for s in range(1000)], resamples=300)
    assert by_subject.high - by_subject.low > 5 * (by_case.high - by_case.low)


def test_training_seeds_widen_the_interval():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(4, 1)) + 0.01 * rng.normal(size=(4, 50))
    subjects = [str(i) for i in range(50)]
    together, one = bootstrap(scores, subjects, resamples=300), bootstrap(scores[:1], subjects, resamples=300)
    assert together.high - together.low > 20 * (one.high - one.low)


def test_one_subject_claims_no_interval():
    interval = bootstrap([1.0, 2.0, 3.0], ["a"] * 3)
    assert (interval.value, interval.low, interval.high) == (2.0, None, None)


def test_strata_are_kept():
    """Each stratum keeps its size, so a difference between strata adds nothing to the width."""
    scores = [0.0] * 50 + [1.0] * 50
    subjects = [str(i) for i in range(100)]
    strata = ["a"] * 50 + ["b"] * 50
    interval = bootstrap(scores, subjects, strata=strata, resamples=100)
    assert (interval.low, interval.high) == (0.5, 0.5)
