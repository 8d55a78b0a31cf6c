"""Statistical deformation models: smooth displacements as a few coefficients in standard deviations.

A model is a set of modes (:mod:`regenv.core.spline_modes`), principal components of a training population's
displacements (Rueckert, Frangi, Schnabel, "Automatic construction of 3-D statistical deformation models of the brain
using nonrigid registration", IEEE Trans. Med. Imaging 22(8), 2003). The population is symmetrised (u and -u), so the
mean is 0 and the identity is in the model.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from regenv.core.geometry import FloatArray, transform_points
from regenv.core.scene import Scene
from regenv.core.spline_modes import BOUND, LEAST_DETERMINANT, SplineModes
from regenv.poses.base import PoseWords, draw_misalignment
from regenv.poses.deformation_lanes import DeformationLanes

FIELD_SAMPLES = 8
"""A deformation leaves as a field of at least so many samples a spline cell: thick slices alone would be 0.4 mm off."""


class StatisticalDeformation(SplineModes):
    """The pose model of the SDM environments; a pose is ``(K,)`` coefficients."""

    name: ClassVar[str] = "sdm"
    sampling: ClassVar[str] = "lattice"
    needs_population: ClassVar[bool] = True
    takes_alignment: ClassVar[bool] = True
    starts_about_truth: ClassVar[bool] = False
    bound: ClassVar[float] = BOUND
    orthonormal: ClassVar[bool] = False
    scaled: ClassVar[bool] = False
    nearest: ClassVar[str] = ""
    words: ClassVar[PoseWords] = PoseWords(
        state="The state is the vector c of {count} coefficients of a statistical deformation model, in standard "
        "deviations, each within 3: `T(x) = A (x + u(x))` with `u(x) = sum_k c_k sigma_k phi_k(x)`, the modes fitted "
        "to training subjects only and symmetrised, so that c = 0 is no deformation; the linear part A is given. The "
        "true deformation lies only partly in the span of the modes, as it does for patients. The agent changes c "
        "step by step",
        freedoms="modes",
        array="coefficients",
        arrays="coefficients",
        step="A step adds to one coefficient. A step that would leave 3 standard deviations, or fold space, changes "
        "nothing.",
        start="the given alignment: c = 0, no deformation, so that the start tells nothing of the truth "
        '(`misalignment={{"sd": 1.0}}` draws coefficients uniformly within 1 standard deviation of 0 instead).',
    )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """``("c1", "c2", ...)``."""
        return tuple(f"c{k + 1}" for k in range(self.n_parameters))

    @property
    def units(self) -> tuple[str, ...]:
        """``"sd"`` for each mode."""
        return ("sd",) * self.n_parameters

    @classmethod
    def of(cls, ndim: int, population: Callable[[], Any] | None = None) -> StatisticalDeformation:
        """See :class:`regenv.poses.base.PoseModel`."""
        assert population is not None
        model: StatisticalDeformation = population()
        return model

    @property
    def about(self) -> str:
        """See :class:`regenv.poses.base.PoseModel`."""
        return f" The modes explain {float(self.explained.sum()):.0%} of the training subjects' squared displacement."

    def check(self, ndim: int, extent_mm: ArrayLike) -> None:
        """Whether the model fits a view.

        Args:
            ndim: Of the view.
            extent_mm: Width of the view, one number or one an axis.

        Raises:
            ValueError: If the model was fitted in another dimension, or over a cube of another width (by over 1 %).
        """
        wanted = np.atleast_1d(np.asarray(extent_mm, dtype=np.float64))
        if ndim != self.ndim:
            raise ValueError(f"the deformation model is {self.ndim}-D and the view {ndim}-D: fit a model in {ndim}-D")
        if (np.abs(wanted - self.extent_mm) > 0.01 * self.extent_mm).any():
            raise ValueError(
                f"the deformation model spans {self.extent_mm:g} mm and the view "
                f"{' x '.join(f'{width:g}' for width in wanted)} mm (view_size x view_spacing_mm): "
                f"fit a model over the view's extent, or make the view {self.extent_mm:g} mm wide"
            )

    @property
    def origin(self) -> FloatArray:
        """``(K,)`` zeros."""
        return np.zeros(self.n_parameters)

    def checked(self, pose: ArrayLike) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`."""
        coefficients = np.asarray(pose, dtype=np.float64)
        if coefficients.shape != (self.n_parameters,) or not np.isfinite(coefficients).all():
            raise ValueError(f"a start is {(self.n_parameters,)} finite coefficients, got {pose!r}")
        if np.abs(coefficients).max() > BOUND + 1e-9:
            raise ValueError(f"coefficients lie within {BOUND:g} standard deviations, got {coefficients.tolist()}")
        return coefficients.copy()

    def contains(self, matrix: ArrayLike) -> bool:
        """See :class:`regenv.poses.base.PoseModel`: no matrix is one."""
        return False

    def fit_points(self, points: FloatArray, partners: FloatArray, scene: Scene) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`: ``T(F x) = A F (x + u)`` with A given and F the frame."""
        local = transform_points(scene.to_frame, points)
        there = transform_points(np.linalg.inv(scene.alignment @ scene.frame), partners)
        return self.project(local, there - local)

    def carry(self, pose: FloatArray, points: FloatArray, scene: Scene) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`."""
        local = transform_points(scene.to_frame, points)
        linear = (scene.alignment @ scene.frame)[:-1, :-1]
        return transform_points(scene.alignment, points) + self.displacement(pose, local) @ linear.T

    def start(self, rng: np.random.Generator, widths: FloatArray, about: FloatArray | None, scene: Scene) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`: within ``widths`` of 0, so that it tells nothing of the truth."""
        coefficients = draw_misalignment(rng, widths)
        while self.least_determinants(coefficients[None])[0] <= LEAST_DETERMINANT:
            coefficients = coefficients / 2  # rare; a folded start would have every small step refused
        return coefficients

    def to_sitk_transform(self, pose: FloatArray, scene: Scene) -> Any:
        """See :class:`regenv.poses.base.PoseModel`."""
        finest = self.extent_mm / self.cells / FIELD_SAMPLES
        return self.to_sitk(pose, scene.frame, scene.alignment, scene.fixed_grid.refined(finest))

    def lanes(self, count: int, reach_mm: float, threads: int | None = None) -> DeformationLanes:
        """See :class:`regenv.poses.base.PoseModel`."""
        return DeformationLanes(self, count, threads)


MODEL = StatisticalDeformation
