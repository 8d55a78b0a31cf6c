"""MR of the knees of two people, bent by a few degrees more or less: affine and deformable, between subjects.

Every knee is one template seen through its own scale, smooth warp and flexion, so that the correspondence of any two is
known everywhere: from a point of the fixed knee to the template and from there to the moving knee. Scans are sagittal
stacks, each patient lying a little differently. The alignment that a deformable environment is given is the affine
transform that fits the correspondence best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.points import between_voxels, cube
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._scans import (
    Landmarks,
    Scan,
    beyond_alignment,
    deformed_pair,
    fit_affine,
    labels_and_body,
    mask_lattice,
    tilt,
)

VERSION = 3
_ANATOMY_MM = 1.7
_POINTS_MM = 16.0
"""Spacing of the lattice on which the TRE is measured."""
_TILT_DEG = 5.0
"""Largest angle about each axis by which a patient lies askew."""
_SEQUENCES = {"mr": "dess", "pd": "pd", "t1": "t1_se"}
"""Pulse sequence of each modality."""
_LABELS = ("FEMUR", "TIBIA", "PATELLA", "FEMORAL_CARTILAGE", "TIBIAL_CARTILAGE")
_SAGITTAL = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Columns: the image's axes run back, down and to the patient's right."""


@dataclass(frozen=True)
class Role:
    """One of the two people: the subject's number and the grid of the scan."""

    subject: int
    grid: Grid


def role(seed: int, name: str) -> Role:
    """Draws who lies in the scanner, and how, for ``"fixed"`` or ``"moving"``."""
    rng = case_generator("knee", seed, name)
    subject = int(rng.integers(2**31))
    axes = tilt(rng, _TILT_DEG) @ _SAGITTAL
    pixel, thickness = float(rng.uniform(1.5, 1.8)), float(rng.uniform(2.2, 3.2))
    size = (int(132 / pixel), int(136 / pixel), int(np.ceil(112 / thickness)))
    centre = np.array([0.0, -4.0, 4.0]) + rng.normal(0, 3.0, 3)
    return Role(subject, Grid.centred(size, (pixel, pixel, thickness), centre, axes))


def correspond(seed: int, points: FloatArray) -> FloatArray:
    """Points of the fixed knee ``(N, 3)``, mm, brought to the moving knee through the template."""
    from regenv.synthesis.anatomy.knee import draw_knee

    fixed, moving = (draw_knee(role(seed, name).subject).warp for name in ("fixed", "moving"))
    return moving.to_subject(fixed.to_template(np.asarray(points, dtype=np.float64)))


def alignment(seed: int) -> FloatArray:
    """The affine transform ``(4, 4)``, fixed to moving, that fits the correspondence best around the joint."""
    points = cube(48.0, 16.0)
    points = points[np.hypot(points[:, 0], points[:, 1]) < 50.0]
    return fit_affine(points, correspond(seed, points))


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """What the alignment leaves, at points ``(N, 3)`` along the fixed grid's axes about its centre, mm."""
    grid = role(seed, "fixed").grid
    local = np.asarray(local, dtype=np.float64)
    moved = correspond(seed, transform_points(grid.frame, local))
    return beyond_alignment(grid, alignment(seed), local, moved)


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Builds two knees and scans each.

    Args:
        seed: The case; it draws both people.
        modalities: Of the fixed and the moving scan, ``"mr"``, ``"pd"`` or ``"t1"``.
        field_of_view: ``"knee"``.

    Returns:
        The pair in the subjects' own spaces, with exact correspondences over the knee and the affine map that is
        nearest to the truth as its alignment.
    """
    from regenv.synthesis.anatomy.knee import LANDMARKS, draw_knee, knee
    from regenv.synthesis.anatomy.tissues import ORGAN_NAMES, Organ

    numbers = [int(Organ[name]) for name in _LABELS]
    scans, where = [], []
    for name, modality in zip(("fixed", "moving"), modalities, strict=True):
        who = role(seed, name)
        subject = draw_knee(who.subject)
        anatomy = knee(subject, _ANATOMY_MM)
        image = _scanned(anatomy, modality, who.grid, case_generator("knee", seed, name, modality))
        organs, limb = labels_and_body(anatomy, who.grid)
        scans.append(Scan(image, np.where(np.isin(organs, numbers), organs, 0).astype(np.uint8), limb))
        where.append(subject.warp.to_subject(np.array(list(LANDMARKS.values()))))
    fixed, moving = scans
    marks = Landmarks(tuple(LANDMARKS), where[0], where[1])
    marks = marks.where(between_voxels(fixed.grid, marks.fixed) & between_voxels(moving.grid, marks.moving))
    points = mask_lattice(fixed.mask, fixed.grid, _POINTS_MM)
    names = {number: ORGAN_NAMES[number] for number in numbers}
    return deformed_pair(fixed, moving, (points, correspond(seed, points)), alignment(seed), marks, names)


def _scanned(anatomy: Anatomy, modality: str, grid: Grid, rng: np.random.Generator) -> Image:
    """The scan on a grid."""
    from regenv.synthesis.anatomy.tissues import Tissue
    from regenv.synthesis.physics.mr import mr_signal, receive
    from regenv.synthesis.physics.relaxation import RELAXATION, Relaxation
    from regenv.synthesis.physics.scan import scan

    # the marrow about an adult's knee is yellow: fat between trabeculae
    yellow = Relaxation((330, 400), (115, 95), 0.68, fat=0.85, coarse=0.06, fine=0.10)
    changed = {Tissue.CANCELLOUS: yellow}
    if _SEQUENCES[modality] == "dess":
        # flow undoes the steady state that both of its echoes need
        changed |= {blood: replace(RELAXATION[blood], density=0.4) for blood in (Tissue.ARTERY, Tissue.VEIN)}
    signal = mr_signal(anatomy, _SEQUENCES[modality], rng, changed)
    seen = scan(signal, grid, fwhm_mm=1.2)
    return receive(Image(seen.array * _knee_coil(grid, rng), grid, modality), rng, bias=0.08)


def _knee_coil(grid: Grid, rng: np.random.Generator) -> NDArray[np.float32]:
    """Sensitivity of a coil around the knee: it falls towards the ends, and is highest at the surface."""
    points = grid.points() - grid.centre
    length = rng.uniform(62.0, 95.0)
    along = np.exp(-((points[..., 2] - rng.normal(0, 8)) ** 2) / (2 * length**2))
    radius2 = points[..., 0] ** 2 + points[..., 1] ** 2
    return np.asarray(along * (1.0 + rng.uniform(0.1, 0.5) * radius2 / 60.0**2), dtype=np.float32)


RECIPE = Recipe(
    name="knee",
    version=VERSION,
    modalities=tuple(_SEQUENCES),
    fields_of_view=("knee",),
    make=make,
    displacement=displacement,
    crop_fixed=0.0,
)
