"""Hip bones, sacrum, coccyx and femora."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy.canvas import Canvas
from regenv.synthesis.anatomy.shapes import capsule, catmull_rom, ellipsoid, path, smooth_max, smooth_min
from regenv.synthesis.anatomy.tissues import Organ, Tissue

Landmarks = dict[str, NDArray[np.float64]]

_HEAD = np.array([88.0, 0.0, 0.0])

# the crest from the front to the back, and where each part of the wing is rooted, of the left side
_CREST = np.array(
    [
        [116, -50, 74],
        [128, -36, 92],
        [137, -10, 106],
        [134, 18, 110],
        [116, 46, 104],
        [90, 68, 92],
        [62, 80, 76],
        [46, 84, 56],
    ],
    dtype=float,
)
_ROOT = np.array(
    [[96, -30, 26], [97, -22, 28], [97, -10, 30], [95, 4, 32], [88, 16, 34], [78, 28, 36], [68, 42, 38], [60, 56, 38]],
    dtype=float,
)
# y, z, half-thickness, half-width of the sacrum and the coccyx from above
_SACRUM = np.array(
    [
        [52, 72, 16, 50],
        [62, 54, 16, 52],
        [74, 34, 13, 47],
        [82, 12, 10, 38],
        [84, -10, 8, 30],
        [78, -30, 6, 20],
        [66, -46, 4.5, 8],
        [56, -54, 3.5, 5],
    ],
    dtype=float,
)


def sacral_promontory() -> NDArray[np.float64]:
    """The middle of the sacrum's upper end plate, on which the last disc lies."""
    return np.array([0.0, 47.0, 80.0])


def paint_bones(canvas: Canvas, bone: float, landmarks: Landmarks) -> None:
    """Paints the bones; ``bone`` is the factor on the thickness of their cortex."""
    for side in (-1, 1):
        _paint_hip(canvas, side, bone)
        _paint_femur(canvas, side, bone)
        name = "left" if side > 0 else "right"
        landmarks[f"femoral_head_{name}"] = _HEAD * (side, 1, 1)
        landmarks[f"iliac_spine_{name}"] = _CREST[0] * (side, 1, 1)
        landmarks[f"iliac_crest_{name}"] = _CREST[3] * (side, 1, 1)
        landmarks[f"ischium_{name}"] = np.array([side * 58.0, 40.0, -84.0])
        landmarks[f"trochanter_{name}"] = np.array([side * 146.0, 14.0, 0.0])
    _paint_sacrum(canvas, bone, landmarks)
    symphysis = ellipsoid(*canvas.coordinates(canvas.everything), (0, -50, -30), (4.5, 9, 18))
    canvas.paint(canvas.everything, symphysis, Tissue.CARTILAGE, Organ.PELVIS_BONE)
    landmarks["symphysis"] = np.array([0.0, -50.0, -30.0])


def _paint_hip(canvas: Canvas, side: int, bone: float) -> None:
    """Wing, socket, pubis and ischium of one side."""
    mirror = np.array([side, 1, 1, 1, side, 1, 1, 1], dtype=float)
    crest, root = catmull_rom(_CREST, 4), catmull_rom(_ROOT, 4)
    middle = 0.5 * (crest + root)
    # the wing is hollow on the inside
    middle[:, 0] += 5.0
    thin = np.interp(np.linspace(0, 1, len(crest)), [0, 0.5, 0.8, 1], [4.5, 3.4, 5.5, 8.0])
    edge, base = np.full(len(crest), 6.0), thin + 3.0
    upper = np.hstack([crest, edge[:, None], middle, thin[:, None]])
    lower = np.hstack([middle, thin[:, None], root, base[:, None]])
    rim = np.hstack([np.hstack([crest, edge[:, None]])[:-1], np.hstack([crest, edge[:, None]])[1:]])
    wing = np.vstack([upper, lower, rim]) * mirror
    box = canvas.box((-80 if side > 0 else -110, -80, -110), (110 if side > 0 else 80, 90, 60))
    c = canvas.coordinates(box)
    s, y, z = side * c[0], c[1], c[2]
    ring = [
        capsule(s, y, z, (88, -16, 10), (60, -38, -8), 15, 10),
        capsule(s, y, z, (60, -38, -8), (16, -51, -22), 10, 9),
    ]
    ring += [
        capsule(s, y, z, (13, -50, -22), (11, -48, -42), 9.5, 8.5),
        capsule(s, y, z, (14, -46, -44), (50, 8, -80), 7, 7.5),
    ]
    ring += [
        capsule(s, y, z, (84, 22, 14), (68, 34, -40), 16, 12),
        capsule(s, y, z, (68, 34, -40), (57, 34, -82), 13, 15),
    ]
    ring += [capsule(s, y, z, (84, -4, 26), (80, 16, 22), 19, 19), capsule(s, y, z, (62, 10, -2), (66, -10, 4), 7, 8)]
    whole = ring[0]
    for part in ring[1:]:
        whole = smooth_min(whole, part, 6.0)
    head = np.sqrt((s - 88) ** 2 + y**2 + z**2)
    # a cup that opens outward, downward and a little forward
    opening = (s - 88) * np.float32(0.78) + y * np.float32(-0.25) + z * np.float32(-0.57)
    cup = smooth_max(head - 34.0, opening - 6.0, 4.0)
    whole = smooth_max(smooth_min(whole, cup, 5.0), 27.5 - head, 1.0)
    whole = np.maximum(whole, 2.5 - s).astype(np.float32)
    canvas.tubes(wing, Tissue.CORTICAL, Organ.PELVIS_BONE)
    canvas.paint(box, whole, Tissue.CORTICAL, Organ.PELVIS_BONE)
    canvas.tubes(wing, Tissue.CANCELLOUS, Organ.PELVIS_BONE, grow=-1.7 * bone)
    canvas.paint(box, whole + np.float32(1.8 * bone), Tissue.CANCELLOUS, Organ.PELVIS_BONE)
    space = np.maximum(head - 27.5, opening - 10).astype(np.float32)
    canvas.paint(box, space, Tissue.HYALINE, over=(Tissue.CORTICAL, Tissue.CANCELLOUS, Tissue.MUSCLE, Tissue.FAT))


