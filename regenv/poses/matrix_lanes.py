"""Matrix poses of many cases side by side: steps within reach, errors, and what is left to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray
from regenv.core.lanes import Lanes, run_lanes, worth_threads
from regenv.core.scene import Scene, Target
from regenv.poses.point_arrays import PointArrays

if TYPE_CHECKING:
    from regenv.poses.matrix import MatrixModel


MAX_STRETCH = 2.0
"""Largest factor by which a pose may lengthen or shorten anything: patients, and starts about them, differ by less."""


_ROUNDING = 1e-9  # what changes by less has not changed


class MatrixLanes:
    """See :class:`regenv.poses.base.PoseLanes`.

    Seen by one X-ray camera, the part of an error along the detector's normal is left out: that is mTREproj (van de
    Kraats et al., IEEE Trans. Med. Imaging 24 (2005) 1177-1189).

    Args:
        model: The group.
        count: Number of lanes, B.
        reach_mm: A step that carries the view's centre further than this from the moving image's centre, and further
            than it was, changes nothing (one view width: the centre half a width beyond the edge of the view). Nor does
            one that stretches by more than :data:`MAX_STRETCH`, and by more than before.
        threads: Threads for more than one lane; None for the default.
    """

    def __init__(self, model: MatrixModel, count: int, reach_mm: float, threads: int | None = None) -> None:
        d = model.ndim
        self.known = np.zeros(count, dtype=bool)
        self._model = model
        self._reach_mm = reach_mm
        self._threads = threads
        self._frames = np.tile(np.eye(d + 1), (count, 1, 1))
        self._moving_centres = np.zeros((count, d))
        self._targets = np.full(count, None, dtype=object)
        self._points = PointArrays(count)
        self._blind = np.zeros((count, d))

    @property
    def of_case(self) -> list[NDArray]:
        """See :class:`regenv.poses.base.PoseLanes`."""
        lanes = [self.known, self._frames, self._moving_centres, self._blind, self._targets]
        return [*lanes, *self._points.of_case]

    def load(self, lane: int, scene: Scene, target: Target | None) -> None:
        """See :class:`regenv.poses.base.PoseLanes`."""
        self._frames[lane] = scene.frame
        self._moving_centres[lane] = scene.moving_grid.centre
        self._blind[lane] = 0.0 if scene.blind_axis is None else scene.blind_axis
        self._targets[lane] = target
        self.known[lane] = target is not None
        if target is None:
            self._points.clear(lane)
        else:
            self._points.load(lane, len(target.points), target.points, target.partners)

    def advance(self, poses: FloatArray, steps: FloatArray) -> FloatArray:
        """See :class:`regenv.poses.base.PoseLanes`."""
        after = self._model.step(poses, steps, self._frames, worth_threads(self._threads, 1000 * len(poses)))
        self._refuse(poses, after, self._centre_distance, self._reach_mm)
        if self._model.stretches:
            self._refuse(poses, after, self._model.stretch, MAX_STRETCH)
        return after

    @staticmethod
    def _refuse(
        poses: FloatArray, after: FloatArray, measure: Callable[[FloatArray], FloatArray], limit: float
    ) -> None:
        """Takes back the steps of lanes that are now beyond a limit and further beyond it than they were."""
        measured = measure(after)
        if measured.max() > limit:  # the common case costs nothing more
            refused = (measured > limit) & (measured > (1 + _ROUNDING) * measure(poses))
            after[refused] = poses[refused]

    def _centre_distance(self, poses: FloatArray) -> FloatArray:
        """Distance in mm ``(B,)`` of the view's centre, carried into the moving image, from that image's centre."""
        d = self._model.ndim
        offset = (poses @ self._frames[:, :, d:])[:, :d, 0] - self._moving_centres
        return np.sqrt(np.einsum("bi,bi->b", offset, offset))

    def tre(self, poses: FloatArray, lanes: Lanes) -> FloatArray:
        """See :class:`regenv.poses.base.PoseLanes`."""
        from regenv.core._matrix_kernels import mean_errors

        out = np.empty(len(poses))
        given = (np.ascontiguousarray(poses), *self._points.at(lanes), self._blind[lanes])
        threads = worth_threads(self._threads, 10 * self._points.total(lanes))
        run_lanes(mean_errors, len(out), *given, out, threads=threads)
        return out

    def between(self, poses: FloatArray, others: FloatArray, lanes: Lanes) -> FloatArray:
        """See :class:`regenv.poses.base.PoseLanes`."""
        return self._model.log(_way(poses, others, self._frames[lanes]), nearest=True)

    def remaining(self, pose: FloatArray, lane: int) -> MatrixRemaining:
        """See :class:`regenv.poses.base.PoseLanes`."""
        target, frame = self._targets[lane], self._frames[lane]
        assert target is not None
        local = (target.points - frame[:-1, -1]) @ frame[:-1, :-1]
        return MatrixRemaining(self._model, _way(pose[None], target.pose[None], frame[None])[0], local)


def _way(poses: FloatArray, others: FloatArray, frames: FloatArray) -> FloatArray:
    """From some poses to others in the frame of the steps: ``F^-1 T^-1 T' F``, ``(B, d + 1, d + 1)``."""
    return np.linalg.inv(poses @ frames) @ others @ frames


class MatrixRemaining:
    """See :class:`regenv.poses.base.Remaining`.

    Args:
        model: The group.
        residual: ``(d + 1, d + 1)``, ``F^-1 T^-1 T_true F``: what is left to do in the frame of the steps.
        points: ``(N, d)`` fixed points in that frame.
    """

    def __init__(self, model: MatrixModel, residual: FloatArray, points: FloatArray) -> None:
        self._model = model
        self._residual = residual
        self._points = points

    @property
    def coefficients(self) -> FloatArray:
        """See :class:`regenv.poses.base.Remaining`."""
        return self._model.log(self._residual[None], nearest=True)[0]

    def errors(self, steps: NDArray[np.float64]) -> FloatArray:
        """See :class:`regenv.poses.base.Remaining`."""
        d = self._points.shape[1]
        after = self._model.exp(-steps) @ self._residual
        moved = self._points @ np.swapaxes(after[:, :d, :d], 1, 2) + after[:, None, :d, d] - self._points
        return np.sqrt((moved**2).sum(-1)).mean(-1)
