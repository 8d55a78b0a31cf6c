"""A procedural right knee: bones with marrow, cartilage, menisci, ligaments, tendons, muscles and fat.

Template axes in mm: x to the patient's left (medial in a right knee), y back, z up; the joint line is at z = 0. Sizes
follow the anthropometry of the knee in Yue et al., J. Arthroplasty 26 (2011) 1004-1009, and textbook anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy import shapes
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.bend import BentWarp
from regenv.synthesis.anatomy.canvas import Box, Canvas, FloatField
from regenv.synthesis.anatomy.shapes import Loft
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.torso import finish
from regenv.synthesis.anatomy.warp import smooth_noise

REACH = (74.0, 84.0, 78.0)
"""Half of what is painted along x, y and z of the subject, mm."""

_SKIN = Loft(
    [-150, -100, -60, -25, 0, 30, 60, 100, 150],
    [
        [-3, 18, 48, 38, 44, 0.0],
        [-4, 16, 50, 37, 47, -0.01],
        [-3, 12, 49, 42, 49, -0.03],
        [0, 6, 48, 50, 46, -0.03],
        [0, 2, 49, 57, 47, -0.03],
        [0, 2, 50, 64, 50, -0.05],
        [0, 2, 55, 64, 54, -0.04],
        [0, 4, 64, 64, 60, 0.0],
        [0, 6, 72, 70, 66, 0.0],
    ],
)
_FEMUR = Loft(
    [20, 34, 46, 60, 80, 100, 150],
    [
        [0, 2, 35, 24, 20, 0.1],
        [0, 1, 36, 26, 20, 0.1],
        [0, -3, 31, 24, 18, 0.08],
        [0, -6, 23, 19, 16, 0.05],
        [0, -8, 17.5, 15.5, 14.5, 0],
        [0, -9, 15, 14, 13.5, 0],
        [0, -10, 14, 14, 13.5, 0],
    ],
)
_TIBIA = Loft(
    [-150, -80, -52, -32, -16, -8, 0],
    [
        [4, 8, 12.5, 15, 12, 0],
        [3, 6, 14.5, 17, 13, 0.02],
        [1, 4, 20, 20, 15, 0.05],
        [0, 4, 29, 24, 18, 0.08],
        [0, 5, 36, 24, 21, 0.1],
        [0, 6, 37.5, 24, 22, 0.1],
        [0, 6, 37, 23, 22, 0.1],
    ],
)
_CONDYLES = (((22.0, 6.0, 25.0), (13.5, 29.0, 22.0)), ((-22.0, 4.0, 25.5), (14.0, 30.0, 22.0)))
_PLATEAUS = (((20.5, 7.0), (14.5, 20.5)), ((-20.5, 5.5), (14.5, 19.0)))

_INSIDE = tuple(tissue for tissue in Tissue if tissue not in (Tissue.AIR, Tissue.SKIN))
"""What may be painted over: nothing sticks out of the skin."""

# course and radii of the muscles: points (x, y, z) and a radius at each
_MUSCLES = (
    (((30, -20, 38), (33, -14, 75), (30, -8, 150)), (6, 19, 26)),
    (((-28, -26, 55), (-32, -16, 90), (-30, -8, 150)), (5, 17, 26)),
    (((0, -34, 72), (0, -36, 110), (0, -34, 150)), (4, 13, 17)),
    (((0, -20, 62), (0, -22, 100), (0, -22, 150)), (9, 15, 18)),
    (((-36, 32, 0), (-34, 36, 50), (-26, 36, 100), (-20, 34, 150)), (5, 11, 16, 19)),
    (((28, 34, -8), (26, 40, 40), (22, 40, 90), (18, 40, 150)), (4, 11, 16, 18)),
    (((44, 18, -10), (48, 22, 40), (46, 22, 100), (40, 14, 150)), (4, 8, 9, 10)),
    (((18, 32, 26), (22, 42, -10), (24, 44, -60), (24, 42, -150)), (5, 11, 17, 18)),
    (((-20, 32, 28), (-20, 42, -10), (-20, 44, -60), (-18, 42, -150)), (5, 10, 15, 17)),
    (((-10, 26, -14), (0, 28, -50), (0, 28, -150)), (5, 12, 17)),
    (((-30, -4, -24), (-30, -4, -60), (-28, -4, -150)), (5, 11, 15)),
    (((-44, 14, -40), (-44, 14, -90), (-42, 14, -150)), (4, 8, 9)),
)


@dataclass(frozen=True)
class Knee:
    """What one subject differs in, besides the warp that maps it to the template.

    Attributes:
        seed: The subject.
        warp: Subject to template coordinates, flexion included.
        cartilage: Thickness of the femoral cartilage relative to 2.3 mm.
        skin: Thickness of the fat under the skin, mm.
        fluid: Thickness of the fluid film on the cartilage, mm.
        effusion: Size of the pouch of fluid above the patella, mm (below 1: none).
    """

    seed: int
    warp: BentWarp
    cartilage: float
    skin: float
    fluid: float
    effusion: float


def draw_knee(seed: int) -> Knee:
    """Draws a subject."""
    rng = np.random.default_rng([seed, 41])
    size = rng.normal(0.97, 0.06)
    scale = tuple(float(np.clip(size * rng.normal(1.0, 0.025), 0.82, 1.14)) for _ in range(3))
    warp = BentWarp(np.random.default_rng([seed, 42]), scale, float(rng.uniform(-2.0, 10.0)))  # type: ignore[arg-type]
    return Knee(
        seed=seed,
        warp=warp,
        cartilage=float(rng.uniform(0.7, 1.2)),
        skin=float(rng.uniform(4.0, 11.0)),
        fluid=float(rng.uniform(0.05, 0.45)),
        effusion=float(rng.uniform(-2.0, 3.5)),
    )


def knee(subject: Knee, spacing_mm: float = 1.7) -> Anatomy:
    """Builds one subject's knee.

    Args:
        subject: From :func:`draw_knee`; equal subjects give equal anatomies at any spacing.
        spacing_mm: Isotropic voxel size.

    Returns:
        The anatomy, the joint at the origin.
    """
    canvas = Canvas([-r for r in REACH], REACH, spacing_mm, subject.warp)
    rough = smooth_noise(np.random.default_rng([subject.seed, 43]), canvas.grid, 14.0)
    rng = np.random.default_rng([subject.seed, 44])
    skin = _SKIN.distance(canvas.x, canvas.y, canvas.z)
    _paint_layers(canvas, subject, skin, rough, rng)
    _paint_joint(canvas, subject)
    _paint_ligaments(canvas)
    _paint_femur(canvas, subject)
    _paint_tibia(canvas, subject)
    _paint_patella(canvas, subject)
    return finish(canvas, subject.seed, skin < 0, dict(LANDMARKS))


def _paint_layers(canvas: Canvas, subject: Knee, skin: FloatField, rough: FloatField, rng: np.random.Generator) -> None:
    """Skin, fat, muscles in their sheaths, vessels, the pouch of fluid above the patella."""
    everything = canvas.everything
    canvas.paint(everything, skin, Tissue.SKIN)
    canvas.paint(everything, skin + np.float32(1.6), Tissue.FAT)
    # the sheath of the limb, thin over the joint
    joint = np.exp(-((canvas.z / np.float32(30.0)) ** 2))
    fascia = skin + np.float32(subject.skin) * (1 - np.float32(0.4) * joint) + rough
    canvas.paint(everything, np.abs(fascia) - np.float32(0.3), Tissue.LIGAMENT, over=(Tissue.FAT,))
    canvas.paint(everything, _muscle_mass(canvas, fascia, rough), Tissue.MUSCLE, over=(Tissue.FAT, Tissue.LIGAMENT))
    for points, radii in _MUSCLES:
        wander = np.asarray(points, float) + rng.normal(0, 1.5, (len(points), 3)) * [1, 1, 0]
        course = shapes.path(wander, np.asarray(radii, float) * rng.uniform(0.92, 1.12), 4)
        canvas.tubes(course, Tissue.FAT, grow=0.9, over=(Tissue.MUSCLE,))
        canvas.tubes(course, Tissue.MUSCLE, over=(Tissue.FAT,))
    outside = np.maximum(-fascia, skin + np.float32(1.6))
    canvas.paint(everything, outside, Tissue.FAT, over=(Tissue.MUSCLE,))
    vessels = (
        (((2, 36, 90), (1, 38, 30), (0, 36, -20), (-2, 30, -90)), 3.4, Tissue.ARTERY),
        (((6, 42, 90), (5, 44, 30), (2, 42, -20), (2, 34, -90)), 3.9, Tissue.VEIN),
        (((-6, 46, 90), (-6, 48, 30), (-4, 48, -40)), 2.6, Tissue.NERVE),
        (((40, 44, 90), (44, 40, 30), (42, 38, -30), (36, 40, -90)), 1.8, Tissue.VEIN),
    )
    for line, radius, tissue in vessels:
        course = shapes.path(np.asarray(line, float) + rng.normal(0, 1.5, 3), [radius] * len(line), 4)
        canvas.tubes(course, Tissue.FAT, grow=2.0, over=_INSIDE)
        canvas.tubes(course, Tissue.LIGAMENT, grow=0.7, over=_INSIDE)
        canvas.tubes(course, tissue, over=_INSIDE)
    if subject.effusion > 1.0:
        box = canvas.around((0, -33, 58), 30)
        pouch = shapes.ellipsoid(*canvas.coordinates(box), (0, -32, 58), (20.0, subject.effusion, 17.0))
        canvas.paint(box, pouch, Tissue.SYNOVIA)


def _muscle_mass(canvas: Canvas, fascia: FloatField, rough: FloatField) -> FloatField:
    """Where muscle fills the sheath: above and below the joint, behind the tibia and beside it, not in its hollow."""
    x, y, z = canvas.x, canvas.y, canvas.z
    hollow = np.float32(18.0) * np.exp(-((x / np.float32(15.0)) ** 2)) * (y > 0)
    low = np.float32(54.0) - np.float32(16.0) * np.clip(np.abs(x) / np.float32(30.0) - np.float32(0.4), 0, 1)
    level = np.where(z > 12, z - low - hollow, np.float32(-10.0) - z - hollow)
    level = level + np.where((z <= 12) & (y > 15), np.float32(14.0), np.float32(0.0))
    shin = np.where(z < 12, np.minimum(x + np.float32(10.0), np.float32(2.0) - y), np.float32(-20.0))
    mass = shapes.smooth_max(fascia + np.float32(1.5), -level + np.float32(3.0) * rough, 6.0)
    return shapes.smooth_max(mass, shin, 6.0)


def _ring(box_x: FloatField, box_y: FloatField, plateau: tuple[tuple[float, float], tuple[float, float]]) -> FloatField:
    """Radius relative to the edge of a plateau's ellipse."""
    (cx, cy), (a, b) = plateau
    return np.hypot((box_x - np.float32(cx)) / np.float32(a), (box_y - np.float32(cy)) / np.float32(b))


