"""What recipes of every part of the body share: how a patient lies, look-ups on a scan's grid, the truth of a pair."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid, transform_points
from regenv.core.resample import label_resample
from regenv.data.anatomy.anatomy import Anatomy
from regenv.data.anatomy.shapes import rotation
from regenv.data.anatomy.tissues import ORGAN_NAMES
from regenv.data.pair import Truth

TILT_DEG = 10.0
"""Largest angle about each axis by which the patient lies differently in the second scan."""


def tilt(rng: np.random.Generator, most_deg: float = TILT_DEG) -> NDArray[np.float64]:
    """A rotation of up to ``most_deg`` about each axis."""
    return rotation(*(float(a) for a in rng.uniform(-most_deg, most_deg, 3)))


def labels_and_body(
    anatomy: Anatomy, grid: Grid, transform: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Organ labels and body mask on a grid, whose points ``transform`` maps into the anatomy."""
    # the body rides on the labels' highest bit: one look-up for both
    both = label_resample(anatomy.organ | (anatomy.body.astype(np.uint8) << 7), anatomy.grid, grid, transform)
    return (both & 127).astype(np.uint8), both >= 128


def in_mask(mask: NDArray[np.bool_], grid: Grid, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the voxel nearest to each physical point ``(N, d)`` is in a mask."""
    index = np.rint(transform_points(grid.physical_to_index, points)).astype(int)
    inside = np.all((index >= 0) & (index < grid.size), axis=1)
    index = np.where(inside[:, None], index, 0)
    return np.asarray(inside & mask[tuple(index.T[::-1])], dtype=np.bool_)


def mask_lattice(mask: NDArray[np.bool_], grid: Grid, spacing_mm: float) -> NDArray[np.float64]:
    """Points ``(N, d)`` mm of a lattice about the grid's centre whose nearest voxel lies in the mask."""
    half = np.asarray(grid.extent) / 2
    axes = [spacing_mm * np.arange(-np.floor(h / spacing_mm), np.floor(h / spacing_mm) + 1) for h in half]
    local = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, grid.ndim)
    index = np.rint(local / np.asarray(grid.spacing) + (np.asarray(grid.size) - 1) / 2).astype(np.int64)
    index = np.clip(index, 0, np.asarray(grid.size) - 1)
    local = local[mask[tuple(index[:, ::-1].T)]]
    return np.asarray(local @ grid.direction.T + grid.centre)


def fit_affine(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine matrix ``(d + 1, d + 1)`` that brings points ``(N, d)`` nearest to others, in the least squares."""
    d = source.shape[1]
    matrix = np.eye(d + 1)
    matrix[:d] = np.linalg.lstsq(np.column_stack([source, np.ones(len(source))]), target, rcond=None)[0].T
    return matrix


def beyond_alignment(
    grid: Grid, alignment: NDArray[np.float64], local: NDArray[np.float64], matched: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What a linear alignment leaves of a correspondence: the displacement of :class:`regenv.data.recipe.Recipe`.

    Args:
        grid: Of the fixed scan.
        alignment: ``(d + 1, d + 1)``, fixed to moving.
        local: Points ``(N, d)`` in mm along the grid's axes about its centre.
        matched: Where they belong, ``(N, d)`` physical points of the moving scan.

    Returns:
        ``(N, d)`` mm along the grid's axes.
    """
    return transform_points(np.linalg.inv(alignment @ grid.frame), matched) - local


def truth_of(
    points: Mapping[str, NDArray[np.float64]],
    grids: tuple[Grid, Grid],
    labels: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    to_fixed: NDArray[np.float64] | None = None,
    to_moving: NDArray[np.float64] | None = None,
    label_names: Mapping[int, str] = ORGAN_NAMES,
) -> Truth:
    """The truth of two scans of one subject, with the landmarks that lie in both masks.

    Args:
        points: Landmarks ``(d,)`` by name in the anatomy's mm.
        grids: Of the fixed and the moving scan.
        labels: Of both.
        masks: Of both.
        to_fixed: ``(d + 1, d + 1)`` from the anatomy to where the fixed scan shows it; default the identity.
        to_moving: The same of the moving scan.
        label_names: Name of each label.
    """
    d = grids[0].ndim
    first, second = (np.eye(d + 1) if matrix is None else matrix for matrix in (to_fixed, to_moving))
    names, where = list(points), np.array(list(points.values())).reshape(-1, d)
    fixed, moving = transform_points(first, where), transform_points(second, where)
    seen = in_mask(masks[0], grids[0], fixed) & in_mask(masks[1], grids[1], moving)
    return Truth(
        transform=second @ np.linalg.inv(first),
        landmarks_fixed=fixed[seen],
        landmarks_moving=moving[seen],
        landmark_names=tuple(name for name, kept in zip(names, seen, strict=True) if kept),
        labels_fixed=labels[0],
        labels_moving=labels[1],
        label_names=label_names,
    )
