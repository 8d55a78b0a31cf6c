"""Compiled ray casting through volumes given by address: line integrals and first crossings.

Rays run from a source to the pixels of a plane, all in continuous index coordinates ``(x, y, z)``. A ray is sampled
where it crosses the voxel planes of the axis that it is most aligned with (in voxels), bilinearly in the plane (Joseph,
IEEE Trans. Med. Imaging 1 (1982) 192-196). A plane stands for the slab of half a voxel on either side; the first and
the last slab count with the share of it that the ray runs through inside the box, so that a homogeneous box has
its exact length and nothing jumps as a pose changes. Edge values are held in the outer half voxel.

The samples of a ray lie on a line, so their in-plane coordinates are 64-bit fixed point with 32 fractional bits, as in
``_resample_kernels``: a step is an addition, the split into voxel and weight two instructions, and where both ends of
a stretch lie inside, all of it does.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from regenv.core._intrinsics import load
from regenv.core._resample_kernels import _add_flagged_row
from regenv.core._types import FLAGS, IMAGES, LANES, given, written

_SCALE = float(1 << 32)
_ONE = 1 << 32
_WEIGHT_SCALE = np.float32(2.0**-24)
_TINY = 1e-12
FAR = 1e9
"""Ray parameter, in distances from source to pixel, that stands for no end."""


@numba.njit(cache=True, nogil=True)
def _weight(coordinate):  # type: ignore[no-untyped-def]
    return np.float32((coordinate >> 8) & 0xFFFFFF) * _WEIGHT_SCALE


@numba.njit(cache=True, nogil=True)
def _fixed_point(value):  # type: ignore[no-untyped-def]
    return np.int64(np.rint(value * _SCALE))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _clip(first, last, start, direction, size):  # type: ignore[no-untyped-def]
    """The part of the parameters [first, last] at which start + t direction is in [-0.5, size - 0.5]."""
    if abs(direction) < _TINY:
        if start < -0.5 or start > size - 0.5:
            return 1.0, 0.0
        return first, last
    inverse = 1.0 / direction
    a, b = (-0.5 - start) * inverse, (size - 0.5 - start) * inverse
    return max(first, min(a, b)), min(last, max(a, b))


@numba.njit(cache=True, nogil=True)
def _pixel_sample(address, q, nq, dq, r, nr, dr):  # type: ignore[no-untyped-def]
    """Bilinear value in a plane, edge values held; coordinates in voxels, strides in bytes."""
    q = min(max(q, 0.0), nq - 1.0)
    r = min(max(r, 0.0), nr - 1.0)
    iq, ir = np.int64(q), np.int64(r)
    wq, wr = np.float32(q - iq), np.float32(r - ir)
    q0, q1 = dq * iq, dq * min(iq + 1, nq - 1)
    r0, r1 = dr * ir, dr * min(ir + 1, nr - 1)
    near = load(address + q0 + r0)
    near += wq * (load(address + q1 + r0) - near)
    far = load(address + q0 + r1)
    far += wq * (load(address + q1 + r1) - far)
    return near + wr * (far - near)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _inner(begin, end, base, slope, size):  # type: ignore[no-untyped-def]
    """The part of the planes [begin, end) at which base + n slope is in [0, size - 1)."""
    if end <= begin:
        return begin, begin
    if abs(slope) < _TINY:
        if base < 0.0 or base >= size - 1.0:
            return begin, begin
        return begin, end
    a, b = -base / slope, (size - 1.0 - base) / slope
    low, high = min(a, b), max(a, b)
    begin = max(begin, np.int64(np.ceil(max(min(low, 1e9), -1e9))))
    return begin, max(begin, min(end, np.int64(np.floor(max(min(high, 1e9), -1e9))) + 1))


@numba.njit(cache=True, nogil=True)
def _all_inside(begin, end, base, slope, size):  # type: ignore[no-untyped-def]
    """The planes [begin, end) less those at the ends that rounding has put outside, and the fixed-point line."""
    step = _fixed_point(slope)
    while begin < end:
        start = _fixed_point(base + begin * slope)
        last = start + (end - 1 - begin) * step
        limit = (size - 1) * _ONE
        if start < 0 or start >= limit:
            begin += 1
        elif last < 0 or last >= limit:
            end -= 1
        else:
            break
    return begin, end


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz", "contract"})
def _sum_planes(plane, deep, count, q, q_step, q_stride, r, r_step, r_stride):  # type: ignore[no-untyped-def]
    """Sum of the bilinear samples on ``count`` planes, all of them inside."""
    total = np.float32(0.0)
    for _ in range(count):
        corner = plane + q_stride * (q >> 32) + r_stride * (r >> 32)
        wq = _weight(q)
        near = load(corner)
        near += wq * (load(corner + q_stride) - near)
        far = load(corner + r_stride)
        far += wq * (load(corner + q_stride + r_stride) - far)
        total += near + _weight(r) * (far - near)
        q += q_step
        r += r_step
        plane += deep
    return total


@numba.njit(cache=True, nogil=True)
def _axes(nx, ny, nz, sx, sy, sz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """Start, direction, size and stride in bytes: of the axis k that the ray is most aligned with, then of q and r."""
    x, y, z = (sx, dx, nx, np.int64(4)), (sy, dy, ny, 4 * nx), (sz, dz, nz, 4 * nx * ny)
    ax, ay, az = abs(dx), abs(dy), abs(dz)
    if az >= ax and az >= ay:
        return z, x, y
    if ay >= ax:
        return y, x, z
    return x, y, z


@numba.njit(cache=True, nogil=True)
def _box(first, last, nx, ny, nz, sx, sy, sz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """The part of the parameters [first, last] at which the ray is in the volume, outer half voxels included."""
    first, last = _clip(first, last, sx, dx, nx)
    first, last = _clip(first, last, sy, dy, ny)
    return _clip(first, last, sz, dz, nz)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _integral(address, nx, ny, nz, sx, sy, sz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """Integral over the ray's parameter, from the source s (0) to the pixel s + d (1), and whether it meets the box."""
    first, last = _box(0.0, 1.0, nx, ny, nz, sx, sy, sz, dx, dy, dz)
    if not last > first:
        return np.float64(0.0), np.uint8(0)
    (k0, dk, nk, deep), (q0, dq, nq, q_stride), (r0, dr, nr, r_stride) = _axes(nx, ny, nz, sx, sy, sz, dx, dy, dz)
    inverse = 1.0 / dk
    q_slope, r_slope = dq * inverse, dr * inverse
    q_base, r_base = q0 - k0 * q_slope, r0 - k0 * r_slope
    a, b = k0 + first * dk, k0 + last * dk
    low, high = min(a, b), max(a, b)
    n_first = min(max(np.int64(np.floor(low + 0.5)), 0), nk - 1)
    n_last = min(max(np.int64(np.ceil(high - 0.5)), n_first), nk - 1)
    begin, end = _inner(n_first + 1, n_last, q_base, q_slope, nq)
    begin, end = _inner(begin, end, r_base, r_slope, nr)
    begin, end = _all_inside(begin, end, q_base, q_slope, nq)
    begin, end = _all_inside(begin, end, r_base, r_slope, nr)
    total = np.float64(0.0)
    if end > begin:
        total += _sum_planes(
            address + deep * begin,
            deep,
            end - begin,
            _fixed_point(q_base + begin * q_slope),
            _fixed_point(q_slope),
            q_stride,
            _fixed_point(r_base + begin * r_slope),
            _fixed_point(r_slope),
            r_stride,
        )
    else:
        begin, end = n_first, n_first
    n = n_first
    while n <= n_last:
        if n == begin:
            n = end  # summed already
            if n > n_last:
                break
        share = min(n + 0.5, high) - max(n - 0.5, low)
        q, r = q_base + n * q_slope, r_base + n * r_slope
        total += share * _pixel_sample(address + deep * n, q, nq, q_stride, r, nr, r_stride)
        n += 1
    return total * abs(inverse), np.uint8(1)


