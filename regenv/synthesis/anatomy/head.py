"""The head on the neck: where its parts lie, its skin and its skull."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy.canvas import Box, Canvas
from regenv.synthesis.anatomy.shapes import (
    capsule,
    catmull_rom,
    ellipsoid,
    local,
    path,
    rotation,
    smooth_max,
    smooth_min,
)
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.trunk import Fields

Field = NDArray[np.floating]
Landmarks = dict[str, NDArray[np.float64]]


class Head:
    """The head's own frame (x left, y back, z up, origin in the middle of C1) and coordinates in it.

    Args:
        canvas: What is painted on.
        subject: Whose head.
        fields: Distances; ``fields.skin`` is joined with the head's.

    Attributes:
        box: The part of the canvas that holds the head and the upper neck.
        u, v, w: Coordinates in the head's frame, float32, over ``box``.
        vault: Distance to the outer surface of the brain case.
        size: Factors (width, length, height) of this skull.
    """

    def __init__(self, canvas: Canvas, subject: Subject, fields: Fields) -> None:
        rng = np.random.default_rng([subject.seed, 81])
        self.canvas, self.subject, self.rng = canvas, subject, rng
        atlas = subject.vertebra("C1")
        self.origin = atlas.centre + np.array([0.0, 6.0, 4.0])
        self.axes = rotation(rx=float(rng.normal(0, 6)), ry=float(rng.normal(0, 2)), rz=float(rng.normal(0, 4)))
        self.size = np.exp(rng.normal(0, (0.035, 0.035, 0.03)))
        self.box: Box = canvas.box(self.origin - [115, 150, 120], self.origin + [115, 130, 165])
        self.u, self.v, self.w = (
            np.asarray(c, np.float32) for c in local(*canvas.coordinates(self.box), self.origin, self.axes)
        )
        self.septa, self.sheets = fields.septa[self.box], fields.sheets[self.box]
        self.bumps = fields.bumps[self.box]
        a, b, c = self.size
        top = self.ellipsoid((0, -14 * b, 66 * c), (75 * a, 93 * b, 67 * c))
        back = self.ellipsoid((0, 24 * b, 48 * c), (66 * a, 60 * b, 52 * c))
        self.vault = smooth_min(top, back, 24.0) + 0.8 * self.bumps
        # the floor rises in steps from the back to the front
        level = np.interp(self.v, [-75, -45, -35, -12, 0, 60], [36, 32, 20, 18, 4, 6]).astype(np.float32)
        self.floor = 0.9 * (level - self.w)

    def near(self, centre: object, reach: float) -> Head:
        """The part of the head within ``reach`` mm of a point (in every direction of the canvas)."""
        box = self.canvas.around(self.place(centre)[0], reach)
        # relative to this head's box, within it
        inner = tuple(
            slice(max(b.start - own.start, 0), max(min(b.stop, own.stop) - own.start, 0))
            for b, own in zip(box, self.box, strict=True)
        )
        part = copy.copy(self)
        part.box = tuple(  # type: ignore[assignment]
            slice(own.start + i.start, own.start + max(i.stop, i.start)) for i, own in zip(inner, self.box, strict=True)
        )
        for name in ("u", "v", "w", "septa", "sheets", "bumps", "vault", "floor"):
            setattr(part, name, getattr(self, name)[inner])
        return part

    def ellipsoid(self, centre: object, radii: object, axes: NDArray[np.float64] | None = None) -> Field:
        """Ellipsoid in the head's frame."""
        return ellipsoid(self.u, self.v, self.w, centre, radii, axes)

    def capsule(self, a: object, b: object, ra: float, rb: float | None = None, mirrored: bool = False) -> Field:
        """Round cone in the head's frame; ``mirrored`` makes one on either side."""
        u = np.abs(self.u) if mirrored else self.u
        return capsule(u, self.v, self.w, np.asarray(a, float), np.asarray(b, float), ra, rb)

    def place(self, points: object) -> NDArray[np.float64]:
        """Template coordinates of points in the head's frame."""
        return np.atleast_2d(np.asarray(points, float)) @ self.axes.T + self.origin

    def path(self, points: object, radii: object, steps: int = 5) -> NDArray[np.float64]:
        """Segments for ``Canvas.tubes`` through points in the head's frame."""
        return path(self.place(points), np.asarray(radii, float), steps)

    def paint(self, distance: Field, tissue: Tissue, organ: Organ | None = None, over=None) -> None:  # type: ignore[no-untyped-def]
        """Paints on the head's part of the canvas."""
        self.canvas.paint(self.box, distance.astype(np.float32), tissue, organ, over)

    def jaw_arch(self, width: float, front: float, back: float, level: float, count: int) -> NDArray[np.float64]:
        """Points ``(count, 3)`` along a horseshoe from right to left."""
        t = np.linspace(-1, 1, count)
        return np.column_stack(
            [width * np.sin(0.5 * np.pi * t), front + (back - front) * np.abs(t) ** 2.2, np.full(count, level)]
        )


