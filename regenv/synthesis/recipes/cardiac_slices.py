"""Cine MR of one beating heart in a single short-axis slice, between end-diastole and end-systole, in 2-D.

As :mod:`regenv.synthesis.recipes.cardiac`, with either of them fixed, at the level of the papillary muscles and with
motion in the slice only, so that the truth is exact in two dimensions: contraction, thickening and rotation, no tissue
that leaves the slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from regenv.core.geometry import FloatArray, Grid
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.points import nearest
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._scans import Landmarks, Scan, deformed_pair, either_way, mask_lattice
from regenv.synthesis.recipes.cardiac import FWHM_MM, cine_signal, received, surface_coil

VERSION = 4
_ANATOMY_MM = 1.4
_POINTS_MM = 6.0
"""Spacing of the lattice on which the TRE is measured."""


@dataclass(frozen=True)
class Plan:
    """Where one subject's slice lies: level and thickness in mm, turn in radians, centre and pixel in mm."""

    level: float
    thickness: float
    turn: float
    centre: FloatArray
    pixel: float

    @property
    def axes(self) -> FloatArray:
        """Directions of the image's axes in the heart's frame, as columns."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        return np.array([[c, -s], [s, c]])

    def grid(self) -> Grid:
        """Pixels of both images."""
        return Grid.centred((128, 128), (self.pixel, self.pixel), self.centre, self.axes)


def plan(seed: int) -> Plan:
    """Draws how a subject's slice is planned."""
    rng = case_generator("cardiac_slices", seed, "plan")
    return Plan(
        level=float(rng.uniform(-14.0, 14.0)),
        thickness=float(rng.choice([6.0, 8.0, 10.0])),
        turn=float(np.deg2rad(rng.uniform(-25.0, 25.0))),
        centre=np.array([rng.uniform(-14.0, -2.0), rng.uniform(-4.0, 6.0)]),
        pixel=float(rng.uniform(1.25, 1.45)),
    )


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """The beat at points ``(N, 2)`` along the fixed grid's axes about its centre, mm."""
    scan = plan(seed)
    points = np.asarray(local, dtype=np.float64) @ scan.axes.T + scan.centre
    return np.asarray((_to_moving(seed, points) - points) @ scan.axes)


def _to_moving(seed: int, points: FloatArray) -> FloatArray:
    """Where points ``(N, 2)`` of the fixed image belong in the moving one."""
    to_diastole, _ = either_way("cardiac_slices", seed, True, False)
    return _beat(seed, points, to_diastole)


def _beat(seed: int, points: FloatArray, to_diastole: bool) -> FloatArray:
    """In-plane motion of points ``(N, 2)`` of the slice."""
    from regenv.synthesis.anatomy.cardiac import heart_of
    from regenv.synthesis.anatomy.heartbeat import diastole, systole

    move = diastole if to_diastole else systole
    return move(_at_level(points, plan(seed).level), heart_of(seed), planar=True)[:, :2]


def _at_level(points: FloatArray, level: float) -> FloatArray:
    return np.column_stack([points, np.full(len(points), level)])


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Builds a heart, takes one slice of it and moves that.

    Args:
        seed: The heart.
        modalities: ``("mr", "mr")``.
        field_of_view: ``"heart"``.

    Returns:
        A 2-D pair in the slice's plane; the alignment is the identity, the beat what is to be found.
    """
    from regenv.synthesis.anatomy.cardiac import heart_landmarks, heart_of, organ_at, short_axis
    from regenv.synthesis.anatomy.tissues import ORGAN_NAMES, Organ
    from regenv.synthesis.physics.scan import scan

    where = plan(seed)
    half = where.thickness / 2
    anatomy = short_axis(seed, _ANATOMY_MM, (where.level - half, where.level + half))
    volume = cine_signal(anatomy, case_generator("cardiac_slices", seed, "protocol"))
    a = volume.grid
    slab = Image(volume.array.mean(axis=0), Grid(a.size[:2], a.spacing[:2], a.origin[:2], np.eye(2)), volume.modality)
    grid = where.grid()
    coil = surface_coil(grid, case_generator("cardiac_slices", seed, "coil"))
    points = grid.points().reshape(-1, 2)
    rest = _beat(seed, points, to_diastole=True)
    scans = []
    organs = (Organ.LV_CAVITY, Organ.LV_WALL, Organ.RV_CAVITY)
    for phase, shown in (("systole", rest), ("diastole", points)):
        image = scan(slab, grid, FWHM_MM, displace=lambda _, shown=shown: shown)  # type: ignore[misc]
        image = received(image, coil, case_generator("cardiac_slices", seed, phase))
        lifted = _at_level(shown, where.level)
        labels = organ_at(anatomy, lifted, organs).reshape(grid.shape)
        scans.append(Scan(image, labels, nearest(anatomy.body, anatomy.grid, lifted).reshape(grid.shape)))
    fixed, moving = either_way("cardiac_slices", seed, *scans)
    marks = heart_landmarks(heart_of(seed), where.level)
    ends = np.array([mark[:2] for mark in marks.values()])
    systolic = _beat(seed, ends, to_diastole=False)
    landmarks = Landmarks(tuple(marks), *either_way("cardiac_slices", seed, systolic, ends))
    lattice = mask_lattice(fixed.mask, grid, _POINTS_MM)
    names = {int(organ): ORGAN_NAMES[organ] for organ in organs}
    return deformed_pair(fixed, moving, (lattice, _to_moving(seed, lattice)), np.eye(3), landmarks, names)


RECIPE = Recipe(
    name="cardiac_slices",
    version=VERSION,
    modalities=("mr",),
    fields_of_view=("heart",),
    make=make,
    ndim=2,
    displacement=displacement,
    crop_fixed=0.0,
    crop_moving=0.08,
)
