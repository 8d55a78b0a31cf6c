"""Ribs, costal cartilages, sternum, clavicles, scapulae and humeral heads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy.canvas import Canvas
from regenv.synthesis.anatomy.shapes import capsule, catmull_rom, local, path, rounded_box, smooth_max, smooth_min
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.trunk import Fields

Landmarks = dict[str, NDArray[np.float64]]
Ends = dict[tuple[int, int], NDArray[np.float64]]

# per rib: fall from the angle to the front end in mm, angle of the front end, half-axes of the cross-section
_RIBS = (
    (24, 150, 3.0, 6.5),
    (42, 154, 3.1, 6.2),
    (58, 154, 3.2, 6.3),
    (70, 153, 3.4, 6.4),
    (80, 152, 3.5, 6.6),
    (90, 151, 3.6, 6.8),
    (97, 149, 3.6, 7.0),
    (97, 142, 3.6, 7.0),
    (92, 133, 3.5, 6.8),
    (82, 122, 3.4, 6.5),
    (62, 98, 3.2, 6.0),
    (42, 64, 3.0, 5.2),
)
# heights at which the first seven cartilages reach the sternum
_STERNAL = (122, 92, 70, 49, 30, 13, 0)


def rib_nodes(subject: Subject, number: int, side: int) -> NDArray[np.float64]:
    """Nodes ``(N, 8)`` for ``Canvas.bands`` along one rib, from its head to its front end.

    Args:
        subject: Whose rib.
        number: 1 to 12.
        side: 1 for left, -1 for right.
    """
    rng = np.random.default_rng([subject.seed, 31, number, side + 1])
    drop, end, thin, wide = (float(value) for value in _RIBS[number - 1])
    drop *= np.exp(rng.normal(0, 0.04))
    end += rng.normal(0, 2)
    v = subject.vertebra(f"T{number}")
    head = v.centre + v.axes @ np.array([side * (v.width / 2 + 1), v.depth * 0.28, v.height * 0.42])
    reach = np.interp(number, [1, 10, 12], [33, 28, 23])
    tubercle = v.centre + v.axes @ np.array([side * reach, v.depth / 2 + 13, v.height * 0.30])
    start = 25.0 if number > 2 else 34.0
    t = np.linspace(0, 1, 15)
    theta = start + t * (end - start)
    z = tubercle[2] + 1.0 - drop * (0.85 * t + 0.15 * t * t)
    line = subject.cavity.surface(theta, z, thin + 2.2)
    line[:, 0] = (line[:, 0] - subject.cavity.at(z)[:, 0]) * side + subject.cavity.at(z)[:, 0]
    points = catmull_rom(np.vstack([head, tubercle, line]), 2)
    inward = np.column_stack([subject.cavity.at(points[:, 2])[:, 0], subject.cavity.at(points[:, 2])[:, 1]])
    normal = np.column_stack([points[:, :2] - inward, np.full(len(points), 12.0)])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    neck = np.clip(np.arange(len(points)) / 5.0, 0.0, 1.0)
    thickness = np.column_stack([thin * (0.95 + 0.05 * neck), wide * (0.55 + 0.45 * neck)])
    return np.column_stack([points, thickness, normal])


def paint_cage(canvas: Canvas, subject: Subject, fields: Fields, landmarks: Landmarks) -> None:
    """Paints the bones of the chest wall and the shoulder girdle."""
    ends: Ends = {}
    for side in (-1, 1):
        for number in range(1, 13):
            nodes = rib_nodes(subject, number, side)
            ends[number, side] = nodes[-1]
            canvas.bands(nodes, Tissue.CORTICAL, Organ.RIBS)
            core = nodes[:-1].copy()
            canvas.bands(core, Tissue.CANCELLOUS, Organ.RIBS, grow=-1.0 * subject.bone)
            name = "left" if side > 0 else "right"
            landmarks[f"rib_{number}_{name}_tip"] = nodes[-2, :3]
        _paint_cartilages(canvas, subject, ends, side)
        _paint_shoulder(canvas, subject, fields, side)
    _paint_sternum(canvas, subject, landmarks)


def _paint_cartilages(canvas: Canvas, subject: Subject, ends: Ends, side: int) -> None:
    """Ribs 1 to 7 reach the sternum, 8 to 10 the cartilage above."""
    before = ends[1, side][:3]
    for number in range(1, 11):
        rib = ends[number, side]
        if number <= 7:
            goal = subject.cavity.surface([180 - np.interp(number, [1, 3, 7], [24, 11, 8])], [_STERNAL[number - 1]], 7)[
                0
            ]
            goal[0] = (goal[0] - subject.cavity.at(goal[2])[0]) * side + subject.cavity.at(goal[2])[0]
        else:
            goal = before
        low = 0.5 * (rib[:3] + goal)
        low[2] -= 0.16 * abs(goal[2] - rib[2]) if number > 3 else 0
        angle = 180 - np.rad2deg(np.arctan2(abs(low[0] - subject.cavity.at(low[2])[0]), 95))
        outer = subject.cavity.surface([angle], [low[2]], 6.0)[0]
        low[1] = outer[1]
        centre = catmull_rom(np.vstack([rib[:3], low, goal]), 5)
        normal = np.tile(rib[5:8], (len(centre), 1)) * 0.5 + np.array([0, -0.5, 0])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        shape = np.tile([3.6, 6.0 if number < 8 else 5.0], (len(centre), 1))
        canvas.bands(np.column_stack([centre, shape, normal]), Tissue.CARTILAGE, Organ.RIBS)
        before = centre[3]


def _paint_sternum(canvas: Canvas, subject: Subject, landmarks: Landmarks) -> None:
    """Manubrium, body and xiphoid: flat cancellous bone in a thin shell."""
    z = np.array([134, 118, 100, 88, 70, 45, 20, 0, -14, -26, -40], float)
    half = np.array([20, 24, 18, 15, 13.5, 15, 17, 16, 11, 6, 4], float)
    line = subject.cavity.surface(np.full(len(z), 180.0), z, 8.5)
    thick = np.array([4.8, 5.2, 5, 4.6, 4.5, 4.5, 4.5, 4.2, 3.6, 3, 2], float)
    normal = np.tile([0.0, -1.0, 0.0], (len(z), 1))
    nodes = catmull_rom(np.column_stack([line, thick, half, normal]), 3)
    canvas.bands(nodes, Tissue.CORTICAL, Organ.STERNUM)
    canvas.bands(nodes[:-4], Tissue.CANCELLOUS, Organ.STERNUM, grow=-1.0 * subject.bone)
    joint = np.concatenate([line[3] + np.array([-17, -4.5, 0]), [1.3], line[3] + np.array([17, -4.5, 0]), [1.3]])
    canvas.tubes(joint[None], Tissue.CARTILAGE)
    landmarks["sternum_notch"] = line[0] + np.array([0, 0, -4.0])
    landmarks["sternum_angle"] = line[3]
    landmarks["xiphoid"] = line[-2]


def clavicle(subject: Subject, side: int) -> NDArray[np.float64]:
    """Segments ``(N, 8)`` for ``Canvas.tubes`` of a clavicle, from the breast bone outward."""
    notch = subject.cavity.surface([180.0], [128.0])[0]
    shoulder = _shoulder(side)
    return path(
        [
            notch + np.array([side * 24, -8, 4]),
            notch + np.array([side * 58, -12, 14]),
            np.array([side * 104, -38, 156]),
            shoulder + np.array([-side * 8, 4, 14]),
        ],
        [8.5, 6.0, 5.5, 6.5],
    )


def _shoulder(side: int) -> NDArray[np.float64]:
    """Middle of the shoulder joint."""
    return np.array([side * 150.0, -18.0, 152.0])


def _paint_shoulder(canvas: Canvas, subject: Subject, fields: Fields, side: int) -> None:
    """Clavicle, scapula, humerus of a raised arm."""
    shoulder = _shoulder(side)
    collar_bone = clavicle(subject, side)
    canvas.tubes(collar_bone, Tissue.CORTICAL, Organ.SHOULDER)
    canvas.tubes(collar_bone, Tissue.CANCELLOUS, Organ.SHOULDER, grow=-2.2 * subject.bone)
    _paint_scapula(canvas, subject, fields, side, shoulder)
    head = shoulder + np.array([side * 20.0, 0, 6])
    up = 1 if subject.arms_up else -1
    arm = np.vstack([head, head + np.array([side * 16, 4, up * 26]), head + np.array([side * 30, 8, up * 120])])
    humerus = path(arm, [23.0, 16.0, 11.5], 5)
    canvas.tubes(humerus, Tissue.CARTILAGE, grow=1.5)
    canvas.tubes(humerus, Tissue.CORTICAL, Organ.SHOULDER)
    canvas.tubes(humerus[:4], Tissue.CANCELLOUS, Organ.SHOULDER, grow=-1.7 * subject.bone)
    canvas.tubes(humerus[4:], Tissue.MARROW, Organ.SHOULDER, grow=-4.0)


def _paint_scapula(canvas: Canvas, subject: Subject, fields: Fields, side: int, shoulder: NDArray[np.float64]) -> None:
    """A thin blade that follows the chest wall, its thick borders, the spine with the acromion, the glenoid."""
    medial_top = subject.cavity.surface([38.0], [112.0], 30.0)[0]
    tip = subject.cavity.surface([52.0], [10.0], 26.0)[0]
    glenoid = shoulder + np.array([-side * 6.0, 8.0, -2.0])
    for point in (medial_top, tip):
        point[0] *= side
    box = canvas.box(
        np.min([medial_top, tip, glenoid, shoulder], axis=0) - 20,
        np.max([medial_top, tip, glenoid, shoulder], axis=0) + 26,
    )
    if any(s.stop <= s.start for s in box):
        return
    x, y, z = canvas.coordinates(box)
    side_a, side_b = tip - medial_top, glenoid - medial_top
    normal = np.cross(side_a, side_b)
    normal /= np.linalg.norm(normal)
    axis_a = side_a / np.linalg.norm(side_a)
    axes = np.column_stack([axis_a, np.cross(normal, axis_a), normal])
    u, v, w = local(x, y, z, medial_top, axes)
    inside = _triangle(u, v, [np.zeros(2), np.array([np.linalg.norm(side_a), 0.0]), (axes.T @ side_b)[:2]])
    # hollow toward the ribs
    bowed = w - 5.0 * np.sign(normal[1]) * np.clip(1 - (inside / 24.0) ** 2, 0, 1)
    blade = smooth_max(np.abs(bowed) - 2.1, inside, 3.0)
    border = capsule(x, y, z, tip, glenoid, 4.0, 6.5)
    medial = capsule(x, y, z, medial_top, tip, 2.8, 4.5)
    root = medial_top + 0.28 * side_a
    acromion = shoulder + np.array([side * 6.0, 24.0, 18.0])
    spine = smooth_min(
        capsule(x, y, z, root, acromion, 4.0, 7.0), capsule(x, y, z, root + [0, 5, 4], acromion + [0, 3, 0], 3, 6), 5.0
    )
    socket = rounded_box(*local(x, y, z, glenoid, axes), (14, 11, 12), 7.0)
    bone = blade
    for part in (border, medial, spine, socket):
        bone = smooth_min(bone, part, 3.0)
    canvas.paint(box, bone, Tissue.CORTICAL, Organ.SHOULDER)
    canvas.paint(box, bone + 1.7 * subject.bone, Tissue.CANCELLOUS, Organ.SHOULDER)


def _triangle(
    u: NDArray[np.floating], v: NDArray[np.floating], corners: list[NDArray[np.float64]]
) -> NDArray[np.floating]:
    """Signed distance (inner bound) to a triangle in a plane."""
    worst = np.full_like(u, -np.inf)
    centre = sum(corners) / 3
    for n in range(3):
        a, b = corners[n], corners[(n + 1) % 3]
        edge = (b - a) / np.linalg.norm(b - a)
        out = np.array([edge[1], -edge[0]])
        if out @ (centre - a) > 0:
            out = -out
        d = (u - a[0]) * out[0] + (v - a[1]) * out[1]
        worst = np.maximum(worst, d)
    return worst
