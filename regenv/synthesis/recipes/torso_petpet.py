"""FDG-PET of one trunk before and months after treatment: an affine problem.

The scan from before (moving) is brought to the follow-up (fixed). The patient has gained or lost weight: the follow-up
shows the anatomy stretched by a few per cent and sheared a little, and he lies up to 10 degrees differently. What
organs take up differs from day to day, and tumours have answered to the treatment, or not, or are new.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import transform_points
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.lesions import Lesion, draw_lesions
from regenv.synthesis.anatomy.region import trunk
from regenv.synthesis.physics.pet import draw_uptake, pet
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._scans import Scan, labels_and_body, linear_pair, tilt
from regenv.synthesis.recipes.torso_ctpet import scan_grid

VERSION = 1
"""Raised whenever the same seed gives other images."""

_NAME = "torso_petpet"
_ANATOMY_MM = 4.0


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """One subject scanned on two days.

    Args:
        seed: The subject.
        modalities: ``("pet", "pet")``.
        field_of_view: ``"torso"``.

    Returns:
        The pair, the moving image in the subject's own space; the true transform is affine and exact.
    """
    del field_of_view
    anatomy = trunk(seed, _ANATOMY_MM)
    first, second = (case_generator(_NAME, seed, day) for day in ("first", "second"))
    change = weight_change(case_generator(_NAME, seed, "change"), anatomy.grid.centre)
    back = np.asarray(np.linalg.inv(change), dtype=np.float64)
    lesions = draw_lesions(anatomy, first)
    uptake = draw_uptake(first)
    voxels = (4.0, 5.0), (4.0, 5.0)
    moving = pet(
        anatomy,
        first,
        scan_grid(anatomy, first, tilt(case_generator(_NAME, seed, "tilt")), *voxels),
        lesions,
        uptake=uptake,
    )
    fixed = pet(
        anatomy,
        second,
        scan_grid(anatomy, second, np.eye(3), *voxels),
        _after_treatment(anatomy, lesions, second),
        lambda points: transform_points(back, points),
        uptake=draw_uptake(second, before=uptake),
    )
    after = Scan(fixed, *labels_and_body(anatomy, fixed.grid, back))
    before = Scan(moving, *labels_and_body(anatomy, moving.grid))
    return linear_pair(after, before, anatomy.landmarks, to_fixed=change)


def weight_change(rng: np.random.Generator, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """An affine map ``(4, 4)`` about a point: girth by some per cent, height hardly, shear of a changed posture."""
    girth = rng.normal(0, 0.035)
    stretch = np.exp(
        np.clip([girth + rng.normal(0, 0.015), girth + rng.normal(0, 0.02), rng.normal(0, 0.01)], -0.1, 0.1)
    )
    shear = np.triu(rng.uniform(-0.03, 0.03, (3, 3)), 1)
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag(stretch) + shear
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre
    return matrix


def _after_treatment(anatomy: Anatomy, before: tuple[Lesion, ...], rng: np.random.Generator) -> tuple[Lesion, ...]:
    """The lesions months later: gone, shrunken and cooler, much the same, or grown; seldom a new one."""
    later = []
    for lesion in before:
        answer = rng.random()
        if answer < 0.25:
            continue
        size, heat = (rng.uniform(0.5, 0.9), rng.uniform(0.3, 0.8)) if answer < 0.6 else rng.uniform(0.9, 1.3, 2)
        a, b, c = (float(max(r * size, 2.0)) for r in lesion.radii)
        later.append(replace(lesion, radii=(a, b, c), uptake=float(lesion.uptake * heat)))
    if rng.random() < 0.25:
        later.extend(draw_lesions(anatomy, rng, most=2))
    return tuple(later)


RECIPE = Recipe(
    name="torso_petpet",
    version=VERSION,
    modalities=("pet",),
    fields_of_view=("torso",),
    make=make,
)
