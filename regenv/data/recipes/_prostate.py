"""What the families of prostate images share: the region that counts, scans, correspondence between men."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.core.resample import label_resample, resample
from regenv.data.anatomy.anatomy import Anatomy
from regenv.data.anatomy.prostate import ProstateSubject, gland_distance
from regenv.data.anatomy.swelling import PlaneWarp, SwollenWarp
from regenv.data.anatomy.tissues import ORGAN_NAMES, Organ, Tissue
from regenv.data.modality.relaxation import Relaxation

Points = NDArray[np.float64]

REGION_MM = 10.0
"""Similarity and TRE count up to this far from the gland."""

RELAXATION = {Tissue.CANCELLOUS: Relaxation((380, 430), (115, 100), 0.62, fat=0.7, coarse=0.08, fine=0.14)}
"""The marrow of an adult's pelvis is mostly fat."""

ORGANS = (Organ.PROSTATE, Organ.CENTRAL_GLAND, Organ.BLADDER, Organ.RECTUM)


def region(warp: SwollenWarp, points: Points, reach_mm: float = REGION_MM) -> NDArray[np.bool_]:
    """Whether subject points ``(..., 3)`` lie within ``reach_mm`` of the gland."""
    flat = np.ascontiguousarray(points.reshape(-1, 3))
    x, y, z = warp.to_template(flat).astype(np.float32).T
    return np.asarray(gland_distance(x, y, z) < reach_mm).reshape(points.shape[:-1])


def region_mask(warp: SwollenWarp, grid: Grid, moved: Callable[[Points], Points] | None = None) -> NDArray[np.bool_]:
    """:func:`region` on the voxels of a grid, of which ``moved`` says where they lie in the subject at rest.

    The distance is interpolated between points 2.5 mm apart.
    """
    coarse = Grid.centred((41, 41, 41 if not isinstance(warp, PlaneWarp) else 3), (2.5, 2.5, 2.5))
    distance = Image(gland_distance(*warp.template_coordinates(coarse)), coarse, "distance", 99.0)
    if moved is None:
        return np.asarray(resample(distance, grid)[0] < REGION_MM)
    index = transform_points(coarse.physical_to_index, moved(grid.points().reshape(-1, 3)))
    values = map_coordinates(distance.array, index[:, ::-1].T, order=1, cval=99.0)
    return np.asarray(values < REGION_MM).reshape(grid.shape)


def names_of(*labels: NDArray[np.uint8]) -> dict[int, str]:
    """Names of the organs that every one of these label maps shows."""
    common = set.intersection(*({int(v) for v in np.unique(array)} for array in labels)) - {0}
    return {value: ORGAN_NAMES[value] for value in sorted(common)}


def lattice(reach_mm: float, step_mm: float, ndim: int = 3) -> Points:
    """A regular lattice ``(N, ndim)`` over a cube of half-width ``reach_mm`` about the origin."""
    count = int(reach_mm / step_mm)
    axis = step_mm * np.arange(-count, count + 1.0)
    return np.stack(np.meshgrid(*[axis] * ndim, indexing="ij"), axis=-1).reshape(-1, ndim)


def affine_fit(start: Points, stop: Points) -> Points:
    """The affine matrix ``(d + 1, d + 1)`` that brings ``start (N, d)`` nearest to ``stop``."""
    d = start.shape[1]
    matrix = np.eye(d + 1)
    solution = np.linalg.lstsq(np.column_stack([start, np.ones(len(start))]), stop, rcond=None)[0]
    matrix[:d] = solution.T
    return matrix


def organ_labels(anatomy: Anatomy, grid: Grid, moved: Callable[[Points], Points] | None = None) -> NDArray[np.uint8]:
    """The gland's zones, bladder and rectum on a grid; ``moved`` as in :func:`region_mask`."""
    kept = np.where(np.isin(anatomy.organ, [int(o) for o in ORGANS]), anatomy.organ, 0).astype(np.uint8)
    if moved is None:
        return np.asarray(label_resample(kept, anatomy.grid, grid), dtype=np.uint8)
    points = moved(grid.points().reshape(-1, 3))
    index = np.rint(transform_points(anatomy.grid.physical_to_index, points)).astype(int)
    inside = np.all((index >= 0) & (index < np.asarray(anatomy.grid.size)), axis=1)
    out = np.zeros(len(points), np.uint8)
    out[inside] = kept[tuple(index[inside].T[::-1])]
    return out.reshape(grid.shape)


@dataclass(frozen=True, eq=False)
class Men:
    """Two men, and where each point of the first lies in the second.

    Attributes:
        fixed: Warp of the first.
        moving: Warp of the second.
        ndim: 2 where both are slabs that are warped within their plane.
    """

    fixed: SwollenWarp
    moving: SwollenWarp
    ndim: int = 3

    @classmethod
    def of(cls, seeds: tuple[int, int], level: float | None = None) -> Men:
        """The men of two seeds; with a ``level``, their slices at this template height."""
        first, second = (ProstateSubject(seed, level).warp for seed in seeds)
        return cls(first, second, 3 if level is None else 2)

    def transform(self, points: Points) -> Points:
        """Points ``(N, ndim)`` of the first man to those of the second."""
        full = np.zeros((len(points), 3))
        full[:, : self.ndim] = points
        return self.moving.to_subject(self.fixed.to_template(full))[:, : self.ndim]

    def alignment(self, half_view_mm: float) -> Points:
        """The least-squares affine over the view."""
        points = lattice(half_view_mm, half_view_mm / 4, self.ndim)
        return affine_fit(points, self.transform(points))

    def displacement(self, frame: Points, half_view_mm: float, local: Points) -> Points:
        """What is left of the transform after the alignment, in the axes of a fixed grid of this ``frame``."""
        inverse = np.linalg.inv(self.alignment(half_view_mm) @ frame)
        points = np.asarray(local, dtype=np.float64)
        return transform_points(inverse, self.transform(transform_points(frame, points))) - points
