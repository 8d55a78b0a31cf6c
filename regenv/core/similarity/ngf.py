"""Normalised gradient fields."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from regenv.core._types import BOOL, DOUBLE, VALUES, VIEWS
from regenv.core.geometry import FloatArray
from regenv.core.lanes import Work
from regenv.core.similarity._base import LaneImages, Similarity
from regenv.core.similarity._local import is_constant


@numba.njit([types.void(*VIEWS, BOOL, DOUBLE, VALUES)], cache=True, nogil=True)
def _ngf(start, stop, fixed, moved, mask, valid, volumetric, edge, values):  # type: ignore[no-untyped-def]
    n_planes, height, width = fixed.shape[1:]
    depth = 1 if volumetric else 0
    square = edge * edge
    for b in range(start, stop):
        f, m, inside, ok = fixed[b], moved[b], mask[b], valid[b]
        if is_constant(f, inside, ok) or is_constant(m, inside, ok):
            continue
        total, n = 0.0, 0
        for s in range(depth, n_planes - depth):
            for i in range(1, height - 1):
                for j in range(1, width - 1):
                    if inside[s, i, j] == 0 or ok[s, i, j] == 0 or ok[s, i, j - 1] == 0 or ok[s, i, j + 1] == 0:
                        continue
                    if ok[s, i - 1, j] == 0 or ok[s, i + 1, j] == 0:
                        continue
                    if ok[s - depth, i, j] == 0 or ok[s + depth, i, j] == 0:
                        continue
                    fx, mx = 0.5 * (f[s, i, j + 1] - f[s, i, j - 1]), 0.5 * (m[s, i, j + 1] - m[s, i, j - 1])
                    fy, my = 0.5 * (f[s, i + 1, j] - f[s, i - 1, j]), 0.5 * (m[s, i + 1, j] - m[s, i - 1, j])
                    # Without depth both terms are the same pixel and the difference is 0.
                    fz = 0.5 * (f[s + depth, i, j] - f[s - depth, i, j])
                    mz = 0.5 * (m[s + depth, i, j] - m[s - depth, i, j])
                    dot = fx * mx + fy * my + fz * mz
                    ff, mm = fx * fx + fy * fy + fz * fz, mx * mx + my * my + mz * mz
                    total += dot * dot / ((ff + square) * (mm + square))
                    n += 1
        if n > 0:
            values[b] = total / n


@dataclass(frozen=True)
class NGF(Similarity):
    """The mean over pixels of the squared cosine between the images' gradients, for any two modalities.

    Gradients are central differences, and weak ones are damped. Mask: the pixels in the fixed mask whose neighbours
    along the axes are inside the moving image and on the view. Range [0, 1], larger is better; flat regions keep it
    well below 1. Unrelated images: taken as 0. Undefined where either image is constant.

    Attributes:
        edge: Gradient magnitude (intensity a pixel, intensities in [0, 1]) below which an edge counts as noise;
            default 0.03. The source derives it from the noise of each image; here it is one constant, so that no
            pose can change it.

    Raises:
        ValueError: If the edge parameter is not positive.

    Source: E. Haber, J. Modersitzki, Intensity gradient based registration and fusion of multi-modal images, MICCAI
    2006.
    """

    edge: float = 0.03

    name = "ngf"
    range = (0.0, 1.0)
    floor = 0.0

    def __post_init__(self) -> None:
        if self.edge <= 0:
            raise ValueError(f"the edge parameter of ngf must be positive, got {self.edge}")

    def _work(self, images: LaneImages, volumetric: bool, state: NDArray[np.generic], values: FloatArray) -> list[Work]:
        return [(_ngf, *images, volumetric, self.edge, values)]


SIMILARITY = NGF
