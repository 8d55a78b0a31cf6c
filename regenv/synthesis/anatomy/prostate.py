"""The prostate and what lies around it: gland with its zones, seminal vesicles, bladder, rectum, pelvic floor, bones.

Template coordinates have their origin in the middle of the gland: x to the left, y to the back, z up, in mm. Sizes are
those of a gland of about 35 ml; that of a subject, its hyperplasia and the filling of bladder and rectum are part of
the warp, so that all subjects agree in template coordinates. The nodules of the transition zone, tumours and what the
rectum holds are each subject's own. Zones after McNeal, Am. J. Surg. Pathol. 12 (1988) 619-633.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.between import OWN_MM, shared_lattices
from regenv.synthesis.anatomy.canvas import Box, Canvas
from regenv.synthesis.anatomy.shapes import (
    capsule,
    ellipsoid,
    local,
    path,
    rotation,
    rounded_box,
    smooth_max,
    smooth_min,
)
from regenv.synthesis.anatomy.swelling import Bump, PlaneWarp, SwollenWarp
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.torso import finish
from regenv.synthesis.anatomy.warp import smooth_noise

FloatField = NDArray[np.float32]
Landmarks = dict[str, NDArray[np.float64]]

HALF_MM = (63.0, 62.0, 62.0)
"""Half of the region that is painted, about the gland."""

_SHARED_MM = 2.0
"""Standard deviation of the displacement by the shapes that all men share."""

RECTUM = np.array(
    [
        [0, 31, -72, 2.5],
        [0, 27, -50, 2.5],
        [0, 31, -32, 6],
        [0, 31, -14, 10],
        [0, 31, 6, 10.5],
        [0, 36, 32, 11],
        [0, 47, 68, 12],
    ],
    dtype=float,
)
"""Axis of the rectum and radius of its lumen."""


@dataclass(frozen=True, eq=False)
class Noise:
    """Random fields of unit variance on the canvas: ``strands`` of about 7 mm, ``bumps`` of about 17 mm."""

    strands: FloatField
    bumps: FloatField


class ProstateSubject:
    """What makes one man's prostate: a few numbers drawn from a seed.

    Args:
        seed: The subject.
        level: If given, the subject's slab about this template height, warped within its plane alone and the same all
            through: what a two-dimensional pair shows.

    Attributes:
        warp: Subject to template coordinates.
        hyperplasia: How much the transition zone has grown, -0.06 to 0.3.
        rectum: What the rectum holds.
        rng: Generator of the painters, in a fixed order of use.
    """

    def __init__(self, seed: int, level: float | None = None) -> None:
        self.seed = int(seed)
        self.rng = np.random.default_rng([self.seed, 171])
        rng = self.rng
        scale = rng.normal(1.0, 0.035) * np.exp(rng.normal(0, 0.03, 3))
        self.hyperplasia = float(0.36 * rng.beta(1.6, 2.0) - 0.06)
        bladder = float(rng.uniform(-0.25, 0.28))
        lumen = float(rng.uniform(-0.45, 0.25))
        h = self.hyperplasia
        bumps = (
            Bump((0, -3, 4), (19, 17, 18), (-h, -h, -h)),
            Bump((0, -12, 48), (30, 26, 24), (-bladder, -bladder, -bladder)),
            Bump((0, 31, 0), (13, 13, 55), (-lumen, -lumen, 0.0)),
        )
        x, y, z = (float(s) for s in scale)
        make = SwollenWarp if level is None else partial(PlaneWarp, level=level)
        lattice_rng = np.random.default_rng([self.seed, 172])
        reach = 130.0
        lo, hi = (-reach, -reach, -reach), (reach, reach, reach)
        self.warp = make(lattice_rng, (x, y, z), bumps, amplitude_mm=OWN_MM, knot_mm=34.0, lo=lo, hi=hi)
        # men differ in a few ways by much and in many by little
        shared = shared_lattices(lattice_rng, self.warp.lattices.shape, _SHARED_MM / 0.325)
        self.warp.lattices = self.warp.lattices + shared
        kinds = (Tissue.GAS, Tissue.CONTENT, Tissue.CONTENT, Tissue.RECTUM_WALL)
        self.rectum = kinds[int(rng.integers(len(kinds)))]


def prostate(
    seed: int, spacing_mm: float = 1.5, half_mm: tuple[float, float, float] = HALF_MM, level: float | None = None
) -> Anatomy:
    """Builds one man's prostate region.

    Args:
        seed: The subject; equal seeds give equal anatomies at any spacing.
        spacing_mm: Isotropic voxel size.
        half_mm: Half of the painted region along (x, y, z), mm; it is centred on the gland.
        level: Build the slab about this template height, see :class:`ProstateSubject`.

    Returns:
        The anatomy; all of it is body.

    Raises:
        ValueError: If the spacing is not positive.
    """
    if not spacing_mm > 0:
        raise ValueError(f"spacing_mm must be positive, got {spacing_mm}")
    subject = ProstateSubject(seed, level)
    half = np.asarray(half_mm, dtype=np.float64)
    canvas = Canvas(tuple(-half), tuple(half), spacing_mm, subject.warp)
    landmarks: Landmarks = {}
    canvas.paint(canvas.everything, np.full(canvas.grid.shape, -9.0, np.float32), Tissue.FAT)
    noise = Noise(
        smooth_noise(np.random.default_rng([subject.seed, 173]), canvas.grid, 7.0),
        smooth_noise(np.random.default_rng([subject.seed, 174]), canvas.grid, 17.0),
    )
    paint_floor(canvas, noise)
    paint_pubis(canvas, landmarks)
    paint_vessels(canvas, subject.rng)
    paint_rectum(canvas, subject, noise)
    paint_bladder(canvas, landmarks)
    paint_vesicles(canvas, subject.rng, landmarks)
    paint_gland(canvas, subject, noise.strands, landmarks)
    return finish(canvas, subject.seed, np.ones(canvas.grid.shape, bool), landmarks)


def gland_distance(x: FloatField, y: FloatField, z: FloatField) -> FloatField:
    """Distance (mm) to the gland's surface: a chestnut with a groove behind and its apex below and in front."""
    across = x / np.float32(24.5)
    v = y - np.float32(0.16) * z - np.float32(3.2) * across * across + np.float32(1.0)
    v = v + np.where(v > 0, np.float32(1.8) * np.exp(-((x / 7) ** 2)), 0)
    w = z - np.float32(1)
    apex = 1 + np.float32(0.16) * np.clip(-w / 20, -0.5, 1)
    depth = np.where(v < 0, np.float32(16.5), np.float32(14.5))
    p = np.float32(2.35)
    rho = (np.abs(across * apex) ** p + np.abs(v / depth) ** p + np.abs(w / np.float32(21.5)) ** p) ** (1 / p)
    r = np.sqrt(x * x + v * v + w * w)
    return np.asarray(np.where(rho > 0.05, r * (1 - 1 / np.maximum(rho, 0.05)), -14.0), np.float32)


