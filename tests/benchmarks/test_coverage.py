"""The measurement of coverage: its intervals against SciPy's, and its table."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.tools.interval_coverage import bootstraps, measure, populations, student


def test_intervals_are_scipys():
    means = np.random.default_rng(0).gamma(1.0, size=(2, 20))
    percentile, bca = bootstraps(means, np.random.default_rng(1), resamples=20000)
    for i, sample in enumerate(means):
        for ours, method in ((percentile, "percentile"), (bca, "BCa")):
            found = stats.bootstrap((sample,), np.mean, n_resamples=20000, method=method).confidence_interval
            assert (ours[0][i], ours[1][i]) == pytest.approx((found.low, found.high), abs=0.03)
        expected = stats.ttest_1samp(sample, 0).confidence_interval()
        assert (student(means)[0][i], student(means)[1][i]) == pytest.approx((expected.low, expected.high))


def test_table():
    tables = {(row, quantity): table for row, quantity, table in populations()}
    assert tables["dqn", "score"].shape == (40, 5)
    assert ("identity", "score") not in tables  # all its subjects agree
    lines = measure(draws=30, seed=0).splitlines()
    assert len(lines) == 2 + 2 * 6
    assert lines[2].endswith("|  |  |  | none |")
    shares = [float(line.split("|")[6].split("(")[0]) for line in lines if "| shares |" in line and "none" not in line]
    assert min(shares) > 88
