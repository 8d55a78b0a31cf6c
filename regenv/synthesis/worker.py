"""A process that makes subjects: ``python -m regenv.synthesis.worker PARENT [urgent]``, see ``workers.py``."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from regenv.data.cache import cache_dir
from regenv.files import take_alone
from regenv.synthesis.procedural import Procedural

_KINDS = {"phantom": "regenv.synthesis.phantom:PhantomDataset", "shapes": "regenv.synthesis.shapes:ShapesDataset"}
_IDLE_S = 30.0  # then it ends
_LOOK_S = 0.2

_wanted: dict[tuple[str, int], None] = {}  # data set and subject, in the order in which they came
_lock = threading.Lock()


def main(parent: int, urgent: bool) -> None:
    """Makes what it is told until there has been nothing to do for a while, or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end is noticed
    if not urgent:
        with contextlib.suppress(OSError):
            os.nice(10)
    threading.Thread(target=_read, daemon=True).start()
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    datasets: dict[str, Procedural] = {}
    idle = time.monotonic()
    while time.monotonic() - idle < _IDLE_S:
        with _lock:
            jobs = list(_wanted)
        for spec, number in jobs:
            if spec not in datasets:
                datasets[spec] = _dataset(json.loads(spec))
            with contextlib.nullcontext() if urgent else _one_of_few():
                done = datasets[spec].keep(number)
            if done:
                with _lock:
                    _wanted.pop((spec, number), None)
                idle = time.monotonic()
                break  # something more urgent may have come
        else:
            time.sleep(_LOOK_S)


def _dataset(spec: dict[str, Any]) -> Procedural:
    module, _, kind = _KINDS[spec.pop("name")].partition(":")
    dataset: Procedural = getattr(import_module(module), kind)(**spec)
    return dataset


def _read() -> None:
    """Takes what the parent wants until the pipe closes, which ends the process."""
    for line in sys.stdin:
        message = json.loads(line)
        spec = json.dumps(message["spec"])
        with _lock:
            _wanted.update(dict.fromkeys((spec, number) for number in message["numbers"]))
    os._exit(0)


def _watch(parent: int) -> None:
    """Ends the process when its parent is gone, though a child of that may still hold the pipe."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(0)


@contextlib.contextmanager
def _one_of_few() -> Iterator[None]:
    """One of the places for workers that all processes of the machine share, half as many as there are processors."""
    places = max(1, (os.cpu_count() or 1) // 2)
    folder = cache_dir() / "workers"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = [os.open(folder / f"{i}.lock", os.O_RDWR | os.O_CREAT) for i in range(places)]
    except OSError:
        yield
        return
    try:
        while not any(take_alone(descriptor) for descriptor in held):
            time.sleep(_LOOK_S)
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


if __name__ == "__main__":
    main(int(sys.argv[1]), urgent="urgent" in sys.argv)
