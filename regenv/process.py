"""The decision process without pixels, B registrations side by side: poses, actions, visibility and the horizon.

Environments add images, observations and rewards to it; a leaderboard row is replayed on it alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.actions import ActionScheme
from regenv.core.lanes import ALL, Lanes
from regenv.core.scene import Scene, Target
from regenv.imaging.base import Imaging
from regenv.imaging.view import View
from regenv.poses.base import PoseModel


@dataclass(frozen=True)
class Goal:
    """What ends an episode of training at the truth.

    Attributes:
        within: What is left to do at most.
        measure: ``"parameter_distance"`` or ``"tre"`` (mm).
    """

    within: float
    measure: str


class Process:
    """B registrations side by side.

    Args:
        poses: The pose model.
        actions: How actions become steps.
        imaging: How the moved image comes about; it decides which poses are seen.
        view: What is seen.
        lanes: Number of lanes, B.
        horizon: Steps before an episode is truncated.
        goal: What ends an episode at the truth, or None.
        threads: Threads for more than one lane; None for the default.

    Attributes:
        pose: ``(B, ...)`` current poses.
        start: Where the episodes began, alike.
        elapsed: ``(B,)`` steps taken.
        known: ``(B,)`` whether the lane's truth is known and not withheld.
    """

    def __init__(
        self,
        poses: PoseModel,
        actions: ActionScheme,
        imaging: Imaging,
        view: View,
        lanes: int,
        horizon: int,
        goal: Goal | None = None,
        threads: int | None = None,
    ) -> None:
        self.poses, self.actions, self.horizon, self.goal = poses, actions, horizon, goal
        self._lanes = poses.lanes(lanes, view.extent_mm, threads)
        self._visibility = imaging.visibility(poses, view, lanes)
        self._targets = np.full(lanes, None, dtype=object)
        self.pose = np.tile(poses.origin, (lanes, *[1] * poses.origin.ndim))
        self.start = self.pose.copy()
        self.elapsed = np.zeros(lanes, np.int64)

    @property
    def known(self) -> NDArray[np.bool_]:
        """``(B,)`` whether the lane's truth is known and not withheld."""
        return self._lanes.known

    @property
    def of_case(self) -> list[NDArray]:
        """Arrays over lanes of all that :meth:`load` sets."""
        seen = [] if self._visibility is None else self._visibility.of_case
        return [*seen, *self._lanes.of_case, self._targets]

    def load(self, lane: int, scene: Scene, target: Target | None) -> None:
        """Gives a lane a new case; no target where the truth is withheld or unknown."""
        if self._visibility is not None:
            self._visibility.load(lane, scene)
        self._lanes.load(lane, scene, target)
        self._targets[lane] = target

    def begin(self, lane: int, start: NDArray[np.float64]) -> None:
        """Begins an episode of the lane's case at a start."""
        self.pose[lane] = self.start[lane] = start
        self.elapsed[lane] = 0

    def sees(self, poses: NDArray[np.float64], lanes: Lanes = ALL) -> NDArray[np.bool_]:
        """Which of some lanes ``(B,)`` would show anything at their poses ``(B, ...)``."""
        if self._visibility is None:  # of resampled images the overlap rule says it
            return np.ones(len(poses), dtype=bool)
        return self._visibility.sees(poses, lanes)

    def advance(
        self, steps: NDArray[np.float64], stops: NDArray[np.bool_], resting: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """One step of every lane.

        Args:
            steps: ``(B, K)`` in the units of the degrees of freedom; a lane of zeros keeps its pose bit for bit.
            stops: ``(B,)`` which lanes stop.
            resting: Lanes that have just begun an episode and stay as they are.

        Returns:
            Terminated, truncated, and which lanes reached the goal, each ``(B,)``.
        """
        if resting is not None:
            steps = np.where(resting[:, None], 0.0, steps)
        after = self._lanes.advance(self.pose, steps)
        if self._visibility is not None:
            hidden = ~self.sees(after)
            if hidden.any():  # a step after which nothing would be seen changes nothing
                after[hidden] = self.pose[hidden]
        self.pose = after
        self.elapsed += 1
        reached = np.zeros(len(stops), dtype=bool)
        if self.goal is not None:
            left = self.tre() if self.goal.measure == "tre" else np.linalg.norm(self.left(), axis=1)
            reached = left <= self.goal.within
        terminated = stops | reached
        truncated = self.elapsed >= self.horizon
        if resting is not None:
            self.elapsed[resting] = 0
            terminated, truncated = terminated & ~resting, truncated & ~resting
        return terminated, truncated, reached

    def tre(self, lanes: Lanes = ALL) -> NDArray[np.float64]:
        """Mean TRE ``(B,)`` of some lanes in mm, where the truth is known."""
        return self._lanes.tre(self.pose[lanes], lanes)

    def since(self, lanes: Lanes = ALL) -> NDArray[np.float64]:
        """Steps ``(B, K)`` of the way from the start to here, in the frame of the steps."""
        return self._lanes.between(self.start[lanes], self.pose[lanes], lanes)

    def left(self, lanes: Lanes = ALL) -> NDArray[np.float64]:
        """Steps ``(B, K)`` of what is left to do, in the frame of the steps, where the truth is known."""
        targets = [target for target in self._targets[lanes] if target is not None]
        return self._lanes.between(self.pose[lanes], np.stack([target.pose for target in targets]), lanes)

    def expert_action(self, lane: int) -> NDArray:
        """The action of a greedy expert on a lane whose truth is known."""
        return self.actions.expert(self._lanes.remaining(self.pose[lane], lane))