_RAYS = (
    *LANES,
    given(types.int64, 1),
    given(types.int64, 2),
    given(types.float64, 2),
    given(types.float64, 3),
    given(types.float64, 4),
)


@numba.njit([types.void(*_RAYS, written(types.float32, 4), written(types.uint8, 4))], cache=True, nogil=True)
def project_lanes(start, stop, addresses, shapes, spacings, sources, planes, out, valid):  # type: ignore[no-untyped-def]
    """Line integrals of the lanes [start, stop); see ``projection.project``."""
    _, n_views, height, width = out.shape
    for b in range(start, stop):
        address, nz, ny, nx = addresses[b], shapes[b, 0], shapes[b, 1], shapes[b, 2]
        hx, hy, hz = spacings[b, 0], spacings[b, 1], spacings[b, 2]
        for v in range(n_views):
            sx, sy, sz = sources[b, v, 0], sources[b, v, 1], sources[b, v, 2]
            p = planes[b, v]
            for i in range(height):
                rx, ry, rz = p[0, 0] + i * p[1, 0] - sx, p[0, 1] + i * p[1, 1] - sy, p[0, 2] + i * p[1, 2] - sz
                for j in range(width):
                    dx, dy, dz = rx + j * p[2, 0], ry + j * p[2, 1], rz + j * p[2, 2]
                    value, hit = _integral(address, nx, ny, nz, sx, sy, sz, dx, dy, dz)
                    mx, my, mz = hx * dx, hy * dy, hz * dz
                    out[b, v, i, j] = value * np.sqrt(mx * mx + my * my + mz * mz)
                    valid[b, v, i, j] = hit