def _lobes(x: FloatField, y: FloatField, z: FloatField) -> FloatField:
    """Distance to the transition zone: a lobe on either side of the urethra."""
    lobe = ellipsoid(np.abs(x), y, z, (7.6, -3.0, 4.0), (9.8, 10.5, 15.0), rotation(rz=-14))
    return smooth_max(lobe, gland_distance(x, y, z) + np.float32(2.2), 3.0)


def paint_gland(canvas: Canvas, subject: ProstateSubject, strands: FloatField, landmarks: Landmarks) -> None:
    """Capsule, peripheral and transition zones with nodules, anterior stroma, urethra."""
    rng = subject.rng
    box = canvas.around((0, 0, 0), (31, 27, 28))
    c = canvas.coordinates(box)
    x, y, z = c
    gland = gland_distance(*c)
    canvas.paint(box, gland - np.float32(0.5), Tissue.LIGAMENT, Organ.PROSTATE)
    canvas.paint(box, gland + np.float32(0.5), Tissue.PROSTATE_PERIPHERAL, Organ.PROSTATE)
    # strands of stroma and old inflammation in the peripheral zone
    streak = np.abs(strands[box] + np.float32(0.4)) * 4 - np.float32(rng.uniform(0.1, 0.9))
    canvas.paint(box, np.maximum(streak, gland + 1), Tissue.PROSTATE_TRANSITION, over=(Tissue.PROSTATE_PERIPHERAL,))
    _paint_tumour(canvas, rng, box, gland)
    # the central zone around the ejaculatory ducts
    ducts = capsule(np.abs(x), y, z, (7.0, 10.0, 21.0), (1.0, 2.0, 1.0), 5.5, 1.5)
    canvas.paint(box, np.maximum(ducts, gland + 1.2), Tissue.MUSCLE, over=None)
    canvas.paint(box, np.maximum(ducts + 1.2, gland + 2.4), Tissue.PROSTATE_TRANSITION)
    lobes = _lobes(*c)
    canvas.paint(box, lobes - np.float32(0.55), Tissue.MUSCLE, Organ.CENTRAL_GLAND)
    canvas.paint(box, lobes + np.float32(0.55), Tissue.PROSTATE_TRANSITION, Organ.CENTRAL_GLAND)
    _paint_nodules(canvas, subject, box, lobes)
    front = smooth_max(y - np.float32(0.16) * z + np.float32(11.5) + np.float32(0.02) * x * x, gland + 0.3, 2.0)
    canvas.paint(box, np.maximum(front, np.abs(x) - 13), Tissue.MUSCLE, Organ.CENTRAL_GLAND)
    _paint_urethra(canvas)
    landmarks |= {
        "prostate_apex": np.array([0.0, -4.4, -20.5]),
        "prostate_base": np.array([0.0, 1.0, 22.0]),
        "verumontanum": np.array([0.0, -0.3, 0.0]),
        "prostate_left": np.array([24.0, 2.0, 1.0]),
        "prostate_right": np.array([-24.0, 2.0, 1.0]),
        "prostate_front": np.array([0.0, -17.0, 1.0]),
        "prostate_back": np.array([0.0, 11.8, 1.0]),
    }


