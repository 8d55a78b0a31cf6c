"""Matrix groups as pose models: what rigid, similarity and affine poses have in common.

A pose is the homogeneous matrix itself, fixed to moving physical points, not a list of angles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from regenv.core.geometry import FloatArray, transform_points
from regenv.core.matrix_groups import MatrixGroup
from regenv.core.points import fit_rotation
from regenv.core.scene import Scene
from regenv.poses.base import PoseWords, draw_misalignment
from regenv.poses.matrix_lanes import MAX_STRETCH, MatrixLanes


class MatrixModel(MatrixGroup):
    """A matrix group (:class:`regenv.core.matrix_groups.MatrixGroup`); each is a subclass in a file of its own."""

    sampling: ClassVar[str] = "matrix"
    needs_population: ClassVar[bool] = False
    takes_alignment: ClassVar[bool] = False
    starts_about_truth: ClassVar[bool] = True
    bound: ClassVar[float] = np.inf
    about: ClassVar[str] = ""
    words: ClassVar[PoseWords] = PoseWords(
        state="The state is a transform T from fixed to moving physical points (mm, LPS), here {article} {name} one "
        "with {count} degrees of freedom. The agent changes T step by step",
        freedoms="degrees of freedom",
        array="matrix",
        arrays="matrices",
        step="A step multiplies T on its fixed side, `T <- T exp(s G)`, about {about}, so an action looks the same in "
        "the view whatever T already is. A step that would carry the centre out of the view by more than half its "
        "width changes nothing.",
        start="the true transform{nearest} composed with a misalignment drawn uniformly, of at most {widths} in each "
        "degree of freedom. {framing}",
    )
    nearest: ClassVar[str] = ""

    @classmethod
    def of(cls, ndim: int, population: Callable[[], Any] | None = None) -> MatrixModel:
        """See :class:`regenv.poses.base.PoseModel`."""
        return cls(ndim)

    @property
    def origin(self) -> FloatArray:
        """The identity."""
        return np.eye(self.ndim + 1)

    def matrices(self, poses: FloatArray) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`: themselves."""
        return poses

    def checked(self, pose: ArrayLike) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`."""
        d = self.ndim
        matrix = np.asarray(pose, dtype=np.float64)
        if matrix.shape != (d + 1, d + 1) or not np.isfinite(matrix).all():
            raise ValueError(f"a start is a finite {(d + 1, d + 1)} matrix from fixed to moving points, got {pose!r}")
        if not np.allclose(matrix[d], [0.0] * d + [1.0]) or np.linalg.det(matrix[:d, :d]) <= 0:
            raise ValueError(f"a start must be an invertible transform that does not mirror, got {matrix.tolist()}")
        if not self.contains(matrix):
            raise ValueError(f"the start of a {self.name} environment must be {self.name}, got {matrix.tolist()}")
        return matrix.copy()

    def fit_points(self, points: FloatArray, partners: FloatArray, scene: Scene) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`."""
        return fit_rotation(points, partners, scaled=self.scaled)

    def carry(self, pose: FloatArray, points: FloatArray, scene: Scene) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`."""
        return transform_points(pose, points)

    def start(self, rng: np.random.Generator, widths: FloatArray, about: FloatArray | None, scene: Scene) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`: the true transform composed with a misalignment."""
        assert about is not None
        return self.misaligned(about, draw_misalignment(rng, widths), scene.frame, scene.to_frame)

    def to_sitk_transform(self, pose: FloatArray, scene: Scene) -> Any:
        """See :class:`regenv.poses.base.PoseModel`."""
        from regenv.core.sitk import matrix_to_sitk

        return matrix_to_sitk(pose)

    def lanes(self, count: int, reach_mm: float, threads: int | None = None) -> MatrixLanes:
        """See :class:`regenv.poses.base.PoseModel`."""
        return MatrixLanes(self, count, reach_mm, threads)


STRETCHING_WORDS = replace(
    MatrixModel.words,
    step=f"{MatrixModel.words.step} Nor does one after which T would lengthen or shorten anything by more than a "
    f"factor of {MAX_STRETCH:g} and by more than before.",
)
"""What pages say of the groups whose poses change lengths."""
