"""Final transforms as a row stores them, and where they carry points: a pose, a linear transform, or a field.

A field is kept as a linear transform and a lattice of cubic B-spline displacements, of at most 64 kB a case, and that
is what is scored.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.points import fit_affine
from regenv.core.scene import Scene
from regenv.poses import make_poses
from regenv.poses.base import PoseModel

if TYPE_CHECKING:
    import SimpleITK as sitk

CELLS = {2: 64, 3: 17}
"""Spline cells along each axis of a stored field, by dimension: 64,000 characters of base64 in 3-D."""

LARGEST_TEXT = 64_000
_STEPS = 32767
_KEYS = {"matrix", "extent_mm", "scale_mm", "lattice"}


class Answer(Protocol):
    """A final transform."""

    @property
    def value(self) -> Any:
        """What a row stores of it: a nested list, coefficients, or the mapping of a field."""
        ...

    def carry(self, points: FloatArray) -> FloatArray:
        """Where fixed physical points ``(N, d)`` come to lie in the moving image, mm."""
        ...

    def posed(self) -> Posed:
        """The same as a renderer takes it."""
        ...


class Posed(NamedTuple):
    """A pose, its model, and the scene in which the two say where a point goes."""

    poses: Any
    pose: FloatArray
    scene: Scene


@dataclass(frozen=True, eq=False)
class PoseAnswer:
    """A pose of the environment's model."""

    pose: FloatArray
    poses: PoseModel
    scene: Scene

    @property
    def value(self) -> Any:
        """See :class:`Answer`."""
        return self.pose.tolist()

    def carry(self, points: FloatArray) -> FloatArray:
        """See :class:`Answer`."""
        return self.poses.carry(self.pose, points, self.scene)

    def posed(self) -> Posed:
        """See :class:`Answer`."""
        return Posed(self.poses, self.pose, self.scene)


@dataclass(frozen=True, eq=False)
class LinearAnswer:
    """A matrix ``(d + 1, d + 1)``, fixed to moving, where the environment's poses are none."""

    matrix: FloatArray
    scene: Scene

    @property
    def value(self) -> Any:
        """See :class:`Answer`."""
        return self.matrix.tolist()

    def carry(self, points: FloatArray) -> FloatArray:
        """See :class:`Answer`."""
        return transform_points(self.matrix, points)

    def posed(self) -> Posed:
        """See :class:`Answer`."""
        return Posed(make_poses("affine", self.scene.ndim), self.matrix, self.scene)


@dataclass(frozen=True, eq=False)
class FieldAnswer:
    """``T(F x) = A F (x + u(x))``, F the scene's frame and u a cubic B-spline on a box about its origin.

    Attributes:
        matrix: ``(d + 1, d + 1)``, A.
        lattice: ``(d, *lattice)`` int16 coefficients of u along the frame's axes, in units of ``scale_mm``.
        scale_mm: That unit.
        extent_mm: ``(d,)`` widths of the box; beyond it u is held at the box's surface.
        scene: Of the case.
    """

    matrix: FloatArray
    lattice: NDArray[np.int16]
    scale_mm: float
    extent_mm: FloatArray
    scene: Scene

    @property
    def value(self) -> dict[str, Any]:
        """See :class:`Answer`."""
        return {
            "matrix": self.matrix.tolist(),
            "extent_mm": self.extent_mm.tolist(),
            "scale_mm": self.scale_mm,
            "lattice": base64.b64encode(self.lattice.astype("<i2").tobytes()).decode(),
        }

    def carry(self, points: FloatArray) -> FloatArray:
        """See :class:`Answer`."""
        from regenv.core._deformation_kernels import evaluate_lanes
        from regenv.core.lanes import run_lanes

        local = transform_points(self.scene.to_frame, points)
        cells = self.lattice.shape[-1] - 3
        t = np.ascontiguousarray((local[None] / self.extent_mm + 0.5) * cells)
        coefficients = (self.lattice * np.float32(self.scale_mm)).reshape(1, len(self.lattice), -1)
        u = np.empty((1, *local.shape))
        run_lanes(evaluate_lanes, 1, np.ascontiguousarray(coefficients, np.float32), cells + 3, t, -1, u, threads=1)
        return transform_points(self.matrix @ self.scene.frame, local + u[0])

    def posed(self) -> Posed:
        """See :class:`Answer`."""
        return Posed(_Lattice(self), np.zeros(0), replace(self.scene, alignment=self.matrix))


