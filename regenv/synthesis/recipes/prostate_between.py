"""T2 MR of the prostates of two men.

The men agree in template coordinates (:mod:`regenv.synthesis.anatomy.prostate`), so that the place of every point of
the one is known in the other. What they do not share (nodules, tumours, the content of the rectum) has no counterpart,
as between real men.
"""

from __future__ import annotations

import numpy as np

from regenv.core.geometry import FloatArray, Grid
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.points import cube
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._prostate import RELAXATION, Men, organ_labels, region, region_mask
from regenv.synthesis.recipes._scans import Landmarks, Scan, common_names, deformed_pair

VERSION = 2
HALF_VIEW_MM = 44.0
_ANATOMY_MM = 1.5
_POINTS_MM = 9.0


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Two men, each scanned once.

    Args:
        seed: The case; it draws both men.
        modalities: ``("t2", "t2")``.
        field_of_view: ``"prostate"``.

    Returns:
        The pair in the men's own spaces, with exact correspondences about the gland and the affine map that is nearest
        to the truth as its alignment.
    """
    from regenv.synthesis.anatomy.prostate import prostate
    from regenv.synthesis.physics.mr import mr

    men = _men(seed)
    scans, landmarks = [], []
    for role, (subject, warp) in enumerate(zip(_subjects(seed), (men.fixed, men.moving), strict=True)):
        anatomy = prostate(subject, _ANATOMY_MM)
        rng = case_generator("prostate_between", seed, ("fixed", "moving")[role])
        grid = _grid(seed, role)
        image = mr(anatomy, rng, "t2", grid, float(rng.uniform(0.9, 1.3)), relaxation=RELAXATION)
        scans.append(Scan(image, organ_labels(anatomy, grid), region_mask(warp, grid)))
        landmarks.append(anatomy.landmarks)
    fixed, moving = scans
    points = cube(HALF_VIEW_MM, _POINTS_MM)
    points = points[region(men.fixed, points)]
    marks, names = Landmarks.common(*landmarks), common_names(fixed, moving)
    return deformed_pair(fixed, moving, (points, men.transform(points)), men.alignment(HALF_VIEW_MM), marks, names)


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """What the alignment leaves, see :class:`regenv.synthesis.recipe.Recipe`."""
    return _men(seed).displacement(_grid(seed, 0), HALF_VIEW_MM, local)


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