def paint_head(canvas: Canvas, subject: Subject, fields: Fields, landmarks: Landmarks) -> Head:
    """Paints skin, fat, muscles and bones of the head; what they hold follows in ``face`` and ``brain``."""
    head = Head(canvas, subject, fields)
    skin = _skin(head)
    joined = smooth_min(fields.skin[head.box], skin, 22.0)
    fields.skin[head.box] = joined
    new = (Tissue.AIR, Tissue.SKIN, Tissue.FAT)
    head.paint(joined, Tissue.SKIN, over=new)
    head.paint(joined + 1.8, Tissue.FAT, over=new)
    _paint_soft_tissue(head, joined)
    _paint_skull(head)
    _paint_jaws(head)
    marks = {
        "nasion": (0, -103, 33),
        "chin": (0, -97, -62),
        "mastoid_left": (54, 14, 4),
        "mastoid_right": (-54, 14, 4),
        "sella": (0, -32, 22),
        "vertex": (0, -12, 128 * head.size[2]),
    }
    for name, point in marks.items():
        landmarks[name] = head.place(point)[0]
    return head


def _skin(head: Head) -> Field:
    """Scalp, face, nose, jaw and chin."""
    fat = 0.12 * head.subject.fat
    scalp = head.vault - 5.0 - fat
    face = head.ellipsoid((0, -52, 2), (64 + fat, 58 + fat, 72))
    jaw = head.ellipsoid((0, -48, -38), (54 + fat, 55 + fat, 33))
    bridge = head.capsule((0, -104, 30), (0, -123, -4), 7.0, 9.0)
    nose = smooth_min(bridge, head.capsule((9, -112, -5), (9, -112, -7), 6.5, 6.5, True), 5.0)
    ears = head.ellipsoid((0, 12, 16), (92, 9, 24))
    ears = smooth_max(ears, 74 - np.abs(head.u), 3.0)
    d = smooth_min(smooth_min(scalp, face, 20.0), jaw, 16.0)
    d = smooth_min(d, nose, 7.0)
    throat = head.capsule((0, -40, -60), (0, -8, -110), 50.0, 52.0)
    cheek = head.capsule((56, -62, 2), (67, -14, 14), 10.0, 8.5, True)
    body = head.capsule((8, -90, -56), (38, -52, -52), 12.5, 11.0, True)
    chin = smooth_min(body, head.capsule((46, -24, -42), (50, -12, 0), 11.0, 10.0, True), 6.0)
    d = smooth_min(smooth_min(d, cheek, 8.0), chin, 8.0)
    nape = head.capsule((16, 34, -14), (18, 40, -125), 38.0, 44.0, True)
    d = smooth_min(smooth_min(d, throat, 14.0), nape, 16.0)
    return smooth_min(d, ears, 3.0)


