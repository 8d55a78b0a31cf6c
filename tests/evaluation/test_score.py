"""The score and the summary, by hand."""

import numpy as np
import pytest

from regenv.evaluation import score

SCALE = score.Scale(success_mm=5.0, smallest_start_mm=5.0)


def test_scale_follows_the_track():
    assert SCALE.thresholds_mm == (1.0, 2.0, 5.0, 10.0)
    assert SCALE.curve_range_mm == pytest.approx((0.1, 20.0))
    assert SCALE.harm_mm == 1.0
    small = score.Scale(success_mm=2.0, smallest_start_mm=1.5)
    assert small.thresholds_mm == (0.4, 0.8, 2.0, 4.0)
    assert small.harm_mm == pytest.approx(0.3)
    with pytest.raises(ValueError, match="above 0"):
        score.Scale(success_mm=2.0, smallest_start_mm=0.0)


def test_reached_is_a_share_of_the_oracle():
    assert score.reached(0.4, 0.8) == 0.5
    with pytest.raises(ValueError, match="reaches nothing"):
        score.reached(0.4, 0.0)


def test_score_of_a_case():
    assert score.case_score([10, 10, 10, 10], [0, 10, 15, 40]).tolist() == [1.0, 0.0, -0.5, -1.0]
    with pytest.raises(ValueError, match="above 0"):
        score.case_score([0.0], [1.0])


def test_harm_is_more_than_a_margin():
    assert score.harmed([10, 10, 10, 10], [11.0, 11.01, 9, 30], 1.0).tolist() == [False, True, False, True]


def test_success_is_strictly_under():
    assert score.success_rate([0.5, 1.0, 2.0, 30], 1.0) == 0.25
    thresholds, share = score.success_curve([0.05, 1.0, 30.0], SCALE)
    assert (thresholds[0], thresholds[-1]) == pytest.approx((0.1, 20.0))
    assert (share[0], share[-1]) == pytest.approx((1 / 3, 2 / 3))
    assert np.all(np.diff(share) >= 0)


def test_area_is_the_integral_of_the_curve():
    rng = np.random.default_rng(0)
    tre = np.exp(rng.normal(0.5, 1.5, 300))
    thresholds, share = score.success_curve(tre, SCALE, points=20001)
    integral = np.trapezoid(share, np.log(thresholds)) / np.log(200)
    assert score.success_area(tre, SCALE) == pytest.approx(integral, abs=1e-3)
    assert score.success_area([0.01, 0.1], SCALE) == 1.0
    assert score.success_area([20.0, 300.0], SCALE) == 0.0


def test_capture_range():
    start = np.arange(1.0, 101.0)
    final = np.where(start <= 57, 0.5, 50.0)
    # 57 of 60 succeed up to a start of 60 mm: exactly 95 %.
    assert score.capture_range(start, final, 5.0) == 60.0
    assert score.capture_range(start, np.full(100, 9.0), 5.0) == 0.0
    assert score.capture_range(start[::-1], final[::-1], 5.0) == 60.0


def test_summary():
    start, final = np.full(10, 20.0), np.arange(10.0)
    summary = score.summarise(start, final, SCALE)
    assert summary.success == {1.0: 0.1, 2.0: 0.2, 5.0: 0.5, 10.0: 1.0}
    assert summary.percentiles[50] == 4.5
    assert summary.worst_mm == 8.0
    assert summary.score == pytest.approx(1 - 4.5 / 20)
    assert summary.cases == 10
    assert list(score.summarise(start, final, score.Scale(2.0, 20.0)).success.values()) == [0.1, 0.1, 0.2, 0.4]
    with pytest.raises(ValueError, match="not finite"):
        score.summarise([1.0], [np.nan], SCALE)
    with pytest.raises(ValueError, match="at least one"):
        score.summarise([], [], SCALE)
