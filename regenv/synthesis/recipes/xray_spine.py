"""Radiographs of a spine in surgery, and the CT or low-dose cone-beam CT of a few of its vertebrae: rigid, 2-D/3-D.

The fixed image is one radiograph of a C-arm, or two about a right angle apart (field of view ``"biplane"``), in which
screws, rods and guide wires lie that the volume, taken before, does not show. The moving image is a CT cropped to the
vertebrae about a target at the junction of chest and loin, or (``"cbct"``) a cone-beam reconstruction from few, weak
views. The setting is that of Miao et al., AAAI 2018.

The world is the C-arm's room: isocentre at 0, x to the patient's left, y to the floor, z to the head, but for how the
patient lies: a few cm off the isocentre and up to 12 degrees about each axis. The TRE is measured at the eight corners
of the target vertebra's box.

Detectors are 192 x 192 pixels of 1.6 mm (307 mm): a view of 96 pixels of 3 mm on the detector shows nearly all of one.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair, Truth
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.points import between_voxels
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.warp import Warp
from regenv.synthesis.patient import Patient, Retake
from regenv.synthesis.physics.common import hounsfield
from regenv.synthesis.physics.xray import Cylinder, draw_xray, xray
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._scans import tilt

VERSION = 1
TARGETS = ("T11", "T12", "L1")
PIXELS, PITCH_MM = 192, 1.6
_ANATOMY_MM = 2.4
_TILT_DEG = 12.0
_OFFSET_MM = 25.0
_METALS = ("titanium", "steel")


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Builds an anatomy, scans a part of it, puts metal into it and takes radiographs of it.

    Args:
        seed: The patient.
        modalities: ``("xray", "ct" or "cbct")``.
        field_of_view: ``"ct"``, ``"cbct"`` or ``"biplane"``.

    Returns:
        The pair: the world is the room, the moving image in the patient's own space, the true transform exact.
    """
    return make_with_patient(seed, modalities, field_of_view)[0]


def make_with_patient(seed: int, modalities: tuple[str, str], field_of_view: str) -> tuple[ImagePair, Patient]:
    """As :func:`make`, with whom the radiographs were taken of."""
    from regenv.synthesis.anatomy.torso import torso

    anatomy = torso(seed, _ANATOMY_MM, "spine")
    rng = case_generator("xray_spine", seed, field_of_view)
    target = str(rng.choice([name for name in TARGETS if f"{name}_body" in anatomy.landmarks]))
    middle = anatomy.landmarks[f"{target}_body"]
    hu = hounsfield(anatomy)
    cameras = draw_c_arm(rng, biplane=field_of_view == "biplane")
    world_to_patient = _lie_down(middle, rng)
    patient = _patient(hu, draw_implants(seed, target, rng))
    fixed, fixed_mask = take(patient, cameras, world_to_patient, field_of_view, rng)
    moving = _cone_beam(hu, middle, rng) if field_of_view == "cbct" else _ct(hu, middle, rng)
    truth = _truth(seed, target, anatomy, moving.grid, world_to_patient)
    pair = ImagePair("", "", fixed, moving, fixed_mask, moving.array > -300, truth, cameras=cameras)
    return pair, patient


def take(
    patient: Patient,
    cameras: tuple[Camera, ...],
    world_to_patient: FloatArray,
    field_of_view: str,
    rng: np.random.Generator,
) -> tuple[Image, NDArray[np.bool_]]:
    """Radiographs of a patient with implants, by an exposure that is drawn, and where the patient is in them.

    Args:
        patient: Its points are the implants' ends, see :func:`implants_of`.
        cameras: Positions of the C-arm.
        world_to_patient: ``(4, 4)``.
        field_of_view: Of no account.
        rng: Draws exposure and noise.
    """
    fixed, field = xray(patient.hu, cameras, rng, world_to_patient, draw_xray(rng), implants_of(patient))
    seen = field & (fixed.array > 0.35)  # behind the patient, not beside it
    return fixed, seen if np.count_nonzero(seen) > 0.2 * seen.size else field


def _patient(hu: Image, implants: list[Cylinder]) -> Patient:
    ends = np.array([end for c in implants for end in (c.start, c.end)], dtype=np.float64).reshape(-1, 3)
    numbers = [number for c in implants for number in (c.radius_mm, _METALS.index(c.metal))]
    return Patient(hu, ends, np.array(numbers, dtype=np.float64))


def implants_of(patient: Patient) -> list[Cylinder]:
    """The implants of a patient, who carries them along when varied."""
    ends, numbers = patient.points.reshape(-1, 2, 3), patient.numbers.reshape(-1, 2)
    return [
        Cylinder(start, end, float(radius), _METALS[int(metal)])
        for (start, end), (radius, metal) in zip(ends, numbers, strict=True)
    ]


