"""Compiled arithmetic of cubic B-spline lattices: one lane at a time, so no lane's bits depend on the batch.

A lattice of ``cells + 3`` coefficients per axis spans the coordinates ``t`` in ``[0, cells]``: the point t in cell c
takes its value from the coefficients c to c + 3. Coordinates beyond are held at the edge.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

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
def _contract(source, weights, out):  # type: ignore[no-untyped-def]
    """Writes sum_q weights[q] source[q] of four rows."""
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    a, b, c, d = source[0], source[1], source[2], source[3]
    for p in range(out.shape[0]):
        out[p] = w0 * a[p] + w1 * b[p] + w2 * c[p] + w3 * d[p]


@numba.njit(cache=True, nogil=True, fastmath=_FUSED)
def _contract_columns(source, first, values, slopes, value_out, slope_out):  # type: ignore[no-untyped-def]
    """Values and slopes of one lattice row at the check points of its axis."""
    for p in range(first.shape[0]):
        k = first[p]
        a, b, c, d = source[k], source[k + 1], source[k + 2], source[k + 3]
        value_out[p] = values[p, 0] * a + values[p, 1] * b + values[p, 2] * c + values[p, 3] * d
        slope_out[p] = slopes[p, 0] * a + slopes[p, 1] * b + slopes[p, 2] * c + slopes[p, 3] * d


@numba.njit(cache=True, nogil=True, fastmath=_FUSED)
def _smallest_2d(j, least):  # type: ignore[no-untyped-def]
    """The smaller of ``least`` and the determinants of I + j over the columns of (4, P)."""
    one = np.float32(1.0)
    xx, xy, yx, yy = j[0], j[1], j[2], j[3]
    for p in range(j.shape[1]):
        det = (one + xx[p]) * (one + yy[p]) - xy[p] * yx[p]
        least = det if det < least else least
    return least


@numba.njit(cache=True, nogil=True, fastmath=_FUSED)
def _smallest_3d(j, least):  # type: ignore[no-untyped-def]
    """The smaller of ``least`` and the determinants of I + j over the columns of (9, P)."""
    one = np.float32(1.0)
    xx, xy, xz, yx, yy, yz, zx, zy, zz = j[0], j[1], j[2], j[3], j[4], j[5], j[6], j[7], j[8]
    for p in range(j.shape[1]):
        a, e, i = one + xx[p], one + yy[p], one + zz[p]
        det = a * (e * i - yz[p] * zy[p]) - xy[p] * (yx[p] * i - yz[p] * zx[p]) + xz[p] * (yx[p] * zy[p] - e * zx[p])
        least = det if det < least else least
    return least


@numba.njit(cache=True, nogil=True)
def _least_determinant_2d(lattice, first, values, slopes, bound):  # type: ignore[no-untyped-def]
    """Smallest determinant of I + du/dx of a lattice (2, Ly, Lx) over the check points, or one not above ``bound``."""
    n_check, height = len(first), lattice.shape[1]
    rows = np.empty((2, 2, height, n_check), np.float32)  # (value or d/dx, component, y, x check)
    for c in range(2):
        for y in range(height):
            _contract_columns(lattice[c, y], first, values, slopes, rows[0, c, y], rows[1, c, y])
    jacobian = np.empty((4, n_check), np.float32)
    least = np.float32(np.inf)
    for p in range(n_check):
        k = first[p]
        for c in range(2):
            _contract(rows[1, c, k : k + 4], values[p], jacobian[2 * c])
            _contract(rows[0, c, k : k + 4], slopes[p], jacobian[2 * c + 1])
        least = _smallest_2d(jacobian, least)
        if not least > bound:
            break
    return least


@numba.njit(cache=True, nogil=True)
def _least_determinant_3d(lattice, first, values, slopes, bound):  # type: ignore[no-untyped-def]
    """Smallest determinant of I + du/dx of a lattice (3, Lz, Ly, Lx) over the check points, or one not above ``bound``.

    Axis by axis, x first: the innermost loops then run over whole planes of check points.
    """
    n_check, depth, height = len(first), lattice.shape[1], lattice.shape[2]
    rows = np.empty((2, height, n_check), np.float32)
    # (d/dx, d/dy, value; component; z coefficient; y check, x check)
    planes = np.empty((3, 3, depth, n_check, n_check), np.float32)
    for c in range(3):
        for z in range(depth):
            for y in range(height):
                _contract_columns(lattice[c, z, y], first, values, slopes, rows[0, y], rows[1, y])
            for p in range(n_check):
                k = first[p]
                _contract(rows[1, k : k + 4], values[p], planes[0, c, z, p])
                _contract(rows[0, k : k + 4], slopes[p], planes[1, c, z, p])
                _contract(rows[0, k : k + 4], values[p], planes[2, c, z, p])
    flat = planes.reshape(3, 3, depth, n_check * n_check)
    jacobian = np.empty((9, n_check * n_check), np.float32)
    least = np.float32(np.inf)
    for p in range(n_check):
        k = first[p]
        for c in range(3):
            _contract(flat[0, c, k : k + 4], values[p], jacobian[3 * c])
            _contract(flat[1, c, k : k + 4], values[p], jacobian[3 * c + 1])
            _contract(flat[2, c, k : k + 4], slopes[p], jacobian[3 * c + 2])
        least = _smallest_3d(jacobian, least)
        if not least > bound:
            break
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


_CHECKS = (given(types.int64, 1), given(types.float32, 2), given(types.float32, 2))


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
    start, stop, modes, ndim, per_mm, states, steps, limit, least_determinant, first, values, slopes, out
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
        first: (C,) first coefficient of each check point of an axis; all axes alike.
        values: (C, 4) spline weights there.
        slopes: (C, 4) their derivatives in 1/mm.
        out: (B, K) new states.
    """
    side = int(round((modes.shape[1] / ndim) ** (1.0 / ndim)))
    lattice = np.empty(modes.shape[1], np.float32)
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
            if _steepest(lattice, ndim, side) * per_mm < gentle:
                pass
            elif ndim == 3:
                cube = lattice.reshape(3, side, side, side)
                keep = _least_determinant_3d(cube, first, values, slopes, least_determinant) > least_determinant
            else:
                square = lattice.reshape(2, side, side)
                keep = _least_determinant_2d(square, first, values, slopes, least_determinant) > least_determinant
        for k in range(new.shape[0]):
            out[b, k] = new[k] if keep else states[b, k]


@numba.njit(
    [types.void(*LANES, given(types.float32, 2), types.int64, *_CHECKS, written(types.float64, 1))],
    cache=True,
    nogil=True,
)
def least_determinants(start, stop, lattices, ndim, first, values, slopes, out):  # type: ignore[no-untyped-def]
    """The smallest determinant of I + du/dx over the check points, for flattened lattices (B, P)."""
    side = int(round((lattices.shape[1] / ndim) ** (1.0 / ndim)))
    for b in range(start, stop):
        if ndim == 3:
            cube = lattices[b].copy().reshape(3, side, side, side)
            out[b] = _least_determinant_3d(cube, first, values, slopes, -np.inf)
        else:
            square = lattices[b].copy().reshape(2, side, side)
            out[b] = _least_determinant_2d(square, first, values, slopes, -np.inf)


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
