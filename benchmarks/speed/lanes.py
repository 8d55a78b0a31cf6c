"""Lanes and threads: three slices with bytes and sums for 64 lanes, in one thread and in two."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.speed.peers import make_task
from benchmarks.speed.timing import Timing, interleaved
from regenv.core.resample import array_addresses, render_with_sums

LANES = 64


def thread_scaling(seconds: float) -> dict[int, Timing]:
    """Wall-clock seconds of one call over :data:`LANES` lanes, by number of threads; eight volumes serve them."""
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

    names = {"1": lambda: call(1), "2": lambda: call(2)}
    timings = interleaved(names, seconds, clock=time.perf_counter)
    return {int(name): timing for name, timing in timings.items()}