def draw_c_arm(rng: np.random.Generator, biplane: bool) -> tuple[Camera, ...]:
    """One or two positions of a C-arm about the isocentre at 0: from behind, or from a side, and angulated.

    Args:
        rng: Draws geometry and angles.
        biplane: Two positions about 90 degrees apart.
    """
    from_side = bool(rng.random() < 0.4)
    distance = float(rng.uniform(1000, 1200))
    to_isocentre = float(rng.uniform(0.6, 0.66) * distance)
    turn, cranial = float(rng.uniform(-20, 20)), float(rng.uniform(-10, 10))
    angles = [turn + (90.0 if from_side else 0.0)]
    if biplane:
        angles = [turn, turn + 90.0 + float(rng.uniform(-10, 10))]
    tilts = [cranial] + [float(rng.uniform(-6, 6)) for _ in angles[1:]]
    roll = float(rng.uniform(-8, 8))
    return tuple(_camera(a, t, roll, distance, to_isocentre) for a, t in zip(angles, tilts, strict=True))


def _camera(angle: float, cranial: float, roll: float, distance: float, to_isocentre: float) -> Camera:
    """A C-arm whose tube is under the table at angle 0 and at the patient's right at 90 degrees."""
    from regenv.synthesis.anatomy.shapes import rotation

    # columns: u to the patient's left, v to the feet, n = u x v from the detector to the tube
    upright = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
    axes = rotation(rz=angle) @ rotation(rx=cranial) @ upright @ rotation(rz=roll)
    detector = -(distance - to_isocentre) * axes[:, 2]
    grid = Grid.centred((PIXELS, PIXELS, 1), (PITCH_MM, PITCH_MM, PITCH_MM), detector, axes)
    return Camera(to_isocentre * axes[:, 2], grid, np.zeros(3))


def _lie_down(middle: FloatArray, rng: np.random.Generator) -> FloatArray:
    """World to patient ``(4, 4)``: ``middle`` comes to lie within a few cm of the isocentre."""
    turn = tilt(rng, _TILT_DEG)
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = middle - turn @ rng.uniform(-_OFFSET_MM, _OFFSET_MM, 3)
    return matrix


def draw_implants(seed: int, target: str, rng: np.random.Generator) -> list[Cylinder]:
    """Pedicle screws with heads, rods between them, and guide wires: none, some, or all of it.

    Args:
        seed: The subject.
        target: Name of the vertebra that everything lies about.
        rng: Draws what is there and where.

    Returns:
        Cylinders in the subject's space.
    """
    level = _NAMES.index(target) + int(rng.integers(-1, 2))
    metal: list[Cylinder] = []
    with_screws, with_wires = rng.random() < 0.55, rng.random() < 0.6
    if with_screws:
        names = [_NAMES[i] for i in range(level, min(level + int(rng.integers(1, 4)), len(_NAMES)))]
        with_rod = len(names) > 1 and rng.random() < 0.6
        radius = float(rng.uniform(2.4, 3.4))
        for side in (-1.0, 1.0):
            heads = [_screw(seed, name, side, radius, rng, metal) for name in names]
            if with_rod:
                over = (heads[-1] - heads[0]) / np.linalg.norm(heads[-1] - heads[0]) * 9.0
                ends = [heads[0] - over, *heads[1:-1], heads[-1] + over]
                metal += [Cylinder(a, b, 2.75) for a, b in zip(ends, ends[1:], strict=False)]
    if with_wires:
        for _ in range(int(rng.integers(1, 4))):
            metal.append(_wire(seed, _NAMES[int(rng.integers(max(level - 1, 0), level + 2))], rng))
    return metal


_NAMES = ("T9", "T10", "T11", "T12", "L1", "L2", "L3")


def _screw(
    seed: int, name: str, side: float, radius: float, rng: np.random.Generator, metal: list[Cylinder]
) -> FloatArray:
    """Adds one pedicle screw to ``metal``; where its head takes the rod."""
    vertebra = _shape(seed)[0].vertebra(name)
    pedicle, back = 0.3 * vertebra.width, vertebra.depth / 2
    entry = np.array([side * (pedicle + 4.0), back + 21.0, 0.16 * vertebra.height])
    tip = np.array([side * 0.55 * pedicle, -0.2 * vertebra.depth, 0.14 * vertebra.height])
    entry, tip = entry + rng.normal(0, 1.2, 3), tip + rng.normal(0, 2.0, 3)
    out = entry + (entry - tip) / np.linalg.norm(entry - tip) * 13.0
    start, end, head = _to_subject(seed, name, np.stack([tip, entry, out]))
    metal += [Cylinder(start, end, radius), Cylinder(end, head, 6.2)]
    return end + 0.6 * (head - end)


def _wire(seed: int, name: str, rng: np.random.Generator) -> Cylinder:
    """A guide wire through a pedicle, or one that lies on the skin."""
    vertebra = _shape(seed)[0].vertebra(name)
    side = float(rng.choice([-1.0, 1.0]))
    tip = np.array([side * 0.2 * vertebra.width, rng.uniform(-0.3, 0.3) * vertebra.depth, 0.15 * vertebra.height])
    way = np.array([side * rng.uniform(0.1, 0.5), 1.0, rng.uniform(-0.25, 0.25)])
    if rng.random() < 0.25:
        tip += np.array([0.0, vertebra.depth / 2 + 60.0, 0.0])
        way = np.array([rng.normal(), 0.15 * rng.normal(), rng.normal()])
    ends = np.stack([tip, tip + way / np.linalg.norm(way) * rng.uniform(110, 230)])
    start, end = _to_subject(seed, name, ends)
    return Cylinder(start, end, float(rng.uniform(0.6, 1.1)), "steel")


