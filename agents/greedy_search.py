"""Greedy search: tries every action one step ahead and takes the one after which the images are most alike.

It learns nothing and needs no truth, so it may run on the test split; it stops at the first local optimum of the
similarity. What a learning agent gains over it is what it has learned beyond hill climbing.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from regenv.envs.simulator import Simulator


class GreedySearch:
    """One-step look-ahead on the image similarity.

    Args:
        similarity: Which; a mean of several is written ``"ncc+ngf"``. None for the environment's own.

    Attributes:
        evaluations: Similarities computed since it was last set to 0.
    """

    def __init__(self, similarity: str | None = None) -> None:
        name = "the reward's similarity" if similarity is None else similarity
        self.method = {
            "name": "greedy-search" if similarity is None else f"greedy-search-{similarity.replace('+', '-')}",
            "family": "classical",
            "description": f"One-step look-ahead on {name}, to its first local optimum",
            "test_time_optimisation": True,
        }
        self.env_kwargs: dict[str, Any] = {} if similarity is None else {"reward": similarity}
        self.evaluations = 0
        self._simulator: Simulator | None = None
        self._similarity = 0.0

    def plan(self, simulator: Simulator) -> None:
        """Takes the simulator.

        Raises:
            TypeError: If the actions cannot be listed.
        """
        if not isinstance(simulator.action_space, gym.spaces.Discrete):
            raise TypeError(
                f"greedy search tries every action, so it needs a Discrete space, got {simulator.action_space}"
            )
        self._simulator = simulator
        self._actions = np.arange(simulator.action_space.n)

    def reset(self, observation: Any, info: dict[str, Any]) -> None:
        """Takes the similarity at the start of the episode."""
        self._similarity = float(info["similarity"])

    def act(self, observation: Any) -> np.int64:
        """The action of the largest gain in similarity; STOP where none gains."""
        if self._simulator is None:
            raise RuntimeError("greedy search looks ahead: call plan(simulator) before act")
        found = self._simulator.peek(self._actions)["similarity"]
        self.evaluations += len(self._actions)
        similarity = found.copy()
        if self._simulator.stops:
            similarity[-1] = np.nextafter(self._similarity, np.inf)  # the last action is STOP: a gain has to beat it
        best = int(np.argmax(similarity))
        self._similarity = float(found[best])
        return np.int64(best)


def factory(seed: int = 0) -> GreedySearch:
    """The agent; nothing in it is random."""
    return GreedySearch()


def ncc_ngf(seed: int = 0) -> GreedySearch:
    """On the mean of NCC and NGF."""
    return GreedySearch("ncc+ngf")


def mi_ngf(seed: int = 0) -> GreedySearch:
    """On the mean of MI and NGF."""
    return GreedySearch("mi+ngf")
