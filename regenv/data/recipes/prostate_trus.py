"""T2 MR and transrectal ultrasound of one prostate, rigid.

The ultrasound volume is taken by a side-fire probe on a stepper or an end-fire probe that is turned, and lies along the
probe's axes; the T2 slices are tilted a few degrees against the patient. The probe's sheath takes the place of what the
rectum holds, but nothing moves: the true transform is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.image import Image
from regenv.data.pair import ImagePair, Truth
from regenv.data.recipe import Recipe
from regenv.data.recipes._prostate import names_of, organ_labels, region_mask
from regenv.data.recipes._trus import ANATOMY_MM, draw_probe, scan_grid, t2_scan, us_scan

VERSION = 2


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """One man seen twice, by ``"us"`` or ``"t2"``."""
    from regenv.data.anatomy.prostate import ProstateSubject, prostate
    from regenv.data.modality.us import us_sector

    anatomy, warp = prostate(seed, ANATOMY_MM), ProstateSubject(seed).warp
    images: list[Image] = []
    masks: list[NDArray[np.bool_]] = []
    labels: list[NDArray[np.uint8]] = []
    for role, modality in zip(("fixed", "moving"), modalities, strict=True):
        key = ("prostate_trus", seed, role, modality)
        probe = draw_probe(key, warp)
        grid = scan_grid(key, modality, probe)
        mask = region_mask(warp, grid)
        if modality == "us":
            images.append(us_scan(anatomy, key, grid, probe))
            mask &= us_sector(grid, probe)
        else:
            images.append(t2_scan(anatomy, key, grid))
        masks.append(mask)
        labels.append(organ_labels(anatomy, grid))
    points = np.array(list(anatomy.landmarks.values()))
    truth = Truth(
        transform=np.eye(4),
        landmarks_fixed=points,
        landmarks_moving=points.copy(),
        landmark_names=tuple(anatomy.landmarks),
        labels_fixed=labels[0],
        labels_moving=labels[1],
        label_names=names_of(*labels),
    )
    return ImagePair("", "", images[0], images[1], masks[0], masks[1], truth)


RECIPE = Recipe(
    name="prostate_trus",
    version=VERSION,
    modalities=("us", "t2"),
    fields_of_view=("prostate",),
    make=make,
    crop_fixed=0.08,
    crop_moving=0.08,
)