@numba.njit(cache=True, nogil=True)
def _sample(address, nx, ny, nz, x, y, z):  # type: ignore[no-untyped-def]
    """Trilinear value anywhere in the box, edge values held."""
    z = min(max(z, 0.0), nz - 1.0)
    iz = np.int64(z)
    sheet = 4 * nx * ny
    near = _pixel_sample(address + sheet * iz, x, nx, 4, y, ny, 4 * nx)
    far = _pixel_sample(address + sheet * min(iz + 1, nz - 1), x, nx, 4, y, ny, 4 * nx)
    return near + np.float32(z - iz) * (far - near)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _crossing(address, nx, ny, nz, sx, sy, sz, dx, dy, dz, threshold):  # type: ignore[no-untyped-def]
    """Parameter of the first point of the ray from s along d, without end, at or above the threshold; -1: none."""
    first, last = _box(0.0, FAR, nx, ny, nz, sx, sy, sz, dx, dy, dz)
    if not last > first:
        return -1.0
    before = _sample(address, nx, ny, nz, sx + first * dx, sy + first * dy, sz + first * dz)
    if before >= threshold:
        return first
    (k0, dk, nk, deep), (q0, dq, nq, q_stride), (r0, dr, nr, r_stride) = _axes(nx, ny, nz, sx, sy, sz, dx, dy, dz)
    inverse = 1.0 / dk
    q_slope, r_slope = dq * inverse, dr * inverse
    q_base, r_base = q0 - k0 * q_slope, r0 - k0 * r_slope
    way = 1 if dk > 0 else -1
    low, high = k0 + first * dk, k0 + last * dk
    n = min(max(np.int64(np.ceil(low) if way > 0 else np.floor(low)), 0), nk - 1)
    n_last = min(max(np.int64(np.floor(high) if way > 0 else np.ceil(high)), 0), nk - 1)
    at = first
    while (n_last - n) * way >= 0:
        q, r = q_base + n * q_slope, r_base + n * r_slope
        value = _pixel_sample(address + deep * n, q, nq, q_stride, r, nr, r_stride)
        t = (n - k0) * inverse
        if value >= threshold:
            return at + (t - at) * np.float64((threshold - before) / (value - before))
        before, at = value, t
        n += way
    value = _sample(address, nx, ny, nz, sx + last * dx, sy + last * dy, sz + last * dz)
    if value >= threshold:
        return at + (last - at) * np.float64((threshold - before) / (value - before))
    return -1.0