def _paint_nodules(canvas: Canvas, subject: ProstateSubject, box: Box, lobes: FloatField) -> None:
    """Nodules of hyperplasia in the transition zone: glandular ones bright on T2, stromal ones dark, rimmed."""
    rng = subject.rng
    count = int(rng.poisson(5 + 30 * max(subject.hyperplasia, 0.0)))
    for _ in range(count):
        side = rng.choice([-1.0, 1.0])
        centre = np.array([side * rng.uniform(3, 14), rng.uniform(-11, 5), rng.uniform(-7, 15)])
        radius = rng.uniform(2.2, 6.8)
        kind = rng.choice(4, p=[0.4, 0.2, 0.25, 0.15])
        tissue = (Tissue.PROSTATE_PERIPHERAL, Tissue.SEMINAL_VESICLE, Tissue.PROSTATE_TRANSITION, Tissue.MUSCLE)[kind]
        part = canvas.around(centre, radius + 2)
        c = canvas.coordinates(part)
        ball = ellipsoid(*c, centre, radius * rng.uniform(0.75, 1.25, 3), rotation(*rng.uniform(-90, 90, 3)))
        inside = _inner(lobes, box, part) + np.float32(0.8)
        canvas.paint(part, np.maximum(ball - np.float32(0.5), inside), Tissue.MUSCLE)
        canvas.paint(part, np.maximum(ball + np.float32(0.4), inside), tissue)


def _inner(values: FloatField, box: Box, part: Box) -> FloatField:
    """Part of an array that covers ``box``, held at its border."""
    index = [
        np.clip(np.arange(p.start, p.stop) - b.start, 0, b.stop - b.start - 1) for b, p in zip(box, part, strict=True)
    ]
    return values[np.ix_(*index)]


def _paint_tumour(canvas: Canvas, rng: np.random.Generator, box: Box, gland: FloatField) -> None:
    """In half of the men, a dark focus in the peripheral zone (as dense as stroma)."""
    present, side = rng.random() < 0.5, rng.choice([-1.0, 1.0])
    centre = (side * rng.uniform(6, 19), rng.uniform(7, 11), rng.uniform(-12, 12))
    radii = rng.uniform(3.0, 6.5, 3)
    if present:
        lump = ellipsoid(*canvas.coordinates(box), centre, radii)
        canvas.paint(box, np.maximum(lump, gland + 0.6).astype(np.float32), Tissue.WALL)


