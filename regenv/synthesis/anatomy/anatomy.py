"""The result of painting: tissues, organs, landmarks and the body of one subject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid


@dataclass(frozen=True, eq=False)
class Anatomy:
    """One subject on a grid, independent of any modality.

    Attributes:
        grid: Where the voxels lie; the subject's own space in mm (x left, y back, z up).
        tissue: The tissue that fills most of each voxel, uint8 ``grid.shape`` (``tissues.Tissue``).
        under: The tissue that fills the rest.
        share: Share of the first, 0 to 255.
        organ: Organ labels, uint8 (``tissues.Organ``).
        body: Boolean mask of the patient.
        coarse: Texture of unit variance, about 15 mm, that all modalities share.
        fine: The same at about 4 mm.
        landmarks: Named points ``(3,)`` in mm.
        seed: The subject's seed.
    """

    grid: Grid
    tissue: NDArray[np.uint8]
    under: NDArray[np.uint8]
    share: NDArray[np.uint8]
    organ: NDArray[np.uint8]
    body: NDArray[np.bool_]
    coarse: NDArray[np.float32]
    fine: NDArray[np.float32]
    landmarks: Mapping[str, NDArray[np.float64]]
    seed: int