@lru_cache(maxsize=4)
def _shape(seed: int) -> tuple[Subject, Warp]:
    """The subject's shape, and the warp of its anatomy."""
    from regenv.synthesis.anatomy.torso import subject_warp

    subject = Subject(seed)
    return subject, subject_warp(subject)


def _to_subject(seed: int, name: str, points: FloatArray) -> FloatArray:
    """Points ``(N, 3)`` in a vertebra's axes (left, back, up; template mm) in the subject's space."""
    subject, warp = _shape(seed)
    vertebra = subject.vertebra(name)
    return warp.to_subject(vertebra.centre + points @ vertebra.axes.T)


def target_corners(seed: int, target: str) -> FloatArray:
    """The eight corners of a vertebra's box, body and processes, in the subject's space."""
    vertebra = _shape(seed)[0].vertebra(target)
    x, y, z = vertebra.width * 0.75, (-vertebra.depth / 2, vertebra.depth / 2 + 38.0), vertebra.height * 0.62
    corners = [[a, b, c] for a in (-x, x) for b in y for c in (-z, z)]
    return _to_subject(seed, target, np.array(corners))


def _truth(seed: int, target: str, anatomy: Anatomy, moving: Grid, world_to_patient: FloatArray) -> Truth:
    from regenv.core.labels import label_resample
    from regenv.synthesis.anatomy.tissues import ORGAN_NAMES

    names = [n for n in anatomy.landmarks if n.endswith(("_body", "_spinous"))]
    points = np.array([anatomy.landmarks[n] for n in names])
    inside = between_voxels(moving, points)
    names = [n for n, kept in zip(names, inside, strict=True) if kept]
    back = np.linalg.inv(world_to_patient)
    corners = target_corners(seed, target)
    return Truth(
        transform=world_to_patient,
        landmarks_fixed=transform_points(back, points[inside]),
        landmarks_moving=points[inside],
        landmark_names=tuple(names),
        labels_moving=label_resample(anatomy.organ, anatomy.grid, moving),
        label_names=ORGAN_NAMES,
        points_fixed=transform_points(back, corners),
        points_moving=corners,
    )


def _ct(hu: Image, middle: FloatArray, rng: np.random.Generator) -> Image:
    """A diagnostic CT of five to seven vertebrae, without the table, which would lie elsewhere."""
    from regenv.synthesis.physics.common import resample_blurred
    from regenv.synthesis.physics.ct import with_noise

    inplane, thickness = float(rng.uniform(1.8, 2.4)), float(rng.uniform(2.0, 3.0))
    height = float(rng.uniform(160, 205))
    low, high = hu.grid.origin[2] + thickness, hu.grid.origin[2] + hu.grid.extent[2] - thickness
    z = float(np.clip(middle[2] + rng.uniform(-12, 12), low + height / 2, high - height / 2))
    size = [int(n) for n in hu.grid.extent[:2] / inplane] + [int(height / thickness)]
    grid = Grid.centred(size, (inplane, inplane, thickness), (*hu.grid.centre[:2], z))
    seen = resample_blurred(hu, grid, fwhm_mm=float(rng.uniform(0.8, 1.8)), slice_mm=thickness)
    return with_noise(seen, rng)


def _cone_beam(hu: Image, middle: FloatArray, rng: np.random.Generator) -> Image:
    """A cone-beam CT of low dose: few views, few photons, a field narrower than the patient."""
    from regenv.synthesis.physics.cbct import cbct_from_attenuation, draw_scanner

    scanner = replace(
        draw_scanner(rng),
        radius_mm=float(rng.uniform(110, 135)),
        height_mm=float(rng.uniform(150, 180)),
        pixel_mm=float(rng.uniform(2.0, 2.6)),
        voxel_mm=float(rng.uniform(2.0, 2.4)),
        views=int(rng.integers(90, 130)),
        scatter=float(rng.uniform(0.05, 0.45)),
        short_scan=bool(rng.random() < 0.7),
        photons=float(np.exp(rng.uniform(np.log(3e4), np.log(1.5e5)))),
        smoothing=float(rng.uniform(0.5, 0.8)),
        gain_error=float(rng.uniform(0.001, 0.004)),
    )
    isocentre = middle + np.array([0.0, 8.0, 0.0]) + rng.normal(0, 6, 3)
    return cbct_from_attenuation(hu, rng, scanner=scanner, isocentre=isocentre)


RECIPE = Recipe(
    name="xray_spine",
    version=VERSION,
    modalities=("xray", "ct", "cbct"),
    fields_of_view=("ct", "cbct", "biplane"),
    make=make,
    crop_fixed=0.0,
    crop_moving=0.04,
    retake=Retake(make_with_patient, take),
)
