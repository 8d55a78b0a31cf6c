"""Fitting statistical deformation models: splines to displacement samples, principal components of a population."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray, Grid

SMOOTHING = 0.001
"""Weight of the squared second differences of neighbouring coefficients against the squared misfit, both in mm."""

_RIDGE_MM = 0.003  # what one standard deviation more has to bring, lest modes that the points do not see run wild
_DOMAIN_SLACK = 1e-3  # of a B-spline's width: rounding of files
_LEAST_SIGMA = 1e-6  # of the largest: a mode below is rounding


def sample_points(ndim: int, extent_mm: float, samples: int) -> FloatArray:
    """The points at which a field is to be sampled for a fit.

    Args:
        ndim: 2 or 3.
        extent_mm: Width of the cube.
        samples: Points along each axis, the cube's faces included; at least the lattice's ``cells + 3``.

    Returns:
        ``([z,] y, x, d)`` local mm, components (x, y[, z]).
    """
    axis = np.linspace(-extent_mm / 2, extent_mm / 2, samples)
    return np.stack(np.meshgrid(*[axis] * ndim, indexing="ij")[::-1], axis=-1)


def fit_modes(
    fields: ArrayLike, cells: int, n_modes: int, weights: ArrayLike | None = None
) -> tuple[NDArray[np.float32], FloatArray, FloatArray]:
    """Modes, sigmas and explained shares of a symmetrised population.

    Each field is fitted by a spline lattice (weighted least squares, slightly smoothed). The population is then taken
    with its mirror image (u and -u), so that its mean is 0 and the components are those of the uncentred covariance,
    in the metric of root mean squared displacement.

    Args:
        fields: ``(N, *samples, d)`` displacements in mm at :func:`sample_points`.
        cells: Spline cells per axis.
        n_modes: Components to keep.
        weights: ``samples`` of the metric and of the splines' fit, not negative, a body mask for example; default 1.

    Returns:
        ``(K, d, *lattice)`` float32 coefficients of one standard deviation, ``(K,)`` RMS mm of one, and ``(K,)`` shares
        of the mean squared displacement of the fields.

    Raises:
        ValueError: If there are too few fields or samples, or a number is not finite.
    """
    shapes = {np.shape(field) for field in fields}  # type: ignore[union-attr]
    if len(shapes) != 1:
        raise ValueError(
            f"all fields must be sampled at the same points, got shapes {sorted(shapes)}"
            if shapes
            else "no training fields were given"
        )
    u = np.asarray(fields, dtype=np.float64)
    n, d = len(u), u.shape[-1]
    if u.ndim not in (4, 5) or d != u.ndim - 2 or len(set(u.shape[1:-1])) != 1:
        raise ValueError(f"fields must be (N, n, n[, n], d) samples with d = 2 or 3, got shape {u.shape}")
    samples = u.shape[1]
    if cells < 1 or samples < cells + 3:
        raise ValueError(f"{cells} cells need at least {cells + 3} samples per axis, got {samples}")
    bad = np.flatnonzero(~np.isfinite(u).reshape(n, -1).all(axis=1))
    if len(bad):
        raise ValueError(f"fields {bad[:5].tolist()} hold values that are not finite: leave them out, or mend them")
    if not 1 <= n_modes <= n:
        raise ValueError(
            f"{n_modes} modes cannot be told from {n} training fields: give more, or ask for at most {n}"
            if n_modes > n
            else f"a model has at least one mode, got n_modes={n_modes}"
        )
    metric = np.ones(u.shape[1:-1]) if weights is None else np.asarray(weights, dtype=np.float64)
    if metric.shape != u.shape[1:-1] or not np.isfinite(metric).all() or metric.min() < 0 or metric.sum() == 0:
        raise ValueError(
            f"weights must be {u.shape[1:-1]}, finite, not negative and not all 0, got {metric.shape} from "
            f"{metric.min(initial=0):g} to {metric.max(initial=0):g}"
        )
    coefficients, splines = _fit_splines(u, cells, metric / metric.mean())
    root = np.sqrt(metric / metric.sum())[..., None]
    total = float(((u * root) ** 2).sum()) / n
    left, singular, _ = np.linalg.svd((splines * root).reshape(n, -1), full_matrices=False)
    left, singular = left[:, :n_modes], singular[:n_modes]
    if not singular[-1] > _LEAST_SIGMA * max(singular[0], 1e-12):
        independent = int((singular > _LEAST_SIGMA * max(singular[0], 1e-12)).sum())
        raise ValueError(
            f"only {independent} of the {n} training fields are independent, and {n_modes} modes were asked for: "
            "give others, or ask for fewer"
        )
    sigmas = singular / np.sqrt(n)
    # fields = left @ diag(singular) @ components: one standard deviation of component k is left_k . fields / sqrt(n)
    modes = np.moveaxis(np.tensordot(left.T / np.sqrt(n), coefficients, 1), -1, 1)
    flat = modes.reshape(n_modes, -1)
    signs = np.sign(flat[np.arange(n_modes), np.abs(flat).argmax(axis=1)])  # of no meaning, but the same every time
    modes = (flat * signs[:, None]).reshape(modes.shape)
    return np.ascontiguousarray(modes, dtype=np.float32), sigmas, sigmas**2 / total


def sitk_fields(
    fields: Iterable[Any], ndim: int, extent_mm: float, samples: int, frame: ArrayLike | None = None
) -> FloatArray:
    """Displacement samples of SimpleITK transforms or displacement field images.

    Beyond its edge a field keeps its edge values, lest the modes have a cliff there.

    Args:
        fields: Transforms of physical points (B-spline, displacement field, composite), or vector images in mm.
        ndim: 2 or 3.
        extent_mm: Width of the cube.
        samples: Per axis, see :func:`sample_points`.
        frame: ``(d + 1, d + 1)`` from local to physical mm; default the identity.

    Returns:
        ``(N, *samples, d)`` mm in local axes.

    Raises:
        ValueError: If one has another dimension, or is a B-spline that does not cover the cube.
    """
    import SimpleITK as sitk

    f = np.eye(ndim + 1) if frame is None else np.asarray(frame, dtype=np.float64)
    step = extent_mm / (samples - 1)
    grid = Grid.centred((samples,) * ndim, (step,) * ndim).moved_by(f)
    place = (grid.origin, grid.spacing, grid.direction.ravel().tolist())
    out = []
    for k, item in enumerate(fields):
        if item.GetDimension() != ndim:
            raise ValueError(f"field {k} is {item.GetDimension()}-D, the model {ndim}-D")
        field = item
        if not isinstance(item, sitk.Image) and item.GetTransformEnum() == sitk.sitkDisplacementField:
            field = sitk.DisplacementFieldTransform(item).GetDisplacementField()
        if isinstance(field, sitk.Image):
            if field.GetNumberOfComponentsPerPixel() != ndim:
                raise ValueError(
                    f"field {k} is an image of {field.GetNumberOfComponentsPerPixel()} numbers per pixel, not of "
                    f"displacements, which have {ndim}"
                )
            lattice = (grid.size, sitk.Transform(ndim, sitk.sitkIdentity), sitk.sitkLinear)
            sampled = sitk.Resample(field, *lattice, *place, 0.0, sitk.sitkVectorFloat64, True)
        else:
            _check_domain(field, k, grid.points(), extent_mm)
            sampled = sitk.TransformToDisplacementField(field, sitk.sitkVectorFloat64, grid.size, *place)
        out.append(sitk.GetArrayFromImage(sampled) @ f[:ndim, :ndim])
    return np.stack(out) if out else np.zeros((0, *(samples,) * ndim, ndim))


def _check_domain(transform: Any, k: int, points: FloatArray, extent_mm: float) -> None:
    """Raises where a B-spline ends within the cube; beyond its domain it would be the identity."""
    import SimpleITK as sitk

    if transform.GetTransformEnum() != sitk.sitkBSplineTransform:
        return
    spline = sitk.BSplineTransform(transform)
    width = np.array(spline.GetTransformDomainPhysicalDimensions())
    axes = np.array(spline.GetTransformDomainDirection()).reshape(len(width), -1)
    within = (points - np.array(spline.GetTransformDomainOrigin())) @ axes
    slack = _DOMAIN_SLACK * width
    if (within < -slack).any() or (within > width + slack).any():
        raise ValueError(
            f"field {k} is a B-spline over {' x '.join(f'{w:g}' for w in width)} mm, which does not cover the cube of "
            f"{extent_mm:g} mm: give a wider one, or a smaller extent, or sample it as a field"
        )


def bounded_fit(rows: FloatArray, values: FloatArray, bound: float) -> FloatArray:
    """The ``(K,)`` coefficients within the bound that minimise |rows @ c - values|, small ones preferred.

    Args:
        rows: ``(N d, K)`` mm of one standard deviation, components of a point one after the other.
        values: ``(N d,)`` mm.
        bound: Largest absolute coefficient.
    """
    from scipy.optimize import lsq_linear

    k = rows.shape[1]
    ridge = np.sqrt(len(values)) * _RIDGE_MM * np.eye(k)
    q, r = np.linalg.qr(np.concatenate([rows, ridge]))
    return np.asarray(lsq_linear(r, q[: len(values)].T @ values, (-bound, bound), method="bvls").x, dtype=np.float64)


def spline_matrix(samples: int, cells: int) -> FloatArray:
    """``(samples, cells + 3)`` values of the splines at equally spaced samples, both ends included."""
    from regenv.core._deformation_kernels import spline_weights

    matrix = np.zeros((samples, cells + 3))
    weights = np.empty(4)
    for row, t in zip(matrix, np.linspace(0, cells, samples), strict=True):
        first = spline_weights(t, cells, weights)
        row[first : first + 4] = weights
    return matrix


def _fit_splines(u: FloatArray, cells: int, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Spline coefficients ``(N, *lattice, d)`` of fields ``(N, *samples, d)``, and the splines' values at the samples.

    All fields share one system of normal equations, which is factored once.
    """
    from scipy.linalg import cho_factor, cho_solve
    from scipy.sparse import csr_array, diags_array, eye_array, kron

    n, d = len(u), u.shape[-1]
    axis = csr_array(spline_matrix(u.shape[1], cells))
    bend = csr_array(np.diff(np.eye(cells + 3), 2, axis=0))
    bend, one = bend.T @ bend, eye_array(cells + 3)
    matrix: Any = axis
    for _ in range(d - 1):
        matrix = kron(matrix, axis, format="csr")
    normal = matrix.T @ diags_array(weights.ravel()) @ matrix
    for bent in range(d):
        term: Any = bend if bent == 0 else one
        for k in range(1, d):
            term = kron(term, bend if bent == k else one)
        normal = normal + SMOOTHING * term
    values = np.moveaxis(u.reshape(n, -1, d), 1, 0).reshape(-1, n * d)
    factor = cho_factor(normal.toarray(), overwrite_a=True)
    found = cho_solve(factor, matrix.T @ (values * weights.reshape(-1, 1)))
    splines = np.moveaxis((matrix @ found).reshape(-1, n, d), 1, 0).reshape(u.shape)
    return np.moveaxis(found.reshape(-1, n, d), 1, 0).reshape(n, *(cells + 3,) * d, d), splines
