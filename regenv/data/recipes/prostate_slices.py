"""Axial T2 slices of the prostates of two men, in two dimensions.

Both slices lie at one template height and every man's warp acts within his slice alone, so that the truth is exact: no
tissue leaves the plane. What the men do not share (nodules, tumours, the content of the rectum) has no counterpart, as
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
_SLICE_MM = 3.0
_ANATOMY_MM = 1.0
_POINTS_MM = 4.5


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Two men's slices at the height that the seed draws."""
    from regenv.data.anatomy.prostate import prostate
    from regenv.data.modality.mr import mr
    from regenv.data.modality.scan import flat

    level, men = _level(seed), _men(seed)
    images: list[Image] = []
    labels: list[NDArray[np.uint8]] = []
    for role, subject in enumerate(_subjects(seed)):
        anatomy = prostate(subject, _ANATOMY_MM, (64.0, 64.0, 2.5), level)
        rng = case_generator("prostate_slices", seed, ("fixed", "moving")[role])
        plane = _grid(seed, role)
        image = mr(anatomy, rng, "t2", plane, float(rng.uniform(0.8, 1.1)), _SLICE_MM, relaxation=RELAXATION)
        images.append(flat(image))
        labels.append(organ_labels(anatomy, plane)[0])
    masks = [region_mask(warp, _grid(seed, role))[0] for role, warp in enumerate((men.fixed, men.moving))]
    grid = images[0].grid
    points = lattice(HALF_VIEW_MM, _POINTS_MM, 2) + grid.centre
    points = points[region(men.fixed, np.column_stack([points, np.zeros(len(points))]))]
    names, marks = _landmarks(men, level)
    truth = Truth(
        landmarks_fixed=marks,
        landmarks_moving=men.transform(marks),
        landmark_names=names,
        labels_fixed=labels[0],
        labels_moving=labels[1],
        label_names=names_of(*labels),
        points_fixed=points,
        points_moving=men.transform(points),
    )
    alignment = men.alignment(HALF_VIEW_MM)
    return ImagePair("", "", images[0], images[1], masks[0], masks[1], truth, alignment)


def displacement(seed: int, field_of_view: str, local: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the alignment leaves, see :class:`regenv.data.recipe.Recipe`."""
    from regenv.data.modality.scan import flat_grid

    return _men(seed).displacement(flat_grid(_grid(seed, 0)).frame, HALF_VIEW_MM, local)


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


def _landmarks(men: Men, level: float) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """The gland's outermost points in the fixed man's slice, and the front of his rectum."""
    from regenv.data.anatomy.prostate import RECTUM, gland_distance

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
    return names, men.fixed.to_subject(np.array(found))[:, :2]


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
