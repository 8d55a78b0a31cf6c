"""CT of the lungs breathed in (fixed) and out (moving), one patient: the lungs slide along the chest wall.

The diaphragm moves by 10 to 30 mm, ribs and breast bone by a few, unevenly (``regenv.data.anatomy.motion`` says how
the sliding is made; the true displacement of a point is that of the region, cavity or wall, in which it lies). Air
goes, tissue stays: where the lung has shrunk by a share it is denser by as much, and denser toward the back, more so
breathed out. The fixed mask is the lungs and 6 mm around them, the points for TRE lie in the lungs, and the landmarks
are branchings of vessels, as in the DIR-Lab sets (Castillo et al., Phys. Med. Biol. 54 (2009) 1849-1870). Both scans
are of one session: the patient has not moved otherwise, and the alignment that is given is the identity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.anatomy.motion import Change, Motion, MovedWarp
from regenv.data.anatomy.subject import Subject
from regenv.data.anatomy.tissues import Organ
from regenv.data.anatomy.warp import Warp
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair, Truth
from regenv.data.recipe import Recipe
from regenv.data.recipes._trunk import (
    correspond,
    covering,
    ct_scan,
    lattice_in,
    nearest,
    organs_and_body,
    set_lung_density,
    tilted,
)

FloatArray = NDArray[np.float64]
_CENTRE = (0.0, -38.0, 16.0)
"""Template position of the middle of the fixed scan."""

_PAINT_MM = 3.9
_SPACING = (3.5, 3.5, 3.5)
_FIXED_MM = (320.0, 250.0, 310.0)
_MOVING_MM = (330.0, 260.0, 300.0)
_TILT_DEG = 10.0
_LANDMARKS = 120


@dataclass(frozen=True, eq=False)
class _Breath:
    """One patient's shape and both maps to it."""

    subject: Subject
    fixed: MovedWarp
    moving: MovedWarp
    centre: FloatArray


