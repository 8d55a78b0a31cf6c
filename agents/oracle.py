"""The oracle: greedy steps on the true error. It bounds what any agent can reach with this set of actions.

It is told the truth, so its row is a reference and never ranked. On the test split the environment withholds the truth;
the evaluation, which holds it in the track's numbers, adds it to the info of ``reset``.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from regenv.envs.actions import ActionScheme, make_actions
from regenv.envs.remaining import MatrixRemaining


class Oracle:
    """Takes the action after which the anatomical points are nearest to where they belong, and stops when none helps.

    Args:
        name: For the table.
        env_kwargs: The set of actions to bound; default is the environment's own.
    """

    def __init__(self, name: str = "oracle", env_kwargs: dict[str, Any] | None = None) -> None:
        self.method = {
            "name": name,
            "family": "reference",
            "description": "Greedy steps on the true error: bound of the action set",
            "uses_truth": True,
        }
        self.env_kwargs = dict(env_kwargs or {})
        self._env: Any = None
        self._actions: ActionScheme | None = None
        self._target: dict[str, np.ndarray] | None = None

    def attach(self, env: gym.Env[Any, Any]) -> None:
        """Takes the environment whose pose it steps."""
        self._env = env.unwrapped
        config = self._env.config
        self._actions = make_actions(
            config.actions, self._env.model, steps=config.steps, default_steps=config.task.steps, stop=config.stop
        )

    def reset(self, observation: Any, info: dict[str, Any]) -> None:
        """Takes the truth.

        Args:
            observation: Not looked at.
            info: On the test split with ``truth`` (``(d + 1, d + 1)``, fixed to moving), ``frame`` (``(d + 1, d + 1)``,
                mm along the fixed grid's axes about its centre, to physical) and ``points`` (``(N, d)`` fixed points),
                as the evaluation hands them over. On the other splits the environment knows them.
        """
        if self._env is None:
            raise RuntimeError("the oracle needs to know the pose: call attach(env) before reset")
        self._target = {key: np.asarray(info[key]) for key in ("truth", "frame", "points")} if "truth" in info else None

    def act(self, observation: Any) -> Any:
        """The greedy action on the true error."""
        if self._target is None:
            return self._env.expert_action()
        assert self._actions is not None
        frame = self._target["frame"]
        pose = self._env.get_state()["transform"]
        residual = np.linalg.inv(pose @ frame) @ self._target["truth"] @ frame
        local = (self._target["points"] - frame[:-1, -1]) @ frame[:-1, :-1]
        return self._actions.expert(MatrixRemaining(self._env.model, residual, local))


def factory(seed: int = 0) -> Oracle:
    """The oracle of the default actions."""
    return Oracle()


def unit(seed: int = 0) -> Oracle:
    """The oracle of steps of 1 mm and 1 degree."""
    return Oracle("oracle-unit", {"actions": "unit", "horizon": 200})