def _paint_soft_tissue(head: Head, skin: Field) -> None:
    """Muscles of chewing, of the neck and of the face, the tongue, the glands."""
    m = head.subject.muscle
    deep = np.maximum(skin + 9 + 0.3 * head.subject.fat, -1.0 - head.vault)
    streaks = 10 * np.abs(head.sheets) - 4.0
    head.paint(np.maximum(deep, -streaks), Tissue.MUSCLE, over=(Tissue.FAT,))
    only = (Tissue.FAT, Tissue.MUSCLE)
    for side in (-1, 1):
        for points, radii in (
            ([(58, -34, 6), (54, -26, -20), (50, -22, -42)], [7, 9, 7]),
            ([(60, -20, 60), (64, -22, 34), (56, -32, 8)], [4, 7, 6]),
            ([(56, 18, 2), (52, 4, -50), (34, -14, -110), (22, -30, -140)], [8, 11, 11, 8]),
            ([(22, 52, 2), (22, 52, -40), (24, 50, -120)], [12, 16, 17]),
            ([(40, 40, 6), (40, 36, -40), (46, 30, -110)], [7, 11, 12]),
            ([(26, -30, 4), (34, -18, -24)], [6, 6]),
        ):
            tube = head.path(np.array(points, float) * [side, 1, 1], np.array(radii) * m)
            head.canvas.tubes(tube, Tissue.FAT, over=only, grow=1.3)
            head.canvas.tubes(tube, Tissue.MUSCLE, over=only)
        head.canvas.tubes(head.path([(side * 57, -4, 4), (side * 55, 0, -30)], [9, 10]), Tissue.GLAND, over=only)
        head.canvas.tubes(head.path([(side * 32, -56, -52), (side * 30, -36, -50)], [8, 9]), Tissue.PANCREAS, over=only)


def _paint_skull(head: Head) -> None:
    """Vault of three layers, cheek bones, base."""
    thick = 6.4 * (0.8 + 0.2 * head.subject.bone)
    vault, floor = head.vault, head.floor
    outer = smooth_max(vault, floor - 4.0, 4.0)
    hole = head.capsule((0, 10, -20), (0, 10, 22), 15.5)
    outer = smooth_max(outer, -hole, 2.0)
    head.paint(outer, Tissue.CORTICAL, Organ.SKULL)
    layer = vault + thick / 2 + 0.7 * head.bumps
    diploe = np.maximum(np.abs(layer) - (thick / 2 - 1.9), floor)
    head.paint(diploe, Tissue.DIPLOE, Organ.SKULL, over=(Tissue.CORTICAL,))
    zygoma = head.path([(54, -62, 4), (61, -44, 12), (63, -24, 14), (61, -10, 14)], [4.5, 3.2, 2.8, 3.5])
    mirror = head.path([(-54, -62, 4), (-61, -44, 12), (-63, -24, 14), (-61, -10, 14)], [4.5, 3.2, 2.8, 3.5])
    for tube in (zygoma, mirror):
        head.canvas.tubes(tube, Tissue.CORTICAL, Organ.SKULL)
    _paint_base(head.near((0, 0, 10), 92.0))


def _paint_base(head: Head) -> None:
    """Petrous bones with the air cells of the mastoids, condyles, clivus, the holes for the cord and the ears."""
    hole = head.capsule((0, 10, -20), (0, 10, 22), 15.5)
    petrous = head.capsule((58, 12, 12), (14, -12, 20), 11.0, 6.5, True)
    mastoid = head.capsule((55, 14, 10), (53, 13, -4), 13.0, 8.0, True)
    condyle = head.capsule((18, -2, 0), (17, 8, 0), 6.5, 6.0, True)
    clivus = head.capsule((0, -6, 2), (0, -30, 26), 6.0, 7.0)
    bone = smooth_min(smooth_min(petrous, mastoid, 5.0), smooth_min(condyle, clivus, 4.0), 3.0)
    bone = smooth_max(bone, -hole, 2.0)
    head.paint(bone, Tissue.CORTICAL, Organ.SKULL)
    head.paint(smooth_min(clivus, condyle, 2.0) + 2.0, Tissue.DIPLOE, Organ.SKULL, over=(Tissue.CORTICAL,))
    cells = np.maximum(mastoid + 2.0, 2.4 - 5.0 * np.abs(head.septa + 0.2))
    head.paint(cells, Tissue.GAS, Organ.SKULL, over=(Tissue.CORTICAL,))
    canal = head.capsule((80, 10, 12), (46, 6, 14), 3.2, 3.0, True)
    head.paint(np.minimum(canal, head.ellipsoid((44, 4, 15), (5, 5, 6))), Tissue.GAS)
    head.paint(head.ellipsoid((-44, 4, 15), (5, 5, 6)), Tissue.GAS)


