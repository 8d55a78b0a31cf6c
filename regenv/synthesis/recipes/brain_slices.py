"""Axial MR slices of two people's brains at the same level, through the ventricles mostly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.brains import BrainSubject, brain, in_brain
from regenv.synthesis.anatomy.points import lattice
from regenv.synthesis.anatomy.shapes import rotation
from regenv.synthesis.physics.mr import mr
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._brain_scans import (
    CENTRE,
    LABEL_NAMES,
    MODALITIES,
    best_affine,
    correspond,
    faded,
    labels_and_masks,
    sequence,
)
from regenv.synthesis.recipes._scans import Scan, beyond_alignment, deformed_pair

VERSION = 3
"""Raised whenever the same seed gives other images."""

_NAME = "brain_slices"
_ANATOMY_MM = 1.7
_POINTS_MM = 9.0
"""Spacing of the lattice, in the template, on which the TRE is measured."""
_OTHER = 1_000_000
"""Added to a seed: the subject that the moving image shows."""
_TURN_DEG = 10.0
"""Largest angle by which the moving slice is turned within its plane."""
_EXTENT_MM = (186.0, 216.0)
"""Width and height of a slice."""


@dataclass(frozen=True)
class _Geometry:
    """What a case is but for its images; ``level`` is the slices' z in subject mm, the rest is two-dimensional."""

    fixed: BrainSubject
    moving: BrainSubject
    level: float
    grid: Grid
    points_fixed: FloatArray
    points_moving: FloatArray
    alignment: FloatArray


def _geometry(seed: int) -> _Geometry:
    fixed, moving = (BrainSubject.draw(s, in_plane=True) for s in (seed, seed + _OTHER))
    rng = case_generator(_NAME, seed, "grid")
    template_level = float(rng.uniform(-4.0, 34.0))
    level = template_level * float(fixed.warp.scale[2])
    points = lattice(np.arange(-70.0, 71.0, _POINTS_MM), np.arange(-76.0, 110.0, _POINTS_MM), [template_level])
    points = points[in_brain(points) < -1.0]
    here, there = (s.warp.to_subject(points)[:, :2] for s in (fixed, moving))
    grid = _grid(rng, fixed, template_level, 0.0)
    return _Geometry(fixed, moving, level, grid, here, there, best_affine(here, there))


def _grid(rng: np.random.Generator, subject: BrainSubject, template_level: float, turn_deg: float) -> Grid:
    """A slice's pixels as a 2-D grid in the subject's x and y."""
    pixel = float(rng.uniform(1.6, 2.2))
    centre = subject.warp.to_subject(np.array([CENTRE[0], CENTRE[1], template_level]))[0, :2]
    size = [int(np.ceil(e / pixel)) for e in _EXTENT_MM]
    return Grid.centred(size, (pixel, pixel), centre, rotation(rz=turn_deg)[:2, :2])


def _upright(grid: Grid, level: float, slice_mm: float) -> Grid:
    """The slice of that 2-D grid in 3-D space."""
    direction = np.eye(3)
    direction[:2, :2] = grid.direction
    return Grid((*grid.size, 1), (*grid.spacing, slice_mm), (*grid.origin, level), direction)


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Slices of two subjects whose shapes differ within the plane.

    Args:
        seed: The case; it draws both subjects and the level.
        modalities: Of the fixed and the moving slice, of ``t1``, ``t2``, ``pd``, ``flair``.
        field_of_view: ``"axial"``.

    Returns:
        A 2-D pair with exact correspondences over the brain, and the affine map nearest to them as its alignment.
    """
    del field_of_view
    geometry = _geometry(seed)
    scans = []
    for role, subject, modality in zip(("fixed", "moving"), (geometry.fixed, geometry.moving), modalities, strict=True):
        rng = case_generator(_NAME, seed, role, modality)
        slice_mm = float(rng.uniform(3.0, 5.0))
        around = (geometry.level - slice_mm / 2 - _ANATOMY_MM, geometry.level + slice_mm / 2 + _ANATOMY_MM)
        anatomy = brain(subject, _ANATOMY_MM, around)
        grid = geometry.grid
        if role == "moving":
            turn = float(rng.uniform(-_TURN_DEG, _TURN_DEG))
            grid = _grid(rng, subject, geometry.level / float(subject.warp.scale[2]), turn)
        upright = _upright(grid, geometry.level, slice_mm)
        seen = mr(anatomy, rng, sequence(modality, rng), upright)
        image = Image(seen.array[0], grid, seen.modality, seen.background)
        structures, _, skull = labels_and_masks(anatomy, upright)
        scans.append(Scan(image, structures[0], skull[0]))
    fixed, moving = scans
    points = geometry.points_fixed, geometry.points_moving
    return deformed_pair(fixed, moving, points, geometry.alignment, label_names=LABEL_NAMES)


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """The true displacement beyond the alignment at local points ``(N, 2)``, mm; it fades outside the head."""
    del field_of_view
    geometry = _geometry(seed)
    in_plane = transform_points(geometry.grid.frame, local)
    points = np.column_stack([in_plane, np.full(len(local), geometry.level)])
    matched = correspond(geometry.fixed, geometry.moving, points)[:, :2]
    return faded(beyond_alignment(geometry.grid, geometry.alignment, local, matched), local)


RECIPE = Recipe(
    name=_NAME,
    version=VERSION,
    modalities=MODALITIES,
    fields_of_view=("axial",),
    make=make,
    ndim=2,
    displacement=displacement,
    crop_fixed=0.0,
)
