"""Compiled loops of local swellings: serial, without the global interpreter lock, cached on disk.

Bumps are rows: :attr:`swelling.Bump.row`.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, inline="always")
def _reach(r2, compact):
    """Strength of a bump at a squared distance in radii."""
    if compact > 0.5:
        return (1.0 - r2) ** 3 if r2 < 1.0 else 0.0
    return np.exp(-0.5 * r2)


@njit(cache=True, nogil=True)
def at_points(points, rows, out):
    """Adds the displacement of bumps at points ``(N, 3)`` to ``out``."""
    for n in range(len(points)):
        for b in range(len(rows)):
            x, y, z = points[n, 0] - rows[b, 0], points[n, 1] - rows[b, 1], points[n, 2] - rows[b, 2]
            g = _reach((x * rows[b, 3]) ** 2 + (y * rows[b, 4]) ** 2 + (z * rows[b, 5]) ** 2, rows[b, 12])
            out[n, 0] += g * (rows[b, 6] * x + rows[b, 9])
            out[n, 1] += g * (rows[b, 7] * y + rows[b, 10])
            out[n, 2] += g * (rows[b, 8] * z + rows[b, 11])


@njit(cache=True, nogil=True)
def on_grid(rows, origin, spacing, factor, fx, fy, fz):
    """Adds bumps, times ``factor`` per component, to fields on an axis-aligned grid."""
    nz, ny, nx = fx.shape
    for b in range(len(rows)):
        for k in range(nz):
            z = origin[2] + spacing[2] * k - rows[b, 2]
            z2 = (z * rows[b, 5]) ** 2
            if z2 > 18.0:
                continue
            for j in range(ny):
                y = origin[1] + spacing[1] * j - rows[b, 1]
                y2 = z2 + (y * rows[b, 4]) ** 2
                if y2 > 18.0:
                    continue
                for i in range(nx):
                    x = origin[0] + spacing[0] * i - rows[b, 0]
                    g = _reach(y2 + (x * rows[b, 3]) ** 2, rows[b, 12])
                    fx[k, j, i] += g * (rows[b, 6] * x + rows[b, 9]) * factor[0]
                    fy[k, j, i] += g * (rows[b, 7] * y + rows[b, 10]) * factor[1]
                    fz[k, j, i] += g * (rows[b, 8] * z + rows[b, 11]) * factor[2]
