"""Matrix groups as pose models: what rigid, similarity and affine poses have in common.

A pose is the homogeneous matrix itself, fixed to moving physical points, not a list of angles. A step along degree of
freedom ``k`` multiplies it by ``exp(s G_k)``, with ``G_k`` scaled so that ``s = 1`` is 1 mm, 1 degree or 1 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray, transform_points
from regenv.core.matrix_groups import phi
from regenv.core.scene import Scene
from regenv.poses.base import PoseWords, draw_misalignment
from regenv.poses.matrix_lanes import MatrixLanes

_AXES = "xyz"


@dataclass(frozen=True)
class MatrixModel:
    """A group of homogeneous matrices with named one-parameter steps; each group is a subclass in a file of its own.

    Degrees of freedom come in the order translations, rotations, log-scales, shears. In 3-D a rotation ``rx`` turns
    right-handed about the x axis; in 2-D the one rotation is ``rz``, from x to y. A shear ``hxy`` adds to x in
    proportion to y.

    Attributes:
        ndim: 2 or 3.
        orthonormal: Whether steps are kept a rotation (times a scale) however many there are.
        scaled: Whether that has a scale of its own.

    Raises:
        ValueError: If the dimension is unknown.
    """

    ndim: int
    name: ClassVar[str]
    orthonormal: ClassVar[bool] = True
    scaled: ClassVar[bool] = False
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

    def __post_init__(self) -> None:
        if self.ndim not in (2, 3):
            raise ValueError(f"a transform model has 2 or 3 dimensions, got {self.ndim}")

    @classmethod
    def of(cls, ndim: int, population: Callable[[], Any] | None = None) -> MatrixModel:
        """See :class:`regenv.poses.base.PoseModel`."""
        return cls(ndim)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name of each degree of freedom, ``("tx", "ty", "tz", "rx", ...)``; those of rigid transforms."""
        axes = _AXES[: self.ndim]
        return (*(f"t{a}" for a in axes), *(["rz"] if self.ndim == 2 else [f"r{a}" for a in axes]))

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Unit of each degree of freedom: ``"mm"``, ``"deg"`` or ``"%"``."""
        return tuple({"t": "mm", "r": "deg"}.get(name[0], "%") for name in self.names)

    @cached_property
    def generators(self) -> FloatArray:
        """``(K, d + 1, d + 1)`` generators, scaled to 1 mm, 1 degree or 1 %."""
        d = self.ndim
        generators = np.zeros((len(self.names), d + 1, d + 1))
        for generator, name in zip(generators, self.names, strict=True):
            kind, axes = name[0], [_AXES.index(a) for a in name[1:]]
            if kind == "t":
                generator[axes[0], d] = 1.0
            elif kind == "r":
                a, b = (axes[0] + 1) % 3, (axes[0] + 2) % 3
                generator[b, a] = np.pi / 180
                generator[a, b] = -np.pi / 180
            elif kind == "s":
                for axis in axes or range(d):
                    generator[axis, axis] = 0.01
            else:
                generator[axes[0], axes[1]] = 0.01
        generators.setflags(write=False)
        return generators

    @property
    def n_parameters(self) -> int:
        """Number of degrees of freedom, K."""
        return len(self.names)

    @property
    def origin(self) -> FloatArray:
        """The identity."""
        return np.eye(self.ndim + 1)

    def exp(self, coefficients: ArrayLike) -> FloatArray:
        """``exp(sum_k s_k G_k)`` of ``(B, K)`` coefficients (mm, degrees, %), ``(B, d + 1, d + 1)``."""
        s = self._coefficients(coefficients)
        identity = np.tile(self.origin, (len(s), 1, 1))
        return self.step(identity, s, identity)

    def step(self, transforms: ArrayLike, coefficients: ArrayLike, frames: ArrayLike) -> FloatArray:
        """One step on the fixed side: ``T . F exp(sum_k s_k G_k) F^-1``, lane by lane.

        Rotations are re-orthonormalised (rigid, similarity), so any number of steps stays in the group. A lane whose
        coefficients are all zero keeps its matrix bit for bit.

        Args:
            transforms: ``(B, d + 1, d + 1)`` matrices T, from fixed to moving physical points.
            coefficients: ``(B, K)`` steps in mm, degrees and %.
            frames: ``(B, d + 1, d + 1)`` matrices F from the frame of the steps
                (:attr:`regenv.core.scene.Scene.frame`) to physical points.

        Returns:
            ``(B, d + 1, d + 1)`` new matrices; the arguments are left alone.
        """
        from regenv.core._matrix_kernels import steps

        s = self._coefficients(coefficients)
        t = self._matrices(transforms, len(s))
        f = self._matrices(frames, len(s))
        out = np.empty_like(t)
        steps(t, s, f, self.generators, self.orthonormal, self.scaled, out)
        return out

    def log(self, transforms: ArrayLike, nearest: bool = False) -> FloatArray:
        """The ``(B, K)`` coefficients (mm, degrees, %) whose :meth:`exp` is the transform.

        The principal logarithm: rotations within 180 degrees. For coefficients in a frame F give ``F^-1 T F``.

        Args:
            transforms: ``(B, d + 1, d + 1)`` matrices.
            nearest: Where an affine matrix has no real logarithm, which happens about half a turn away, to give that
                of its rotation plus that of its stretch, which is finite; :meth:`exp` does not take it back.

        Raises:
            ValueError: If a matrix is not of this group, or has no real logarithm.
        """
        t = self._matrices(transforms, None)
        d = self.ndim
        linear_log = self._linear_log(t[:, :d, :d], nearest)
        # exp of [[L, u], [0, 0]] is [[exp L, phi(L) u], [0, 1]] with phi(L) = sum_k L^k / (k + 1)!.
        velocity = np.linalg.solve(phi(linear_log), t[:, :d, d:])[..., 0]
        generators = self.generators[d:, :d, :d].reshape(self.n_parameters - d, d * d)
        rest = linear_log.reshape(len(t), d * d) @ np.linalg.pinv(generators)
        return np.concatenate([velocity, rest], axis=1)

    def _linear_log(self, linear: FloatArray, nearest: bool) -> FloatArray:
        """Logarithms of linear parts ``(B, d, d)``; ValueError where one is not of the group."""
        raise NotImplementedError

    def contains(self, matrix: ArrayLike) -> bool:
        """Whether a homogeneous ``(d + 1, d + 1)`` matrix that does not mirror is one of this group."""
        try:
            self.log(np.asarray(matrix, dtype=np.float64)[None])
        except ValueError:
            return False
        return True

    def matrices(self, poses: NDArray[np.float64]) -> NDArray[np.float64]:
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

    def carry(self, pose: FloatArray, points: FloatArray, scene: Scene) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`."""
        return transform_points(pose, points)

    def start(self, rng: np.random.Generator, widths: FloatArray, about: FloatArray | None, scene: Scene) -> FloatArray:
        """See :class:`regenv.poses.base.PoseModel`: the true transform composed with a misalignment."""
        assert about is not None
        return self.misaligned(about, draw_misalignment(rng, widths), scene.frame)

    def misaligned(self, pose: ArrayLike, coefficients: ArrayLike, frame: ArrayLike) -> FloatArray:
        """``T . F exp(c) F^-1``: a pose ``(d + 1, d + 1)`` misaligned by ``(K,)`` in a frame ``(d + 1, d + 1)``."""
        f = np.asarray(frame, dtype=np.float64)
        step = self.exp(np.asarray(coefficients, dtype=np.float64)[None])[0]
        return np.asarray(pose, dtype=np.float64) @ f @ step @ np.linalg.inv(f)

    def to_sitk_transform(self, pose: FloatArray, scene: Scene) -> Any:
        """See :class:`regenv.poses.base.PoseModel`."""
        from regenv.core.sitk import matrix_to_sitk

        return matrix_to_sitk(pose)

    def lanes(self, count: int, reach_mm: float, threads: int | None = None) -> MatrixLanes:
        """See :class:`regenv.poses.base.PoseModel`."""
        return MatrixLanes(self, count, reach_mm)

    def _coefficients(self, coefficients: ArrayLike) -> FloatArray:
        s = np.ascontiguousarray(coefficients, dtype=np.float64)
        if s.ndim != 2 or s.shape[1] != self.n_parameters:
            raise ValueError(f"{self.name} in {self.ndim}-D needs (B, {self.n_parameters}) coefficients, got {s.shape}")
        return s

    def _matrices(self, matrices: ArrayLike, lanes: int | None) -> FloatArray:
        m = np.ascontiguousarray(matrices, dtype=np.float64)
        n = self.ndim + 1
        if m.ndim != 3 or m.shape[1:] != (n, n) or (lanes is not None and len(m) != lanes):
            raise ValueError(f"expected ({'B' if lanes is None else lanes}, {n}, {n}) matrices, got shape {m.shape}")
        return m
