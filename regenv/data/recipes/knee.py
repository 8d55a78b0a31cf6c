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

from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.data.anatomy.anatomy import Anatomy
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair, Truth
from regenv.data.recipe import Recipe
from regenv.data.recipes._scans import beyond_alignment, fit_affine, labels_and_body, mask_lattice, tilt

VERSION = 2
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


def correspond(seed: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of the fixed knee ``(N, 3)``, mm, brought to the moving knee through the template."""
    from regenv.data.anatomy.knee import draw_knee

    fixed, moving = (draw_knee(role(seed, name).subject).warp for name in ("fixed", "moving"))
    return moving.to_subject(fixed.to_template(np.asarray(points, dtype=np.float64)))


def alignment(seed: int) -> NDArray[np.float64]:
    """The affine transform ``(4, 4)``, fixed to moving, that fits the correspondence best around the joint."""
    axes = [np.arange(-48.0, 49.0, 16.0)] * 3
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    points = points[np.hypot(points[:, 0], points[:, 1]) < 50.0]
    return fit_affine(points, correspond(seed, points))


def displacement(seed: int, field_of_view: str, local: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the alignment leaves, at points ``(N, 3)`` along the fixed grid's axes about its centre, mm."""
    grid = role(seed, "fixed").grid
    local = np.asarray(local, dtype=np.float64)
    moved = correspond(seed, transform_points(grid.frame, local))
    return beyond_alignment(grid, alignment(seed), local, moved)


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Builds two knees and scans each."""
    from regenv.data.anatomy.knee import LANDMARKS, draw_knee, knee
    from regenv.data.anatomy.tissues import ORGAN_NAMES, Organ

    numbers = [int(Organ[name]) for name in _LABELS]
    images, masks, labels, marks, grids = [], [], [], [], []
    for name, modality in zip(("fixed", "moving"), modalities, strict=True):
        who = role(seed, name)
        subject = draw_knee(who.subject)
        anatomy = knee(subject, _ANATOMY_MM)
        image, body, organs = _scanned(anatomy, modality, who.grid, case_generator("knee", seed, name, modality))
        images.append(image)
        masks.append(body)
        labels.append(np.where(np.isin(organs, numbers), organs, 0).astype(np.uint8))
        marks.append(subject.warp.to_subject(np.array(list(LANDMARKS.values()))))
        grids.append(who.grid)
    seen = _inside(grids[0], marks[0]) & _inside(grids[1], marks[1])
    lattice = mask_lattice(masks[0], grids[0], _POINTS_MM)
    truth = Truth(
        landmarks_fixed=marks[0][seen],
        landmarks_moving=marks[1][seen],
        landmark_names=tuple(name for name, kept in zip(LANDMARKS, seen, strict=True) if kept),
        labels_fixed=labels[0],
        labels_moving=labels[1],
        label_names={number: ORGAN_NAMES[number] for number in numbers},
        points_fixed=lattice,
        points_moving=correspond(seed, lattice),
    )
    return ImagePair("", "", images[0], images[1], masks[0], masks[1], truth, alignment=alignment(seed))


def _scanned(
    anatomy: Anatomy, modality: str, grid: Grid, rng: np.random.Generator
) -> tuple[Image, NDArray[np.bool_], NDArray[np.uint8]]:
    """The scan, the limb and the organs on a grid."""
    from regenv.data.anatomy.tissues import Tissue
    from regenv.data.modality.mr import mr_signal, receive
    from regenv.data.modality.relaxation import RELAXATION, Relaxation
    from regenv.data.modality.scan import scan

    # the marrow about an adult's knee is yellow: fat between trabeculae
    yellow = Relaxation((330, 400), (115, 95), 0.68, fat=0.85, coarse=0.06, fine=0.10)
    changed = {Tissue.CANCELLOUS: yellow}
    if _SEQUENCES[modality] == "dess":
        # flow undoes the steady state that both of its echoes need
        changed |= {blood: replace(RELAXATION[blood], density=0.4) for blood in (Tissue.ARTERY, Tissue.VEIN)}
    signal = mr_signal(anatomy, _SEQUENCES[modality], rng, changed)
    seen = scan(signal, grid, fwhm_mm=1.2)
    image = receive(Image(seen.array * _knee_coil(grid, rng), grid, modality), rng, bias=0.08)
    organs, limb = labels_and_body(anatomy, grid)
    return image, limb, organs


def _knee_coil(grid: Grid, rng: np.random.Generator) -> NDArray[np.float32]:
    """Sensitivity of a coil around the knee: it falls towards the ends, and is highest at the surface."""
    points = grid.points() - grid.centre
    length = rng.uniform(62.0, 95.0)
    along = np.exp(-((points[..., 2] - rng.normal(0, 8)) ** 2) / (2 * length**2))
    radius2 = points[..., 0] ** 2 + points[..., 1] ** 2
    return np.asarray(along * (1.0 + rng.uniform(0.1, 0.5) * radius2 / 60.0**2), dtype=np.float32)


def _inside(grid: Grid, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    index = transform_points(grid.physical_to_index, points)
    return np.asarray(np.all((index >= 0) & (index <= np.asarray(grid.size) - 1), axis=1))


RECIPE = Recipe(
    name="knee",
    version=VERSION,
    modalities=tuple(_SEQUENCES),
    fields_of_view=("knee",),
    make=make,
    displacement=displacement,
    crop_fixed=0.0,
)
