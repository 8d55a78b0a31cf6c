"""A procedural heart in the short-axis frame, at end-diastole, with the chest about it.

Axes as in :mod:`regenv.synthesis.anatomy.heartbeat`: the picture of a slice is what a reader sees from the apex, the
chest wall and the right ventricle on the left, the diaphragm below, lung above and to the right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy import shapes
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.canvas import Canvas, FloatField
from regenv.synthesis.anatomy.heartbeat import Heart, draw_heart
from regenv.synthesis.anatomy.heartbeat_kernels import distances, radii
from regenv.synthesis.anatomy.points import nearest
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.torso import finish
from regenv.synthesis.anatomy.warp import Warp, smooth_noise

HALF_MM = 112.0
"""Half of the width and of the height that are painted."""

LEVELS = (-68.0, 60.0)
"""Lowest (apical) and highest (basal) level."""

_WALL_RV = 3.4
"""Thickness of the right ventricle's wall, mm."""
_PAPILLARY = ((-0.75, 0.60), (1.25, 0.62))
"""Direction and share of the cavity's radius of the anterolateral and the posteromedial papillary muscle."""


@dataclass(frozen=True)
class _Painter:
    """A canvas, the heart's distances on it and what else the painting steps share."""

    canvas: Canvas
    heart: Heart
    rng: np.random.Generator
    endo: FloatField
    epi: FloatField
    rv: FloatField
    depth: FloatField
    rough: FloatField
    fine: FloatField

    def draw(self, low: float, high: float) -> float:
        """A uniform number."""
        return float(self.rng.uniform(low, high))


def heart_of(seed: int) -> Heart:
    """The shape and the beat of a subject's heart."""
    return draw_heart(np.random.default_rng([seed, 31]))


def short_axis(seed: int, spacing_mm: float = 1.7, levels: tuple[float, float] = LEVELS) -> Anatomy:
    """Builds one subject's heart at end-diastole and what lies around it.

    Args:
        seed: The subject; equal seeds give equal anatomies at any spacing.
        spacing_mm: Isotropic voxel size.
        levels: Lowest and highest level that is painted, mm.

    Returns:
        The anatomy; its body is the heart with its fat and 10 mm of what it lies in.
    """
    warp = Warp(np.random.default_rng(0), (1.0, 1.0, 1.0), 0.0, 200.0)
    lo, hi = (-HALF_MM, -HALF_MM, levels[0]), (HALF_MM, HALF_MM, levels[1])
    canvas = Canvas(lo, hi, spacing_mm, warp)
    heart = heart_of(seed)
    endo, epi, rv, depth = (np.empty(canvas.grid.shape, np.float32) for _ in range(4))
    distances(canvas.x, canvas.y, canvas.z, heart, endo, epi, rv, depth)
    rough = smooth_noise(np.random.default_rng([seed, 32]), canvas.grid, 16.0)
    fine = smooth_noise(np.random.default_rng([seed, 33]), canvas.grid, 4.5)
    painter = _Painter(canvas, heart, np.random.default_rng([seed, 34]), endo, epi, rv, depth, rough, fine)
    canvas.top[...] = canvas.under[...] = int(Tissue.LUNG)
    _paint_lung_vessels(painter)
    _paint_abdomen(painter)
    _paint_chest_wall(painter)
    fat = _paint_pericardium(painter)
    _paint_base(painter)
    _paint_right(painter)
    _paint_left(painter)
    landmarks = heart_landmarks(heart)
    return finish(canvas, seed, fat < 10.0, landmarks)


def heart_landmarks(heart: Heart, level: float | None = None) -> dict[str, NDArray[np.float64]]:
    """Named points at end-diastole.

    Args:
        heart: The heart.
        level: Only those of one slice at this level, mm; default those of the whole heart.

    Returns:
        Points ``(3,)`` in mm.
    """
    if level is not None:
        return _ring(heart, level, "mid", papillary=True)
    marks = {"lv_apex": np.array([0.0, 0.0, heart.level - heart.apex]), "mitral_centre": np.array([0, 0, heart.base])}
    return (
        marks
        | _ring(heart, -28.0, "apical")
        | _ring(heart, -4.0, "mid", papillary=True)
        | _ring(heart, heart.base - 10.0, "basal")
    )


