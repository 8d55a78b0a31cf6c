"""MR before and ultrasound during the removal of a brain tumour: the rigid problem of neuronavigation.

In the manner of the RESECT database (Xiao et al., Med. Phys. 44 (2017) 3875-3882): the fixed image is a volume of
ultrasound, swept over the opened dura before anything is removed, the moving one a T1 or FLAIR of the whole head. The
tumour is bright in FLAIR and in ultrasound; furrows and the falx are bright in ultrasound and ventricles dark.
"""

from __future__ import annotations

import numpy as np

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.glioma import Glioma, opened
from regenv.synthesis.physics.mr import mr
from regenv.synthesis.physics.us import Probe
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._brain_ultrasound import GLIOMA_MR, draw_probe, landmarks, patient, seen_brain, sweep
from regenv.synthesis.recipes._scans import Scan, linear_pair, tilt

VERSION = 1
"""Raised whenever the same seed gives other images."""

_NAME = "brain_us"


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """One patient in MR and in ultrasound.

    Args:
        seed: The patient.
        modalities: Of the fixed and the moving image: ``"us"``, ``"t1"``, ``"t2"`` or ``"flair"``.
        field_of_view: ``"brain"``.

    Returns:
        The pair in the patient's own space; the true transform is the identity.
    """
    del field_of_view
    anatomy, glioma = patient(_NAME, seed)
    scans = []
    for role, modality in zip(("fixed", "moving"), modalities, strict=True):
        rng = case_generator(_NAME, seed, role, modality)
        axes = np.eye(3) if role == "fixed" else tilt(case_generator(_NAME, seed, "tilt"))
        image, probe = _scan(anatomy, glioma, modality, axes, rng)
        scans.append(Scan(image, *seen_brain(anatomy, image.grid, probe)))
    fixed, moving = scans
    return linear_pair(fixed, moving, landmarks(anatomy, glioma))


def _scan(
    anatomy: Anatomy, glioma: Glioma, modality: str, axes: np.ndarray, rng: np.random.Generator
) -> tuple[Image, Probe | None]:
    """One scan, with the probe where there is one."""
    if modality == "us":
        probe = draw_probe(glioma, rng)
        return sweep(opened(anatomy, glioma), rng, probe, axes), probe
    voxel = float(rng.uniform(1.8, 2.2))
    # the calvaria and all of the brain; the face is cut off in front
    low, high = np.asarray(anatomy.grid.origin), np.asarray(anatomy.grid.origin) + anatomy.grid.extent
    centre = 0.5 * (low + high) + [0, 4, 12] + rng.uniform(-4, 4, 3)
    size = [int(n / voxel) for n in (176, 216, 172)]
    grid = Grid.centred(size, (voxel,) * 3, centre, axes)
    return mr(anatomy, rng, modality, grid, fwhm_mm=float(rng.uniform(1.0, 2.0)), relaxation=GLIOMA_MR), None


RECIPE = Recipe(
    name="brain_us",
    version=VERSION,
    modalities=("us", "t1", "t2", "flair"),
    fields_of_view=("brain",),
    make=make,
    crop_fixed=0.05,
    mirrors=True,
)
