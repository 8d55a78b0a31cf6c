"""PET and CT of one trunk, taken on two scanners: a rigid problem between function and form.

The fixed image is an FDG-PET, the moving one a CT, diagnostic or of low dose. The patient lies up to 10 degrees
differently about each axis in the second scan. Tumours are hot in the PET and show in the CT as nodules.
"""

from __future__ import annotations

import numpy as np

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.lesions import Lesion, draw_lesions, with_lesions
from regenv.synthesis.anatomy.region import trunk
from regenv.synthesis.physics.ct import oblique_ct
from regenv.synthesis.physics.pet import pet
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._scans import Scan, labels_and_body, linear_pair, tilt

VERSION = 1
"""Raised whenever the same seed gives other images."""

_NAME = "torso_ctpet"
_ANATOMY_MM = 4.0


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """One subject scanned twice.

    Args:
        seed: The subject.
        modalities: Of the fixed and the moving image, ``"pet"`` or ``"ct"``.
        field_of_view: ``"torso"``.

    Returns:
        The pair in the subject's own space; the true transform is the identity.
    """
    del field_of_view
    anatomy = trunk(seed, _ANATOMY_MM)
    lesions = draw_lesions(anatomy, case_generator(_NAME, seed, "lesions"))
    anatomy = with_lesions(anatomy, lesions)
    scans = []
    for role, modality in zip(("fixed", "moving"), modalities, strict=True):
        rng = case_generator(_NAME, seed, role, modality)
        axes = np.eye(3) if role == "fixed" else tilt(case_generator(_NAME, seed, "tilt"))
        image = _scan(anatomy, lesions, modality, axes, rng)
        scans.append(Scan(image, *labels_and_body(anatomy, image.grid)))
    fixed, moving = scans
    return linear_pair(fixed, moving, anatomy.landmarks)


def _scan(
    anatomy: Anatomy, lesions: tuple[Lesion, ...], modality: str, axes: np.ndarray, rng: np.random.Generator
) -> Image:
    """One scan along the given axes of the scanner."""
    if modality == "pet":
        return pet(anatomy, rng, scan_grid(anatomy, rng, axes, (4.0, 5.0), (4.0, 5.0)), lesions)
    low_dose = bool(rng.random() < 0.5)
    return oblique_ct(anatomy, rng, scan_grid(anatomy, rng, axes, (3.2, 4.0), (3.5, 5.0)), low_dose)


def scan_grid(
    anatomy: Anatomy,
    rng: np.random.Generator,
    axes: np.ndarray,
    pixel_mm: tuple[float, float],
    slice_mm: tuple[float, float],
) -> Grid:
    """A scan's voxels over most of a trunk, off its centre by a few mm, with room for the table behind the patient.

    Args:
        anatomy: The trunk.
        rng: Draws spacings, length and shift.
        axes: ``(3, 3)``, directions of the grid's axes as columns.
        pixel_mm: Range of the in-plane spacing.
        slice_mm: Range of the distance between slices.
    """
    pixel, thickness = float(rng.uniform(*pixel_mm)), float(rng.uniform(*slice_mm))
    field = np.array([min(anatomy.grid.extent[0] + 24, 424.0), min(anatomy.grid.extent[1] + 60, 340.0)])
    length = min(float(rng.uniform(270, 315)), anatomy.grid.extent[2] - 100)
    size = (*(int(n) for n in np.ceil(field / pixel)), int(length / thickness))
    # towards the back, where the table is, and along the body
    shift = np.array([0.0, 12.0, 0.0]) + rng.uniform(-1, 1, 3) * [8, 6, 10]
    return Grid.centred(size, (pixel, pixel, thickness), anatomy.grid.centre + axes @ shift, axes)


RECIPE = Recipe(
    name="torso_ctpet",
    version=VERSION,
    modalities=("pet", "ct"),
    fields_of_view=("torso",),
    make=make,
)
