"""What the recipes of the brain share: scan grids, sequences, labels and masks, points of the template."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray, Grid
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.brains import BrainSubject, in_brain
from regenv.synthesis.anatomy.points import lattice
from regenv.synthesis.anatomy.tissues import ORGAN_NAMES, Organ
from regenv.synthesis.recipes._scans import fit_affine

STRUCTURES = (
    *(Organ.CORTEX, Organ.WHITE_MATTER, Organ.DEEP_GREY),
    *(Organ.VENTRICLES, Organ.CEREBELLUM, Organ.BRAINSTEM),
)
"""Organs that count as labels."""

LABEL_NAMES = {int(organ): ORGAN_NAMES[int(organ)] for organ in STRUCTURES}
MODALITIES = ("t1", "t2", "pd", "flair")
CENTRE = np.array([0.0, 14.0, 6.0])
"""Middle of the brain in template mm."""


def sequence(modality: str, rng: np.random.Generator) -> str:
    """A pulse sequence of that contrast: T1 by gradient echo mostly, by spin echo now and then."""
    return "t1_se" if modality == "t1" and rng.random() < 0.25 else modality


def middle(subject: BrainSubject) -> FloatArray:
    """The middle of a subject's brain in its own mm."""
    centre: FloatArray = subject.warp.to_subject(CENTRE)[0]
    return centre


def head_grid(
    rng: np.random.Generator,
    centre: ArrayLike,
    direction: FloatArray | None = None,
    extent_mm: tuple[float, float, float] = (188.0, 214.0, 176.0),
    pixel_mm: tuple[float, float] = (2.0, 2.6),
    slice_mm: tuple[float, float] = (2.2, 4.0),
) -> Grid:
    """Voxels of a head scan about a point, slices along the third axis.

    Args:
        rng: Draws the spacings.
        centre: Middle of the scan ``(3,)``, mm.
        direction: ``(3, 3)`` directions of its axes, as columns; default the subject's.
        extent_mm: Width along its axes, rounded up to whole voxels.
        pixel_mm: Range of the in-plane spacing.
        slice_mm: Range of the distance between slices.
    """
    pixel, thick = float(rng.uniform(*pixel_mm)), float(rng.uniform(*slice_mm))
    spacing = (pixel, pixel, thick)
    size = [int(np.ceil(e / s)) for e, s in zip(extent_mm, spacing, strict=True)]
    return Grid.centred(size, spacing, np.asarray(centre, float), np.eye(3) if direction is None else direction)


def look_up(
    anatomy: Anatomy, points: FloatArray, shape: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """What an anatomy has at points, by the nearest voxel.

    Args:
        anatomy: On an axis-parallel grid.
        points: ``(N, 3)`` mm of the anatomy.
        shape: Of the results; their size is ``N``.

    Returns:
        Labels of :data:`STRUCTURES` (0 for all else), mask of the head, and mask of all that the skull holds.
    """
    grid = anatomy.grid
    index = np.floor((points - grid.origin) / np.asarray(grid.spacing) + 0.5).astype(np.int32)
    inside = np.all((index >= 0) & (index < grid.size), axis=1)
    flat = index[inside, 0] + grid.size[0] * (index[inside, 1] + np.int64(grid.size[1]) * index[inside, 2])
    organ, head = np.zeros(len(points), np.uint8), np.zeros(len(points), np.bool_)
    organ[inside] = anatomy.organ.ravel()[flat]
    head[inside] = anatomy.body.ravel()[flat]
    table = np.zeros(256, np.uint8)
    table[list(LABEL_NAMES)] = list(LABEL_NAMES)
    labels = table[organ]
    skull = (labels > 0) | (organ == Organ.BRAIN)
    return labels.reshape(shape), head.reshape(shape), skull.reshape(shape)


def labels_and_masks(anatomy: Anatomy, grid: Grid) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """:func:`look_up` on a grid."""
    return look_up(anatomy, grid.points().reshape(-1, 3), grid.shape)


@lru_cache(maxsize=4)
def template_points(step_mm: float) -> FloatArray:
    """A lattice of template points in the brain, ``(N, 3)``."""
    axes = [np.arange(low, high, step_mm) for low, high in ((-72, 73), (-80, 112), (-62, 84))]
    points = lattice(*axes)
    kept: FloatArray = points[in_brain(points) < -2.0]
    kept.setflags(write=False)
    return kept


def correspond(fixed: BrainSubject, moving: BrainSubject, points: FloatArray) -> FloatArray:
    """Where the template point at each physical point ``(N, 3)`` of the fixed subject lies in the moving one, mm."""
    template = (points + fixed.warp.displacement(points)) / fixed.warp.scale
    matched: FloatArray = moving.warp.to_subject(template, 20)
    return matched


def faded(displacement: FloatArray, offset: FloatArray) -> FloatArray:
    """A displacement that fades outside the head, where no image shows it and an affine map only extrapolates.

    Args:
        displacement: ``(N, d)``.
        offset: The points' offset from the middle of the brain, ``(N, d)`` mm.

    Returns:
        The same within the head, 0 far from it.
    """
    radius = np.linalg.norm(offset / np.array([80.0, 102.0, 85.0])[: offset.shape[1]], axis=1)
    t = np.clip((radius - 1.05) / 0.95, 0.0, 1.0)
    kept: FloatArray = displacement * (1.0 - t * t * (3.0 - 2.0 * t))[:, None]
    return kept


def best_affine(fixed: FloatArray, moving: FloatArray) -> FloatArray:
    """The ``(d + 1, d + 1)`` affine matrix that brings points nearest to their partners, in the least squares."""
    d, centre = fixed.shape[1], fixed.mean(axis=0)
    matrix = fit_affine(fixed - centre, moving)
    matrix[:d, d] -= matrix[:d, :d] @ centre
    return matrix
