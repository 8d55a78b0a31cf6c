"""Groups of homogeneous matrices: steps, exponentials and logarithms of rotations, similarities and affine matrices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from regenv.core.geometry import FloatArray
from regenv.core.lanes import run_lanes

_AXES = "xyz"


@dataclass(frozen=True)
class MatrixGroup:
    """A group of homogeneous matrices with named one-parameter steps.

    A step along degree of freedom ``k`` multiplies by ``exp(s G_k)``, with ``G_k`` scaled so that ``s = 1`` is 1 mm, 1
    degree or 1 %. Degrees of freedom come in the order translations, rotations, log-scales, shears. In 3-D a rotation
    ``rx`` turns right-handed about the x axis; in 2-D the one rotation is ``rz``, from x to y. A shear ``hxy`` adds to
    x in proportion to y.

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

    def __post_init__(self) -> None:
        if self.ndim not in (2, 3):
            raise ValueError(f"a transform model has 2 or 3 dimensions, got {self.ndim}")

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

    def exp(self, coefficients: ArrayLike) -> FloatArray:
        """``exp(sum_k s_k G_k)`` of ``(B, K)`` coefficients (mm, degrees, %), ``(B, d + 1, d + 1)``."""
        s = self._coefficients(coefficients)
        identity = np.zeros((len(s), self.ndim + 1, self.ndim + 1))
        np.einsum("bii->bi", identity)[:] = 1.0
        return self._steps(identity, s, identity)

    def step(
        self, transforms: ArrayLike, coefficients: ArrayLike, frames: ArrayLike, threads: int | None = 1
    ) -> FloatArray:
        """One step on the fixed side: ``T . F exp(sum_k s_k G_k) F^-1``, lane by lane.

        Rotations are re-orthonormalised (rigid, similarity), so any number of steps stays in the group. A lane whose
        coefficients are all zero keeps its matrix bit for bit.

        Args:
            transforms: ``(B, d + 1, d + 1)`` matrices T, from fixed to moving physical points.
            coefficients: ``(B, K)`` steps in mm, degrees and %.
            frames: ``(B, d + 1, d + 1)`` matrices F from the frame of the steps
                (:attr:`regenv.core.scene.Scene.frame`) to physical points.
            threads: Threads over lanes.

        Returns:
            ``(B, d + 1, d + 1)`` new matrices; the arguments are left alone.
        """
        s = self._coefficients(coefficients)
        return self._steps(self._matrices(transforms, len(s)), s, self._matrices(frames, len(s)), threads)

    def _steps(self, t: FloatArray, s: FloatArray, f: FloatArray, threads: int | None = 1) -> FloatArray:
        """:meth:`step` of what is checked."""
        from regenv.core._matrix_kernels import steps

        out = np.empty_like(t)
        run_lanes(steps, len(s), t, s, f, self.generators, self.orthonormal, self.scaled, out, threads=threads)
        return out

    @property
    def stretches(self) -> bool:
        """Whether poses change lengths at all: those of a rigid group do not."""
        return self.scaled or not self.orthonormal

    def stretch(self, transforms: ArrayLike) -> FloatArray:
        """Largest factor ``(B,)`` by which ``(B, d + 1, d + 1)`` transforms lengthen or shorten anything, at least 1.

        That is the larger of the largest singular value of the linear part and one over the smallest.
        """
        from regenv.core._matrix_kernels import stretches

        t = self._matrices(transforms, None)
        out = np.empty(len(t))
        stretches(t, out)
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
        return log_scaled_rotation(linear, self.name, self.scaled)

    def contains(self, matrix: ArrayLike) -> bool:
        """Whether a homogeneous ``(d + 1, d + 1)`` matrix that does not mirror is one of this group."""
        try:
            self.log(np.asarray(matrix, dtype=np.float64)[None])
        except ValueError:
            return False
        return True

    def misaligned(
        self, pose: ArrayLike, coefficients: ArrayLike, frame: ArrayLike, to_frame: ArrayLike | None = None
    ) -> FloatArray:
        """``T . F exp(c) F^-1``: a pose ``(d + 1, d + 1)`` misaligned by ``(K,)`` in a frame ``(d + 1, d + 1)``.

        ``to_frame`` is ``F^-1``, where it is known.
        """
        f = np.asarray(frame, dtype=np.float64)
        step = self.exp(np.asarray(coefficients, dtype=np.float64)[None])[0]
        return np.asarray(pose, dtype=np.float64) @ f @ step @ (np.linalg.inv(f) if to_frame is None else to_frame)

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


