"""Greedy search: tries every action one step ahead and takes the one after which the images are most alike.

It learns nothing and needs no truth, so it may run on the test split; it stops at the first local optimum of the
similarity. What a learning agent gains over it is what it has learned beyond hill climbing.

The look-ahead is the batched environment itself, with a lane for each action: one call renders all of them.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

import regenv  # noqa: F401  (registers the ids)


class GreedySearch:
    """One-step look-ahead on the image similarity.

    Attributes:
        evaluations: Similarities computed since it was last set to 0.
    """

    method = {
        "name": "greedy-search",
        "family": "classical",
        "description": "One-step look-ahead on the reward's similarity, to its first local optimum",
        "test_time_optimisation": True,
    }
    env_kwargs: dict[str, Any] = {}

    def __init__(self) -> None:
        self.evaluations = 0
        self._spec: gym.envs.registration.EnvSpec | None = None
        self._ahead: Any = None
        self._similarity = 0.0

    def attach(self, env: Any) -> None:
        """Makes a batched environment like ``env``, with a lane for each action.

        Raises:
            TypeError: If the actions cannot be listed.
        """
        if env.spec == self._spec:
            return
        if not isinstance(env.action_space, gym.spaces.Discrete):
            raise TypeError(f"greedy search tries every action, so it needs a Discrete space, got {env.action_space}")
        keywords = {k: v for k, v in env.spec.kwargs.items() if k not in ("task", "render_mode", "threads")}
        self._actions = np.arange(env.action_space.n)
        self._ahead = gym.make_vec(
            env.spec.id, num_envs=len(self._actions), autoreset_mode="Disabled", threads=1, **keywords
        )
        self._stops = env.unwrapped.config.stop is not False
        self._spec = env.spec

    def reset(self, observation: Any, info: dict[str, Any]) -> None:
        """Puts every lane at the start of the episode."""
        if self._ahead is None:
            raise RuntimeError("greedy search looks ahead in the environment: call attach(env) before reset")
        self._ahead.reset(options={"pair": info["pair_id"], "start": info["transform"]})
        self._similarity = float(info["similarity"])

    def act(self, observation: Any) -> np.int64:
        """The action of the largest gain in similarity; STOP where none gains."""
        infos = self._ahead.step(self._actions)[-1]
        self.evaluations += len(self._actions)
        similarity = infos["similarity"].copy()
        if self._stops:
            similarity[-1] = np.nextafter(self._similarity, np.inf)  # the last action is STOP: a gain has to beat it
        best = int(np.argmax(similarity))
        self._similarity = float(infos["similarity"][best])
        state = self._ahead.get_state()[best]
        self._ahead.set_state([state] * len(self._actions))
        return np.int64(best)


def factory(seed: int = 0) -> GreedySearch:
    """The agent; nothing in it is random."""
    return GreedySearch()
