"""Compiled resampling through a matrix and a cubic B-spline displacement, fused with validity and similarity sums.

As :mod:`regenv.core._resample_kernels`, whose fixed-point coordinates are used here too: the displacement is added to
the coordinate of the undisplaced pixel. The lattice is contracted axis by axis (once a plane, once a row), so that a
pixel costs four weights. A lane whose lattice is all zero runs through that module's kernel itself and gets its bits.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from regenv.core._deformation_kernels import spline_weights
from regenv.core._intrinsics import bilinear, trilinear, unowned_bytes, unowned_doubles, unowned_floats
from regenv.core._resample_kernels import (
    _HALF,
    _ONE,
    _add_flagged_row,
    _edge_2d,
    _edge_3d,
    _row_start,
    _row_step,
    _to_uint8,
    _weight,
    render_lanes,
)
from regenv.core._types import FLAGS, IMAGES, LANES, given, written

_FAR = float(1 << 10)  # voxels, the longest displacement
_UNIT = float(1 << 20)  # of a voxel: displacements are 32-bit fixed point, which converts in vector registers
_SHIFT = 12  # to the coordinates' 32 fractional bits
_FUSED = {"contract", "nsz"}


@numba.njit([types.boolean(given(types.float64, 4))], cache=True, nogil=True)
def along_axes(planes):  # type: ignore[no-untyped-def]
    """Whether every plane's rows and columns run along an axis each, not the same."""
    for b in range(planes.shape[0]):
        for s in range(planes.shape[1]):
            both = 0
            for k in range(planes.shape[3]):
                row, column = planes[b, s, 1, k] != 0.0, planes[b, s, 2, k] != 0.0
                if row and column:
                    return False
                both += int(row) + 8 * int(column)
            if both != 9:
                return False
    return True


@numba.njit(cache=True, nogil=True)
def _has_values(lattice):  # type: ignore[no-untyped-def]
    """Whether any coefficient of a flat lattice is not 0."""
    for value in lattice:  # noqa: SIM110, numba compiles no generators
        if value != np.float32(0.0):
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _step_axis(step):  # type: ignore[no-untyped-def]
    """The axis along which a row or column of an axis-aligned plane runs."""
    axis = 0
    for k in range(1, step.shape[0]):
        if abs(step[k]) > abs(step[axis]):
            axis = k
    return axis


@numba.njit(cache=True, nogil=True)
def _fixed_point(value):  # type: ignore[no-untyped-def]
    """A displacement in voxels in fixed-point units, kept clear of overflow; NaN counts as far away."""
    if not value > -_FAR:
        value = -_FAR
    elif value > _FAR:
        value = _FAR
    return value * _UNIT


@numba.njit(cache=True, nogil=True, fastmath=_FUSED)
def _contract_normal(lattice, side, axes, normal, weights, direction, out):  # type: ignore[no-untyped-def]
    """Contracts a lattice along the plane's normal, and turns it into the moving image's axes.

    Args:
        lattice: (d, side^d) mm along the local axes.
        side: Coefficients per axis.
        axes: (2,) axes of the rows' and the columns' steps.
        normal: First coefficient along the third axis.
        weights: (n,) weights along the third axis; (1,) in 2-D.
        direction: (d, d) from local mm to moving index.
        out: (side, d, side) float32 fixed point, [column][component][row].
    """
    d = lattice.shape[0]
    third = 3 - axes[0] - axes[1]
    row_stride, column_stride, stride = side ** axes[0], side ** axes[1], side**third
    local = np.zeros(3)
    for i in range(side):
        for j in range(side):
            at = i * row_stride + j * column_stride + (normal * stride if d == 3 else 0)
            for c in range(d):
                total = 0.0
                for q in range(weights.shape[0]):
                    total += weights[q] * lattice[c, at + q * stride]
                local[c] = total
            for k in range(d):
                total = 0.0
                for c in range(d):
                    total += direction[k, c] * local[c]
                out[j, k, i] = np.float32(_fixed_point(total))


