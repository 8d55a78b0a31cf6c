"""Metrics of a registration against the truth. Millimetres with the true spacing, labels by nearest neighbour.

TRE lives in :mod:`regenv.core.points`, which the environments use too, and is offered here again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.points import LATTICE_SPACING_MM, lattice_indices, lattice_points, mean_tre, point_errors
from regenv.evaluation.surfaces import surface_elements

__all__ = [
    "LATTICE_SPACING_MM",
    "LabelMetrics",
    "dice",
    "label_metrics",
    "lattice_indices",
    "lattice_points",
    "mean_tre",
    "point_errors",
    "surface_distances",
    "warp_labels",
]

IntArray = NDArray[np.integer]


def warp_labels(labels: IntArray, moving_grid: Grid, fixed_grid: Grid, transform: ArrayLike) -> IntArray:
    """The moving label map brought to the fixed grid by nearest neighbour; 0 outside the moving image.

    Args:
        labels: Integer ``moving_grid.shape``.
        moving_grid: Where the moving voxels lie.
        fixed_grid: Where the result's voxels lie.
        transform: ``(d + 1, d + 1)`` matrix from fixed to moving physical points.

    Returns:
        ``fixed_grid.shape``, of the labels' type.
    """
    index_matrix = (
        moving_grid.physical_to_index @ np.asarray(transform, dtype=np.float64) @ fixed_grid.index_to_physical
    )
    warped = np.zeros(fixed_grid.shape, dtype=labels.dtype)
    rows = np.stack(np.meshgrid(*[np.arange(n) for n in fixed_grid.shape[1:]], indexing="ij")[::-1], axis=-1)
    for z in range(fixed_grid.shape[0]):  # slice by slice, so that memory stays that of a slice
        index = np.concatenate([rows, np.full((*rows.shape[:-1], 1), z)], axis=-1)
        nearest = np.floor(transform_points(index_matrix, index) + 0.5).astype(np.int64)
        inside = np.all((nearest >= 0) & (nearest < np.asarray(moving_grid.size)), axis=-1)
        warped[z][inside] = labels[tuple(nearest[inside].T[::-1])]
    return warped


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Dice similarity coefficient ``2 |A n B| / (|A| + |B|)`` of two binary images, in [0, 1]; 1 is best.

    Source: Dice, Ecology 1945.

    Raises:
        ValueError: If either is empty, where the coefficient says nothing.
    """
    total = int(np.count_nonzero(first)), int(np.count_nonzero(second))
    if 0 in total:
        raise ValueError("Dice is undefined where a label is absent in one of the images")
    return 2.0 * int(np.count_nonzero(np.logical_and(first, second))) / sum(total)


def surface_distances(first: NDArray[np.bool_], second: NDArray[np.bool_], grid: Grid) -> tuple[float, float]:
    """HD95 and ASSD of two binary images, weighted by surface area, in mm; 0 is best.

    HD95 is the larger of the two directed 95th percentiles, ASSD the mean of all distances of both surfaces, each
    surface element counted by its area. Sources: Huttenlocher et al., TPAMI 1993; Nikolov et al., JMIR 2021.

    Raises:
        ValueError: If either is empty.
    """
    from scipy.spatial import cKDTree

    points_a, areas_a = surface_elements(first, grid)
    points_b, areas_b = surface_elements(second, grid)
    if len(areas_a) == 0 or len(areas_b) == 0:
        raise ValueError("surface distances are undefined where a label is absent in one of the images")
    a_to_b = np.asarray(cKDTree(points_b).query(points_a)[0])
    b_to_a = np.asarray(cKDTree(points_a).query(points_b)[0])
    hd95 = max(_weighted_percentile(a_to_b, areas_a, 95), _weighted_percentile(b_to_a, areas_b, 95))
    assd = (a_to_b @ areas_a + b_to_a @ areas_b) / (areas_a.sum() + areas_b.sum())
    return hd95, float(assd)


def _weighted_percentile(values: FloatArray, weights: FloatArray, percent: float) -> float:
    """Smallest value at or below which ``percent`` of the weight lies."""
    order = np.argsort(values)
    share = np.cumsum(weights[order])
    position = np.searchsorted(share, percent / 100 * share[-1])
    return float(values[order][min(position, len(values) - 1)])


@dataclass(frozen=True)
class LabelMetrics:
    """Agreement of labels after registration.

    Attributes:
        dice: Mean Dice over the labels present in both images, or None where there is none.
        hd95_mm: Mean HD95 over the same labels.
        assd_mm: Mean ASSD over the same labels.
        labels: How many labels were compared.
        absent: How many were left out because one image lacks them.
        dice_by_label: Dice of each label value.
    """

    dice: float | None
    hd95_mm: float | None
    assd_mm: float | None
    labels: int
    absent: int
    dice_by_label: dict[int, float]


def label_metrics(
    fixed: IntArray, moving: IntArray, fixed_grid: Grid, moving_grid: Grid, transform: ArrayLike
) -> LabelMetrics:
    """Dice, HD95 and ASSD of two label maps, the moving one warped by nearest neighbour.

    A label that either image lacks *before* the registration is left out and counted; one that the registration pushed
    out of the fixed grid scores a Dice of 0 and the grid's diagonal as its distance.

    Args:
        fixed: Integer label map on the fixed grid; 0 is background.
        moving: Integer label map on the moving grid.
        fixed_grid: Grid of ``fixed``.
        moving_grid: Grid of ``moving``.
        transform: ``(d + 1, d + 1)`` matrix from fixed to moving physical points.
    """
    in_fixed, in_moving = set(np.unique(fixed).tolist()) - {0}, set(np.unique(moving).tolist()) - {0}
    warped = warp_labels(moving, moving_grid, fixed_grid, transform)
    overlap: dict[int, float] = {}
    distances = []
    for label in sorted(in_fixed & in_moving):
        ours, theirs = fixed == label, warped == label
        if theirs.any():
            overlap[int(label)] = dice(ours, theirs)
            distances.append(surface_distances(ours, theirs, fixed_grid))
        else:
            overlap[int(label)] = 0.0
            diagonal = float(np.linalg.norm(fixed_grid.extent))
            distances.append((diagonal, diagonal))
    means = np.mean(distances, axis=0) if distances else (None, None)
    return LabelMetrics(
        dice=float(np.mean(list(overlap.values()))) if overlap else None,
        hd95_mm=None if means[0] is None else float(means[0]),
        assd_mm=None if means[1] is None else float(means[1]),
        labels=len(overlap),
        absent=len(in_fixed ^ in_moving),
        dice_by_label=overlap,
    )
