"""An image: an array, the grid it lies on, and what its intensities mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid


@dataclass(frozen=True, eq=False)
class Image:
    """A scalar image in physical space.

    Attributes:
        array: ``grid.shape`` float32, indexed ``[z, y, x]``.
        grid: Where the voxels lie.
        modality: Lower-case name (``"ct"``, ``"cbct"``, ``"t1"``, ...); see :data:`regenv.modality.MODALITIES`.
        background: Value outside the image (air for CT, 0 for most others).

    Raises:
        ValueError: If array and grid differ in shape.
    """

    array: NDArray[np.float32]
    grid: Grid
    modality: str = "unknown"
    background: float = 0.0

    def __post_init__(self) -> None:
        array = np.ascontiguousarray(self.array, dtype=np.float32)
        if array.shape != self.grid.shape:
            raise ValueError(f"array of shape {array.shape} does not fit a grid of shape {self.grid.shape}")
        object.__setattr__(self, "array", array)
