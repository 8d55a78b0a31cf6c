"""The head of a fetus in the womb: a brain that is hardly folded yet, in amniotic fluid.

Sizes follow the biparietal diameter of 26 to 34 weeks (Garel, MRI of the Fetal Brain, Springer 2004). Before birth
white matter has not got its myelin and holds more water than the cortical plate: in T2 it is the brighter one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.canvas import Canvas
from regenv.synthesis.anatomy.cerebrum import View
from regenv.synthesis.anatomy.folds import furrows
from regenv.synthesis.anatomy.shapes import rotation, smooth_max, smooth_min
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.torso import finish
from regenv.synthesis.anatomy.warp import Warp, smooth_noise
from regenv.synthesis.physics.relaxation import Relaxation

RELAXATION = {
    Tissue.GREY_MATTER: Relaxation((1800, 2100), (140, 108), 0.88, coarse=0.02, fine=0.03),
    Tissue.WHITE_MATTER: Relaxation((2300, 2600), (270, 220), 0.95, coarse=0.04, fine=0.02),
    Tissue.CORTICAL: Relaxation((600, 700), (12, 10), 0.45),
    Tissue.WALL: Relaxation((1100, 1300), (85, 72), 0.85, coarse=0.15, fine=0.15),
}
"""Of a fetus, where it differs from an adult's."""

FETAL_LANDMARKS: dict[str, tuple[float, float, float]] = {
    "callosum": (0, 2, 16),
    "frontal_horn_left": (8, -20, 6),
    "frontal_horn_right": (-8, -20, 6),
    "atrium_left": (17, 26, 8),
    "atrium_right": (-17, 26, 8),
    "pons": (0, 12, -20),
    "vermis": (0, 30, -20),
    "eye_left": (17, -36, -20),
    "eye_right": (-17, -36, -20),
}
"""Template points of a head of biparietal diameter 78 mm (x left, y back, z up, in mm)."""


def fetus(seed: int, spacing_mm: float = 1.8) -> Anatomy:
    """Builds a fetal head in the womb.

    Args:
        seed: The subject.
        spacing_mm: Isotropic voxel size.

    Returns:
        The anatomy in axes of the fetal head; ``body`` is the head.
    """
    rng = np.random.default_rng([seed, 41])
    size = float(rng.uniform(0.84, 1.08))
    scale = tuple(float(s) for s in size * np.exp(rng.normal(0, 0.02, 3)))
    warp = Warp(
        np.random.default_rng([seed, 42]),
        (scale[0], scale[1], scale[2]),
        1.2,
        30.0,
        (-150.0,) * 3,
        (150.0,) * 3,
    )
    canvas = Canvas((-86, -86, -86), (86, 86, 86), spacing_mm, warp)
    view = View(canvas, canvas.everything)
    _paint_womb(view, rng, seed)
    skin, inside = _paint_head(view)
    folding = float(rng.uniform(0.0, 1.0))
    _paint_brain(view, inside, folding, tuple(int(n) for n in rng.integers(0, 64, 3)))
    marks: dict[str, NDArray[np.float64]] = {n: np.asarray(p, float) for n, p in FETAL_LANDMARKS.items()}
    return finish(canvas, seed, skin < 0, marks)


