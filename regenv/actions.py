"""Action schemes: how an agent's action becomes one step of the pose.

A scheme turns a batch of actions into coefficients of the model's generators (mm, degree, %) and STOP flags. It knows
neither images nor truth, so that a leaderboard row can be replayed from its actions alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from regenv.errors import near_miss
from regenv.poses.base import PoseModel, Remaining


class ActionScheme(Protocol):
    """What the engine needs of a scheme."""

    model: PoseModel
    steps: tuple[float, ...]
    stop: bool

    @property
    def space(self) -> spaces.Space[Any]:
        """Space of one action."""
        ...

    def decode(self, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Coefficients ``(B, K)`` and STOP flags ``(B,)`` of a batch of actions."""
        ...

    def expert(self, left: Remaining) -> Any:
        """The greedy action of who knows what is left to do."""
        ...


class DiscreteActions:
    """One step along one degree of freedom, or STOP.

    Action ``2 * n * k + 2 * i`` is the step ``+steps[i]`` along degree of freedom k (of K, with n sizes),
    the next one ``-steps[i]``; STOP, where there is one, is the last.
    """

    def __init__(self, model: PoseModel, steps: Sequence[float], stop: bool = True) -> None:
        self.model = model
        self.steps = tuple(steps)
        self.stop = stop
        rows = [
            sign * size * np.eye(len(model.names))[k]
            for k in range(len(model.names))
            for size in steps
            for sign in (1, -1)
        ]
        if stop:
            rows.append(np.zeros(len(model.names)))
        self.table = np.array(rows)
        self.space = spaces.Discrete(len(rows))

    def decode(self, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """See :class:`ActionScheme`."""
        index = self._checked(actions)
        return self.table[index], self._stops(index)

    def expert(self, left: Remaining) -> np.int64:
        """The action after which the points are nearest to where they belong; STOP when none brings them nearer."""
        errors = left.errors(self.table)
        if self.stop:
            errors[-1] = np.nextafter(errors[-1], 0)  # STOP is the step of zeros: a gain has to beat it
        return np.int64(np.argmin(errors))

    def _stops(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (index == len(self.table) - 1) if self.stop else np.zeros(len(index), dtype=bool)

    def _checked(self, actions: NDArray[Any]) -> NDArray[np.int64]:
        index = np.asarray(actions)
        if index.ndim != 1 or index.dtype.kind not in "iu" or (index < 0).any() or (index >= len(self.table)).any():
            raise ValueError(f"action {actions!r} is not in Discrete({len(self.table)})")
        return index.astype(np.int64, copy=False)


class MultiDiscreteActions:
    """One step along every degree of freedom at once; all zero is STOP.

    For each of K degrees of freedom: 0 is no step, ``2 * i + 1`` is ``+steps[i]``, ``2 * i + 2`` is ``-steps[i]``.
    """

    def __init__(self, model: PoseModel, steps: Sequence[float], stop: bool = True) -> None:
        self.model = model
        self.steps = tuple(steps)
        self.stop = stop
        self._sizes = np.array([0.0] + [sign * size for size in steps for sign in (1, -1)])
        self.space = spaces.MultiDiscrete([len(self._sizes)] * len(model.names))

    def decode(self, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """See :class:`ActionScheme`."""
        index = np.asarray(actions)
        wanted = (len(self.model.names),)
        if (
            index.shape[1:] != wanted
            or index.dtype.kind not in "iu"
            or (index < 0).any()
            or (index >= len(self._sizes)).any()
        ):
            raise ValueError(f"action {actions!r} is not in MultiDiscrete({[len(self._sizes)] * wanted[0]})")
        moving: NDArray[np.bool_] = (index != 0).any(axis=1)
        return self._sizes[index], ~moving if self.stop else np.zeros(len(index), dtype=bool)

    def expert(self, left: Remaining) -> NDArray[np.int64]:
        """Per degree of freedom the step nearest to what is left; STOP when all together bring the points no nearer."""
        index = np.abs(left.coefficients[:, None] - self._sizes[None]).argmin(axis=1).astype(np.int64)
        after, now = left.errors(np.stack([self._sizes[index], np.zeros(len(index))]))
        if self.stop and after >= now:
            index[:] = 0
        return index


class ContinuousActions:
    """A step along every degree of freedom, in [-1, 1] of the coarse step.

    With ``stop``, a last entry over 0.5 is STOP.
    """

    def __init__(self, model: PoseModel, steps: Sequence[float], stop: bool = False) -> None:
        self.model = model
        self.steps = tuple(steps)
        self.stop = stop
        self._scale = max(steps)
        self.space = spaces.Box(-1.0, 1.0, (len(model.names) + int(stop),), dtype=np.float32)

    def decode(self, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """See :class:`ActionScheme`; values beyond the box are clipped to it."""
        values = np.asarray(actions, dtype=np.float64)
        if values.shape[1:] != self.space.shape or not np.isfinite(values).all():
            raise ValueError(f"action {actions!r} is not a finite array of shape {self.space.shape}")
        size = len(self.model.names)
        stops = values[:, size] > 0.5 if self.stop else np.zeros(len(values), dtype=bool)
        return np.clip(values[:, :size], -1.0, 1.0) * self._scale, stops

    def expert(self, left: Remaining) -> NDArray[np.float32]:
        """What is left, as far as one step reaches; STOP (where asked for) once a step gains under 0.1 mm."""
        action = np.clip(left.coefficients / self._scale, -1.0, 1.0)
        if self.stop:
            after, now = left.errors(np.stack([action * self._scale, np.zeros(len(action))]))
            action = np.append(action, float(now - after < 0.1))
        return action.astype(np.float32)


ACTIONS: dict[str, Callable[[PoseModel, Sequence[float], bool], ActionScheme]] = {
    "discrete": DiscreteActions,
    "unit": DiscreteActions,
    "multidiscrete": MultiDiscreteActions,
    "continuous": ContinuousActions,
}


def default_steps(name: str, steps: Sequence[float]) -> tuple[float, ...]:
    """Sizes of steps of an ``actions`` keyword that is given none; ``steps`` are the environment's, coarse first."""
    return (1.0,) if name in ("unit", "multidiscrete") else tuple(steps)


def default_stop(name: str) -> bool:
    """Whether an ``actions`` keyword has STOP where nothing is said."""
    return name != "continuous"


def make_actions(name: str, model: PoseModel, steps: Sequence[float] | float, stop: bool) -> ActionScheme:
    """The scheme of an ``actions`` keyword.

    Args:
        name: ``"discrete"`` (every size of step, both signs, one degree of freedom at a time), ``"unit"`` (the same
            with one size), ``"multidiscrete"`` (all degrees at once) or ``"continuous"``.
        model: The pose model.
        steps: Sizes of steps in mm, degree, % or standard deviations.
        stop: Whether the agent can end the episode.

    Raises:
        ValueError: On an unknown name or a step that is not positive.
    """
    if name not in ACTIONS:
        raise ValueError(f"unknown actions {name!r}; {near_miss(name, ACTIONS)}")
    sizes = (steps,) if isinstance(steps, int | float) else tuple(steps)
    if len(sizes) == 0 or not all(np.isfinite(s) and s > 0 for s in sizes):
        raise ValueError(f"steps must be positive sizes in the degrees of freedom's units, got {steps!r}")
    if name == "unit" and len(sizes) != 1:
        raise ValueError(f"actions='unit' has one size of step, got {steps!r}; use actions='discrete' for several")
    return ACTIONS[name](model, tuple(float(s) for s in sizes), bool(stop))
