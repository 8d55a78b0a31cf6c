"""MR of two people's brains: which point of one is which of the other, up to an affine map and beyond it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid, transform_points
from regenv.data.anatomy.brains import BrainSubject, brain
from regenv.data.frames import case_generator
from regenv.data.modality.mr import mr
from regenv.data.pair import ImagePair, Truth
from regenv.data.recipe import Recipe
from regenv.data.recipes._brain_scans import (
    LABEL_NAMES,
    MODALITIES,
    FloatArray,
    best_affine,
    correspond,
    faded,
    head_grid,
    labels_and_masks,
    middle,
    sequence,
    template_points,
)
from regenv.data.recipes._scans import beyond_alignment, tilt

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
    images, labels, masks, marks = [], [], [], []
    for role, subject, modality in zip(("fixed", "moving"), (geometry.fixed, geometry.moving), modalities, strict=True):
        rng = case_generator(_NAME, seed, role, modality)
        anatomy = brain(subject, _ANATOMY_MM)
        grid = geometry.grid
        if role == "moving":
            grid = head_grid(rng, middle(subject) + rng.normal(0, 4, 3), tilt(rng))
        images.append(mr(anatomy, rng, sequence(modality, rng), grid))
        structures, _, skull = labels_and_masks(anatomy, grid)
        labels.append(structures)
        masks.append(skull)
        marks.append(anatomy.landmarks)
    names = [name for name in marks[0] if name in marks[1]]
    truth = Truth(
        points_fixed=geometry.points_fixed,
        points_moving=geometry.points_moving,
        landmarks_fixed=np.array([marks[0][name] for name in names]),
        landmarks_moving=np.array([marks[1][name] for name in names]),
        landmark_names=tuple(names),
        labels_fixed=labels[0],
        labels_moving=labels[1],
        label_names=LABEL_NAMES,
    )
    return ImagePair("", "", images[0], images[1], masks[0], masks[1], truth, alignment=geometry.alignment)


def displacement(seed: int, field_of_view: str, local: NDArray[np.float64]) -> NDArray[np.float64]:
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
