"""Acts at random: what an environment gives to one who does not look. The floor of every learning curve."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import gymnasium as gym

from regenv.envs.simulator import Simulator


class Random:
    """Draws every action uniformly from the action space.

    Args:
        seed: Of the draws.
    """

    method = {"name": "random", "family": "reference", "description": "Uniformly random actions"}
    env_kwargs: dict[str, Any] = {}

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._action_space: gym.Space[Any] | None = None

    def plan(self, simulator: Simulator) -> None:
        """Takes the environment's action space."""
        self._action_space = deepcopy(simulator.action_space)
        self._action_space.seed(self._seed)

    def seed(self, seed: int) -> None:
        """Begins the draws of the next episode anew."""
        self._seed = seed

    def reset(self, observation: Any, info: dict[str, Any]) -> None:
        """Nothing to prepare."""

    def act(self, observation: Any) -> Any:
        """A random action."""
        if self._action_space is None:
            raise RuntimeError("random actions need a space: call plan(simulator) before act")
        return self._action_space.sample()


factory = Random
