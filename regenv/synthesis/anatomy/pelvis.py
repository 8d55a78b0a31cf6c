"""A whole pelvis, male or female, from the lower lumbar spine to the upper thighs.

Template coordinates have their origin midway between the centres of the femoral heads: x to the left, y to the back, z
up, in mm. Distances between bony points are those of adults (femoral heads 176 mm apart, iliac crests 276 mm). The
lumbar spine and what makes one patient fat or muscular are :class:`regenv.synthesis.anatomy.subject.Subject`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.canvas import Canvas
from regenv.synthesis.anatomy.pelvic_bones import paint_bones, sacral_promontory
from regenv.synthesis.anatomy.pelvic_organs import paint_organs
from regenv.synthesis.anatomy.shapes import Loft, ellipsoid, path, smooth_max
from regenv.synthesis.anatomy.spine import paint_spine
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.swelling import Bump, SwollenWarp
from regenv.synthesis.anatomy.tissues import Tissue
from regenv.synthesis.anatomy.torso import finish
from regenv.synthesis.anatomy.warp import smooth_noise

FloatField = NDArray[np.float32]
Landmarks = dict[str, NDArray[np.float64]]

LEVELS_MM = (-142.0, 150.0)
"""Lowest and highest level that is painted, subject mm."""


@dataclass(frozen=True, eq=False)
class PelvisSubject:
    """What makes one patient's pelvis.

    Attributes:
        trunk: Sex, fat, muscle, bone and lumbar spine, moved so that it stands on the sacrum.
        warp: Subject to template coordinates.
        rng: Generator of the painters, in a fixed order of use.
    """

    trunk: Subject
    warp: SwollenWarp
    rng: np.random.Generator

    @classmethod
    def of(cls, seed: int) -> PelvisSubject:
        """The patient of a seed."""
        trunk = Subject(seed)
        last = trunk.vertebra("L5")
        foot = last.centre - last.axes @ np.array([0.0, 0.0, last.height / 2 + last.disc])
        shift = sacral_promontory() - foot
        lumbar = [v for v in trunk.vertebrae if v.lumbar]
        trunk.vertebrae = tuple(replace(v, centre=v.centre + shift) for v in lumbar)
        rng = np.random.default_rng([seed, 271])
        x, y, z = trunk.scale
        # hips are wider and the pelvis is lower in women
        wide, low = (1.03, 0.96) if trunk.female else (1.0, 1.0)
        bladder = float(rng.uniform(-0.3, 0.3))
        rectum = float(rng.uniform(-0.3, 0.3))
        bumps = (
            Bump((0, -14, 22), (52, 44, 60), (-bladder,) * 3, compact=True),
            Bump((0, 36, -6), (34, 32, 60), (-rectum, -rectum, 0.0), compact=True),
        )
        warp = SwollenWarp(
            np.random.default_rng([seed, 272]), (x * wide, y, z * low), bumps, amplitude_mm=3.0, knot_mm=58.0
        )
        return cls(trunk, warp, rng)


def pelvis(seed: int, spacing_mm: float = 3.5) -> Anatomy:
    """Builds one patient's pelvis.

    Args:
        seed: The patient; equal seeds give equal anatomies at any spacing.
        spacing_mm: Isotropic voxel size.

    Returns:
        The anatomy.

    Raises:
        ValueError: If the spacing is not positive.
    """
    if not spacing_mm > 0:
        raise ValueError(f"spacing_mm must be positive, got {spacing_mm}")
    subject = PelvisSubject.of(seed)
    canvas = Canvas(*_extent(subject), spacing_mm, subject.warp)
    landmarks: Landmarks = {}
    noise = Noise.of(seed, canvas)
    layers = paint_layers(canvas, subject, noise)
    paint_muscles(canvas, subject.trunk)
    _marble(canvas, noise.strands)
    paint_organs(canvas, subject.trunk.female, subject.rng, noise.strands, layers.cavity, landmarks)
    paint_spine(canvas, subject.trunk, landmarks)
    paint_bones(canvas, subject.trunk.bone, landmarks)
    return finish(canvas, seed, layers.skin < 0, landmarks)


def _extent(subject: PelvisSubject) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Corners of the painted region in subject mm: all of the patient, or what a scanner's field of view takes in."""
    trunk = subject.trunk
    x, y, _ = subject.warp.scale
    grow = 6.0 * (trunk.muscle - 1.0)
    half = min((166.0 + grow + 1.5 * trunk.fat) * x + 10.0, 205.0)
    front = (96.0 + grow + 1.6 * trunk.fat) * y + 8.0
    back = (101.0 + grow + 1.1 * trunk.fat) * y + 10.0
    return (-half, -front, LEVELS_MM[0]), (half, back, LEVELS_MM[1])