@numba.njit(cache=True, nogil=True, fastmath=_FUSED)
def _contract_four(rows, weights, out):  # type: ignore[no-untyped-def]
    """Writes the weighted sum of four rows."""
    a, b, c, d = np.float32(weights[0]), np.float32(weights[1]), np.float32(weights[2]), np.float32(weights[3])
    r0, r1, r2, r3 = rows[0], rows[1], rows[2], rows[3]
    for p in range(out.shape[0]):
        out[p] = a * r0[p] + b * r1[p] + c * r2[p] + d * r3[p]


@numba.njit(cache=True, nogil=True)
def _contract_columns(plane, scale, offset, cells, out):  # type: ignore[no-untyped-def]
    """Contracts along the columns: (side, d, side) to the values of whole rows of pixels, (side, d, W) float32."""
    w = np.empty(4)
    side, d = plane.shape[0], plane.shape[1]
    flat = plane.reshape(side, d * side)
    values = np.empty(d * side, np.float32)
    for j in range(out.shape[2]):
        k = spline_weights(scale * j + offset, cells, w)
        _contract_four(flat[k : k + 4], w, values)
        for c in range(d):
            for i in range(side):
                out[i, c, j] = values[c * side + i]


@numba.njit(cache=True, nogil=True)
def _coordinates(start, step, u, size, out):  # type: ignore[no-untyped-def]
    """Writes the fixed-point coordinates of a row's pixels along one axis; whether all lie between voxel centres."""
    outside = np.int64(0)
    for j in range(out.shape[0]):
        x = start + j * step + (np.int64(np.int32(u[j])) << _SHIFT)
        outside |= x | ((size - 1) * _ONE - 1 - x)  # the sign of a difference tells
        out[j] = x
    return outside >= 0


@numba.njit(cache=True, nogil=True)
def _warp_row_3d(address, nx, ny, nz, start, step, u, at, background, out, flags):  # type: ignore[no-untyped-def]
    """Samples one displaced row and says where it lies inside.

    Args:
        address: Of the volume.
        nx: Voxels along x.
        ny: Along y.
        nz: Along z.
        start: (3,) fixed-point coordinate of the row's first pixel.
        step: (3,) between pixels.
        u: (3, W) float32 displacements, fixed point.
        at: (3, W) int64 scratch.
        background: Value outside.
        out: (W,) written.
        flags: (W,) uint8, written.
    """
    down, deep = 4 * nx, 4 * nx * ny
    xs, ys, zs = at[0], at[1], at[2]
    inside = _coordinates(start[0], step[0], u[0], nx, xs)
    inside = _coordinates(start[1], step[1], u[1], ny, ys) and inside
    inside = _coordinates(start[2], step[2], u[2], nz, zs) and inside
    if inside:
        for j in range(out.shape[0]):
            x, y, z = xs[j], ys[j], zs[j]
            corner = address + 4 * (x >> 32) + down * (y >> 32) + deep * (z >> 32)
            out[j] = trilinear(corner, down, deep, _weight(x), _weight(y), _weight(z))
        flags[:] = 1
        return
    # One unsigned comparison stands for two signed ones.
    wide, high, thick = np.uint64((nx - 1) * _ONE), np.uint64((ny - 1) * _ONE), np.uint64((nz - 1) * _ONE)
    for j in range(out.shape[0]):
        x, y, z = xs[j], ys[j], zs[j]
        if np.uint64(x) < wide and np.uint64(y) < high and np.uint64(z) < thick:
            corner = address + 4 * (x >> 32) + down * (y >> 32) + deep * (z >> 32)
            out[j] = trilinear(corner, down, deep, _weight(x), _weight(y), _weight(z))
            flags[j] = 1
        elif (
            np.uint64(x + _HALF) < np.uint64(nx * _ONE)
            and np.uint64(y + _HALF) < np.uint64(ny * _ONE)
            and np.uint64(z + _HALF) < np.uint64(nz * _ONE)
        ):
            out[j] = _edge_3d(address, nx, ny, nz, x, y, z)
            flags[j] = 1
        else:
            out[j] = background
            flags[j] = 0