def _paint_jaws(head: Head) -> None:
    """Maxilla with the palate, mandible, teeth."""
    canvas = head.canvas
    upper = head.jaw_arch(28, -98, -52, -14, 25)
    lower = head.jaw_arch(26, -94, -50, -44, 25)
    mouth = head.near((0, -72, -10), 36.0)
    palate = smooth_max(mouth.ellipsoid((0, -72, -10), (27, 32, 14)), np.abs(mouth.w + 8) - 3.0, 2.0)
    mouth.paint(palate, Tissue.CORTICAL, Organ.SKULL)
    ridge = np.column_stack([head.place(upper), np.full(25, 5.5)])
    canvas.tubes(np.hstack([ridge[:-1], ridge[1:]]), Tissue.CORTICAL, Organ.SKULL)
    canvas.tubes(np.hstack([ridge[:-1], ridge[1:]]), Tissue.DIPLOE, Organ.SKULL, grow=-1.8)
    _paint_mandible(head)
    missing = head.rng.random((2, 14)) < head.rng.choice([0.0, 0.0, 0.15, 0.5])
    for row, (arch, tip) in enumerate(((upper, -13.0), (lower, 13.0))):
        crowns = catmull_rom(arch, 1)[np.linspace(1, 23, 14).round().astype(int)]
        for n, crown in enumerate(crowns):
            if missing[row, n]:
                continue
            wide = 2.6 + 1.5 * (abs(n - 6.5) / 6.5)
            root, end = crown.copy(), crown + [0, 0, tip]
            root[2] -= 0.35 * tip
            canvas.tubes(head.path([root, end], [0.55 * wide, wide], 2), Tissue.TOOTH)


def _paint_mandible(head: Head) -> None:
    """Ramus, angle and body on both sides, meeting in the chin."""
    half = np.array(
        [(51, -8, 8), (50, -12, -8), (49, -16, -28), (46, -26, -46), (38, -52, -53), (26, -76, -56), (10, -92, -57)],
        float,
    )
    thin = np.array([4.5, 4.0, 4.2, 4.8, 5.2, 5.2, 5.6])
    wide = np.array([5.5, 12.0, 14.0, 11.0, 11.5, 12.0, 12.5])
    line = np.vstack([half, half[::-1] * [-1, 1, 1]])
    nodes = catmull_rom(np.column_stack([line, np.r_[thin, thin[::-1]], np.r_[wide, wide[::-1]]]), 3)
    along = np.gradient(nodes[:, :3], axis=0)
    normal = np.cross(along, [0.0, 0.0, 1.0])
    steep = np.abs(along[:, 2]) > 0.6 * np.linalg.norm(along, axis=1)
    normal[steep] = np.sign(nodes[steep, :1]) * np.array([1.0, 0, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    rows = np.column_stack([head.place(nodes[:, :3]), nodes[:, 3:5], normal @ head.axes.T])
    head.canvas.bands(rows, Tissue.CORTICAL, Organ.MANDIBLE)
    head.canvas.bands(rows, Tissue.CANCELLOUS, Organ.MANDIBLE, grow=-1.9)
