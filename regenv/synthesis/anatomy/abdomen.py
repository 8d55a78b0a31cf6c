"""Liver, spleen, kidneys, stomach, pancreas, bowel and the vessels among them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy.canvas import Box, Canvas
from regenv.synthesis.anatomy.shapes import capsule, catmull_rom, ellipsoid, path, rotation, smooth_max, smooth_min
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.trees import grow_tree
from regenv.synthesis.anatomy.trunk import Fields

Landmarks = dict[str, NDArray[np.float64]]


def paint_abdomen(
    canvas: Canvas,
    subject: Subject,
    fields: Fields,
    landmarks: Landmarks,
    bowel: np.random.Generator | None = None,
    vessels: np.random.Generator | None = None,
) -> None:
    """Paints the organs below the diaphragm into the fat of the abdominal cavity.

    Args:
        canvas: What is painted on.
        subject: Whose organs.
        fields: The subject's distance fields.
        landmarks: Gains the points of the abdomen.
        bowel: Draws the bowel and its contents, which change from day to day; default the subject's own generator.
        vessels: Draws the vessels of the liver, which two patients of one shape do not share; default the same.
    """
    rng = np.random.default_rng([subject.seed, 61])
    bowel = rng if bowel is None else bowel
    low = canvas.box((-150, -190, -420), (150, 90, 0))
    if any(s.stop <= s.start for s in low):
        return
    limit = np.maximum(fields.cavity[low] + 2.0, fields.dome[low] + 3.5)
    inside = _Region(canvas, fields, low, limit)
    _paint_strands(inside)
    _paint_kidneys(inside, subject, rng, landmarks)
    _paint_spleen(inside, subject, rng, landmarks)
    _paint_bowel(inside, subject, bowel)
    _paint_colon(inside, subject, bowel)
    _paint_pancreas(inside, subject, rng)
    _paint_stomach(inside, subject, rng)
    _paint_liver(inside, subject, rng, rng if vessels is None else vessels, landmarks)


class _Region:
    """The abdominal part of a canvas with the limit that its organs keep to."""

    def __init__(self, canvas: Canvas, fields: Fields, box: Box, limit: NDArray[np.floating]) -> None:
        self.canvas, self.fields, self.box = canvas, fields, box
        self.limit = limit.astype(np.float32)
        self.x, self.y, self.z = canvas.coordinates(box)
        self.bumps = fields.bumps[box]
        self.septa = fields.septa[box]

    def paint(self, distance: NDArray[np.floating], tissue: Tissue, organ: Organ | None = None, over=None) -> None:  # type: ignore[no-untyped-def]
        """Paints what lies inside the limit."""
        self.canvas.paint(self.box, np.maximum(distance, self.limit).astype(np.float32), tissue, organ, over)

    def part(self, centre: NDArray[np.float64], radius: float) -> _Region | None:
        """The region about a point, or None where the canvas does not reach it."""
        box = self.canvas.around(centre, radius)
        if any(s.stop <= s.start for s in box):
            return None
        limit = np.maximum(self.fields.cavity[box] + 2.0, self.fields.dome[box] + 3.5)
        return _Region(self.canvas, self.fields, box, limit)


def _paint_strands(r: _Region) -> None:
    """Small vessels and folds of the mesentery: thin streaks in the fat."""
    line = np.sqrt((r.septa * 5.5) ** 2 + (r.bumps * 14 - 3) ** 2) - 2.0
    second = np.sqrt((r.septa * 5.5 - 5) ** 2 + (r.bumps * 14 + 6) ** 2) - 1.7
    strands = np.minimum(line, second)
    deep = np.maximum(strands, r.y - 20)
    r.paint(deep, Tissue.VEIN, None, over=(Tissue.FAT,))


def _paint_kidneys(r: _Region, subject: Subject, rng: np.random.Generator, landmarks: Landmarks) -> None:
    """Cortex, medulla in lobes, sinus of fat and pelvis, fascia around the fat."""
    for side, name in ((1, "left"), (-1, "right")):
        z = -148.0 - (0 if side > 0 else 12) - 0.4 * subject.inflation + rng.normal(0, 6)
        x, y = subject.spine_at(z)
        centre = np.array([x + side * (60 + rng.normal(0, 3)), y + 7, z])
        size = np.exp(rng.normal(0, 0.06))
        axes = rotation(rx=-14, ry=side * 14, rz=side * 32)
        p = r.part(centre, 74.0)
        if p is None:
            continue
        whole = ellipsoid(p.x, p.y, p.z, centre, np.array([23, 28, 54]) * size, axes) + 1.6 * p.bumps
        medial = axes @ np.array([-side * 22.0, -6, 0]) * size
        sinus = ellipsoid(p.x, p.y, p.z, centre + 1.15 * medial, np.array([17, 9, 22]) * size, axes)
        kidney = smooth_max(whole, -sinus - 1.2 * p.septa, 4.0)
        fascia = np.abs(whole - 13 - 2 * p.bumps) - 0.5
        p.paint(fascia, Tissue.WALL, None, over=(Tissue.FAT,))
        organ = Organ.KIDNEY_LEFT if side > 0 else Organ.KIDNEY_RIGHT
        p.paint(kidney, Tissue.RENAL_CORTEX, organ, over=(Tissue.FAT, Tissue.WALL, Tissue.VEIN))
        lobes = np.maximum(kidney + 6.5 + 2.5 * np.cos((p.z - centre[2]) / 3.6), -kidney - 14)
        p.paint(lobes, Tissue.RENAL_MEDULLA, organ, over=(Tissue.RENAL_CORTEX,))
        hilum = centre + medial * 1.5
        vessel_z = z + 6
        great = [x + (4 if side > 0 else -16), y - 30, vessel_z]
        r.canvas.tubes(
            path([great, 0.5 * (hilum + great) + [0, -4, 0], centre + medial * 0.7], [3, 3, 2]), Tissue.ARTERY
        )
        vein = path([great, 0.5 * (hilum + great) + [0, -10, -6], centre + medial * 0.8], [5, 5, 3])
        r.canvas.tubes(vein, Tissue.VEIN)
        r.canvas.tubes(
            path(
                [centre + medial * 0.8, [hilum[0], hilum[1] - 4, z - 30], [x + side * 36, y - 12, z - 130]],
                [4.5, 3, 2.2],
            ),
            Tissue.FLUID,
        )
        pole = axes @ np.array([0, 0, 52.0]) * size
        landmarks[f"kidney_{name}_upper_pole"] = centre + pole
        landmarks[f"kidney_{name}_lower_pole"] = centre - pole
        gland = centre + pole + [-side * 12, -8, 8]
        r.canvas.tubes(
            path([gland, gland + [-side * 8, -8, -8], gland + [-side * 4, 6, -16]], [2.4, 3, 2]),
            Tissue.WALL,
            over=(Tissue.FAT,),
        )


def _paint_liver(
    r: _Region, subject: Subject, rng: np.random.Generator, vessels: np.random.Generator, landmarks: Landmarks
) -> None:
    """Everything under the right dome down to a slanting lower surface, thinning to the left."""
    tip = -172.0 - 0.5 * subject.inflation + rng.normal(0, 13)
    size = float(np.clip(rng.normal(1.0, 0.08), 0.8, 1.2))
    slope = 0.80 + rng.normal(0, 0.07)
    bent = r.bumps * 4.5
    lower = 0.8 * (tip + slope * np.maximum(r.x + 96, 0) + 0.15 * (r.y + 60) - r.z) + bent
    reach = 0.78 * ((r.x - 56 * size) + 0.75 * (r.y + 122) - 0.25 * (r.z + 60)) + 1.6 * bent + 1.5 * r.septa
    behind = np.maximum(0.55 * r.x + r.y + 16, r.y - 36) * 0.87 + bent * 0.5
    left_back = (r.y + 62 + 0.25 * (r.x - 10)) * np.clip((r.x - 8) / 12, 0, 1) - 20 * np.clip((8 - r.x) / 10, 0, 1)
    d = smooth_max(smooth_max(lower, reach, 18.0), smooth_max(behind, left_back, 10.0), 14.0)
    # room for the right kidney and the gall bladder
    z = -150.0
    x, y = subject.spine_at(z)
    kidney = ellipsoid(r.x, r.y, r.z, (float(x) - 62, float(y) + 18, -168), (38, 52, 68), rotation(rx=-10, ry=-14))
    d = smooth_max(d, -kidney, 8.0)
    bladder_at = np.array([-42.0, -98.0, tip + slope * 54 - 8])
    fissure = np.abs(r.x - 8 + 0.35 * (r.y + 110) + 6 * r.bumps) - 2.5
    fissure = np.maximum(np.maximum(fissure, 0.5 * (r.z + 92)), 0.5 * (r.y + 62))
    d = smooth_max(d, -fissure, 4.0)
    r.paint(d, Tissue.LIVER, Organ.LIVER)
    _paint_liver_vessels(r, vessels, tip, slope)
    gall = ellipsoid(r.x, r.y, r.z, bladder_at, (14, 17, 25), rotation(rx=30, ry=10))
    r.paint(gall - 1.3, Tissue.WALL)
    r.paint(gall, Tissue.FLUID)
    landmarks["liver_tip"] = np.array([-100.0, -50.0, tip + 8])
    landmarks["gall_bladder"] = bladder_at


def _paint_liver_vessels(r: _Region, rng: np.random.Generator, tip: float, slope: float) -> None:
    """Portal and hepatic veins."""
    n = 220
    goals = np.column_stack([rng.uniform(-122, 40, n), rng.uniform(-128, 20, n), rng.uniform(-170, -35, n)])
    goals = goals[goals[:, 2] > tip + slope * np.maximum(goals[:, 0] + 96, 0) + 24]
    only = (Tissue.LIVER,)
    if len(goals) < 4:
        return
    portal = grow_tree(np.array([-24.0, -62, -108]), goals[::2], 5.5, rng)
    hepatic = grow_tree(np.array([-22.0, -46, -58]), goals[1::2], 5.5, rng)
    r.canvas.tubes(portal, Tissue.VEIN, over=only)
    r.canvas.tubes(hepatic, Tissue.VEIN, over=only)
    trunk = path([[-24, -62, -108], [-8, -60, -124], [4, -58, -140]], [6, 6.5, 6])
    r.canvas.tubes(trunk, Tissue.VEIN, over=(Tissue.FAT, Tissue.LIVER))


def _paint_spleen(r: _Region, subject: Subject, rng: np.random.Generator, landmarks: Landmarks) -> None:
    """A curved slab against the left posterior chest wall."""
    size = float(np.clip(rng.normal(1.0, 0.12), 0.75, 1.35))
    z = -88.0 - 0.8 * subject.inflation + rng.normal(0, 5)
    wall = subject.cavity.surface([66.0], [z], -30.0)[0]
    axes = rotation(rx=14, ry=-10, rz=-66)
    outer = ellipsoid(r.x, r.y, r.z, wall, np.array([50, 31, 52]) * size, axes) + 2.0 * r.bumps
    inner = ellipsoid(r.x, r.y, r.z, wall + [-30, -12, -8], np.array([34, 22, 42]) * size, axes)
    r.paint(smooth_max(outer, -inner, 7.0), Tissue.SPLEEN, Organ.SPLEEN, over=(Tissue.FAT, Tissue.WALL, Tissue.VEIN))
    landmarks["spleen_centre"] = wall + np.array([12.0, 4.0, 0.0]) * size
    artery = path([[4, -52, -122], [30, -44, -108], wall + [-22, -14, -4]], [3.2, 2.8, 2.2])
    r.canvas.tubes(artery, Tissue.ARTERY, over=(Tissue.FAT, Tissue.PANCREAS))
    r.canvas.tubes(artery + np.array([0, 5, -5, 1.4, 0, 5, -5, 1.4]), Tissue.VEIN, over=(Tissue.FAT, Tissue.PANCREAS))


def _paint_stomach(r: _Region, subject: Subject, rng: np.random.Generator) -> None:
    """A bent bag with fluid behind and gas in front, as in a patient on the back."""
    whole = r.canvas.box((-45, -150, -175), (115, 12, -10))
    if any(s.stop <= s.start for s in whole):
        return
    limit = np.maximum(r.fields.cavity[whole] + 2.0, r.fields.dome[whole] + 3.5)
    r = _Region(r.canvas, r.fields, whole, limit)
    full = float(rng.uniform(0.55, 0.95))
    low = 0.7 * subject.inflation
    points = np.array(
        [
            [56, -34, -58 - low],
            [66, -52, -82 - low],
            [64, -84, -112 - low],
            [34, -106, -138],
            [2, -104, -140],
            [-24, -84, -128],
        ]
    ) + rng.normal(0, 4, (6, 3))
    bag = path(points, np.array([34, 36, 30, 22, 15, 11]) * full, 4)
    d = _cone(r, bag[0])
    for row in bag[1:]:
        d = smooth_min(d, _cone(r, row), 6.0)
    d = d + 1.5 * r.bumps
    over = (Tissue.FAT, Tissue.WALL, Tissue.VEIN, Tissue.PANCREAS, Tissue.CONTENT, Tissue.FLUID, Tissue.GAS)
    r.paint(d, Tissue.WALL, Organ.STOMACH, over=over)
    content = Tissue.CONTENT if rng.random() < 0.45 else Tissue.FLUID
    r.paint(d + 3.6, content, Organ.STOMACH, over=over)
    level = points[2, 1] + rng.uniform(-26, 10)
    r.paint(np.maximum(d + 3.6, r.y - level), Tissue.GAS, Organ.STOMACH, over=(Tissue.CONTENT, Tissue.FLUID))


def _cone(r: _Region, row: NDArray[np.float64]) -> NDArray[np.floating]:
    """Distance to one segment of ``path`` over the whole region."""
    return capsule(r.x, r.y, r.z, row[:3], row[4:7], row[3], row[7])


def _paint_pancreas(r: _Region, subject: Subject, rng: np.random.Generator) -> None:
    """Lobed, from the duodenum's curve behind the stomach to the spleen."""
    drop = rng.normal(0, 6)
    body = path(
        [
            [-24, -66, -150 + drop],
            [-10, -78, -138 + drop],
            [18, -70, -126 + drop],
            [48, -42, -112 + drop],
            [74, -22, -100 + drop],
        ],
        [12, 10.5, 9, 8.5, 7],
    )
    r.canvas.tubes(body, Tissue.PANCREAS, over=(Tissue.FAT, Tissue.VEIN))
    duodenum = path(
        [[-26, -86, -128], [-46, -70, -148], [-44, -56, -182], [-10, -48, -196], [28, -52, -190]], [12, 12, 12, 11, 11]
    )
    _paint_gut(r, duodenum, rng, gas=0.12)