@numba.njit(cache=True, nogil=True)
def _warp_row_2d(address, nx, ny, start, step, u, at, background, out, flags):  # type: ignore[no-untyped-def]
    """As :func:`_warp_row_3d`, bilinear."""
    down = 4 * nx
    xs, ys = at[0], at[1]
    inside = _coordinates(start[0], step[0], u[0], nx, xs)
    inside = _coordinates(start[1], step[1], u[1], ny, ys) and inside
    if inside:
        for j in range(out.shape[0]):
            x, y = xs[j], ys[j]
            out[j] = bilinear(address + 4 * (x >> 32) + down * (y >> 32), down, _weight(x), _weight(y))
        flags[:] = 1
        return
    wide, high = np.uint64((nx - 1) * _ONE), np.uint64((ny - 1) * _ONE)
    for j in range(out.shape[0]):
        x, y = xs[j], ys[j]
        if np.uint64(x) < wide and np.uint64(y) < high:
            out[j] = bilinear(address + 4 * (x >> 32) + down * (y >> 32), down, _weight(x), _weight(y))
            flags[j] = 1
        elif np.uint64(x + _HALF) < np.uint64(nx * _ONE) and np.uint64(y + _HALF) < np.uint64(ny * _ONE):
            out[j] = _edge_2d(address, nx, ny, x, y)
            flags[j] = 1
        else:
            out[j] = background
            flags[j] = 0