@dataclass(frozen=True)
class _Lattice:
    """What a renderer asks of a pose model, for the one pose that a field is."""

    field: FieldAnswer
    name = "field"
    sampling = "lattice"

    @property
    def lattice_shape(self) -> tuple[int, ...]:
        """``(d, *lattice)``."""
        return self.field.lattice.shape

    def lattices(self, poses: FloatArray, out: NDArray[np.float32], threads: int, lanes: object) -> None:
        """Writes the field to every lane; see :class:`regenv.poses.base.PoseModel`."""
        out[...] = self.field.lattice * np.float32(self.field.scale_mm)

    def lattice_scale_offset(self, view_local: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Scale and offset ``(d,)`` from view index to lattice coordinate."""
        per_mm = (self.field.lattice.shape[-1] - 3) / self.field.extent_mm
        return np.diag(view_local)[:-1] * per_mm, (view_local[:-1, -1] + self.field.extent_mm / 2) * per_mm


def answer_of(transform: sitk.Transform, scene: Scene, poses: PoseModel) -> Answer:
    """A SimpleITK transform from fixed to moving points as a row stores it.

    Raises:
        ValueError: If it has numbers that are not finite, or its linear part cannot be inverted.
    """
    from regenv.core.sitk import matrix_from_sitk

    try:
        matrix = matrix_from_sitk(transform)
    except ValueError:
        return _field_of(transform, scene)
    return read_answer(matrix.tolist(), scene, poses)


def _field_of(transform: sitk.Transform, scene: Scene) -> FieldAnswer:
    """The spline nearest to a field at regular samples of the fixed image, beyond which methods know no field."""
    import SimpleITK as sitk

    from regenv.core.deformation_fit import spline_matrix

    d, cells = scene.ndim, CELLS[scene.ndim]
    samples = 2 * cells + 1
    reach = np.abs(transform_points(scene.to_frame, scene.fixed_grid.corners())).max(axis=0)
    extent = np.maximum(2 * reach, 1.0)  # one slice has a thickness
    local = Grid.centred((samples,) * d, tuple(extent / (samples - 1)))
    grid = local.moved_by(scene.frame)
    place = (grid.origin, grid.spacing, grid.direction.ravel().tolist())
    field = sitk.TransformToDisplacementField(transform, sitk.sitkVectorFloat64, grid.size, *place)
    points = grid.points().reshape(-1, d)
    there = points + sitk.GetArrayFromImage(field).reshape(-1, d)
    if not np.isfinite(there).all():
        raise ValueError("the transform carries points of the fixed image to numbers that are not finite")
    matrix = fit_affine(points, there)
    u = transform_points(np.linalg.inv(matrix @ scene.frame), there) - local.points().reshape(-1, d)
    lattice = np.moveaxis(u.reshape(*grid.shape, d), -1, 0)
    inverse = np.linalg.pinv(spline_matrix(samples, cells))
    for axis in range(1, d + 1):  # one axis after the other: the samples are regular
        lattice = np.moveaxis(np.tensordot(inverse, lattice, (1, axis)), 0, axis)
    scale = max(float(np.abs(lattice).max()), 1e-9) / _STEPS
    return FieldAnswer(matrix, np.rint(lattice / scale).astype(np.int16), scale, extent, scene)


def read_answer(value: Any, scene: Scene, poses: PoseModel) -> Answer:
    """The final transform that a row stores.

    Args:
        value: A nested list ``(d + 1, d + 1)``, a pose of the model, or the mapping of a field.
        scene: Of the case.
        poses: The environment's pose model.

    Raises:
        ValueError: If it is none of these, or its numbers are not finite.
    """
    if isinstance(value, Mapping):
        return _read_field(value, scene)
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == poses.origin.ndim:
        return PoseAnswer(poses.checked(array), poses, scene)
    return LinearAnswer(_checked_matrix(array, scene.ndim), scene)


def _checked_matrix(array: FloatArray, ndim: int) -> FloatArray:
    n = ndim + 1
    if array.shape != (n, n) or not np.isfinite(array).all() or not np.allclose(array[-1], np.eye(n)[-1]):
        raise ValueError(f"must be a finite {n} x {n} matrix from fixed to moving points, got shape {array.shape}")
    if abs(np.linalg.det(array[:-1, :-1])) < 1e-6:
        raise ValueError("its linear part cannot be inverted")
    return array


def _read_field(value: Mapping[str, Any], scene: Scene) -> FieldAnswer:
    d = scene.ndim
    if set(value) != _KEYS:
        raise ValueError(f"a field has the entries {sorted(_KEYS)}, got {sorted(map(str, value))}")
    text, scale, extent = value["lattice"], value["scale_mm"], value["extent_mm"]
    if not isinstance(text, str) or len(text) > LARGEST_TEXT:
        raise ValueError(f"a field's lattice is base64 text of at most {LARGEST_TEXT} characters")
    sizes = [scale, *extent] if isinstance(extent, list) and len(extent) == d else [None]
    if not all(isinstance(n, int | float) and np.isfinite(n) and n > 0 for n in sizes):
        raise ValueError(f"a field has scale_mm and {d} extent_mm, positive numbers, got {scale!r} and {extent!r}")
    numbers = np.frombuffer(base64.b64decode(text, validate=True), "<i2")
    side = round((len(numbers) / d) ** (1 / d))
    if side < 4 or side**d * d != len(numbers):
        raise ValueError(f"a field's lattice holds {d} cubes of numbers, got {len(numbers)}")
    matrix = _checked_matrix(np.asarray(value["matrix"], dtype=np.float64), d)
    lattice = numbers.reshape(d, *[side] * d).astype(np.int16)
    return FieldAnswer(matrix, lattice, float(scale), np.array(extent, dtype=np.float64), scene)
