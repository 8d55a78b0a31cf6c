"""A procedural torso: from a seed to a labelled anatomy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray
from regenv.synthesis.anatomy.abdomen import paint_abdomen
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.brain import paint_brain
from regenv.synthesis.anatomy.cage import paint_cage
from regenv.synthesis.anatomy.canvas import Canvas
from regenv.synthesis.anatomy.chest import paint_lung_vessels, paint_lungs, paint_mediastinum
from regenv.synthesis.anatomy.face import paint_face
from regenv.synthesis.anatomy.head import paint_head
from regenv.synthesis.anatomy.spine import paint_spine
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.trunk import Fields, make_fields, paint_back_muscles, paint_layers
from regenv.synthesis.anatomy.warp import Warp

Landmarks = dict[str, FloatArray]
"""Points ``(3,)`` by name, template mm until an anatomy is finished."""

# levels (lowest and highest, template mm) that each field of view paints; the body is always whole across
_LEVELS = {
    "torso": (-205.0, 165.0),
    "spine": (-250.0, 40.0),
    "heart": (-125.0, 110.0),
    "head_and_neck": (150.0, 455.0),
}


def torso(subject_seed: int, spacing_mm: float = 2.0, field_of_view: str = "torso") -> Anatomy:
    """Builds one subject's torso.

    Args:
        subject_seed: The subject; equal seeds give equal anatomies at any spacing.
        spacing_mm: Isotropic voxel size.
        field_of_view: ``"torso"``, ``"spine"`` (lower chest to loin), ``"heart"`` or ``"head_and_neck"``.

    Returns:
        The anatomy.

    Raises:
        ValueError: On an unknown field of view or a spacing that is not positive.
    """
    if field_of_view not in _LEVELS:
        raise ValueError(f"unknown field_of_view {field_of_view!r}; there are {', '.join(_LEVELS)}")
    if not spacing_mm > 0:
        raise ValueError(f"spacing_mm must be positive, got {spacing_mm}")
    subject = Subject(subject_seed, arms_up=field_of_view != "head_and_neck")
    canvas = _canvas(subject, spacing_mm, field_of_view)
    return paint_trunk(canvas, subject, with_head=field_of_view == "head_and_neck")


def subject_warp(subject: Subject) -> Warp:
    """The smooth part of what a subject differs in from the template."""
    return Warp(np.random.default_rng([subject.seed, 13]), subject.scale)


def paint_trunk(
    canvas: Canvas,
    subject: Subject,
    with_head: bool = False,
    also: Callable[[Canvas, Subject, Landmarks], None] | None = None,
) -> Anatomy:
    """Paints all of a trunk that the canvas reaches, from the skin inward.

    Args:
        canvas: In the subject's space.
        subject: Who is painted.
        with_head: Whether head and throat are in reach.
        also: Paints on top of the rest and notes its landmarks, template mm.
    """
    landmarks: Landmarks = {}
    fields = make_fields(canvas, subject)
    paint_layers(canvas, subject, fields)
    paint_lungs(canvas, subject, fields)
    mediastinum = paint_mediastinum(canvas, subject, fields, landmarks)
    paint_abdomen(canvas, subject, fields, landmarks)
    paint_lung_vessels(canvas, subject, mediastinum)
    paint_back_muscles(canvas, subject)
    if with_head:
        _paint_above(canvas, subject, fields, landmarks)
    paint_spine(canvas, subject, landmarks)
    paint_cage(canvas, subject, fields, landmarks)
    if also is not None:
        also(canvas, subject, landmarks)
    return finish(canvas, subject.seed, fields.skin < 0, landmarks)


def _paint_above(canvas: Canvas, subject: Subject, fields: Fields, landmarks: Landmarks) -> None:
    """The head, with all that is in it, and the throat."""
    head = paint_head(canvas, subject, fields, landmarks)
    paint_brain(head)
    paint_face(head, subject, landmarks)


def finish(canvas: Canvas, seed: int, body: NDArray[np.bool_], landmarks: Landmarks) -> Anatomy:
    """Turns a painted canvas into an anatomy: textures, and landmarks in the subject's space."""
    inside = {}
    if landmarks:
        points = canvas.warp.to_subject(np.array(list(landmarks.values())))
        for name, point in zip(landmarks, points, strict=True):
            index = (point - canvas.grid.origin) / canvas.spacing
            if np.all(index >= 0) and np.all(index <= np.asarray(canvas.grid.size) - 1):
                inside[name] = point
    swap = canvas.share < 128
    top = np.where(swap, canvas.under, canvas.top)
    under = np.where(swap, canvas.top, canvas.under)
    share = np.where(swap, 255 - canvas.share, canvas.share)
    coarse = canvas.noise(np.random.default_rng([seed, 14]), 9.0)
    fine = canvas.noise(np.random.default_rng([seed, 15]), 3.2)
    return Anatomy(canvas.grid, top, under, share, canvas.organ, body, coarse, fine, inside, seed)


def _canvas(subject: Subject, spacing: float, field_of_view: str) -> Canvas:
    """A canvas wide enough for what the field of view holds."""
    levels = _LEVELS[field_of_view]
    if field_of_view != "head_and_neck":
        return trunk_canvas(subject, spacing, levels)
    sy, sz = subject.scale[1:]
    middle = subject.vertebra("C1").centre[1] * sy
    low, high = (-150, middle - 165, levels[0] * sz), (150, middle + 165, levels[1] * sz)
    return Canvas(low, high, spacing, subject_warp(subject))


def trunk_canvas(subject: Subject, spacing: float, levels: tuple[float, float]) -> Canvas:
    """A canvas wide enough for the trunk between two levels (template mm), arms cut off as by a scanner's field."""
    sx, sy, sz = subject.scale
    z = np.linspace(levels[0], min(levels[1], 90.0), 30)
    c = subject.skin.at(z)
    half = min(float((np.abs(c[:, 0]) + c[:, 2]).max()) * sx + 12, 205.0)
    front = float((c[:, 1] - c[:, 3]).min()) * sy - (34 if subject.female else 14)
    back = float((c[:, 1] + c[:, 4]).max()) * sy + 12
    return Canvas((-half, front, levels[0] * sz), (half, back, levels[1] * sz), spacing, subject_warp(subject))
