"""Similarities: rigid poses with one scale."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from regenv.core.geometry import FloatArray
from regenv.core.matrix_groups import log_scaled_rotation
from regenv.core.points import fit_rotation
from regenv.core.scene import Scene
from regenv.poses.matrix import MatrixModel


class SimilarityGroup(MatrixModel):
    """Rotations, translations and one log-scale; a step of scale is 1 %."""

    name: ClassVar[str] = "similarity"
    scaled: ClassVar[bool] = True
    nearest: ClassVar[str] = ", or the similarity one nearest to it,"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """See :class:`regenv.poses.matrix.MatrixModel`."""
        return (*super().names, "s")

    def _linear_log(self, linear: FloatArray, nearest: bool) -> FloatArray:
        return log_scaled_rotation(linear, self.name)

    def fit_points(self, points: FloatArray, partners: FloatArray, scene: Scene) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`."""
        return fit_rotation(points, partners, scaled=True)


MODEL = SimilarityGroup
