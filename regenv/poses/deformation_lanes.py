"""Deformations of many cases side by side.

The displacement at the points of the TRE is linear in the coefficients, so that the error of a pose is a product with a
matrix that is made once for each case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, transform_points
from regenv.core.lanes import Lanes, run_lanes, worth_threads
from regenv.core.scene import Scene, Target
from regenv.poses.point_arrays import PointArrays

if TYPE_CHECKING:
    from regenv.poses.deformation import StatisticalDeformation


class DeformationLanes:
    """See :class:`regenv.poses.base.PoseLanes`.

    Args:
        model: The deformation model.
        count: Number of lanes, B.
        threads: Threads for more than one lane; None for the default.
    """

    def __init__(self, model: StatisticalDeformation, count: int, threads: int | None = None) -> None:
        self.known = np.zeros(count, dtype=bool)
        self._model = model
        self._threads = threads
        self._targets = np.full(count, None, dtype=object)
        self._linear = np.full(count, None, dtype=object)
        self._points = PointArrays(count)

    @property
    def of_case(self) -> list[NDArray]:
        """See :class:`regenv.poses.base.PoseLanes`."""
        return [self.known, self._targets, self._linear, *self._points.of_case]

    def load(self, lane: int, scene: Scene, target: Target | None) -> None:
        """See :class:`regenv.poses.base.PoseLanes`."""
        self.known[lane] = target is not None
        self._targets[lane] = target
        if target is None:
            self._linear[lane] = None
            self._points.clear(lane)
        else:
            self._linear[lane] = linear = LinearPoints(self._model, scene, target)
            self._points.load(lane, len(target.points), linear.modes, linear.rest)

    def advance(self, poses: FloatArray, steps: FloatArray) -> FloatArray:
        """See :class:`regenv.poses.base.PoseLanes`."""
        return self._model.step(poses, steps, threads=self._threads)

    def tre(self, poses: FloatArray, lanes: Lanes) -> FloatArray:
        """See :class:`regenv.poses.base.PoseLanes`."""
        from regenv.core._deformation_kernels import mean_errors

        out = np.empty(len(poses))
        given = (np.ascontiguousarray(poses), self._model.ndim, *self._points.at(lanes))
        threads = worth_threads(self._threads, 10 * self._points.total(lanes))
        run_lanes(mean_errors, len(out), *given, out, threads=threads)
        return out

    def between(self, poses: FloatArray, others: FloatArray, lanes: Lanes) -> FloatArray:
        """See :class:`regenv.poses.base.PoseLanes`."""
        return others - poses

    def remaining(self, pose: FloatArray, lane: int) -> DeformationRemaining:
        """See :class:`regenv.poses.base.PoseLanes`."""
        points, target = self._linear[lane], self._targets[lane]
        assert points is not None and target is not None
        return DeformationRemaining(self._model, pose, target.pose, points)


class LinearPoints:
    """The points of one case, whose errors are a linear map of the coefficients.

    Args:
        model: The deformation model.
        scene: Of the case.
        target: Its truth.

    Attributes:
        modes: ``(K, N d)`` what each coefficient adds to the points, in mm.
        rest: ``(N, d)`` how far they are from where they belong where all are 0.
    """

    def __init__(self, model: StatisticalDeformation, scene: Scene, target: Target) -> None:
        local = transform_points(scene.to_frame, target.points)
        modes = np.ascontiguousarray(np.moveaxis(model.basis(local), -1, 0))  # (K, N, d)
        linear = (scene.alignment @ scene.frame)[:-1, :-1]
        self.modes = (modes @ linear.T).reshape(len(modes), -1)
        self.rest = transform_points(scene.alignment, target.points) - target.partners

    def errors(self, coefficients: FloatArray) -> FloatArray:
        """Mean distance in mm ``(A,)`` of the points from where they belong, for coefficients ``(A, K)``."""
        # a row at a time: a product of many rows may round otherwise than that of one
        moved = np.stack([row @ self.modes for row in coefficients]).reshape(-1, *self.rest.shape)
        return np.sqrt(((moved + self.rest) ** 2).sum(-1)).mean(-1)


class DeformationRemaining:
    """See :class:`regenv.poses.base.Remaining`; steps that the model refuses change nothing."""

    def __init__(self, model: StatisticalDeformation, pose: FloatArray, best: FloatArray, points: LinearPoints) -> None:
        self._model = model
        self._pose = pose
        self._points = points
        self.coefficients = best - pose

    def errors(self, steps: FloatArray) -> FloatArray:
        """See :class:`regenv.poses.base.Remaining`."""
        return self._points.errors(self._model.step(np.tile(self._pose, (len(steps), 1)), steps))
