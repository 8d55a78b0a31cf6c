"""What lies in the face and the throat: eyes, sinuses, nose, mouth, airway, larynx, vessels of the neck."""

from __future__ import annotations

import numpy as np

from regenv.synthesis.anatomy.head import Head, Landmarks
from regenv.synthesis.anatomy.shapes import path, smooth_max, smooth_min
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Organ, Tissue


def paint_face(head: Head, subject: Subject, landmarks: Landmarks) -> None:
    """Paints the parts of the face, from the bone inward."""
    front = head.near((0, -70, 20), 62.0)
    _paint_sinuses(front)
    _paint_orbits(front, landmarks)
    _paint_nose(front)
    _paint_throat(head, subject, landmarks)


def _paint_orbits(head: Head, landmarks: Landmarks) -> None:
    """Bony cones with fat, globe, lens, nerve and the straight muscles."""
    for side, name in ((1, "left"), (-1, "right")):
        globe = np.array([side * 32.0, -86.0, 31.0])
        eye = head.near(globe, 16.0)
        cone = head.capsule((side * 33, -78, 30), (side * 14, -42, 27), 20.0, 5.0)
        wall = smooth_max(cone - 2.4, -92 - head.v, 3.0)
        head.paint(wall, Tissue.CORTICAL, Organ.SKULL)
        rim = head.path(
            [
                (side * 50, -78, 34),
                (side * 36, -92, 50),
                (side * 16, -96, 40),
                (side * 20, -94, 14),
                (side * 42, -86, 12),
            ],
            [4, 4.5, 3.5, 3.5, 4],
        )
        head.canvas.tubes(rim, Tissue.CORTICAL, Organ.SKULL)
        head.paint(cone, Tissue.FAT, Organ.NONE)
        apex = np.array([side * 13.0, -42.0, 27.0])
        for dx, dz in ((11, 0), (-11, 0), (0, 10), (0, -10)):
            muscle = head.path(
                [globe + [dx, 6, dz], 0.5 * (globe + apex) + [0.9 * dx, 0, 0.9 * dz], apex], [1.2, 2.2, 1.4]
            )
            head.canvas.tubes(muscle, Tissue.MUSCLE, over=(Tissue.FAT,))
        head.canvas.tubes(head.path([globe + [-side * 2, 10, 0], apex], [2.0, 2.0]), Tissue.NERVE)
        eye.paint(eye.ellipsoid(globe, (12.6, 12.6, 12.6)), Tissue.WALL)
        eye.paint(eye.ellipsoid(globe, (11.2, 11.2, 11.2)), Tissue.FLUID)
        eye.paint(eye.ellipsoid(globe + [0, -7.5, 0], (4.4, 2.0, 4.4)), Tissue.CARTILAGE)
        landmarks[f"eye_{name}"] = head.place(globe)[0]


def _paint_sinuses(head: Head) -> None:
    """Maxillary, frontal, sphenoid and ethmoid air cells in thin bone."""
    size = np.exp(head.rng.normal(0, 0.12, 4))
    cells = smooth_min(
        head.ellipsoid((27, -70, 2), np.array((12.5, 16, 14.5)) * size[0]),
        head.ellipsoid((-27, -70, 2), np.array((12.5, 16, 14.5)) * size[0]),
        1.0,
    )
    cells = np.minimum(cells, head.ellipsoid((2, -36, 19), np.array((13, 11, 9)) * size[1]))
    for side in (-1, 1):
        cells = np.minimum(cells, head.ellipsoid((side * 12, -95, 47), np.array((11, 5, 10)) * size[2]))
    head.paint(cells - 2.0, Tissue.CORTICAL, Organ.SKULL)
    head.paint(cells, Tissue.GAS)
    swollen = head.rng.random() < 0.3
    if swollen:
        level = np.maximum(cells, float(head.rng.uniform(-74, -60)) - head.v)
        head.paint(level, Tissue.FLUID, over=(Tissue.GAS,))
    labyrinth = smooth_max(
        smooth_max(np.abs(head.u) - 12, np.abs(head.v + 68) - 20, 4.0), np.abs(head.w - 26) - 11, 4.0
    )
    head.paint(labyrinth, Tissue.CORTICAL, Organ.SKULL)
    head.paint(np.maximum(labyrinth + 1.5, 1.6 - 5.5 * np.abs(head.septa)), Tissue.GAS)