def _paint_gut(
    r: _Region, rows: NDArray[np.float64], rng: np.random.Generator, gas: float, stool: bool = False
) -> None:
    """Wall, content and gas bubbles of one stretch of bowel."""
    over = (Tissue.FAT, Tissue.VEIN, Tissue.WALL)
    canvas = r.canvas
    canvas.tubes(rows, Tissue.WALL, Organ.BOWEL, over=over)
    canvas.tubes(rows, Tissue.CONTENT if stool else Tissue.FLUID, Organ.BOWEL, over=(Tissue.WALL,), grow=-2.2)
    bubbles = rows[rng.random(len(rows)) < gas].copy()
    if len(bubbles) == 0:
        return
    lift = 0.35 * bubbles[:, [3]]
    bubbles[:, [1]] -= lift
    bubbles[:, [5]] -= lift
    inside = (Tissue.CONTENT, Tissue.FLUID, Tissue.WALL) if not stool else (Tissue.CONTENT,)
    canvas.tubes(bubbles, Tissue.GAS, Organ.BOWEL, over=inside, grow=-0.45 * float(rows[:, 3].mean()))


def _paint_colon(r: _Region, subject: Subject, rng: np.random.Generator) -> None:
    """Ascending, transverse and descending colon with haustra, stool and gas."""
    c = subject.cavity

    def at(theta: float, z: float, depth: float) -> NDArray[np.float64]:
        return c.surface([theta], [z], -depth)[0]

    sag = rng.normal(-168, 14)
    right, left = at(-75, -250, 30), at(72, -100, 24)
    points = [
        at(-70, -330, 30),
        right,
        at(-78, -195, 28),
        at(-118, -182, 26),
        at(-150, sag, 24),
        at(180, sag - 8, 22),
        at(150, sag + 8, 24),
        at(112, -128, 24),
        left,
        at(66, -140, 22),
        at(70, -200, 22),
        at(72, -330, 22),
    ]
    radii = np.array([24, 24, 24, 21, 19, 19, 18, 19, 19, 16, 14, 14]) * rng.uniform(0.8, 1.1)
    curve = catmull_rom(np.column_stack([np.array(points) + rng.normal(0, 4, (12, 3)), radii]), 9)
    # haustra: the radius swells and narrows along the way
    curve[:, 3] *= 1 + 0.16 * np.sin(np.arange(len(curve)) * 2.1 + rng.uniform(0, 6))
    rows = np.hstack([curve[:-1], curve[1:]])
    _paint_gut(r, rows, rng, gas=rng.uniform(0.1, 0.4), stool=True)
    # gas in the stool
    speck = r.canvas.organ[r.box] == Organ.BOWEL
    specks = np.where(speck, 2.6 - 2.2 * np.abs(r.septa + 0.5 * r.bumps) * 2, 9.0)
    r.paint(specks, Tissue.GAS, None, over=(Tissue.CONTENT,))


def _paint_bowel(r: _Region, subject: Subject, rng: np.random.Generator) -> None:
    """Loops of small bowel: a smooth random walk that stays in the middle of the abdomen."""
    point = np.array([30.0, -70.0, -190.0])
    heading = rng.normal(0, 1, 3)
    nodes = []
    for _ in range(210):
        pull = (np.array([14.0, -76.0, -228.0]) - point) / np.array([80.0, 36.0, 80.0])
        force = pull * np.minimum(np.abs(pull) ** 3, 3.0)
        heading = heading + rng.normal(0, 0.55, 3) + 0.9 * force
        heading /= np.linalg.norm(heading)
        point = point + 13.0 * heading
        nodes.append([*point, rng.uniform(8.0, 12.5)])
    curve = catmull_rom(np.array(nodes), 3)
    rows = np.hstack([curve[:-1], curve[1:]])
    rows = rows[np.maximum(rows[:, 2], rows[:, 6]) < np.where(rows[:, 0] > 10, -118, -145)]
    for start in range(0, len(rows), 24):
        stretch = rows[start : start + 24]
        _paint_gut(r, stretch, rng, gas=0.5 if rng.random() < 0.18 else 0.03)
