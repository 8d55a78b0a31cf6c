"""Kernels of :mod:`regenv.core.gauss_newton`: one pass over the view for each quantity of a Gauss-Newton step."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, fastmath=True)
def gradients(image, spacing, out):  # type: ignore[no-untyped-def]
    """Central differences (per mm) of ``image (D, H, W)``, ``out (D, H, W, 3)`` along x, y, z; 0 on the border."""
    d, h, w = image.shape
    half = np.float32(0.5 / spacing)
    for z in range(1, d - 1):
        for y in range(1, h - 1):
            for x in range(1, w - 1):
                out[z, y, x, 0] = (image[z, y, x + 1] - image[z, y, x - 1]) * half
                out[z, y, x, 1] = (image[z, y + 1, x] - image[z, y - 1, x]) * half
                out[z, y, x, 2] = (image[z + 1, y, x] - image[z - 1, y, x]) * half


@numba.njit(cache=True, nogil=True, fastmath=True)
def normal_matrices(fixed, gradient, mask, spacing, bins, out):  # type: ignore[no-untyped-def]
    """Per intensity bin of ``fixed`` the sum of J J^T over the mask; ``out (bins, 6, 6)``, J per mm and per degree."""
    d, h, w = fixed.shape
    degree = np.float32(np.pi / 180)
    middle = np.float32((w - 1) / 2)
    j = np.empty(6, np.float32)
    for z in range(d):
        pz = np.float32((z - middle) * spacing)
        for y in range(h):
            py = np.float32((y - middle) * spacing)
            for x in range(w):
                if mask[z, y, x] == 0:
                    continue
                gx, gy, gz = gradient[z, y, x, 0], gradient[z, y, x, 1], gradient[z, y, x, 2]
                if gx == 0 and gy == 0 and gz == 0:
                    continue
                px = np.float32((x - middle) * spacing)
                j[0], j[1], j[2] = gx, gy, gz
                j[3] = (py * gz - pz * gy) * degree  # p x gradient: turning about an axis through the centre
                j[4] = (pz * gx - px * gz) * degree
                j[5] = (px * gy - py * gx) * degree
                b = min(int(fixed[z, y, x] * bins), bins - 1)
                for k in range(6):
                    for m in range(k + 1):
                        out[b, k, m] += j[k] * j[m]
    for b in range(bins):
        for k in range(6):
            for m in range(k):
                out[b, m, k] = out[b, k, m]


@numba.njit(cache=True, nogil=True, fastmath=True)
def conditional_sums(fixed, moved, mask, valid, bins, counts, sums, squares):  # type: ignore[no-untyped-def]
    """Per intensity bin of ``fixed``, over mask and valid: the count, and the sums of ``moved`` and of its square."""
    f, m, k, v = fixed.ravel(), moved.ravel(), mask.ravel(), valid.ravel()
    for i in range(f.size):
        if k[i] != 0 and v[i] != 0:
            b = min(int(f[i] * bins), bins - 1)
            counts[b] += 1
            sums[b] += m[i]
            squares[b] += m[i] * m[i]


@numba.njit(cache=True, nogil=True, fastmath=True)
def right_side(fixed, gradient, moved, mask, valid, spacing, bins, value, slope, scale, out):  # type: ignore[no-untyped-def]
    """Sum of J r over mask and valid, r the residual of ``moved`` against the mapped ``fixed``.

    Residuals well above ``scale`` count for nothing (Geman and McClure): a table, gas that moved, the edge of a
    field of view.
    """
    d, h, w = fixed.shape
    degree = np.pi / 180
    middle = np.float32((w - 1) / 2)
    inverse = np.float32(1.0 / (scale * scale))
    for z in range(d):
        pz = (z - middle) * spacing
        for y in range(h):
            py = (y - middle) * spacing
            a = b = c = e = g = np.float32(0)  # sums over the row, which shares y and z
            for x in range(w):
                if mask[z, y, x] == 0 or valid[z, y, x] == 0:
                    continue
                f = fixed[z, y, x] * bins
                k = min(int(f), bins - 1)
                r = moved[z, y, x] - value[k] - slope[k] * (f - np.float32(k) - np.float32(0.5)) / bins
                trust = np.float32(1.0) / (np.float32(1.0) + r * r * inverse)
                r *= slope[k] * trust * trust
                px = (np.float32(x) - middle) * spacing
                a += r * gradient[z, y, x, 0]
                b += r * gradient[z, y, x, 1]
                c += r * gradient[z, y, x, 2]
                e += px * r * gradient[z, y, x, 1]
                g += px * r * gradient[z, y, x, 2]
            out[0] += a
            out[1] += b
            out[2] += c
            out[3] += (py * c - pz * b) * degree
            out[4] += (pz * a - g) * degree
            out[5] += (e - py * a) * degree


@numba.njit(cache=True, nogil=True)
def drop_padding(image, mask, background):  # type: ignore[no-untyped-def]
    """Sets ``mask`` to 0 where ``image`` or a face neighbour is exactly the ``background``: outside a field of view."""
    d, h, w = image.shape
    for z in range(d):
        for y in range(h):
            for x in range(w):
                for k in range(7):
                    a = min(max(z + (k == 1) - (k == 2), 0), d - 1)
                    b = min(max(y + (k == 3) - (k == 4), 0), h - 1)
                    c = min(max(x + (k == 5) - (k == 6), 0), w - 1)
                    if image[a, b, c] == background:
                        mask[z, y, x] = 0
