"""MR and CT of one patient's pelvis or lumbar spine, rigid.

As before radiotherapy or spinal surgery: T2 or T1 MR by spin echo and a planning CT, in which the patient lies up to 10
degrees differently about each axis. The true transform is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._pelvis import axial_grid, trunk_scan
from regenv.synthesis.recipes._scans import Scan, common_names, labels_and_body, linear_pair, tilt

VERSION = 2
_MM = {"pelvis": 3.5, "spine": 3.0}
_HEIGHT_MM = {"pelvis": 250.0, "spine": 215.0}


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """One patient scanned twice.

    Args:
        seed: The patient.
        modalities: Of the fixed and the moving scan, ``"t2"``, ``"t1"`` or ``"ct"``.
        field_of_view: ``"pelvis"`` or ``"spine"``.

    Returns:
        The pair in the patient's own space: the true transform is the identity.
    """
    anatomy = _anatomy(seed, field_of_view)
    centre = _centre(anatomy, field_of_view)
    scans = []
    for role, modality in zip(("fixed", "moving"), modalities, strict=True):
        rng = case_generator("pelvis", seed, field_of_view, role, modality)
        grid = axial_grid(modality, rng, centre, tilt(rng), _HEIGHT_MM[field_of_view])
        scans.append(Scan(trunk_scan(anatomy, modality, rng, grid), *labels_and_body(anatomy, grid)))
    fixed, moving = scans
    return linear_pair(fixed, moving, anatomy.landmarks, label_names=common_names(fixed, moving))


def _anatomy(seed: int, field_of_view: str) -> Anatomy:
    """The patient, painted a little finer than the view."""
    if field_of_view == "spine":
        from regenv.synthesis.anatomy.torso import torso

        return torso(seed, _MM["spine"], "spine")
    from regenv.synthesis.anatomy.pelvis import pelvis

    return pelvis(seed, _MM["pelvis"])


def _centre(anatomy: Anatomy, field_of_view: str) -> NDArray[np.float64]:
    """What the scans are centred on."""
    if field_of_view == "spine":
        return np.asarray(anatomy.landmarks["L2_body"] + np.array([0.0, -18.0, 12.0]))
    heads = anatomy.landmarks["femoral_head_left"] + anatomy.landmarks["femoral_head_right"]
    return np.asarray(0.5 * heads + np.array([0.0, 4.0, 12.0]))


RECIPE = Recipe(
    name="pelvis",
    version=VERSION,
    modalities=("t2", "t1", "ct"),
    fields_of_view=("pelvis", "spine"),
    make=make,
    crop_fixed=0.1,
    crop_moving=0.1,
    mirrors=True,
)
