"""Runs a trained DQN: the action of the largest value. Needs torch, and neither stable-baselines3 nor training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from agents.dqn.network import load_weights
from agents.dqn.policy_file import method_of
from regenv.errors import require

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "dqn_ctcbct_rigid.safetensors"
WEIGHTS_VARIABLE = "REGENV_DQN_WEIGHTS"


class DQNAgent:
    """Greedy on learned action values.

    Args:
        weights: A weight file of :mod:`agents.dqn.train`.
        name: For the table.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else.
    """

    def __init__(self, weights: Path = WEIGHTS, name: str = "dqn") -> None:
        self._torch = require("torch", "agents")
        self._network, self.metadata = load_weights(weights)
        self.env_kwargs: dict[str, Any] = dict(self.metadata.get("env_kwargs", {}))
        self.method = method_of(name, self.metadata)

    def reset(self, observation: Any, info: dict[str, Any]) -> None:
        """Nothing to prepare: the policy has no memory."""

    def act(self, observation: np.ndarray) -> np.int64:
        """The best action for one observation ``(6, 64, 64)`` uint8."""
        return np.int64(self.act_batch(np.asarray(observation)[None])[0])

    def act_batch(self, observations: np.ndarray) -> np.ndarray:
        """The best actions ``(B,)`` for observations ``(B, 6, 64, 64)`` uint8."""
        with self._torch.no_grad():
            images = self._torch.from_numpy(np.ascontiguousarray(observations)).float() / 255
            return self._network(images).argmax(1).numpy()


def factory(seed: int = 0) -> DQNAgent:
    """The shipped agent, or the one whose weight file the variable ``REGENV_DQN_WEIGHTS`` names.

    Args:
        seed: Not used: the policy is deterministic.
    """
    other = os.environ.get(WEIGHTS_VARIABLE)
    return DQNAgent(Path(other), name=f"dqn-{Path(other).parent.name}") if other else DQNAgent()
