"""Lungs with their vessels and bronchi, heart with its chambers, great vessels, trachea, oesophagus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray
from regenv.synthesis.anatomy.canvas import Canvas
from regenv.synthesis.anatomy.shapes import ellipsoid, path, smooth_min
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.trees import grow_tree
from regenv.synthesis.anatomy.trunk import Fields

Landmarks = dict[str, NDArray[np.float64]]
LUNG_ONLY = (Tissue.LUNG,)

# direction from the base of the heart to its apex (left, forward, down)
_AXIS = np.array([0.66, -0.56, -0.50])


def paint_lungs(canvas: Canvas, subject: Subject, fields: Fields) -> None:
    """Fills the rib cage above the diaphragm with lung, keeping the pleural space, and the diaphragm with muscle."""
    everything = canvas.everything
    muscle = np.maximum(np.abs(fields.dome + 2.0) - 1.6, fields.cavity)
    canvas.paint(everything, muscle, Tissue.MUSCLE, over=(Tissue.FAT,))
    lung = np.maximum(fields.cavity + 0.4, 0.6 - fields.dome)
    middle = subject.spine_at(0.0)[0] * 0.5
    canvas.paint(everything, lung, Tissue.LUNG, Organ.LUNG_LEFT)
    right = np.maximum(lung, canvas.x - np.float32(middle))
    canvas.paint(everything, right, Tissue.LUNG, Organ.LUNG_RIGHT)
    _paint_middle(canvas, subject, fields)


def _paint_middle(canvas: Canvas, subject: Subject, fields: Fields) -> None:
    """The mediastinum's fat between the lungs, and the tissue beside the spine."""
    box = canvas.box((-48, -220, -150), (48, 60, 185))
    x, y, _ = canvas.coordinates(box)
    level = canvas.heights(box, (canvas.z.shape[1] // 2, canvas.z.shape[2] // 2))
    shift = np.float32(2.0) * fields.bumps[box]
    front = subject.cavity.at(60.0)
    # a thin sheet before the heart, a broader wedge around the great vessels and in the upper aperture
    y_front = np.float32(front[1] - front[3])
    wide = np.interp(level, [-80, 30, 60, 95, 125, 150, 175], [4, 4, 8, 11, 17, 26, 32]).astype(np.float32)
    deep = np.clip((y - y_front - 16) / 30, 0.15, 1.0)
    sheet = np.abs(x - 3 + shift) - wide * deep
    sheet = np.maximum(sheet, y - 10)
    canvas.paint(box, np.maximum(sheet, fields.cavity[box] - 2), Tissue.FAT, Organ.NONE, over=LUNG_ONLY)
    points = np.array([v.centre for v in subject.vertebrae])
    widths = np.array([v.width / 2 + 3.0 for v in subject.vertebrae])
    bodies = np.column_stack([points, widths])
    canvas.tubes(np.hstack([bodies[:-1], bodies[1:]]), Tissue.FAT, Organ.NONE)
    behind = bodies.copy()
    behind[:, 1] += 26
    behind[:, 3] = 22
    canvas.tubes(np.hstack([behind[:-1], behind[1:]]), Tissue.MUSCLE, Organ.NONE)


class Mediastinum:
    """Positions of the tubes of the chest, in template mm, from one subject's numbers.

    The aorta narrows from 31 mm behind its root to 24 mm at the diaphragm (Hager et al., J. Thorac. Cardiovasc. Surg.
    123 (2002) 1060-1066); a trachea is 10 to 27 mm wide (Breatnach, Abbott and Fraser, Am. J. Roentgenol. 142 (1984)
    903-906).

    Attributes:
        size: Of the heart and the roots of its vessels, relative to the template's.
        heart: Centre of the heart.
        carina: Where the trachea divides.
        hila: Where vessels and bronchi enter the left (1) and the right (-1) lung.
        tubes: Segments ``(N, 8)`` per name, for ``Canvas.tubes``.
    """

    def __init__(self, subject: Subject) -> None:
        rng = np.random.default_rng([subject.seed, 41])
        self.size = float(np.clip(rng.normal(1.0, 0.07), 0.85, 1.2))
        front = subject.cavity.surface([180.0], [-20.0])[0, 1]
        self.heart = np.array([20.0, 0.5 * (front - 18) + 2, -14.0 - 0.7 * subject.inflation]) + rng.normal(0, 3, 3)
        self._subject = subject
        wide = float(np.clip(rng.normal(0.97, 0.1), 0.8, 1.18))
        arch = 84 + float(rng.normal(0, 5))
        self.carina = np.array([1.0, -36.0, 68.0]) + rng.normal(0, 2, 3)
        self.hila = {1: np.array([38.0, -34.0, 42.0]), -1: np.array([-34.0, -38.0, 36.0])}
        self.tubes = {
            "aorta": self._aorta(arch, wide),
            "branches": self._branches(arch),
            "veins": self._veins(),
            "pulmonary": self._pulmonary_arteries(),
            "pulmonary_veins": self._pulmonary_veins(),
            "airway": self._airway(),
            "oesophagus": self._oesophagus(),
        }

    def _spine(self, z: float, dx: float, dy: float) -> list[float]:
        """A point beside the line through the vertebral bodies."""
        x, y = self._subject.spine_at(z)
        return [float(x) + dx, float(y) + dy, z]

    def _aorta(self, arch: float, wide: float) -> FloatArray:
        """From the left ventricle over the arch, at a height, down along the spine."""
        h, s, spine = self.heart, self.size, self._spine
        points = [
            h + np.array([-8, -6, 14]) * s,
            h + np.array([-22, -14, 46]) * s,
            [-18, h[1] - 4, arch - 24],
            [-6, h[1] + 12, arch - 3],
            [10, h[1] + 30, arch + 2],
            spine(arch - 12, 21, -26),
            spine(arch - 40, 23, -23),
            spine(0, 22, -25),
            spine(-60, 16, -28),
            spine(-110, 7, -31),
            spine(-160, 4, -32),
            spine(-230, 2, -32),
            spine(-300, 2, -33),
        ]
        return path(points, np.array([14, 16, 15.5, 14, 13, 12.5, 12, 11.5, 11, 10.5, 9.5, 8.5, 8]) * wide)

    def _branches(self, arch: float) -> FloatArray:
        """The arteries of head and arms that leave the arch."""
        top = np.array([-6, self.heart[1] + 12, arch])
        return np.vstack(
            [
                path([top + [-4, -4, 4], [-18, -48, 128], [-34, -50, 158], [-110, -30, 158]], [7, 6, 5, 4]),
                path([[-30, -50, 150], [-26, -52, 190], [-25, -50, 240]], [3.8, 3.6, 3.4]),
                path([top + [5, 6, 5], [12, -46, 130], [24, -50, 190], [25, -50, 240]], [4.2, 4, 3.6, 3.4]),
                path([top + [14, 16, 4], [26, -32, 125], [44, -34, 156], [112, -28, 156]], [5.2, 5, 4.6, 4]),
            ]
        )

    def _veins(self) -> FloatArray:
        """The upper vena cava with the veins that it is made of, the lower one, and the azygos vein."""
        h, spine = self.heart, self._spine
        cava = h[0] - 48 * self.size
        lower = [[cava + 3, h[1] + 20, h[2] - 14], [-22, -46, -60], spine(-110, -20, -34), spine(-300, -18, -32)]
        return np.vstack(
            [
                path([[cava, h[1] + 2, 12 + h[2]], [cava - 1, h[1] - 2, 60], [-26, h[1], 104]], [9.5, 9, 8.5]),
                path([[-26, h[1], 104], [-36, -60, 140], [-40, -54, 175], [-38, -52, 240]], [7.5, 7, 6, 6]),
                path([[-26, h[1], 102], [6, h[1] - 8, 116], [36, -62, 142], [38, -52, 240]], [6, 6, 6.5, 6]),
                path(lower, [12, 12, 11, 10]),
                path([spine(110, -6, -20), spine(30, -8, -21), spine(-110, -8, -22)], [3, 3.2, 2.4]),
            ]
        )

    def _pulmonary_arteries(self) -> FloatArray:
        """From the right ventricle to both hila."""
        h, s = self.heart, self.size
        fork = np.array([12.0, h[1] + 16, 48.0])
        return np.vstack(
            [
                path([h + np.array([8, -32, 22]) * s, h + np.array([12, -14, 44]) * s, fork], [14, 13.5, 13]),
                path([fork, [-12, -52, 44], self.hila[-1]], [11, 10.5, 9]),
                path([fork, [26, -44, 50], self.hila[1]], [11, 10.5, 9]),
            ]
        )

    def _pulmonary_veins(self) -> FloatArray:
        """From the left atrium towards both lungs."""
        left_atrium = self.heart + np.array([-8, 32, 8]) * self.size
        return np.vstack(
            [
                path([left_atrium, [-30, -42, 18], [-46, -40, 14]], [8, 6.5, 4]),
                path([left_atrium, [34, -40, 18], [50, -34, 14]], [8, 6.5, 4]),
            ]
        )

    def _airway(self) -> FloatArray:
        """Trachea and main bronchi."""
        carina, left, right = self.carina, self.hila[1], self.hila[-1]
        return np.vstack(
            [
                path([self._spine(200, 0, -33), self._spine(150, -1, -36), carina], [8.6, 8.6, 8.2]),
                path([carina, right + [8, 3, 8], right + [-8, 6, -4]], [7.2, 6, 4.6]),
                path([carina, left + [-10, 4, 2], left + [6, 8, -10]], [6.6, 5.6, 4.4]),
            ]
        )

    def _oesophagus(self) -> FloatArray:
        """Down to the stomach."""
        spine = self._spine
        points = [spine(200, 3, -20), spine(100, 4, -22), spine(20, 4, -24), spine(-50, 6, -34), [28, -58, -92]]
        return path(points, [6.5, 6.5, 7, 8, 8])


def paint_mediastinum(canvas: Canvas, subject: Subject, fields: Fields, landmarks: Landmarks) -> Mediastinum:
    """Paints heart, vessels and airways, each in a sleeve of fat."""
    m = Mediastinum(subject)
    for name, sleeve in (
        ("aorta", 3.0),
        ("branches", 3.5),
        ("pulmonary", 2.5),
        ("veins", 2.5),
        ("airway", 2.5),
        ("oesophagus", 2.0),
    ):
        canvas.tubes(m.tubes[name], Tissue.FAT, Organ.NONE, over=LUNG_ONLY, grow=sleeve)
    _paint_heart(canvas, subject, m, fields, landmarks)
    canvas.tubes(m.tubes["pulmonary_veins"], Tissue.HEART_LEFT)
    canvas.tubes(m.tubes["veins"], Tissue.VEIN)
    canvas.tubes(m.tubes["pulmonary"], Tissue.HEART_RIGHT)
    canvas.tubes(m.tubes["branches"], Tissue.ARTERY)
    canvas.tubes(m.tubes["oesophagus"], Tissue.WALL)
    gas = m.tubes["oesophagus"][4:14:7]
    canvas.tubes(gas, Tissue.GAS, grow=-4.5)
    canvas.tubes(m.tubes["aorta"], Tissue.WALL, Organ.AORTA, grow=1.0)
    canvas.tubes(m.tubes["aorta"], Tissue.ARTERY, Organ.AORTA)
    canvas.tubes(m.tubes["airway"], Tissue.WALL, Organ.TRACHEA, grow=1.6)
    canvas.tubes(m.tubes["airway"], Tissue.AIR, Organ.TRACHEA)
    landmarks["carina"] = m.carina
    landmarks["aortic_arch"] = m.tubes["aorta"][24, :3]
    return m


def _paint_heart(canvas: Canvas, subject: Subject, m: Mediastinum, fields: Fields, landmarks: Landmarks) -> None:
    """Two atria, two ventricles with the septum between them, epicardial fat."""
    axis = _AXIS / np.linalg.norm(_AXIS)
    across = np.cross(axis, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    axes = np.column_stack([axis, across, np.cross(axis, across)])
    h, s = m.heart, m.size
    box = canvas.around(h, (82, 78, 70))
    if any(b.stop <= b.start for b in box):
        return
    c = canvas.coordinates(box)
    bumps = fields.bumps[box] * np.float32(1.5)
    lv = ellipsoid(*c, h + axis * 22 * s + np.array([8, 10, 0]), np.array((50, 33, 33)) * s, axes) + bumps
    lv_in = ellipsoid(*c, h + axis * 17 * s + np.array([8, 10, 0]), np.array((41, 21, 21)) * s, axes)
    rv = ellipsoid(*c, h + np.array([4, -26, -12]) * s, np.array((46, 28, 32)) * s, axes) + bumps
    ra = ellipsoid(*c, h + np.array([-34, 2, -4]) * s, np.array((24, 28, 33)) * s) - bumps
    la = ellipsoid(*c, h + np.array([-8, 34, 8]) * s, np.array((34, 20, 25)) * s) - bumps
    limit = np.maximum(fields.cavity[box] + 3, 3 - fields.dome[box])
    whole = smooth_min(smooth_min(lv, rv, 12.0), smooth_min(ra, la, 8.0), 10.0)
    # the heart rests on the diaphragm: no lung between them
    fat = np.maximum(whole - 4.0, np.maximum(fields.cavity[box], -1.0 - fields.dome[box]))
    canvas.paint(box, fat, Tissue.FAT, Organ.HEART, over=(Tissue.LUNG, Tissue.FAT, Tissue.MUSCLE))
    canvas.paint(box, np.maximum(np.maximum(la, -lv), limit), Tissue.HEART_LEFT, Organ.HEART)
    canvas.paint(box, np.maximum(ra, limit), Tissue.HEART_RIGHT, Organ.HEART)
    canvas.paint(box, np.maximum(rv, limit), Tissue.MYOCARDIUM, Organ.HEART)
    canvas.paint(box, np.maximum(rv + 3.5, limit), Tissue.HEART_RIGHT, Organ.HEART)
    canvas.paint(box, np.maximum(lv, limit), Tissue.MYOCARDIUM, Organ.HEART)
    canvas.paint(box, np.maximum(np.maximum(lv_in, lv + 7), limit), Tissue.HEART_LEFT, Organ.HEART)
    groove = np.maximum(np.abs(lv - rv) + np.abs(np.minimum(lv, rv)) - 5.0, limit)
    canvas.paint(box, groove, Tissue.FAT, Organ.HEART, over=(Tissue.HEART_RIGHT,))
    landmarks["heart_apex"] = h + axis * 66 * s + np.array([8, 10, 0])
    landmarks["heart_centre"] = h + axis * 17 * s + np.array([8, 10, 0])


def lung_trees(subject: Subject, m: Mediastinum) -> dict[tuple[int, int], NDArray[np.float64]]:
    """Vessels of the lungs in template mm: by side (-1 right, 1 left) and kind (0 arteries, 1 veins), for ``tubes``."""
    trees = {}
    for side in (-1, 1):
        for kind, leaves, first in ((0, 260, 6.5), (1, 200, 5.5)):
            rng = np.random.default_rng([subject.seed, 51, side + 1, kind])
            goals = _goals(subject, rng, leaves, side)
            root = m.hila[side] + (np.array([0.0, 0, 0]) if kind == 0 else np.array([side * 8.0, -4, -22]))
            trees[side, kind] = grow_tree(root, goals, first, rng)
    return trees


def paint_lung_vessels(canvas: Canvas, subject: Subject, m: Mediastinum) -> None:
    """Arteries, veins and bronchi, as trees that fill the space of each lung."""
    for (side, kind), tree in lung_trees(subject, m).items():
        canvas.tubes(tree, Tissue.LUNG_VESSEL, over=LUNG_ONLY)
        if kind == 0:
            thick = tree[tree[:, 3] > 1.7].copy()
            thick[:, [0, 4]] += side * 1.5
            thick[:, [1, 5]] += 5.0
            canvas.tubes(thick, Tissue.WALL, over=(Tissue.LUNG, Tissue.LUNG_VESSEL), grow=0.3)
            canvas.tubes(thick, Tissue.AIR, over=(Tissue.WALL, Tissue.LUNG), grow=-0.9)


def _goals(subject: Subject, rng: np.random.Generator, count: int, side: int) -> NDArray[np.float64]:
    """Random points in one lung, away from its surface."""
    z = rng.uniform(-105, 150, count * 8)
    theta = np.deg2rad(rng.uniform(8, 172, count * 8))
    c = subject.cavity.at(z)
    depth = np.where(np.cos(theta) > 0, c[:, 4], c[:, 3])
    share = np.sqrt(rng.uniform(0.06, 0.90, count * 8))
    x = c[:, 0] + side * c[:, 2] * np.sin(theta) * share
    y = c[:, 1] + depth * np.cos(theta) * share
    keep = (np.abs(x - c[:, 0]) > 22) & (z > -95 + 60 * (y < -40) + 35 * (np.abs(x) < 75))
    return np.column_stack([x, y, z])[keep][:count]
