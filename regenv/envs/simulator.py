"""A simulator of an episode for agents that plan: it tries actions without taking them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.scene import Target
from regenv.envs.engine import Engine
from regenv.process import Process


class Simulator:
    """Looks ahead from where an episode stands, on lanes of its own that share the environment's cases.

    Args:
        env: The environment; its episode is left alone.
        target: The truth, where the agent is told it and the environment withholds it.

    Attributes:
        action_space: Of the environment.
        stops: Whether the environment has STOP; of discrete actions it is the last.
    """

    def __init__(self, env: gym.Env[Any, Any], target: Target | None = None) -> None:
        inner: Any = env.unwrapped
        self._engine: Engine = inner._engine
        self._told: Process | None = None
        if target is not None:
            self._told = self._engine.config.make_process(1)
            self._told.load(0, self._engine.case(0).scene, target)
        self._ahead: Engine | None = None
        self.action_space = env.action_space
        self.stops: bool = self._engine.config.stop

    @property
    def state(self) -> dict[str, Any]:
        """The episode's state; :meth:`peek` takes it back, also one of its own."""
        return self._engine.get_state(0)

    def peek(self, actions: ArrayLike, state: dict[str, Any] | None = None) -> dict[str, NDArray]:
        """One step ahead for each action.

        Args:
            actions: ``(A, ...)``.
            state: Where to look from; default is where the episode stands.

        Returns:
            ``similarity`` ``(A,)``, ``transform`` ``(A, ...)``, ``terminated`` and ``truncated`` ``(A,)``.
        """
        chosen = np.asarray(actions)
        if self._ahead is None or self._ahead.lanes != len(chosen):
            self._ahead = Engine(self._engine.config, len(chosen), self._engine.source, threads=1)
        ahead, here = self._ahead, self.state if state is None else state
        index = ahead.source.index(here["pair_id"])
        for lane in range(len(chosen)):
            ahead.place(lane, index)
        process = ahead.process
        process.pose[:], process.start[:], process.elapsed[:] = here["transform"], here["start"], here["elapsed"]
        terminated, truncated, _ = process.advance(*ahead.actions.decode(chosen))
        ahead.refresh()
        return {
            "similarity": ahead.similarity.copy(),
            "transform": process.pose.copy(),
            "terminated": terminated,
            "truncated": truncated,
        }

    def after(self, peeked: dict[str, NDArray], lane: int, state: dict[str, Any] | None = None) -> dict[str, Any]:
        """The state after one of the actions that were tried from ``state``."""
        here = self.state if state is None else state
        return {**here, "transform": peeked["transform"][lane].copy(), "elapsed": here["elapsed"] + 1}

    def expert_action(self) -> Any:
        """The action of a greedy expert who knows the truth.

        Raises:
            WithheldError: If neither the environment tells the truth nor the evaluation has.
        """
        if self._told is None:
            return self._engine.expert_action(0)
        self._told.pose[:] = self._engine.process.pose
        return self._told.expert_action(0)