def _paint_joint(canvas: Canvas, subject: Knee) -> None:
    """Between the bones: the lining of the notch, a film of fluid, the wedges of the menisci, open to the middle."""
    box = canvas.box((-46, -34, -8), (46, 40, 14))
    x, y, z = canvas.coordinates(box)
    notch = canvas.around((0, 13, 9), 30)
    lining = shapes.ellipsoid(*canvas.coordinates(notch), (0.0, 13.0, 9.0), (12.0, 21.0, 16.0))
    canvas.paint(notch, lining, Tissue.WALL)
    for side, plateau in zip((1.0, -1.0), _PLATEAUS, strict=True):
        (cx, _), (a, _) = plateau
        ring = _ring(x, y, plateau)
        film = np.maximum((ring - np.float32(0.85)) * a, np.abs(z - np.float32(0.9)) - np.float32(0.3 + subject.fluid))
        canvas.paint(box, film, Tissue.SYNOVIA)
        inner = 0.48 if side > 0 else 0.42
        height = np.float32(4.4) * np.clip((ring - inner) / np.float32(1.08 - inner), 0, 1)
        wedge = np.abs(z - np.float32(1.2)) - height
        wedge = np.maximum(wedge, (ring - np.float32(1.16)) * a)
        wedge = np.maximum(wedge, (np.float32(inner) - ring) * a)
        open_to = np.float32(side) * (np.float32(cx) - x) - np.float32(7.0)
        canvas.paint(box, np.maximum(wedge, open_to), Tissue.MENISCUS)


def _paint_ligaments(canvas: Canvas) -> None:
    """Cruciate and collateral ligaments, patellar and quadriceps tendon."""
    cruciate = (
        (((-9, 17, 22), (-5, 8, 12), (1, -6, 0), (2, -9, -4)), (3.6, 3.4, 3.6, 4.2)),
        (((8, 0, 14), (6, 12, 12), (2, 22, 4), (0, 27, -10)), (4.6, 4.3, 4.2, 4.2)),
    )
    for course, radii in cruciate:
        canvas.tubes(shapes.path(course, radii, 4), Tissue.LIGAMENT)
    forward, sideways = (0.0, -1.0, 0.0), (1.0, 0.0, 0.0)
    bands = (
        (((-1, -51, 16), (-2, -47, 0), (-3, -38, -22), (-3, -31, -40)), 2.3, 12.5, forward),
        (((-1, -52, 48), (-1, -47, 75), (0, -44, 100)), 3.0, 15.0, forward),
        (((38, 2, 30), (41, 2, 4), (37, -2, -30), (31, -4, -50)), 1.0, 7.0, sideways),
        (((-38, 8, 30), (-43, 14, 4), (-42, 20, -16)), 1.6, 2.4, sideways),
        (((-38, -8, 60), (-43, -10, 20), (-36, -16, -16)), 1.0, 8.0, sideways),
    )
    for points, thin, wide, normal in bands:
        nodes = np.array([[*p, thin, wide, *normal] for p in points], dtype=float)
        canvas.bands(shapes.catmull_rom(nodes, 4), Tissue.LIGAMENT, over=_INSIDE)


