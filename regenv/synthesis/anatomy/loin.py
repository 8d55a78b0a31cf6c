"""A lumbar spine between the lower chest and the sacrum, with all that lies around it."""

from __future__ import annotations

from copy import copy

import numpy as np

from regenv.core.geometry import FloatArray
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.canvas import Canvas
from regenv.synthesis.anatomy.pelvic_bones import paint_bones, sacral_promontory
from regenv.synthesis.anatomy.region import trunk
from regenv.synthesis.anatomy.shapes import local
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.warp import Warp

LEVELS_MM = (-168.0, 160.0)
"""What is painted below and above the middle of L3, template mm."""

_SACRUM_MM = 54.0
"""Half-width of the sacrum and its wings."""

_Landmarks = dict[str, FloatArray]


def loin(seed: int, spacing_mm: float) -> Anatomy:
    """The trunk of a subject about L3, standing on a sacrum, its discs with their rings.

    Args:
        seed: The subject; the one of ``torso(seed)``.
        spacing_mm: Isotropic voxel size.
    """
    middle = Subject(seed).vertebra("L3").centre[2]
    levels = (float(middle + LEVELS_MM[0]), float(middle + LEVELS_MM[1]))
    return trunk(seed, spacing_mm, levels, also=_paint_below_and_within)


def _paint_below_and_within(canvas: Canvas, subject: Subject, landmarks: _Landmarks) -> None:
    """Sacrum and iliac wings under the last disc, and the fibrous rings of the discs."""
    _paint_rings(canvas, subject)
    last = subject.vertebra("L5")
    foot = last.centre - last.axes @ np.array([0.0, 0.0, last.height / 2 + last.disc])
    shift = foot - sacral_promontory()
    layers = (canvas.top, canvas.under, canvas.share, canvas.organ)
    spared = [layer.copy() for layer in layers]
    below = copy(canvas)  # paints on the same voxels, in coordinates of the pelvis
    below.x, below.y, below.z = (c - np.float32(s) for c, s in zip((canvas.x, canvas.y, canvas.z), shift, strict=True))
    below.warp = _ShiftedWarp(canvas.warp, shift)
    found: _Landmarks = {}
    paint_bones(below, subject.bone, found)
    landmarks.update({name: point + shift for name, point in found.items()})
    # the sacrum is round at its top: what of it would lie in L5 is left out, and it ends in a plate under the disc
    u, _, w = local(*canvas.coordinates(canvas.everything), foot, last.axes)
    above = (w > 0) & (np.abs(u) < _SACRUM_MM) & (canvas.organ != Organ.SPINAL_CANAL)
    for layer, before in zip(layers, spared, strict=True):
        layer[above] = before[above]
    plate = np.maximum(np.abs(w + 0.8) - 0.8, np.abs(u) - _SACRUM_MM)
    canvas.paint(canvas.everything, plate.astype(np.float32), Tissue.CORTICAL, over=(Tissue.CANCELLOUS,))


def _paint_rings(canvas: Canvas, subject: Subject) -> None:
    """Fibres in the outer part of the discs, dark in MR, which leave the watery core."""
    for v in subject.vertebrae:
        if not (v.lumbar or v.name in ("T10", "T11", "T12")):
            continue
        centre = v.centre - v.axes @ np.array([0.0, 0.0, (v.height + v.disc) / 2])
        box = canvas.around(centre, (38, 38, 20))
        if any(s.stop <= s.start for s in box):
            continue
        u, b, w = local(*canvas.coordinates(box), centre, v.axes)
        rho = np.sqrt((u / (v.width / 2)) ** 2 + ((b - 1.0) / (v.depth / 2)) ** 2)
        ring = np.maximum((0.7 - rho) * (v.depth / 2), np.abs(w) - v.disc)
        canvas.paint(box, ring.astype(np.float32), Tissue.LIGAMENT, over=(Tissue.DISC,))


class _ShiftedWarp(Warp):
    """A warp to a template whose origin lies elsewhere, as far as painting asks for it."""

    def __init__(self, warp: Warp, shift: FloatArray) -> None:
        self._warp, self._shift = warp, shift

    def to_subject(self, template_points: FloatArray, iterations: int = 30) -> FloatArray:
        return self._warp.to_subject(np.asarray(template_points) + self._shift, iterations)