def _paint_urethra(canvas: Canvas) -> None:
    """Urethra from the bladder's neck to the bulb, with its sphincters."""
    upper = path([(0, -4, 23), (0, -2, 10), (0, -0.5, 0)], [4.2, 3.6, 3.4])
    lower = path([(0, -0.5, 0), (0, -2.5, -10), (0, -4.5, -20)], [3.2, 3.4, 4.0])
    below = path([(0, -4.5, -21), (0, -6, -30), (0, -9, -40)], [6.8, 7.2, 6.0])
    canvas.tubes(below, Tissue.MUSCLE)
    canvas.tubes(below, Tissue.PROSTATE_TRANSITION, grow=-2.6)
    canvas.tubes(upper, Tissue.MUSCLE, Organ.CENTRAL_GLAND)
    canvas.tubes(upper, Tissue.PROSTATE_TRANSITION, grow=-2.0)
    canvas.tubes(lower, Tissue.PROSTATE_TRANSITION, Organ.CENTRAL_GLAND)
    # the verumontanum and the lumen below it
    canvas.tubes(path([(0, 0.5, 3), (0, -1, -3), (0, -3.5, -16)], [1.4, 2.3, 1.3]), Tissue.SEMINAL_VESICLE)
    canvas.tubes(path([(0, -5, -22), (0, -6, -32)], [1.2, 1.2]), Tissue.SEMINAL_VESICLE)


def paint_vesicles(canvas: Canvas, rng: np.random.Generator, landmarks: Landmarks) -> None:
    """Seminal vesicles, each a coiled tube, and the ends of the deferent ducts."""
    for side in (-1, 1):
        t = np.linspace(0, 1, 44)
        phase = rng.uniform(0, 2 * np.pi)
        turns = 2 * np.pi * 5.5 * t + phase
        swing = 1.3 + 3.6 * np.sin(np.pi * np.clip(0.12 + 0.85 * t, 0, 1))
        x = side * (5.0 + 27 * t)
        y = 13.0 + 4.0 * t + 0.55 * swing * np.sin(turns)
        z = 21.0 + 10.0 * np.sin(1.35 * t) + swing * np.cos(turns)
        radius = 2.6 + 0.5 * np.sin(3 * turns)
        rows = np.column_stack([x, y, z, radius])
        segments = np.hstack([rows[:-1], rows[1:]])
        canvas.tubes(segments, Tissue.WALL, grow=1.1)
        canvas.tubes(segments, Tissue.SEMINAL_VESICLE)
        duct = path(
            [(side * 3, 11.5, 20), (side * 7, 14, 30), (side * 18, 10, 38), (side * 34, -2, 46)], [2.4, 3.0, 2.6, 2.2]
        )
        canvas.tubes(duct, Tissue.WALL)
        canvas.tubes(duct, Tissue.SEMINAL_VESICLE, grow=-1.5)
        landmarks[f"vesicle_{'left' if side > 0 else 'right'}"] = np.array([side * 32.0, 17.0, 30.7])


def paint_bladder(canvas: Canvas, landmarks: Landmarks) -> None:
    """Bladder with its wall, resting on the gland's base."""
    box = canvas.around((0, -10, 46), (52, 46, 40))
    c = canvas.coordinates(box)
    hull = ellipsoid(*c, (0, -12, 47), (36, 29, 24), rotation(rx=8))
    hull = smooth_min(hull, capsule(*c, (0, -8, 34), (0, -4.5, 21), 12.0, 3.5), 8.0)
    canvas.paint(box, hull - np.float32(1.5), Tissue.WALL, Organ.BLADDER)
    canvas.paint(box, hull + np.float32(1.5), Tissue.URINE, Organ.BLADDER)
    landmarks["bladder_neck"] = np.array([0.0, -4.5, 21.0])


