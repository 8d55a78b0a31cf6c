"""How work over lanes is spread over threads.

Kernels are serial, release the GIL and work on a range of lanes: ``kernel(start, stop, *args)``. The threads are
Python's own. numba's parallel loops are not used anywhere: a forked child of a process that has run one dies in its
first parallel call (GNU OpenMP), and vector environments fork. Each lane is computed by one thread from start to
end, so the number of threads never changes a value.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_pool_lock = threading.Lock()
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


def run_lanes(kernel: Callable[..., Any], n_lanes: int, *args: Any, threads: int | None = None) -> None:
    """Calls ``kernel(start, stop, *args)`` so that the ranges cover ``n_lanes`` lanes exactly once.

    One lane, or one thread, is one call in the calling thread; no pool is touched. Otherwise the lanes are cut into
    contiguous, equal parts, of which the calling thread takes one itself.

    Args:
        kernel: A serial function that releases the GIL and writes only what belongs to its lanes.
        n_lanes: Number of lanes.
        *args: Handed on to the kernel.
        threads: Threads to use at most; default :func:`get_num_threads`.
    """
    parts = min(n_lanes, get_num_threads() if threads is None else threads)
    if parts <= 1:
        kernel(0, n_lanes, *args)
        return
    pool = _get_pool(parts - 1)
    edges = [n_lanes * part // parts for part in range(parts + 1)]
    futures = [pool.submit(kernel, edges[k], edges[k + 1], *args) for k in range(1, parts)]
    try:
        kernel(edges[0], edges[1], *args)
    finally:
        # The workers write into the caller's arrays, so they must be done before anything is raised.
        errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            raise error


def _get_pool(workers: int) -> ThreadPoolExecutor:
    """The process's pool, made or enlarged when needed."""
    global _pool, _pool_size
    with _pool_lock:
        if _pool is None or _pool_size < workers:
            # one that is outgrown is not shut down: another thread may be about to use it; unused, it ends by itself
            _pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="regenv-lanes")
            _pool_size = workers
        return _pool


def _forget_pool_in_child() -> None:
    """A forked child inherits the pool's object but none of its threads: it starts its own."""
    global _pool, _pool_size, _pool_lock
    _pool = None
    _pool_size = 0
    _pool_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool_in_child)
