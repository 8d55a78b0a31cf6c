"""Bladder, rectum, bowel, vessels, and prostate or uterus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy.canvas import Canvas
from regenv.synthesis.anatomy.prostate import gland_distance
from regenv.synthesis.anatomy.shapes import capsule, ellipsoid, path, rotation, smooth_max, smooth_min
from regenv.synthesis.anatomy.tissues import Organ, Tissue

FloatField = NDArray[np.float32]
Landmarks = dict[str, NDArray[np.float64]]

BLADDER_MM = (0.0, -16.0, 20.0)
RECTUM_MM = (0.0, 38.0, -8.0)
GLAND_MM = (0.0, -10.0, -24.0)


def paint_organs(
    canvas: Canvas,
    female: bool,
    rng: np.random.Generator,
    strands: FloatField,
    cavity: FloatField,
    landmarks: Landmarks,
) -> None:
    """Paints all that lies inside the pelvis.

    Args:
        canvas: With muscles and the fat of the pelvis.
        female: Uterus and ovaries instead of prostate and vesicles.
        rng: Draws bowel and contents.
        strands: Noise of about 12 mm.
        cavity: Distance to the inside of the pelvis.
        landmarks: Added to.
    """
    _paint_vessels(canvas)
    _paint_bowel(canvas, rng, strands, cavity)
    _paint_rectum(canvas, rng, strands)
    if female:
        _paint_uterus(canvas, rng, landmarks)
    else:
        _paint_prostate(canvas, landmarks)
    _paint_bladder(canvas, female)
    landmarks["bladder_centre"] = np.array(BLADDER_MM)
    landmarks["rectum_centre"] = np.array(RECTUM_MM)


def _paint_bladder(canvas: Canvas, female: bool) -> None:
    """Bladder, flatter where a uterus lies on it."""
    box = canvas.around(BLADDER_MM, 60)
    c = canvas.coordinates(box)
    height = 23.0 if female else 28.0
    hull = ellipsoid(*c, BLADDER_MM, (37, 30, height), rotation(rx=10))
    hull = smooth_min(hull, capsule(*c, (0, -12, 4), (0, -10, -10), 14.0, 4.0), 10.0)
    canvas.paint(box, hull - np.float32(2.0), Tissue.WALL, Organ.BLADDER)
    canvas.paint(box, hull + np.float32(2.0), Tissue.URINE, Organ.BLADDER)


def _paint_prostate(canvas: Canvas, landmarks: Landmarks) -> None:
    """Gland with its transition zone, vesicles, penile root."""
    box = canvas.around(GLAND_MM, 34)
    x, y, z = canvas.coordinates(box)
    local = (x, y - np.float32(GLAND_MM[1]), z - np.float32(GLAND_MM[2]))
    gland = gland_distance(*local)
    canvas.paint(box, gland, Tissue.PROSTATE_PERIPHERAL, Organ.PROSTATE)
    lobes = ellipsoid(np.abs(local[0]), local[1], local[2], (7.6, -3, 4), (9.8, 10.5, 15), rotation(rz=-14))
    canvas.paint(box, smooth_max(lobes, gland + np.float32(2.2), 3.0), Tissue.PROSTATE_TRANSITION, Organ.CENTRAL_GLAND)
    for side in (-1, 1):
        vesicle = path([(side * 5, 6, -2), (side * 18, 10, 6), (side * 32, 10, 9)], [4.5, 6.5, 4.0])
        canvas.tubes(vesicle, Tissue.WALL, grow=0.8)
        canvas.tubes(vesicle, Tissue.SEMINAL_VESICLE, grow=-0.8)
        crus = path(
            [(side * 44, 0, -78), (side * 26, -28, -62), (side * 9, -52, -62), (side * 9, -78, -72)], [6, 8, 9, 11]
        )
        canvas.tubes(crus, Tissue.VEIN, over=(Tissue.FAT, Tissue.MUSCLE))
    canvas.tubes(path([(0, -12, -44), (0, -14, -56), (0, 0, -66)], [6, 7, 12]), Tissue.MUSCLE)
    landmarks["prostate_centre"] = np.array(GLAND_MM)


def _paint_uterus(canvas: Canvas, rng: np.random.Generator, landmarks: Landmarks) -> None:
    """Uterus tipped forward over the bladder, vagina, ovaries with follicles."""
    lean = float(rng.uniform(-8, 10))
    box = canvas.around((lean * 0.5, 6, 34), 62)
    c = canvas.coordinates(box)
    body = capsule(*c, (0, 16, 12), (lean, -8, 56), 13.0, 23.0)
    cervix = capsule(*c, (0, 16, -6), (0, 16, 12), 13.0, 12.0)
    uterus = smooth_min(body, cervix, 8.0)
    canvas.paint(box, uterus, Tissue.GLAND)
    lining = capsule(*c, (0, 16, 6), (lean, -6, 54), 1.8, 5.5)
    canvas.paint(box, lining - np.float32(3.0), Tissue.WALL)
    canvas.paint(box, lining, Tissue.SEMINAL_VESICLE)
    vagina = path([(0, 16, -8), (0, 10, -36), (0, -8, -64)], [8, 8, 7])
    canvas.tubes(vagina, Tissue.WALL)
    canvas.tubes(path([(0, -9, -14), (0, -10, -40), (0, -22, -62)], [6, 6, 5]), Tissue.MUSCLE)
    for side in (-1, 1):
        centre = np.array([side * rng.uniform(36, 46), rng.uniform(8, 24), rng.uniform(24, 42)])
        ovary = canvas.around(centre, 24)
        canvas.paint(ovary, ellipsoid(*canvas.coordinates(ovary), centre, (10, 13, 17)), Tissue.GLAND)
        for _ in range(5):
            follicle = centre + rng.normal(0, 5.0, 3)
            part = canvas.around(follicle, 10)
            ball = ellipsoid(*canvas.coordinates(part), follicle, np.full(3, rng.uniform(2.5, 5.0)))
            canvas.paint(part, ball, Tissue.FLUID, over=(Tissue.GLAND,))
    landmarks["cervix"] = np.array([0.0, 16.0, 0.0])


def _paint_rectum(canvas: Canvas, rng: np.random.Generator, strands: FloatField) -> None:
    """Anal canal, rectum and the first of the sigmoid."""
    points = [
        (0, 30, -86),
        (0, 27, -66),
        (0, 36, -44),
        (0, 44, -16),
        (0, 46, 12),
        (10, 36, 36),
        (30, 12, 50),
        (62, 6, 62),
    ]
    lumen = path(points, [2, 2, 9, 13, 12, 10, 10, 10])
    canal = path(points[:3], [12, 12, 10])
    canvas.tubes(canal, Tissue.MUSCLE, Organ.RECTUM)
    canvas.tubes(lumen, Tissue.RECTUM_WALL, Organ.RECTUM, grow=3.4)
    filling = (Tissue.GAS, Tissue.CONTENT, Tissue.CONTENT)[int(rng.integers(3))]
    canvas.tubes(lumen, filling, Organ.RECTUM)
    if filling == Tissue.CONTENT:
        bubbles = (1.1 - strands) * 6
        canvas.paint(canvas.everything, bubbles.astype(np.float32), Tissue.GAS, over=(Tissue.CONTENT,))


def _paint_bowel(canvas: Canvas, rng: np.random.Generator, strands: FloatField, cavity: FloatField) -> None:
    """Loops of small bowel, caecum and descending colon in the false pelvis."""
    loops = []
    for _ in range(22):
        start = np.array([rng.uniform(-72, 72), rng.uniform(-58, 4), rng.uniform(46, 150)])
        steps = np.cumsum(rng.normal(0, (13, 8, 11), (7, 3)), axis=0)
        walk = start + steps
        walk[:, 0] = np.clip(walk[:, 0], -78, 78)
        walk[:, 1] = np.clip(walk[:, 1], -60, 8)
        walk[:, 2] = np.clip(walk[:, 2], 44, 175)
        loops.append(path(walk, rng.uniform(7.5, 11.5, 7)))
    colon = [path([(-84, -30, 60), (-92, -14, 100), (-94, 0, 170)], [17, 22, 22])]
    colon.append(path([(62, 6, 62), (92, -6, 76), (98, 0, 120), (98, 4, 170)], [11, 13, 13, 14]))
    fat = (Tissue.FAT, Tissue.MUSCLE)
    for n, loop in enumerate(loops + colon):
        canvas.tubes(loop, Tissue.WALL, Organ.BOWEL, grow=2.0, over=(*fat, Tissue.CONTENT, Tissue.FLUID))
        canvas.tubes(loop, Tissue.CONTENT if n >= len(loops) or n % 3 == 0 else Tissue.FLUID, Organ.BOWEL)
    gas = np.maximum((0.9 - strands) * 6, canvas.y + 8 * strands + 24)
    canvas.paint(canvas.everything, gas.astype(np.float32), Tissue.GAS, over=(Tissue.CONTENT, Tissue.FLUID))
    walls = np.where(np.abs(strands) < 0.12, -1.0, 2.0).astype(np.float32)
    canvas.paint(canvas.everything, np.maximum(walls, cavity + 6), Tissue.WALL, over=(Tissue.FLUID,))


def _paint_vessels(canvas: Canvas) -> None:
    """Aorta and cava, common, external and internal iliac vessels down to the thighs."""
    over = (Tissue.FAT, Tissue.MUSCLE)
    canvas.tubes(path([(6, 14, 170), (5, 16, 128), (3, 14, 116)], [8.5, 8, 7.5]), Tissue.ARTERY, over=over)
    canvas.tubes(path([(-16, 18, 170), (-14, 20, 118), (-10, 22, 108)], [10.5, 10.5, 10]), Tissue.VEIN, over=over)
    for side in (-1, 1):
        outer = [
            (side * 30, 8, 92),
            (side * 48, -4, 58),
            (side * 56, -38, 20),
            (side * 58, -62, -4),
            (side * 66, -62, -60),
        ]
        artery = path([(3, 14, 116), *outer, (side * 78, -50, -165)], [7, 5.5, 5, 4.6, 4.6, 4.2, 3.8])
        vein = [(x - side * 11, y + 8, z) for x, y, z in outer[:2]] + [
            (x - side * 13, y + 3, z) for x, y, z in outer[2:]
        ]
        canvas.tubes(
            path([(-10, 22, 108), *vein, (side * 68, -42, -165)], [8, 7, 6.5, 6, 6, 5.5, 5]), Tissue.VEIN, over=over
        )
        canvas.tubes(artery, Tissue.ARTERY, over=over)
        inner = [(side * 33, 10, 84), (side * 40, 28, 50), (side * 44, 36, 20), (side * 40, 30, -8)]
        canvas.tubes(path(inner, [4, 4, 3.2, 2.4]), Tissue.ARTERY, over=over)
        canvas.tubes(path(np.array(inner) + (0, 7, 0), [5, 5, 4, 3]), Tissue.VEIN, over=over)
