"""Hyperparameters as data: ``pqn.toml`` beside this file, checked by a dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.common.config import load_config
from regenv.catalogue import get_task

CONFIG_FILE = Path(__file__).with_name("pqn.toml")


@dataclass(frozen=True)
class PQNConfig:
    """Hyperparameters; their values are in ``pqn.toml``.

    Attributes:
        network: ``"nature"`` or ``"correlation"``.
        width: Channels of its first convolution.
        hidden: Units of its fully connected layer.
        dueling: Values as that of the state and the actions' advantages.
        double: Two heads; each learns from what the other thinks of its best action (van Hasselt, NeurIPS 2010).
        shift: Pixels by which both images are moved, four ways, where the trained network acts; it takes the mean.
        num_envs: Lanes of the batched environment.
        rollout: Steps of every lane between two updates.
        total_steps: Steps of all lanes together.
        learning_rate: Of RAdam at the start; it falls linearly to 0.
        gamma: Discount.
        trace: Lambda of the returns: 0 looks one step ahead, 1 to the end of the rollout.
        exploration_final: Final share of random actions.
        exploration_fraction: Share of the run over which it falls from 1.
        stop_share: How often a lane that wants to stop does so while it is trained, and less while it explores. Where
            it may not, it takes the best other action: so it learns what those are worth near the end, where their
            values decide when to stop.
        epochs: Passes over each rollout.
        minibatches: Gradient steps of a pass.
        max_grad_norm: Gradients are clipped to it.
        env_kwargs: Keywords of the environment that change what the agent sees and does.
        training_kwargs: Keywords of the environment while it is trained. A step costs nothing while the agent explores,
            and all of ``step_cost`` from the middle of the run on: an agent that pays from the start may learn to stop
            before it has seen what steps gain.

    Raises:
        ValueError: If a value is out of range; the message names it.
    """

    network: str
    width: int
    hidden: int
    dueling: bool
    double: bool
    shift: int
    num_envs: int
    rollout: int
    total_steps: int
    learning_rate: float
    gamma: float
    trace: float
    exploration_final: float
    exploration_fraction: float
    stop_share: float
    epochs: int
    minibatches: int
    max_grad_norm: float
    env_kwargs: Mapping[str, Any]
    training_kwargs: Mapping[str, Any]

    def __post_init__(self) -> None:
        for name in ("width", "hidden", "num_envs", "rollout", "total_steps", "epochs", "minibatches"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        for name in ("gamma", "trace", "exploration_final", "exploration_fraction", "stop_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)!r}")
        if isinstance(self.shift, bool) or not isinstance(self.shift, int) or self.shift < 0:
            raise ValueError(f"shift must be a whole number of pixels, or 0, got {self.shift!r}")
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)!r}")
        if self.stop_share == 0.0:
            raise ValueError("stop_share must be over 0: an agent that never stops learns nothing of stopping")
        if self.minibatches > self.num_envs * self.rollout:
            raise ValueError(f"minibatches={self.minibatches} must be at most num_envs * rollout")


def config_for(env_id: str, path: Path = CONFIG_FILE, preset: str | None = None, **overrides: Any) -> PQNConfig:
    """The hyperparameters for an id: the file's default, the id's own table over it, a preset, and overrides over all.

    Args:
        env_id: The environment.
        path: The TOML file.
        preset: Name of one more of its tables, such as ``"quick"``.
        **overrides: Fields of :class:`PQNConfig`; None leaves the file's value.

    Raises:
        ValueError: On an unknown id, preset or field; the message names the nearest.
    """
    get_task(env_id)  # says which id may be meant
    own = (env_id,) if f'["{env_id}"]' in path.read_text(encoding="utf-8") else ()
    chosen = () if preset is None else (preset,)
    return load_config(PQNConfig, path, ("default", *own, *chosen), overrides)
