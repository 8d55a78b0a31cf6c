"""Compiled loops of the resampling by a scanner: serial, without the global interpreter lock, cached on disk."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def convolve(rows, weights, out):
    """Convolves the middle axis of ``rows (A, N, B)`` with symmetric ``weights`` of odd length, the ends held."""
    outer, n, inner = rows.shape
    reach = len(weights) // 2
    for a in range(outer):
        for i in range(n):
            for b in range(inner):
                out[a, i, b] = weights[reach] * rows[a, i, b]
            for k in range(1, reach + 1):
                low, high, w = max(i - k, 0), min(i + k, n - 1), weights[reach + k]
                for b in range(inner):
                    out[a, i, b] += w * (rows[a, low, b] + rows[a, high, b])


@njit(cache=True, nogil=True)
def sample(volume, index, steps, background, out):
    """Means of trilinear samples, by ITK's rule of what is inside.

    Args:
        volume: ``[z, y, x]`` float32.
        index: ``(N, 3)`` continuous indices x, y, z.
        steps: ``(S, 3)`` added to each index: the planes of a slice.
        background: Value outside the volume.
        out: ``(N,)``, filled.
    """
    nz, ny, nx = volume.shape
    for n in range(len(index)):
        total = np.float32(0.0)
        for s in range(len(steps)):
            x, y, z = index[n, 0] + steps[s, 0], index[n, 1] + steps[s, 1], index[n, 2] + steps[s, 2]
            if not (-0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5 and -0.5 <= z < nz - 0.5):
                total += background
                continue
            x, y, z = min(max(x, 0.0), nx - 1.0), min(max(y, 0.0), ny - 1.0), min(max(z, 0.0), nz - 1.0)
            i, j, k = min(int(x), max(nx - 2, 0)), min(int(y), max(ny - 2, 0)), min(int(z), max(nz - 2, 0))
            u, v, w = np.float32(x - i), np.float32(y - j), np.float32(z - k)
            i1, j1, k1 = min(i + 1, nx - 1), min(j + 1, ny - 1), min(k + 1, nz - 1)
            a = volume[k, j, i] + u * (volume[k, j, i1] - volume[k, j, i])
            b = volume[k, j1, i] + u * (volume[k, j1, i1] - volume[k, j1, i])
            c = volume[k1, j, i] + u * (volume[k1, j, i1] - volume[k1, j, i])
            d = volume[k1, j1, i] + u * (volume[k1, j1, i1] - volume[k1, j1, i])
            near, far = a + v * (b - a), c + v * (d - c)
            total += near + w * (far - near)
        out[n] = total / np.float32(len(steps))
