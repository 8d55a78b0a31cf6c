"""Parts of the procedural patient beside those of :mod:`regenv.synthesis.anatomy.torso`: a longer trunk, thin slabs."""

from __future__ import annotations

from collections.abc import Callable

from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.brain import paint_brain
from regenv.synthesis.anatomy.canvas import Canvas
from regenv.synthesis.anatomy.face import paint_face
from regenv.synthesis.anatomy.head import paint_head
from regenv.synthesis.anatomy.spine import paint_spine
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.torso import Landmarks, finish, paint_trunk, subject_warp, trunk_canvas
from regenv.synthesis.anatomy.trunk import make_fields, paint_back_muscles, paint_layers

TRUNK_LEVELS = (-262.0, 200.0)
"""Lowest and highest level of :func:`trunk`, template mm: from the loin to the lower neck."""

HEAD_LEVELS: dict[str, tuple[float, float]] = {
    "orbit": (22.0, 40.0),
    "nasopharynx": (-12.0, 12.0),
    "oropharynx": (-46.0, -20.0),
    "larynx": (-92.0, -64.0),
}
"""Named levels of head and neck: lowest and highest position above the middle of C1, template mm."""


def trunk(
    seed: int,
    spacing_mm: float,
    levels: tuple[float, float] = TRUNK_LEVELS,
    also: Callable[[Canvas, Subject, Landmarks], None] | None = None,
) -> Anatomy:
    """The trunk of a subject, longer than any view of it, so that tilted scans do not run out of the patient.

    Args:
        seed: The subject; equal seeds give equal anatomies at any spacing.
        spacing_mm: Isotropic voxel size.
        levels: Lowest and highest level, template mm.
        also: Paints on top of the rest and notes its landmarks, template mm.
    """
    subject = Subject(seed, arms_up=True)
    return paint_trunk(trunk_canvas(subject, spacing_mm, levels), subject, also=also)


def head_slab(seed: int, spacing_mm: float, level: float, thickness_mm: float) -> Anatomy:
    """A thin axial slab of head and neck; what lies far below it is left out.

    Args:
        seed: The subject; the one of ``torso(seed, ..., "head_and_neck")``.
        spacing_mm: Isotropic voxel size.
        level: Height of the slab's middle above the middle of C1, template mm.
        thickness_mm: Height of the slab.
    """
    subject = Subject(seed, arms_up=False)
    sy, sz = subject.scale[1:]
    atlas = subject.vertebra("C1").centre
    middle, height = atlas[1] * sy, (atlas[2] + level) * sz
    half = thickness_mm / 2
    low, high = (-140, middle - 155, height - half), (140, middle + 145, height + half)
    canvas = Canvas(low, high, spacing_mm, subject_warp(subject))
    landmarks: Landmarks = {}
    fields = make_fields(canvas, subject)
    paint_layers(canvas, subject, fields)
    paint_back_muscles(canvas, subject)
    head = paint_head(canvas, subject, fields, landmarks)
    paint_brain(head)
    paint_face(head, subject, landmarks)
    paint_spine(canvas, subject, landmarks)
    return finish(canvas, subject.seed, fields.skin < 0, landmarks)
