"""The joint histogram of mutual information, compiled, and its entropies.

As in Mattes et al.: the fixed image falls into the nearest bin, the moving image is spread over four bins by a cubic
B-spline Parzen window, so that the histogram, and with it the reward of a small step, changes smoothly with the pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numba import types

from regenv.core._types import BOOL, INT, VALUES, VIEWS
from regenv.core.similarity._base import Similarity


@numba.njit(cache=True, nogil=True)
def _joint_histogram(fs, ms, masks, valids, histogram):  # type: ignore[no-untyped-def]
    """Writes the pixels of one lane to ``histogram`` (bins, bins), rows the fixed image's bins."""
    bins = histogram.shape[0]
    histogram[:] = 0.0
    for i in range(fs.shape[0]):
        if masks[i] == 0 or valids[i] == 0:
            continue
        f = min(max(np.float64(fs[i]), 0.0), 1.0)
        row = histogram[min(int(f * bins), bins - 1)]
        # One bin at either end is left for the window, so that it sums to 1 everywhere.
        u = 1.0 + min(max(np.float64(ms[i]), 0.0), 1.0) * (bins - 3)
        k = min(int(u), bins - 3)
        t = u - k
        s = 1.0 - t
        row[k - 1] += s * s * s / 6.0
        row[k] += (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0
        row[k + 1] += (3.0 * s * s * s - 6.0 * s * s + 4.0) / 6.0
        row[k + 2] += t * t * t / 6.0


@numba.njit(cache=True, nogil=True)
def _entropies(histogram, out):  # type: ignore[no-untyped-def]
    """Writes H(F), H(M), H(F, M) in nats and the variance of the moving image's bins; zeros of an empty histogram."""
    bins = histogram.shape[0]
    out[:] = 0.0
    total = 0.0
    for i in range(bins):
        for j in range(bins):
            total += histogram[i, j]
    if total <= 0.0:
        return
    moving = np.zeros(bins)
    for i in range(bins):
        fixed = 0.0
        for j in range(bins):
            p = histogram[i, j] / total
            fixed += p
            moving[j] += p
            if p > 0.0:
                out[2] -= p * np.log(p)
        if fixed > 0.0:
            out[0] -= fixed * np.log(fixed)
    mean = square = 0.0
    for j in range(bins):
        mean += moving[j] * j
        square += moving[j] * j * j
        if moving[j] > 0.0:
            out[1] -= moving[j] * np.log(moving[j])
    out[3] = square - mean * mean


@numba.njit([types.void(*VIEWS, INT, BOOL, VALUES)], cache=True, nogil=True)
def information(start, stop, fixed, moved, mask, valid, bins, normalised, values):  # type: ignore[no-untyped-def]
    """Writes the mutual information of each lane, or the normalised one, where both images carry information."""
    histogram, entropies = np.empty((bins, bins)), np.empty(4)
    for b in range(start, stop):
        images = (fixed[b].reshape(-1), moved[b].reshape(-1))
        _joint_histogram(*images, mask[b].reshape(-1), valid[b].reshape(-1), histogram)
        _entropies(histogram, entropies)
        f, m, joint, spread = entropies
        # A constant moving image still has the entropy of its window, so it is told by the spread of its bins: the
        # window's own variance is 1/3 bin^2.
        if f > 1e-12 and spread > 1 / 3 + 1e-9 and joint > 1e-12:
            values[b] = min(max((f + m) / joint, 1.0), 2.0) if normalised else max(f + m - joint, 0.0)


@dataclass(frozen=True)
class HistogramSimilarity(Similarity):
    """A function of the entropies of the joint histogram.

    Attributes:
        bins: Bins of either image over intensities [0, 1], at least 8.

    Raises:
        ValueError: If there are fewer than 8 bins.
    """

    bins: int = 32

    def __post_init__(self) -> None:
        if self.bins < 8:
            raise ValueError(f"{self.name} needs at least 8 bins, got {self.bins}")
