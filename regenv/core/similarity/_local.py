"""Compiled moving windows, separable and zero beyond the array, for the metrics that compare neighbourhoods."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def smooth_axis(source, taps, axis, out):  # type: ignore[no-untyped-def]
    """Writes to ``out`` (S, H, W) the window sums of ``source`` with odd ``taps`` along one axis."""
    n_planes, height, width = source.shape
    radius = taps.shape[0] // 2
    for s in range(n_planes):
        for i in range(height):
            row = out[s, i]
            row[:] = 0.0
            for k in range(taps.shape[0]):
                shift, tap = k - radius, taps[k]
                if axis == 2:
                    for j in range(max(0, -shift), min(width, width - shift)):
                        row[j] += tap * source[s, i, j + shift]
                    continue
                plane = s + shift if axis == 0 else s
                line = i + shift if axis == 1 else i
                if 0 <= plane < n_planes and 0 <= line < height:
                    for j in range(width):
                        row[j] += tap * source[plane, line, j]


@numba.njit(cache=True, nogil=True)
def smooth(array, taps, volumetric, scratch):  # type: ignore[no-untyped-def]
    """Window sums along all axes (those of the plane where planes are images of their own), in place."""
    smooth_axis(array, taps, 2, scratch)
    smooth_axis(scratch, taps, 1, array)
    if volumetric:
        smooth_axis(array, taps, 0, scratch)
        array[:, :, :] = scratch


@numba.njit(cache=True, nogil=True)
def local_moments(fixed, moved, valid, taps, volumetric, moments, scratch):  # type: ignore[no-untyped-def]
    """Writes weight, means f, m and covariances ff, mm, fm of the windows to ``moments`` (6, S, H, W).

    Only valid pixels have weight; where a window has none, only the weight is written.
    """
    n_planes, height, width = fixed.shape
    for s in range(n_planes):
        for i in range(height):
            for j in range(width):
                w = 1.0 if valid[s, i, j] != 0 else 0.0
                f, m = w * fixed[s, i, j], w * moved[s, i, j]
                moments[0, s, i, j] = w
                moments[1, s, i, j] = f
                moments[2, s, i, j] = m
                moments[3, s, i, j] = f * f
                moments[4, s, i, j] = m * m
                moments[5, s, i, j] = f * m
    for k in range(6):
        smooth(moments[k], taps, volumetric, scratch)
    for s in range(n_planes):
        for i in range(height):
            for j in range(width):
                w = moments[0, s, i, j]
                if w <= 0.0:
                    continue
                f, m = moments[1, s, i, j] / w, moments[2, s, i, j] / w
                moments[1, s, i, j] = f
                moments[2, s, i, j] = m
                moments[3, s, i, j] = max(moments[3, s, i, j] / w - f * f, 0.0)
                moments[4, s, i, j] = max(moments[4, s, i, j] / w - m * m, 0.0)
                moments[5, s, i, j] = moments[5, s, i, j] / w - f * m


@numba.njit(cache=True, nogil=True)
def is_constant(image, mask, valid):  # type: ignore[no-untyped-def]
    """Whether an image (S, H, W) has one value over the pixels in mask and valid, or there are none."""
    values, masks, valids = image.reshape(-1), mask.reshape(-1), valid.reshape(-1)
    found = False
    first = np.float32(0.0)
    for i in range(values.shape[0]):
        if masks[i] != 0 and valids[i] != 0:
            if not found:
                found = True
                first = values[i]
            elif values[i] != first:
                return False
    return True


@numba.njit(cache=True, nogil=True)
def erode(valid, radius, volumetric, out):  # type: ignore[no-untyped-def]
    """Writes to ``out`` (S, H, W) uint8 whether the whole box around a pixel is valid and in the array."""
    n_planes, height, width = valid.shape
    taps = np.ones(2 * radius + 1)
    count = np.empty(valid.shape)
    scratch = np.empty(valid.shape)
    for s in range(n_planes):
        for i in range(height):
            for j in range(width):
                count[s, i, j] = 1.0 if valid[s, i, j] != 0 else 0.0
    smooth(count, taps, volumetric, scratch)
    full = (2.0 * radius + 1.0) ** (3 if volumetric else 2) - 0.5
    for s in range(n_planes):
        for i in range(height):
            for j in range(width):
                out[s, i, j] = 1 if count[s, i, j] > full else 0
