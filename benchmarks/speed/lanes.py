"""Lanes and threads: three slices with bytes and sums for 64 lanes, in one thread and in two."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.speed.peers import make_task
from benchmarks.speed.timing import Timing, interleaved
from regenv.core import _resample_kernels as kernels
from regenv.core.resample import array_addresses, render_with_sums

LANES = 64


@dataclass(frozen=True)
class ThreadTiming:
    """One call over all lanes.

    Attributes:
        wall: Wall-clock seconds, which tell of threads only while there is an idle core for each.
        busiest: Processor time of the thread that had most to do, fastest call: what the call takes on idle cores, but
            for waking the other threads.
    """

    wall: Timing
    busiest: float


def thread_scaling(seconds: float) -> dict[int, ThreadTiming]:
    """Times one call over :data:`LANES` lanes by number of threads; eight volumes serve the lanes."""
    call = _make_call()
    busiest = {1: float("inf"), 2: float("inf")}
    end = time.perf_counter() + seconds / 2
    while time.perf_counter() < end:
        for threads, best in busiest.items():
            busiest[threads] = min(best, _busiest_thread(call, threads))
    names = {str(threads): (lambda threads=threads: call(threads)) for threads in busiest}
    walls = interleaved(names, seconds / 2, clock=time.perf_counter)
    return {threads: ThreadTiming(walls[str(threads)], busiest[threads]) for threads in busiest}


def _make_call() -> Callable[[int], None]:
    task = make_task("slices")
    volumes = [task.moving.array.copy() for _ in range(8)]
    addresses, shapes = array_addresses([volumes[lane % len(volumes)] for lane in range(LANES)])
    matrices = np.repeat(task.matrix, LANES, axis=0)
    fixed = np.repeat(task.fixed, LANES, axis=0)
    mask, sums, zeros = np.ones(fixed.shape, np.uint8), np.empty((LANES, 7)), np.zeros(LANES, np.float32)
    out, valid, u8 = np.empty_like(fixed), np.empty_like(mask), np.empty_like(mask)

    def call(threads: int) -> None:
        render_with_sums(
            addresses, shapes, matrices, task.planes, zeros, out, valid, fixed, mask, sums, u8, threads=threads
        )

    return call


def _busiest_thread(call: Callable[[int], None], threads: int) -> float:
    """Processor time of the busiest thread in one call."""
    kernel, times = kernels.render_lanes, []

    def timed(*arguments: Any) -> None:
        start = time.thread_time()
        kernel(*arguments)
        times.append(time.thread_time() - start)

    kernels.render_lanes = timed
    try:
        call(threads)
    finally:
        kernels.render_lanes = kernel
    return max(times)
