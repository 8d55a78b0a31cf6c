"""The speed benchmark: every contender does the same work, and the page says what was measured."""

import time

import pytest

from benchmarks.speed.__main__ import compare, comparison_table, environment_table, lanes_table
from benchmarks.speed.environment import StepTimes
from benchmarks.speed.lanes import ThreadTiming, thread_scaling
from benchmarks.speed.peers import OURS, PEERS
from benchmarks.speed.timing import Timing, interleaved


@pytest.mark.parametrize("kind", ["volume", "slices"])
def test_all_contenders_agree_and_regenv_is_the_fastest(kind):
    timings, missing = compare(kind, seconds=0.1)  # raises where a correlation differs
    assert set(timings) | set(missing) == {*OURS, *PEERS}
    assert "SimpleITK Resample + NumPy" in timings
    ours = min(timings[name].fastest for name in OURS)
    assert all(timings[name].fastest > 1.5 * ours for name in PEERS if name in timings)


def test_a_contender_that_does_other_work_is_refused(monkeypatch):
    monkeypatch.setitem(PEERS, "another", lambda task: lambda: 0.9)
    with pytest.raises(RuntimeError, match="another gives a correlation of 0.9"):
        compare("slices", seconds=0.1)


def test_tables_name_peers_that_are_missing(monkeypatch):
    def absent(task):
        raise ImportError

    monkeypatch.setitem(PEERS, "absent", absent)
    timings, missing = compare("slices", seconds=0.1)
    assert missing == ["absent"]
    assert "| absent | not installed |" in comparison_table("slices", timings, missing)


def test_tables_show_ratios_and_rates():
    one, two = ThreadTiming(Timing(0.002, 0.003), 0.0018), ThreadTiming(Timing(0.001, 0.002), 0.0009)
    assert "| 2 | 1.00 ms | 2.00 ms | 2.00 | 0.90 ms | 2.00 |" in lanes_table({1: one, 2: two})
    page = environment_table(StepTimes(single=1e-4, python=5e-5, lanes=4e-5))
    assert "| `gym.make` | 100 µs | 10,000 |" in page


def test_turns_are_timed_by_the_clock_given():
    timings = interleaved(
        {"short": lambda: time.sleep(0.001), "long": lambda: time.sleep(0.004)}, 0.1, time.perf_counter
    )
    assert timings["long"].fastest > 2 * timings["short"].fastest
    assert timings["short"].fastest <= timings["short"].median


def test_lanes_are_measured_with_one_and_two_threads():
    timings = thread_scaling(0.1)
    assert set(timings) == {1, 2}
    assert timings[2].busiest < 0.9 * timings[1].busiest