def _paint_womb(view: View, rng: np.random.Generator, seed: int) -> None:
    """Mother, wall of the womb, placenta, fluid; the fetus's shoulders and a hand or two."""
    noise = smooth_noise(np.random.default_rng([seed, 43]), view.canvas.grid, 34.0)
    view.paint(np.full(view.x.shape, -99.0), Tissue.FAT)
    streak = smooth_noise(np.random.default_rng([seed, 44]), view.canvas.grid, 18.0)
    view.paint(4.0 - 8.0 * np.abs(streak), Tissue.MUSCLE)
    centre = rng.normal(0, 6, 3)
    axes = rotation(*(float(a) for a in rng.uniform(-40, 40, 3)))
    womb = view.ellipsoid(centre, rng.uniform((62, 66, 62), (80, 86, 78)), axes) + 4.0 * noise
    # the heart's muscle stands in for that of the womb, the bright zone of the prostate for the placenta
    view.paint(womb - 7.0, Tissue.MYOCARDIUM)
    side = rng.standard_normal(3)
    side *= 52.0 / np.linalg.norm(side)
    view.paint(womb, Tissue.AMNION)
    placenta = np.maximum(womb, view.ellipsoid(centre + side * 1.35, (52, 52, 52), axes) + 3.0 * noise)
    view.paint(placenta, Tissue.PROSTATE_PERIPHERAL)
    trunk = view.capsule((0, 22, -66), (float(rng.normal(0, 14)), 26, -120), 30.0, 40.0)
    view.paint(trunk, Tissue.SKIN)
    view.paint(trunk + 2.0, Tissue.WALL)
    for _ in range(2):
        a, b = rng.uniform((-40, -66, -40), (40, -46, 10)), rng.uniform((-50, -70, -70), (50, -50, -40))
        view.paint(view.capsule(a, b, 5.0, 7.0), Tissue.WALL)