def _fill_bone(canvas: Canvas, box: Box, bone: FloatField, organ: Organ, scar: float | None) -> None:
    """A bone: a shell that is thick along the shaft, spongy ends, fatty marrow, the scar of the growth plate."""
    z = canvas.z[box]
    shell = np.float32(0.8) + np.float32(3.8) * np.clip((np.abs(z) - np.float32(32.0)) / np.float32(42.0), 0, 1)
    canvas.paint(box, bone, Tissue.CORTICAL, organ)
    canvas.paint(box, bone + shell, Tissue.CANCELLOUS, organ)
    ragged = np.float32(4.0) * np.sin(canvas.x[box] / np.float32(5.0)) * np.cos(canvas.y[box] / np.float32(4.0))
    shaft = np.maximum(bone + shell + np.float32(1.0), np.float32(56.0) + ragged - np.abs(z))
    canvas.paint(box, shaft, Tissue.MARROW, organ)
    if scar is not None:
        wave = z - np.float32(scar) - np.float32(2.0) * np.cos(canvas.x[box] / np.float32(9.0))
        canvas.paint(
            box, np.maximum(bone + shell, np.abs(wave) - np.float32(0.3)), Tissue.CORTICAL, over=(Tissue.CANCELLOUS,)
        )


def _paint_femur(canvas: Canvas, subject: Knee) -> None:
    """Femur with its cartilage: shaft, two condyles, the groove of the patella and the notch between the condyles."""
    box = canvas.box((-44, -44, -6), (44, 44, 160))
    x, y, z = canvas.coordinates(box)
    bone = shapes.smooth_max(_FEMUR.distance(x, y, z), np.float32(30.0) - z, 10.0)
    bone = shapes.smooth_min(bone, shapes.ellipsoid(x, y, z, (0.0, -14.0, 27.0), (29.0, 17.5, 19.5)), 6.0)
    for centre, size in _CONDYLES:
        bone = shapes.smooth_min(bone, shapes.ellipsoid(x, y, z, centre, size), 6.0)
    notch = shapes.ellipsoid(x, y, z, (0.0, 29.0, 9.0), (10.0, 34.0, 22.0))
    groove = shapes.capsule(x, y, z, (-1.0, -43.0, 0.0), (-1.0, -42.0, 60.0), 13.0)
    bone = shapes.smooth_max(shapes.smooth_max(bone, -notch, 5.0), -groove, 7.0)
    # cartilage covers the condyles below and behind, and the groove in front
    top = np.where(y < -8, np.float32(42.0), np.float32(14.0) + np.clip(y, 0, 30) * np.float32(0.75))
    front = np.clip((np.float32(-2.0) - y) / np.float32(10.0), 0, 1)
    border = np.maximum(z - (top * front + (1 - front) * np.minimum(top, 36.0)), np.abs(x) - np.float32(35.0))
    border = np.maximum(border, np.float32(-36.0) - y)
    border = np.maximum(border, -(notch - np.float32(1.5)))
    thickness = np.float32(2.3 * subject.cartilage) * (1 + np.float32(0.25) * front)
    behind = np.maximum(np.maximum(y - np.float32(-6.0), z - np.float32(24.0)), -z)
    border = np.where((np.abs(x) < 7) & (behind < 0), np.float32(3.0), border)
    canvas.paint(box, np.maximum(bone - thickness - np.float32(subject.fluid), border), Tissue.SYNOVIA)
    cartilage = np.maximum(bone - thickness, border)
    canvas.paint(box, cartilage, Tissue.HYALINE, Organ.FEMORAL_CARTILAGE)
    _fill_bone(canvas, box, bone, Organ.FEMUR, 33.0)


