"""Smooth displacements spanned by modes that are lattices of cubic B-spline coefficients.

The displacement of coefficients c is u(x) = sum_k c_k phi_k(x), in mm along the *local* axes: those of the fixed
image's grid, about its centre (:attr:`regenv.core.geometry.Grid.frame`). Each mode phi_k is a lattice over a cube of
``extent_mm`` about that centre; beyond the cube the displacement is held at the cube's surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.jacobian import folding, sdlogj
from regenv.core.lanes import run_lanes

BOUND = 3.0
"""Largest coefficient, in standard deviations."""

LEAST_DETERMINANT = 0.05
"""A step is refused where det(I + du/dx) would not lie above this at a check point: local volume to a twentieth.

Above 0, because the check points (along each axis the knots and halfway between them) are not all points.
"""

_TOLERANCE = 1e-9  # of the bound: three steps of 1 SD, or thirty of 0.1, reach it
_TRIES = 32
_NO_CHECK = 1e30
_LANES_OF_THREADS = 8  # fewer are not worth handing to other threads


@dataclass(frozen=True, eq=False)
class SplineModes:
    """Deformations spanned by K modes.

    Attributes:
        modes: ``(K, d, *lattice)`` float32, spline coefficients in mm of one standard deviation; components
            (x, y[, z]), axes ``([z,] y, x)``, the same number of coefficients along each.
        extent_mm: Width of the cube that the lattice spans.
        sigmas: ``(K,)`` RMS displacement in mm over the cube of one standard deviation.
        explained: ``(K,)`` share of the population's mean squared displacement.
        source: What it was fitted on.

    Raises:
        ValueError: If the shapes disagree or a number is not finite.
    """

    modes: NDArray[np.float32]
    extent_mm: float
    sigmas: FloatArray
    explained: FloatArray
    source: str = ""

    def __post_init__(self) -> None:
        modes = np.ascontiguousarray(self.modes, dtype=np.float32)
        if modes.ndim not in (4, 5) or modes.shape[1] != modes.ndim - 2 or len(set(modes.shape[2:])) != 1:
            raise ValueError(f"modes must be (K, d, L, L[, L]) with d = 2 or 3, got shape {modes.shape}")
        if modes.shape[0] < 1 or modes.shape[2] < 4:
            raise ValueError(f"a model has at least one mode and 4 coefficients per axis, got shape {modes.shape}")
        for label, values in (("sigmas", self.sigmas), ("explained", self.explained)):
            array = np.ascontiguousarray(values, dtype=np.float64)
            if array.shape != (len(modes),) or not np.isfinite(array).all():
                raise ValueError(f"{label} must be {len(modes)} finite numbers, one a mode, got {array.tolist()}")
            array.setflags(write=False)
            object.__setattr__(self, label, array)
        if not np.isfinite(modes).all():
            raise ValueError("the modes hold values that are not finite")
        if not (np.isfinite(self.extent_mm) and self.extent_mm > 0):
            raise ValueError(f"extent_mm must be positive, got {self.extent_mm}")
        modes.setflags(write=False)
        object.__setattr__(self, "modes", modes)
        object.__setattr__(self, "extent_mm", float(self.extent_mm))

    @classmethod
    def fit(
        cls,
        fields: ArrayLike,
        extent_mm: float,
        cells: int,
        n_modes: int,
        weights: ArrayLike | None = None,
        source: str = "",
    ) -> Self:
        """The model of a population of displacement fields, see :func:`regenv.core.deformation_fit.fit_modes`.

        Args:
            fields: ``(N, *samples, d)`` mm in local axes at :func:`regenv.core.deformation_fit.sample_points`.
            extent_mm: Width of the cube.
            cells: Spline cells per axis.
            n_modes: K, at most N.
            weights: ``samples`` that say where displacements count; default everywhere alike.
            source: What the fields are.

        Raises:
            ValueError: If there are too few fields or samples, or a number is not finite.
        """
        from regenv.core.deformation_fit import fit_modes

        modes, sigmas, explained = fit_modes(fields, cells, n_modes, weights)
        return cls(modes, extent_mm, sigmas, explained, source)

    @classmethod
    def fit_sitk(
        cls,
        fields: Sequence[Any],
        extent_mm: float,
        cells: int,
        n_modes: int,
        frame: ArrayLike | None = None,
        source: str = "",
    ) -> Self:
        """The model of a population of SimpleITK transforms or displacement field images.

        Args:
            fields: From physical points to physical points, in one common space; beyond its image a field keeps its
                edge values.
            extent_mm: See :meth:`fit`, as the next two.
            cells: See there.
            n_modes: See there.
            frame: ``(d + 1, d + 1)`` from local to physical mm: axes and centre of the cube. Default the identity.
            source: What the fields are.

        Raises:
            ValueError: As :meth:`fit`, or if there are no fields.
        """
        from regenv.core.deformation_fit import sitk_fields

        if len(fields) == 0:
            raise ValueError("no training fields were given")
        samples = 2 * (cells + 1) + 1
        sampled = sitk_fields(fields, fields[0].GetDimension(), extent_mm, samples, frame)
        return cls.fit(sampled, extent_mm, cells, n_modes, source=source)

    def save(self, path: str | Path) -> None:
        """Writes the model as an NPZ file (no pickle), whole or not at all.

        Coefficients are stored as 16-bit integers: off by at most 1.6e-5 of each mode's largest.
        """
        from regenv.core.deformation_files import write_model

        write_model(Path(path), self.modes, self.extent_mm, self.sigmas, self.explained, self.source)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a model that :meth:`save` wrote.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If the file is none of a deformation model; the message names it.
        """
        from regenv.core.deformation_files import read_model

        parts = read_model(Path(path))
        try:
            return cls(*parts)
        except ValueError as error:
            raise ValueError(f"{path} holds no deformation model: {error}") from error

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return self.modes.shape[1]

    @property
    def n_parameters(self) -> int:
        """Number of modes, K."""
        return len(self.modes)

    @property
    def cells(self) -> int:
        """Spline cells per axis of the cube."""
        return self.modes.shape[-1] - 3

    def step(
        self,
        states: ArrayLike,
        coefficients: ArrayLike,
        threads: int | None = None,
    ) -> FloatArray:
        """Adds steps to states, lane by lane.

        A lane whose result would leave the bound, or fold (:data:`LEAST_DETERMINANT`), is returned unchanged, bit for
        bit. So is a lane whose step is all zero.

        Args:
            states: ``(B, K)`` coefficients in standard deviations.
            coefficients: ``(B, K)`` steps.
            threads: Threads over lanes; default :func:`regenv.core.lanes.get_num_threads`, one for few lanes.

        Returns:
            ``(B, K)`` new states; the arguments are left alone.
        """
        from regenv.core._deformation_kernels import step_lanes

        state = self._coefficients(states)
        steps = self._coefficients(coefficients)
        if len(state) != len(steps):
            raise ValueError(f"{len(state)} states need as many steps, got {len(steps)}")
        out = np.empty_like(state)
        model = (self._flat, self.ndim, self.cells / self.extent_mm)
        limits = (BOUND + _TOLERANCE, LEAST_DETERMINANT)
        threads = threads if len(state) >= _LANES_OF_THREADS else 1
        run_lanes(step_lanes, len(state), *model, state, steps, *limits, *self._checks, out, threads=threads)
        return out

    @property
    def lattice_shape(self) -> tuple[int, ...]:
        """``(d, *lattice)``."""
        return self.modes.shape[1:]

    def lattices(
        self,
        coefficients: ArrayLike,
        out: NDArray[np.float32] | None = None,
        threads: int | None = 1,
        lanes: int | NDArray[np.intp] | None = None,
    ) -> NDArray[np.float32]:
        """Spline lattices ``(B, d, *lattice)`` float32 in mm of ``(B, K)`` coefficients; zeros give exact zeros.

        Args:
            coefficients: ``(B, K)`` in standard deviations.
            out: Where they are written; default a new array.
            threads: Threads over lanes.
            lanes: Numbers of the lanes that are written, or how many all are; default all.
        """
        from regenv.core._deformation_kernels import combine_lanes

        c = self._coefficients(coefficients)
        out = np.empty((len(c), *self.lattice_shape), np.float32) if out is None else out
        lanes = len(c) if lanes is None else lanes
        run_lanes(combine_lanes, lanes, self._flat, c, out.reshape(len(c), -1), threads=threads)
        return out

    def lattice_scale_offset(self, view_local: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Scale and offset ``(d,)`` from view index to lattice coordinate, for :mod:`regenv.core.warp`.

        Args:
            view_local: ``(d + 1, d + 1)`` matrix from view index to local mm, a scaling and a shift
                (``inv(fixed.frame) @ view.index_to_physical``).

        Raises:
            ValueError: If the view's axes are not the fixed image's.
        """
        m = np.asarray(view_local, dtype=np.float64)
        d = self.ndim
        if m.shape != (d + 1, d + 1):
            raise ValueError(f"view_local must be a {(d + 1, d + 1)} matrix, got shape {m.shape}")
        scale = np.diag(m)[:d].copy()
        if np.abs(m[:d, :d] - np.diag(scale)).max() > 1e-6 * np.abs(scale).max():
            raise ValueError(f"the view's axes must be those of the fixed image's frame, got {m[:d, :d].tolist()}")
        per_mm = self.cells / self.extent_mm
        return scale * per_mm, (m[:d, d] + self.extent_mm / 2) * per_mm

    def displacement(self, coefficients: ArrayLike, points: ArrayLike) -> FloatArray:
        """Displacements in local mm.

        Args:
            coefficients: ``(K,)`` or ``(B, K)``.
            points: ``(N, d)`` local mm, shared, or ``(B, N, d)``.

        Returns:
            ``(N, d)``, or ``(B, N, d)`` where either argument has lanes.
        """
        return self._evaluate(coefficients, points, -1)

    def gradient(self, coefficients: ArrayLike, points: ArrayLike) -> FloatArray:
        """du/dx: ``(..., N, d, d)``, component by axis; otherwise as :meth:`displacement`. 0 across held edges."""
        per_mm = self.cells / self.extent_mm
        return np.stack([self._evaluate(coefficients, points, axis) for axis in range(self.ndim)], axis=-1) * per_mm

    def jacobian_determinants(self, coefficients: ArrayLike, points: ArrayLike) -> FloatArray:
        """det(I + du/dx), ``(..., N)``; otherwise as :meth:`displacement`."""
        return np.linalg.det(np.eye(self.ndim) + self.gradient(coefficients, points))

    def least_determinants(self, coefficients: ArrayLike) -> FloatArray:
        """The smallest det(I + du/dx) at the points that :meth:`step` checks, ``(B,)`` for ``(B, K)`` coefficients."""
        from regenv.core._deformation_kernels import least_determinants

        lattices = self.lattices(coefficients)
        out = np.empty(len(lattices))
        run_lanes(
            least_determinants, len(out), lattices.reshape(len(out), -1), self.ndim, *self._checks, out, threads=1
        )  # fmt: skip
        return out

    def basis(self, points: ArrayLike) -> FloatArray:
        """``(N, d, K)``: the displacement is ``basis @ c``. For many evaluations at the same points."""
        p = np.asarray(points, dtype=np.float64)
        return np.ascontiguousarray(np.moveaxis(self._evaluate(np.eye(self.n_parameters), p, -1), 0, -1))

    def sample(self, rng: np.random.Generator, n: int, sd: float = 1.0) -> FloatArray:
        """Draws ``(n, K)`` coefficients, normal with ``sd`` and within the bound, that do not fold.

        What folds is drawn again, up to 32 times, then halved until it does not.
        """
        out = np.zeros((n, self.n_parameters))
        for row in out:
            for _ in range(_TRIES):
                row[:] = rng.normal(0.0, sd, self.n_parameters)
                while (far := np.abs(row) > BOUND).any():
                    row[far] = rng.normal(0.0, sd, int(far.sum()))
                if self.least_determinants(row[None])[0] > LEAST_DETERMINANT:
                    break
            while not self.least_determinants(row[None])[0] > LEAST_DETERMINANT:
                row *= 0.5
        return out

    def project(self, points: ArrayLike, displacement: ArrayLike) -> FloatArray:
        """The coefficients within the bound whose displacement comes nearest to samples, in the least-squares sense.

        Where they would fold, they are scaled back just so far that they do not.

        Args:
            points: ``(N, d)`` local mm.
            displacement: ``(N, d)`` mm there.

        Returns:
            ``(K,)``; with fewer samples than modes the smallest such coefficients.

        Raises:
            ValueError: If the shapes disagree or a number is not finite.
        """
        from regenv.core.deformation_fit import bounded_fit

        p, u = np.asarray(points, dtype=np.float64), np.asarray(displacement, dtype=np.float64)
        if p.shape != u.shape or p.ndim != 2 or len(p) == 0:
            raise ValueError(f"points and displacements must both be (N, {self.ndim}), got {p.shape} and {u.shape}")
        if not (np.isfinite(p).all() and np.isfinite(u).all()):
            raise ValueError("points or displacements hold values that are not finite")
        found = bounded_fit(self.basis(p).reshape(-1, self.n_parameters), u.ravel(), BOUND)
        low, high = 0.0, 1.0
        if self.least_determinants(found[None])[0] > LEAST_DETERMINANT:
            return found
        for _ in range(20):
            middle = (low + high) / 2
            keep = self.least_determinants(found[None] * middle)[0] > LEAST_DETERMINANT
            low, high = (middle, high) if keep else (low, middle)
        return found * low

    def residual(self, points: ArrayLike, displacement: ArrayLike) -> float:
        """RMS length in mm of what :meth:`project` leaves of the displacement: the part outside the model."""
        left = np.asarray(displacement, dtype=np.float64) - self.displacement(
            self.project(points, displacement), points
        )
        return float(np.sqrt((left**2).sum(axis=-1).mean()))

    def sdlogj(self, coefficients: ArrayLike, points: ArrayLike) -> float:
        """Standard deviation of log det J over ``(N, d)`` local points, see :func:`regenv.core.jacobian.sdlogj`."""
        return sdlogj(self.jacobian_determinants(coefficients, points))

    def folding(self, coefficients: ArrayLike, points: ArrayLike) -> float:
        """Share of ``(N, d)`` local points with det J <= 0."""
        return folding(self.jacobian_determinants(coefficients, points))

    def to_sitk(
        self, coefficients: ArrayLike, frame: ArrayLike, alignment: ArrayLike | None = None, grid: Grid | None = None
    ) -> Any:
        """T(F l) = A F (l + u(l)) as a SimpleITK transform from fixed to moving physical points.

        Args:
            coefficients: ``(K,)``.
            frame: ``(d + 1, d + 1)`` F from local to fixed physical mm.
            alignment: ``(d + 1, d + 1)`` A from fixed to moving physical mm; default the identity.
            grid: Where given, the displacement is a field sampled on this grid (the fixed image's), which ITK
                interpolates linearly and takes for 0 beyond. By default it is a B-spline transform, exact within the
                cube and 0 beyond.

        Returns:
            A ``BSplineTransform`` or ``DisplacementFieldTransform``; with an alignment a ``CompositeTransform``.
        """
        import SimpleITK as sitk

        from regenv.core.sitk import field_to_sitk, matrix_to_sitk, spline_to_sitk

        c, f = np.asarray(coefficients, dtype=np.float64), np.asarray(frame, dtype=np.float64)
        if grid is None:
            deformation = spline_to_sitk(self.lattices(c[None])[0], self.extent_mm, f)
        else:
            local = transform_points(np.linalg.inv(f), grid.points()).reshape(-1, self.ndim)
            u = self.displacement(c, local) @ f[:-1, :-1].T
            deformation = field_to_sitk(u.reshape(*grid.shape, self.ndim), grid)
        # a composite applies its last transform first
        return deformation if alignment is None else sitk.CompositeTransform([matrix_to_sitk(alignment), deformation])

    @cached_property
    def _flat(self) -> NDArray[np.float32]:
        """The modes as ``(K, P)``."""
        return self.modes.reshape(self.n_parameters, -1)

    @cached_property
    def _checks(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """How folding is looked for, for the kernels: at all knots and halfway between them along each axis.

        Spline weights ``(2, 4)`` of the two phases, their derivatives ``(2, 4)`` in 1/mm, and for each phase in (y, x)
        a large number ``(4, L * L)`` where a coefficient begins no check point.
        """
        from regenv.core._deformation_kernels import spline_slopes, spline_weights

        values, slopes = np.zeros((2, 2, 4))
        for phase in range(2):
            spline_weights(phase / 2, self.cells, values[phase])
            spline_slopes(phase / 2, self.cells, slopes[phase])
        beyond = np.full((2, 2, self.cells + 3, self.cells + 3), _NO_CHECK, np.float32)
        for y in range(2):
            for x in range(2):
                beyond[y, x, : self.cells + 1 - y, : self.cells + 1 - x] = 0
        slopes *= self.cells / self.extent_mm
        return values.astype(np.float32), slopes.astype(np.float32), beyond.reshape(4, -1)

    def _evaluate(self, coefficients: ArrayLike, points: ArrayLike, derivative: int) -> FloatArray:
        """Values, or derivatives with respect to a lattice coordinate."""
        from regenv.core._deformation_kernels import evaluate_lanes

        c, p = np.asarray(coefficients, dtype=np.float64), np.asarray(points, dtype=np.float64)
        lanes = np.atleast_2d(c)
        stack = p[None] if p.ndim == 2 else p
        if stack.ndim != 3 or stack.shape[2] != self.ndim:
            raise ValueError(f"points must be (N, {self.ndim}) or (B, N, {self.ndim}), got {p.shape}")
        if len(lanes) == 1 and len(stack) > 1:
            lanes = np.repeat(lanes, len(stack), axis=0)
        if len(stack) not in (1, len(lanes)):
            raise ValueError(f"{len(lanes)} lanes need points of one or of {len(lanes)} lanes, got {len(stack)}")
        t = np.ascontiguousarray((stack / self.extent_mm + 0.5) * self.cells)
        flat = self.lattices(lanes).reshape(len(lanes), self.ndim, -1)
        out = np.empty((len(lanes), *stack.shape[1:]))
        run_lanes(evaluate_lanes, len(lanes), flat, self.cells + 3, t, derivative, out, threads=1)
        return out[0] if c.ndim == 1 and p.ndim == 2 else out

    def _coefficients(self, coefficients: ArrayLike) -> FloatArray:
        c = np.ascontiguousarray(coefficients, dtype=np.float64)
        if c.ndim != 2 or c.shape[1] != self.n_parameters:
            raise ValueError(f"this model needs (B, {self.n_parameters}) coefficients, got shape {c.shape}")
        return c
