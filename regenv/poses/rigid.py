"""Rigid poses: translations and rotations."""

from __future__ import annotations

from typing import ClassVar

from regenv.core.geometry import FloatArray
from regenv.core.matrix_groups import log_scaled_rotation
from regenv.core.points import fit_rotation
from regenv.core.scene import Scene
from regenv.poses.matrix import MatrixModel


class RigidGroup(MatrixModel):
    """Rotations and translations; a step is 1 mm or 1 degree."""

    name: ClassVar[str] = "rigid"

    def _linear_log(self, linear: FloatArray, nearest: bool) -> FloatArray:
        return log_scaled_rotation(linear, self.name)

    def fit_points(self, points: FloatArray, partners: FloatArray, scene: Scene) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`."""
        return fit_rotation(points, partners)


MODEL = RigidGroup