def _ring(heart: Heart, z: float, name: str, papillary: bool = False) -> dict[str, NDArray[np.float64]]:
    """Landmarks of one level: insertions of the right ventricle, its free wall, the wall in four directions."""
    marks = {}
    for side, turn in (("anterior", 1.0), ("inferior", -1.0)):
        angle = heart.rv_angle + turn * 0.97 * heart.rv_width
        marks[f"rv_insertion_{side}_{name}"] = _polar(angle, radii(angle, z, heart)[1], z)
    marks[f"rv_free_wall_{name}"] = _polar(heart.rv_angle, radii(heart.rv_angle, z, heart)[2], z)
    for quarter, part in enumerate(("septal", "anterior", "lateral", "inferior")):
        direction = heart.rv_angle + quarter * np.pi / 2
        endo, epi, _ = radii(direction, z, heart)
        marks[f"wall_{part}_{name}"] = _polar(direction, 0.5 * (endo + epi), z)
    if papillary:
        for muscle, (angle, share) in zip(("anterolateral", "posteromedial"), _PAPILLARY, strict=True):
            marks[f"papillary_{muscle}"] = _polar(angle, share * radii(angle, z, heart)[0], z)
    return marks


def organ_at(anatomy: Anatomy, points: NDArray[np.float64], organs: tuple[Organ, ...]) -> NDArray[np.uint8]:
    """Which of the organs lies at points ``(N, 3)`` mm; 0 for all others."""
    found = nearest(anatomy.organ, anatomy.grid, points)
    return np.where(np.isin(found, [int(o) for o in organs]), found, 0).astype(np.uint8)


def _polar(angle: float, radius: float, z: float) -> NDArray[np.float64]:
    return np.array([radius * np.cos(angle), radius * np.sin(angle), z])


def _paint_lung_vessels(p: _Painter) -> None:
    """Vessels of the lung: round spots in a slice."""
    n = 320
    start = np.column_stack([p.rng.uniform(-HALF_MM, HALF_MM, (n, 2)), p.rng.uniform(*LEVELS, n)])
    way = p.rng.normal(0, 1, (n, 3)) * [0.5, 0.5, 1.0]
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    radius = np.exp(p.rng.uniform(np.log(0.8), np.log(3.2), n))
    stop = start + way * p.rng.uniform(15, 40, (n, 1))
    p.canvas.tubes(np.column_stack([start, radius, stop, 0.6 * radius]), Tissue.LUNG_VESSEL)


