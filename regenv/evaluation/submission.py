"""A leaderboard row on disk: ``submission.toml`` and ``episodes.jsonl.gz``. Never images, never pickles."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import tomli_w

from regenv import fields
from regenv.evaluation.episodes import EPISODES, Episode, write_episodes
from regenv.evaluation.method import Method
from regenv.evaluation.score import SCORE_VERSION
from regenv.evaluation.track import Track
from regenv.files import write_atomically
from regenv.reading import UnsafeFileError, gunzip_lines, parse_json, parse_toml, read_bounded

HEADER = "submission.toml"
SCHEMA_VERSION = 2
TIMINGS = ("measured", "claimed")
HEADER_BYTES = 64 << 10
EPISODES_BYTES = 16 << 20
UNPACKED_BYTES = 256 << 20
LINE_BYTES = 1 << 20
PACKAGES = ("regenv", "gymnasium", "numpy", "numba", "scipy", "SimpleITK", "torch", "onnxruntime", "stable-baselines3")


@dataclass(frozen=True)
class Submission:
    """The header of a row.

    Attributes:
        row: Name of the row and of its folder.
        track: Name of the track.
        track_digest: Digest of the track's numbers.
        cases: How many of the track's cases were run, from the first.
        agent: ``"package.module:factory"`` or the policy file.
        agent_digest: Hash of the factory's source or of the policy file.
        method: What the row says of the agent.
        seeds: The agent's (training) seeds.
        env_kwargs: Environment keywords that the agent asked for.
        versions: Software that it ran with.
        timing: ``"measured"`` where the runner (:mod:`regenv.evaluation.runner`) took the seconds, ``"claimed"``
            where they come from elsewhere.
        score_version: Version of the score.
        schema: Version of this format.

    Raises:
        FieldError: If a field is not what it may be.
    """

    row: str
    track: str
    track_digest: str
    cases: int
    agent: str
    agent_digest: str
    method: Method
    seeds: tuple[int, ...]
    env_kwargs: Mapping[str, Any]
    versions: Mapping[str, str]
    timing: str = "measured"
    score_version: int = SCORE_VERSION
    schema: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        fields.name("row", self.row)
        fields.name("track", self.track)
        fields.digest("track_digest", self.track_digest)
        fields.whole("cases", self.cases, low=1, high=1_000_000)
        fields.text("agent", self.agent)
        fields.digest("agent_digest", self.agent_digest)
        for seed in fields.listing("seeds", self.seeds, low=1):
            fields.whole("seeds", seed)
        if len(set(self.seeds)) != len(self.seeds):
            raise fields.FieldError(f"seeds must be different, got {fields.shown(self.seeds)}")
        for key, value in fields.table("env_kwargs", self.env_kwargs).items():
            fields.env_keyword(key, value)
        for key, value in fields.table("versions", self.versions).items():
            fields.text(f"versions.{key}", value, limit=80)
        fields.choice("timing", self.timing, TIMINGS)
        fields.whole("score_version", self.score_version, low=1, high=1000)

    def identity(self) -> dict[str, Any]:
        """What must be equal for one run to go on as another: everything but how many cases and seeds."""
        return {
            "track": self.track,
            "track_digest": self.track_digest,
            "agent": self.agent,
            "agent_digest": self.agent_digest,
            "env_kwargs": json.loads(json.dumps(dict(self.env_kwargs))),
            "score_version": self.score_version,
        }

    def write(self, folder: Path, episodes: Sequence[Episode]) -> None:
        """Writes both files, each whole or not at all, the header last."""
        folder.mkdir(parents=True, exist_ok=True)
        write_episodes(folder / EPISODES, episodes)
        self.write_header(folder)

    def write_header(self, folder: Path) -> None:
        """Writes ``submission.toml`` alone, whole or not at all."""
        document = {"schema": self.schema, **asdict(self)}  # plain entries come before tables, whatever the order
        document["env_kwargs"] = {k: v for k, v in self.env_kwargs.items() if v is not None}  # TOML has no null
        write_atomically(folder / HEADER, tomli_w.dumps(document).encode())


def read_document(folder: Path) -> dict[str, Any]:
    """The entries of ``submission.toml``, of whatever schema, not checked.

    Raises:
        OSError: If it is not there.
        ValueError: If it is no regular file, too large or no TOML.
    """
    return parse_toml(read_bounded(folder / HEADER, HEADER_BYTES))


def read_header(folder: Path) -> Submission:
    """Reads ``submission.toml``.

    Raises:
        OSError: If it is not there.
        ValueError: If it is no submission; the message names what is wrong.
    """
    return header_of(read_document(folder))


def header_of(document: Mapping[str, Any]) -> Submission:
    """The header that a document states.

    Raises:
        FieldError: If an entry is missing, unknown or not what it may be.
    """
    entries = dict(document)
    if (schema := entries.pop("schema", None)) != SCHEMA_VERSION:
        older = "; regenv leaderboard migrate DIR brings it up to date" if schema == 1 else ""
        raise fields.FieldError(f"schema is {fields.shown(schema)}, this regenv reads {SCHEMA_VERSION}{older}")
    for key in ("score_version", "timing"):
        if key not in entries:
            raise fields.FieldError(f"{key} is missing")
    entries["method"] = Method.of(fields.table("method", entries.get("method")))
    entries["seeds"] = tuple(fields.listing("seeds", entries.get("seeds")))
    try:
        return Submission(**{"env_kwargs": {}, **entries})
    except TypeError as error:  # an entry is missing or unknown
        raise fields.FieldError(str(error).replace("Submission.__init__() ", "")) from error


def read_episodes(folder: Path) -> tuple[Episode, ...]:
    """Reads ``episodes.jsonl.gz``.

    Raises:
        OSError: If it is missing.
        ValueError: If it is no regular file, too large, damaged, or a line is no episode; the message names the line.
    """
    content = read_bounded(folder / EPISODES, EPISODES_BYTES)
    episodes: list[Episode] = []
    try:
        for line in gunzip_lines(content, UNPACKED_BYTES, LINE_BYTES):
            episodes.append(Episode(**parse_json(line)))
    except (ValueError, TypeError) as error:
        kind = UnsafeFileError if isinstance(error, UnsafeFileError) else ValueError
        raise kind(f"{EPISODES} line {len(episodes) + 1}: {error}") from error
    return tuple(episodes)


def read_submission(folder: Path) -> tuple[Submission, tuple[Episode, ...]]:
    """Header and episodes of a row's folder; see :func:`read_header` and :func:`read_episodes`."""
    return read_header(folder), read_episodes(folder)


def software_versions(track: Track) -> dict[str, str]:
    """Versions of what a run depends on, where installed."""
    versions = {"python": platform.python_version(), "generator": track.generator}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
