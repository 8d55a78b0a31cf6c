"""Skin, fat, muscles, cavity and diaphragm: the layers that hold everything else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.data.anatomy.canvas import Canvas
from regenv.data.anatomy.shapes import ellipsoid, path, rotation, smooth_min
from regenv.data.anatomy.subject import Subject
from regenv.data.anatomy.tissues import Tissue
from regenv.data.anatomy.warp import smooth_noise

FloatField = NDArray[np.float32]

# space over which the noise fields of a subject are drawn, whatever part of it is painted
REGION = (np.array([-280.0, -280.0, -500.0]), np.array([280.0, 280.0, 500.0]))


@dataclass
class Fields:
    """Distances (mm) that several painters need, on the whole canvas.

    Attributes:
        cavity: To the inner surface of rib cage and abdominal wall, negative inside.
        wall: To the outer surface of the muscles.
        skin: To the skin.
        dome: Height above the diaphragm; negative in the abdomen.
        septa: Noise of about 14 mm whose zero set makes fat streaks.
        bumps: Noise of about 40 mm that bends surfaces.
    """

    cavity: FloatField
    wall: FloatField
    skin: FloatField
    dome: FloatField
    septa: FloatField
    bumps: FloatField


def make_fields(canvas: Canvas, subject: Subject) -> Fields:
    """Evaluates the distance fields of a subject on a canvas."""
    x, y, z = canvas.x, canvas.y, canvas.z
    septa = smooth_noise(np.random.default_rng([subject.seed, 11]), canvas.grid, 11.0, REGION)
    bumps = smooth_noise(np.random.default_rng([subject.seed, 12]), canvas.grid, 38.0, REGION)
    cavity = subject.cavity.distance(x, y, z)
    wall = subject.wall.distance(x, y, z)
    skin = subject.skin.distance(x, y, z)
    wall += np.float32(1.6) * bumps
    skin += np.float32(1.2) * bumps
    if subject.female:
        _add_breasts(canvas, subject, skin)
    return Fields(cavity, wall, skin, _dome(canvas, subject), septa, bumps)


def _add_breasts(canvas: Canvas, subject: Subject, skin: FloatField) -> None:
    """Rounds the skin over the breasts, which lie flat and to the side in a supine patient."""
    size = 0.75 + 0.025 * subject.fat
    front = subject.cavity.surface([180.0], [25.0])[0, 1] - 26 - 0.55 * subject.fat
    for side in (-1, 1):
        centre = (side * 86.0, front + 26, 18.0)
        box = canvas.around(centre, 95 * size)
        lump = ellipsoid(*canvas.coordinates(box), centre, (58 * size, 34 * size, 56 * size), rotation(rz=28 * side))
        skin[box] = smooth_min(skin[box], lump, 22.0)


def _dome(canvas: Canvas, subject: Subject) -> FloatField:
    """Height above the diaphragm: two domes, low at the back, less low at the sides and the front."""
    x, y = canvas.x, canvas.y
    c = subject.cavity.at(-70.0)
    dx, dy = x - np.float32(c[0]), y - np.float32(c[1])
    u2 = (dx / np.float32(c[2])) ** 2
    v = np.where(dy < 0, dy / np.float32(c[3]), dy / np.float32(c[4]))
    v2 = v * v
    r2 = u2 + v2 + np.float32(1e-6)
    drop = (u2 * 92 + v2 * np.where(dy < 0, 48, 118)) / r2
    top = -18.0 - subject.inflation
    right = np.exp(-(((dx + 66) / 44) ** 2))
    left = np.exp(-(((dx - 70) / 42) ** 2))
    height = top - 22 + 22 * right + 9 * left - drop.astype(np.float32) * r2 ** np.float32(1.45)
    return (canvas.z - height).astype(np.float32)


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
    canvas.paint(everything, fields.cavity - np.float32(1.0), Tissue.FAT)


def _paint_septa(canvas: Canvas, subject: Subject, fields: Fields, wall: FloatField) -> None:
    """Fat between muscles: layers that follow the chest wall, and irregular sheets."""
    thick = np.float32(0.35 + 0.035 * subject.fat)
    bent = fields.cavity + np.float32(2.2) * fields.bumps
    layer = np.minimum(np.abs(bent - 12), np.abs(bent - 27)) - thick
    layer = np.minimum(layer, np.abs(bent - 44) - thick)
    # the sheets are zero sets of noise, about 5 mm of noise units per mm
    sheet = np.abs(fields.septa) * np.float32(5.0) - thick * np.float32(1.0)
    gaps = np.minimum(layer, sheet)
    inside = np.maximum(np.maximum(gaps, wall + 1.0), 2.0 - fields.cavity)
    canvas.paint(canvas.everything, inside.astype(np.float32), Tissue.FAT, over=(Tissue.MUSCLE,))
    for side in (-1, 1):
        # the armpit
        axilla = path([(side * 104, -62, 70), (side * 128, -25, 100), (side * 132, -8, 128)], [7, 15, 11])
        canvas.tubes(axilla, Tissue.FAT, over=(Tissue.MUSCLE,))


def _paint_glands(canvas: Canvas, subject: Subject, fields: Fields) -> None:
    """Fibroglandular tissue as strands in the fat of the breasts."""
    front = subject.cavity.surface([180.0], [25.0])[0, 1] - 30 - 0.5 * subject.fat
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
