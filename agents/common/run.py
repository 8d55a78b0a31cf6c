"""The folder of a training run: what it was told, its log, and its checkpoint, each whole after a kill at any time."""

from __future__ import annotations

import io
import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regenv.errors import require
from regenv.files import write_atomically

CHECKPOINT = "checkpoint.pt"
LOG = "progress.jsonl"
RECORD = "run.json"


class Run:
    """A run's folder: ``run.json``, ``progress.jsonl`` and ``checkpoint.pt``.

    Args:
        folder: Made if missing.
        record: What decides the course of the run: hyperparameters, seed, data set. JSON values.
        resume: Whether to go on with the run that the folder holds.
        changeable: Keys of ``record["config"]`` that a resumed run may change, such as its length.

    Attributes:
        checkpoint: Content of the checkpoint that is gone on from, or None.

    Raises:
        FileExistsError: If the folder holds a run and ``resume`` is not asked for.
        FileNotFoundError: If there is nothing to resume.
        ValueError: If the run was begun with other settings; the message names them.
    """

    def __init__(
        self, folder: Path, record: Mapping[str, Any], resume: bool, changeable: tuple[str, ...] = ("total_steps",)
    ) -> None:
        self.folder = folder
        self.checkpoint: dict[str, Any] | None = None
        if resume:
            self._check(record, changeable)
            # Tensors and plain values alone: a checkpoint is data, whoever hands it over.
            self.checkpoint = require("torch", "agents").load(folder / CHECKPOINT, weights_only=True)
        elif (folder / CHECKPOINT).exists():
            raise FileExistsError(f"{folder} already holds a run: go on with --resume, or choose another --out")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOG).touch()
        self._forget_after(0 if self.checkpoint is None else self.checkpoint["steps"])
        write_atomically(folder / RECORD, (json.dumps(record, indent=1) + "\n").encode())

    def _check(self, record: Mapping[str, Any], changeable: tuple[str, ...]) -> None:
        if not (self.folder / CHECKPOINT).is_file():
            raise FileNotFoundError(f"nothing to resume in {self.folder}: it holds no {CHECKPOINT}; leave out --resume")
        now = json.loads(json.dumps(record))
        before = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
        changed = [k for k in now["config"] if k not in changeable and before["config"].get(k) != now["config"][k]]
        changed += [key for key in now if key != "config" and before.get(key) != now[key]]
        if changed:
            raise ValueError(
                f"{self.folder} was begun with another {', '.join(changed)}; use the same, or another --out"
            )

    def _forget_after(self, steps: int) -> None:
        """Drops the lines that were written after the checkpoint: the resumed run writes them again."""
        lines = (self.folder / LOG).read_text(encoding="utf-8").splitlines()
        kept = []
        for line in lines:
            try:
                if json.loads(line)["steps"] > steps:
                    break
            except ValueError:  # a kill in the middle of a line
                break
            kept.append(line + "\n")
        write_atomically(self.folder / LOG, "".join(kept).encode())

    def log(self, line: Mapping[str, Any]) -> None:
        """Appends a line to the log; it needs ``steps``."""
        with open(self.folder / LOG, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    def save(self, content: Mapping[str, Any]) -> None:
        """Writes the checkpoint; a full disk leaves the last one and the training as they are.

        Args:
            content: Tensors and plain values, ``steps`` among them.
        """
        buffer = io.BytesIO()
        require("torch", "agents").save(dict(content), buffer)
        try:
            write_atomically(self.folder / CHECKPOINT, buffer.getvalue())
        except OSError as error:
            print(f"\ncheckpoint not written ({error.strerror}): {self.folder} keeps the last one, training goes on")


class Interrupt:
    """Whether Ctrl-C was pressed; see :func:`interruptible`."""

    asked = False


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Within the block the first Ctrl-C only sets ``asked``, so that a step is finished; the second one interrupts."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():  # which alone may set handlers
        yield interrupt
        return
    before = signal.getsignal(signal.SIGINT)

    def handler(number: int, frame: Any) -> None:
        interrupt.asked = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, handler)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
