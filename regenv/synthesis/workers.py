"""Making subjects ahead: processes in the background that fill the disk cache.

Each is a fresh interpreter (:mod:`regenv.synthesis.worker`; nothing is forked, and the caller's script is not run
again) that is told over a pipe what to make. It ends when the pipe closes or its parent is gone, in whatever way, and
when it has had nothing to do for a while. What it makes lies in the disk cache under a lock, so a worker that is killed
loses nothing: another process makes the subject, or the lane that waits for it does.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regenv.core.lanes import get_num_threads

_PIPE_BYTES = 4096  # a message of no more is written whole or not at all
_REMEMBERED = 64  # messages that a new worker is told in place of one that died
_MOST_DEATHS = 5  # of an error, not killed: more would die of it too


class Workers:
    """Background processes of one parent.

    Args:
        count: How many.
        urgent: Whether somebody waits for them: then they do not step back behind other processes, nor share places
            with other parents' workers.
    """

    def __init__(self, count: int, urgent: bool = False) -> None:
        self.count = count
        self.urgent = urgent
        self.deaths = 0
        self._parent = os.getpid()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._said: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()

    @property
    def ours(self) -> bool:
        """Whether this process started them: a forked child has a copy of no use."""
        return self._parent == os.getpid()

    @property
    def pids(self) -> list[int]:
        """Of those that run."""
        return [process.pid for process in self._processes if process.poll() is None]

    def want(self, spec: Mapping[str, Any], numbers: Sequence[int]) -> None:
        """Tells all workers what to make, in this order; starts those that are missing. Never waits."""
        size = max(1, (_PIPE_BYTES - len(json.dumps({"spec": spec, "numbers": []})) - 2) // 13)
        with self._lock:
            for start in range(0, len(numbers), size):
                part = [int(number) for number in numbers[start : start + size]]
                message = (json.dumps({"spec": spec, "numbers": part}) + "\n").encode()
                for process in self._processes:
                    _tell(process, message)
                self._said.append(message)
            self._replace_dead()

    def revive(self) -> None:
        """Starts anew those that ended."""
        with self._lock:
            self._replace_dead()

    def close(self) -> None:
        """Ends them; returns when they are gone."""
        for process in self._processes if self.ours else ():
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        self._processes = []

    def _replace_dead(self) -> None:
        running = [process for process in self._processes if process.poll() is None]
        self.deaths += sum((process.returncode or 0) > 0 for process in self._processes)
        self._processes = running
        while len(self._processes) < self.count and self.deaths < _MOST_DEATHS:
            process = _start(self.urgent)
            if process is None:
                self.deaths = _MOST_DEATHS
                return
            self._processes.append(process)
            for message in self._said:
                _tell(process, message)


def _start(urgent: bool) -> subprocess.Popen[bytes] | None:
    """A worker; None where no process can be started."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "REGENV_NUM_THREADS"), "1")
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "regenv.synthesis.worker", str(os.getpid()), *(["urgent"] if urgent else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **one, "PYTHONPATH": path, "REGENV_PREPARE": "0"},
        )
    except OSError:
        return None
    assert process.stdin is not None
    os.set_blocking(process.stdin.fileno(), False)
    return process


def _tell(process: subprocess.Popen[bytes], message: bytes) -> None:
    """Sends a message; a worker that is gone, or has been told too much, misses it, and loses only time."""
    assert process.stdin is not None
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        os.write(process.stdin.fileno(), message)


_workers: Workers | None = None


def want(spec: Mapping[str, Any], numbers: Sequence[int]) -> None:
    """Has subjects made by this process's workers, half as many as there are processors; returns at once.

    Args:
        spec: Keywords of an embedded data set, with its ``name``.
        numbers: Of the subjects, the most urgent first.
    """
    global _workers
    if _workers is None or not _workers.ours:
        _workers = Workers(max(1, get_num_threads() // 2))
        atexit.register(_workers.close)
    _workers.want(spec, numbers)
