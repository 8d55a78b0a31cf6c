"""Lattices of points, and what lies at a point of a voxel grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points


def lattice(*axes: ArrayLike) -> FloatArray:
    """Every combination of positions along d axes as points ``(N, d)``, the last coordinate changing fastest."""
    fields = np.meshgrid(*(np.asarray(axis, np.float64) for axis in axes), indexing="ij")
    return np.stack(fields, axis=-1).reshape(-1, len(axes))


def cube(half_mm: float, step_mm: float, ndim: int = 3) -> FloatArray:
    """A lattice through the origin with points every ``step_mm``, no coordinate beyond ``half_mm``: ``(N, ndim)``."""
    count = int(half_mm / step_mm)
    return lattice(*[step_mm * np.arange(-count, count + 1.0)] * ndim)


def nearest(array: NDArray[Any], grid: Grid, points: FloatArray) -> NDArray[Any]:
    """Values of the voxels nearest to physical points ``(N, d)`` mm; 0 (False) outside the grid.

    Args:
        array: ``grid.shape``, labels or a mask.
        grid: Its grid.
        points: Physical points.

    Returns:
        ``(N,)`` of the array's type.
    """
    index, inside = _voxels(grid, points)
    return np.where(inside, array[tuple(np.where(inside[:, None], index, 0).T[::-1])], np.zeros((), array.dtype))


def within(grid: Grid, points: FloatArray) -> NDArray[np.bool_]:
    """Whether physical points ``(N, d)`` mm lie in some voxel of a grid."""
    return _voxels(grid, points)[1]


def between_voxels(grid: Grid, points: FloatArray) -> NDArray[np.bool_]:
    """Whether physical points ``(N, d)`` mm lie between the centres of the outermost voxels of a grid."""
    index = transform_points(grid.physical_to_index, points)
    return np.asarray(np.all((index >= 0) & (index <= np.asarray(grid.size) - 1), axis=1))


def _voxels(grid: Grid, points: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Indices ``(N, d)`` of the nearest voxels, and whether the grid has them."""
    index = np.rint(transform_points(grid.physical_to_index, points)).astype(np.int64)
    return index, np.asarray(np.all((index >= 0) & (index < np.asarray(grid.size)), axis=1))
