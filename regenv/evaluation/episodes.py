"""Finished cases on disk, kept one by one, so that a run that is stopped loses nothing and goes on where it was."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regenv import fields
from regenv.files import take_alone, write_atomically

EPISODES = "episodes.jsonl.gz"
PARTIAL = "episodes.partial.jsonl"


class RunError(RuntimeError):
    """A run cannot go on; the message names the cause, what is kept and the mend."""


@dataclass(frozen=True)
class Episode:
    """What is kept of one case; a line of ``episodes.jsonl.gz``.

    Attributes:
        case: Id of the track's case.
        seed: The agent's seed.
        actions: All actions in order, or None for a method that answers at once.
        transform: Final transform, fixed to moving: ``(d + 1, d + 1)`` nested lists, a list of coefficients, or a
            mapping that holds a lattice; see :func:`regenv.fields.check_transform`.
        steps: Number of actions.
        evaluations: Evaluations of a similarity that the agent counted, or its steps.
        seconds: Time in the agent and the environment, images loaded.
        metrics: ``tre_start``, ``tre``, ``score`` and, where there are landmarks, ``landmark_tre``.

    Raises:
        FieldError: If a field is not what it may be.
    """

    case: str
    seed: int
    actions: list[Any] | None
    transform: Any
    steps: int
    evaluations: int
    seconds: float
    metrics: dict[str, float]

    def __post_init__(self) -> None:
        fields.name("case", self.case)
        fields.whole("seed", self.seed)
        fields.actions("actions", self.actions)
        fields.check_transform(self.transform)
        fields.whole("steps", self.steps)
        fields.whole("evaluations", self.evaluations)
        fields.number("seconds", self.seconds, low=0)
        for key, value in fields.table("metrics", self.metrics).items():
            fields.number(f"metrics.{key}", value)
        if self.actions is not None and self.steps != len(self.actions):
            raise fields.FieldError(f"{self.steps} steps are stated and there are {len(self.actions)} actions")

    @property
    def key(self) -> tuple[str, int]:
        """What makes it unique in a run."""
        return self.case, self.seed

    def line(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"), allow_nan=False) + "\n"


class PartialRun:
    """The file of a run under way: a header that says what is run, then a line a case.

    Args:
        folder: The row's folder; made if missing.
        header: What must be equal for a run to go on: track digest, agent, its digest, environment keywords.

    Attributes:
        episodes: What was finished before.

    Raises:
        RunError: If the folder holds the partial run of something else.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any]) -> None:
        self.path = folder / PARTIAL
        self.episodes: list[Episode] = []
        self._header = json.loads(json.dumps(header))
        folder.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what is written is on its way to the disk, and nothing is left over to fail later.
        self._stream = open(self.path, "r+b" if self.path.exists() else "w+b", buffering=0)  # noqa: SIM115
        try:
            if not take_alone(self._stream.fileno()):  # two runs would write over each other
                raise RunError(f"another run is writing {self.path}: wait for it, or choose another --out")
            self._end = self._read()
            if self._end == 0:
                self._write((json.dumps(self._header) + "\n").encode())
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> PartialRun:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def _read(self) -> int:
        """Takes over what was finished; returns where the last whole line ends."""
        content = self._stream.read()
        whole = content[: content.rfind(b"\n") + 1]  # a kill may leave half a line at the end, never in the middle
        lines = whole.decode("utf-8", errors="replace").splitlines()
        if not lines:
            return 0
        try:
            header = json.loads(lines[0])
            self.episodes = [Episode(**json.loads(line)) for line in lines[1:]]
        except (ValueError, TypeError) as error:
            raise RunError(f"{self.path} is not a partial run ({error}): delete it to begin anew") from error
        for key, value in self._header.items():
            if header.get(key) != value:
                raise RunError(
                    f"{self.path} is a partial run with {key} = {header.get(key)!r}, this run has {value!r}: delete "
                    "it to begin anew, or choose another --out"
                )
        return len(whole)

    def append(self, episode: Episode) -> None:
        """Keeps one finished case, on the disk when this returns.

        Raises:
            RunError: If it cannot be written (disk full); what was kept before stays whole.
        """
        self._write(episode.line().encode())
        self.episodes.append(episode)

    def _write(self, content: bytes) -> None:
        try:
            self._stream.truncate(self._end)
            self._stream.seek(self._end)
            written = 0
            while written < len(content):  # a disk that fills up takes a part and refuses the rest
                written += self._stream.write(content[written:]) or 0
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise RunError(
                f"cannot write {self.path}: {error.strerror}. The {len(self.episodes)} finished cases in it are kept; "
                "make room and run the same command again to go on"
            ) from error
        self._end += len(content)

    def remove(self) -> None:
        """Removes the file; called once everything is in its final place."""
        self.path.unlink(missing_ok=True)


def write_episodes(path: Path, episodes: Iterable[Episode]) -> None:
    """Writes ``episodes.jsonl.gz`` whole or not at all; the same episodes give the same bytes."""
    content = "".join(episode.line() for episode in episodes).encode()
    write_atomically(path, gzip.compress(content, 9, mtime=0))
