"""The reward of an environment as a landscape: potential and error of a pair at any poses, many at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.scene import Target
from regenv.envs.config import make_config
from regenv.envs.engine import Engine
from regenv.imaging.case import require_target
from regenv.poses.base import start_widths

Floats = NDArray[np.float64]

LANES = 64

SPREAD_SD = 1.0
"""What stands for the width of the starts of a deformation that starts at the alignment it is given."""
_TRIES = 200  # batches of far poses that are drawn until there are enough which the process takes
_MOVES = 400  # of a search at one size of step


class Landscape:
    """One pair after the other on all lanes of an engine.

    Args:
        env_id: The environment.
        split: Whose pairs; ``"train"`` or ``"validation"``.
        lanes: How many poses are rendered at once.
        **keywords: As ``gym.make`` takes them.

    Attributes:
        engine: All of its lanes hold the pair at hand.
        config: Of the environment.
        truth: The pair's true pose, or the nearest that the model can say.
        target: Its truth.
    """

    truth: Floats
    target: Target

    def __init__(self, env_id: str, split: str = "validation", lanes: int = LANES, **keywords: Any) -> None:
        self.config = make_config(env_id, split=split, **keywords)
        self.engine = Engine(self.config, lanes)
        self.lanes = lanes
        widths = start_widths(self.engine.poses, self.config.misalignment)
        self._given = not widths.any()
        self._widths = np.where(widths > 0, widths, SPREAD_SD)
        self._to_truth = self.config.make_process(1)  # measures errors against the true pose instead of the points

    def show(self, pair: int) -> None:
        """Puts pair number ``pair`` on every lane."""
        for lane in range(self.lanes):
            self.engine.place(lane, pair)
        case = self.engine.case(0)
        self.target = require_target(case, "a landscape", self.engine.withheld)
        self.truth = self.target.pose
        carried = self.engine.poses.carry(self.truth, self.target.points, case.scene)
        self._to_truth.load(0, case.scene, replace(self.target, partners=carried))

    def at(self, poses: Floats) -> tuple[Floats, Floats]:
        """Potential and TRE in mm, ``(N,)`` each, at poses ``(N, ...)``."""
        potential, tre = np.zeros(len(poses)), np.zeros(len(poses))
        process = self.engine.process
        for first in range(0, len(poses), self.lanes):
            some = poses[first : first + self.lanes]
            filled, there = slice(0, len(some)), slice(first, first + len(some))
            process.pose[filled] = some
            self.engine.refresh(filled)
            potential[there] = self.engine.potential[filled]
            tre[there] = process.tre(filled)
        return potential, tre

    def from_truth(self, pose: Floats) -> float:
        """Mean distance in mm between where a pose and the true one carry the points of the TRE.

        It is the TRE where the truth is a pose of the model. Between subjects, where the truth is the pose nearest to
        points that no pose reaches, it leaves out what no agent can change.
        """
        self._to_truth.pose[0] = pose
        return float(self._to_truth.tre()[0])

    def moved(self, poses: Floats, steps: Floats) -> Floats:
        """Poses ``(N, ...)`` after a step ``(N, K)`` of the process; what it refuses stays where it was."""
        out = np.empty_like(poses)
        process, still = self.engine.process, np.zeros(self.lanes, dtype=bool)
        size = np.zeros((self.lanes, steps.shape[1]))
        for first in range(0, len(poses), self.lanes):
            some = poses[first : first + self.lanes]
            process.pose[: len(some)], size[: len(some)] = some, steps[first : first + len(some)]
            process.advance(size, still)
            out[first : first + len(some)] = process.pose[: len(some)]
        return out

    def starts(self, count: int, rng: np.random.Generator) -> Floats:
        """Starts ``(N, ...)`` of the pair as episodes draw them."""
        found = []
        for _ in range(count):
            self.engine.begin([0], [rng], [{"pair": self.engine.case(0).id}])
            found.append(self.engine.process.pose[0].copy())
        return np.stack(found)

    def spread(self, count: int, rng: np.random.Generator) -> Floats:
        """Poses ``(N, ...)`` spread as starts are; where every episode starts as given, within one width about that."""
        if not self._given:
            return self.starts(count, rng)
        return self.engine.poses.origin + rng.uniform(-1, 1, (count, len(self._widths))) * self._widths

    def between(self, starts: Floats, rng: np.random.Generator) -> Floats:
        """A pose on the way from each start to the truth, at an evenly drawn share of it."""
        shares = rng.uniform(0, 1, (len(starts), 1))
        truths = np.repeat(self.truth[None], len(starts), axis=0)
        if not self.engine.poses.starts_about_truth:
            return self.moved(truths, shares * (starts - truths))
        return self.moved(truths, shares * rng.uniform(-1, 1, (len(starts), len(self._widths))) * self._widths)

    def along(self, starts: Floats, share: float) -> Floats:
        """Poses at a share of the way from each of as many starts as there are lanes, or fewer, to the truth."""
        process, some = self.engine.process, slice(0, len(starts))
        process.pose[some] = starts
        return self.moved(starts, share * process.left(some))

    def far(self, count: int, rng: np.random.Generator) -> Floats:
        """Poses ``(N, ...)`` that are 1 to 3 times the widths of a start away from the truth.

        Even on the surface of the box that is r times as wide as that of the starts, r even from 1 to 3: in one degree
        of freedom at least they are further away than any start. What the process refuses (out of a deformation
        model's bounds, folded, out of sight) is drawn anew.

        Raises:
            RuntimeError: If the process refuses nearly all.
        """
        found: list[Floats] = []
        for _ in range(_TRIES):
            box = rng.uniform(-1, 1, (self.lanes, len(self._widths)))
            box *= rng.uniform(1, 3, (self.lanes, 1)) / np.abs(box).max(1, keepdims=True)
            steps = box * self._widths
            truths = np.repeat(self.truth[None], self.lanes, axis=0)
            if np.isfinite(self.engine.poses.bound):  # the same distance, to the side that lies within
                steps = np.where(np.abs(truths + steps) > self.engine.poses.bound, -steps, steps)
            after = self.moved(truths, steps)
            found += list(after[(after != truths).reshape(self.lanes, -1).any(1)])
            if len(found) >= count:
                return np.stack(found[:count])
        raise RuntimeError(f"{self.config.task.id}: only {len(found)} far poses of {count} that the process takes")

    def optimum(self) -> Floats:
        """Where the potential is best, sought from the truth by its best neighbours.

        Neighbours are the fine step along each degree of freedom in both directions, and all that gain together;
        where none gains, steps of half and of a quarter of its size.
        """
        freedoms = len(self._widths)
        units = np.concatenate([np.eye(freedoms), -np.eye(freedoms)])
        pose, best = self.truth, self.at(self.truth[None])[0][0]
        for size in min(self.config.steps) / np.array([1.0, 2.0, 4.0]):
            for _ in range(_MOVES):
                tried = self.moved(np.repeat(pose[None], len(units), axis=0), size * units)
                values = self.at(tried)[0]
                gains = np.maximum(values - best, 0).reshape(2, freedoms)
                together = size * np.sign(gains[0] - gains[1])[None]
                tried = np.concatenate([tried, self.moved(pose[None], together)])
                values = np.append(values, self.at(tried[-1:])[0])
                if not values.max() > best:
                    break
                pose, best = tried[values.argmax()], values.max()
        return pose
