"""What the families of prostate images share: the region that counts, scans, correspondence between men."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.core.labels import label_resample
from regenv.core.resample import resample
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.points import cube, nearest
from regenv.synthesis.anatomy.prostate import ProstateSubject, gland_distance
from regenv.synthesis.anatomy.swelling import PlaneWarp, SwollenWarp
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.physics.relaxation import Relaxation
from regenv.synthesis.physics.scan import Displace
from regenv.synthesis.recipes._scans import beyond_alignment, fit_affine

REGION_MM = 10.0
"""Similarity and TRE count up to this far from the gland."""

RELAXATION = {Tissue.CANCELLOUS: Relaxation((380, 430), (115, 100), 0.62, fat=0.7, coarse=0.08, fine=0.14)}
"""The marrow of an adult's pelvis is mostly fat."""

ORGANS = (Organ.PROSTATE, Organ.CENTRAL_GLAND, Organ.BLADDER, Organ.RECTUM)


def region(warp: SwollenWarp, points: FloatArray, reach_mm: float = REGION_MM) -> NDArray[np.bool_]:
    """Whether subject points ``(..., 3)`` lie within ``reach_mm`` of the gland."""
    flat = np.ascontiguousarray(points.reshape(-1, 3))
    x, y, z = warp.to_template(flat).astype(np.float32).T
    return np.asarray(gland_distance(x, y, z) < reach_mm).reshape(points.shape[:-1])


def region_mask(warp: SwollenWarp, grid: Grid, moved: Displace | None = None) -> NDArray[np.bool_]:
    """:func:`region` on the voxels of a grid, of which ``moved`` says where they lie in the subject at rest.

    The distance is interpolated between points 2.5 mm apart.
    """
    from scipy.ndimage import map_coordinates

    coarse = Grid.centred((41, 41, 41 if not isinstance(warp, PlaneWarp) else 3), (2.5, 2.5, 2.5))
    distance = Image(gland_distance(*warp.template_coordinates(coarse)), coarse, "distance", 99.0)
    if moved is None:
        return np.asarray(resample(distance, grid)[0] < REGION_MM)
    index = transform_points(coarse.physical_to_index, moved(grid.points().reshape(-1, 3)))
    values = map_coordinates(distance.array, index[:, ::-1].T, order=1, cval=99.0)
    return np.asarray(values < REGION_MM).reshape(grid.shape)


def organ_labels(anatomy: Anatomy, grid: Grid, moved: Displace | None = None) -> NDArray[np.uint8]:
    """The gland's zones, bladder and rectum on a grid; ``moved`` as in :func:`region_mask`."""
    kept = np.where(np.isin(anatomy.organ, [int(o) for o in ORGANS]), anatomy.organ, 0).astype(np.uint8)
    if moved is None:
        return np.asarray(label_resample(kept, anatomy.grid, grid), dtype=np.uint8)
    return nearest(kept, anatomy.grid, moved(grid.points().reshape(-1, 3))).reshape(grid.shape)


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

    def transform(self, points: FloatArray) -> FloatArray:
        """FloatArray ``(N, ndim)`` of the first man to those of the second."""
        full = np.zeros((len(points), 3))
        full[:, : self.ndim] = points
        return self.moving.to_subject(self.fixed.to_template(full))[:, : self.ndim]

    def alignment(self, half_view_mm: float) -> FloatArray:
        """The least-squares affine over the view."""
        points = cube(half_view_mm, half_view_mm / 4, self.ndim)
        return fit_affine(points, self.transform(points))

    def displacement(self, grid: Grid, half_view_mm: float, local: FloatArray) -> FloatArray:
        """What is left of the transform after the alignment, at local points ``(N, ndim)`` of a fixed grid, mm."""
        matched = self.transform(transform_points(grid.frame, local))
        return beyond_alignment(grid, self.alignment(half_view_mm), local, matched)
