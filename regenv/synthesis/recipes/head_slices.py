"""Axial MR and CT slices of head and neck of one patient: a 2-D similarity problem between modalities.

This is the problem of Sun et al., ACCV 2018, and Hu et al., Med. Image Anal. 68 (2021) 101878, whose slices show the
nasopharynx and its surroundings. The fixed image is an MR slice (T1 or T2 by spin echo), the moving one a CT slice of
the same plane, turned within it. The CT's pixel size is known but for a few per cent, as of an image that comes
without its header, so that the true transform is a similarity and not a rigid motion.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.region import HEAD_LEVELS, head_slab
from regenv.synthesis.anatomy.shapes import rotation
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.physics.ct import oblique_ct
from regenv.synthesis.physics.mr import mr
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._scans import Scan, labels_and_body, linear_pair

VERSION = 1
"""Raised whenever the same seed gives other images."""

_NAME = "head_slices"
_ANATOMY_MM = 1.6
_THICKNESS_MM = 8.0
"""Of the slab that is built, more than any slice covers."""
_TURN_DEG = 15.0
"""Largest angle by which the moving slice is turned within its plane."""
_FIELD_MM = (200.0, 240.0)
"""Range of a slice's width."""

# what centres are landmarks: name, organ, tissue, and whether there is one on either side
_CENTRES: tuple[tuple[str, Organ | None, Tissue | None, bool], ...] = (
    ("spinal_canal", Organ.SPINAL_CANAL, None, False),
    ("airway", Organ.TRACHEA, None, False),
    ("vertebra", Organ.SPINE, None, False),
    ("brain", Organ.BRAIN, None, False),
    ("mandible", Organ.MANDIBLE, None, True),
    ("artery", None, Tissue.ARTERY, True),
    ("vein", None, Tissue.VEIN, True),
    ("gland", None, Tissue.GLAND, True),
    ("eye", Organ.NONE, Tissue.FLUID, True),
)


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """One slice of one subject in two modalities.

    Args:
        seed: The subject, and with it the level of the slice.
        modalities: Of the fixed and the moving image: ``"t1"``, ``"t2"`` or ``"ct"``.
        field_of_view: ``"head_and_neck"`` for any level, or one of :data:`regenv.synthesis.anatomy.region.HEAD_LEVELS`.

    Returns:
        A 2-D pair; the true transform is a similarity and exact.
    """
    draw = case_generator(_NAME, seed, "level")
    names = tuple(HEAD_LEVELS)
    name = names[int(draw.choice(len(names), p=(0.2, 0.4, 0.2, 0.2)))]
    anatomy = head_slab(
        seed,
        _ANATOMY_MM,
        float(draw.uniform(*HEAD_LEVELS[name if field_of_view == "head_and_neck" else field_of_view])),
        _THICKNESS_MM,
    )
    scale = float(np.clip(np.exp(draw.normal(0, 0.04)), 0.9, 1.1))
    turn = float(draw.uniform(-_TURN_DEG, _TURN_DEG))
    scans = []
    for role, modality in zip(("fixed", "moving"), modalities, strict=True):
        rng = case_generator(_NAME, seed, field_of_view, role, modality)
        slice_grid = _slice_grid(anatomy, rng, rotation(rz=turn if role == "moving" else 0.0))
        image = _scan(anatomy, modality, slice_grid, rng)
        organ, body = labels_and_body(anatomy, slice_grid)
        scans.append(Scan(image, organ[0], body[0]))
    fixed, moving = scans
    moving = replace(moving, image=replace(moving.image, grid=_rescaled(moving.grid, scale)))
    to_moving = np.eye(3)
    to_moving[:2, :2] *= scale
    to_moving[:2, 2] = (1 - scale) * moving.grid.centre
    return linear_pair(fixed, moving, _centres(anatomy), to_moving=to_moving)


def _slice_grid(anatomy: Anatomy, rng: np.random.Generator, axes: NDArray[np.float64]) -> Grid:
    """One slice in the middle of the slab, about the middle of the head."""
    middle = anatomy.grid.size[2] // 2
    rows, columns = np.nonzero(anatomy.body[middle])
    centre = np.asarray(anatomy.grid.origin) + np.asarray(anatomy.grid.spacing) * [
        np.median(columns),
        0.5 * (rows.min() + rows.max()),
        (anatomy.grid.size[2] - 1) / 2,
    ]
    centre[:2] += rng.uniform(-6, 6, 2)
    pixel, field = float(rng.uniform(1.3, 2.0)), float(rng.uniform(*_FIELD_MM))
    return Grid.centred((int(field / pixel), int(1.08 * field / pixel), 1), (pixel, pixel, 3.0), centre, axes)


def _scan(anatomy: Anatomy, modality: str, grid: Grid, rng: np.random.Generator) -> Image:
    """The slice in one modality, as a 2-D image in the slice's plane."""
    thickness = float(rng.uniform(2.5, 4.0) if modality == "ct" else rng.uniform(3.5, 5.0))
    grid = Grid(grid.size, (*grid.spacing[:2], thickness), grid.origin, grid.direction)
    if modality == "ct":
        image = oblique_ct(anatomy, rng, grid)
    else:
        sequence = {"t1": "t1_se", "t2": "t2_fs" if rng.random() < 0.4 else "t2"}[modality]
        image = mr(anatomy, rng, sequence, grid, fwhm_mm=float(rng.uniform(1.2, 2.2)))
    plane = Grid(grid.size[:2], grid.spacing[:2], grid.origin[:2], grid.direction[:2, :2])
    return Image(image.array[0], plane, image.modality, image.background)


def _rescaled(grid: Grid, scale: float) -> Grid:
    """The grid as a header describes it whose pixel size is off by a factor; its middle stays."""
    return Grid.centred(grid.size, [s * scale for s in grid.spacing], grid.centre, grid.direction)


def _centres(anatomy: Anatomy) -> dict[str, NDArray[np.float64]]:
    """Centres ``(x, y)`` in mm of what lies in the slab's middle, left and right apart; the body's own first."""
    middle = anatomy.grid.size[2] // 2
    organ, tissue, body = anatomy.organ[middle], anatomy.tissue[middle], anatomy.body[middle]
    half = float(np.median(np.nonzero(body)[1]))
    found = {}
    parts = [("head", body, False)]
    for name, part, kind, paired in _CENTRES:
        inside = np.ones_like(body) if part is None else organ == part
        parts.append((name, inside if kind is None else inside & (tissue == kind), paired))
    for name, inside, paired in parts:
        rows, columns = np.nonzero(inside)
        sides = [("", np.ones(len(rows), bool))]
        if paired:
            sides = [("_right", columns < half), ("_left", columns > half)]
        for side, chosen in sides:
            if chosen.sum() >= 6:
                index = np.array([columns[chosen].mean(), rows[chosen].mean()])
                found[name + side] = np.asarray(anatomy.grid.origin[:2]) + index * np.asarray(anatomy.grid.spacing[:2])
    return found


RECIPE = Recipe(
    name="head_slices",
    version=VERSION,
    modalities=("t1", "t2", "ct"),
    fields_of_view=("head_and_neck", *HEAD_LEVELS),
    make=make,
    ndim=2,
    crop_fixed=0.0,
    mirrors=True,
)
