"""CT of the abdomen of two patients, in the portal venous phase.

Both are one shape (another for every pair), each bent by a warp of its own, so that the true correspondence of liver,
spleen, kidneys and stomach is exact. What patients do not share is drawn for each: fat and muscle of the wall, bowel
and its contents, the small vessels of the liver, texture, contrast medium, scanner. The fixed mask is those organs and
about 10 mm around them; the points for TRE are a lattice in the organs. The alignment that is given to a deformable
environment is the affine transform that fits the true correspondence over the abdominal cavity best.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.between import Build, between_warp, draw_build
from regenv.synthesis.anatomy.motion import MovedWarp
from regenv.synthesis.anatomy.points import lattice, within
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._scans import Landmarks, Scan, deformed_pair, fit_affine, inner_lattice, labels_and_body
from regenv.synthesis.recipes._trunk import correspond, covering, tilted

_ORGANS = (Organ.LIVER, Organ.SPLEEN, Organ.KIDNEY_LEFT, Organ.KIDNEY_RIGHT, Organ.STOMACH)
_CENTRE = (-6.0, -45.0, -100.0)
"""Template position of the middle of the fixed scan."""

_WARP_MM, _KNOT_MM = 8.5, 90.0
_REGION = ((-165.0, -160.0, -270.0), (165.0, 130.0, 70.0))
_PAINT_MM = 4.0
_SPACING = (3.5, 3.5, 3.5)
_FIXED_MM = (320.0, 250.0, 290.0)
_POINTS_MM = 16.0
"""Spacing of the lattice on which the TRE is measured."""

# HU that contrast medium adds about 70 s after injection at a usual dose: aorta near 150, portal vein near 170, liver
# near 110 (Heiken et al., Radiology 187 (1993) 327-331)
_PORTAL_VENOUS = {
    Tissue.ARTERY: 110.0,
    Tissue.VEIN: 125.0,
    Tissue.HEART_LEFT: 110.0,
    Tissue.HEART_RIGHT: 110.0,
    Tissue.LUNG_VESSEL: 105.0,
    Tissue.MYOCARDIUM: 65.0,
    Tissue.LIVER: 50.0,
    Tissue.SPLEEN: 72.0,
    Tissue.RENAL_CORTEX: 140.0,
    Tissue.RENAL_MEDULLA: 118.0,
    Tissue.PANCREAS: 55.0,
    Tissue.WALL: 38.0,
    Tissue.MUSCLE: 12.0,
    Tissue.GLAND: 12.0,
    Tissue.CANCELLOUS: 15.0,
}


@dataclass(frozen=True, eq=False)
class _Patient:
    """One of the two: shape, place, and what it does not share."""

    build: Build
    warp: MovedWarp
    seed: int


@lru_cache(maxsize=4)
def _patients(seed: int) -> tuple[_Patient, _Patient]:
    """The fixed and the moving patient of a seed."""
    patients = []
    for number, role in enumerate(("fixed", "moving")):
        rng = case_generator("liver", seed, role)
        warp = between_warp(rng, _WARP_MM, _KNOT_MM, *_REGION)
        patients.append(_Patient(draw_build(seed, rng), MovedWarp(warp, None), 2 * seed + number))
    return patients[0], patients[1]


def _centre(patient: _Patient) -> FloatArray:
    middle: FloatArray = patient.warp.to_subject(np.array([_CENTRE]))[0]
    return middle


@lru_cache(maxsize=4)
def _alignment(seed: int) -> FloatArray:
    """The affine transform closest to the truth over a lattice in the upper abdomen."""
    fixed, moving = _patients(seed)
    axes = [np.arange(-120.0, 121.0, 24.0), np.arange(-130.0, 50.0, 24.0), np.arange(-190.0, -30.0, 24.0)]
    points = lattice(*axes)
    x, y, z = (np.ascontiguousarray(column).reshape(1, 1, -1) for column in points.T)
    points = points[fixed.build.cavity.distance(x, y, z).reshape(-1) < 0]
    return fit_affine(fixed.warp.to_subject(points), moving.warp.to_subject(points))


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """What the alignment leaves, at points ``(N, 3)`` along the fixed grid's axes about its centre, mm."""
    fixed, moving = _patients(seed)
    points = np.asarray(local, np.float64) + _centre(fixed)
    aligned = transform_points(np.linalg.inv(_alignment(seed)), correspond(fixed.warp, moving.warp, points))
    return aligned - points


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Scans both patients.

    Args:
        seed: The case; it draws both patients.
        modalities: ``("ct", "ct")``.
        field_of_view: ``"liver"``.

    Returns:
        The pair in the patients' own spaces, with exact correspondences in the organs and the affine map that is
        nearest to the truth as its alignment.
    """
    from scipy.ndimage import binary_dilation

    patients = _patients(seed)
    rng = case_generator("liver", seed, "scan")
    size = tuple(int(round(e / s)) for e, s in zip(_FIXED_MM, _SPACING, strict=True))
    grids = (
        Grid.centred(size, _SPACING, _centre(patients[0])),
        tilted(_FIXED_MM, _SPACING, _centre(patients[1]) + rng.normal(0, 6, 3), rng),
    )
    scans, anatomies = [], []
    for patient, grid in zip(patients, grids, strict=True):
        image, labels, anatomy = _scan(patient, grid, rng)
        scans.append(Scan(image, labels, binary_dilation(np.isin(labels, _ORGANS), iterations=3)))
        anatomies.append(anatomy)
    fixed, moving = scans
    points = inner_lattice(np.isin(fixed.labels, _ORGANS), grids[0], _POINTS_MM)
    there = correspond(patients[0].warp, patients[1].warp, points)
    shown = within(grids[1], there)
    marks = Landmarks.common(*(anatomy.landmarks for anatomy in anatomies))
    marks = marks.where(within(grids[0], marks.fixed) & within(grids[1], marks.moving))
    return deformed_pair(fixed, moving, (points[shown], there[shown]), _alignment(seed), marks)


def _scan(patient: _Patient, grid: Grid, rng: np.random.Generator) -> tuple[Image, NDArray[np.uint8], Anatomy]:
    """CT, organ labels and anatomy of one patient."""
    from regenv.synthesis.anatomy.moved_torso import moved_torso
    from regenv.synthesis.physics.common import hounsfield
    from regenv.synthesis.physics.ct import scanned

    low, high = covering(grid, 3.0)
    loose = case_generator("liver", patient.seed, "loose")
    painted = moved_torso(
        patient.build, patient.warp, low, high, _PAINT_MM, bowel=loose, vessels=loose, seed=patient.seed
    ).anatomy
    hu = hounsfield(painted)
    dose = float(rng.uniform(0.7, 1.25))
    table = np.zeros(256, np.float32)
    for tissue, gain in _PORTAL_VENOUS.items():
        table[tissue] = dose * gain * float(np.exp(rng.normal(0, 0.08)))
    share = painted.share * np.float32(1 / 255)
    array = hu.array + share * table[painted.tissue] + (1 - share) * table[painted.under]
    image = scanned(Image(array, hu.grid, "ct", hu.background), rng, grid)
    return image, labels_and_body(painted, grid)[0], painted


RECIPE = Recipe(
    name="liver",
    version=2,
    modalities=("ct",),
    fields_of_view=("liver",),
    make=make,
    displacement=displacement,
    crop_fixed=0.0,
    crop_moving=0.05,
)
