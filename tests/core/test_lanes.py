"""Threads over lanes: coverage of the range, errors, and life after a fork."""

import os
import sys
import threading

import numpy as np
import pytest

from regenv.core import lanes
from regenv.core.lanes import get_num_threads, in_turn, lane_numbers, run_lanes, set_num_threads


@pytest.mark.parametrize("lanes", [0, 1, 2, 5, 64])
@pytest.mark.parametrize("threads", [1, 2, 3, 100])
def test_every_lane_is_computed_once(lanes, threads):
    counts = np.zeros(lanes, int)

    def kernel(start, stop):
        counts[start:stop] += 1

    run_lanes(kernel, lanes, threads=threads)
    assert (counts == 1).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_chosen_lanes_are_computed_once_and_others_not(threads):
    counts = np.zeros(9, int)

    def kernel(start, stop, step):
        counts[start:stop] += step

    run_lanes(kernel, np.array([0, 3, 4, 8]), 2, threads=threads)
    assert counts.tolist() == [2, 0, 0, 2, 2, 0, 0, 0, 2]


@pytest.mark.parametrize("some", [slice(None), np.array([3, 17, 30])])
def test_work_in_turn_reads_what_the_work_before_it_wrote(some):
    written, read = np.zeros(40), np.zeros(40)

    def write(start, stop, value):
        written[start:stop] += value

    def double(start, stop):
        read[start:stop] = 2 * written[start:stop]

    run_lanes(in_turn, lane_numbers(some, 40), (write, 3.0), (double,), threads=2)
    wanted = np.zeros(40)
    wanted[some] = 6.0
    assert np.array_equal(read, wanted)


def test_one_lane_runs_in_the_calling_thread_and_more_in_others():
    seen = []
    run_lanes(lambda start, stop: seen.append(threading.get_ident()), 1, threads=4)
    assert seen == [threading.get_ident()]
    seen.clear()
    barrier = threading.Barrier(2, timeout=10)

    def kernel(start, stop):
        barrier.wait()
        seen.append(threading.get_ident())

    run_lanes(kernel, 2, threads=2)
    assert len(set(seen)) == 2


def test_an_error_in_any_part_is_raised_after_all_parts_are_done():
    done = []

    def kernel(start, stop):
        if start > 0:
            raise RuntimeError("lane failed")
        done.append(start)

    with pytest.raises(RuntimeError, match="lane failed"):
        run_lanes(kernel, 4, threads=2)
    assert done == [0]


def test_number_of_threads(monkeypatch):
    monkeypatch.setenv("REGENV_NUM_THREADS", "3")
    assert get_num_threads() == 3
    set_num_threads(5)
    try:
        assert get_num_threads() == 5
    finally:
        set_num_threads(None)
    monkeypatch.setenv("REGENV_NUM_THREADS", "none")
    with pytest.raises(ValueError, match="REGENV_NUM_THREADS"):
        get_num_threads()
    with pytest.raises(ValueError, match="at least 1, got 0"):
        set_num_threads(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_renders_with_threads_after_its_parent_did():
    from regenv.core.resample import array_addresses, render, volume_planes

    rng = np.random.default_rng(0)
    volumes = [rng.random((9, 8, 7), dtype=np.float32) for _ in range(6)]
    addresses, shapes = array_addresses(volumes)
    matrices = np.tile(np.eye(4)[:3] + 0.01, (6, 1, 1))
    planes, backgrounds = volume_planes((7, 8, 9)), np.zeros(6, np.float32)

    def rendered() -> np.ndarray:
        out, valid = np.empty((6, 9, 8, 7), np.float32), np.empty((6, 9, 8, 7), np.uint8)
        render(addresses, shapes, matrices, planes, backgrounds, out, valid, threads=2)
        return out

    parent = rendered()
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(rendered(), parent) and np.array_equal(rendered(), parent) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(rendered(), parent)


def test_threads_that_enlarge_the_pool_together_do_not_end_each_others():
    errors: list[Exception] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            lanes._forget_workers_in_child()
            go = threading.Barrier(4)

            def enlarge(most: int, go: threading.Barrier = go) -> None:
                go.wait()
                try:
                    for threads in range(2, most):
                        lanes.run_lanes(lambda start, stop: None, 64, threads=threads)
                except Exception as error:
                    errors.append(error)

            workers = [threading.Thread(target=enlarge, args=(most,)) for most in (4, 8, 12, 16)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == []
