"""CT of the lungs breathed in and out, one patient: the lungs slide along the chest wall.

Of half of the patients the lungs breathed in are the fixed image, of the others the lungs breathed out
(:func:`regenv.synthesis.recipes._scans.either_way` says why).

The diaphragm moves by 10 to 30 mm, ribs and breast bone by a few, unevenly (``regenv.synthesis.anatomy.motion`` says
how the sliding is made; the true displacement of a point is that of the region, cavity or wall, in which it lies). Air
goes, tissue stays: where the lung has shrunk by a share it is denser by as much, and denser toward the back, more so
breathed out. The fixed mask is the lungs and 6 mm around them, the points for TRE lie in the lungs, and the landmarks
are branchings of vessels, as in the DIR-Lab sets (Castillo et al., Phys. Med. Biol. 54 (2009) 1849-1870). Both scans
are of one session: the patient has not moved otherwise, and the alignment that is given is the identity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.motion import Change, MovedWarp
from regenv.synthesis.anatomy.points import nearest
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._scans import Landmarks, Scan, deformed_pair, either_way, inner_lattice, labels_and_body
from regenv.synthesis.recipes._trunk import correspond, covering, rest_and_motion, set_lung_density, tilted

_CENTRE = (0.0, -38.0, 16.0)
"""Template position of the middle of the fixed scan."""

_PAINT_MM = 3.9
_SPACING = (3.5, 3.5, 3.5)
_FIXED_MM = (320.0, 250.0, 310.0)
_MOVING_MM = (330.0, 260.0, 300.0)
_POINTS_MM = 20.0
"""Spacing of the lattice on which the TRE is measured."""
_STIR_MM = 1.2
"""Deviation of the warp between the scans: the patient does not lie quite still, by under a millimetre."""
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
    breathed_out, breathed_in = rest_and_motion(subject, change, _STIR_MM, rng)
    fixed, moving = either_way("lungs", seed, breathed_in, breathed_out)
    return _Breath(subject, fixed, moving, breathed_out.to_subject(np.array([_CENTRE]))[0])


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """True displacement at points ``(N, 3)`` along the fixed grid's axes about its centre, mm."""
    breath = _breath(seed)
    points = np.asarray(local, np.float64) + breath.centre
    return correspond(breath.fixed, breath.moving, points) - points


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Scans one patient breathed in and breathed out.

    Args:
        seed: The patient.
        modalities: ``("ct", "ct")``.
        field_of_view: ``"lungs"``.

    Returns:
        The pair in the patient's own space; the alignment is the identity, the breath what is to be found.
    """
    from scipy.ndimage import binary_dilation

    breath = _breath(seed)
    rng = case_generator("lungs", seed, "scan")
    density = float(rng.uniform(0.65, 1.05))
    size = tuple(int(round(e / s)) for e, s in zip(_FIXED_MM, _SPACING, strict=True))
    shift = breath.centre + rng.normal(0, 5, 3) + np.array([0.0, 0.0, 4.0])
    grids = Grid.centred(size, _SPACING, breath.centre), tilted(_MOVING_MM, _SPACING, shift, rng)
    scans, lungs = [], []
    for warp, grid in zip((breath.fixed, breath.moving), grids, strict=True):
        image, labels = _scan(breath, warp, grid, density, rng)
        lungs.append((labels == Organ.LUNG_LEFT) | (labels == Organ.LUNG_RIGHT))
        scans.append(Scan(image, labels, binary_dilation(lungs[-1], iterations=2)))
    fixed, moving = scans
    points = inner_lattice(lungs[0], grids[0], _POINTS_MM)
    marks = _landmarks(breath)
    marks = marks.where(nearest(lungs[0], grids[0], marks.fixed) & nearest(lungs[1], grids[1], marks.moving))
    marks = marks.where(_spread(marks.fixed, _LANDMARKS))
    return deformed_pair(fixed, moving, (points, correspond(breath.fixed, breath.moving, points)), np.eye(4), marks)


def _scan(
    breath: _Breath, warp: MovedWarp, grid: Grid, density: float, rng: np.random.Generator
) -> tuple[Image, NDArray[np.uint8]]:
    """CT and organ labels of the patient in one state of breathing."""
    from regenv.synthesis.anatomy.moved_torso import moved_torso
    from regenv.synthesis.physics.common import hounsfield
    from regenv.synthesis.physics.ct import scanned

    low, high = covering(grid, 3.0)
    # a scanner's field of view ends in the arms; nothing is scanned beyond the painted levels
    low, high = np.maximum(low, breath.centre - [186, 175, 175]), np.minimum(high, breath.centre + [186, 175, 175])
    painted = moved_torso(breath.subject, warp, low, high, _PAINT_MM)
    hu = hounsfield(painted.anatomy)
    array = hu.array
    set_lung_density(painted, array, density)
    image = scanned(Image(array, hu.grid, "ct", hu.background), rng, grid)
    return image, labels_and_body(painted.anatomy, grid)[0]


def _landmarks(breath: _Breath) -> Landmarks:
    """Branchings of the lungs' vessels, with the names of their trees."""
    names, points = _branchings(breath.subject)
    return Landmarks(tuple(names), breath.fixed.to_subject(points), breath.moving.to_subject(points))


def _branchings(subject: Subject) -> tuple[list[str], FloatArray]:
    """Names and template positions ``(N, 3)`` of the points where vessels of 1.2 to 5 mm radius divide."""
    from regenv.synthesis.anatomy.chest import Mediastinum, lung_trees

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


def _spread(points: FloatArray, count: int) -> NDArray[np.bool_]:
    """Which points ``(N,)`` to keep: up to ``count``, each the farthest from those before it."""
    if len(points) <= count:
        return np.ones(len(points), bool)
    kept = np.zeros(len(points), bool)
    kept[0] = True
    distance = np.linalg.norm(points - points[0], axis=1)
    while np.count_nonzero(kept) < count:
        farthest = distance.argmax()
        kept[farthest] = True
        distance = np.minimum(distance, np.linalg.norm(points - points[farthest], axis=1))
    return kept


RECIPE = Recipe(
    name="lungs",
    version=3,
    modalities=("ct",),
    fields_of_view=("lungs",),
    make=make,
    displacement=displacement,
    crop_fixed=0.0,
    crop_moving=0.05,
)
