"""Acts at random: what an environment gives to one who does not look. The floor of every learning curve."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import gymnasium as gym


class Random:
    """Draws every action uniformly from the action space.

    Args:
        seed: Of the draws.
    """

    method = {"name": "random", "family": "reference", "description": "Uniformly random actions"}
    env_kwargs: dict[str, Any] = {}

    def __init__(self, seed: int = 0) -> None:
        # 6 degrees of freedom x 2 steps x 2 directions and STOP: the default until an environment is attached.
        self.action_space: gym.Space[Any] = gym.spaces.Discrete(25, seed=seed)

    def attach(self, env: gym.Env[Any, Any]) -> None:
        """Takes the environment's action space."""
        if env.action_space != self.action_space:
            self.action_space = deepcopy(env.action_space)

    def seed(self, seed: int) -> None:
        """Begins the draws anew."""
        self.action_space.seed(seed)

    def reset(self, observation: Any, info: dict[str, Any]) -> None:
        """Nothing to prepare."""

    def act(self, observation: Any) -> Any:
        """A random action."""
        return self.action_space.sample()


def factory(seed: int = 0) -> Random:
    """The agent."""
    return Random(seed)
