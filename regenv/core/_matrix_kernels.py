"""Compiled small-matrix arithmetic of the transform models: one lane at a time, so no lane's bits depend on the batch.

Stacked NumPy products may go through different BLAS routines for different batch sizes; these loops do not.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from regenv.core._intrinsics import doubles_at
from regenv.core._types import LANES, given, written

_TAYLOR_TERMS = 14  # with a norm of at most 1/2 the remainder is below 1e-17


@numba.njit(cache=True, nogil=True)
def _copy(a, out):  # type: ignore[no-untyped-def]
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = a[i, j]


@numba.njit(cache=True, nogil=True)
def _multiply(a, b, out):  # type: ignore[no-untyped-def]
    n = a.shape[0]
    for i in range(n):
        for j in range(n):
            total = 0.0
            for k in range(n):
                total += a[i, k] * b[k, j]
            out[i, j] = total


@numba.njit(cache=True, nogil=True)
def _exponential(coefficients, generators, out):  # type: ignore[no-untyped-def]
    """Writes exp(sum_k c_k G_k) by scaling, Taylor series and squaring."""
    n = out.shape[0]
    a = np.zeros((n, n))
    for k in range(coefficients.shape[0]):
        c = coefficients[k]
        if c != 0.0:
            for i in range(n):
                for j in range(n):
                    a[i, j] += c * generators[k, i, j]
    # Translations enter the series only to the first power of the linear part, so they need no scaling of their own.
    norm = 0.0
    for i in range(n - 1):
        for j in range(n - 1):
            norm += a[i, j] * a[i, j]
    squarings = 0
    while norm > 0.25 and squarings < 60:
        norm *= 0.25
        squarings += 1
    factor = 0.5**squarings
    term = np.zeros((n, n))
    product = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            a[i, j] *= factor
            term[i, j] = 1.0 if i == j else 0.0
            out[i, j] = term[i, j]
    for order in range(1, _TAYLOR_TERMS + 1):
        _multiply(term, a, product)
        for i in range(n):
            for j in range(n):
                term[i, j] = product[i, j] / order
                out[i, j] += term[i, j]
    for _ in range(squarings):
        _multiply(out, out, product)
        _copy(product, out)


@numba.njit(cache=True, nogil=True)
def _invert_affine(matrix, out):  # type: ignore[no-untyped-def]
    """Writes the inverse of a homogeneous matrix with last row (0, ..., 0, 1)."""
    n = matrix.shape[0]
    d = n - 1
    if d == 2:
        det = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
        out[0, 0] = matrix[1, 1] / det
        out[0, 1] = -matrix[0, 1] / det
        out[1, 0] = -matrix[1, 0] / det
        out[1, 1] = matrix[0, 0] / det
    else:
        for i in range(3):
            for j in range(3):
                a, b = (j + 1) % 3, (j + 2) % 3
                c, e = (i + 1) % 3, (i + 2) % 3
                out[i, j] = matrix[a, c] * matrix[b, e] - matrix[a, e] * matrix[b, c]
        det = matrix[0, 0] * out[0, 0] + matrix[0, 1] * out[1, 0] + matrix[0, 2] * out[2, 0]
        for i in range(3):
            for j in range(3):
                out[i, j] /= det
    for i in range(d):
        total = 0.0
        for k in range(d):
            total += out[i, k] * matrix[k, d]
        out[i, d] = -total
        out[d, i] = 0.0
    out[d, d] = 1.0


@numba.njit(cache=True, nogil=True)
def _orthonormalise(matrix, keep_scale):  # type: ignore[no-untyped-def]
    """Replaces the linear part, in place, by the nearest rotation (times its mean scale where that is kept)."""
    d = matrix.shape[0] - 1
    scale = 1.0
    if keep_scale:
        total = 0.0
        for i in range(d):
            for j in range(d):
                total += matrix[i, j] * matrix[i, j]
        scale = np.sqrt(total / d)
    r = np.empty((d, d))
    for i in range(d):
        for j in range(d):
            r[i, j] = matrix[i, j] / scale
    gram = np.empty((d, d))
    product = np.empty((d, d))
    for _ in range(20):
        # Newton-Schulz: R <- R (3 I - R'R) / 2, quadratic convergence to the polar factor of a near rotation.
        error = 0.0
        for i in range(d):
            for j in range(d):
                total = 0.0
                for k in range(d):
                    total += r[k, i] * r[k, j]
                error = max(error, abs(total - (1.0 if i == j else 0.0)))
                gram[i, j] = (1.5 if i == j else 0.0) - 0.5 * total
        if error < 4e-16:
            break
        _multiply(r, gram, product)
        _copy(product, r)
        if error < 1e-8:
            break
    for i in range(d):
        for j in range(d):
            matrix[i, j] = r[i, j] * scale


@numba.njit(
    [
        types.void(
            *LANES,
            given(types.float64, 3),
            given(types.float64, 2),
            given(types.float64, 3),
            given(types.float64, 3),
            types.boolean,
            types.boolean,
            written(types.float64, 3),
        )
    ],
    cache=True,
    nogil=True,
)
def steps(start, stop, matrices, coefficients, frames, generators, orthonormal, keep_scale, out):  # type: ignore[no-untyped-def]
    """Writes T . F exp(sum_k c_k G_k) F^-1 of each of some lanes to ``out``; a lane of zeros is copied bit for bit."""
    n = matrices.shape[1]
    e = np.empty((n, n))
    left = np.empty((n, n))
    inverse = np.empty((n, n))
    for b in range(start, stop):
        moves = False
        for k in range(coefficients.shape[1]):
            if coefficients[b, k] != 0.0:
                moves = True
        if not moves:
            _copy(matrices[b], out[b])
            continue
        _exponential(coefficients[b], generators, e)
        _multiply(frames[b], e, left)
        _invert_affine(frames[b], inverse)
        _multiply(left, inverse, e)
        _multiply(matrices[b], e, left)
        if orthonormal:
            _orthonormalise(left, keep_scale)
        _copy(left, out[b])


@numba.njit(cache=True, nogil=True)
def _extreme_eigenvalues(gram):  # type: ignore[no-untyped-def]
    """Smallest and largest eigenvalue of a symmetric 2 x 2 or 3 x 3 matrix, in closed form."""
    if gram.shape[0] == 2:
        middle = 0.5 * (gram[0, 0] + gram[1, 1])
        radius = np.hypot(0.5 * (gram[0, 0] - gram[1, 1]), gram[0, 1])
        return middle - radius, middle + radius
    # Smith, "Eigenvalues of a symmetric 3 x 3 matrix", Commun. ACM 4(4), 1961
    middle = (gram[0, 0] + gram[1, 1] + gram[2, 2]) / 3
    a, b, c = gram[0, 0] - middle, gram[1, 1] - middle, gram[2, 2] - middle
    d, e, f = gram[0, 1], gram[0, 2], gram[1, 2]
    spread = np.sqrt((a * a + b * b + c * c + 2 * (d * d + e * e + f * f)) / 6)
    if spread <= 1e-15 * middle:
        return middle, middle
    a, b, c, d, e, f = a / spread, b / spread, c / spread, d / spread, e / spread, f / spread
    determinant = a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e)
    angle = np.arccos(min(1.0, max(-1.0, determinant / 2))) / 3
    return middle + 2 * spread * np.cos(angle + 2 * np.pi / 3), middle + 2 * spread * np.cos(angle)


@numba.njit([types.void(given(types.float64, 3), written(types.float64, 1))], cache=True, nogil=True)
def stretches(matrices, out):  # type: ignore[no-untyped-def]
    """Writes the largest factor by which each linear part changes a length, either way, to ``out``: at least 1."""
    d = matrices.shape[1] - 1
    gram = np.empty((d, d))
    for b in range(matrices.shape[0]):
        for i in range(d):
            for j in range(d):
                total = 0.0
                for k in range(d):
                    total += matrices[b, k, i] * matrices[b, k, j]
                gram[i, j] = total
        least, most = _extreme_eigenvalues(gram)
        out[b] = np.sqrt(max(most, 1.0 / least)) if least > 0.0 else np.inf


@numba.njit(
    [
        types.void(
            *LANES,
            given(types.float64, 3),
            given(types.int64, 1),
            given(types.int64, 1),
            given(types.int64, 1),
            given(types.float64, 2),
            written(types.float64, 1),
        )
    ],
    cache=True,
    nogil=True,
)
def mean_errors(start, stop, matrices, points, partners, counts, blind, out):  # type: ignore[no-untyped-def]
    """Writes the mean distance of each lane's points, carried by its matrix, from where they belong to ``out``.

    Args:
        start: First lane.
        stop: One past the last lane.
        matrices: (B, d + 1, d + 1) float64.
        points: (B,) addresses of (N, d) float64.
        partners: (B,) addresses of as many.
        counts: (B,) how many, N; without any the error is NaN.
        blind: (B, d) direction in fixed space along which errors are not counted; zeros for none.
        out: (B,) float64.
    """
    d = matrices.shape[1] - 1
    normal, error = np.empty(d), np.empty(d)
    for b in range(start, stop):
        m = matrices[b]
        there, here = doubles_at(partners[b], counts[b], d), doubles_at(points[b], counts[b], d)
        for i in range(d):
            normal[i] = 0.0  # in the moving image
            for j in range(d):
                normal[i] += m[i, j] * blind[b, j]
        total = 0.0
        for n in range(counts[b]):
            along = 0.0
            for i in range(d):
                moved = m[i, d]
                for j in range(d):
                    moved += m[i, j] * here[n, j]
                error[i] = moved - there[n, i]
                along += error[i] * normal[i]
            square = 0.0
            for i in range(d):
                rest = error[i] - along * normal[i]
                square += rest * rest
            total += np.sqrt(square)
        out[b] = total / counts[b] if counts[b] > 0 else np.nan
