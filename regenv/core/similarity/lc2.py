"""Linear correlation of linear combination, for ultrasound."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from regenv.core._types import BOOL, DOUBLE, FLAGS, IMAGES, INT, LANES, VALUES, VIEWS, written
from regenv.core.geometry import FloatArray
from regenv.core.lanes import Work, run_lanes
from regenv.core.similarity._base import LaneImages, Similarity
from regenv.core.similarity._kernels import CONSTANT

_FULL_PATCH = 0.5  # share of a patch that must count: of three pixels the fit is always perfect
_TERMS = 10  # of each pixel, and their sums in a patch: 1, u, m, g, uu, mm, gg, um, ug, mg


@numba.njit(cache=True, nogil=True)
def _box(mask):  # type: ignore[no-untyped-def]
    """First and last index, the last excluded, of what is not 0 along each axis, ``(3, 2)``; empty where all is."""
    box = np.zeros((3, 2), np.int64)
    for axis in range(3):
        box[axis, 0] = mask.shape[axis]
    for s in range(mask.shape[0]):
        for i in range(mask.shape[1]):
            for j in range(mask.shape[2]):
                if mask[s, i, j] != 0:
                    box[0, 0], box[0, 1] = min(box[0, 0], s), max(box[0, 1], s + 1)
                    box[1, 0], box[1, 1] = min(box[1, 0], i), max(box[1, 1], i + 1)
                    box[2, 0], box[2, 1] = min(box[2, 0], j), max(box[2, 1], j + 1)
    return box


@numba.njit(cache=True, nogil=True)
def _counts(mask, valid, s, i, j, depth):  # type: ignore[no-untyped-def]
    """Whether a pixel is in mask and valid, and so are the neighbours that the moved image's gradient needs there."""
    n_planes, height, width = mask.shape
    if mask[s, i, j] == 0 or valid[s, i, j] == 0:
        return False
    if i == 0 or j == 0 or i == height - 1 or j == width - 1 or s < depth or s >= n_planes - depth:
        return False
    if valid[s, i, j - 1] == 0 or valid[s, i, j + 1] == 0 or valid[s, i - 1, j] == 0 or valid[s, i + 1, j] == 0:
        return False
    return valid[s - depth, i, j] != 0 and valid[s + depth, i, j] != 0


@numba.njit(cache=True, nogil=True)
def _terms(fixed, moved, mask, valid, box, depth, out):  # type: ignore[no-untyped-def]
    """Writes the terms of the pixels in a box to ``out`` (S, H, W, 10); 0 for those that do not count."""
    for s in range(box[0, 0], box[0, 1]):
        for i in range(box[1, 0], box[1, 1]):
            for j in range(box[2, 0], box[2, 1]):
                terms = out[s - box[0, 0], i - box[1, 0], j - box[2, 0]]
                if not _counts(mask, valid, s, i, j, depth):
                    terms[:] = 0.0
                    continue
                u, m = np.float64(fixed[s, i, j]), np.float64(moved[s, i, j])
                x = 0.5 * (np.float64(moved[s, i, j + 1]) - moved[s, i, j - 1])
                y = 0.5 * (np.float64(moved[s, i + 1, j]) - moved[s, i - 1, j])
                # without depth both terms are the same pixel and the difference is 0
                z = 0.5 * (np.float64(moved[s + depth, i, j]) - moved[s - depth, i, j])
                g = np.sqrt(x * x + y * y + z * z)
                terms[0], terms[1], terms[2], terms[3] = 1.0, u, m, g
                terms[4], terms[5], terms[6] = u * u, m * m, g * g
                terms[7], terms[8], terms[9] = u * m, u * g, m * g


@numba.njit(cache=True, nogil=True)
def _slide(rows, radius, out):  # type: ignore[no-untyped-def]
    """Writes to ``out`` (N, C) the sums of ``rows`` (N, C) over 2 radius + 1 neighbours, zero beyond the ends."""
    n, columns = rows.shape
    out[0] = 0.0
    for k in range(min(radius + 1, n)):
        for c in range(columns):
            out[0, c] += rows[k, c]
    for k in range(1, n):
        enters, leaves = k + radius, k - radius - 1
        if enters < n and leaves >= 0:
            for c in range(columns):
                out[k, c] = out[k - 1, c] + (rows[enters, c] - rows[leaves, c])
        elif enters < n:
            for c in range(columns):
                out[k, c] = out[k - 1, c] + rows[enters, c]
        elif leaves >= 0:
            for c in range(columns):
                out[k, c] = out[k - 1, c] - rows[leaves, c]
        else:
            out[k] = out[k - 1]


