"""MR and CT of one patient's pelvis or lumbar spine, rigid.

As before radiotherapy or spinal surgery: T2 or T1 MR by spin echo and a planning CT, in which the patient lies up to 10
degrees differently about each axis. The true transform is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.image import Image
from regenv.data.anatomy.anatomy import Anatomy
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair, Truth
from regenv.data.recipe import Recipe
from regenv.data.recipes._pelvis import axial_grid, trunk_scan
from regenv.data.recipes._prostate import names_of
from regenv.data.recipes._trunk_scans import in_mask, labels_and_body, tilt

VERSION = 2
_MM = {"pelvis": 3.5, "spine": 3.0}
_HEIGHT_MM = {"pelvis": 250.0, "spine": 215.0}


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """One patient scanned twice, each time by ``"t2"``, ``"t1"`` or ``"ct"``."""
    anatomy = _anatomy(seed, field_of_view)
    centre = _centre(anatomy, field_of_view)
    images: list[Image] = []
    scans: list[tuple[NDArray[np.uint8], NDArray[np.bool_]]] = []
    for role, modality in zip(("fixed", "moving"), modalities, strict=True):
        rng = case_generator("pelvis", seed, field_of_view, role, modality)
        grid = axial_grid(modality, rng, centre, tilt(rng), _HEIGHT_MM[field_of_view])
        images.append(trunk_scan(anatomy, modality, rng, grid))
        scans.append(labels_and_body(anatomy, grid))
    marks = np.array(list(anatomy.landmarks.values()))
    seen = np.all([in_mask(scan[1], image.grid, marks) for scan, image in zip(scans, images, strict=True)], axis=0)
    truth = Truth(
        transform=np.eye(4),
        landmarks_fixed=marks[seen],
        landmarks_moving=marks[seen],
        landmark_names=tuple(name for name, kept in zip(anatomy.landmarks, seen, strict=True) if kept),
        labels_fixed=scans[0][0],
        labels_moving=scans[1][0],
        label_names=names_of(scans[0][0], scans[1][0]),
    )
    return ImagePair("", "", images[0], images[1], scans[0][1], scans[1][1], truth)


def _anatomy(seed: int, field_of_view: str) -> Anatomy:
    """The patient, painted a little finer than the view."""
    if field_of_view == "spine":
        from regenv.data.anatomy.torso import torso

        return torso(seed, _MM["spine"], "spine")
    from regenv.data.anatomy.pelvis import pelvis

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
)