def paint_rectum(canvas: Canvas, subject: ProstateSubject, noise: Noise) -> None:
    """Rectum and anal canal, with the fascia around the mesorectum."""
    x, y, z = canvas.x, canvas.y, canvas.z
    everything = canvas.everything
    axis = np.interp(z, RECTUM[:, 2], RECTUM[:, 1]).astype(np.float32)
    radius = np.interp(z, RECTUM[:, 2], RECTUM[:, 3]).astype(np.float32)
    sheath = np.sqrt((x / 1.25) ** 2 + (y - axis - 6) ** 2) - 20 - np.clip(z + 10, -24, 30) * np.float32(0.25)
    sheath = np.maximum(np.abs(sheath) - np.float32(0.25), np.maximum(14 - y, -28 - z))
    canvas.paint(everything, sheath.astype(np.float32), Tissue.LIGAMENT, over=(Tissue.FAT,))
    # wider than deep, and never round
    flat = np.hypot(x / np.float32(1.12), (y - axis) / np.float32(0.94))
    lumen = flat - radius + np.float32(1.5) * noise.bumps * np.clip((z + 36) / 12, 0, 1)
    thick = np.interp(z, [-50, -38, -26], [9.0, 7.5, 3.0]).astype(np.float32)
    canvas.paint(everything, lumen - thick, Tissue.MUSCLE, Organ.RECTUM)
    canvas.paint(everything, lumen - thick * np.float32(0.62), Tissue.RECTUM_WALL, Organ.RECTUM)
    if subject.rectum == Tissue.RECTUM_WALL:
        # empty: folds of mucosa that touch, a little fluid between them
        slit = np.maximum(lumen + 2.0, np.abs(noise.strands + x / 9) * 3.0 - np.float32(0.8))
        canvas.paint(everything, slit.astype(np.float32), Tissue.FLUID, Organ.RECTUM)
        return
    canvas.paint(everything, lumen, subject.rectum, Organ.RECTUM)
    if subject.rectum == Tissue.CONTENT:
        bubbles = np.maximum(lumen + 1, (1.0 - noise.strands) * 4).astype(np.float32)
        canvas.paint(everything, bubbles, Tissue.GAS, over=(Tissue.CONTENT,))


def paint_floor(canvas: Canvas, noise: Noise) -> None:
    """Obturator muscles, levator ani, glutei, adductors, with fat between them and strands in the fat."""
    x, y, z = canvas.x, canvas.y, canvas.z
    everything, s = canvas.everything, np.abs(x)
    # vessels and septa too small to see one by one
    web = np.maximum(np.abs(noise.strands) * np.float32(3.5) - np.float32(0.12), np.float32(0.3) - noise.bumps)
    canvas.paint(everything, web, Tissue.WALL)
    inner = rounded_box(*local(s, y, z, (49.5, 0, 10), rotation(rz=7)), (9.0, 38.0, 52.0), 7.0) + 1.2 * noise.bumps
    thigh = smooth_max(smooth_max(y + 16 + 0.3 * z, z + 26 - 0.1 * s, 8.0), 15 - s, 6.0)
    buttock = smooth_max(smooth_max(46 - y - 0.2 * s, 8 - s, 6.0), z - 40, 8.0)
    belly = smooth_max(y + 57, -(z + 4), 4.0)
    for muscle in (inner, thigh, buttock, belly):
        gaps = np.maximum(muscle, np.float32(0.5) - np.abs(noise.bumps - 0.3) * 9)
        canvas.paint(everything, np.asarray(gaps, np.float32), Tissue.MUSCLE)
    levels = [-52, -38, -24, -8, 8, 20, 34]
    half = np.interp(z, levels, [9, 13, 19, 25.5, 28.5, 33, 39]).astype(np.float32)
    back = np.interp(z, levels, [10, 14, 20, 26, 32, 38, 44]).astype(np.float32)
    behind = np.maximum(y - 18, 0) / back
    rho = np.sqrt((x / half) ** 2 + behind**2) + np.float32(1e-3)
    thick = np.interp(z, [-45, -25, 10, 25], [3.4, 2.3, 1.4, 0.8]).astype(np.float32) + np.float32(0.35) * noise.bumps
    sling = np.maximum(np.abs((rho - 1) * half) - thick, -28 - y)
    sling = np.maximum(sling, np.maximum(z - 22 - 0.4 * y, -46 - z))
    canvas.paint(everything, np.asarray(sling, np.float32), Tissue.MUSCLE)