@numba.njit(cache=True, nogil=True)
def _patches(terms, radius, volumetric, scratch):  # type: ignore[no-untyped-def]
    """Sums of ``terms`` (S, H, W, 10) over the patches around the pixels, in place."""
    n_planes, height, width, n = terms.shape
    for s in range(n_planes):
        for i in range(height):
            _slide(terms[s, i], radius, scratch[s, i])
        _slide(scratch[s].reshape(height, width * n), radius, terms[s].reshape(height, width * n))
    if volumetric:
        scratch[:] = terms
        size = height * width * n
        _slide(scratch.reshape(n_planes, size), radius, terms.reshape(n_planes, size))


@numba.njit(cache=True, nogil=True)
def _variance(sums):  # type: ignore[no-untyped-def]
    """Variance of the fixed image in a patch."""
    mean = sums[1] / sums[0]
    return sums[4] / sums[0] - mean * mean


@numba.njit(cache=True, nogil=True)
def _explained(sums, flat):  # type: ignore[no-untyped-def]
    """Share of the fixed image's variance in a patch that a m + b g + c explains, [0, 1]."""
    n = sums[0]
    u, m, g = sums[1] / n, sums[2] / n, sums[3] / n
    mm, gg = max(sums[5] / n - m * m, 0.0) + flat, max(sums[6] / n - g * g, 0.0) + flat
    um, ug, mg = sums[7] / n - u * m, sums[8] / n - u * g, sums[9] / n - m * g
    explained = (um * um * gg - 2.0 * um * ug * mg + ug * ug * mm) / (mm * gg - mg * mg)
    variance = _variance(sums)
    return min(max(explained / variance, 0.0), 1.0) if variance > CONSTANT else 0.0


@numba.njit([types.void(*LANES, IMAGES, FLAGS, INT, BOOL, written(types.float32, 4))], cache=True, nogil=True)
def _prepare(start, stop, fixed, mask, radius, volumetric, weights):  # type: ignore[no-untyped-def]
    depth = 1 if volumetric else 0
    enough = _FULL_PATCH * (2.0 * radius + 1.0) ** (3 if volumetric else 2)
    space = np.empty((2, fixed[0].size * _TERMS))
    everywhere = np.ones(fixed.shape[1:], np.uint8)
    for b in range(start, stop):
        weights[b] = 0.0
        box = _box(mask[b])
        if box[0, 1] == 0:
            continue
        shape = (box[0, 1] - box[0, 0], box[1, 1] - box[1, 0], box[2, 1] - box[2, 0], _TERMS)
        size = shape[0] * shape[1] * shape[2] * _TERMS
        sums, scratch = space[0, :size].reshape(shape), space[1, :size].reshape(shape)
        _terms(fixed[b], fixed[b], mask[b], everywhere, box, depth, sums)
        _patches(sums, radius, volumetric, scratch)
        for s in range(shape[0]):
            for i in range(shape[1]):
                for j in range(shape[2]):
                    p, q, r = s + box[0, 0], i + box[1, 0], j + box[2, 0]
                    if mask[b, p, q, r] != 0 and sums[s, i, j, 0] >= enough:
                        variance = _variance(sums[s, i, j])
                        weights[b, p, q, r] = np.sqrt(variance) if variance > CONSTANT else 0.0


