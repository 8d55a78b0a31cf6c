"""Kernels of the random scanner: painting, smoothing, rendering."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, fastmath=True)
def paint(labels, texture, table, gain, bias, noise, noise_at, noise_gain, streak, streak_gain, out):  # type: ignore[no-untyped-def]
    """Intensities from labels: table, texture, quadratic bias, noise, streaks in planes of constant z."""
    n0, n1, n2 = labels.shape
    at = noise_at
    size = noise.size
    for z in range(n0):
        cz = 2.0 * z / n0 - 1.0
        for y in range(n1):
            cy = 2.0 * y / n1 - 1.0
            if at + n2 >= size:
                at = 0
            b0 = 1.0 + bias[1] * cy + bias[2] * cz + bias[3] * cy * cz + bias[5] * cy * cy + bias[6] * cz * cz
            b1 = bias[0] + bias[7] * cy + bias[8] * cz
            for x in range(n2):
                cx = 2.0 * x / n2 - 1.0
                label = labels[z, y, x]
                value = (table[label] + gain[label] * texture[z, y, x]) * (b0 + cx * (b1 + bias[4] * cx))
                out[z, y, x] = value + noise_gain * noise[at + x] + streak_gain * streak[y, x]
            at += n2


@numba.njit(cache=True, nogil=True, fastmath=True)
def smooth(source, axis, kernel, stride, out):  # type: ignore[no-untyped-def]
    """Convolution along ``axis`` with edge values held, keeping every ``stride``-th sample."""
    n0, n1, n2 = out.shape
    m = source.shape[axis]
    taps = kernel.size
    half = taps // 2
    for z in range(n0):
        for y in range(n1):
            if axis == 2:
                for x in range(n2):
                    total = np.float32(0)
                    for k in range(taps):
                        i = min(max(x * stride + k - half, 0), m - 1)
                        total += kernel[k] * source[z, y, i]
                    out[z, y, x] = total
            else:
                for x in range(n2):
                    out[z, y, x] = 0
                for k in range(taps):
                    w = kernel[k]
                    if axis == 0:
                        i = min(max(z * stride + k - half, 0), m - 1)
                        for x in range(n2):
                            out[z, y, x] += w * source[i, y, x]
                    else:
                        i = min(max(y * stride + k - half, 0), m - 1)
                        for x in range(n2):
                            out[z, y, x] += w * source[z, i, x]


@numba.njit(cache=True, nogil=True, fastmath=True)
def render(volume, matrix, scale, shift, low, high, cylinder, waves, background, out):  # type: ignore[no-untyped-def]
    """View of ``volume``: ``matrix`` (3, 4) takes view index to anatomy index, then the acquisition's own grid.

    ``waves`` (W, 8): wave vector, phase, displacement (anatomy voxels), unused: a smooth distortion of the anatomy.
    """
    s0, s1, s2 = out.shape
    n0, n1, n2 = volume.shape
    axis = int(cylinder[0])
    radius2 = cylinder[3] * cylinder[3]
    for i in range(s0):
        for j in range(s1):
            ax = matrix[0, 1] * j + matrix[0, 2] * i + matrix[0, 3]
            ay = matrix[1, 1] * j + matrix[1, 2] * i + matrix[1, 3]
            az = matrix[2, 1] * j + matrix[2, 2] * i + matrix[2, 3]
            for k in range(s2):
                x = ax + matrix[0, 0] * k
                y = ay + matrix[1, 0] * k
                z = az + matrix[2, 0] * k
                for w in range(waves.shape[0]):
                    s = np.sin(waves[w, 0] * x + waves[w, 1] * y + waves[w, 2] * z + waves[w, 3])
                    x += waves[w, 4] * s
                    y += waves[w, 5] * s
                    z += waves[w, 6] * s
                inside = low[0] <= x < high[0] and low[1] <= y < high[1] and low[2] <= z < high[2]
                if inside and radius2 > 0:
                    if axis == 0:
                        u, v = y - cylinder[1], z - cylinder[2]
                    elif axis == 1:
                        u, v = x - cylinder[1], z - cylinder[2]
                    else:
                        u, v = x - cylinder[1], y - cylinder[2]
                    inside = u * u + v * v < radius2
                if not inside:
                    out[i, j, k] = np.uint8(255 * background + 0.5)
                    continue
                fx = min(max(x * scale[0] + shift[0], 0.0), n2 - 1.0)
                fy = min(max(y * scale[1] + shift[1], 0.0), n1 - 1.0)
                fz = min(max(z * scale[2] + shift[2], 0.0), n0 - 1.0)
                x0 = min(int(fx), n2 - 2)
                y0 = min(int(fy), n1 - 2)
                z0 = min(int(fz), n0 - 2)
                tx, ty, tz = fx - x0, fy - y0, fz - z0
                c00 = volume[z0, y0, x0] * (1 - tx) + volume[z0, y0, x0 + 1] * tx
                c01 = volume[z0, y0 + 1, x0] * (1 - tx) + volume[z0, y0 + 1, x0 + 1] * tx
                c10 = volume[z0 + 1, y0, x0] * (1 - tx) + volume[z0 + 1, y0, x0 + 1] * tx
                c11 = volume[z0 + 1, y0 + 1, x0] * (1 - tx) + volume[z0 + 1, y0 + 1, x0 + 1] * tx
                value = (c00 * (1 - ty) + c01 * ty) * (1 - tz) + (c10 * (1 - ty) + c11 * ty) * tz
                out[i, j, k] = np.uint8(255 * value + 0.5)
