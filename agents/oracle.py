"""The oracle: greedy steps on the true error. It bounds what any agent can reach with this set of actions.

It is told the truth, so its row is a reference and never ranked. On the test split the environment withholds the truth;
the evaluation, which holds it in the track's numbers, hands it to the simulator.
"""

from __future__ import annotations

from typing import Any

from regenv.envs.simulator import Simulator


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
        self._simulator: Simulator | None = None

    def plan(self, simulator: Simulator) -> None:
        """Takes the simulator, which knows the truth."""
        self._simulator = simulator

    def reset(self, observation: Any, info: dict[str, Any]) -> None:
        """Nothing to prepare."""

    def act(self, observation: Any) -> Any:
        """The greedy action on the true error."""
        if self._simulator is None:
            raise RuntimeError("the oracle needs to know the pose: call plan(simulator) before act")
        return self._simulator.expert_action()


def factory(seed: int = 0) -> Oracle:
    """The oracle of the default actions."""
    return Oracle()


def unit(seed: int = 0) -> Oracle:
    """The oracle of steps of 1 mm and 1 degree."""
    return Oracle("oracle-unit", {"actions": "unit", "horizon": 200})
