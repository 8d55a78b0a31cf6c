"""Ultrasound before and after the removal of a brain tumour: an affine problem within one modality.

In the manner of the BITE database (Mercier et al., Med. Phys. 39 (2012) 3253-3261): both images are volumes swept over
the opened skull, and that from before (moving) is brought to that from after (fixed). There the tumour is replaced by a
cavity full of saline, behind which the image is too bright, some of it may be left, the probe lies elsewhere, and the
brain has sagged (by 5.7 mm on average in four patients: Miga et al., IEEE Trans. Med. Imaging 18 (1999) 866): an affine
change of a few per cent, which is the exact truth. What a clinic adds to that, a residual that is no matrix, is left
out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import transform_points
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.glioma import Glioma, opened, resected
from regenv.synthesis.physics.us import Probe
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._brain_ultrasound import draw_probe, landmarks, patient, seen_brain, sweep
from regenv.synthesis.recipes._scans import Scan, linear_pair, tilt

VERSION = 1
"""Raised whenever the same seed gives other images."""

_NAME = "brain_us_us"


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """One patient in ultrasound before and after the tumour is taken out.

    Args:
        seed: The patient.
        modalities: ``("us", "us")``.
        field_of_view: ``"brain"``.

    Returns:
        The pair, the moving image in the patient's own space; the true transform is affine and exact.
    """
    del modalities, field_of_view
    anatomy, glioma = patient(_NAME, seed)
    first, second = (case_generator(_NAME, seed, when) for when in ("before", "after"))
    sag = brain_sag(glioma, case_generator(_NAME, seed, "sag"))
    back = np.asarray(np.linalg.inv(sag), dtype=np.float64)
    probe, later = draw_probe(glioma, first), _moved(draw_probe(glioma, second), sag)
    before = opened(anatomy, glioma)
    cavity = resected(before, glioma, second)
    moving = sweep(before, first, probe, tilt(case_generator(_NAME, seed, "tilt")))
    fixed = sweep(cavity, second, later, np.eye(3), lambda points: transform_points(back, points))
    labels, _ = seen_brain(cavity, fixed.grid, later, back)
    _, inside = seen_brain(anatomy, fixed.grid, later, back)
    after, earlier = Scan(fixed, labels, inside), Scan(moving, *seen_brain(anatomy, moving.grid, probe))
    return linear_pair(after, earlier, landmarks(anatomy, glioma), to_fixed=sag)


def brain_sag(glioma: Glioma, rng: np.random.Generator) -> NDArray[np.float64]:
    """An affine map ``(4, 4)``: the brain sinks away from the opening, gives way and turns a little."""
    matrix = np.eye(4)
    stretch = np.exp(rng.normal(0, 0.02, 3))
    shear = np.triu(rng.uniform(-0.03, 0.03, (3, 3)), 1)
    linear = tilt(rng, 2.0) @ (np.diag(stretch) + shear)
    # along the way in the brain is compressed and sinks by some mm
    d = glioma.inward
    linear = linear @ (np.eye(3) - rng.uniform(0.0, 0.05) * np.outer(d, d))
    matrix[:3, :3] = linear
    matrix[:3, 3] = glioma.centre - linear @ glioma.centre + rng.uniform(0, 5) * d + rng.normal(0, 1.0, 3)
    return matrix


def _moved(probe: Probe, sag: NDArray[np.float64]) -> Probe:
    """The probe placed on the brain where it is now: it follows the surface, not the brain's stretch."""
    return replace(probe, position=transform_points(sag, np.asarray(probe.position)))


RECIPE = Recipe(
    name="brain_us_us",
    version=VERSION,
    modalities=("us",),
    fields_of_view=("brain",),
    make=make,
    crop_fixed=0.05,
    crop_moving=0.05,
    mirrors=True,
)