def _paint_abdomen(p: _Painter) -> None:
    """Diaphragm, liver, stomach, spleen, fat between them, aorta and spine."""
    c = p.canvas
    x, y, z = c.x, c.y, c.z
    widest = p.heart.endo + p.heart.wall
    lowest = widest + p.draw(2.0, 8.0)
    peak, slope = p.draw(-25.0, 20.0), p.draw(-0.08, 0.18)
    dome = lowest + (x - np.float32(peak)) ** 2 / np.float32(p.draw(240.0, 420.0)) - np.float32(slope) * z
    below = dome + p.rough - y
    c.paint(c.everything, below, Tissue.MUSCLE)
    c.paint(c.everything, below + np.float32(2.2), Tissue.FAT)
    divide = p.draw(-15.0, 35.0)
    tilt = np.float32(p.draw(0.1, 0.5))
    liver = shapes.smooth_max(below + np.float32(2.0), x - divide + tilt * (y - lowest) + 2 * p.rough, 8.0)
    c.paint(c.everything, liver, Tissue.LIVER, Organ.LIVER)
    for _ in range(14):
        start = np.array([p.draw(-80, divide), lowest + p.draw(14, 50), p.draw(-60, 50)])
        stop = start + p.rng.normal(0, 22, 3)
        r = p.draw(1.2, 3.6)
        c.tubes(np.array([[*start, r, *stop, 0.5 * r]]), Tissue.VEIN, over=(Tissue.LIVER,))
    stomach = shapes.ellipsoid(
        x, y, z, (divide + p.draw(30, 48), lowest + p.draw(38, 52), p.draw(-30, 10)), (36.0, 30.0, 60.0)
    )
    stomach = np.maximum(stomach + 2 * p.rough, below + np.float32(4.0))
    c.paint(c.everything, stomach, Tissue.WALL, Organ.STOMACH)
    c.paint(c.everything, stomach + np.float32(4.5 + p.draw(0, 2)), Tissue.CONTENT)
    bubble = np.maximum(stomach + np.float32(5.5), x - np.float32(divide + p.draw(20, 60)))
    c.paint(c.everything, bubble, Tissue.GAS)
    spleen = shapes.ellipsoid(x, y, z, (p.draw(80, 95), lowest + p.draw(28, 45), p.draw(-10, 40)), (20.0, 34.0, 40.0))
    c.paint(c.everything, np.maximum(spleen + p.rough, below + np.float32(3.0)), Tissue.SPLEEN, Organ.SPLEEN)
    _paint_aorta_and_spine(p, lowest)


def _paint_aorta_and_spine(p: _Painter, lowest: float) -> None:
    """The descending aorta and the vertebrae before which it runs, behind and below."""
    c = p.canvas
    ax, ay, r = p.draw(30, 48), max(lowest + 9, p.draw(56, 66)), p.draw(9.5, 13.0)
    line = np.array([[ax, ay, LEVELS[0] - 20, r, ax - p.draw(0, 16), ay - p.draw(-4, 6), LEVELS[1] + 20, r]])
    c.tubes(line, Tissue.FAT, grow=5.0)
    c.tubes(line, Tissue.WALL, Organ.AORTA, grow=1.6)
    c.tubes(line, Tissue.ARTERY, Organ.AORTA)
    sx, sy = ax - p.draw(2, 22), ay + p.draw(30, 36)
    body = np.hypot(c.x - np.float32(sx), (c.y - np.float32(sy)) * np.float32(1.15)) - np.float32(p.draw(18, 21))
    c.paint(c.everything, body - np.float32(1.5), Tissue.CORTICAL, Organ.SPINE)
    c.paint(c.everything, body, Tissue.CANCELLOUS, Organ.SPINE)
    period = p.draw(27, 32)
    gap = np.abs((c.z + np.float32(p.draw(0, 30))) % np.float32(period) - np.float32(period / 2)) - np.float32(3.5)
    c.paint(c.everything, np.maximum(body, gap), Tissue.DISC, Organ.SPINE)


def _paint_chest_wall(p: _Painter) -> None:
    """From the lung outwards: intercostal muscle with ribs, outer muscle, fat, skin, air."""
    c, heart = p.canvas, p.heart
    reach = heart.endo + heart.wall + heart.rv_depth + _WALL_RV + p.draw(1.0, 8.0)
    middle = p.draw(-15.0, 20.0)
    inner = c.x + np.float32(reach) - (c.y - np.float32(middle)) ** 2 / np.float32(2 * p.draw(95, 150))
    inner = inner + np.float32(p.draw(-0.12, 0.10)) * c.z + p.rough * np.float32(0.6)
    muscle = p.draw(9.0, 12.0)
    c.paint(c.everything, inner, Tissue.MUSCLE)
    _paint_ribs(p, inner, muscle)
    c.paint(c.everything, inner + np.float32(muscle + 1.5), Tissue.FAT)
    outer = p.draw(0.0, 9.0)
    upper = np.clip((np.float32(p.draw(-25, 25)) - c.y) / np.float32(45.0), 0, 1) * np.float32(outer)
    c.paint(c.everything, inner + np.float32(muscle + 4.5), Tissue.MUSCLE)
    c.paint(c.everything, inner + np.float32(muscle + 4.5) + upper, Tissue.FAT)
    skin = muscle + outer + p.draw(10.0, 32.0)
    c.paint(c.everything, inner + np.float32(skin), Tissue.SKIN)
    c.paint(c.everything, inner + np.float32(skin + 2.0), Tissue.AIR)


