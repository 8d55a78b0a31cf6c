"""The compiled loop that turns tissues into values: serial, without the global interpreter lock, cached on disk."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def mix(tissue, under, share, coarse, fine, table, out):
    """Value of every voxel: those of its two tissues and their textures, by the share of each.

    Args:
        tissue: ``[z, y, x]`` tissue that covers most of a voxel; as the others of :class:`Anatomy`.
        under: What covers the rest.
        share: Share of ``tissue``, of 255.
        coarse: Slow texture of unit deviation.
        fine: Fast texture of unit deviation.
        table: ``(256, 3)`` mean, and deviations of both textures, of each tissue.
        out: ``[z, y, x]`` float32, filled.
    """
    nz, ny, nx = tissue.shape
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                a, b = tissue[k, j, i], under[k, j, i]
                w = np.float32(share[k, j, i]) * np.float32(1.0 / 255.0)
                v = np.float32(1.0) - w
                out[k, j, i] = (
                    w * table[a, 0]
                    + v * table[b, 0]
                    + (w * table[a, 1] + v * table[b, 1]) * coarse[k, j, i]
                    + (w * table[a, 2] + v * table[b, 2]) * fine[k, j, i]
                )
