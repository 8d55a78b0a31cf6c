"""Compiled loops of the folding of the cortex: serial, without the global interpreter lock, cached on disk."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, inline="always")
def _weights(t, w, g):
    """Cubic B-spline weights and their derivatives."""
    s = 1 - t
    w[0], w[3] = s * s * s / 6, t * t * t / 6
    w[1], w[2] = (3 * t * t * t - 6 * t * t + 4) / 6, (3 * s * s * s - 6 * s * s + 4) / 6
    g[0], g[3] = -s * s / 2, t * t / 2
    g[1], g[2] = (3 * t * t - 4 * t) / 2, -(3 * s * s - 4 * s) / 2


@njit(cache=True, nogil=True, fastmath={"contract", "nsz"})
def _field(lattice, px, py, pz, weights, slopes, out):
    """Value and gradient (per knot) of the periodic field at a position in knots."""
    bx, by, bz = int(np.floor(px)), int(np.floor(py)), int(np.floor(pz))
    _weights(np.float32(px - bx), weights[0], slopes[0])
    _weights(np.float32(py - by), weights[1], slopes[1])
    _weights(np.float32(pz - bz), weights[2], slopes[2])
    value, gx, gy, gz = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for k in range(4):
        row = np.float32(0)
        row_x = np.float32(0)
        row_y = np.float32(0)
        for j in range(4):
            line = lattice[(bz + k) & 63, (by + j) & 63]
            s, sx = np.float32(0), np.float32(0)
            for i in range(4):
                c = line[(bx + i) & 63]
                s += weights[0, i] * c
                sx += slopes[0, i] * c
            row += weights[1, j] * s
            row_x += weights[1, j] * sx
            row_y += slopes[1, j] * s
        value += weights[2, k] * row
        gx += weights[2, k] * row_x
        gy += weights[2, k] * row_y
        gz += slopes[2, k] * row
    out[0], out[1], out[2], out[3] = value, gx, gy, gz


@njit(cache=True, nogil=True)
def furrows(x, y, z, depth, lattice, shift, own, width, spacing, knot, surface, layer):
    """Fills both distances of :func:`folds.furrows`."""
    weights, slopes = np.empty((3, 4), np.float32), np.empty((3, 4), np.float32)
    main, other, slow = np.empty(4, np.float32), np.empty(4, np.float32), np.empty(4, np.float32)
    nz, ny, nx = x.shape
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                d = depth[k, j, i]
                surface[k, j, i] = d
                layer[k, j, i] = d
                if d < -spacing or d > 34.0:
                    continue
                px, py, pz = x[k, j, i], y[k, j, i], z[k, j, i]
                side = 1.0 if px >= 0 else -1.0
                vx, vy, vz = px - side * 20.0, py - min(max(py, -30.0), 58.0), pz - 8.0
                radius = max(np.sqrt(vx * vx + vy * vy + vz * vz), 12.0)
                stretch = (45.0 / radius) ** 0.7
                # the other hemisphere has furrows of its own
                qx = (side * 20.0 + vx * stretch) / knot + 17.0 * (side + 2.0)
                qy = (py - vy + vy * stretch) / knot + 30.0
                qz = (8.0 + vz * stretch) / knot + 30.0
                _field(lattice, qx, qy, qz, weights, slopes, main)
                if own > 0:
                    _field(lattice, qx + shift[0], qy + shift[1], qz + shift[2], weights, slopes, other)
                    for c in range(4):
                        main[c] += own * other[c]
                # the stretch scales across the axis fully and along the radius by three tenths
                gradient = np.sqrt(main[1] ** 2 + main[2] ** 2 + main[3] ** 2) * stretch / knot
                away = abs(main[0]) / max(gradient, 0.04)
                _field(lattice, 0.6 * qx + 9.0, 0.6 * qy, 0.6 * qz + 40.0, weights, slopes, slow)
                reach = min(max(16.0 + 4.0 * slow[0], 9.0), 24.0)
                # wider where it opens to the surface
                half = width + 0.7 * np.exp(-max(d, 0.0) / 3.0)
                across, below = away - half, d - reach
                gap = min(half, away + 0.5 * spacing) - max(-half, away - 0.5 * spacing)
                gap = min(max(gap, 0.0), spacing) * min(max(0.5 - below / spacing, 0.0), 1.0)
                surface[k, j, i] = min(d, 0.5 * spacing - gap) if gap > 0 else d
                if across < 0 and below < 0:
                    layer[k, j, i] = min(d, max(across, below))
                else:
                    layer[k, j, i] = min(d, np.sqrt(max(across, 0.0) ** 2 + max(below, 0.0) ** 2))
