"""T2 MR and transrectal ultrasound of one prostate, rigid.

The ultrasound volume is taken by a side-fire probe on a stepper or an end-fire probe that is turned, and lies along the
probe's axes; the T2 slices are tilted a few degrees against the patient. The probe's sheath takes the place of what the
rectum holds, but nothing moves: the true transform is exact.
"""

from __future__ import annotations

import numpy as np

from regenv.data.pair import ImagePair, Truth
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._scans import common_names
from regenv.synthesis.recipes._trus import ANATOMY_MM, draw_probe, scan_grid, scanned

VERSION = 2


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """One man seen twice.

    Args:
        seed: The man.
        modalities: Of the fixed and the moving image, ``"us"`` or ``"t2"``.
        field_of_view: ``"prostate"``.

    Returns:
        The pair in the man's own space: the true transform is the identity.
    """
    from regenv.synthesis.anatomy.prostate import ProstateSubject, prostate

    anatomy, warp = prostate(seed, ANATOMY_MM), ProstateSubject(seed).warp
    scans = []
    for role, modality in zip(("fixed", "moving"), modalities, strict=True):
        key = ("prostate_trus", seed, role, modality)
        probe = draw_probe(key, warp)
        scans.append(scanned(anatomy, warp, key, modality, scan_grid(key, modality, probe), probe))
    fixed, moving = scans
    points = np.array(list(anatomy.landmarks.values()))
    truth = Truth(
        transform=np.eye(4),
        landmarks_fixed=points,
        landmarks_moving=points.copy(),
        landmark_names=tuple(anatomy.landmarks),
        labels_fixed=fixed.labels,
        labels_moving=moving.labels,
        label_names=common_names(fixed, moving),
    )
    return ImagePair("", "", fixed.image, moving.image, fixed.mask, moving.mask, truth)


RECIPE = Recipe(
    name="prostate_trus",
    version=VERSION,
    modalities=("us", "t2"),
    fields_of_view=("prostate",),
    make=make,
    crop_fixed=0.08,
    crop_moving=0.08,
    mirrors=True,
)
