"""Affine poses."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from regenv.core.geometry import FloatArray
from regenv.core.matrix_groups import log_general
from regenv.core.points import fit_affine
from regenv.core.scene import Scene
from regenv.poses.base import PoseWords
from regenv.poses.matrix import STRETCHING_WORDS, MatrixModel


class AffineGroup(MatrixModel):
    """Translations, rotations, log-scales along the axes and shears; a step of the last two is 1 %."""

    name: ClassVar[str] = "affine"
    orthonormal: ClassVar[bool] = False
    words: ClassVar[PoseWords] = STRETCHING_WORDS
    nearest: ClassVar[str] = ", or the affine one nearest to it,"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """See :class:`regenv.poses.matrix.MatrixModel`."""
        axes = "xyz"[: self.ndim]
        scales = (f"s{a}" for a in axes)
        shears = (f"h{axes[i]}{axes[j]}" for i in range(self.ndim) for j in range(i + 1, self.ndim))
        return (*super().names, *scales, *shears)

    def contains(self, matrix: ArrayLike) -> bool:
        """Whether a homogeneous matrix that does not mirror is one of this group: all are."""
        return True

    def _linear_log(self, linear: FloatArray, nearest: bool) -> FloatArray:
        return np.stack([log_general(m, nearest) for m in linear]) if len(linear) else np.zeros_like(linear)

    def fit_points(self, points: FloatArray, partners: FloatArray, scene: Scene) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`."""
        return fit_affine(points, partners)


MODEL = AffineGroup
