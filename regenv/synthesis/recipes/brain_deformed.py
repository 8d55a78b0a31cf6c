"""Two MR contrasts of one head between which tissue has moved by up to about 6 mm, smoothly.

Echo-planar distortion (Jezzard and Balaban, Magn. Reson. Med. 34 (1995) 65-73), gradients that are not linear (Jovicich
et al., NeuroImage 30 (2006) 436-443), swelling, and the sagging of an opened brain, by 5.7 mm on average (Miga et al.,
IEEE Trans. Med. Imaging 18 (1999) 866), all leave such a displacement between the scans of one patient.
"""

from __future__ import annotations

import numpy as np

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.brains import BrainSubject, brain
from regenv.synthesis.anatomy.warp import Warp
from regenv.synthesis.physics.mr import mr
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._brain_scans import (
    LABEL_NAMES,
    MODALITIES,
    head_grid,
    labels_and_masks,
    look_up,
    middle,
    sequence,
    template_points,
)
from regenv.synthesis.recipes._scans import Landmarks, Scan, deformed_pair, tilt

VERSION = 3
"""Raised whenever the same seed gives other images."""

_NAME = "brain_deformed"
_ANATOMY_MM = 2.4
_POINTS_MM = 17.0
"""Spacing of the lattice, in the template, on which the TRE is measured."""
_AMPLITUDE_MM = 2.4
"""Standard deviation of the warp's knots along each axis: the tissue moves by about 6 mm at most."""
_KNOT_MM = 90.0
"""Distance between the warp's knots: few enough degrees of freedom for a statistical model to span."""


def _shift(seed: int) -> Warp:
    """The displacement: the fixed image shows at x what the moving one shows at x + u(x)."""
    rng = case_generator(_NAME, seed, "warp")
    return Warp(rng, (1.0, 1.0, 1.0), _AMPLITUDE_MM, _KNOT_MM, (-180.0,) * 3, (180.0,) * 3)


def _fixed_grid(seed: int, subject: BrainSubject) -> Grid:
    rng = case_generator(_NAME, seed, "grid")
    return head_grid(rng, middle(subject) + rng.normal(0, 2, 3))


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """One head, at rest in the moving scan and deformed in the fixed one.

    Args:
        seed: The subject.
        modalities: Of the fixed and the moving scan, of ``t1``, ``t2``, ``pd``, ``flair``.
        field_of_view: ``"head"``.

    Returns:
        The pair in the subject's own space: the alignment is the identity, the displacement what is to be found.
    """
    del field_of_view
    subject, shift = BrainSubject.draw(seed), _shift(seed)
    anatomy = brain(subject, _ANATOMY_MM)
    rngs = [case_generator(_NAME, seed, role, m) for role, m in zip(("fixed", "moving"), modalities, strict=True)]
    here = _fixed_grid(seed, subject)
    there = head_grid(rngs[1], middle(subject) + rngs[1].normal(0, 4, 3), tilt(rngs[1]))

    moved = here.points().reshape(-1, 3)
    moved = moved + shift.displacement(moved)
    image = mr(anatomy, rngs[0], sequence(modalities[0], rngs[0]), here, displace=lambda points: moved)
    structures, head, _ = look_up(anatomy, moved, here.shape)
    fixed = Scan(image, structures, head)
    image = mr(anatomy, rngs[1], sequence(modalities[1], rngs[1]), there)
    structures, head, _ = labels_and_masks(anatomy, there)
    moving = Scan(image, structures, head)
    rest = subject.warp.to_subject(template_points(_POINTS_MM))
    marks = np.array(list(anatomy.landmarks.values()))
    landmarks = Landmarks(tuple(anatomy.landmarks), shift.to_subject(marks), marks).shown(fixed, moving)
    return deformed_pair(fixed, moving, (shift.to_subject(rest), rest), np.eye(4), landmarks, LABEL_NAMES)


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """The true displacement at local points ``(N, 3)``, mm."""
    del field_of_view
    frame = _fixed_grid(seed, BrainSubject.draw(seed)).frame
    moved: FloatArray = _shift(seed).displacement(transform_points(frame, local)) @ frame[:3, :3]
    return moved


RECIPE = Recipe(
    name=_NAME,
    version=VERSION,
    modalities=MODALITIES,
    fields_of_view=("head",),
    make=make,
    displacement=displacement,
    crop_fixed=0.0,
)
