"""Compiled counts and sums over the pixels that are both in the mask and valid, and what is made of them.

The small ones are compiled too: on one lane a dozen NumPy calls cost as much as rendering a slice.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from regenv.core._types import FLAGS, LANES, VIEWS, given, written

CONSTANT = 1e-12
"""Variance, of intensities in [0, 1], below which an image counts as constant."""


@numba.njit([types.void(*LANES, FLAGS, FLAGS, written(types.float64, 2))], cache=True, nogil=True)
def count_lanes(start, stop, mask, valid, counts):  # type: ignore[no-untyped-def]
    """Writes n_mask and n_valid of each lane to ``counts`` (B, 2)."""
    for b in range(start, stop):
        masks, valids = mask[b].reshape(-1), valid[b].reshape(-1)
        n_mask = 0
        n_valid = 0
        for i in range(masks.shape[0]):
            n_mask += 1 if masks[i] != 0 else 0
            n_valid += 1 if masks[i] != 0 and valids[i] != 0 else 0
        counts[b, 0] = n_mask
        counts[b, 1] = n_valid


@numba.njit(
    [types.void(*VIEWS, written(types.float64, 2))], cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"}
)
def sum_lanes(start, stop, fixed, moved, mask, valid, sums):  # type: ignore[no-untyped-def]
    """Writes the seven sums of :mod:`regenv.core.resample` of each lane to ``sums`` (B, 7)."""
    for b in range(start, stop):
        fs, ms = fixed[b].reshape(-1), moved[b].reshape(-1)
        masks, valids = mask[b].reshape(-1), valid[b].reshape(-1)
        n_mask = 0
        n_valid = 0
        f1 = m1 = f2 = m2 = fm = 0.0
        for i in range(fs.shape[0]):
            inside = masks[i] != 0 and valids[i] != 0
            n_mask += 1 if masks[i] != 0 else 0
            n_valid += 1 if inside else 0
            f = np.float64(fs[i]) if inside else 0.0
            m = np.float64(ms[i]) if inside else 0.0
            f1 += f
            m1 += m
            f2 += f * f
            m2 += m * m
            fm += f * m
        sums[b, 0] = n_mask
        sums[b, 1] = n_valid
        sums[b, 2] = f1
        sums[b, 3] = m1
        sums[b, 4] = f2
        sums[b, 5] = m2
        sums[b, 6] = fm


@numba.njit([types.void(given(types.float64, 2), written(types.float64, 1))], cache=True, nogil=True)
def correlate_sums(sums, values):  # type: ignore[no-untyped-def]
    """Writes Pearson's correlation from the seven sums (B, 7); NaN where an image is constant or nothing overlaps."""
    for b in range(sums.shape[0]):
        n = max(sums[b, 1], 1.0)
        f, m = sums[b, 2] / n, sums[b, 3] / n
        f_variance, m_variance = sums[b, 4] / n - f * f, sums[b, 5] / n - m * m
        values[b] = np.nan
        if f_variance > CONSTANT and m_variance > CONSTANT:
            correlation = (sums[b, 6] / n - f * m) / np.sqrt(f_variance * m_variance)
            values[b] = min(max(correlation, -1.0), 1.0)


@numba.njit(
    [types.void(*LANES, given(types.float64, 2), given(types.float64, 1), types.float64, written(types.float64, 1))],
    cache=True,
    nogil=True,
)
def mix_with_floor(start, stop, counts, floors, full_overlap, values):  # type: ignore[no-untyped-def]
    """Applies the rule for overlap to ``values`` in place; columns 0 and 1 of ``counts`` are n_mask and n_valid."""
    for b in range(start, stop):
        n_mask, n_valid = counts[b, 0], counts[b, 1]
        if n_valid <= 0.0 or not np.isfinite(values[b]):
            values[b] = floors[b]
        elif n_valid < full_overlap * n_mask:
            share = n_valid / (full_overlap * n_mask)
            values[b] = share * values[b] + (1.0 - share) * floors[b]
