"""Modality-independent neighbourhood descriptors."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from regenv.core._types import BOOL, DOUBLE, IMAGES, LANES, VALUES, VIEWS, given, written
from regenv.core.geometry import FloatArray
from regenv.core.lanes import Work, run_lanes
from regenv.core.similarity._base import LaneImages, Similarity
from regenv.core.similarity._local import erode, is_constant, smooth

_REACH = 2  # pixels from the centre that a descriptor looks at: a patch of radius 1 around a neighbour


@numba.njit(cache=True, nogil=True)
def _describe(image, taps, volumetric, out):  # type: ignore[no-untyped-def]
    """Writes the descriptors of one image (S, H, W) to ``out`` (K, S, H, W), K = 4 or 6 neighbours, edges held."""
    n_planes, height, width = image.shape
    distance = np.empty(image.shape)
    scratch = np.empty(image.shape)
    mean = np.zeros(image.shape)
    for k in range(out.shape[0]):
        axis, shift = k // 2, 2 * (k % 2) - 1
        dx, dy, dz = shift * (axis == 0), shift * (axis == 1), shift * (axis == 2)
        for s in range(n_planes):
            for i in range(height):
                for j in range(width):
                    z, y = min(max(s + dz, 0), n_planes - 1), min(max(i + dy, 0), height - 1)
                    difference = np.float64(image[s, i, j]) - image[z, y, min(max(j + dx, 0), width - 1)]
                    distance[s, i, j] = difference * difference
        smooth(distance, taps, volumetric, scratch)
        mean += distance / out.shape[0]
        out[k] = distance.astype(np.float32)
    typical = mean.sum() / mean.size
    for s in range(n_planes):
        for i in range(height):
            for j in range(width):
                variance = min(max(mean[s, i, j], 1e-3 * typical), 1e3 * typical) + 1e-12
                largest = 0.0
                for k in range(out.shape[0]):
                    value = np.exp(-out[k, s, i, j] / variance)
                    out[k, s, i, j] = value
                    largest = max(largest, value)
                for k in range(out.shape[0]):
                    out[k, s, i, j] /= largest


@numba.njit([types.void(*LANES, IMAGES, given(DOUBLE, 1), BOOL, written(types.float32, 5))], cache=True, nogil=True)
def _prepare(start, stop, images, taps, volumetric, descriptors):  # type: ignore[no-untyped-def]
    for b in range(start, stop):
        _describe(images[b], taps, volumetric, descriptors[b])


@numba.njit([types.void(*VIEWS, given(types.float32, 5), given(DOUBLE, 1), BOOL, VALUES)], cache=True, nogil=True)
def _mind(start, stop, fixed, moved, mask, valid, state, taps, volumetric, values):  # type: ignore[no-untyped-def]
    descriptors = np.empty(state.shape[1:], np.float32)
    eroded = np.empty(moved.shape[1:], np.uint8)
    for b in range(start, stop):
        if is_constant(fixed[b], mask[b], valid[b]) or is_constant(moved[b], mask[b], valid[b]):
            continue
        erode(valid[b], _REACH, volumetric, eroded)
        _describe(moved[b], taps, volumetric, descriptors)
        n_planes, height, width = eroded.shape
        total, n = 0.0, 0
        for s in range(n_planes):
            for i in range(height):
                for j in range(width):
                    if mask[b, s, i, j] != 0 and eroded[s, i, j] != 0:
                        n += 1
                        for k in range(descriptors.shape[0]):
                            total += abs(state[b, k, s, i, j] - descriptors[k, s, i, j])
        if n > 0:
            values[b] = -total / (n * descriptors.shape[0])


@dataclass(frozen=True)
class MIND(Similarity):
    """The negated mean absolute difference of self-similarity descriptors, for any two modalities.

    A pixel's descriptor says how much its patch resembles the patches one pixel away along each axis (4 in a plane, 6
    in a volume), relative to the local variance. Mask: the pixels in the fixed mask whose neighbourhood of radius 2
    is inside the moving image and on the view. Range [-1, 0], larger is better, 0 for equal images. Unrelated images:
    taken as -1, the worst, since what unrelated descriptors differ by depends on the images. Undefined where either
    image is constant.

    Attributes:
        sigma: Standard deviation of the Gaussian 3 x 3 (x 3) patch in pixels; default 0.5.

    Raises:
        ValueError: If sigma is not positive.

    Source: M. P. Heinrich et al., MIND: Modality independent neighbourhood descriptor for multi-modal deformable
    registration, Medical Image Analysis 16 (2012).
    """

    sigma: float = 0.5

    name = "mind"
    range = (-1.0, 0.0)
    floor = -1.0

    def __post_init__(self) -> None:
        if self.sigma <= 0:
            raise ValueError(f"sigma of mind must be positive, got {self.sigma}")

    def prepare(
        self, fixed: NDArray[np.float32], mask: NDArray[np.uint8], volumetric: bool = False
    ) -> NDArray[np.generic]:
        """The fixed images' descriptors, ``(B, K, S, H, W)`` float32 with K = 6 in a volume and 4 in planes."""
        lanes, n_planes, height, width = fixed.shape
        descriptors = np.empty((lanes, 6 if volumetric else 4, n_planes, height, width), np.float32)
        images = np.ascontiguousarray(fixed, np.float32)
        run_lanes(_prepare, lanes, images, self._taps(), volumetric, descriptors)
        return descriptors

    def _taps(self) -> FloatArray:
        taps = np.exp(-0.5 * (np.arange(-1, 2) / self.sigma) ** 2)
        return np.asarray(taps / taps.sum())

    def _work(self, images: LaneImages, volumetric: bool, state: NDArray[np.generic], values: FloatArray) -> list[Work]:
        arguments = (*images, np.ascontiguousarray(state), self._taps(), volumetric, values)
        return [(_mind, *arguments)]


SIMILARITY = MIND