@dataclass(frozen=True, eq=False)
class Noise:
    """Random fields of unit variance: ``strands`` of about 12 mm, ``sheets`` of about 30 mm."""

    strands: FloatField
    sheets: FloatField

    @classmethod
    def of(cls, seed: int, canvas: Canvas) -> Noise:
        """The noise of a patient."""
        scales = (10.0, 26.0)
        return cls(
            *(smooth_noise(np.random.default_rng([seed, 273 + n]), canvas.grid, s) for n, s in enumerate(scales))
        )


@dataclass(frozen=True, eq=False)
class Layers:
    """Distances (mm) to the skin and to the inside of the pelvis, negative inside."""

    skin: FloatField
    cavity: FloatField


_WALL = np.array(
    # z, half-width, depth in front, depth behind
    [
        [-170, 150, 74, 78],
        [-110, 156, 78, 88],
        [-60, 161, 78, 104],
        [-15, 163, 76, 108],
        [30, 152, 80, 104],
        [75, 143, 86, 94],
        [110, 137, 90, 86],
        [160, 126, 92, 82],
    ],
    dtype=float,
)
_CAVITY = np.array(
    # z, half-width, front (y), back (y)
    [
        [-70, 10, -10, 30],
        [-52, 24, -22, 52],
        [-38, 36, -32, 62],
        [-15, 44, -40, 66],
        [15, 48, -56, 62],
        [35, 58, -66, 50],
        [60, 84, -74, 38],
        [90, 106, -79, 30],
        [120, 112, -82, 30],
        [160, 112, -82, 30],
    ],
    dtype=float,
)


def paint_layers(canvas: Canvas, subject: PelvisSubject, noise: Noise) -> Layers:
    """Skin, fat, the muscles of hips and belly with fat between them, and the fat of the pelvis."""
    x, y, z = canvas.x, canvas.y, canvas.z
    fat, m = subject.trunk.fat, subject.trunk.muscle
    levels, half, front, back = _WALL.T
    grow = 6.0 * (m - 1.0)
    flat = np.full_like(levels, 0.05)
    zero = np.zeros_like(levels)
    wall = Loft(levels, np.stack([zero, zero, half + grow, front + grow, back + 2 * grow, flat], axis=1)).distance(
        x, y, z
    )
    belly = np.interp(levels, [-110, -40, 60, 160], [0.7, 1.1, 1.6, 1.5])
    skin_columns = [
        zero,
        zero,
        half + grow + 1.5 * fat + 3,
        front + grow + fat * belly + 3,
        back + 2 * grow + 1.3 * fat + 3,
    ]
    skin = Loft(levels, np.stack([*skin_columns, flat], axis=1)).distance(x, y, z)
    # the patient lies on the buttocks; the cleft between them, and between the thighs
    bed = np.float32(101.0 + 1.1 * fat + grow)
    skin = smooth_max(skin, y - bed, 22.0)
    cleft = np.where(y > 20, 1.0, 0.0) * np.exp(-((x / 9) ** 2)) * np.interp(z, [-140, -30, 25, 60], [34, 30, 10, 0])
    crotch = np.where(z < -84, (-84 - z) * np.float32(0.4) + 2 - np.abs(x), -200.0)
    skin = np.maximum(skin + cleft, np.minimum(crotch, 60.0)).astype(np.float32)
    skin += np.float32(0.03 * fat) * noise.sheets
    wall = np.maximum(wall, skin + np.float32(0.55 * fat + 3)) + 2.0 * noise.sheets
    everything = canvas.everything
    canvas.paint(everything, np.asarray(skin, np.float32), Tissue.SKIN)
    canvas.paint(everything, np.asarray(skin + 2.0, np.float32), Tissue.FAT)
    canvas.paint(everything, np.asarray(wall, np.float32), Tissue.MUSCLE)
    thick = np.float32(0.5 + 0.045 * fat)
    sheet = np.abs(noise.sheets + 0.2) * 14 - thick * 1.3
    deep = np.abs(wall + 30 + 3 * noise.sheets) - thick * np.where(y > 0, 1.5, 0.8)
    gaps = np.maximum(np.minimum(sheet, deep), wall + 2)
    canvas.paint(everything, np.asarray(gaps, np.float32), Tissue.FAT, over=(Tissue.MUSCLE,))
    cavity = _cavity(x, y, z)
    canvas.paint(everything, np.asarray(cavity + 3.0 * noise.strands, np.float32), Tissue.FAT)
    # vessels and septa too small to see one by one
    web = np.maximum(np.abs(noise.strands + 0.3) * 4 - np.float32(0.25), np.maximum(cavity, 0.2 - noise.sheets))
    canvas.paint(everything, np.asarray(web, np.float32), Tissue.WALL, over=(Tissue.FAT,))
    return Layers(np.asarray(skin, np.float32), cavity)


