"""Compiled arithmetic of cubic B-spline lattices: one lane at a time, so no lane's bits depend on the batch.

A lattice of ``cells + 3`` coefficients per axis spans the coordinates ``t`` in ``[0, cells]``: the point t in cell c
takes its value from the coefficients c to c + 3. Coordinates beyond are held at the edge.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from regenv.core._intrinsics import doubles_at
from regenv.core._types import LANES, given, written

_FUSED = {"contract", "nsz"}


@numba.njit(cache=True, nogil=True)
def spline_weights(t, cells, weights):  # type: ignore[no-untyped-def]
    """Writes the four weights at lattice coordinate t; returns the first coefficient. NaN counts as the lower edge."""
    if not t > 0.0:
        t = 0.0
    elif t > cells:
        t = float(cells)
    cell = min(int(t), cells - 1)
    f = t - cell
    g = 1.0 - f
    weights[0] = g * g * g / 6.0
    weights[1] = (4.0 - 3.0 * f * f * (2.0 - f)) / 6.0
    weights[2] = (4.0 - 3.0 * g * g * (2.0 - g)) / 6.0
    weights[3] = f * f * f / 6.0
    return cell


@numba.njit(cache=True, nogil=True)
def spline_slopes(t, cells, weights):  # type: ignore[no-untyped-def]
    """Writes the derivatives of the four weights with respect to t, inside the lattice; 0 beyond, where it is held."""
    if not t >= 0.0 or t > cells:
        weights[:] = 0.0
        return
    f = t - min(int(t), cells - 1)
    g = 1.0 - f
    weights[0] = -0.5 * g * g
    weights[1] = 0.5 * f * (3.0 * f - 4.0)
    weights[2] = 0.5 * g * (4.0 - 3.0 * g)
    weights[3] = 0.5 * f * f


@numba.njit(cache=True, nogil=True, fastmath=_FUSED)
def _combine(modes, coefficients, out):  # type: ignore[no-untyped-def]
    """Writes sum_k c_k modes[k]; exactly 0 where all c_k are."""
    out[:] = np.float32(0.0)
    for k in range(modes.shape[0]):
        if coefficients[k] != 0.0:
            c = np.float32(coefficients[k])
            mode = modes[k]
            for p in range(out.shape[0]):
                out[p] += c * mode[p]


@numba.njit(
    [types.void(*LANES, given(types.float32, 2), given(types.float64, 2), written(types.float32, 2))],
    cache=True,
    nogil=True,
)
def combine_lanes(start, stop, modes, coefficients, out):  # type: ignore[no-untyped-def]
    """Lattices (B, P) of the coefficients (B, K) of modes (K, P), both flattened."""
    for b in range(start, stop):
        _combine(modes, coefficients[b], out[b])


@numba.njit(cache=True, nogil=True, fastmath=_FUSED)
def _stencil(source, stride, weights, out):  # type: ignore[no-untyped-def]
    """Writes the weighted sum of four neighbours along the axis of that stride, for every coefficient at once.

    A lattice is taken as one long row: what runs over the end of an axis is never looked at. ``source`` is longer than
    ``out`` by at least three strides.
    """
    n = out.shape[0]
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    a, b = source[:n], source[stride : stride + n]
    c, d = source[2 * stride : 2 * stride + n], source[3 * stride : 3 * stride + n]
    for p in range(n):
        out[p] = w0 * a[p] + w1 * b[p] + w2 * c[p] + w3 * d[p]


@numba.njit(cache=True, nogil=True, fastmath=_FUSED)
def _smallest_2d(j, n, beyond, least):  # type: ignore[no-untyped-def]
    """The smaller of ``least`` and the determinants of I + j, for j (2, 2 n + tail) of one derivative an array."""
    one = np.float32(1.0)
    size = beyond.shape[0]
    xx, xy, yx, yy = j[0, :size], j[1, :size], j[0, n : n + size], j[1, n : n + size]
    for p in range(size):
        det = (one + xx[p]) * (one + yy[p]) - xy[p] * yx[p] + beyond[p]
        least = det if det < least else least
    return least


@numba.njit(cache=True, nogil=True, fastmath=_FUSED)
def _smallest_3d(j, n, start, beyond, least):  # type: ignore[no-untyped-def]
    """As :func:`_smallest_2d` in one slice, for j (3, 3 n + tail)."""
    one = np.float32(1.0)
    y, z, size = n + start, 2 * n + start, beyond.shape[0]
    xx, xy, xz = j[0, start : start + size], j[1, start : start + size], j[2, start : start + size]
    yx, yy, yz = j[0, y : y + size], j[1, y : y + size], j[2, y : y + size]
    zx, zy, zz = j[0, z : z + size], j[1, z : z + size], j[2, z : z + size]
    for p in range(size):
        a, e, i = one + xx[p], one + yy[p], one + zz[p]
        det = a * (e * i - yz[p] * zy[p]) - xy[p] * (yx[p] * i - yz[p] * zx[p]) + xz[p] * (yx[p] * zy[p] - e * zx[p])
        det += beyond[p]
        least = det if det < least else least
    return least


@numba.njit(cache=True, nogil=True)
def _least_determinant(lattice, ndim, side, values, slopes, beyond, bound, work):  # type: ignore[no-untyped-def]
    """Smallest determinant of I + du/dx over the check points, or the first found that is not above ``bound``.

    Check points lie on the knots (phase 0) and halfway between (phase 1) along each axis, all combinations.

    Args:
        lattice: (d side^d + 3 side^(d - 1),) flattened, 0 at the end.
        ndim: 2 or 3.
        side: Coefficients per axis.
        values: (2, 4) spline weights of the phases.
        slopes: (2, 4) their derivatives in 1/mm.
        beyond: (4, side^2) for phases (y, x) = (0, 0), (0, 1), (1, 0), (1, 1): 0, or a large number where a
            coefficient begins no check point.
        bound: See above.
        work: (8, length of lattice) float32, 0 at the end of each row.
    """
    n = side**ndim
    total = ndim * n
    least = np.float32(np.inf)
    value_x, slope_x, in_y, jacobian = work[0], work[1], work[2:5], work[5:8]
    for phase_x in range(2):
        _stencil(lattice, 1, values[phase_x], value_x[:total])
        _stencil(lattice, 1, slopes[phase_x], slope_x[:total])
        for phase_y in range(2):
            mask = beyond[2 * phase_y + phase_x]
            if ndim == 2:
                _stencil(slope_x, side, values[phase_y], jacobian[0, :total])
                _stencil(value_x, side, slopes[phase_y], jacobian[1, :total])
                least = _smallest_2d(jacobian, n, mask, least)
                continue
            _stencil(slope_x, side, values[phase_y], in_y[0, :total])
            _stencil(value_x, side, slopes[phase_y], in_y[1, :total])
            _stencil(value_x, side, values[phase_y], in_y[2, :total])
            for phase_z in range(2):
                for axis in range(3):
                    weights = slopes[phase_z] if axis == 2 else values[phase_z]
                    _stencil(in_y[axis], side * side, weights, jacobian[axis, :total])
                for z in range(side - 2 - phase_z):
                    least = _smallest_3d(jacobian, n, z * side * side, mask, least)
                if not least > bound:
                    return least
    return least


@numba.njit(cache=True, nogil=True)
def _steepest(lattice, ndim, side):  # type: ignore[no-untyped-def]
    """A bound on the row sums of |du/dx|, per cell: derivatives are averages of differences between coefficients."""
    n = lattice.shape[0] // ndim
    steepest = np.float32(0.0)
    for c in range(ndim):
        part = lattice[c * n : (c + 1) * n]
        total = np.float32(0.0)
        stride = 1
        for _axis in range(ndim):
            total += _largest_difference(part, stride, side)
            stride *= side
        steepest = max(steepest, total)
    return steepest


@numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _largest_difference(part, stride, side):  # type: ignore[no-untyped-def]
    """Largest absolute difference of neighbours along the axis of that stride."""
    largest = np.float32(0.0)
    block = stride * side
    for start in range(0, part.shape[0], block):
        near, far = part[start : start + block - stride], part[start + stride : start + block]
        for p in range(near.shape[0]):
            difference = abs(far[p] - near[p])
            largest = difference if difference > largest else largest
    return largest


_CHECKS = (given(types.float32, 2), given(types.float32, 2), given(types.float32, 2))


@numba.njit(
    [
        types.void(
            *LANES,
            given(types.float32, 2),
            types.int64,
            types.float64,
            given(types.float64, 2),
            given(types.float64, 2),
            types.float64,
            types.float64,
            *_CHECKS,
            written(types.float64, 2),
        )
    ],
    cache=True,
    nogil=True,
)
def step_lanes(  # type: ignore[no-untyped-def]
    start, stop, modes, ndim, per_mm, states, steps, limit, least_determinant, values, slopes, beyond, out
):
    """Adds steps to states where the result stays within the limit and does not fold; else copies the state.

    Args:
        start: First lane.
        stop: One past the last lane.
        modes: (K, P) flattened lattices.
        ndim: 2 or 3.
        per_mm: Cells per mm.
        states: (B, K) coefficients.
        steps: (B, K) what is added.
        limit: Largest absolute coefficient.
        least_determinant: The determinant has to lie above this at every check point.
        values: See :func:`_least_determinant`, as the next two.
        slopes: See there.
        beyond: See there.
        out: (B, K) new states.
    """
    side = int(round((modes.shape[1] / ndim) ** (1.0 / ndim)))
    size = modes.shape[1]
    work = np.zeros((9, size + 3 * side ** (ndim - 1)), np.float32)
    padded = work[8]
    lattice = padded[:size]
    new = np.empty(modes.shape[0])
    # Eigenvalues of du/dx are no larger than its row sums g, so det(I + du/dx) >= (1 - g)^d: most steps need no more.
    gentle = 1.0 - least_determinant ** (1.0 / ndim) - 1e-3
    for b in range(start, stop):
        moved, inside = False, True
        for k in range(new.shape[0]):
            new[k] = states[b, k] + steps[b, k]
            moved = moved or steps[b, k] != 0.0
            inside = inside and abs(new[k]) <= limit
        keep = moved and inside
        if keep:
            _combine(modes, new, lattice)
            if _steepest(lattice, ndim, side) * per_mm >= gentle:
                least = _least_determinant(padded, ndim, side, values, slopes, beyond, least_determinant, work)
                keep = least > least_determinant
        for k in range(new.shape[0]):
            out[b, k] = new[k] if keep else states[b, k]


@numba.njit(
    [types.void(*LANES, given(types.float32, 2), types.int64, *_CHECKS, written(types.float64, 1))],
    cache=True,
    nogil=True,
)
def least_determinants(start, stop, lattices, ndim, values, slopes, beyond, out):  # type: ignore[no-untyped-def]
    """The smallest determinant of I + du/dx over the check points, for flattened lattices (B, P)."""
    size = lattices.shape[1]
    side = int(round((size / ndim) ** (1.0 / ndim)))
    work = np.zeros((9, size + 3 * side ** (ndim - 1)), np.float32)
    for b in range(start, stop):
        work[8, :size] = lattices[b]
        out[b] = _least_determinant(work[8], ndim, side, values, slopes, beyond, -np.inf, work)


@numba.njit(
    [
        types.void(
            *LANES,
            given(types.float32, 3),
            types.int64,
            given(types.float64, 3),
            types.int64,
            written(types.float64, 3),
        )
    ],
    cache=True,
    nogil=True,
)
def evaluate_lanes(start, stop, lattices, side, points, derivative, out):  # type: ignore[no-untyped-def]
    """Lattices (B, d, P) at lattice coordinates.

    Args:
        start: First lane.
        stop: One past the last lane.
        lattices: (B, d, side^d) flattened.
        side: Coefficients per axis.
        points: (1 or B, N, d) lattice coordinates (x, y[, z]).
        derivative: Axis (0 for x) of the derivative wanted; -1 for the value.
        out: (B, N, d).
    """
    d = lattices.shape[1]
    cells = side - 3
    w = np.zeros((3, 4))
    w[2, 0] = 1.0
    at = np.zeros(3, np.int64)
    n_deep = 4 if d == 3 else 1
    for b in range(start, stop):
        shared = 0 if points.shape[0] == 1 else b
        for n in range(points.shape[1]):
            for axis in range(d):
                t = points[shared, n, axis]
                at[axis] = spline_weights(t, cells, w[axis])
                if axis == derivative:
                    spline_slopes(t, cells, w[axis])
            for c in range(d):
                total = 0.0
                for k in range(n_deep):
                    for j in range(4):
                        row = ((at[2] + k) * side + at[1] + j) * side + at[0]
                        part = 0.0
                        for i in range(4):
                            part += w[0, i] * lattices[b, c, row + i]
                        total += w[2, k] * w[1, j] * part
                out[b, n, c] = total


@numba.njit(
    [
        types.void(
            *LANES,
            given(types.float64, 2),
            types.int64,
            given(types.int64, 1),
            given(types.int64, 1),
            given(types.int64, 1),
            written(types.float64, 1),
        )
    ],
    cache=True,
    nogil=True,
)
def mean_errors(start, stop, coefficients, d, modes, rest, counts, out):  # type: ignore[no-untyped-def]
    """Writes the mean distance of each lane's points from where they belong to ``out``.

    Args:
        start: First lane.
        stop: One past the last lane.
        coefficients: (B, K) float64.
        d: Dimensions.
        modes: (B,) addresses of (K, N d) float64, what each coefficient adds to the points.
        rest: (B,) addresses of (N, d) float64, the distances where all coefficients are 0.
        counts: (B,) how many points, N; without any the error is NaN.
        out: (B,) float64.
    """
    for b in range(start, stop):
        n = counts[b]
        if n == 0:
            out[b] = np.nan
            continue
        error = doubles_at(rest[b], 1, n * d)[0].copy()
        rows = doubles_at(modes[b], coefficients.shape[1], n * d)
        for k in range(coefficients.shape[1]):
            c, row = coefficients[b, k], rows[k]
            for i in range(n * d):
                error[i] += c * row[i]
        total = 0.0
        for point in range(n):
            square = 0.0
            for i in range(point * d, point * d + d):
                square += error[i] * error[i]
            total += np.sqrt(square)
        out[b] = total / n
