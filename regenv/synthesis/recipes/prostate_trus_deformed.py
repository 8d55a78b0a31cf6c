"""T2 MR and transrectal ultrasound of one prostate that the probe presses and the bladder pushes.

The MR shows the man at rest. The ultrasound probe pushes the rectum's front wall and the gland forward by up to about
8 mm, which squeezes the gland from behind; the bladder has filled or emptied since, and the pelvis lies a little
differently (Bharatha et al., Med. Phys. 28 (2001) 2551-2560; Hu et al., Med. Image Anal. 16 (2012) 687-703). At a
point x of the ultrasound lies the tissue that is at ``x + u(x)`` at rest, so that the truth is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.points import cube
from regenv.synthesis.anatomy.prostate import RECTUM, ProstateSubject
from regenv.synthesis.anatomy.swelling import Bump, SwollenWarp, displaced
from regenv.synthesis.physics.us import Probe
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._scans import Landmarks, common_names, deformed_pair
from regenv.synthesis.recipes._trus import ANATOMY_MM, draw_probe, scan_grid, scanned

VERSION = 2
_NAME = "prostate_trus_deformed"
_POINTS_MM = 8.0
"""Spacing of the lattice on which the TRE is measured."""


@dataclass(frozen=True, eq=False)
class Examination:
    """One man on the day of the ultrasound.

    Attributes:
        warp: The man at rest.
        bumps: What moved, as displacements from the examined to the resting man.
        drift: The small remainder, in the same direction.
        probe: In his rectum.
        grid: Voxels of the fixed image.
    """

    warp: SwollenWarp
    bumps: tuple[Bump, ...]
    drift: SwollenWarp
    probe: Probe
    grid: Grid

    def at_rest(self, points: FloatArray) -> FloatArray:
        """Where the tissue at points ``(N, 3)`` of the ultrasound lies at rest."""
        return displaced(self.bumps, points) + self.drift.displacement(points)


def examination(seed: int) -> Examination:
    """Draws how one man is examined; the fixed grid is that of an ultrasound volume whatever is shown on it."""
    warp = ProstateSubject(seed).warp
    rng = case_generator(_NAME, seed, "motion")
    wall = np.array([[0.0, np.interp(2.0, RECTUM[:, 2], RECTUM[:, 1]) - 11.0, 2.0]])
    x, y, z = warp.to_subject(wall)[0] + rng.normal(0, (3.0, 1.0, 6.0))
    bladder = warp.to_subject(np.array([[0.0, -12.0, 48.0]]))[0]
    push = np.array([rng.normal(0, 0.7), rng.uniform(2.0, 8.0), rng.normal(0, 1.0)])
    fill = float(rng.uniform(-0.28, 0.28))
    bumps = (
        Bump((x, y, z), tuple(rng.uniform((26, 16, 26), (36, 22, 38))), push=tuple(push)),
        Bump(tuple(bladder), (28.0, 24.0, 22.0), (-fill, -fill, -fill), (0.0, 0.0, -4.0 * fill)),
    )
    region = {"lo": (-110.0, -110.0, -110.0), "hi": (110.0, 110.0, 110.0)}
    drift = SwollenWarp(
        case_generator(_NAME, seed, "drift"), (1.0, 1.0, 1.0), (), amplitude_mm=0.8, knot_mm=30.0, **region
    )
    still = Examination(warp, bumps, drift, Probe(), Grid.centred((1, 1, 1), (1.0, 1.0, 1.0)))
    key = _key(seed, 0, "us")
    probe = draw_probe(key, warp, lambda points: _back(still, points))
    return Examination(warp, bumps, drift, probe, scan_grid(key, "us", probe))


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """The deformed man and the man at rest.

    Args:
        seed: The man.
        modalities: Of the fixed and the moving image, ``"us"`` or ``"t2"``.
        field_of_view: ``"prostate"``.

    Returns:
        The pair in the man's own space; the alignment is the identity, what the probe moved is to be found.
    """
    from regenv.synthesis.anatomy.prostate import prostate

    anatomy, exam = prostate(seed, ANATOMY_MM), examination(seed)
    key = _key(seed, 0, modalities[0])
    fixed = scanned(anatomy, exam.warp, key, modalities[0], exam.grid, exam.probe, exam.at_rest)
    key = _key(seed, 1, modalities[1])
    grid = scan_grid(key, modalities[1], exam.probe)
    moving = scanned(anatomy, exam.warp, key, modalities[1], grid, draw_probe(key, exam.warp))
    points = transform_points(fixed.grid.frame, cube(44.0, _POINTS_MM))
    points = points[fixed.shows(points)]
    rest = np.array(list(anatomy.landmarks.values()))
    marks = Landmarks(tuple(anatomy.landmarks), _back(exam, rest), rest)
    names = common_names(fixed, moving)
    return deformed_pair(fixed, moving, (points, exam.at_rest(points)), np.eye(4), marks, names)


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """How far the tissue at local points was away at rest, see :class:`regenv.synthesis.recipe.Recipe`."""
    exam = examination(seed)
    points = transform_points(exam.grid.frame, local)
    return (exam.at_rest(points) - points) @ exam.grid.direction


def _key(seed: int, role: int, modality: str) -> tuple[object, ...]:
    return (_NAME, seed, ("fixed", "moving")[role], modality)


def _back(exam: Examination, points: FloatArray) -> FloatArray:
    """Where points of the man at rest lie while he is examined, by fixed-point iteration."""
    found = points.copy()
    for _ in range(60):
        found = points - (exam.at_rest(found) - found)
    return found


RECIPE = Recipe(
    name=_NAME,
    version=VERSION,
    modalities=("us", "t2"),
    fields_of_view=("prostate",),
    make=make,
    displacement=displacement,
    crop_fixed=0.0,
    crop_moving=0.0,
)
