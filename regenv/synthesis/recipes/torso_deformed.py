"""Planning CT (moving) and cone-beam CT on the day of treatment (fixed) of one patient who has changed in between.

On the day the spine is bent a little differently, the breath is another (what lies in the chest and the belly glides
along the wall, as ``regenv.synthesis.anatomy.motion`` says), fat has come or gone, and the bowel holds something else.
The planning scan shows the patient at rest: a point ``x`` of the day shows what lies at ``x + u(x)`` there, and the
alignment that is given, set up at the lower thoracic spine, is the identity. The fixed mask is the patient within the
cone beam's field of view; the points for TRE are a lattice in it, without the bowel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from regenv.core.geometry import FloatArray, Grid
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.motion import Change, MovedWarp
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._scans import Landmarks, Scan, deformed_pair, inner_lattice, labels_and_body
from regenv.synthesis.recipes._trunk import correspond, rest_and_motion, set_lung_density, tilted

# template position of the middle of the cone-beam scan, its radius, height and voxel in mm
_CONE = {
    "torso": ((0.0, -42.0, -20.0), (150.0, 185.0), (205.0, 235.0), 3.2),
    "spine": ((0.0, 4.0, -110.0), (105.0, 128.0), (170.0, 205.0), 2.8),
}
_PAINT_MM = 3.5
_CT_MM = 3.0
_STIR_MM = 1.5
"""Deviation of the warp between the scans that no other change accounts for."""
_POINTS_MM, _MOST_POINTS = 20.0, 500
"""Spacing of the lattice on which the TRE is measured, and how many of its points are kept at most."""


@dataclass(frozen=True, eq=False)
class _Patient:
    """One patient, at rest and on the day."""

    subject: Subject
    day: MovedWarp
    rest: MovedWarp
    centre: FloatArray


@lru_cache(maxsize=4)
def _patient(seed: int, field_of_view: str) -> _Patient:
    """The patient of a seed; ``centre`` is the middle of the fixed scan."""
    subject = Subject(seed)
    rng = case_generator("torso_deformed", seed, "change")
    change = Change(
        excursion=float(np.clip(rng.normal(1.0, 8.0), -14, 16)),
        forward=float(np.clip(rng.normal(0.2, 1.2), -2.5, 2.5)),
        outward=float(np.clip(rng.normal(0.1, 0.8), -1.5, 1.5)),
        belly=float(np.clip(rng.normal(0.5, 3.0), -6, 6)),
        left=float(rng.normal(0, 0.12)),
        back=float(rng.normal(0.15, 0.10)),
        uneven=float(rng.uniform(0.05, 0.25)),
        inner=float(rng.uniform(0.5, 2.0)),
        bend_side=float(np.clip(rng.normal(0, 5.0), -10, 10)),
        bend_forward=float(np.clip(rng.normal(0, 5.0), -10, 10)),
        weight=float(rng.uniform(-7.0, 8.0)),
        seed=seed,
    )
    rest, day = rest_and_motion(subject, change, _STIR_MM, rng)
    middle = np.array(_CONE[field_of_view][0])
    spine = subject.spine_at(middle[2])
    if field_of_view == "spine":
        middle[:2] = float(spine[0]), float(spine[1]) - 8.0
    return _Patient(subject, day, rest, day.to_subject(middle[None])[0])


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """True displacement at points ``(N, 3)`` along the fixed grid's axes about its centre, mm."""
    patient = _patient(seed, field_of_view)
    points = np.asarray(local, np.float64) + patient.centre
    return correspond(patient.day, patient.rest, points) - points


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Scans one patient on the day and, for planning, at rest.

    Args:
        seed: The patient.
        modalities: Of the fixed and the moving scan, ``"ct"`` or ``"cbct"``.
        field_of_view: ``"torso"`` or ``"spine"``.

    Returns:
        The pair in the patient's own space; the alignment is the identity, the change what is to be found.
    """
    patient = _patient(seed, field_of_view)
    scans, anatomies = [], []
    for role, modality in zip(("fixed", "moving"), modalities, strict=True):
        rng = case_generator("torso_deformed", seed, field_of_view, role, modality)
        image, anatomy = _scan(patient, role, modality, field_of_view, seed, rng)
        organs, body = labels_and_body(anatomy, image.grid)
        scans.append(Scan(image, organs, body & (image.array > image.background) if modality == "cbct" else body))
        anatomies.append(anatomy)
    fixed, moving = scans
    points = inner_lattice(fixed.mask & (fixed.labels != Organ.BOWEL), fixed.grid, _POINTS_MM)
    there = correspond(patient.day, patient.rest, points)
    shown = np.flatnonzero(moving.shows(there))
    if len(shown) > _MOST_POINTS:
        shown = np.sort(case_generator("torso_deformed", seed, "points").choice(shown, _MOST_POINTS, replace=False))
    marks = Landmarks.common(*(anatomy.landmarks for anatomy in anatomies)).shown(fixed, moving)
    return deformed_pair(fixed, moving, (points[shown], there[shown]), np.eye(4), marks)


def _scan(
    patient: _Patient, role: str, modality: str, field_of_view: str, seed: int, rng: np.random.Generator
) -> tuple[Image, Anatomy]:
    """One scan, with the anatomy that it shows: of the day (fixed) or at rest (moving)."""
    from regenv.synthesis.anatomy.moved_torso import moved_torso
    from regenv.synthesis.physics.cbct import cbct_from_attenuation, draw_scanner
    from regenv.synthesis.physics.common import add_table, hounsfield
    from regenv.synthesis.physics.ct import scanned

    _, radii, heights, voxel = _CONE[field_of_view]
    height = float(rng.uniform(*heights))
    centre = patient.centre
    if role == "moving":
        centre = centre + rng.normal(0, 6, 3)
        height += 40.0
    warp = patient.day if role == "fixed" else patient.rest
    # a tilted scan of planning sees more than its height
    half = 0.5 * height + (30.0 if role == "moving" else 6.0)
    low, high = _trunk_box(patient.subject, centre[2] - half, centre[2] + half)
    bowel = case_generator("torso_deformed", seed, role, "bowel")
    painted = moved_torso(patient.subject, warp, low, high, _PAINT_MM, bowel=bowel)
    contrast = float(rng.uniform(60, 250)) if rng.random() < 0.35 else 0.0
    hu = hounsfield(painted.anatomy, contrast, venous=float(rng.uniform(0.3, 1.1)))
    array = hu.array
    set_lung_density(painted, array, float(case_generator("torso_deformed", seed, "density").uniform(0.8, 1.2)))
    hu = Image(array, hu.grid, "ct", hu.background)
    if modality == "ct":
        extent = (360.0, 260.0, height)
        if role == "moving":
            grid = tilted(extent, (_CT_MM,) * 3, centre, rng)
        else:
            grid = Grid.centred([int(e / _CT_MM) for e in extent], (_CT_MM,) * 3, centre)
        return scanned(hu, rng, grid), painted.anatomy
    scanner = replace(
        draw_scanner(rng),
        radius_mm=float(rng.uniform(*radii)),
        height_mm=height,
        pixel_mm=float(rng.uniform(2.6, 2.9)),
        voxel_mm=voxel,
    )
    volume = add_table(hu, rng, curved=False)
    return cbct_from_attenuation(volume, rng, scanner=scanner, isocentre=centre), painted.anatomy


def _trunk_box(subject: Subject, bottom: float, top: float) -> tuple[FloatArray, FloatArray]:
    """Corners of a box around the trunk between two heights, with the table under it, without the arms."""
    sx, sy, sz = subject.scale
    skin = subject.skin.at(np.linspace(bottom / sz, min(top / sz, 90.0), 30))
    half = min(float((np.abs(skin[:, 0]) + skin[:, 2]).max()) * sx + 14, 205.0)
    front = float((skin[:, 1] - skin[:, 3]).min()) * sy - (36 if subject.female else 16)
    back = float((skin[:, 1] + skin[:, 4]).max()) * sy + 45
    return np.array([-half, front, bottom]), np.array([half, back, top])


RECIPE = Recipe(
    name="torso_deformed",
    version=2,
    modalities=("ct", "cbct"),
    fields_of_view=("torso", "spine"),
    make=make,
    displacement=displacement,
    crop_fixed=0.0,
    crop_moving=0.05,
)
