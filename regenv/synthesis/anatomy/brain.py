"""Brain, ventricles and the spaces around them."""

from __future__ import annotations

import numpy as np

from regenv.synthesis.anatomy.head import Head
from regenv.synthesis.anatomy.shapes import smooth_max
from regenv.synthesis.anatomy.tissues import Organ, Tissue


def paint_brain(head: Head) -> None:
    """Fills the skull: fluid, folded cortex, white matter, deep nuclei, ventricles, cerebellum, brain stem, falx."""
    thick = 6.4 * (0.8 + 0.2 * head.subject.bone)
    inside = smooth_max(head.vault + thick, head.floor + 1.0, 6.0)
    head.paint(inside, Tissue.CSF, Organ.BRAIN)
    atrophy = float(head.rng.uniform(0.0, 1.0))
    # furrows: sheets of fluid that reach inward from the surface
    depth = inside + 1.2
    furrow = 5.0 * np.abs(head.septa) - (0.7 + 0.9 * atrophy)
    surface = smooth_max(depth, -np.maximum(furrow, depth + 13), 1.5)
    fissure = 2.0 - 0.5 * atrophy - np.abs(head.u + 0.6 * head.bumps)
    surface = smooth_max(surface, np.where(head.w > 40, 0.6 - np.abs(head.u), -9.0), 1.0)
    head.paint(surface, Tissue.GREY_MATTER, Organ.BRAIN)
    folded = np.maximum(depth + 4.0, 2.8 - furrow * 1.2)
    deep = np.minimum(folded, depth + 15)
    head.paint(np.maximum(deep, fissure), Tissue.WHITE_MATTER, Organ.BRAIN, over=(Tissue.GREY_MATTER,))
    _paint_below(head.near((0, 42, 24), 50.0), thick)
    centre = head.near((0, -8, 50), 44.0)
    _paint_nuclei(centre)
    _paint_ventricles(centre, atrophy)
    falx = np.maximum(np.abs(head.u) - 0.7, inside)
    falx = np.maximum(falx, 62 - head.w + 0.2 * np.abs(head.v))
    head.paint(falx, Tissue.WALL, Organ.BRAIN)


def _paint_below(head: Head, thick: float) -> None:
    """Cerebellum under the tentorium, brain stem."""
    lobes = head.ellipsoid((0, 42, 24), (46, 32, 25))
    room = np.maximum(lobes, smooth_max(head.vault + thick, head.floor + 1.0, 6.0) + 1.5)
    head.paint(room - 1.5, Tissue.CSF, Organ.BRAIN, over=(Tissue.GREY_MATTER, Tissue.WHITE_MATTER))
    head.paint(room, Tissue.GREY_MATTER, Organ.BRAIN)
    leaves = np.maximum(room + 7, 1.2 - 3 * np.abs(np.sin(head.w * 0.45 + head.septa)))
    head.paint(leaves, Tissue.WHITE_MATTER, Organ.BRAIN, over=(Tissue.GREY_MATTER,))
    stem = head.path([(0, 10, -14), (0, 8, 8), (0, -2, 24), (0, -6, 42)], [7, 9, 14, 15])
    head.canvas.tubes(stem, Tissue.CSF, over=(Tissue.GREY_MATTER, Tissue.WHITE_MATTER), grow=3.0)
    head.canvas.tubes(stem, Tissue.WHITE_MATTER, Organ.BRAIN)


def _paint_nuclei(head: Head) -> None:
    """Grey matter inside: thalamus, lentiform and caudate nuclei."""
    only = (Tissue.WHITE_MATTER,)
    for side in (-1, 1):
        head.paint(head.ellipsoid((side * 10, -2, 56), (8, 15, 9)), Tissue.GREY_MATTER, over=only)
        head.paint(head.ellipsoid((side * 25, -16, 54), (7, 19, 10)), Tissue.GREY_MATTER, over=only)
        caudate = head.path([(side * 12, -36, 58), (side * 15, -22, 70), (side * 19, 2, 74)], [6, 5, 3])
        head.canvas.tubes(caudate, Tissue.GREY_MATTER, over=only)


def _paint_ventricles(head: Head, atrophy: float) -> None:
    """Lateral ventricles with their horns, third and fourth, cisterns at the base."""
    size = 0.75 + 0.6 * atrophy
    for side in (-1, 1):
        body = head.path(
            [(side * 9, -52, 58), (side * 7, -34, 68), (side * 11, -8, 76), (side * 20, 22, 70), (side * 27, 34, 58)],
            np.array([4, 6, 6, 7, 7]) * size,
        )
        horn = head.path([(side * 27, 34, 58), (side * 33, 14, 42), (side * 32, -14, 36)], np.array([6, 4, 2.5]) * size)
        back = head.path([(side * 27, 34, 58), (side * 22, 60, 56)], np.array([5, 1.5]) * size)
        for tube in (body, horn, back):
            head.canvas.tubes(tube, Tissue.CSF)
        plexus = head.path([(side * 25, 30, 60), (side * 26, 34, 55)], [2.0, 2.0])
        head.canvas.tubes(plexus, Tissue.CORTICAL if head.subject.seed % 3 == 0 else Tissue.GREY_MATTER)
        sylvian = head.path([(side * 30, -34, 42), (side * 48, -24, 48), (side * 60, 4, 60)], [1.8, 2.6, 1.6])
        head.canvas.tubes(sylvian, Tissue.CSF, over=(Tissue.GREY_MATTER, Tissue.WHITE_MATTER), grow=0.6 * atrophy)
    third = np.maximum(np.abs(head.u) - (1.2 + 1.6 * atrophy), head.ellipsoid((0, -8, 50), (6, 16, 12)))
    head.paint(third, Tissue.CSF)
    head.paint(head.ellipsoid((0, 20, 26), (8, 6, 9)), Tissue.CSF)
    head.paint(head.ellipsoid((0, -24, 36), (14, 9, 6)), Tissue.CSF, over=(Tissue.GREY_MATTER, Tissue.WHITE_MATTER))
