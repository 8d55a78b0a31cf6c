"""The table of modalities: what everything else needs to know of a kind of image, in one row each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Modality:
    """One kind of image.

    Attributes:
        name: Lower-case name, as images, manifests and ids have it.
        words: How pages call it.
        window: Lower and upper intensity of a scale that all its images share, mapped to 0 and 1; None where each image
            has a scale of its own.
        background: Value outside the image.
        hounsfield: Whether intensities are Hounsfield units, exact or not: such images share a scale.
        mr: Whether it is magnetic resonance, of a sequence that is named or not.
        headroom_below: Where the background is no value of the scale (no depth at all): how far the window reaches
            below the lowest value of an image. None where the window reaches down to the background.
        toned: Whether contrast differs from scanner to scanner: not where values are distances.
    """

    name: str
    words: str
    window: tuple[float, float] | None = None
    background: float = 0.0
    hounsfield: bool = False
    mr: bool = False
    headroom_below: float | None = None
    toned: bool = True


_HU = (-1000.0, 700.0)
"""Wide enough for lung, soft tissue and cancellous bone at once; cone-beam values are HU with artefacts."""

MODALITIES = {
    row.name: row
    for row in (
        Modality("ct", "CT", _HU, background=-1000.0, hounsfield=True),
        Modality("cbct", "cone-beam CT", _HU, background=-1000.0, hounsfield=True),
        Modality("mr", "MR", mr=True),
        Modality("t1", "T1-weighted MR", mr=True),
        Modality("t2", "T2-weighted MR", mr=True),
        Modality("pd", "proton-density-weighted MR", mr=True),
        Modality("flair", "FLAIR MR", mr=True),
        Modality("dwi", "diffusion-weighted MR", mr=True),
        Modality("b0", "diffusion MR without weighting", mr=True),
        Modality("adc", "a map of diffusion coefficients", mr=True),
        # standardised uptake values; brain, bladder and the hottest lesions saturate
        Modality("pet", "PET", (0.0, 8.0)),
        Modality("us", "ultrasound", (0.0, 255.0)),
        Modality("xray", "X-ray"),
        Modality(
            "depth", "a depth map", headroom_below=30.0, toned=False
        ),  # mm that a body can come nearer to the camera
        Modality("other", "an image of another kind"),
    )
}
"""Every modality that manifests may name, by name."""


def get_modality(name: str) -> Modality:
    """The row of that name; for a name that has none, one without a scale of its own."""
    return MODALITIES.get(name) or Modality(name, name)
