"""Compiled resampling of stacks of planes, fused with validity and similarity sums.

Coordinates are 64-bit fixed point with 32 fractional bits. Compared with floating point this makes the split into voxel
and weight two integer instructions, gives every pixel of a row its coordinate without accumulation, and makes the
inside test exact integer arithmetic, so the range of a row's pixels that lie inside is solved for instead of tested
pixel by pixel. The start of a row is rounded to 2^-20 voxel: matrices composed in float64 reach a voxel centre only
to about 1e-12, and after rounding the weight is exactly 0 and the voxel's value comes out bit for bit.

The blends a + w (b - a) may be fused but not reassociated, the sums may be both. One lane runs through the same code
whatever the batch, so none of its bits depend on another.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from regenv.core._intrinsics import bilinear, load, trilinear, unowned_bytes, unowned_doubles, unowned_floats
from regenv.core._types import FLAGS, IMAGES, LANES, given, written

_ONE = 1 << 32  # one voxel
_HALF = 1 << 31
_ROW_START_SCALE = float(1 << 20)
_ROW_START_SHIFT = 12
_STEP_SCALE = float(1 << 32)
_WEIGHT_SCALE = np.float32(2.0**-24)
_FAR = float(1 << 28)  # voxels; a coordinate beyond is as far outside as one can be, and stays clear of overflow
_LONGEST_STEP = float(1 << 14)


@numba.njit(cache=True, nogil=True)
def _row_start(value):  # type: ignore[no-untyped-def]
    """Fixed-point coordinate of a row's first pixel; NaN counts as far outside."""
    if not value > -_FAR:
        value = -_FAR
    elif value > _FAR:
        value = _FAR
    return np.int64(np.rint(value * _ROW_START_SCALE)) << _ROW_START_SHIFT


