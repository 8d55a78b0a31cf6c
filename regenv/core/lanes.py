"""How work over lanes is spread over threads.

Kernels are serial, release the GIL and work on a range of lanes: ``kernel(start, stop, *args)``. The threads are
Python's own. numba's parallel loops are not used anywhere: a forked child of a process that has run one dies in its
first parallel call (GNU OpenMP), and vector environments fork. Each lane is computed by one thread from start to
end, so the number of threads never changes a value.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALL = slice(None)
Lanes = slice | NDArray[np.intp]
"""Some of B lanes, as an index of arrays over lanes: a slice, or their numbers."""

Work = tuple[Any, ...]
"""A kernel and what follows the range of lanes in a call of it."""

_MOST_PARTS = 16  # of a thread, about
_WORTH_WAKING = 3e5  # nanoseconds; a thread that sleeps is awake after a tenth or two of a millisecond

_work: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
_workers: list[threading.Thread] = []
_workers_lock = threading.Lock()
_num_threads: int | None = None


def get_num_threads() -> int:
    """Threads used by default.

    The number given to :func:`set_num_threads`, else ``REGENV_NUM_THREADS``, else the processors this process may use.

    Raises:
        ValueError: If the environment variable is not a whole number of at least 1.
    """
    if _num_threads is not None:
        return _num_threads
    text = os.environ.get("REGENV_NUM_THREADS", "")
    if text:
        if not text.isdigit() or int(text) < 1:
            raise ValueError(f"REGENV_NUM_THREADS must be a whole number of at least 1, got {text!r}")
        return int(text)
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def set_num_threads(threads: int | None) -> None:
    """Sets the default number of threads of this process; None returns to the environment's choice.

    Raises:
        ValueError: If ``threads`` is below 1.
    """
    global _num_threads
    if threads is not None and threads < 1:
        raise ValueError(f"the number of threads must be at least 1, got {threads}")
    _num_threads = threads


def lane_numbers(lanes: Lanes, count: int) -> int | NDArray[np.intp]:
    """Some of ``count`` lanes as :func:`run_lanes` takes them."""
    return count if isinstance(lanes, slice) and lanes == ALL else np.arange(count)[lanes]


def worth_threads(threads: int | None, nanoseconds: float) -> int | None:
    """``threads`` for work that takes one of them so long; 1 where waking another would take as long as it saves."""
    return threads if nanoseconds > _WORTH_WAKING else 1


def run_lanes(
    kernel: Callable[..., Any], lanes: int | NDArray[np.intp], *args: Any, threads: int | None = None
) -> None:
    """Calls ``kernel(start, stop, *args)`` so that the ranges cover each of the lanes exactly once.

    One lane, or one thread, runs in the calling thread alone. Otherwise the lanes are cut into parts, which threads,
    the calling one among them, take as they are done with others: one that shares its processor with other work takes
    fewer. A kernel must not call this function.

    Args:
        kernel: A serial function that releases the GIL and writes only what belongs to its lanes.
        lanes: Number of lanes, which makes one range of each part; or the numbers of some, which are called one by one.
        *args: Handed on to the kernel.
        threads: Threads to use at most; default :func:`get_num_threads`.
    """
    if isinstance(lanes, int):
        n_lanes, call = lanes, kernel
    else:
        n_lanes, call, args = len(lanes), _call_each, (kernel, lanes.tolist(), *args)
    threads = min(n_lanes, get_num_threads() if threads is None else threads)
    if threads <= 1:
        call(0, n_lanes, *args)
        return
    parts = _parts(n_lanes, threads)
    done: SimpleQueue[BaseException | None] = SimpleQueue()
    work = (iter(parts), call, args, done)
    _need_workers(threads - 1)
    for _ in range(threads - 1):
        _work.put(work)
    _take_parts(*work)
    # Workers write into the caller's arrays, so they must be done before anything is raised.
    errors = [done.get() for _ in parts]
    for error in errors:
        if error is not None:
            raise error


def in_turn(start: int, stop: int, *work: Work) -> None:
    """A kernel of several, called one after the other: a thread goes on with its lanes and waits for no other."""
    for kernel, *args in work:
        kernel(start, stop, *args)


def _parts(n_lanes: int, threads: int) -> list[tuple[int, int]]:
    """Ranges that cover the lanes: large ones first, small ones last, so that all threads are done at the same time."""
    least, edges = max(1, n_lanes // (_MOST_PARTS * threads)), [0]
    while edges[-1] < n_lanes:
        left = n_lanes - edges[-1]
        edges.append(edges[-1] + min(left, max(least, left // (2 * threads))))
    return list(itertools.pairwise(edges))


def _take_parts(
    parts: Iterator[tuple[int, int]],
    call: Callable[..., Any],
    args: tuple[Any, ...],
    done: SimpleQueue[BaseException | None],
) -> None:
    """Takes parts until none is left; a step of the iterator is atomic, so that no two threads take the same."""
    for start, stop in parts:
        error: BaseException | None = None
        try:
            call(start, stop, *args)
        except BaseException as raised:
            error = raised
        done.put(error)


def _call_each(start: int, stop: int, kernel: Callable[..., Any], numbers: list[int], *args: Any) -> None:
    for lane in numbers[start:stop]:
        kernel(lane, lane + 1, *args)


def _need_workers(count: int) -> None:
    """Starts threads until there are ``count``; they end with the process."""
    if len(_workers) >= count:
        return
    with _workers_lock:
        while len(_workers) < count:
            worker = threading.Thread(target=_serve, args=(_work,), name=f"regenv-lanes-{len(_workers)}", daemon=True)
            _workers.append(worker)
            worker.start()


def _serve(work: SimpleQueue[tuple[Any, ...]]) -> None:
    """What a worker does. A bare queue costs a fraction of an executor's futures, of which a step needs many."""
    while True:
        _take_parts(*work.get())


def _forget_workers_in_child() -> None:
    """A forked child inherits none of the threads, and perhaps a locked queue: it starts its own."""
    global _work, _workers_lock
    _work = SimpleQueue()
    _workers.clear()
    _workers_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers_in_child)
