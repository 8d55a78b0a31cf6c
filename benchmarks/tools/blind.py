"""Policies that do not look at the images, and what they earn: nothing, where a reward means registration."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.tools.landscape import Floats, Landscape
from regenv.actions import DiscreteActions

RANDOM = 4
"""Random policies that are tried from every start."""


class Plan:
    """Steps without a look at anything but, for ``"zero"``, the pose.

    Attributes:
        policy: ``"repeat"`` (one action), ``"back and forth"`` (the first and its opposite), ``"cycle"`` (every action
            in turn), ``"random"`` or ``"zero"`` (a deformation's coefficients to 0).
        name: Of its action, where it has one.
        actions: ``(H,)``; the last, STOP, does nothing.
    """

    def __init__(self, policy: str, name: str, actions: NDArray[np.int64]) -> None:
        self.policy, self.name, self.actions = policy, name, actions


def plans(scheme: DiscreteActions, horizon: int, rng: np.random.Generator) -> list[Plan]:
    """All that are the same for every start."""
    count = len(scheme.table) - 1
    made = []
    for action in range(count):
        k, size = divmod(action // 2, len(scheme.steps))
        name = f"{scheme.model.names[k]} {'-' if action % 2 else '+'}{scheme.steps[size]:g}"
        made.append(Plan("repeat", name, np.full(horizon, action)))
    made.append(Plan("back and forth", made[0].name, np.arange(horizon) % 2))
    made.append(Plan("cycle", "", np.arange(horizon) % count))
    made += [Plan("random", "", rng.integers(0, count, horizon)) for _ in range(RANDOM)]
    return made


def to_zero(scheme: DiscreteActions, start: Floats, horizon: int) -> Plan:
    """Coarse and then fine steps that bring every coefficient to 0."""
    actions, count = [], len(scheme.steps)
    for k, value in enumerate(start):
        for size, step in enumerate(scheme.steps):
            times = int(abs(value) / step + (0.5 if size == count - 1 else 0))
            actions += [2 * (count * k + size) + int(value > 0)] * times
            value -= np.sign(value) * times * step
    stop = len(scheme.table) - 1
    return Plan("zero", "", np.array([*actions, *[stop] * horizon])[:horizon])


def checkpoints(horizon: int) -> list[int]:
    """Lengths after which a policy may stop: powers of two, and the horizon."""
    return [*(2**i for i in range(horizon.bit_length()) if 2**i < horizon), horizon]


def returns(landscape: Landscape, starts: Floats, chosen: list[Plan]) -> Floats:
    """What one plan for each start ``(N, ...)`` earns until it stops at a checkpoint, ``(N, C)``."""
    config, engine, process = landscape.config, landscape.engine, landscape.engine.process
    lengths, out = checkpoints(config.horizon), []
    for first in range(0, len(starts), landscape.lanes):
        some = slice(first, first + landscape.lanes)
        count = len(starts[some])
        actions = np.zeros((landscape.lanes, config.horizon), np.int64)
        actions[:count] = [plan.actions for plan in chosen[some]]
        process.pose[:count] = starts[some]
        engine.refresh(slice(0, count))
        begun, earned = engine.potential[:count].copy(), []
        cost = np.zeros(count)
        for step in range(config.horizon):
            steps, stops = engine.actions.decode(actions[:, step])
            process.advance(steps, stops)
            cost += np.where(stops[:count], 0.0, config.step_cost)
            if step + 1 in lengths:
                engine.refresh(slice(0, count))
                earned.append(config.reward_scale * (engine.potential[:count] - begun) - cost)
        out.append(np.stack(earned, axis=1))
    return np.concatenate(out)


def oracle_returns(landscape: Landscape, starts: Floats) -> Floats:
    """What the expert, who knows the truth, earns from each start, ``(N,)``."""
    config, engine, process = landscape.config, landscape.engine, landscape.engine.process
    found = []
    for some in _batches(starts, landscape.lanes):
        count = len(some)
        process.pose[:count] = some
        engine.refresh(slice(0, count))
        begun, cost = engine.potential[:count].copy(), np.zeros(count)
        going = np.ones(count, dtype=bool)
        actions = np.full(landscape.lanes, engine.actions.space.n - 1)  # type: ignore[attr-defined]
        for _ in range(config.horizon):
            for lane in np.flatnonzero(going):
                actions[lane] = process.expert_action(lane)
            steps, stops = engine.actions.decode(actions)
            going &= ~stops[:count]
            if not going.any():
                break
            cost += np.where(going, config.step_cost, 0.0)
            process.advance(steps, stops)
        engine.refresh(slice(0, count))
        found.append(config.reward_scale * (engine.potential[:count] - begun) - cost)
    return np.concatenate(found)


def _batches(poses: Floats, size: int) -> Iterator[Floats]:
    return (poses[first : first + size] for first in range(0, len(poses), size))