def _paint_nose(head: Head) -> None:
    """Cavity with septum and turbinates."""
    # lower and narrower toward the front
    front = np.clip((-80 - head.v) / 25, 0, 1)
    cavity = smooth_max(np.abs(head.u) - 13.5 + 5 * front, np.abs(head.v + 72) - 31, 6.0)
    cavity = smooth_max(cavity, np.abs(head.w - 5 + 5 * front) - 13 + 5 * front, 6.0)
    nostrils = head.capsule((6, -100, -4), (7, -112, -9), 4.0, 3.4, True)
    bone = np.maximum(cavity - 0.9, -97 - head.v)
    head.paint(bone, Tissue.CORTICAL, Organ.SKULL, over=(Tissue.FAT, Tissue.MUSCLE, Tissue.WALL))
    head.paint(smooth_min(cavity, nostrils, 4.0), Tissue.GAS)
    inside = (Tissue.GAS,)
    bent = head.u - 1.8 * head.bumps
    septum = np.maximum(np.maximum(np.abs(bent) - 1.2, np.abs(head.v + 74) - 34), np.abs(head.w - 5) - 15)
    head.paint(septum - 0.9, Tissue.WALL, over=inside)
    head.paint(np.maximum(septum, -96 - head.v), Tissue.DIPLOE)
    for side in (-1, 1):
        for z, radius in ((-2.0, 4.6), (9.0, 3.6)):
            shelf = head.path(
                [(side * 8.5, -96, z), (side * 8.5, -72, z + 1), (side * 8.5, -50, z)], [2.6, radius, 2.8]
            )
            head.canvas.tubes(shelf, Tissue.WALL, over=inside)


def _paint_throat(head: Head, subject: Subject, landmarks: Landmarks) -> None:
    """Tongue, soft palate, pharynx, larynx with its cartilages, windpipe, gullet, great vessels, thyroid."""
    canvas = head.canvas
    soft = (Tissue.FAT, Tissue.MUSCLE, Tissue.GLAND, Tissue.PANCREAS)
    near = head.near((0, -64, -28), 38.0)
    mouth = near.ellipsoid((0, -66, -24), (24, 30, 13))
    near.paint(mouth - 2, Tissue.WALL, over=soft)
    if head.rng.random() < 0.5:
        near.paint(np.maximum(mouth, -24 - near.w), Tissue.GAS, over=(Tissue.WALL,))
    near.paint(near.ellipsoid((0, -62, -32), (23, 32, 19)), Tissue.MUSCLE, over=(*soft, Tissue.WALL, Tissue.GAS))
    head.canvas.tubes(head.path([(0, -46, -8), (0, -32, -14), (0, -27, -24)], [4, 4.5, 3]), Tissue.WALL)

    def before(name: str, forward: float, dx: float = 0.0) -> np.ndarray:
        v = subject.vertebra(name)
        return v.centre + np.array([dx, -v.depth / 2 - forward, 0.0])

    upper = head.place([(0, -30, 6), (0, -24, -18)])
    lower = [before("C3", 11), before("C4", 13), before("C5", 14), before("C6", 16), before("C7", 15), before("T2", 13)]
    airway = path(np.vstack([upper, lower]), np.array([10, 8.5, 8.5, 9, 6, 8.5, 8.8, 8.6]))
    canvas.tubes(airway, Tissue.WALL, Organ.TRACHEA, grow=2.4)
    canvas.tubes(airway, Tissue.GAS, Organ.TRACHEA)
    link = head.path([(0, -46, 4), (0, -30, 4)], [8, 9])
    canvas.tubes(link, Tissue.GAS)
    gullet = path([before("C6", 5), before("C7", 6), before("T2", 7, 4.0)], [5, 6, 6])
    canvas.tubes(gullet, Tissue.WALL, over=(*soft, Tissue.WALL))
    for side in (-1, 1):
        plate = path(
            [before("C4", 32, side * 2), before("C4", 22, side * 15), before("C5", 15, side * 17)], [2.2, 2, 2]
        )
        for drop in (0, -7, -14):
            canvas.tubes(plate + np.tile([0, 0, drop, 0], 2), Tissue.CARTILAGE)
        hyoid = path([before("C3", 30, side * 2), before("C3", 22, side * 15), before("C3", 8, side * 21)], [3, 2.6, 2])
        canvas.tubes(hyoid, Tissue.CORTICAL)
        lobe = path([before("C6", 14, side * 15), before("T1", 16, side * 17)], [6.5, 8])
        canvas.tubes(lobe, Tissue.CARTILAGE, over=soft)
        base = head.place([(side * 24, -12, 8), (side * 27, -14, -20)])
        carotid = np.vstack([base, before("C4", 2, side * 25), before("C6", 4, side * 24), before("T2", 8, side * 26)])
        canvas.tubes(path(carotid, [2.6, 2.8, 3.8, 3.6, 3.8]), Tissue.ARTERY)
        jugular = carotid + np.array([side * 8.0, 7.0, 0.0])
        canvas.tubes(path(jugular, np.array([4, 4.5, 5.5, 6, 6]) * (1.2 if side < 0 else 0.9)), Tissue.VEIN)
    landmarks["hyoid"] = before("C3", 30)
    landmarks["thyroid_cartilage"] = before("C4", 31)