def _paint_ribs(p: _Painter, inner: FloatField, muscle: float) -> None:
    """Ribs and their cartilages run obliquely through the slices: flat ovals here and there in the chest wall."""
    c = p.canvas
    along = c.y + np.float32(p.draw(0.25, 0.6)) * c.z
    middle = np.float32(1.5 + muscle / 2)
    position = p.draw(-150.0, -130.0)
    while position < 150.0:
        half = p.draw(6.0, 8.5)
        oval = np.hypot((inner + middle) / np.float32(p.draw(0.5, 0.65)), along - np.float32(position)) - np.float32(
            half
        )
        c.paint(c.everything, oval - np.float32(p.draw(0.0, 2.0)), Tissue.FAT, over=(Tissue.MUSCLE,))
        c.paint(c.everything, oval, Tissue.CORTICAL, Organ.RIBS)
        filling = Tissue.CARTILAGE if p.rng.random() < 0.6 else Tissue.CANCELLOUS
        c.paint(c.everything, oval + np.float32(0.9), filling, Organ.RIBS)
        position += p.draw(25.0, 40.0)


def _paint_pericardium(p: _Painter) -> FloatField:
    """The fat of the heart within its sac; returns the distance to its outer surface."""
    c, heart = p.canvas, p.heart
    outer = np.minimum(p.epi, p.rv - np.float32(_WALL_RV))
    angle = np.arctan2(c.y, c.x)
    front = np.maximum(np.cos(angle - np.float32(heart.rv_angle + p.draw(-0.3, 0.9))), 0) ** 2
    groove = np.exp(-(((c.z - np.float32(heart.base + 2)) / np.float32(11.0)) ** 2))
    apex = np.clip((np.float32(-20.0) - c.z) / np.float32(40.0), 0, 1) * front
    below = np.maximum(np.sin(angle - np.float32(p.draw(-0.4, 0.4))), 0) ** 2
    thick = p.draw(-2.2, 0.6) + p.draw(2.0, 9.0) * front + p.draw(3.0, 7.0) * groove + p.draw(2.0, 10.0) * apex
    thick = np.maximum(thick + p.draw(0.0, 4.0) * below + p.rough * np.float32(p.draw(1.0, 2.2)), 0.0)
    sac = outer - thick
    bottom = np.float32(heart.level - heart.apex - heart.wall - 4.0) - c.z
    sac = shapes.smooth_max(sac, bottom, 10.0)
    c.paint(c.everything, sac - np.float32(1.0), Tissue.LIGAMENT, over=(Tissue.LUNG, Tissue.LUNG_VESSEL))
    c.paint(c.everything, sac, Tissue.FAT, Organ.HEART)
    return sac


def _paint_base(p: _Painter) -> None:
    """Atria, the root of the aorta and the outflow of the right ventricle beyond the valves."""
    c, heart = p.canvas, p.heart
    base = heart.base
    atria = (
        ((6.0, 8.0, base + 21), (27.0, 24.0, 22.0), Tissue.HEART_LEFT),
        ((-44.0, 20.0, base + 20), (24.0, 27.0, 25.0), Tissue.HEART_RIGHT),
    )
    for centre, size, blood in atria:
        box = c.around(centre, max(size) + 4)
        distance = shapes.ellipsoid(*c.coordinates(box), centre, size) + p.rough[box]
        c.paint(box, distance - np.float32(2.0), Tissue.WALL, Organ.HEART)
        c.paint(box, distance, blood, Organ.HEART)
    vessels = (
        ((-32.0, -22.0, base - 4), (-10.0, -44.0, base + 46), p.draw(11, 13.5), Tissue.HEART_RIGHT),
        ((-11.0, -7.0, base - 3), (-26.0, -20.0, base + 48), p.draw(12, 15), Tissue.HEART_LEFT),
    )
    for start, stop, radius, blood in vessels:
        line = np.array([[*start, radius, *stop, radius]])
        c.tubes(line, Tissue.WALL, Organ.HEART, grow=1.8)
        c.tubes(line, blood, Organ.HEART)


