"""Hyperparameters as data: ``dqn.toml`` beside this file, checked by a dataclass."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from agents.common.config import load_config

CONFIG_FILE = Path(__file__).with_name("dqn.toml")


@dataclass(frozen=True)
class DQNConfig:
    """What stable-baselines3's DQN is told; names are SB3's.

    Attributes:
        env_id: The environment, with its default observation, actions, reward and horizon.
        num_envs: Lanes of the batched environment.
        base_pairs: Trained on the first so many pairs of the split ...
        pairs: ... in so many variations (see :mod:`agents.dqn.pairs`).
        total_steps: Transitions to train on.
        learning_rate: Of Adam.
        buffer_size: Transitions kept.
        learning_starts: Transitions before the first gradient step.
        batch_size: Transitions of a gradient step.
        gradient_steps: After every step of all lanes.
        gamma: Discount.
        target_update_interval: Transitions between copies to the target network.
        exploration_fraction: Share of the training over which random actions fall from all to the final share.
        exploration_final_eps: Final share of random actions.
        max_grad_norm: Gradients are clipped to it.

    Raises:
        ValueError: If a value is out of range; the message names it.
    """

    env_id: str
    num_envs: int
    base_pairs: int
    pairs: int
    total_steps: int
    learning_rate: float
    buffer_size: int
    learning_starts: int
    batch_size: int
    gradient_steps: int
    gamma: float
    target_update_interval: int
    exploration_fraction: float
    exploration_final_eps: float
    max_grad_norm: float

    def __post_init__(self) -> None:
        whole = ("num_envs", "base_pairs", "pairs", "total_steps", "buffer_size", "batch_size", "gradient_steps")
        for name in (*whole, "target_update_interval"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        for name in ("gamma", "exploration_fraction", "exploration_final_eps"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)!r}")
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)!r}")
        if self.learning_starts < self.batch_size:
            raise ValueError(f"learning_starts={self.learning_starts} must be at least batch_size={self.batch_size}")
        if self.buffer_size < self.batch_size:
            raise ValueError(f"buffer_size={self.buffer_size} must be at least batch_size={self.batch_size}")

    def for_sb3(self) -> dict[str, Any]:
        """The keywords of ``stable_baselines3.DQN``."""
        ours = ("env_id", "num_envs", "base_pairs", "pairs", "total_steps")
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ours}


def dqn_config(path: Path = CONFIG_FILE, **overrides: Any) -> DQNConfig:
    """The hyperparameters of a file's ``[default]`` table, and overrides over them.

    Args:
        path: The TOML file.
        **overrides: Fields of :class:`DQNConfig`; None leaves the file's value.

    Raises:
        ValueError: On an unknown key or a missing one; the message names file and nearest key.
    """
    return load_config(DQNConfig, path, ("default",), overrides)
