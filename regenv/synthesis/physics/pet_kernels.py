"""The compiled loop of the PET model: serial, without the global interpreter lock, cached on disk."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def breathe(array, moving, way, phases, out):
    """The mean of a volume over phases of a breath that move it along z.

    Args:
        array: ``[z, y, x]``.
        moving: Share of the diaphragm's motion that each voxel takes part in.
        way: Way of the diaphragm's motion at every level, ``(z,)`` voxels.
        phases: Positions within a breath, in ways.
        out: As ``array``.
    """
    nz, ny, nx = array.shape
    for k in range(nz):
        if way[k] < 0.1:
            out[k] = array[k]
            continue
        for j in range(ny):
            for i in range(nx):
                total = np.float32(0.0)
                shift = moving[k, j, i] * way[k]
                for phase in phases:
                    position = min(max(k + phase * shift, 0.0), nz - 1.001)
                    low = int(position)
                    upper = np.float32(position - low)
                    total += array[low, j, i] + upper * (array[low + 1, j, i] - array[low, j, i])
                out[k, j, i] = total / len(phases)
