"""How a patient's lumbar spine lies in MR, other than in CT.

In the MR the knees lie on a wedge, on another day they do not, or the patient lies askew. Between supine scans with
straight and with flexed legs neighbouring lumbar vertebrae turn by up to 3.8 degrees (Espeland et al., Br. J. Radiol.
92 (2019) 20180851), and lumbar spines differ in two ways, in how much they are curved and in how the curvature is
shared out (Meakin et al., J. Anat. 215 (2009) 206-211). Levels share the motion by how far each can move: about 14
degrees of flexion and extension, a little more below (Pearcy, Portek and Shepherd, Spine 9 (1984) 294-297), and 10, 10,
10, 6 and 3 degrees of bending to the side, with a fifth of it in twist to the opposite side (Pearcy and Tibrewal, Spine
9 (1984) 582-587). What the two levels above L1 share is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid
from regenv.data.frames import case_generator
from regenv.synthesis.anatomy.posture import Joint, joints, straightened
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.swelling import Bump, displaced
from regenv.synthesis.anatomy.torso import subject_warp
from regenv.synthesis.recipes._pelvis import axial_grid

_NAMES = ("T11", "T12", "L1", "L2", "L3", "L4", "L5")
_STILL = "L3"
_FLEXION = np.array([0.5, 0.6, 0.9, 0.95, 1.0, 1.1, 1.1])
_BENDING = np.array([0.6, 0.8, 1.0, 1.0, 1.0, 0.6, 0.3])
_SPREAD = np.linspace(1.0, -1.0, len(_NAMES))
_MOST_DEG = 3.8
_REGION_MM = (66.0, 64.0, 112.0)
"""Half-width, half-depth and half-height of where similarity and TRE count: spine, psoas, muscles of the back."""
_SAGITTAL = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Columns: the image's axes run back, down and to the patient's right."""


@dataclass(frozen=True, eq=False)
class Lying:
    """One patient as he or she lies in the MR.

    Attributes:
        joints: Discs of the patient in the CT.
        angles: Rotation vector of each, radians, that brings the MR's patient to the CT's.
        bumps: What else moved.
        grid: Voxels of the fixed image.
        centre: Of both scans.
        line: Middles of the discs, from above downward ``(N, 3)``.
    """

    joints: tuple[Joint, ...]
    angles: FloatArray
    bumps: tuple[Bump, ...]
    grid: Grid
    centre: FloatArray
    line: FloatArray

    spacing_mm = 20.0
    """Of the lattice on which the TRE is measured."""

    def at_rest(self, points: FloatArray) -> FloatArray:
        """Where the tissue at points ``(N, 3)`` of the fixed image lies in the moving one."""
        return straightened(self.joints, self.angles, displaced(self.bumps, points))

    def region(self, grid: Grid) -> NDArray[np.bool_]:
        """The voxels about the spine."""
        points = grid.points()
        z = points[..., 2]
        wide, deep, high = _REGION_MM
        x, y = (np.interp(z, self.line[::-1, 2], self.line[::-1, a]) for a in (0, 1))
        near = ((points[..., 0] - x) / wide) ** 2 + ((points[..., 1] - y - 12.0) / deep) ** 2 < 1.0
        return np.asarray(near & (np.abs(z - self.centre[2]) < high))

    def moving_grid(self, modality: str, rng: np.random.Generator) -> Grid:
        """Axial slices, as of CT."""
        return axial_grid(modality, rng, self.centre, np.eye(3), 285.0)


def lying(name: str, seed: int) -> Lying:
    """Draws how the patient of :func:`regenv.synthesis.anatomy.loin.loin` lies in the MR.

    Args:
        name: Of the recipe, for its generators.
        seed: The patient.
    """
    subject = Subject(seed)
    warp = subject_warp(subject)
    spine = joints([v for v in subject.vertebrae if v.name in _NAMES], warp, _STILL)
    middle = warp.to_subject(subject.vertebra(_STILL).centre)[0]
    centre = middle + np.array([0.0, -14.0, 0.0])
    rng = case_generator(name, seed, "spine", "posture")
    angles, bumps = _angles(rng), _bumps(rng, middle)
    grid = _sagittal_grid(case_generator(name, seed, "spine", "fixed", "grid"), centre)
    return Lying(spine, angles, bumps, grid, centre, np.array([j.centre for j in spine]))


def _angles(rng: np.random.Generator) -> FloatArray:
    """Rotation vectors of the joints ``(7, 3)``, radians: flexion and bending to the side in two ways each, twist."""
    flexed, spread, bent, curved = np.clip(rng.standard_normal(4), -1.8, 1.8) * (1.9, 1.1, 1.1, 0.6)
    own = 0.2 * np.clip(rng.standard_normal((2, len(_NAMES))), -2.0, 2.0)
    flexion = flexed * _FLEXION + spread * _SPREAD + own[0]
    bending = (bent + curved * _SPREAD) * _BENDING + own[1]
    angles = np.column_stack([flexion, bending, -0.2 * bending])
    return np.deg2rad(np.clip(angles, -_MOST_DEG, _MOST_DEG))


def _bumps(rng: np.random.Generator, middle: FloatArray) -> tuple[Bump, ...]:
    """The belly wall farther in or out, the kidneys higher or lower with the breath."""
    belly, breath = (float(v) for v in rng.uniform(-7.0, 7.0, 2))
    x, y, z = (float(v) for v in middle)
    kidneys = (
        Bump((x + side * 72.0, y, z + 58.0), (36.0, 44.0, 80.0), push=(0.0, 0.0, breath), compact=True)
        for side in (-1, 1)
    )
    front = Bump((x, y - 100.0, z + 10.0), (95.0, 60.0, 110.0), push=(0.0, belly, 0.0), compact=True)
    return (front, *kidneys)


def _sagittal_grid(rng: np.random.Generator, centre: FloatArray) -> Grid:
    """Sagittal slices over the loin."""
    pixel, thickness = float(rng.uniform(1.8, 2.3)), float(rng.uniform(4.0, 5.0))
    size = (int(264 / pixel), int(276 / pixel), int(np.ceil(176 / thickness)))
    return Grid.centred(size, (pixel, pixel, thickness), centre + rng.normal(0.0, 3.0, 3), _SAGITTAL)