@numba.njit([types.void(*VIEWS, IMAGES, INT, BOOL, DOUBLE, VALUES)], cache=True, nogil=True)
def _lc2(start, stop, fixed, moved, mask, valid, weights, radius, volumetric, flat, values):  # type: ignore[no-untyped-def]
    depth = 1 if volumetric else 0
    enough = _FULL_PATCH * (2.0 * radius + 1.0) ** (3 if volumetric else 2)
    space = np.empty((2, fixed[0].size * _TERMS))
    for b in range(start, stop):
        box = _box(mask[b])
        if box[0, 1] == 0:
            continue
        shape = (box[0, 1] - box[0, 0], box[1, 1] - box[1, 0], box[2, 1] - box[2, 0], _TERMS)
        size = shape[0] * shape[1] * shape[2] * _TERMS
        sums, scratch = space[0, :size].reshape(shape), space[1, :size].reshape(shape)
        _terms(fixed[b], moved[b], mask[b], valid[b], box, depth, sums)
        _patches(sums, radius, volumetric, scratch)
        explained, total = 0.0, 0.0
        for s in range(shape[0]):
            for i in range(shape[1]):
                for j in range(shape[2]):
                    weight = weights[b, s + box[0, 0], i + box[1, 0], j + box[2, 0]]
                    if weight == 0.0:
                        continue
                    total += weight
                    if sums[s, i, j, 0] >= enough:
                        explained += weight * _explained(sums[s, i, j], flat)
        if total > 0.0:
            values[b] = explained / total


@dataclass(frozen=True)
class LC2(Similarity):
    """The share of the fixed image's local variance that the moved image and its gradient explain, for ultrasound.

    Ultrasound shows both how tissues scatter, as a function of what they are, and where they meet, as echoes of their
    interfaces. In a patch around each pixel the fixed image, an ultrasound, is fitted by ``a m + b |grad m| + c`` with
    the moved image m, by least squares; the patch counts by the share of variance that the fit explains, weighted by
    the standard deviation of the ultrasound in the whole patch, so that shadows and even speckle count little. (The
    source weights by variance, which leaves a case to its few brightest echoes.)

    Mask: patches are centred on the pixels in the fixed mask and take those of their pixels that are in the fixed
    mask, which for ultrasound is its sector, and with their neighbours inside the moving image. Patches that are less
    than half filled for want of moving image explain nothing, those at the mask's border do not count. Range [0, 1],
    larger is better. Unrelated images: 0 (a finite patch gives a little more). Undefined where the fixed image is
    constant.

    Attributes:
        window: Side of the square or cubic patch in pixels, odd; None for 9 in a plane and 5 in a volume, which hold
            as many pixels.
        flat: Variance, of intensities in [0, 1], that is added to those of m and of its gradient: what is weaker than
            this explains nothing; default 1e-5.

    Raises:
        ValueError: If the window is not odd or below 3, or flat is not positive.

    Source: W. Wein et al., Global registration of ultrasound to MRI using the LC2 metric for enabling neurosurgical
    guidance, MICCAI 2013; B. Fuerst et al., Automatic ultrasound-MRI registration for neurosurgery using the 2D and 3D
    LC2 metric, Medical Image Analysis 18 (2014).
    """

    window: int | None = None
    flat: float = 1e-5

    name = "lc2"
    range = (0.0, 1.0)
    floor = 0.0

    def __post_init__(self) -> None:
        if self.window is not None and (self.window < 3 or self.window % 2 == 0):
            raise ValueError(f"the window of lc2 must be odd and at least 3 pixels, got {self.window}")
        if self.flat <= 0:
            raise ValueError(f"flat of lc2 must be positive, got {self.flat}")

    def prepare(
        self, fixed: NDArray[np.float32], mask: NDArray[np.uint8], volumetric: bool = False
    ) -> NDArray[np.generic]:
        """The weights of the patches around the pixels, ``(B, S, H, W)`` float32."""
        weights = np.empty(fixed.shape, np.float32)
        images, masks = np.ascontiguousarray(fixed, np.float32), np.ascontiguousarray(mask, np.uint8)
        run_lanes(_prepare, len(fixed), images, masks, self._radius(volumetric), volumetric, weights)
        return weights

    def _radius(self, volumetric: bool) -> int:
        return (self.window or (5 if volumetric else 9)) // 2

    def _work(self, images: LaneImages, volumetric: bool, state: NDArray[np.generic], values: FloatArray) -> list[Work]:
        weights = np.ascontiguousarray(state, np.float32)
        arguments = (*images, weights, self._radius(volumetric), volumetric, self.flat, values)
        return [(_lc2, *arguments)]


SIMILARITY = LC2
