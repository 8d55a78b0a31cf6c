"""Two MR contrasts of one head: a rigid problem, as between the sequences of a session or two visits."""

from __future__ import annotations

from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.brains import BrainSubject, brain
from regenv.synthesis.physics.mr import mr
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._brain_scans import (
    LABEL_NAMES,
    MODALITIES,
    head_grid,
    labels_and_masks,
    middle,
    sequence,
)
from regenv.synthesis.recipes._scans import Scan, linear_pair, tilt

VERSION = 3
"""Raised whenever the same seed gives other images."""

_NAME = "brain_rigid"
_ANATOMY_MM = 2.4


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """One head scanned twice; the head lies up to 10 degrees differently about each axis in the second scan.

    Args:
        seed: The subject.
        modalities: Of the fixed and the moving scan, of ``t1``, ``t2``, ``pd``, ``flair``.
        field_of_view: ``"head"``.

    Returns:
        The pair in the subject's own space: the true transform is the identity.
    """
    del field_of_view
    subject = BrainSubject.draw(seed)
    anatomy = brain(subject, _ANATOMY_MM)
    scans = []
    for role, modality in zip(("fixed", "moving"), modalities, strict=True):
        rng = case_generator(_NAME, seed, role, modality)
        direction = tilt(rng, 4.0 if role == "fixed" else 10.0)
        grid = head_grid(rng, middle(subject) + rng.normal(0, 4, 3), direction)
        image = mr(anatomy, rng, sequence(modality, rng), grid)
        structures, head, _ = labels_and_masks(anatomy, grid)
        scans.append(Scan(image, structures, head))
    fixed, moving = scans
    return linear_pair(fixed, moving, anatomy.landmarks, label_names=LABEL_NAMES)


RECIPE = Recipe(name=_NAME, version=VERSION, modalities=MODALITIES, fields_of_view=("head",), make=make, mirrors=True)
