"""Threads beside the lanes: results, errors, and life after a fork."""

import os
import threading
import time

import pytest

from regenv.core.background import in_background


def test_what_is_called_runs_in_another_thread() -> None:
    assert in_background(threading.get_ident).result() != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        in_background(divmod, 1, 0).result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_waits_and_the_child_has_threads_of_its_own() -> None:
    lock = threading.Lock()

    def hold() -> None:
        with lock:
            time.sleep(0.2)

    begun = in_background(hold)
    child = os.fork()
    if child == 0:  # neither the call nor the lock is left half done
        free = begun.done() and lock.acquire(timeout=1)
        os._exit(0 if free and in_background(max, 1, 2).result(timeout=10) == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
