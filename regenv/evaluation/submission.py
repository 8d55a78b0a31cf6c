"""A leaderboard row on disk: ``submission.toml`` and ``episodes.jsonl.gz``. Never images, never pickles."""

from __future__ import annotations

import gzip
import json
import platform
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from regenv.evaluation.agents import FAMILIES, Method
from regenv.evaluation.episodes import EPISODES, Episode, write_episodes
from regenv.evaluation.score import SCORE_VERSION
from regenv.evaluation.toml import dumps
from regenv.evaluation.track import Track
from regenv.files import write_atomically

HEADER = "submission.toml"
SCHEMA_VERSION = 1
PACKAGES = (
    "regenv",
    "gymnasium",
    "numpy",
    "numba",
    "scipy",
    "SimpleITK",
    "torch",
    "onnxruntime",
    "stable-baselines3",
)


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
        score_version: Version of the score.
        schema: Version of this format.
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
    score_version: int = SCORE_VERSION
    schema: int = SCHEMA_VERSION

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
        write_atomically(folder / HEADER, dumps(self._document()).encode())

    def _document(self) -> dict[str, Any]:
        return {
            "schema": self.schema,
            "row": self.row,
            "track": self.track,
            "track_digest": self.track_digest,
            "score_version": self.score_version,
            "cases": self.cases,
            "seeds": list(self.seeds),
            "agent": self.agent,
            "agent_digest": self.agent_digest,
            "method": asdict(self.method),
            "env_kwargs": dict(self.env_kwargs),
            "versions": dict(self.versions),
        }


def read_header(folder: Path) -> Submission:
    """Reads ``submission.toml``.

    Raises:
        OSError: If it is not there.
        ValueError: If it is no submission; the message names what is wrong.
    """
    document = tomllib.loads((folder / HEADER).read_text(encoding="utf-8"))
    if document.get("schema") != SCHEMA_VERSION:
        raise ValueError(f"schema is {document.get('schema')!r}, this regenv reads {SCHEMA_VERSION}")
    kinds: dict[str, type] = {
        "row": str,
        "track": str,
        "track_digest": str,
        "score_version": int,
        "cases": int,
        "seeds": list,
        "agent": str,
        "agent_digest": str,
        "method": dict,
        "versions": dict,
    }
    for key, kind in kinds.items():
        if not isinstance(document.get(key), kind) or isinstance(document.get(key), bool):
            raise ValueError(f"{key} must be of type {kind.__name__}, got {document.get(key)!r}")
    unknown = set(document) - set(kinds) - {"schema", "env_kwargs"}
    if unknown:
        raise ValueError(f"unknown entries {sorted(unknown)}")
    try:
        method = Method(**document["method"])
    except TypeError as error:
        raise ValueError(f"method: {error}") from error
    for key, value in asdict(method).items():
        if not isinstance(value, type(asdict(Method(name=""))[key])):
            raise ValueError(f"method.{key} has the wrong type: {value!r}")
    if method.family not in FAMILIES:
        raise ValueError(f"method.family is {method.family!r}, must be one of {', '.join(FAMILIES)}")
    seeds = document["seeds"]
    if not seeds or not all(type(seed) is int for seed in seeds) or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be different whole numbers, at least one, got {seeds!r}")
    return Submission(
        **{key: document[key] for key in kinds if key not in ("method", "seeds")},
        method=method,
        seeds=tuple(seeds),
        env_kwargs=document.get("env_kwargs", {}),
    )


def read_episodes(folder: Path) -> tuple[Episode, ...]:
    """Reads ``episodes.jsonl.gz``.

    Raises:
        OSError: If it is missing or no gzip file.
        ValueError: If a line is no episode; the message names the line.
    """
    try:
        text = gzip.decompress((folder / EPISODES).read_bytes()).decode("utf-8")
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{EPISODES} is damaged: {error}") from error
    episodes = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            episodes.append(Episode(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{EPISODES} line {number}: {error}") from error
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