@numba.njit(
    [
        types.void(
            *LANES,
            given(types.int64, 1),
            given(types.int64, 2),
            given(types.float64, 3),
            given(types.float64, 3),
            given(types.float64, 4),
            given(types.float32, 3),
            types.int64,
            given(types.float64, 1),
            given(types.float64, 1),
            given(types.float32, 1),
            written(types.float32, 4),
            written(types.uint8, 4),
            IMAGES,
            FLAGS,
            written(types.float64, 2),
            written(types.uint8, 4),
        )
    ],
    cache=True,
    nogil=True,
)
def warp_lanes(  # type: ignore[no-untyped-def]
    start, stop, addresses, shapes, matrices, directions, planes, lattices, side, scale, offset, backgrounds, out,
    valid, fixed, mask, sums, out_u8,
):  # fmt: skip
    """Renders the lanes [start, stop). What is not wanted is passed as an array of no lanes.

    Args:
        start: First lane.
        stop: One past the last lane.
        addresses: (B,) int64 of C-contiguous float32 arrays.
        shapes: (B, d) int64 array shapes, ([z,] y, x).
        matrices: (B, d, d + 1) float64, view index to moving continuous index, (x, y[, z]).
        directions: (B, d, d) float64, displacement in mm to moving index.
        planes: (1 or B, S, 3, d) float64, rows and columns along an axis of the view.
        lattices: (B, d, side^d) float32, mm.
        side: Coefficients per axis.
        scale: (d,) lattice coordinate per view index.
        offset: (d,) lattice coordinate of view index 0.
        backgrounds: (B,) float32.
        out: (B, S, H, W) float32, or no lanes.
        valid: (B, S, H, W) uint8, or no lanes.
        fixed: (B, S, H, W) float32.
        mask: (B, S, H, W) uint8.
        sums: (B, 7) float64, or no lanes; fixed and mask are read only where it has lanes.
        out_u8: (B, S, H, W) uint8, or no lanes.
    """
    d = shapes.shape[1]
    cells = side - 3
    n_planes, height, width = planes.shape[1], fixed.shape[2], fixed.shape[3]
    if out.shape[0] > 0:
        height, width = out.shape[2], out.shape[3]
    keep_out, keep_valid, keep_u8 = out.shape[0] > 0, valid.shape[0] > 0, out_u8.shape[0] > 0
    add = sums.shape[0] > 0
    scratch = np.empty(width, np.float32)
    scratch_flags = np.empty(width, np.uint8)
    rows, spare_row, flag_rows, spare_flags, byte_rows = (
        unowned_floats(out),
        unowned_floats(scratch),
        unowned_bytes(valid),
        unowned_bytes(scratch_flags),
        unowned_bytes(out_u8),
    )
    fixed_rows, mask_rows, lane_sums = unowned_floats(fixed), unowned_bytes(mask), unowned_doubles(sums)
    c = np.zeros(3, np.int64)
    step = np.zeros(3, np.int64)
    axes = np.zeros(2, np.int64)
    w = np.zeros(4)
    one = np.ones(1)
    plane_lattice = np.empty((side, d, side), np.float32)
    columns = np.empty((side, d, width), np.float32)
    column_rows = columns.reshape(side, d * width)
    u = np.empty((d, width), np.float32)
    at_row = np.empty((d, width), np.int64)
    flat_u = u.reshape(-1)
    for b in range(start, stop):
        if not _has_values(lattices[b].reshape(-1)):
            render_lanes(
                b, b + 1, addresses, shapes, matrices, planes, backgrounds, out, valid, fixed, mask, sums, out_u8
            )
            continue
        address, background = addresses[b], backgrounds[b]
        m = matrices[b]
        shared = 0 if planes.shape[0] == 1 else b
        if add:
            sums[b, :] = 0.0
        for s in range(n_planes):
            plane = planes[shared, s]
            axes[0], axes[1] = _step_axis(plane[1]), _step_axis(plane[2])
            row_axis, column_axis = axes[0], axes[1]
            if d == 3:
                third = 3 - axes[0] - axes[1]
                normal = spline_weights(scale[third] * plane[0, third] + offset[third], cells, w)
                _contract_normal(lattices[b], side, axes, normal, w, directions[b], plane_lattice)
            else:
                _contract_normal(lattices[b], side, axes, 0, one, directions[b], plane_lattice)
            _contract_columns(
                plane_lattice,
                scale[column_axis] * plane[2, column_axis],
                scale[column_axis] * plane[0, column_axis] + offset[column_axis],
                cells,
                columns,
            )
            for k in range(d):
                total = 0.0
                for axis in range(d):
                    total += m[k, axis] * plane[2, axis]
                step[k] = _row_step(total)
            for i in range(height):
                for k in range(d):
                    total = m[k, d]
                    for axis in range(d):
                        total += m[k, axis] * (plane[0, axis] + i * plane[1, axis])
                    c[k] = _row_start(total)
                t = plane[0, row_axis] + i * plane[1, row_axis]
                at = spline_weights(scale[row_axis] * t + offset[row_axis], cells, w)
                _contract_four(column_rows[at : at + 4], w, flat_u)
                row = rows[b, s, i] if keep_out else spare_row
                flags = flag_rows[b, s, i] if keep_valid else spare_flags
                if d == 3:
                    nz, ny, nx = shapes[b, 0], shapes[b, 1], shapes[b, 2]
                    _warp_row_3d(address, nx, ny, nz, c, step, u, at_row, background, row, flags)
                else:
                    ny, nx = shapes[b, 0], shapes[b, 1]
                    _warp_row_2d(address, nx, ny, c, step, u, at_row, background, row, flags)
                if keep_u8:
                    _to_uint8(row, byte_rows[b, s, i])
                if add:
                    _add_flagged_row(fixed_rows[b, s, i], row, mask_rows[b, s, i], flags, lane_sums[b])
    scratch[:] = 0.0  # mentioned last, so that they live until here
    scratch_flags[:] = 0