@numba.njit(
    [types.void(*_RAYS, given(types.float32, 1), written(types.float32, 4), written(types.uint8, 4))],
    cache=True,
    nogil=True,
)
def depth_lanes(  # type: ignore[no-untyped-def]
    start, stop, addresses, shapes, spacings, sources, planes, thresholds, out, valid
):
    """Distances to the first crossings in the lanes [start, stop); see ``projection.depth``."""
    _, n_views, height, width = out.shape
    for b in range(start, stop):
        address, nz, ny, nx = addresses[b], shapes[b, 0], shapes[b, 1], shapes[b, 2]
        hx, hy, hz = spacings[b, 0], spacings[b, 1], spacings[b, 2]
        for v in range(n_views):
            sx, sy, sz = sources[b, v, 0], sources[b, v, 1], sources[b, v, 2]
            p = planes[b, v]
            for i in range(height):
                rx, ry, rz = p[0, 0] + i * p[1, 0] - sx, p[0, 1] + i * p[1, 1] - sy, p[0, 2] + i * p[1, 2] - sz
                for j in range(width):
                    dx, dy, dz = rx + j * p[2, 0], ry + j * p[2, 1], rz + j * p[2, 2]
                    t = _crossing(address, nx, ny, nz, sx, sy, sz, dx, dy, dz, thresholds[b])
                    mx, my, mz = hx * dx, hy * dy, hz * dz
                    out[b, v, i, j] = t * np.sqrt(mx * mx + my * my + mz * mz) if t >= 0.0 else 0.0
                    valid[b, v, i, j] = 1 if t >= 0.0 else 0


@numba.njit(
    [
        types.void(
            *LANES,
            given(types.int64, 2),
            given(types.float64, 3),
            given(types.float64, 4),
            types.int64,
            types.int64,
            types.float64,
            written(types.uint8, 2),
        )
    ],
    cache=True,
    nogil=True,
)
def sees_lanes(start, stop, shapes, sources, planes, height, width, furthest, out):  # type: ignore[no-untyped-def]
    """Whether source and view fit the volume, per lane and view; see ``projection.sees``."""
    for b in range(start, stop):
        nz, ny, nx = shapes[b, 0], shapes[b, 1], shapes[b, 2]
        for v in range(planes.shape[1]):
            sx, sy, sz = sources[b, v, 0], sources[b, v, 1], sources[b, v, 2]
            p = planes[b, v]
            out[b, v] = 0  # sees nothing; 1: sees the volume; 2: its source is inside
            ex, ey, ez = sx - 0.5 * (nx - 1), sy - 0.5 * (ny - 1), sz - 0.5 * (nz - 1)
            if abs(ex) <= 0.5 * nx and abs(ey) <= 0.5 * ny and abs(ez) <= 0.5 * nz:
                out[b, v] = 2
                continue
            # from the middle of the view on, where the volume most likely is
            for n in range(height * width):
                m = (n + (height // 2) * width + width // 2) % (height * width)
                i, j = m // width, m % width
                dx = p[0, 0] + i * p[1, 0] + j * p[2, 0] - sx
                dy = p[0, 1] + i * p[1, 1] + j * p[2, 1] - sy
                dz = p[0, 2] + i * p[1, 2] + j * p[2, 2] - sz
                first, last = _box(0.0, furthest, nx, ny, nz, sx, sy, sz, dx, dy, dz)
                if last > first:
                    out[b, v] = 1
                    break


@numba.njit(
    [
        types.void(
            *LANES,
            IMAGES,
            FLAGS,
            given(types.float32, 1),
            given(types.float32, 1),
            given(types.float32, 1),
            IMAGES,
            FLAGS,
            written(types.float32, 4),
            written(types.uint8, 4),
            written(types.float64, 2),
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def window_lanes(  # type: ignore[no-untyped-def]
    start, stop, raw, valid, low, high, outside, fixed, mask, moved, moved_u8, sums
):
    """Window, bytes and sums of the lanes [start, stop); see ``projection.windowed_sums``."""
    _, n_views, height, width = raw.shape
    zero, one = np.float32(0.0), np.float32(1.0)
    keep_u8, add = moved_u8.shape[0] > 0, sums.shape[0] > 0
    for b in range(start, stop):
        scale, offset, background = one / (high[b] - low[b]), low[b], outside[b]
        if add:
            sums[b, :] = 0.0
        for v in range(n_views):
            for i in range(height):
                source, flags, row = raw[b, v, i], valid[b, v, i], moved[b, v, i]
                for j in range(width):
                    value = min(max((source[j] - offset) * scale, zero), one)
                    row[j] = value if flags[j] != 0 else background
                if keep_u8:
                    bytes_row = moved_u8[b, v, i]
                    for j in range(width):
                        level = min(max(row[j], zero), one) * np.float32(255.0) + np.float32(0.5)
                        bytes_row[j] = np.uint8(np.int32(level))
                if add:
                    _add_flagged_row(fixed[b, v, i], row, mask[b, v, i], flags, sums[b])
