"""One thick MR slice, or a stack of three, at an unknown place in a volume of the same head.

As where a plan is made on the last volume and the patient has moved since, and where a fetus moves between the slices
of a stack and each has to find its own place (Rousseau et al., Acad. Radiol. 13 (2006) 1072-1081).
"""

from __future__ import annotations

import numpy as np

from regenv.core.geometry import FloatArray, Grid
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair, Truth
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.brains import BrainSubject, brain
from regenv.synthesis.anatomy.fetus import RELAXATION, fetus
from regenv.synthesis.physics.mr import mr
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._brain_scans import (
    LABEL_NAMES,
    MODALITIES,
    head_grid,
    labels_and_masks,
    middle,
    sequence,
)
from regenv.synthesis.recipes._scans import tilt

VERSION = 4
"""Raised whenever the same seed gives other images."""

_NAME = "slice_volume"
_ADULT_MM, _FETAL_MM = 2.4, 1.8


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """A slice and a volume of one head.

    Args:
        seed: The subject.
        modalities: Of the slice and of the volume, of ``t1``, ``t2``, ``pd``, ``flair``.
        field_of_view: ``"adult"`` (one slice), ``"fetal"`` (one slice) or ``"stack"`` (three slices of an adult).

    Returns:
        The pair in the subject's own space: the true transform is the identity.
    """
    rngs = [case_generator(_NAME, field_of_view, seed, role) for role in ("fixed", "moving")]
    anatomy, centre = _subject(seed, field_of_view)
    relaxation = RELAXATION if field_of_view == "fetal" else None
    grids = _slices(rngs[0], centre, field_of_view), _volume(rngs[1], centre, field_of_view)
    thick = (_thickness(grids[0], field_of_view), grids[1].spacing[2])
    images, labels, masks = [], [], []
    for rng, modality, grid, slice_mm in zip(rngs, modalities, grids, thick, strict=True):
        images.append(mr(anatomy, rng, sequence(modality, rng), grid, 1.2, slice_mm, relaxation=relaxation))
        structures, head, _ = labels_and_masks(anatomy, grid)
        labels.append(structures)
        masks.append(head)
    truth = Truth(transform=np.eye(4), labels_fixed=labels[0], labels_moving=labels[1], label_names=LABEL_NAMES)
    return ImagePair("", "", images[0], images[1], masks[0], masks[1], truth, slice_mm=thick[0])


def _subject(seed: int, field_of_view: str) -> tuple[Anatomy, FloatArray]:
    """The anatomy and the middle of its brain."""
    if field_of_view == "fetal":
        return fetus(seed, _FETAL_MM), np.array([0.0, 2.0, 0.0])
    subject = BrainSubject.draw(seed)
    return brain(subject, _ADULT_MM), middle(subject)


def _slices(rng: np.random.Generator, centre: FloatArray, field_of_view: str) -> Grid:
    """Axial, coronal or sagittal slices, turned by up to 20 degrees about each axis, away from the middle."""
    pixel, thick = float(rng.uniform(1.6, 2.4)), float(rng.uniform(4.0, 6.0))
    extent, count, off = 210.0, 1, 26.0
    if field_of_view == "fetal":
        pixel, thick, extent, off = float(rng.uniform(1.2, 1.8)), float(rng.uniform(3.0, 4.5)), 140.0, 16.0
    elif field_of_view == "stack":
        # gaps between the slices as wide as they are, or twice that
        thick, count, off = thick * float(rng.uniform(2.0, 3.0)), 3, 14.0
    orders = ([0, 1, 2], [0, 2, 1], [1, 2, 0])
    axes = np.eye(3)[:, orders[int(rng.integers(3))]]
    # right-handed
    axes[:, 2] *= np.linalg.det(axes)
    direction = tilt(rng, 20.0) @ axes
    size = int(np.ceil(extent / pixel))
    place = centre + direction[:, 2] * rng.uniform(-off, off) + rng.normal(0, 3, 3)
    return Grid.centred((size, size, count), (pixel, pixel, thick), place, direction)


def _thickness(grid: Grid, field_of_view: str) -> float:
    """How much of the distance between slices each of them covers, mm."""
    return grid.spacing[2] * (0.4 if field_of_view == "stack" else 1.0)


def _volume(rng: np.random.Generator, centre: FloatArray, field_of_view: str) -> Grid:
    """The volume's voxels, nearly isotropic; the head lies up to 10 degrees differently."""
    place = centre + rng.normal(0, 4, 3)
    if field_of_view == "fetal":
        return head_grid(rng, place, tilt(rng), (150.0, 150.0, 140.0), (1.4, 1.9), (1.4, 2.2))
    return head_grid(rng, place, tilt(rng), (196.0, 222.0, 190.0), (2.0, 2.5), (2.0, 2.8))


RECIPE = Recipe(
    name=_NAME,
    version=VERSION,
    modalities=MODALITIES,
    fields_of_view=("adult", "fetal", "stack"),
    make=make,
    crop_moving=0.05,
    mirrors=True,
)
