"""Parts of the procedural patient beside those of :mod:`regenv.data.anatomy.torso`: a longer trunk, thin slabs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from regenv.data.anatomy.abdomen import paint_abdomen
from regenv.data.anatomy.anatomy import Anatomy
from regenv.data.anatomy.brain import paint_brain
from regenv.data.anatomy.cage import paint_cage
from regenv.data.anatomy.canvas import Canvas
from regenv.data.anatomy.chest import paint_lung_vessels, paint_lungs, paint_mediastinum
from regenv.data.anatomy.face import paint_face
from regenv.data.anatomy.head import paint_head
from regenv.data.anatomy.spine import paint_spine
from regenv.data.anatomy.subject import Subject
from regenv.data.anatomy.torso import finish
from regenv.data.anatomy.trunk import make_fields, paint_back_muscles, paint_layers
from regenv.data.anatomy.warp import Warp

TRUNK_LEVELS = (-262.0, 200.0)
"""Lowest and highest level of :func:`trunk`, template mm: from the loin to the lower neck."""

HEAD_LEVELS: dict[str, tuple[float, float]] = {
    "orbit": (22.0, 40.0),
    "nasopharynx": (-12.0, 12.0),
    "oropharynx": (-46.0, -20.0),
    "larynx": (-92.0, -64.0),
}
"""Named levels of head and neck: lowest and highest position above the middle of C1, template mm."""

_Landmarks = dict[str, NDArray[np.float64]]


def trunk(
    seed: int,
    spacing_mm: float,
    levels: tuple[float, float] = TRUNK_LEVELS,
    also: Callable[[Canvas, Subject, _Landmarks], None] | None = None,
) -> Anatomy:
    """The trunk of a subject, longer than any view of it, so that tilted scans do not run out of the patient.

    Args:
        seed: The subject; equal seeds give equal anatomies at any spacing.
        spacing_mm: Isotropic voxel size.
        levels: Lowest and highest level, template mm.
        also: Paints on top of the rest and notes its landmarks, template mm.
    """
    subject = Subject(seed, arms_up=True)
    warp = Warp(np.random.default_rng([subject.seed, 13]), subject.scale)
    canvas = _trunk_canvas(subject, warp, spacing_mm, levels)
    landmarks: _Landmarks = {}
    fields = make_fields(canvas, subject)
    paint_layers(canvas, subject, fields)
    paint_lungs(canvas, subject, fields)
    mediastinum = paint_mediastinum(canvas, subject, fields, landmarks)
    paint_abdomen(canvas, subject, fields, landmarks)
    paint_lung_vessels(canvas, subject, mediastinum)
    paint_back_muscles(canvas, subject)
    paint_spine(canvas, subject, landmarks)
    paint_cage(canvas, subject, fields, landmarks)
    if also is not None:
        also(canvas, subject, landmarks)
    return finish(canvas, subject.seed, fields.skin < 0, landmarks)


def _trunk_canvas(subject: Subject, warp: Warp, spacing: float, levels: tuple[float, float]) -> Canvas:
    """A canvas wide enough for the trunk, arms cut off as by a scanner's field of view."""
    sx, sy, sz = subject.scale
    z = np.linspace(levels[0], min(levels[1], 90.0), 30)
    c = subject.skin.at(z)
    half = min(float((np.abs(c[:, 0]) + c[:, 2]).max()) * sx + 12, 205.0)
    front = float((c[:, 1] - c[:, 3]).min()) * sy - (34 if subject.female else 14)
    back = float((c[:, 1] + c[:, 4]).max()) * sy + 12
    return Canvas((-half, front, levels[0] * sz), (half, back, levels[1] * sz), spacing, warp)


def head_slab(seed: int, spacing_mm: float, level: float, thickness_mm: float) -> Anatomy:
    """A thin axial slab of head and neck; what lies far below it is left out.

    Args:
        seed: The subject; the one of ``torso(seed, ..., "head_and_neck")``.
        spacing_mm: Isotropic voxel size.
        level: Height of the slab's middle above the middle of C1, template mm.
        thickness_mm: Height of the slab.
    """
    subject = Subject(seed, arms_up=False)
    warp = Warp(np.random.default_rng([subject.seed, 13]), subject.scale)
    sy, sz = subject.scale[1:]
    atlas = subject.vertebra("C1").centre
    middle, height = atlas[1] * sy, (atlas[2] + level) * sz
    half = thickness_mm / 2
    canvas = Canvas((-140, middle - 155, height - half), (140, middle + 145, height + half), spacing_mm, warp)
    landmarks: _Landmarks = {}
    fields = make_fields(canvas, subject)
    paint_layers(canvas, subject, fields)
    paint_back_muscles(canvas, subject)
    head = paint_head(canvas, subject, fields, landmarks)
    paint_brain(head)
    paint_face(head, subject, landmarks)
    paint_spine(canvas, subject, landmarks)
    return finish(canvas, subject.seed, fields.skin < 0, landmarks)