def paint_pubis(canvas: Canvas, landmarks: Landmarks) -> None:
    """Pubic bones with the symphysis, their rami, the inner wall of the hip joint, and the coccyx."""
    shell, everything = 1.5, canvas.everything
    x, y, z = canvas.coordinates(everything)
    s = np.abs(x)
    body = rounded_box(*local(s, y, z, (15.0, -41.0, -17.0), rotation(rx=-24, rz=18)), (13.5, 8.5, 18.0), 6.0)
    upper = capsule(s, y, z, (22, -42, -6), (62, -26, 26), 8.0, 11.0)
    lower = capsule(s, y, z, (12, -34.5, -31), (42, -2, -66), 6.5, 7.5)
    hip = rounded_box(*local(s, y, z, (68, 0, 16), rotation(rz=8)), (9.5, 34.0, 44.0), 8.0)
    bone = smooth_min(smooth_min(body, upper, 7.0), smooth_min(lower, hip, 6.0), 6.0)
    gap = np.maximum(bone, 2.2 - s)
    disc = smooth_max(smooth_max(bone - 1.0, s - 3.0, 1.0), -(z + 40), 2.0)
    canvas.paint(everything, disc.astype(np.float32), Tissue.CARTILAGE, Organ.PELVIS_BONE)
    canvas.paint(everything, gap.astype(np.float32), Tissue.CORTICAL, Organ.PELVIS_BONE)
    canvas.paint(everything, (gap + np.float32(shell)).astype(np.float32), Tissue.CANCELLOUS, Organ.PELVIS_BONE)
    coccyx = path([(0, 70, 44), (0, 66, 14), (0, 57, -12), (0, 49, -22)], [9, 7.5, 5.5, 3.5])
    canvas.tubes(coccyx, Tissue.CORTICAL, Organ.PELVIS_BONE)
    canvas.tubes(coccyx, Tissue.CANCELLOUS, Organ.PELVIS_BONE, grow=-1.3)
    landmarks["symphysis_top"] = np.array([0.0, -40.5, 1.0])
    landmarks["symphysis_bottom"] = np.array([0.0, -35.5, -34.0])


def paint_vessels(canvas: Canvas, rng: np.random.Generator) -> None:
    """Veins in front of and beside the gland, the neurovascular bundles behind its sides, vessels of the side wall."""
    fat = (Tissue.FAT,)
    for side in (-1, 1):
        for y, z, r in ((-14, 0, 2.0), (-7, 6, 1.8), (-1, -2, 1.6)):
            start = np.array([side * (23.0 - 0.35 * max(-y - 4, 0)), y, z - 22])
            points = start + np.column_stack(
                [rng.normal(3.5 * side, 1.2, 5), rng.normal(0, 1.5, 5), 11.0 * np.arange(5)]
            )
            canvas.tubes(path(points, np.full(5, r)), Tissue.SEMINAL_VESICLE, over=fat)
        for n in range(3):
            points = np.array([[side * (16 + 2.2 * n), 14.5 - 1.2 * n, z] for z in (-22, -8, 6, 22)], float)
            points += rng.normal(0, 0.8, points.shape)
            tissue = (Tissue.SEMINAL_VESICLE, Tissue.NERVE, Tissue.ARTERY)[n]
            canvas.tubes(path(points, np.full(4, (1.5, 1.1, 1.0)[n])), tissue, over=fat)
        for n in range(4):
            points = np.array([[side * (38 - 1.0 * n), -22 + 16.0 * n, -8], [side * (38 - n), -18 + 14.0 * n, 22]])
            points = np.vstack([points, [side * 38.0, -16 + 15.0 * n, 62]]) + rng.normal(0, 1.5, (3, 3))
            canvas.tubes(path(points, [1.8, 2.3, 2.6]), (Tissue.VEIN, Tissue.ARTERY)[n % 2], over=fat)
    for _ in range(9):
        start = np.array([rng.uniform(-13, 13), rng.uniform(-25, -20), rng.uniform(-26, -8)])
        steps = np.cumsum(rng.normal((0, 0.2, 6.0), (3.0, 1.5, 2.0), (4, 3)), axis=0)
        canvas.tubes(path(start + steps, rng.uniform(1.2, 2.2, 4)), Tissue.SEMINAL_VESICLE, over=fat)
    bulb = path([(0, -9, -40), (0, 2, -48), (0, 8, -50)], [6, 9.5, 7])
    canvas.tubes(bulb, Tissue.LIGAMENT, grow=0.8)
    canvas.tubes(bulb, Tissue.PROSTATE_PERIPHERAL)
    for side in (-1, 1):
        crus = path([(side * 33, -8, -56), (side * 22, -22, -46), (side * 8, -36, -44)], [5.5, 6.5, 6.5])
        canvas.tubes(crus, Tissue.LIGAMENT, grow=1.0)
        canvas.tubes(crus, Tissue.PROSTATE_PERIPHERAL)
