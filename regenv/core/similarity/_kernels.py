"""Compiled counts and sums over the pixels that are both in the mask and valid."""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from regenv.core._types import FLAGS, LANES, VIEWS, written


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
