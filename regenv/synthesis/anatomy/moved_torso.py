"""A torso painted through any map from the scan to a template: in motion, or in another patient of the same shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.synthesis.anatomy.abdomen import paint_abdomen
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.cage import paint_cage
from regenv.synthesis.anatomy.chest import paint_lung_vessels, paint_lungs, paint_mediastinum
from regenv.synthesis.anatomy.motion import MovedCanvas, MovedWarp
from regenv.synthesis.anatomy.spine import paint_spine
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.torso import finish
from regenv.synthesis.anatomy.trunk import make_fields, paint_back_muscles, paint_layers


@dataclass(frozen=True, eq=False)
class MovedTorso:
    """An anatomy with the canvas it was painted on.

    Attributes:
        anatomy: Tissues, organs, textures and landmarks as scanned.
        canvas: Template coordinates of its voxels, and their change of volume.
    """

    anatomy: Anatomy
    canvas: MovedCanvas

    @property
    def volume(self) -> NDArray[np.float32]:
        """Volume at rest over the volume as seen; ones at rest."""
        warp = self.canvas.warp
        assert isinstance(warp, MovedWarp)
        fields = warp.fields(self.canvas.grid)[1]
        return np.ones(self.canvas.grid.shape, np.float32) if fields is None else fields


def moved_torso(
    subject: Subject,
    warp: MovedWarp,
    lo: ArrayLike,
    hi: ArrayLike,
    spacing_mm: float,
    bowel: np.random.Generator | None = None,
    vessels: np.random.Generator | None = None,
    seed: int | None = None,
) -> MovedTorso:
    """Paints a subject's torso where a map puts it.

    What a voxel holds depends on its template coordinates alone, so two paintings of one subject correspond exactly,
    surfaces, vessels and texture.

    Args:
        subject: The shape, in template mm.
        warp: Scan to template coordinates.
        lo: Lower corner (x, y, z) of what is painted, mm of the scan.
        hi: Upper corner.
        spacing_mm: Isotropic voxel size.
        bowel: Draws the bowel and its contents, where they are not to correspond.
        vessels: Draws the vessels of the liver, where they are not to correspond.
        seed: Seed of the anatomy's tissue values; default the subject's.

    Returns:
        The anatomy and its canvas.
    """
    canvas = MovedCanvas(np.asarray(lo, float), np.asarray(hi, float), spacing_mm, warp)
    landmarks: dict[str, NDArray[np.float64]] = {}
    fields = make_fields(canvas, subject)
    paint_layers(canvas, subject, fields)
    paint_lungs(canvas, subject, fields)
    mediastinum = paint_mediastinum(canvas, subject, fields, landmarks)
    paint_abdomen(canvas, subject, fields, landmarks, bowel, vessels)
    paint_lung_vessels(canvas, subject, mediastinum)
    paint_back_muscles(canvas, subject)
    paint_spine(canvas, subject, landmarks)
    paint_cage(canvas, subject, fields, landmarks)
    return MovedTorso(finish(canvas, subject.seed if seed is None else seed, fields.skin < 0, landmarks), canvas)
