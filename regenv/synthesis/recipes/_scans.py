"""What recipes of every part of the body share: how a patient lies, what a scan shows, the pair that two scans make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.core.labels import label_resample
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair, Truth
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.points import lattice, nearest
from regenv.synthesis.anatomy.shapes import rotation
from regenv.synthesis.anatomy.tissues import ORGAN_NAMES
from regenv.synthesis.physics.scan import Displace

State = TypeVar("State")

TILT_DEG = 10.0
"""Largest angle about each axis by which the patient lies differently in the second scan."""


def tilt(rng: np.random.Generator, most_deg: float = TILT_DEG) -> FloatArray:
    """A rotation ``(3, 3)`` of up to ``most_deg`` about each axis."""
    return rotation(*(float(a) for a in rng.uniform(-most_deg, most_deg, 3)))


def either_way(recipe: str, seed: int, fixed: State, moving: State) -> tuple[State, State]:
    """What belongs to two states of a subject as ``(fixed, moving)``; of half of the subjects the other way round.

    If a heart always contracted from the moving to the fixed image, and lungs always filled, the truth would have one
    sign, and a policy that contracts without looking at the images would earn most of what an oracle does. Of the
    seeds ``2 k`` and ``2 k + 1`` one is turned round, so that a few subjects are balanced too; which one is drawn.

    Args:
        recipe: Name of the recipe.
        seed: The subject.
        fixed: Of the state that is fixed by default: an image, points, a map from it to the other.
        moving: The same of the other state.
    """
    couple, place = divmod(seed, 2)
    turned = case_generator("either way", recipe, couple).integers(2) == place
    return (moving, fixed) if turned else (fixed, moving)


@dataclass(frozen=True, eq=False)
class Scan:
    """One image of a pair, and what is known of its voxels.

    Attributes:
        image: What the scanner gives.
        labels: Organ of each voxel, ``grid.shape``; 0 for none.
        mask: Where similarity and TRE count, ``grid.shape``.
    """

    image: Image
    labels: NDArray[np.uint8]
    mask: NDArray[np.bool_]

    @property
    def grid(self) -> Grid:
        """The image's voxels."""
        return self.image.grid

    def shows(self, points: FloatArray) -> NDArray[np.bool_]:
        """Whether the voxel nearest to each physical point ``(N, d)`` mm is in the mask."""
        return nearest(self.mask, self.grid, points)


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Named points of both scans.

    Attributes:
        names: ``N`` names.
        fixed: ``(N, d)`` physical points in mm.
        moving: ``(N, d)``, row by row the same anatomical points.
    """

    names: tuple[str, ...]
    fixed: FloatArray
    moving: FloatArray

    @classmethod
    def common(cls, fixed: Mapping[str, FloatArray], moving: Mapping[str, FloatArray]) -> Landmarks:
        """Those that both subjects have, given as points ``(d,)`` by name; at least one."""
        names = tuple(name for name in fixed if name in moving)
        return cls(names, np.array([fixed[name] for name in names]), np.array([moving[name] for name in names]))

    def where(self, kept: NDArray[np.bool_]) -> Landmarks:
        """Some of them, by a mask ``(N,)``."""
        names = tuple(name for name, keep in zip(self.names, kept, strict=True) if keep)
        return Landmarks(names, self.fixed[kept], self.moving[kept])

    def shown(self, fixed: Scan, moving: Scan) -> Landmarks:
        """Those that lie in the masks of both scans."""
        return self.where(fixed.shows(self.fixed) & moving.shows(self.moving))


def labels_and_body(
    anatomy: Anatomy,
    grid: Grid,
    transform: FloatArray | None = None,
    displace: Displace | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Organ labels and body mask of an anatomy on a scan's grid.

    Args:
        anatomy: The subject at rest.
        grid: The scan's voxels.
        transform: ``(4, 4)``, from the scan's physical points into the anatomy; default the identity.
        displace: Instead of it, where points ``(N, 3)`` of the scan lie in the anatomy.
    """
    # the body rides on the labels' highest bit: one look-up for both
    both = anatomy.organ | (anatomy.body.astype(np.uint8) << 7)
    if displace is None:
        found = label_resample(both, anatomy.grid, grid, transform)
    else:
        found = nearest(both, anatomy.grid, displace(grid.points().reshape(-1, 3))).reshape(grid.shape)
    return (found & 127).astype(np.uint8), found >= 128


def common_names(fixed: Scan, moving: Scan) -> dict[int, str]:
    """Names of the organs that both scans show, by label."""
    shown = (set(np.unique(scan.labels).tolist()) for scan in (fixed, moving))
    return {label: ORGAN_NAMES[label] for label in sorted(set.intersection(*shown) - {0})}