def phi(a: FloatArray) -> FloatArray:
    """The series ``sum_k A^k / (k + 1)!`` of stacked square matrices."""
    term = np.tile(np.eye(a.shape[-1]), (len(a), 1, 1))
    total = term.copy()
    for order in range(2, 40):
        term = term @ a / order
        total += term
    return total


def log_scaled_rotation(linear: FloatArray, name: str, scaled: bool) -> FloatArray:
    """Logarithm of rotations, or of rotations times one scale, stacked; ``name`` is what an error calls them."""
    d = linear.shape[-1]
    scale = np.sqrt(np.einsum("bij,bij->b", linear, linear) / d)
    rotation = linear / scale[:, None, None]
    gram = np.einsum("bki,bkj->bij", rotation, rotation)
    wrong = (np.abs(gram - np.eye(d)).max(axis=(1, 2), initial=0) > 1e-5) | (np.linalg.det(rotation) < 0)
    if not scaled:
        wrong |= np.abs(scale - 1) > 1e-5
    if wrong.any():
        lane = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"lane {lane}: the matrix is not {name}: its linear part is {linear[lane].tolist()}")
    logarithm = np.zeros_like(linear)
    if d == 2:
        angle = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
        logarithm[:, 1, 0], logarithm[:, 0, 1] = angle, -angle
    else:
        vector = _rotation_vectors(rotation)
        for axis in range(3):
            a, b = (axis + 1) % 3, (axis + 2) % 3
            logarithm[:, b, a], logarithm[:, a, b] = vector[:, axis], -vector[:, axis]
    if scaled:
        logarithm += np.log(scale)[:, None, None] * np.eye(d)
    return logarithm


def _rotation_vectors(rotation: FloatArray) -> FloatArray:
    """Axis times angle (radians) of ``(B, 3, 3)`` rotations, accurate near 0 and near 180 degrees, ``(B, 3)``."""
    vectors = np.zeros((len(rotation), 3))
    for lane, r in enumerate(rotation):
        # The unit quaternion by Shepperd's choice of the largest component (w, x, y, z).
        squares = np.array([np.trace(r), r[0, 0], r[1, 1], r[2, 2]])
        k = int(np.argmax(squares))
        q = np.empty(4)
        if k == 0:
            q[:] = (1 + squares[0], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1])
        else:
            i, j, m = k - 1, k % 3, (k + 1) % 3
            q[0] = r[m, j] - r[j, m]
            q[1 + i] = 1 + r[i, i] - r[j, j] - r[m, m]
            q[1 + j] = r[i, j] + r[j, i]
            q[1 + m] = r[i, m] + r[m, i]
        q *= (-1.0 if q[0] < 0 else 1.0) / np.linalg.norm(q)
        sine = np.linalg.norm(q[1:])
        vectors[lane] = q[1:] * (2 * np.arctan2(sine, q[0]) / sine if sine > 1e-12 else 2.0)
    return vectors


def log_general(linear: FloatArray, nearest: bool) -> FloatArray:
    """The real principal logarithm of a square matrix.

    Where it has none, ``nearest`` gives that of its rotation plus that of its stretch.
    """
    from scipy.linalg import logm

    if not np.linalg.det(linear) > 0:
        raise ValueError(f"the linear part {linear.tolist()} mirrors or collapses space and has no real logarithm")
    logarithm = np.asarray(logm(linear))
    if np.iscomplexobj(logarithm):
        if np.abs(logarithm.imag).max() > 1e-9:
            if nearest:
                u, s, vt = np.linalg.svd(linear)
                return log_scaled_rotation((u @ vt)[None], "rigid", scaled=False)[0] + (vt.T * np.log(s)) @ vt
            raise ValueError(f"the linear part {linear.tolist()} has no real logarithm")
        logarithm = logarithm.real
    return np.ascontiguousarray(logarithm, dtype=np.float64)