def _paint_head(view: View) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Skin, skull, face and neck; the distance of the skin and of what the skull holds."""
    vault = view.ellipsoid((0, 4, 6), (38, 47, 37))
    level = np.where(view.y < -6, -14.0, -20.0).astype(np.float32) - view.z
    inside = smooth_max(vault, level, 6.0)
    inside = smooth_min(inside, view.ellipsoid((0, 24, -16), (31, 23, 20)), 8.0)
    inside = smooth_min(inside, _temporal(view) - 3.0, 6.0)
    face = view.ellipsoid((0, -26, -22), (26, 22, 26))
    neck = view.capsule((0, 16, -24), (0, 20, -66), 17.0, 19.0)
    skin = smooth_min(smooth_min(inside - 3.8, face, 10.0), neck, 8.0)
    skin = smooth_min(skin, view.ellipsoid((0, -48, -24), (4, 5, 5)), 4.0)
    view.paint(skin, Tissue.SKIN, Organ.NONE)
    view.paint(skin + 1.8, Tissue.WALL)
    spine = view.capsule((0, 22, -28), (0, 24, -80), 5.0, 5.0)
    view.paint(spine - 2.0, Tissue.CORTICAL)
    view.paint(inside - 1.5, Tissue.CORTICAL, Organ.SKULL)
    view.paint(inside, Tissue.CSF, Organ.BRAIN)
    view.paint(spine, Tissue.CSF)
    for side in (-1, 1):
        eye = view.near((side * 17, -36, -20), 10.0)
        eye.paint(eye.ellipsoid((side * 17, -36, -20), (7.6, 7.6, 7.6)), Tissue.WALL)
        eye.paint(eye.ellipsoid((side * 17, -36, -20), (6.8, 6.8, 6.8)), Tissue.AMNION)
        eye.paint(eye.ellipsoid((side * 17, -40, -20), (2.4, 1.4, 2.4)), Tissue.CORTICAL)
    mouth = view.near((0, -30, -36), 16.0)
    mouth.paint(mouth.ellipsoid((0, -32, -38), (11, 13, 6)), Tissue.CORTICAL)
    mouth.paint(mouth.ellipsoid((0, -28, -36), (9, 12, 5)), Tissue.WALL)
    throat = view.near((0, -10, -36), 26.0)
    throat.paint(throat.capsule((0, -12, -26), (0, 2, -56), 3.0, 3.6), Tissue.AMNION)
    return skin, inside


def _temporal(view: View) -> NDArray[np.floating]:
    """Distance to the temporal lobes."""
    return view.capsule((20, -10, -13), (23, 16, -8), 9.5, 11.0, mirrored=True)


def _paint_brain(view: View, inside: NDArray[np.floating], folding: float, shift: tuple[int, ...]) -> None:
    """Cortical plate, white matter, deep grey matter, wide ventricles, cerebellum, stem."""
    space = 2.0 + 1.8 * (1 - folding)
    level = np.where(view.y < 4, -12.0, -5.0).astype(np.float32) - view.z
    ax = np.abs(view.x)
    hull = smooth_min(smooth_max(view.ellipsoid((0, 4, 6), (38, 47, 37)), 0.9 * level, 5.0), _temporal(view) + 1.0, 5.0)
    depth = -smooth_max(hull + space, inside + space, 2.0)
    core = view.ellipsoid((0, 2, 4), (60, 26, 14))
    fissure = np.sqrt(np.maximum(ax - 0.8, 0) ** 2 + np.maximum(-core, 0) ** 2)
    depth = np.minimum(depth, np.where((ax < 0.8) & (core > 0), ax - 0.8, fissure))
    # the insula lies open: the Sylvian fissure is a pit before it is a cleft
    pit = smooth_max(view.ellipsoid((0, -4, -1), (60, 13, 5.5 - 3 * folding)), 24 - ax, 3.0)
    depth = np.ascontiguousarray(np.minimum(depth, pit), dtype=np.float32)
    # few and shallow furrows, that come with age
    late = np.float32(7.0 + 9.0 * (1 - folding))
    surface, layer = furrows(
        view.x, view.y, view.z, depth + late, (shift[0], shift[1], shift[2]), 0.6, 0.3, view.canvas.spacing
    )
    surface, layer = np.minimum(surface, depth), np.minimum(layer, depth)
    view.paint(-surface, Tissue.GREY_MATTER, Organ.CORTEX)
    view.paint(2.3 - layer, Tissue.WHITE_MATTER, Organ.WHITE_MATTER, over=(Tissue.GREY_MATTER,))
    grey, deep = Tissue.GREY_MATTER, Organ.DEEP_GREY
    for side in (-1, 1):
        part = view.near((side * 11, 2, 3), 22.0)
        part.paint(part.ellipsoid((side * 8, 8, 3), (6, 9, 6)), grey, deep)
        part.paint(part.ellipsoid((side * 14, -5, 3), (5, 10, 7)), grey, deep)
        body = [(side * 8, -20, 6), (side * 8, -4, 13), (side * 13, 16, 13), (side * 17, 26, 8), (side * 17, 34, 4)]
        view.tube(np.array(body, float), np.array([2.6, 3.0, 3.4, 5.0, 2.0]), Tissue.CSF, Organ.VENTRICLES)
        horn = [(side * 17, 26, 8), (side * 22, 14, -6)]
        view.tube(np.array(horn, float), np.array([4.0, 1.6]), Tissue.CSF, Organ.VENTRICLES)
        # the germinal matrix: before birth cells still line the ventricles
        cells = part.ellipsoid((side * 10, -14, 8), (2.2, 6, 3))
        part.paint(cells, grey, deep, over=(Tissue.WHITE_MATTER,))
    middle = view.near((0, 6, 4), 20.0)
    cavum = np.maximum(np.abs(middle.x) - 2.4, middle.ellipsoid((0, -10, 9), (6, 10, 4)))
    middle.paint(cavum, Tissue.CSF)
    third = np.maximum(np.abs(middle.x) - 0.8, middle.ellipsoid((0, 8, 2), (4, 9, 6)))
    middle.paint(third, Tissue.CSF, Organ.VENTRICLES)
    small = view.near((0, 24, -18), 28.0)
    lobes = smooth_min(small.ellipsoid((12, 27, -18), (16, 14, 13)), small.ellipsoid((-12, 27, -18), (16, 14, 13)), 5.0)
    small.paint(lobes - 1.5, Tissue.CSF, Organ.BRAIN)
    small.paint(lobes, grey, Organ.CEREBELLUM)
    small.paint(lobes + 4.0, Tissue.WHITE_MATTER, Organ.CEREBELLUM)
    stem = np.array([(0, 8, -4), (0, 10, -18), (0, 16, -30), (0, 22, -44)], float)
    view.tube(stem, np.array([6.5, 7.5, 5.0, 3.0]), grey, Organ.BRAINSTEM)
