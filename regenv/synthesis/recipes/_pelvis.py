"""How a pelvis is scanned by MR and CT."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.physics.ct import oblique_ct
from regenv.synthesis.physics.scan import Displace
from regenv.synthesis.recipes._prostate import RELAXATION

SEQUENCES = {"t1": "t1_se", "t2": "t2"}
"""Spin echoes, as pelves and spines are scanned."""


def axial_grid(
    modality: str, rng: np.random.Generator, centre: NDArray[np.float64], axes: NDArray[np.float64], height_mm: float
) -> Grid:
    """Axial slices over a trunk: MR of a smaller field and thicker slices than CT.

    Args:
        modality: ``"ct"``, or any of MR.
        rng: Draws spacings and a shift of a few mm.
        centre: Middle of the scan ``(3,)``, mm.
        axes: ``(3, 3)``, directions of its axes as columns.
        height_mm: Height of the stack.
    """
    if modality == "ct":
        pixel, thickness, field = rng.uniform(2.2, 2.9), rng.uniform(2.5, 4.0), (400.0, 300.0)
    else:
        pixel, thickness, field = rng.uniform(2.0, 2.7), rng.uniform(4.0, 6.0), (330.0, 260.0)
    size = (*(int(np.ceil(f / pixel)) for f in field), int(np.ceil(height_mm / thickness)))
    return Grid.centred(size, (pixel, pixel, thickness), centre + rng.normal(0.0, 3.0, 3), axes)


def trunk_scan(
    anatomy: Anatomy, modality: str, rng: np.random.Generator, grid: Grid, displace: Displace | None = None
) -> Image:
    """A scan of a trunk.

    Args:
        anatomy: The patient at rest.
        modality: ``"ct"``, ``"t1"`` or ``"t2"``.
        rng: Draws protocol and noise.
        grid: Voxels of the scan.
        displace: Where points ``(N, 3)`` of the scan lie in the anatomy at rest; default there.
    """
    from regenv.synthesis.physics.mr import mr

    if modality == "ct":
        return oblique_ct(anatomy, rng, grid, displace=displace)
    width = float(rng.uniform(1.4, 2.2))
    return mr(anatomy, rng, SEQUENCES[modality], grid, width, displace=displace, relaxation=RELAXATION)