def _marble(canvas: Canvas, strands: FloatField) -> None:
    """Streaks of fat in the muscles of the back."""
    back = canvas.box((-70, 50, 20), (70, 130, 170))
    streak = np.abs(strands[back]) * 5 - np.float32(0.7)
    canvas.paint(back, streak.astype(np.float32), Tissue.FAT, over=(Tissue.MUSCLE,))


def _cavity(x: FloatField, y: FloatField, z: FloatField) -> FloatField:
    """Distance to the inside of the pelvis and the belly above it."""
    levels, half, front, back = _CAVITY.T
    middle = 0.5 * (front + back)
    columns = [np.zeros_like(levels), middle, half, middle - front, back - middle, np.full_like(levels, 0.06)]
    inside = Loft(levels, np.stack(columns, axis=1)).distance(x, y, z)
    return np.asarray(smooth_max(inside, -56 - z, 12.0), np.float32)


def paint_muscles(canvas: Canvas, trunk: Subject) -> None:
    """Iliopsoas, erector spinae, piriformis, obturator internus, levator ani; the fat of the ischioanal fossae."""
    m = trunk.muscle
    x, y, z = canvas.x, canvas.y, canvas.z
    for side in (-1, 1):
        fossa = ellipsoid(x, y, z, (side * 34, 42, -66), (19, 30, 30))
        canvas.paint(canvas.everything, fossa, Tissue.FAT, over=(Tissue.MUSCLE,))
        psoas = [
            (side * 42, 36, 165),
            (side * 46, 28, 120),
            (side * 58, 8, 72),
            (side * 70, -26, 24),
            (side * 88, -30, -8),
        ]
        psoas += [(side * 108, -4, -44), (side * 112, 12, -62)]
        tube = path(psoas, np.array([21, 24, 23, 19, 17, 11, 6]) * np.sqrt(m))
        canvas.tubes(tube, Tissue.FAT, grow=2.5, over=(Tissue.MUSCLE,))
        canvas.tubes(tube, Tissue.MUSCLE)
        for n in range(6):
            # the iliacus, which lines the wing's hollow
            t = n / 5
            top = (side * (104 + 6 * t), -34 + 62 * t, 82 + 10 * t)
            canvas.tubes(path([top, (side * 84, -10 + 22 * t, 48), (side * 76, -22, 22)], [8, 10, 9]), Tissue.MUSCLE)
        back = path(
            [(side * 30, 84, 160), (side * 32, 84, 110), (side * 26, 90, 62), (side * 14, 96, 26)], [26, 26, 20, 8]
        )
        canvas.tubes(back, Tissue.FAT, grow=2.0, over=(Tissue.MUSCLE,))
        canvas.tubes(back, Tissue.MUSCLE, over=(Tissue.FAT, Tissue.MUSCLE))
        canvas.tubes(path([(side * 24, 68, 12), (side * 62, 60, 8), (side * 122, 26, 14)], [8, 12, 5]), Tissue.MUSCLE)
        obturator = path([(side * 46, -34, -22), (side * 48, 0, -14), (side * 50, 30, -18)], [7, 9, 8])
        canvas.tubes(obturator, Tissue.MUSCLE)
        canvas.tubes(path([(side * 46, -20, -34), (side * 48, 14, -42)], [8, 8]), Tissue.MUSCLE)
        levator = path([(side * 40, 0, -18), (side * 25, 14, -36), (side * 11, 30, -54)], [2.2, 2.4, 3.0])
        for shift in (-26.0, -13.0, 0.0, 13.0, 22.0):
            canvas.tubes(levator + np.array([0, shift, 0, 0, 0, shift, 0, 0]), Tissue.MUSCLE)
