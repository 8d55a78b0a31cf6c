"""What a row says of an agent: its name, its family, its code, and what it was trained on."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from regenv import fields
from regenv.errors import near_miss

FAMILIES = (
    "rl",
    "imitation",
    "classical",
    "supervised",
    "unsupervised",
    "adversarial",
    "learned-metric",
    "reference",
)
"""``rl`` learned from reward, ``imitation`` from the true motions, ``supervised`` from the truth without a process."""

SUBJECTS = ("none", "endless", "unknown")


class AgentError(ValueError):
    """An agent cannot be found, made or used; the message names it and the fix."""


@dataclass(frozen=True)
class Training:
    """What an agent was trained on.

    Attributes:
        subjects: How many people's (or phantoms') images; ``"none"`` where nothing was trained, ``"endless"`` where new
            ones are made all the time, ``"unknown"`` where nobody says.
        seeds: Seeds of the trainings that the weights come from.
        budget: Such as ``"776,000 environment steps, 24 minutes on 2 cores"``.
        data: Names of the data sets.

    Raises:
        FieldError: If a field is of another type or too long.
    """

    subjects: int | str = "none"
    seeds: tuple[int, ...] = ()
    budget: str = ""
    data: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.subjects, str):
            fields.choice("training.subjects", self.subjects, SUBJECTS)
        else:
            fields.whole("training.subjects", self.subjects, low=1)
        for seed in fields.listing("training.seeds", self.seeds):
            fields.whole("training.seeds", seed)
        fields.text("training.budget", self.budget)
        for entry in fields.listing("training.data", self.data, high=16):
            fields.text("training.data", entry)


@dataclass(frozen=True)
class Method:
    """What a row says of an agent: entries of its ``method`` mapping, or attributes of the agent.

    Attributes:
        name: Short, for the table and the row's folder.
        family: One of :data:`FAMILIES`.
        description: One line.
        code: Where the code is.
        commit: Git commit of the code, ``-dirty`` where it had changed since; empty where none is known.
        training: What it was trained on.
        test_time_optimisation: Whether it optimises for each pair.
        uses_truth: Whether it is told the truth (reference bounds only).

    Raises:
        FieldError: If a field is of another type or too long.
    """

    name: str
    family: str = "rl"
    description: str = ""
    code: str = ""
    commit: str = ""
    training: Training = field(default_factory=Training)
    test_time_optimisation: bool = False
    uses_truth: bool = False

    def __post_init__(self) -> None:
        fields.name("method.name", self.name)
        fields.choice("family", self.family, FAMILIES)
        fields.text("method.description", self.description)
        fields.text("method.code", self.code)
        fields.commit("method.commit", self.commit)
        fields.flag("method.test_time_optimisation", self.test_time_optimisation)
        fields.flag("method.uses_truth", self.uses_truth)

    @classmethod
    def of(cls, declared: Mapping[str, Any]) -> Method:
        """From plain entries, ``training`` a mapping; ``training_data``, one line, may stand for its ``data``.

        What learns and does not say on how many subjects has ``"unknown"``.

        Raises:
            FieldError: If an entry is unknown or not what it may be.
        """
        entries = dict(declared)
        training = dict(fields.table("training", entries.pop("training", {})))
        if words := entries.pop("training_data", ""):
            training.setdefault("data", [words])
        if entries.get("family", "rl") not in ("classical", "reference"):
            training.setdefault("subjects", "unknown")
        _known("method", entries, asdict(cls("known")))
        _known("method.training", training, asdict(Training()))
        for key in {"seeds", "data"} & set(training):
            training[key] = tuple(fields.listing(f"training.{key}", training[key]))
        return cls(**entries, training=Training(**training))


def _known(where: str, entries: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for key in entries:
        if key not in known:
            raise fields.FieldError(f"{where} has no entry {fields.shown(key)}; {near_miss(key, known)}")


def describe(agent: Any, spec: str) -> Method:
    """What the row says of the agent.

    Attributes of the agent stand in for what its ``method`` mapping leaves out, if they are of the right type.

    Args:
        agent: The agent.
        spec: Its name, from which a missing ``name`` and the commit of its code are taken.

    Raises:
        AgentError: If it declares something unknown, or a field that is not what it may be.
    """
    declared = getattr(agent, "method", None)
    declared = dict(declared) if isinstance(declared, Mapping) else {}
    defaults = asdict(Method(name=short_name(spec)))
    for key, default in defaults.items():
        value = getattr(agent, key, None)
        if key != "training" and isinstance(value, type(default)):
            declared.setdefault(key, value)
    declared.setdefault("name", defaults["name"])
    declared.setdefault("commit", commit_of(spec))
    try:
        return Method.of(declared)
    except (fields.FieldError, TypeError) as error:
        raise AgentError(f"{spec}: {error}") from error


def short_name(spec: str) -> str:
    """``agents.greedy.agent:make`` -> ``greedy``; ``weights/mine.onnx`` -> ``mine``."""
    module, _, attribute = spec.partition(":")
    generic = {"make", "agent", "factory", "create", "make_agent", "agents", "build"}
    parts = [Path(spec).stem] if spec.endswith(".onnx") else [attribute, *reversed(module.split("."))]
    for part in parts:
        plain = re.sub(r"[^A-Za-z0-9_.-]", "-", part.removeprefix("make_")).lstrip(".-")[:40]
        if plain and part not in generic:
            return plain
    return "agent"


def source_of(spec: str) -> Path | None:
    """The policy file, or the file of the module, that an agent's name means; None where there is none."""
    try:
        module = None if spec.endswith(".onnx") else importlib.util.find_spec(spec.partition(":")[0])
    except (ImportError, ValueError):  # ValueError: __main__ has no spec
        return None
    path = spec if spec.endswith(".onnx") else module and module.origin
    return Path(path).resolve() if path and Path(path).is_file() else None


def commit_of(spec: str) -> str:
    """The commit of the repository that holds an agent's module, or nothing where none does.

    A policy file has no code of its own, and git would read the settings of whatever folder it lies in.
    """
    path = source_of(spec)
    if path is None or spec.endswith(".onnx"):
        return ""
    git = ["git", "-C", str(path.parent)]
    options: Mapping[str, Any] = {"check": True, "capture_output": True, "text": True, "timeout": 20}
    try:
        # The module must be git's: a package installed below somebody's clone is no part of that.
        subprocess.run([*git, "ls-files", "--error-unmatch", path.name], **options)
        head = subprocess.run([*git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"], **options)
        return fields.commit("commit", head.stdout.strip())
    except (OSError, subprocess.SubprocessError, fields.FieldError):
        return ""
