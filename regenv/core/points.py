"""Points: how far a transform leaves them from where they belong (TRE, mm), and the transform nearest to known pairs.

Where the true transform is known, the error is measured on a regular lattice inside the fixed body mask, so that every
part of the body counts alike; else on the landmarks that are given.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.errors import DataError

LATTICE_SPACING_MM = 20.0
_FEWEST_POINTS = 8


def lattice_indices(
    mask: NDArray[np.bool_] | None, grid: Grid, spacing_mm: float = LATTICE_SPACING_MM
) -> tuple[NDArray[np.int64], float]:
    """The lattice of :func:`lattice_points` as integers: point ``k`` lies ``k * spacing`` mm from the grid's centre.

    Args:
        mask: Boolean ``grid.shape`` body mask, or None for the whole grid.
        grid: The fixed image's grid; the lattice runs along its axes.
        spacing_mm: Distance between neighbours, in mm.

    Returns:
        ``(N, d)`` integers ``(x, y[, z])`` and the spacing used in mm (halved for structures too small for 8 points).

    Raises:
        ValueError: If the mask is empty or does not fit the grid.
    """
    if spacing_mm <= 0:
        raise ValueError(f"the lattice needs a positive spacing, got {spacing_mm} mm")
    if mask is not None:
        if mask.shape != grid.shape:
            raise ValueError(f"mask of shape {mask.shape} does not fit a grid of shape {grid.shape}")
        if not mask.any():
            raise ValueError("the fixed mask is empty: give a mask with voxels in it, or none for the whole image")
    half = (np.asarray(grid.size) - 1) / 2
    voxel = np.asarray(grid.spacing)
    spacing = float(spacing_mm)
    while True:
        reach = np.floor(half * voxel / spacing + 1e-9).astype(np.int64)
        axes = [np.arange(-n, n + 1) for n in reach]
        points = np.stack(np.meshgrid(*axes[::-1], indexing="ij")[::-1], axis=-1).reshape(-1, grid.ndim)
        if mask is not None:
            index = np.rint(points * spacing / voxel + half).astype(np.int64)
            points = points[mask[tuple(index.T[::-1])]]
        if len(points) >= _FEWEST_POINTS or spacing < voxel.min():
            break
        spacing /= 2
    if len(points) == 0:  # a mask of scattered voxels that even the finest lattice misses
        raise ValueError("no lattice point falls inside the fixed mask: give a mask of more than a few voxels")
    return points, spacing


def lattice_points(mask: NDArray[np.bool_] | None, grid: Grid, spacing_mm: float = LATTICE_SPACING_MM) -> FloatArray:
    """Points of a regular lattice along the grid's axes, through its centre, that fall inside the mask.

    Args:
        mask: Boolean ``grid.shape`` body mask (nearest voxel decides), or None for the whole grid.
        grid: The fixed image's grid.
        spacing_mm: Distance between neighbours, in mm.

    Returns:
        ``(N, d)`` physical points in mm.
    """
    indices, spacing = lattice_indices(mask, grid, spacing_mm)
    return transform_points(grid.frame, indices * spacing)


def point_errors(transform: ArrayLike, fixed_points: ArrayLike, moving_points: ArrayLike) -> FloatArray:
    """``|T(p_fixed) - p_moving|`` in mm for each point: ``(N,)``, or ``(B, N)`` for a batch of transforms.

    Args:
        transform: ``(d + 1, d + 1)`` or ``(B, d + 1, d + 1)`` matrix from fixed to moving physical points.
        fixed_points: ``(N, d)`` or ``(B, N, d)`` mm.
        moving_points: The same points in the moving image, same shape.
    """
    matrix = np.asarray(transform, dtype=np.float64)
    fixed = np.asarray(fixed_points, dtype=np.float64)
    moving = np.asarray(moving_points, dtype=np.float64)
    if fixed.shape != moving.shape:
        raise ValueError(f"fixed points of shape {fixed.shape} and moving points of shape {moving.shape} differ")
    if matrix.ndim == 3 and fixed.ndim == 2:
        fixed = np.broadcast_to(fixed, (len(matrix), *fixed.shape))
    return np.linalg.norm(transform_points(matrix, fixed) - moving, axis=-1)


def mean_tre(transform: ArrayLike, true_transform: ArrayLike, points: ArrayLike) -> FloatArray:
    """Mean over points of ``|T(p) - T_true(p)|`` in mm; a scalar array, or ``(B,)`` for a batch of transforms.

    Args:
        transform: ``(d + 1, d + 1)`` or ``(B, d + 1, d + 1)``.
        true_transform: The right answer, ``(d + 1, d + 1)`` or ``(B, d + 1, d + 1)``.
        points: ``(N, d)`` or ``(B, N, d)`` fixed physical points, usually :func:`lattice_points`.
    """
    difference = np.asarray(transform, dtype=np.float64) - np.asarray(true_transform, dtype=np.float64)
    fixed = np.asarray(points, dtype=np.float64)
    if difference.ndim == 3 and fixed.ndim == 2:
        fixed = np.broadcast_to(fixed, (len(difference), *fixed.shape))
    return np.linalg.norm(transform_points(difference, fixed), axis=-1).mean(axis=-1)


def mean_error(carried: FloatArray, partners: FloatArray, blind: FloatArray | None = None) -> float:
    """Mean distance in mm of carried points ``(N, d)`` from where they belong.

    Args:
        carried: Where a transform carries them.
        partners: Where they belong.
        blind: ``(d,)`` unit vector along which errors are not counted: mTREproj (van de Kraats et al., IEEE Trans. Med.
            Imaging 24 (2005) 1177-1189); None where all are.
    """
    error = carried - partners
    if blind is not None:
        error = error - (error @ blind)[:, None] * blind
    return float(np.linalg.norm(error, axis=1).mean())


def fit_affine(fixed: FloatArray, moving: FloatArray) -> FloatArray:
    """The affine transform ``(d + 1, d + 1)`` that carries points ``(N, d)`` nearest to their partners.

    Raises:
        DataError: If the points do not decide it.
    """
    d = fixed.shape[1]
    middle = fixed.mean(0)
    rows = np.column_stack([fixed - middle, np.ones(len(fixed))])
    solution, _, rank, _ = np.linalg.lstsq(rows, moving, rcond=1e-9)
    if rank < d + 1:
        raise DataError(f"an affine transform needs {d + 1} points that do not lie in a plane; {len(fixed)} are known")
    matrix = np.eye(d + 1)
    matrix[:d, :d] = solution[:d].T
    matrix[:d, d] = solution[d] - matrix[:d, :d] @ middle
    return matrix


def fit_rotation(fixed: FloatArray, moving: FloatArray, scaled: bool = False) -> FloatArray:
    """The rigid transform ``(d + 1, d + 1)``, or with one scale, nearest to point pairs ``(N, d)``.

    Sources: Kabsch, Acta Cryst. A 32 (1976) 922-923; Umeyama, TPAMI 13 (1991) 376-380.
    """
    d = fixed.shape[1]
    a, b = fixed - fixed.mean(0), moving - moving.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.ones(d)
    sign[-1] = np.sign(np.linalg.det(u @ vt))
    scale = float((s * sign).sum() / (a**2).sum()) if scaled else 1.0
    matrix = np.eye(d + 1)
    matrix[:d, :d] = scale * (u * sign) @ vt
    matrix[:d, d] = moving.mean(0) - matrix[:d, :d] @ fixed.mean(0)
    return matrix
