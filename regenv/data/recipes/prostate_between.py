"""T2 MR of the prostates of two men.

The men agree in template coordinates (:mod:`regenv.data.anatomy.prostate`), so that the place of every point of the
one is known in the other. What they do not share (nodules, tumours, the content of the rectum) has no counterpart, as
between real men.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair, Truth
from regenv.data.recipe import Recipe
from regenv.data.recipes._prostate import RELAXATION, Men, lattice, names_of, organ_labels, region, region_mask

VERSION = 2
HALF_VIEW_MM = 44.0
_ANATOMY_MM = 1.5
_POINTS_MM = 9.0


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Two men, each scanned once."""
    from regenv.data.anatomy.prostate import prostate
    from regenv.data.modality.mr import mr

    men = _men(seed)
    images: list[Image] = []
    labels: list[NDArray[np.uint8]] = []
    landmarks = []
    for role, subject in enumerate(_subjects(seed)):
        anatomy = prostate(subject, _ANATOMY_MM)
        rng = case_generator("prostate_between", seed, ("fixed", "moving")[role])
        images.append(mr(anatomy, rng, "t2", _grid(seed, role), float(rng.uniform(0.9, 1.3)), relaxation=RELAXATION))
        labels.append(organ_labels(anatomy, images[-1].grid))
        landmarks.append(anatomy.landmarks)
    masks = [region_mask(warp, image.grid) for warp, image in zip((men.fixed, men.moving), images, strict=True)]
    points = lattice(HALF_VIEW_MM, _POINTS_MM)
    points = points[region(men.fixed, points)]
    names = tuple(name for name in landmarks[0] if name in landmarks[1])
    truth = Truth(
        landmarks_fixed=np.array([landmarks[0][name] for name in names]),
        landmarks_moving=np.array([landmarks[1][name] for name in names]),
        landmark_names=names,
        labels_fixed=labels[0],
        labels_moving=labels[1],
        label_names=names_of(*labels),
        points_fixed=points,
        points_moving=men.transform(points),
    )
    return ImagePair("", "", images[0], images[1], masks[0], masks[1], truth, men.alignment(HALF_VIEW_MM))


def displacement(seed: int, field_of_view: str, local: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the alignment leaves, see :class:`regenv.data.recipe.Recipe`."""
    return _men(seed).displacement(_grid(seed, 0).frame, HALF_VIEW_MM, local)


def _subjects(seed: int) -> tuple[int, int]:
    return 2 * seed, 2 * seed + 1


def _men(seed: int) -> Men:
    return Men.of(_subjects(seed))


def _grid(seed: int, role: int) -> Grid:
    """Axial slices of about 3 mm over the gland."""
    rng = case_generator("prostate_between", seed, role, "grid")
    pixel, thickness = float(rng.uniform(0.9, 1.2)), float(rng.uniform(2.8, 3.4))
    size = (*(int(np.ceil(112.0 / pixel)),) * 2, int(np.ceil(104.0 / thickness)))
    return Grid.centred(size, (pixel, pixel, thickness), rng.normal(0.0, 1.5, 3))


RECIPE = Recipe(
    name="prostate_between",
    version=VERSION,
    modalities=("t2",),
    fields_of_view=("prostate",),
    make=make,
    displacement=displacement,
    crop_fixed=0.0,
    crop_moving=0.0,
)
