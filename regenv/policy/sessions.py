"""How the graph of a policy file is run: those that ship with regenv here, any other in a process of its own.

The graph of a stranger may take all memory or never end, and what it does may depend on the image, so that no trial
tells. The operating system holds it: :mod:`regenv.policy.worker` has an end to its memory and processor time and cannot
open a file.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from functools import lru_cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from regenv.errors import DataError, require
from regenv.policy import worker
from regenv.reading import read_bounded

MEMORY_BYTES = 4 << 30
LOAD_SECONDS = 60
STEP_SECONDS = 60


class Session:
    """A graph that can be run.

    Attributes:
        inputs: Type and shape by name; dimensions that are open are None or a name.
        outputs: Names.
        metadata: The file's strings.
    """

    inputs: Mapping[str, tuple[str, tuple[int | str | None, ...]]]
    outputs: list[str]
    metadata: Mapping[str, str]

    def run(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All outputs by name.

        Raises:
            DataError: If the graph fails on these inputs.
        """
        raise NotImplementedError


def session_of(path: Path, threads: int, trusted: bool) -> Session:
    """The session of a file, kept: it has no state, and reading a file takes longer than a registration.

    Args:
        path: The file.
        threads: Of onnxruntime.
        trusted: Run it in this process.

    Raises:
        DataError: If it cannot be read as an ONNX file, or takes too much memory or time.
    """
    return _kept(str(path.resolve()), path.stat().st_mtime_ns, threads, trusted)


@lru_cache(maxsize=8)
def _kept(path: str, modified_ns: int, threads: int, trusted: bool) -> Session:
    return LocalSession(path, threads) if trusted else ConfinedSession(path, threads)


class LocalSession(Session):
    """A :class:`Session` in this process, for files that are ours.

    Raises:
        DataError: If the file cannot be read as an ONNX file.
    """

    def __init__(self, path: str, threads: int) -> None:
        try:
            self._session = worker.open_session(require("onnxruntime", "align"), path, threads)
            found = worker.interface(self._session)
        except Exception as error:  # onnxruntime's own exceptions share no base class
            raise DataError(f"{path} cannot be read as an ONNX file ({error}); export the policy again") from error
        self.inputs, self.outputs, self.metadata = found["inputs"], found["outputs"], found["metadata"]
        self._path = path

    def run(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All outputs by name; see :class:`Session`."""
        try:
            return dict(zip(self.outputs, self._session.run(self.outputs, dict(feed)), strict=True))
        except Exception as error:  # onnxruntime's own exceptions share no base class
            raise DataError(f"{self._path} fails on what it was given: {error}") from error


class ConfinedSession(Session):
    """A :class:`Session` in a process of its own, which cannot open files and ends when it takes too much.

    Raises:
        DataError: If the file cannot be read as an ONNX file, or takes too much memory or time.
    """

    def __init__(self, path: str, threads: int) -> None:
        self._path, self._threads = path, threads
        try:
            self._content = read_bounded(Path(path), worker.LARGEST_BYTES, links=True)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        found = self._start()
        self.inputs = {name: (kind, tuple(shape)) for name, (kind, shape) in found["inputs"].items()}
        self.outputs, self.metadata = found["outputs"], found["metadata"]

    def _start(self) -> dict[str, Any]:
        here, there = Pipe()
        numbers = (there.fileno(), self._threads, MEMORY_BYTES, STEP_SECONDS)
        # -P: the folder of the script is no place to import from. Few threads: each reserves address space.
        self._process = subprocess.Popen(
            [sys.executable, "-P", worker.__file__, *map(str, numbers)],
            pass_fds=(there.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        there.close()
        self._connection, self._lock, self._owner = here, threading.Lock(), os.getpid()
        self._end = weakref.finalize(self, _end, self._process, here, self._owner)
        try:
            here.send_bytes(self._content)
            return self._answer(LOAD_SECONDS, "cannot be read as an ONNX file", "export the policy again")[0]
        except OSError as error:
            self._end()
            raise DataError(f"{self._path}: its process does not start ({error})") from error

    def run(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All outputs by name; see :class:`Session`."""
        if self._owner != os.getpid() or not self._end.alive:  # a fork must not talk on the same line
            self._start()
        with self._lock:
            with contextlib.suppress(OSError):  # it has ended: the answer says how
                worker.send(self._connection, {"names": list(feed)}, list(feed.values()))
            arrays = self._answer(STEP_SECONDS, "fails on what it was given", "its memory is limited")[1]
        return dict(zip(self.outputs, arrays, strict=True))

    def _answer(self, seconds: float, what: str, fix: str) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        try:
            if not self._connection.poll(seconds):
                raise TimeoutError(f"no answer within {seconds:g} s")
            header, arrays = worker.receive(self._connection)
        except (EOFError, OSError, ValueError) as error:
            self._end()
            code = self._process.returncode
            why = str(error) or f"its process ended with {code}; it may take {MEMORY_BYTES >> 30} GB and {seconds:g} s"
            raise DataError(f"{self._path} {what}: {why}") from error
        if "error" in header:
            raise DataError(f"{self._path} {what} ({header['error']}); {fix}")
        return header, arrays


def _end(process: subprocess.Popen[bytes], connection: Connection, owner: int) -> None:
    connection.close()
    if os.getpid() == owner:
        process.kill()
        process.wait()