def _breath(seed: int) -> _Breath:
    """The patient of a seed."""
    subject = Subject(seed)
    rng = case_generator("lungs", seed, "breath")
    deep = float(rng.uniform(0.0, 1.0))
    change = Change(
        excursion=10.0 + 18.0 * deep,
        forward=float(rng.uniform(0.5, 2.5) + 3.5 * deep),
        outward=float(rng.uniform(0.5, 1.5) + 2.0 * deep),
        belly=float(rng.uniform(1.0, 4.0) + 4.0 * deep),
        left=float(rng.normal(0, 0.12)),
        back=float(rng.normal(0.22, 0.10)),
        uneven=float(rng.uniform(0.08, 0.28)),
        inner=float(rng.uniform(0.5, 1.5) + deep),
        seed=seed,
    )
    rest = Warp(np.random.default_rng([seed, 13]), subject.scale)
    # the patient does not lie quite still: under a millimetre
    stirred = Warp(np.random.default_rng([seed, 13]), subject.scale)
    stirred.lattices += np.float32(1.2) * rng.standard_normal(stirred.lattices.shape, dtype=np.float32)
    moving = MovedWarp(rest, None)
    centre = moving.to_subject(np.array([_CENTRE]))[0]
    return _Breath(subject, MovedWarp(stirred, Motion(subject, change)), moving, centre)


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """True displacement at points along the fixed grid's axes about its centre, mm."""
    breath = _breath(seed)
    points = np.asarray(local, np.float64) + breath.centre
    return correspond(breath.fixed, breath.moving, points) - points


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Scans one patient breathed in and breathed out."""
    from scipy.ndimage import binary_dilation

    from regenv.data.anatomy.tissues import ORGAN_NAMES

    breath = _breath(seed)
    rng = case_generator("lungs", seed, "scan")
    density = float(rng.uniform(0.65, 1.05))
    size = tuple(int(round(e / s)) for e, s in zip(_FIXED_MM, _SPACING, strict=True))
    fixed_grid = Grid.centred(size, _SPACING, breath.centre)
    shift = breath.centre + rng.normal(0, 5, 3) + np.array([0.0, 0.0, 4.0])
    moving_grid = tilted(_MOVING_MM, _SPACING, shift, rng, _TILT_DEG)
    fixed, labels_fixed, _ = _scan(breath, breath.fixed, fixed_grid, density, rng)
    moving, labels_moving, _ = _scan(breath, breath.moving, moving_grid, density, rng)
    lungs = _lungs(labels_fixed)
    points = lattice_in(lungs, fixed_grid, 20.0)
    names, marks_fixed, marks_moving = _landmarks(breath, (lungs, fixed_grid), (_lungs(labels_moving), moving_grid))
    truth = Truth(
        transform=None,
        landmarks_fixed=marks_fixed,
        landmarks_moving=marks_moving,
        landmark_names=names,
        labels_fixed=labels_fixed,
        labels_moving=labels_moving,
        label_names=ORGAN_NAMES,
        points_fixed=points,
        points_moving=correspond(breath.fixed, breath.moving, points),
    )
    return ImagePair(
        "",
        "",
        fixed,
        moving,
        binary_dilation(lungs, iterations=2),
        binary_dilation(_lungs(labels_moving), iterations=2),
        truth,
        alignment=np.eye(4),
    )


def _lungs(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (labels == Organ.LUNG_LEFT) | (labels == Organ.LUNG_RIGHT)


def _scan(
    breath: _Breath, warp: MovedWarp, grid: Grid, density: float, rng: np.random.Generator
) -> tuple[Image, NDArray[np.uint8], NDArray[np.bool_]]:
    """CT, organ labels and body of the patient in one state of breathing."""
    from regenv.data.anatomy.moved_torso import moved_torso
    from regenv.data.modality.common import hounsfield

    low, high = covering(grid, 3.0)
    # a scanner's field of view ends in the arms; nothing is scanned beyond the painted levels
    low, high = np.maximum(low, breath.centre - [186, 175, 175]), np.minimum(high, breath.centre + [186, 175, 175])
    painted = moved_torso(breath.subject, warp, low, high, _PAINT_MM)
    hu = hounsfield(painted.anatomy)
    array = hu.array
    set_lung_density(painted, array, density)
    image = ct_scan(Image(array, hu.grid, "ct", hu.background), grid, rng)
    return image, *organs_and_body(painted.anatomy, grid)


def _landmarks(
    breath: _Breath, fixed: tuple[NDArray[np.bool_], Grid], moving: tuple[NDArray[np.bool_], Grid]
) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    """Branchings of the lungs' vessels that both scans show, spread out, with the names of their trees."""
    names, points = _branchings(breath.subject)
    where_fixed, where_moving = breath.fixed.to_subject(points), breath.moving.to_subject(points)
    seen = nearest(*fixed, where_fixed) & nearest(*moving, where_moving)
    chosen = np.flatnonzero(seen)[_spread(where_fixed[seen], _LANDMARKS)]
    return tuple(names[n] for n in chosen), where_fixed[chosen], where_moving[chosen]


def _branchings(subject: Subject) -> tuple[list[str], FloatArray]:
    """Names and template positions ``(N, 3)`` of the points where vessels of 1.2 to 5 mm radius divide."""
    from regenv.data.anatomy.chest import Mediastinum, lung_trees

    names: list[str] = []
    points: list[FloatArray] = []
    for (side, kind), tree in lung_trees(subject, Mediastinum(subject)).items():
        starts, first, count = np.unique(tree[:, :3].round(6), axis=0, return_index=True, return_counts=True)
        radius = tree[first, 3]
        forks = starts[(count > 1) & (radius > 1.2) & (radius < 5.0)]
        tree_name = f"{'left' if side > 0 else 'right'}_{'artery' if kind == 0 else 'vein'}"
        names += [f"{tree_name}_{n:03d}" for n in range(len(forks))]
        points.append(forks)
    return names, np.concatenate(points)


def _spread(points: FloatArray, count: int) -> list[int]:
    """Indices of up to ``count`` points, each the farthest from those before it, in ascending order."""
    if len(points) <= count:
        return list(range(len(points)))
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return sorted(chosen)


RECIPE = Recipe(
    name="lungs",
    version=2,
    modalities=("ct",),
    fields_of_view=("lungs",),
    make=make,
    displacement=displacement,
    crop_fixed=0.0,
    crop_moving=0.05,
)
