"""Axial T2 slices of the prostates of two men, in two dimensions.

Both slices lie at one template height and every man's warp acts within his slice alone, so that the truth is exact: no
tissue leaves the plane. What the men do not share (nodules, tumours, the content of the rectum) has no counterpart, as
between real men.
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
_SLICE_MM = 3.0
_ANATOMY_MM = 1.0
_POINTS_MM = 4.5


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Two men's slices at the height that the seed draws.

    Args:
        seed: The case; it draws both men.
        modalities: ``("t2", "t2")``.
        field_of_view: ``"prostate"``.

    Returns:
        A 2-D pair, each slice in its own man's space, with exact correspondences about the gland and the affine map
        that is nearest to the truth as its alignment.
    """
    from regenv.synthesis.anatomy.prostate import prostate
    from regenv.synthesis.physics.mr import mr
    from regenv.synthesis.physics.scan import flat

    level, men = _level(seed), _men(seed)
    scans = []
    for role, (subject, warp) in enumerate(zip(_subjects(seed), (men.fixed, men.moving), strict=True)):
        anatomy = prostate(subject, _ANATOMY_MM, (64.0, 64.0, 2.5), level)
        rng = case_generator("prostate_slices", seed, ("fixed", "moving")[role])
        plane = _grid(seed, role)
        image = mr(anatomy, rng, "t2", plane, float(rng.uniform(0.8, 1.1)), _SLICE_MM, relaxation=RELAXATION)
        scans.append(Scan(flat(image), organ_labels(anatomy, plane)[0], region_mask(warp, plane)[0]))
    fixed, moving = scans
    points = cube(HALF_VIEW_MM, _POINTS_MM, 2) + fixed.grid.centre
    points = points[region(men.fixed, np.column_stack([points, np.zeros(len(points))]))]
    marks, names = _landmarks(men, level), common_names(fixed, moving)
    return deformed_pair(fixed, moving, (points, men.transform(points)), men.alignment(HALF_VIEW_MM), marks, names)


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """What the alignment leaves, see :class:`regenv.synthesis.recipe.Recipe`."""
    from regenv.synthesis.physics.scan import flat_grid

    return _men(seed).displacement(flat_grid(_grid(seed, 0)), HALF_VIEW_MM, local)


def _subjects(seed: int) -> tuple[int, int]:
    return 2 * seed, 2 * seed + 1


def _level(seed: int) -> float:
    """Template height of both slices: from a little above the apex to below the base."""
    return float(case_generator("prostate_slices", seed, "level").uniform(-9.0, 12.0))


def _men(seed: int) -> Men:
    return Men.of(_subjects(seed), _level(seed))


def _grid(seed: int, role: int) -> Grid:
    """The slice, ``(W, H, 1)``, centred near the gland."""
    rng = case_generator("prostate_slices", seed, role, "grid")
    pixel = float(rng.uniform(0.8, 1.0))
    count = int(np.ceil(112.0 / pixel))
    centre = (*rng.normal(0.0, 1.5, 2), 0.0)
    return Grid.centred((count, count, 1), (pixel, pixel, _SLICE_MM), centre)


def _landmarks(men: Men, level: float) -> Landmarks:
    """The gland's outermost points in the fixed man's slice, and the front of his rectum."""
    from regenv.synthesis.anatomy.prostate import RECTUM, gland_distance

    axis = np.arange(-30.0, 30.0, 0.5)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    inside = gland_distance(x.astype(np.float32), y.astype(np.float32), np.full(x.shape, level, np.float32)) < 0
    px, py = x[inside], y[inside]
    found = [(p[0], p[1], level) for p in (np.array([px[i], py[i]]) for i in (px.argmax(), px.argmin()))]
    middle = py[px == 0.0]
    found += [(0.0, middle.min(), level), (0.0, middle.max(), level)]
    centre, radius = (np.interp(level, RECTUM[:, 2], RECTUM[:, c]) for c in (1, 3))
    found.append((0.0, centre - radius - 3.0, level))
    names = ("gland_left", "gland_right", "gland_front", "gland_back", "rectum_front")
    fixed = men.fixed.to_subject(np.array(found))[:, :2]
    return Landmarks(names, fixed, men.transform(fixed))


RECIPE = Recipe(
    name="prostate_slices",
    version=VERSION,
    ndim=2,
    modalities=("t2",),
    fields_of_view=("prostate",),
    make=make,
    displacement=displacement,
    crop_fixed=0.0,
    crop_moving=0.0,
)