def _paint_tibia(canvas: Canvas, subject: Knee) -> None:
    """Tibia with its eminence, tubercle and cartilage, and the fibula."""
    box = canvas.box((-44, -40, -160), (44, 40, 8))
    x, y, z = canvas.coordinates(box)
    dish = np.zeros_like(z)
    for plateau in _PLATEAUS:
        dish = dish + np.float32(1.2) * np.clip(1 - _ring(x, y, plateau) ** 2, 0, 1)
    bone = shapes.smooth_max(_TIBIA.distance(x, y, z), z + np.float32(2.4) + dish, 5.0)
    for side in (5.0, -5.0):
        spine = shapes.capsule(x, y, z, (side, 4.0, -6.0), (0.85 * side, 4.0, 3.0), 4.2, 1.6)
        bone = shapes.smooth_min(bone, spine, 3.0)
    tubercle = shapes.ellipsoid(x, y, z, (-3.0, -22.0, -42.0), (9.0, 7.5, 15.0))
    bone = shapes.smooth_min(bone, tubercle, 6.0)
    for plateau in _PLATEAUS:
        (_, _), (a, _) = plateau
        ring = (_ring(x, y, plateau) - np.float32(1.0)) * a
        # thick in the middle, where it meets the femur's, and tapering under the meniscus
        top = np.float32(0.7) - np.float32(1.6) * np.clip(np.float32(1.0) + ring / np.float32(7.0), 0, 1)
        cartilage = np.maximum(np.maximum(z - top, ring), np.float32(-9.0) - z)
        canvas.paint(box, cartilage, Tissue.HYALINE, Organ.TIBIAL_CARTILAGE)
    _fill_bone(canvas, box, bone, Organ.TIBIA, -17.0)
    fibula = shapes.path([(-37, 22, -20), (-36, 21, -34), (-33, 19, -60), (-32, 18, -150)], [8.5, 7.0, 5.6, 6.2], 4)
    canvas.tubes(fibula, Tissue.CORTICAL, over=_INSIDE)
    canvas.tubes(fibula, Tissue.CANCELLOUS, over=_INSIDE, grow=-1.8)


def _paint_patella(canvas: Canvas, subject: Knee) -> None:
    """Patella and the cartilage on its back, which is roofed to fit the femur's groove."""
    box = canvas.box((-30, -66, 4), (30, -28, 58))
    x, y, z = canvas.coordinates(box)
    body = shapes.ellipsoid(x, y, z, (-1.0, -48.0, 32.0), (22.5, 11.5, 21.5))
    roof = y + np.float32(38.8) + np.float32(0.26) * np.abs(x + np.float32(1.0))
    bone = shapes.smooth_max(body, roof, 4.0)
    thickness = np.float32(3.2 * subject.cartilage)
    upper = np.maximum(np.abs(z - np.float32(35.0)) - np.float32(15.0), np.abs(x + 1.0) - np.float32(19.0))
    upper = np.maximum(upper, np.float32(-46.0) - y)
    canvas.paint(
        box, np.maximum(bone - thickness - np.float32(subject.fluid), upper), Tissue.SYNOVIA, over=(Tissue.FAT,)
    )
    cartilage = np.maximum(bone - thickness, upper)
    canvas.paint(box, cartilage, Tissue.HYALINE, over=(Tissue.FAT, Tissue.SYNOVIA, Tissue.LIGAMENT))
    canvas.paint(box, bone, Tissue.CORTICAL, Organ.PATELLA)
    canvas.paint(box, bone + np.float32(1.0), Tissue.CANCELLOUS, Organ.PATELLA)


LANDMARKS: dict[str, NDArray[np.float64]] = {
    name: np.array(point, dtype=np.float64)
    for name, point in {
        "femur_medial_epicondyle": (36, 4, 28),
        "femur_lateral_epicondyle": (-36, 4, 28),
        "femur_medial_condyle_low": (22, 6, 3),
        "femur_lateral_condyle_low": (-22, 4, 3.5),
        "femur_medial_condyle_back": (22, 35, 25),
        "femur_lateral_condyle_back": (-22, 34, 25.5),
        "femur_notch_roof": (0, 8, 27),
        "femur_groove": (-1, -29, 30),
        "femur_shaft": (0, -8, 66),
        "patella_centre": (-1, -48, 32),
        "patella_lower_pole": (-1, -49, 12),
        "patella_upper_pole": (-1, -49, 52),
        "tibia_medial_spine": (4.5, 4, 2),
        "tibia_lateral_spine": (-4.5, 4, 2),
        "tibia_medial_edge": (37, 6, -8),
        "tibia_lateral_edge": (-37, 6, -8),
        "tibia_tubercle": (-3, -28, -42),
        "tibia_shaft": (2, 5, -66),
        "fibula_head": (-37, 22, -20),
        "acl_femur": (-9, 17, 22),
        "acl_tibia": (2, -9, -4),
        "pcl_femur": (8, 0, 14),
        "pcl_tibia": (0, 27, -10),
    }.items()
}
"""Named points of the template, mm."""