def mask_lattice(mask: NDArray[np.bool_], grid: Grid, spacing_mm: float) -> FloatArray:
    """Points on which the TRE of a displacement is measured: a lattice about the grid's centre, within a mask.

    :func:`regenv.core.points.lattice_points` is the lattice of truths that are matrices. This one, whose points are
    kept with the pair, reaches to the faces of the outermost voxels and is never refined.

    Args:
        mask: ``grid.shape``; the voxel nearest to a point decides.
        grid: Of the fixed scan; the lattice runs along its axes.
        spacing_mm: Distance between neighbours.

    Returns:
        ``(N, d)`` physical points in mm.
    """
    local = _grid_lattice(grid, spacing_mm)
    index = np.rint(local / np.asarray(grid.spacing) + (np.asarray(grid.size) - 1) / 2).astype(np.int64)
    index = np.clip(index, 0, np.asarray(grid.size) - 1)
    return transform_points(grid.frame, local[mask[tuple(index[:, ::-1].T)]])


def inner_lattice(mask: NDArray[np.bool_], grid: Grid, spacing_mm: float) -> FloatArray:
    """As :func:`mask_lattice`, without the points whose voxel lies at the mask's border."""
    from scipy.ndimage import binary_erosion

    points = transform_points(grid.frame, _grid_lattice(grid, spacing_mm))
    return points[nearest(binary_erosion(mask), grid, points)]


def _grid_lattice(grid: Grid, spacing_mm: float) -> FloatArray:
    """Every ``spacing_mm`` from a grid's centre to its faces: ``(N, d)`` mm along the grid's axes about its centre."""
    half = np.asarray(grid.extent) / 2
    return lattice(*(spacing_mm * np.arange(-np.floor(h / spacing_mm), np.floor(h / spacing_mm) + 1) for h in half))


def fit_affine(source: FloatArray, target: FloatArray) -> FloatArray:
    """The affine matrix ``(d + 1, d + 1)`` that brings points ``(N, d)`` nearest to others, in the least squares."""
    d = source.shape[1]
    matrix = np.eye(d + 1)
    matrix[:d] = np.linalg.lstsq(np.column_stack([source, np.ones(len(source))]), target, rcond=None)[0].T
    return matrix


def beyond_alignment(grid: Grid, alignment: FloatArray, local: ArrayLike, matched: FloatArray) -> FloatArray:
    """What a linear alignment leaves of a correspondence: the displacement of :class:`regenv.synthesis.recipe.Recipe`.

    Args:
        grid: Of the fixed scan.
        alignment: ``(d + 1, d + 1)``, fixed to moving.
        local: Points ``(N, d)`` in mm along the grid's axes about its centre.
        matched: Where they belong, ``(N, d)`` physical points of the moving scan.

    Returns:
        ``(N, d)`` mm along the grid's axes.
    """
    left: FloatArray = transform_points(np.linalg.inv(alignment @ grid.frame), matched) - np.asarray(local, np.float64)
    return left


def linear_pair(
    fixed: Scan,
    moving: Scan,
    points: Mapping[str, FloatArray],
    to_fixed: FloatArray | None = None,
    to_moving: FloatArray | None = None,
    label_names: Mapping[int, str] = ORGAN_NAMES,
) -> ImagePair:
    """Two scans of one subject whose truth is a matrix, with the landmarks that lie in both masks.

    Args:
        fixed: The fixed scan.
        moving: The moving scan.
        points: Landmarks ``(d,)`` by name in the anatomy's mm.
        to_fixed: ``(d + 1, d + 1)`` from the anatomy to where the fixed scan shows it; default the identity.
        to_moving: The same of the moving scan.
        label_names: Name of each label.
    """
    d = fixed.grid.ndim
    first, second = (np.eye(d + 1) if matrix is None else matrix for matrix in (to_fixed, to_moving))
    where = np.array(list(points.values())).reshape(-1, d)
    marks = Landmarks(tuple(points), transform_points(first, where), transform_points(second, where))
    marks = marks.shown(fixed, moving)
    truth = Truth(
        transform=second @ np.linalg.inv(first),
        landmarks_fixed=marks.fixed,
        landmarks_moving=marks.moving,
        landmark_names=marks.names,
        labels_fixed=fixed.labels,
        labels_moving=moving.labels,
        label_names=label_names,
    )
    return ImagePair("", "", fixed.image, moving.image, fixed.mask, moving.mask, truth)


def deformed_pair(
    fixed: Scan,
    moving: Scan,
    points: tuple[FloatArray, FloatArray],
    alignment: FloatArray,
    landmarks: Landmarks | None = None,
    label_names: Mapping[int, str] = ORGAN_NAMES,
) -> ImagePair:
    """Two scans whose truth is a displacement after a linear alignment.

    Args:
        fixed: The fixed scan.
        moving: The moving scan.
        points: Exact correspondences on which the TRE is measured: ``(N, d)`` physical points of the fixed scan and,
            row by row, where they belong in the moving one.
        alignment: ``(d + 1, d + 1)``, fixed to moving, which an environment is given.
        landmarks: Named points, where there are any.
        label_names: Name of each label.
    """
    truth = Truth(
        landmarks_fixed=None if landmarks is None else landmarks.fixed,
        landmarks_moving=None if landmarks is None else landmarks.moving,
        landmark_names=() if landmarks is None else landmarks.names,
        labels_fixed=fixed.labels,
        labels_moving=moving.labels,
        label_names=label_names,
        points_fixed=points[0],
        points_moving=points[1],
    )
    return ImagePair("", "", fixed.image, moving.image, fixed.mask, moving.mask, truth, alignment)
