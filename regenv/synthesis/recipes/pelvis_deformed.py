"""MR and CT of one patient's pelvis or lumbar spine that has changed in between.

Of the pelvis bladder and rectum have filled or emptied. The CT shows the patient as painted; the MR another day: the
bladder's dome is up to about 15 mm higher or lower, the rectum wider or narrower, the belly and the buttocks pressed
differently, as between days of radiotherapy (Muren, Smaaland and Dahl, Radiother. Oncol. 69 (2003) 291-304; Thor et
al., Acta Oncol. 52 (2013) 1345-1352). Bones stay. The spine is bent otherwise, see
``regenv.synthesis.recipes._lumbar``. At a point x of the MR lies the tissue that is at ``x + u(x)`` in the CT, so that
the truth is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.pelvic_organs import BLADDER_MM, RECTUM_MM
from regenv.synthesis.anatomy.pelvis import PelvisSubject
from regenv.synthesis.anatomy.points import cube, nearest
from regenv.synthesis.anatomy.swelling import Bump, displaced
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._lumbar import Lying, lying
from regenv.synthesis.recipes._pelvis import axial_grid, trunk_scan
from regenv.synthesis.recipes._scans import Landmarks, Scan, common_names, deformed_pair, labels_and_body

VERSION = 2
_NAME = "pelvis_deformed"
_ANATOMY_MM = {"pelvis": 3.5, "spine": 3.0}
_REGIONS_MM = ((46.0, 40.0, 50.0), (28.0, 26.0, 52.0))
"""Half-axes of the regions about bladder and rectum in which similarity and TRE count."""


@dataclass(frozen=True, eq=False)
class Day:
    """One patient on the day of the MR.

    Attributes:
        bumps: What moved, as displacements from that day to the day of the CT.
        grid: Voxels of the fixed image.
        centre: Of the pelvis.
        organs: Middles of bladder and rectum at rest.
    """

    bumps: tuple[Bump, ...]
    grid: Grid
    centre: FloatArray
    organs: tuple[FloatArray, FloatArray]

    spacing_mm = 12.0
    """Of the lattice on which the TRE is measured."""

    def at_rest(self, points: FloatArray) -> FloatArray:
        """Where the tissue at points ``(N, 3)`` of the fixed image lies in the moving one."""
        return displaced(self.bumps, points)

    def region(self, grid: Grid) -> NDArray[np.bool_]:
        """The voxels near the organs."""
        points = grid.points()
        near = np.zeros(grid.shape, bool)
        for middle, radii in zip(self.organs, _REGIONS_MM, strict=True):
            near |= (((points - middle) / np.asarray(radii)) ** 2).sum(axis=-1) < 1.0
        return near

    def moving_grid(self, modality: str, rng: np.random.Generator) -> Grid:
        """Axial slices."""
        return axial_grid(modality, rng, self.centre, np.eye(3), 250.0)


def day(seed: int, modality: str = "t2") -> Day:
    """Draws how one patient is on the day of the MR."""
    warp = PelvisSubject.of(seed).warp
    rng = case_generator(_NAME, seed, "motion")
    places = np.array([BLADDER_MM, RECTUM_MM, (0.0, -92.0, 86.0), (0.0, 108.0, 0.0), (0.0, 0.0, 12.0)])
    bladder, rectum, belly, seat, middle = warp.to_subject(places)
    fill, gas = (float(rng.choice([-1.0, 1.0]) * rng.uniform(*span)) for span in ((0.3, 0.68), (0.25, 0.5)))
    bumps = (
        # the bladder grows upward: its neck is held
        Bump(
            (bladder[0], bladder[1], bladder[2] + 18.0),
            (55.0, 46.0, 80.0),
            (-0.6 * fill, -0.55 * fill, -0.5 * fill),
            (0.0, 0.0, -17.0 * fill),
            True,
        ),
        Bump(tuple(rectum), (36.0, 32.0, 64.0), (-gas, -gas, 0.0), (0.0, 5.0 * gas, 0.0), True),
        Bump(tuple(belly), (80.0, 34.0, 60.0), push=(0.0, float(rng.uniform(-7, 7)), 0.0), compact=True),
        Bump(tuple(seat), (120.0, 34.0, 90.0), push=(0.0, float(rng.uniform(-5, 5)), 0.0), compact=True),
    )
    grid_rng = case_generator(_NAME, seed, "fixed", "grid")
    grid = axial_grid(modality, grid_rng, middle, np.eye(3), 250.0)
    return Day(bumps, grid, middle, (bladder + np.array([0.0, 0.0, 8.0]), rectum))


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """The patient of another day and the one at rest.

    Args:
        seed: The patient.
        modalities: Of the fixed and the moving scan, ``"t2"``, ``"t1"`` or ``"ct"``.
        field_of_view: ``"pelvis"`` or ``"spine"``.

    Returns:
        The pair in the patient's own space; the alignment is the identity, what moved is to be found.
    """
    anatomy, today = _anatomy(seed, field_of_view), _today(seed, field_of_view)
    rng = case_generator(_NAME, seed, "moving", "grid")
    grids = (today.grid, today.moving_grid(modalities[1], rng))
    scans, bodies = [], []
    for role, modality, grid, moved in zip(("fixed", "moving"), modalities, grids, (today.at_rest, None), strict=True):
        image = trunk_scan(anatomy, modality, case_generator(_NAME, seed, role, modality), grid, moved)
        labels, body = labels_and_body(anatomy, grid, displace=moved)
        scans.append(Scan(image, labels, body & today.region(grid)))
        bodies.append(body)
    fixed, moving = scans
    points = cube(7.0 * today.spacing_mm, today.spacing_mm) + today.centre
    points = points[fixed.shows(points)]
    rest = np.array(list(anatomy.landmarks.values()))
    marks = Landmarks(tuple(anatomy.landmarks), _back(today, rest), rest)
    marks = marks.where(nearest(bodies[0], grids[0], marks.fixed) & nearest(bodies[1], grids[1], marks.moving))
    names = common_names(fixed, moving)
    return deformed_pair(fixed, moving, (points, today.at_rest(points)), np.eye(4), marks, names)


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """How far the tissue at local points is away in the CT, see :class:`regenv.synthesis.recipe.Recipe`."""
    today = _today(seed, field_of_view)
    points = transform_points(today.grid.frame, local)
    return (today.at_rest(points) - points) @ today.grid.direction


def _anatomy(seed: int, field_of_view: str) -> Anatomy:
    """The patient at rest."""
    if field_of_view == "spine":
        from regenv.synthesis.anatomy.loin import loin

        return loin(seed, _ANATOMY_MM["spine"])
    from regenv.synthesis.anatomy.pelvis import pelvis

    return pelvis(seed, _ANATOMY_MM["pelvis"])


def _today(seed: int, field_of_view: str) -> Day | Lying:
    """The patient on the day of the MR."""
    return lying(_NAME, seed) if field_of_view == "spine" else day(seed)


def _back(today: Day | Lying, points: FloatArray) -> FloatArray:
    """Where points of the patient at rest lie on the day of the MR, by fixed-point iteration with half steps."""
    found = points.copy()
    for _ in range(80):
        found = 0.5 * (found + points - (today.at_rest(found) - found))
    return found


RECIPE = Recipe(
    name=_NAME,
    version=VERSION,
    modalities=("t2", "t1", "ct"),
    fields_of_view=("pelvis", "spine"),
    make=make,
    displacement=displacement,
    crop_fixed=0.0,
    crop_moving=0.0,
)