def _paint_right(p: _Painter) -> None:
    """The right ventricle: a crescent on the septum, with a thin wall, trabeculae and the moderator band."""
    c, heart = p.canvas, p.heart
    valve = c.z - np.float32(heart.base)
    wall = np.maximum(np.maximum(p.rv - np.float32(_WALL_RV), np.float32(1.2) - p.depth), valve)
    c.paint(c.everything, wall, Tissue.MYOCARDIUM, Organ.HEART)
    cavity = np.maximum(np.maximum(p.rv, np.float32(1.0) - p.depth), valve)
    c.paint(c.everything, cavity, Tissue.HEART_RIGHT, Organ.RV_CAVITY)
    apical = np.clip((np.float32(15.0) - c.z) / np.float32(40.0), 0, 1)
    mesh = np.maximum(np.float32(1.25) - p.fine * np.float32(1.2), -p.rv - (np.float32(3.0) + np.float32(7.0) * apical))
    c.paint(c.everything, np.maximum(mesh, cavity), Tissue.MYOCARDIUM, over=(Tissue.HEART_RIGHT,))
    z = -12.0
    start, stop = heart.rv_angle + 0.5 * heart.rv_width, heart.rv_angle + 0.1
    a = _polar(start, radii(start, z, heart)[1], z)
    b = _polar(stop, radii(stop, z - 8, heart)[2], z - 8)
    c.tubes(np.array([[*a, 2.2, *b, 1.6]]), Tissue.MYOCARDIUM, over=(Tissue.HEART_RIGHT,))


def _paint_left(p: _Painter) -> None:
    """The left ventricle: wall, cavity, trabeculae and papillary muscles (which count as cavity, as in contours)."""
    c, heart = p.canvas, p.heart
    valve = c.z - np.float32(heart.base)
    wall = np.maximum(p.epi, valve)
    bottom = np.float32(heart.level - heart.apex - 0.9 * heart.wall) - c.z
    c.paint(c.everything, np.maximum(wall, bottom), Tissue.MYOCARDIUM, Organ.LV_WALL)
    tip = np.float32(heart.level - heart.apex) - c.z
    cavity = np.maximum(np.maximum(p.endo, valve), tip)
    c.paint(c.everything, cavity, Tissue.HEART_LEFT, Organ.LV_CAVITY)
    over = (Tissue.HEART_LEFT,)
    lateral = np.float32(1.0) + np.float32(0.8) * np.cos(np.arctan2(c.y, c.x) - np.float32(0.3))
    layer = (np.float32(1.2) + np.float32(1.6) * p.fine + np.clip(-c.z, 0, 40) / np.float32(16.0)) * lateral
    c.paint(c.everything, np.maximum(-p.endo - np.minimum(layer, 7.0), cavity), Tissue.MYOCARDIUM, over=over)
    for angle, share in _PAPILLARY:
        levels = np.array([-34.0, -18.0, -4.0, 8.0])
        turn = angle + p.draw(-0.2, 0.2)
        radius = np.array([radii(turn, z, heart)[0] for z in levels])
        points = [
            _polar(turn, r * s, z)
            for r, s, z in zip(radius, (0.85, share + 0.1, share, share - 0.08), levels, strict=True)
        ]
        size = p.draw(3.6, 5.2)
        c.tubes(shapes.path(points, [size, 1.05 * size, 0.9 * size, 0.45 * size]), Tissue.MYOCARDIUM, over=over)
        c.tubes(
            shapes.path([q + [2.0, 4.5, 3.0] for q in points], [size, size, 0.6 * size, 1.0]),
            Tissue.MYOCARDIUM,
            over=over,
        )
