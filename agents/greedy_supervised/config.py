"""The agent's hyperparameters: ``config.toml``, checked."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from agents.greedy_supervised.network import NetworkConfig

DEFAULT = Path(__file__).with_name("config.toml")


@dataclass(frozen=True)
class TrainingConfig:
    """How the network is trained.

    Attributes:
        anatomies: Random anatomies to draw pairs from.
        torsos: Procedural torsos to cut further ones from.
        batch: Pairs in a batch.
        learning_rate: Largest, after a warm-up; falls to a fiftieth along a cosine.
        weight_decay: Of AdamW.
        average: Decay of the running average of the weights, which is what is kept.
        minutes: How long; the schedule follows the clock.
        seed: Of weights and data.
    """

    anatomies: int
    torsos: int
    batch: int
    learning_rate: float
    weight_decay: float
    average: float
    minutes: float
    seed: int


@dataclass(frozen=True)
class Config:
    """All of it.

    Attributes:
        steps: Sizes of steps, mm and degrees.
        view_spacing_mm: Of the observation.
        stop_mm: The agent stops when less than this is left by its own estimate.
        min_confidence: Below this share of agreeing matches an answer is not to be trusted. On the development pairs it
            was 0.17 to 0.64; on images that do not belong together 0.05 to 0.07.
        max_steps: It stops after this many steps in any case.
        horizon: Of the environment it asks for.
        network: Sizes of the network.
        training: How it is trained.
    """

    steps: tuple[float, ...]
    view_spacing_mm: float
    stop_mm: float
    min_confidence: float
    max_steps: int
    horizon: int
    network: NetworkConfig
    training: TrainingConfig

    def with_training(self, **changes: Any) -> Config:
        """The same with other values in ``training``; None leaves one as it is."""
        return replace(self, training=replace(self.training, **{k: v for k, v in changes.items() if v is not None}))

    @classmethod
    def load(cls, path: Path | None = None) -> Config:
        """Reads a file; the agent's own by default.

        Raises:
            ValueError: If a key is missing or unknown.
        """
        path = DEFAULT if path is None else path
        table = tomllib.loads(path.read_text())
        table["network"] = _made(NetworkConfig, table.get("network", {}), f"{path}: [network]")
        table["training"] = _made(TrainingConfig, table.get("training", {}), f"{path}: [training]")
        return _made(cls, table, str(path))


def _made(kind: Any, table: dict[str, Any], where: str) -> Any:
    known = {field.name for field in fields(kind)}
    if unknown := sorted(set(table) - known):
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    if missing := sorted(known - set(table)):
        raise ValueError(f"{where}: {missing[0]!r} is missing")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in table.items()})