@numba.njit(cache=True, nogil=True)
def _row_step(value):  # type: ignore[no-untyped-def]
    """Fixed-point step between a row's pixels."""
    if not value > -_LONGEST_STEP:
        value = -_LONGEST_STEP
    elif value > _LONGEST_STEP:
        value = _LONGEST_STEP
    return np.int64(np.rint(value * _STEP_SCALE))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _narrow(first, last, start, step, low, high):  # type: ignore[no-untyped-def]
    """The part of the pixels [first, last) with low <= start + j step < high."""
    if last <= first:
        return first, first
    left = start + first * step
    right = start + (last - 1) * step
    if left >= low and left < high and right >= low and right < high:
        return first, last
    if step == 0:
        return first, first
    if step > 0:
        begin = -((start - low) // step)
        end = -((start - high) // step)
    else:
        begin = (start - high) // -step + 1
        end = (start - low) // -step + 1
    begin = min(max(begin, first), last)
    return begin, min(max(end, begin), last)


@numba.njit(cache=True, nogil=True)
def _weight(coordinate):  # type: ignore[no-untyped-def]
    return np.float32((coordinate >> 8) & 0xFFFFFF) * _WEIGHT_SCALE


@numba.njit(cache=True, nogil=True)
def _blend(a, b, weight):  # type: ignore[no-untyped-def]
    return a + weight * (b - a)


@numba.njit(cache=True, nogil=True)
def _bilinear(a00, a01, a10, a11, wx, wy):  # type: ignore[no-untyped-def]
    return _blend(_blend(a00, a01, wx), _blend(a10, a11, wx), wy)


@numba.njit(cache=True, nogil=True)
def _clamp(index, size):  # type: ignore[no-untyped-def]
    return min(max(index, 0), size - 1)


@numba.njit(cache=True, nogil=True)
def _edge_3d(address, nx, ny, nz, cx, cy, cz):  # type: ignore[no-untyped-def]
    """One value in the outer half voxel (or of an image one voxel thick), edge values held."""
    x0 = address + 4 * _clamp(cx >> 32, nx)
    x1 = address + 4 * _clamp((cx >> 32) + 1, nx)
    y0 = 4 * nx * _clamp(cy >> 32, ny)
    y1 = 4 * nx * _clamp((cy >> 32) + 1, ny)
    z0 = 4 * nx * ny * _clamp(cz >> 32, nz)
    z1 = 4 * nx * ny * _clamp((cz >> 32) + 1, nz)
    wx, wy = _weight(cx), _weight(cy)
    near = _bilinear(load(x0 + y0 + z0), load(x1 + y0 + z0), load(x0 + y1 + z0), load(x1 + y1 + z0), wx, wy)
    far = _bilinear(load(x0 + y0 + z1), load(x1 + y0 + z1), load(x0 + y1 + z1), load(x1 + y1 + z1), wx, wy)
    return _blend(near, far, _weight(cz))


@numba.njit(cache=True, nogil=True)
def _row_3d(address, nx, ny, nz, cx, cy, cz, sx, sy, sz, background, out):  # type: ignore[no-untyped-def]
    """Samples one row into ``out``; returns the range [first, last) of its pixels that lie inside."""
    width = out.shape[0]
    first, last = _narrow(0, width, cx, sx, -_HALF, nx * _ONE - _HALF)
    first, last = _narrow(first, last, cy, sy, -_HALF, ny * _ONE - _HALF)
    first, last = _narrow(first, last, cz, sz, -_HALF, nz * _ONE - _HALF)
    begin, end = _narrow(first, last, cx, sx, 0, (nx - 1) * _ONE)
    begin, end = _narrow(begin, end, cy, sy, 0, (ny - 1) * _ONE)
    begin, end = _narrow(begin, end, cz, sz, 0, (nz - 1) * _ONE)
    for j in range(first):
        out[j] = background
    for j in range(first, begin):
        out[j] = _edge_3d(address, nx, ny, nz, cx + j * sx, cy + j * sy, cz + j * sz)
    down = 4 * nx
    deep = 4 * nx * ny
    inner = out[begin:end]  # from 0, which spares a test for negative indices
    bx, by, bz = cx + begin * sx, cy + begin * sy, cz + begin * sz
    for j in range(inner.shape[0]):
        x, y, z = bx + j * sx, by + j * sy, bz + j * sz
        corner = address + 4 * (x >> 32) + down * (y >> 32) + deep * (z >> 32)
        inner[j] = trilinear(corner, down, deep, _weight(x), _weight(y), _weight(z))
    for j in range(end, last):
        out[j] = _edge_3d(address, nx, ny, nz, cx + j * sx, cy + j * sy, cz + j * sz)
    for j in range(last, width):
        out[j] = background
    return first, last


@numba.njit(cache=True, nogil=True)
def _edge_2d(address, nx, ny, cx, cy):  # type: ignore[no-untyped-def]
    x0 = address + 4 * _clamp(cx >> 32, nx)
    x1 = address + 4 * _clamp((cx >> 32) + 1, nx)
    y0 = 4 * nx * _clamp(cy >> 32, ny)
    y1 = 4 * nx * _clamp((cy >> 32) + 1, ny)
    return _bilinear(load(x0 + y0), load(x1 + y0), load(x0 + y1), load(x1 + y1), _weight(cx), _weight(cy))


@numba.njit(cache=True, nogil=True)
def _row_2d(address, nx, ny, cx, cy, sx, sy, background, out):  # type: ignore[no-untyped-def]
    """As :func:`_row_3d`, bilinear."""
    width = out.shape[0]
    first, last = _narrow(0, width, cx, sx, -_HALF, nx * _ONE - _HALF)
    first, last = _narrow(first, last, cy, sy, -_HALF, ny * _ONE - _HALF)
    begin, end = _narrow(first, last, cx, sx, 0, (nx - 1) * _ONE)
    begin, end = _narrow(begin, end, cy, sy, 0, (ny - 1) * _ONE)
    for j in range(first):
        out[j] = background
    for j in range(first, begin):
        out[j] = _edge_2d(address, nx, ny, cx + j * sx, cy + j * sy)
    down = 4 * nx
    inner = out[begin:end]
    bx, by = cx + begin * sx, cy + begin * sy
    for j in range(inner.shape[0]):
        x, y = bx + j * sx, by + j * sy
        inner[j] = bilinear(address + 4 * (x >> 32) + down * (y >> 32), down, _weight(x), _weight(y))
    for j in range(end, last):
        out[j] = _edge_2d(address, nx, ny, cx + j * sx, cy + j * sy)
    for j in range(last, width):
        out[j] = background
    return first, last


@numba.njit(cache=True, nogil=True)
def _add(sums, n_mask, n, f1, m1, f2, m2, fm):  # type: ignore[no-untyped-def]
    """Adds what one row gives to the seven sums of a lane."""
    sums[0] += n_mask
    sums[1] += n
    sums[2] += f1
    sums[3] += m1
    sums[4] += f2
    sums[5] += m2
    sums[6] += fm


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def _add_row(fixed, moved, mask, first, last, sums):  # type: ignore[no-untyped-def]
    """Adds one row to a lane's seven sums, in double precision."""
    fs, ms, masks = fixed[first:last], moved[first:last], mask[first:last]
    n = f1 = m1 = f2 = m2 = fm = np.float64(0.0)
    for j in range(fs.shape[0]):
        # Weights instead of branches, so that the loop runs in vector registers.
        weight = np.float32(1.0) if masks[j] != 0 else np.float32(0.0)
        f, m = np.float64(weight * fs[j]), np.float64(weight * ms[j])
        n += np.float64(weight)
        f1 += f
        m1 += m
        f2 += f * f
        m2 += m * m
        fm += f * m
    outside = 0
    before, after = mask[:first], mask[last:]
    for j in range(before.shape[0]):
        outside += 1 if before[j] != 0 else 0
    for j in range(after.shape[0]):
        outside += 1 if after[j] != 0 else 0
    _add(sums, n + outside, n, f1, m1, f2, m2, fm)


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def _add_flagged_row(fixed, moved, mask, flags, sums):  # type: ignore[no-untyped-def]
    """As :func:`_add_row`, where what is valid is no range but flagged voxel by voxel."""
    n_mask = n = f1 = m1 = f2 = m2 = fm = np.float64(0.0)
    for j in range(fixed.shape[0]):
        counts = np.float32(1.0) if mask[j] != 0 else np.float32(0.0)
        weight = counts if flags[j] != 0 else np.float32(0.0)
        f, m = np.float64(weight * fixed[j]), np.float64(weight * moved[j])
        n_mask += np.float64(counts)
        n += np.float64(weight)
        f1 += f
        m1 += m
        f2 += f * f
        m2 += m * m
        fm += f * m
    _add(sums, n_mask, n, f1, m1, f2, m2, fm)


@numba.njit(cache=True, nogil=True)
def _to_uint8(row, out):  # type: ignore[no-untyped-def]
    """Intensities in [0, 1] as 0..255, rounded; values beyond are clipped."""
    for j in range(row.shape[0]):
        value = min(max(row[j], np.float32(0.0)), np.float32(1.0))
        out[j] = np.uint8(np.int32(value * np.float32(255.0) + np.float32(0.5)))


@numba.njit(
    [
        types.void(
            *LANES,
            given(types.int64, 1),
            given(types.int64, 2),
            given(types.float64, 3),
            given(types.float64, 4),
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
def render_lanes(  # type: ignore[no-untyped-def]
    start, stop, addresses, shapes, matrices, planes, backgrounds, out, valid, fixed, mask, sums, out_u8
):
    """Renders the lanes [start, stop). What is not wanted is passed as an array of no lanes.

    Args:
        start: First lane.
        stop: One past the last lane.
        addresses: (B,) int64 of C-contiguous float32 arrays.
        shapes: (B, d) int64 array shapes, ([z,] y, x).
        matrices: (B, d, d + 1) float64, view index to moving continuous index, (x, y[, z]).
        planes: (1 or B, S, 3, d) float64.
        backgrounds: (B,) float32.
        out: (B, S, H, W) float32, or no lanes.
        valid: (B, S, H, W) uint8, or no lanes.
        fixed: (B, S, H, W) float32.
        mask: (B, S, H, W) uint8.
        sums: (B, 7) float64, or no lanes; fixed and mask are read only where it has lanes.
        out_u8: (B, S, H, W) uint8, or no lanes.
    """
    d = shapes.shape[1]
    n_planes, height, width = planes.shape[1], fixed.shape[2], fixed.shape[3]
    if out.shape[0] > 0:
        height, width = out.shape[2], out.shape[3]
    keep_out, keep_valid, keep_u8 = out.shape[0] > 0, valid.shape[0] > 0, out_u8.shape[0] > 0
    add = sums.shape[0] > 0
    scratch = np.empty(width, np.float32)
    rows, spare_row, flag_rows, byte_rows = (
        unowned_floats(out),
        unowned_floats(scratch),
        unowned_bytes(valid),
        unowned_bytes(out_u8),
    )
    fixed_rows, mask_rows, lane_sums = unowned_floats(fixed), unowned_bytes(mask), unowned_doubles(sums)
    c = np.zeros(3, np.int64)
    step = np.zeros(3, np.int64)
    for b in range(start, stop):
        address, background = addresses[b], backgrounds[b]
        m = matrices[b]
        shared = 0 if planes.shape[0] == 1 else b
        if add:
            sums[b, :] = 0.0
        for s in range(n_planes):
            plane = planes[shared, s]
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
                row = rows[b, s, i] if keep_out else spare_row
                if d == 3:
                    nz, ny, nx = shapes[b, 0], shapes[b, 1], shapes[b, 2]
                    first, last = _row_3d(
                        address, nx, ny, nz, c[0], c[1], c[2], step[0], step[1], step[2], background, row
                    )
                else:
                    ny, nx = shapes[b, 0], shapes[b, 1]
                    first, last = _row_2d(address, nx, ny, c[0], c[1], step[0], step[1], background, row)
                if keep_valid:
                    flags = flag_rows[b, s, i]
                    flags[:first] = 0
                    flags[first:last] = 1
                    flags[last:] = 0
                if keep_u8:
                    _to_uint8(row, byte_rows[b, s, i])
                if add:
                    _add_row(fixed_rows[b, s, i], row, mask_rows[b, s, i], first, last, lane_sums[b])
    scratch[:] = 0.0  # mentioned last, so that it lives until here
