"""Gradient correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from regenv.core._types import BOOL, VALUES, VIEWS
from regenv.core.geometry import FloatArray
from regenv.core.lanes import Work
from regenv.core.similarity._base import LaneImages, Similarity
from regenv.core.similarity._local import erode


@numba.njit(cache=True, nogil=True)
def _sobel(image, s, i, j, depth, out):  # type: ignore[no-untyped-def]
    """Writes the Sobel derivatives along x, y, z at one pixel."""
    out[:] = 0.0
    for dz in range(-depth, depth + 1):
        wz = 2.0 - abs(dz) if depth > 0 else 1.0
        for dy in range(-1, 2):
            wy = 2.0 - abs(dy)
            for dx in range(-1, 2):
                wx = 2.0 - abs(dx)
                v = np.float64(image[s + dz, i + dy, j + dx])
                out[0] += dx * wy * wz * v
                out[1] += dy * wx * wz * v
                out[2] += dz * wx * wy * v


@numba.njit([types.void(*VIEWS, BOOL, VALUES)], cache=True, nogil=True)
def _gradient_correlation(start, stop, fixed, moved, mask, valid, volumetric, values):  # type: ignore[no-untyped-def]
    n_planes, height, width = fixed.shape[1:]
    depth = 1 if volumetric else 0
    eroded = np.empty(fixed.shape[1:], np.uint8)
    f, m = np.empty(3), np.empty(3)
    for b in range(start, stop):
        erode(valid[b], 1, volumetric, eroded)
        sums = np.zeros((3, 5))
        n = 0
        for s in range(n_planes):
            for i in range(height):
                for j in range(width):
                    if mask[b, s, i, j] == 0 or eroded[s, i, j] == 0:
                        continue
                    _sobel(fixed[b], s, i, j, depth, f)
                    _sobel(moved[b], s, i, j, depth, m)
                    n += 1
                    for k in range(2 + depth):
                        sums[k, 0] += f[k]
                        sums[k, 1] += m[k]
                        sums[k, 2] += f[k] * f[k]
                        sums[k, 3] += m[k] * m[k]
                        sums[k, 4] += f[k] * m[k]
        total, axes = 0.0, 0
        for k in range(2 + depth):
            if n == 0:
                break
            f_mean, m_mean = sums[k, 0] / n, sums[k, 1] / n
            f_variance, m_variance = sums[k, 2] / n - f_mean * f_mean, sums[k, 3] / n - m_mean * m_mean
            if f_variance > 1e-12 and m_variance > 1e-12:
                axes += 1
                total += (sums[k, 4] / n - f_mean * m_mean) / np.sqrt(f_variance * m_variance)
        if axes > 0:
            values[b] = min(max(total / axes, -1.0), 1.0)


@dataclass(frozen=True)
class GradientCorrelation(Similarity):
    """The correlation of the images' Sobel derivatives, averaged over the axes.

    High where edges lie in the same place with the same sign: the measure of 2-D/3-D registration. Mask: the pixels
    in the fixed mask whose 3 x 3 (x 3) neighbourhood is inside the moving image and on the view, taken together over
    all planes; the axes are a plane's own columns and rows (and z in a volume). Range [-1, 1], larger is better.
    Unrelated images: 0. Undefined where no axis has an edge in both images.

    Source: G. P. Penney et al., A comparison of similarity measures for use in 2-D-3-D medical image registration,
    IEEE TMI 17 (1998).
    """

    name = "gradient_correlation"
    range = (-1.0, 1.0)
    floor = 0.0

    def _work(self, images: LaneImages, volumetric: bool, state: NDArray[np.generic], values: FloatArray) -> list[Work]:
        return [(_gradient_correlation, *images, volumetric, values)]


SIMILARITY = GradientCorrelation
