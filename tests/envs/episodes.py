"""Episodes as tests want them: who acted, what was paid, how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np


@dataclass
class Episode:
    """One episode.

    Attributes:
        infos: One more than there are rewards: the first is that of the reset.
        rewards: What each step paid.
        terminated: Whether it ended by STOP or at a goal.
        truncated: Whether it ended at the horizon.
        first: Value of what the reward is the gain of, at the start.
        last: The same at the end.
        observation: The last.
    """

    infos: list[dict[str, Any]]
    first: float
    rewards: list[float] = field(default_factory=list)
    terminated: bool = False
    truncated: bool = False
    last: float = 0.0
    observation: Any = None

    @property
    def start_mm(self) -> float:
        """TRE at the start."""
        return float(self.infos[0]["tre"])

    @property
    def end_mm(self) -> float:
        """TRE at the end."""
        return float(self.infos[-1]["tre"])


def play(
    env: gym.Env[Any, Any],
    policy: Callable[[gym.Env[Any, Any]], Any],
    seed: int,
    steps: int | None = None,
    options: dict[str, Any] | None = None,
) -> Episode:
    """Plays an episode to its end, or for so many steps."""
    _, info = env.reset(seed=seed, options=options)
    episode = Episode([info], env.unwrapped.potential)
    while not (episode.terminated or episode.truncated) and len(episode.rewards) != steps:
        observation, reward, episode.terminated, episode.truncated, info = env.step(policy(env))
        episode.observation = observation
        episode.rewards.append(float(reward))
        episode.infos.append(info)
    episode.last = env.unwrapped.potential
    return episode


def expert(env: gym.Env[Any, Any]) -> Any:
    """The greedy expert who knows the truth."""
    return env.unwrapped.expert_action()


def at_random(seed: int) -> Callable[[gym.Env[Any, Any]], Any]:
    """An agent that draws actions, of its own generator."""
    rng = np.random.default_rng(seed)

    def policy(env: gym.Env[Any, Any]) -> Any:
        space = env.action_space
        if isinstance(space, gym.spaces.Discrete):
            return np.int64(rng.integers(space.n))
        if isinstance(space, gym.spaces.MultiDiscrete):
            return rng.integers(space.nvec)
        return rng.uniform(space.low, space.high).astype(space.dtype)

    return policy


def at_truth(env: gym.Env[Any, Any], pair: str) -> tuple[Any, dict[str, Any]]:
    """Observation and info of a pair at the truth, or at the best of the model."""
    env.reset(options={"pair": pair})
    return env.reset(options={"pair": pair, "start": env.unwrapped.truth()})
