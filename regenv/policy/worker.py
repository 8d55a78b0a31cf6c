"""Runs a policy file for another process and can do little else: no file to open, and bounded memory and time.

A script that imports nothing of regenv: ``python worker.py DESCRIPTOR THREADS MEMORY SECONDS``. It reads the bytes of
the file from the socket, answers with what the file says of itself, then runs it on what it is sent.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_BYTES = 256 << 20
"""Of a policy file, and of one array that is sent to or fro."""


def send(connection: Connection, header: dict[str, Any], arrays: Sequence[NDArray[Any]] = ()) -> None:
    """Sends a header and arrays of numbers."""
    flat = [np.ascontiguousarray(array) for array in arrays]
    forms = [(array.dtype.str, array.shape) for array in flat]
    connection.send_bytes(json.dumps({**header, "arrays": forms}).encode())
    for array in flat:
        connection.send_bytes(array.reshape(-1).view(np.uint8).data if array.size else b"")


def receive(connection: Connection) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """The inverse of :func:`send`.

    Raises:
        ValueError: If what comes is too large or no array of numbers.
        EOFError: If the other side has ended.
        OSError: If the other side has ended, or sends more than it says.
    """
    header = json.loads(connection.recv_bytes(4 << 20))
    arrays = []
    for kind, shape in header["arrays"]:
        dtype = np.dtype(str(kind))
        size = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
        if dtype.kind not in "fiub" or not 0 <= size <= LARGEST_BYTES:
            raise ValueError(f"an array of {size} bytes and type {dtype} is not taken; at most {LARGEST_BYTES}")
        array = np.empty(shape, dtype)
        if size:
            got = connection.recv_bytes_into(array.reshape(-1).view(np.uint8).data)
            if got != size:
                raise ValueError(f"{got} bytes came of {size}")
        else:
            connection.recv_bytes(0)
        arrays.append(array)
    return header, arrays


def open_session(runtime: Any, source: str | bytes, threads: int) -> Any:
    """An onnxruntime session that runs on the processor alone."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def interface(session: Any) -> dict[str, Any]:
    """What a file says of itself: inputs with type and shape, names of outputs, metadata."""
    return {
        "inputs": {i.name: (i.type, tuple(i.shape)) for i in session.get_inputs()},
        "outputs": [o.name for o in session.get_outputs()],
        "metadata": dict(session.get_modelmeta().custom_metadata_map),
    }


def _confine(memory: int) -> None:
    """No file can be opened or written any more, and memory has an end (macOS has no such limit to set)."""
    limits = {resource.RLIMIT_NOFILE: 3, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    if sys.platform != "darwin":
        limits[resource.RLIMIT_AS] = memory
    for kind, value in limits.items():
        hard = resource.getrlimit(kind)[1]
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (lowest, lowest))


def _allow(seconds: int) -> None:
    """So much more processor time, even where the other side is gone and cannot end this."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    wanted = int(time.process_time()) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def main(descriptor: int, threads: int, memory: int, seconds: int) -> None:
    """Serves until the other side ends."""
    connection = Connection(descriptor)
    import onnxruntime

    content = connection.recv_bytes(LARGEST_BYTES)
    _confine(memory)
    try:
        _allow(seconds)
        session = open_session(onnxruntime, content, threads)
        found = interface(session)
        send(connection, found)
    except Exception as error:
        send(connection, {"error": f"{type(error).__name__}: {error}"[:2000]})
        return
    del content
    while True:
        try:
            header, arrays = receive(connection)
        except EOFError:
            return
        try:
            _allow(seconds * threads)
            results = session.run(found["outputs"], dict(zip(header["names"], arrays, strict=True)))
            if strange := [n for n, r in zip(found["outputs"], results, strict=True) if not _is_numbers(r)]:
                raise TypeError(f"output {strange[0]} is no array of numbers")
            send(connection, {}, results)
        except Exception as error:
            send(connection, {"error": f"{type(error).__name__}: {error}"[:2000]})


def _is_numbers(result: Any) -> bool:
    return isinstance(result, np.ndarray) and result.dtype.kind in "fiub" and result.nbytes <= LARGEST_BYTES


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:5]))
