"""MR of two people's brains: which point of one is which of the other, up to an affine map and beyond it."""

from __future__ import annotations

from dataclasses import dataclass

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.brains import BrainSubject, brain
from regenv.synthesis.physics.mr import mr
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._brain_scans import (
    LABEL_NAMES,
    MODALITIES,
    best_affine,
    correspond,
    faded,
    head_grid,
    labels_and_masks,
    middle,
    sequence,
    template_points,
)
from regenv.synthesis.recipes._scans import Landmarks, Scan, beyond_alignment, deformed_pair, tilt

VERSION = 3
"""Raised whenever the same seed gives other images."""

_NAME = "brain_between"
_ANATOMY_MM = 2.4
_POINTS_MM = 17.0
"""Spacing of the lattice, in the template, on which the TRE is measured."""
_OTHER = 1_000_000
"""Added to a seed: the subject that the moving image shows."""


@dataclass(frozen=True)
class _Geometry:
    """What a case is but for its images."""

    fixed: BrainSubject
    moving: BrainSubject
    grid: Grid
    points_fixed: FloatArray
    points_moving: FloatArray
    alignment: FloatArray


def _geometry(seed: int) -> _Geometry:
    fixed, moving = BrainSubject.draw(seed), BrainSubject.draw(seed + _OTHER)
    grid = head_grid(case_generator(_NAME, seed, "grid"), middle(fixed))
    points = template_points(_POINTS_MM)
    here, there = fixed.warp.to_subject(points), moving.warp.to_subject(points)
    return _Geometry(fixed, moving, grid, here, there, best_affine(here, there))


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Two subjects of one template.

    Args:
        seed: The case; it draws both subjects.
        modalities: Of the fixed and the moving scan, of ``t1``, ``t2``, ``pd``, ``flair``.
        field_of_view: ``"head"``.

    Returns:
        The pair in the subjects' own spaces, with exact correspondences over the brain and the affine map that is
        nearest to them as its alignment.
    """
    del field_of_view
    geometry = _geometry(seed)
    scans, marks = [], []
    for role, subject, modality in zip(("fixed", "moving"), (geometry.fixed, geometry.moving), modalities, strict=True):
        rng = case_generator(_NAME, seed, role, modality)
        anatomy = brain(subject, _ANATOMY_MM)
        grid = geometry.grid
        if role == "moving":
            grid = head_grid(rng, middle(subject) + rng.normal(0, 4, 3), tilt(rng))
        image = mr(anatomy, rng, sequence(modality, rng), grid)
        structures, _, skull = labels_and_masks(anatomy, grid)
        scans.append(Scan(image, structures, skull))
        marks.append(anatomy.landmarks)
    fixed, moving = scans
    points = geometry.points_fixed, geometry.points_moving
    return deformed_pair(fixed, moving, points, geometry.alignment, Landmarks.common(*marks), LABEL_NAMES)


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """The true displacement beyond the alignment at local points ``(N, 3)``, mm; it fades outside the head."""
    del field_of_view
    geometry = _geometry(seed)
    matched = correspond(geometry.fixed, geometry.moving, transform_points(geometry.grid.frame, local))
    return faded(beyond_alignment(geometry.grid, geometry.alignment, local, matched), local)


RECIPE = Recipe(
    name=_NAME,
    version=VERSION,
    modalities=MODALITIES,
    fields_of_view=("head",),
    make=make,
    displacement=displacement,
    crop_fixed=0.0,
)
