"""Compiled loops of variations: serial, without the global interpreter lock, cached on disk."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _row(nodes, step, z, y, line):
    """Displacements ``(nodes along x, 3)`` of a row, between the nodes linear along z and y."""
    k, j = z // step[2], y // step[1]
    tz, ty = np.float32(z - k * step[2]) / np.float32(step[2]), np.float32(y - j * step[1]) / np.float32(step[1])
    one = np.float32(1.0)
    for i in range(nodes.shape[2]):
        for c in range(3):
            near = nodes[k, j, i, c] * (one - ty) + nodes[k, j + 1, i, c] * ty
            far = nodes[k + 1, j, i, c] * (one - ty) + nodes[k + 1, j + 1, i, c] * ty
            line[i, c] = near * (one - tz) + far * tz


@njit(cache=True, nogil=True, fastmath=True)
def warp(image, nodes, step, first, tone, pool, shift, out):
    """Samples an image at displaced voxels, linearly, the border held, and changes its contrast.

    Args:
        image: ``[z, y, x]`` float32.
        nodes: ``(Z, Y, X, 3)`` float32 displacements in voxels (x, y, z) of every ``step``-th voxel, one node more than
            covers the image.
        step: ``(3,)`` voxels between nodes, (x, y, z).
        first: ``(3,)`` voxel (x, y, z) of the image at which ``out`` begins.
        tone: ``(6,)`` float32: background, gain about it, bottom and width of the tone curve, its bend, noise.
        pool: Standard normal numbers, a power of two of them.
        shift: First of the pool that is used.
        out: ``[z, y, x]`` float32, filled.
    """
    nz, ny, nx = image.shape
    line = np.empty((nodes.shape[2], 3), np.float32)
    background, gain, bottom, width, bend, noise = tone
    zero, one = np.float32(0.0), np.float32(1.0)
    mask = len(pool) - 1
    n = shift
    for oz in range(out.shape[0]):
        z = oz + first[2]
        for oy in range(out.shape[1]):
            y = oy + first[1]
            _row(nodes, step, z, y, line)
            for ox in range(out.shape[2]):
                x = ox + first[0]
                i = x // step[0]
                t = np.float32(x - i * step[0]) / np.float32(step[0])
                sx = np.float32(x) + line[i, 0] + t * (line[i + 1, 0] - line[i, 0])
                sy = np.float32(y) + line[i, 1] + t * (line[i + 1, 1] - line[i, 1])
                sz = np.float32(z) + line[i, 2] + t * (line[i + 1, 2] - line[i, 2])
                sx = min(max(sx, zero), np.float32(nx - 1))
                sy = min(max(sy, zero), np.float32(ny - 1))
                sz = min(max(sz, zero), np.float32(nz - 1))
                x0, y0, z0 = int(sx), int(sy), int(sz)
                x1, y1, z1 = min(x0 + 1, nx - 1), min(y0 + 1, ny - 1), min(z0 + 1, nz - 1)
                wx, wy, wz = sx - np.float32(x0), sy - np.float32(y0), sz - np.float32(z0)
                a = image[z0, y0, x0] + wx * (image[z0, y0, x1] - image[z0, y0, x0])
                b = image[z0, y1, x0] + wx * (image[z0, y1, x1] - image[z0, y1, x0])
                c = image[z1, y0, x0] + wx * (image[z1, y0, x1] - image[z1, y0, x0])
                d = image[z1, y1, x0] + wx * (image[z1, y1, x1] - image[z1, y1, x0])
                a += wy * (b - a)
                c += wy * (d - c)
                value = a + wz * (c - a)
                n += 1
                if value != background:
                    value = background + gain * (value - background)
                    share = (value - bottom) / width
                    if zero < share < one:
                        value += width * bend * share * (one - share)
                    value = max(value + noise * pool[n & mask], bottom)
                out[oz, oy, ox] = value


@njit(cache=True, nogil=True, fastmath=True)
def warp_labels(labels, nodes, step, first, out):
    """As :func:`warp`, of the nearest label: of label maps and masks."""
    nz, ny, nx = labels.shape
    line = np.empty((nodes.shape[2], 3), np.float32)
    zero, half = np.float32(0.0), np.float32(0.5)
    for oz in range(out.shape[0]):
        z = oz + first[2]
        for oy in range(out.shape[1]):
            y = oy + first[1]
            _row(nodes, step, z, y, line)
            for ox in range(out.shape[2]):
                x = ox + first[0]
                i = x // step[0]
                t = np.float32(x - i * step[0]) / np.float32(step[0])
                sx = np.float32(x) + line[i, 0] + t * (line[i + 1, 0] - line[i, 0]) + half
                sy = np.float32(y) + line[i, 1] + t * (line[i + 1, 1] - line[i, 1]) + half
                sz = np.float32(z) + line[i, 2] + t * (line[i + 1, 2] - line[i, 2]) + half
                # from 0 on, int() rounds down
                sx = min(max(sx, zero), np.float32(nx - 1))
                sy = min(max(sy, zero), np.float32(ny - 1))
                sz = min(max(sz, zero), np.float32(nz - 1))
                out[oz, oy, ox] = labels[int(sz), int(sy), int(sx)]
