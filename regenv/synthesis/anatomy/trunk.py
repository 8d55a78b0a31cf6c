"""Skin, fat, muscles, cavity and diaphragm: the layers that hold everything else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy.canvas import Canvas
from regenv.synthesis.anatomy.shapes import capsule, ellipsoid, path, rotation, smooth_max, smooth_min
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Tissue

FloatField = NDArray[np.float32]


@dataclass
class Fields:
    """Distances (mm) that several painters need, on the whole canvas.

    Attributes:
        cavity: To the inner surface of rib cage and abdominal wall, negative inside.
        wall: To the outer surface of the muscles.
        skin: To the skin.
        dome: Height above the diaphragm; negative in the abdomen.
        septa: Noise of about 14 mm whose zero set makes small vessels and bubbles.
        sheets: Noise of about 28 mm whose zero set parts muscles.
        bumps: Noise of about 40 mm that bends surfaces.
    """

    cavity: FloatField
    wall: FloatField
    skin: FloatField
    dome: FloatField
    septa: FloatField
    sheets: FloatField
    bumps: FloatField


def make_fields(canvas: Canvas, subject: Subject) -> Fields:
    """Evaluates the distance fields of a subject on a canvas."""
    x, y, z = canvas.x, canvas.y, canvas.z
    septa = canvas.noise(np.random.default_rng([subject.seed, 11]), 11.0)
    sheets = canvas.noise(np.random.default_rng([subject.seed, 17]), 24.0)
    bumps = canvas.noise(np.random.default_rng([subject.seed, 12]), 38.0)
    cavity = subject.cavity.distance(x, y, z)
    # the lungs end in their apex, the neck under the skull
    cavity = np.maximum(cavity, z - 180)
    end = z - np.float32(subject.vertebra("C1").centre[2] - 8)
    wall = smooth_max(subject.wall.distance(x, y, z), end, 20.0)
    skin = smooth_max(subject.skin.distance(x, y, z), end - 4, 20.0)
    wall += np.float32(1.6) * bumps
    skin += np.float32(1.2) * bumps + np.float32(0.06 * subject.fat) * sheets
    _flatten_back(canvas, subject, wall, skin)
    _add_shoulders(canvas, subject, skin)
    if subject.female:
        _add_breasts(canvas, subject, skin)
    return Fields(cavity, wall, skin, _dome(canvas, subject), septa, sheets, bumps)


def _flatten_back(canvas: Canvas, subject: Subject, wall: FloatField, skin: FloatField) -> None:
    """Presses the back flat, as the table does, and hollows the furrow over the spinous processes."""
    z = np.arange(-400.0, 200.0, 10.0)
    c = subject.skin.at(z)
    lowest = np.convolve(np.pad(c[:, 1] + c[:, 4], 4, mode="edge"), np.ones(9) / 9, "valid")
    plane = np.interp(canvas.heights(canvas.everything, (0, 0)), z, lowest - 7.0).astype(np.float32)
    behind = canvas.y - plane
    furrow = 3.5 * np.exp(-((canvas.x / 13) ** 2))
    skin[:] = smooth_max(skin, behind + furrow.astype(np.float32), 26.0)
    wall[:] = smooth_max(wall, behind + furrow.astype(np.float32) + np.float32(0.45 * subject.fat + 3), 20.0)


def _add_shoulders(canvas: Canvas, subject: Subject, skin: FloatField) -> None:
    """Skin over the shoulders and the arms."""
    for side in (-1, 1):
        height = 162.0 if subject.arms_up else 142.0
        root, joint = (side * 120.0, -20.0, 118.0), (side * 172.0, -16.0, height)
        arm = (side * 205.0, -8.0, 280.0 if subject.arms_up else 0.0)
        corners = np.array([root, joint, arm])
        box = canvas.box(corners.min(axis=0) - 60, corners.max(axis=0) + 60)
        if any(s.stop <= s.start for s in box):
            continue
        c = canvas.coordinates(box)
        limb = smooth_min(capsule(*c, root, joint, 42.0, 44.0), capsule(*c, joint, arm, 44.0, 38.0), 20.0)
        skin[box] = smooth_min(skin[box], limb, 24.0)


def _add_breasts(canvas: Canvas, subject: Subject, skin: FloatField) -> None:
    """Rounds the skin over the breasts, which lie flat and to the side in a supine patient."""
    size = 0.72 + 0.014 * subject.fat
    front = subject.cavity.surface([180.0], [25.0])[0, 1] - 12 - 0.55 * subject.fat
    for side in (-1, 1):
        centre = (side * 84.0, front + 16, 20.0)
        box = canvas.around(centre, 95 * size)
        lump = ellipsoid(*canvas.coordinates(box), centre, (60 * size, 27 * size, 56 * size), rotation(rz=32 * side))
        skin[box] = smooth_min(skin[box], lump, 22.0)


def _dome(canvas: Canvas, subject: Subject) -> FloatField:
    """Height above the diaphragm: two domes, low at the back, less low at the sides and the front."""
    out = np.full(canvas.grid.shape, 100.0, np.float32)
    low = canvas.box((-400, -400, -600), (400, 400, 20))
    x, y, z = canvas.coordinates(low)
    c = subject.cavity.at(-70.0)
    dx, dy = x - np.float32(c[0]), y - np.float32(c[1])
    u2 = (dx / np.float32(c[2])) ** 2
    v = np.where(dy < 0, dy / np.float32(c[3]), dy / np.float32(c[4]))
    v2 = v * v
    r2 = u2 + v2 + np.float32(1e-6)
    drop = (u2 * 63 + v2 * np.where(dy < 0, 41, 97)) / r2
    top = -18.0 - subject.inflation
    right = np.exp(-(((dx + 66) / 44) ** 2))
    left = np.exp(-(((dx - 70) / 42) ** 2))
    height = top - 22 + 22 * right + 9 * left - drop.astype(np.float32) * np.exp(np.float32(1.45) * np.log(r2))
    out[low] = z - height
    return out


def paint_layers(canvas: Canvas, subject: Subject, fields: Fields) -> None:
    """Skin, subcutaneous fat with its septa, muscles with fat between them, and the fat of the cavities."""
    everything = canvas.everything
    canvas.paint(everything, fields.skin, Tissue.SKIN)
    canvas.paint(everything, fields.skin + np.float32(1.8), Tissue.FAT)
    if subject.female:
        _paint_glands(canvas, subject, fields)
    wall = np.maximum(fields.wall, fields.skin + np.float32(3.0))
    canvas.paint(everything, wall, Tissue.MUSCLE)
    _paint_septa(canvas, subject, fields, wall)
    canvas.paint(everything, np.maximum(fields.cavity - 1, fields.skin + 3), Tissue.FAT)


def _paint_septa(canvas: Canvas, subject: Subject, fields: Fields, wall: FloatField) -> None:
    """Fat between muscles: layers that follow the chest wall, and irregular sheets."""
    thick = np.float32(0.3 + 0.03 * subject.fat)
    bent = fields.cavity + np.float32(2.2) * fields.bumps
    # the layers open and close along their way
    open_by = thick * np.clip(1.0 + 0.9 * fields.sheets, 0.0, 2.6) - np.clip((canvas.z - 85) / 12, 0, 4)
    layer = np.minimum(np.minimum(np.abs(bent - 12), np.abs(bent - 27)), np.abs(bent - 46)) - open_by
    # zero sets of noise, scaled to mm by its mean slope
    sheet = np.abs(fields.sheets + 0.3) * np.float32(13.0) - thick * np.clip(1.2 + 0.9 * fields.septa, 0.1, 2.5)
    gaps = np.minimum(layer, sheet)
    inside = np.maximum(np.maximum(gaps, wall + 1.0), 2.0 - fields.cavity)
    canvas.paint(canvas.everything, inside.astype(np.float32), Tissue.FAT, over=(Tissue.MUSCLE,))
    for side in (-1, 1):
        # the armpit
        axilla = path([(side * 104, -62, 70), (side * 128, -25, 100), (side * 132, -8, 128)], [7, 15, 11])
        canvas.tubes(axilla, Tissue.FAT, over=(Tissue.MUSCLE,))


def _paint_glands(canvas: Canvas, subject: Subject, fields: Fields) -> None:
    """Fibroglandular tissue as strands in the fat of the breasts."""
    front = subject.cavity.surface([180.0], [25.0])[0, 1] - 16 - 0.5 * subject.fat
    for side in (-1, 1):
        centre = (side * 92.0, front + 4, 16.0)
        box = canvas.around(centre, 50)
        lump = ellipsoid(*canvas.coordinates(box), centre, (34, 16, 34))
        strands = np.maximum(lump + 9 * np.abs(fields.septa[box]) * 2 - 6, fields.skin[box] + 5)
        canvas.paint(box, strands.astype(np.float32), Tissue.GLAND, over=(Tissue.FAT,))


def paint_back_muscles(canvas: Canvas, subject: Subject) -> None:
    """Erector spinae with its fat plane, psoas, quadratus lumborum."""
    z = np.arange(-400.0, 205.0, 12.0)
    x, y = subject.spine_at(z)
    m = subject.muscle
    for side in (-1, 1):
        out = np.interp(z, [-330, -200, -80, 60, 200], [32, 34, 27, 22, 17])
        back = np.interp(z, [-330, -200, -80, 60, 200], [46, 42, 37, 34, 30])
        radius = m * np.interp(z, [-330, -200, -80, 60, 140, 200], [23, 22, 17, 13, 12, 12])
        column = np.column_stack([x + side * out, y + back])
        rows = np.column_stack([column, z, radius])
        canvas.tubes(np.hstack([rows[:-1], rows[1:]]), Tissue.FAT, grow=1.6)
        canvas.tubes(np.hstack([rows[:-1], rows[1:]]), Tissue.MUSCLE)
        inner = rows.copy()
        inner[:, 0] = x + side * 11
        inner[:, 3] = 8.0
        canvas.tubes(np.hstack([inner[:-1], inner[1:]]), Tissue.MUSCLE)
        low = z < -140
        psoas = np.column_stack(
            [
                x + side * np.interp(z, [-330, -240, -140], [50, 40, 27]),
                y + np.interp(z, [-330, -140], [-4, 8]),
                z,
                m * np.interp(z, [-330, -250, -160, -140], [24, 20, 9, 5]),
            ]
        )[low]
        canvas.tubes(np.hstack([psoas[:-1], psoas[1:]]), Tissue.MUSCLE)
        flat = np.column_stack([x + side * 66, y + 27, z, np.full(len(z), 6.5 * m)])[low]
        flat = np.hstack([flat, np.tile([side * 0.3, -0.95, 0.0], (len(flat), 1))])
        nodes = np.column_stack([flat[:, :3], flat[:, 3], flat[:, 3] * 3, flat[:, 4:]])
        canvas.bands(nodes, Tissue.MUSCLE)