def _paint_femur(canvas: Canvas, side: int, bone: float) -> None:
    """Head, neck, trochanters and the upper shaft with its marrow."""
    organ = Organ.FEMUR_LEFT if side > 0 else Organ.FEMUR_RIGHT
    lo, hi = np.array([55, -40, -175.0]), np.array([170, 50, 40.0])
    if side < 0:
        lo[0], hi[0] = -hi[0], -lo[0]
    box = canvas.box(lo, hi)
    c = canvas.coordinates(box)
    s, y, z = side * c[0], c[1], c[2]
    head = np.sqrt((s - 88) ** 2 + y**2 + z**2) - np.float32(24.5)
    neck = capsule(s, y, z, (92, 1, -3), (132, 10, -24), 15.5, 18.0)
    greater = capsule(s, y, z, (140, 14, -4), (140, 12, -32), 13.0, 17.0)
    lesser = capsule(s, y, z, (122, 16, -58), (114, 20, -62), 11.0, 7.0)
    shaft = capsule(s, y, z, (134, 8, -48), (120, -2, -190), 17.5, 14.0)
    whole = smooth_min(smooth_min(head, neck, 5.0), smooth_min(smooth_min(greater, shaft, 8.0), lesser, 7.0), 8.0)
    thick = (np.float32(1.6) + np.interp(z, [-110, -40], [4.8, 0.0])) * np.float32(bone)
    canvas.paint(box, whole, Tissue.CORTICAL, organ)
    canvas.paint(box, (whole + thick).astype(np.float32), Tissue.CANCELLOUS, organ)
    marrow = np.maximum(whole + thick + 1, z + 62).astype(np.float32)
    canvas.paint(box, marrow, Tissue.MARROW, organ)


def _paint_sacrum(canvas: Canvas, bone: float, landmarks: Landmarks) -> None:
    """Sacrum with its canal and foramina, sacroiliac joints, coccyx."""
    y, z, thin, wide = catmull_rom(_SACRUM, 3).T
    tangent = np.gradient(np.column_stack([y, z]), axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.column_stack([np.zeros(len(y)), -tangent[:, 1], tangent[:, 0]])
    nodes = np.column_stack([np.zeros(len(y)), y, z, thin, wide, normal])
    canvas.bands(nodes, Tissue.CARTILAGE, grow=1.6, over=(Tissue.CORTICAL, Tissue.CANCELLOUS))
    canvas.bands(nodes, Tissue.CORTICAL, Organ.PELVIS_BONE)
    canvas.bands(nodes, Tissue.CANCELLOUS, Organ.PELVIS_BONE, grow=-1.5 * bone)
    axis = _SACRUM[:, :2]
    canal = np.column_stack([np.zeros(6), axis[:6, 0] + [15, 13, 9, 6, 4, 2], axis[:6, 1] + [6, 6, 4, 1, 0, 0]])
    radii = [9, 8, 7, 5, 4, 3]
    canvas.tubes(path(np.vstack([[0, 66, 98], canal]), [9, *radii]), Tissue.CORTICAL, Organ.PELVIS_BONE, grow=1.5)
    canvas.tubes(path(np.vstack([[0, 66, 98], canal]), [9, *radii]), Tissue.FAT, Organ.SPINAL_CANAL)
    canvas.tubes(path(np.vstack([[0, 65, 98], canal[:3]]), [7, 6, 5, 3]), Tissue.CSF, Organ.SPINAL_CANAL)
    for n in range(4):
        a, b = axis[n + 1] + (axis[n + 2] - axis[n + 1]) * 0.1
        for side in (-1, 1):
            x = side * (26 - 3.0 * n)
            hole = path([(x * 0.75, a + 6, b + 8), (x, a - 10, b - 3), (x * 1.2, a - 17, b - 12)], [4.2, 4.0, 3.0])
            canvas.tubes(hole, Tissue.FAT)
            canvas.tubes(hole, Tissue.NERVE, grow=-2.0)
    crest = np.column_stack([np.zeros(4), axis[:4, 0] + [30, 27, 22, 16], axis[:4, 1] + [4, 4, 3, 2]])
    canvas.tubes(path(crest, [5, 4.5, 4, 3]), Tissue.CORTICAL, Organ.PELVIS_BONE)
    landmarks["promontory"] = sacral_promontory() + np.array([0.0, -14.0, -2.0])
    landmarks["sacrum_3"] = np.array([0.0, 74.0, 34.0])
    landmarks["coccyx_tip"] = np.array([0.0, 56.0, -55.0])
