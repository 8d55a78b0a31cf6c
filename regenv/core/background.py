"""Work that threads do ahead of time, while lanes step."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from regenv.core.lanes import get_num_threads

_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()
_pending: set[Future[Any]] = set()


def in_background(function: Callable[..., Any], *args: Any) -> Future[Any]:
    """Has a thread call ``function(*args)``, which must not fork.

    A fork of this process waits for all such calls, so that no child inherits a lock that one of them holds.
    """
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(get_num_threads(), thread_name_prefix="regenv-background")
        future = _pool.submit(function, *args)
        _pending.add(future)
    future.add_done_callback(_pending.discard)
    return future


def _forget_pool_in_child() -> None:
    """A forked child inherits the pool's object but none of its threads: it starts its own."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()
    _pending.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=lambda: wait(list(_pending)), after_in_child=_forget_pool_in_child)
