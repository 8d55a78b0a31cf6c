"""Negated mean squared difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray
from regenv.core.similarity._sums import SumsSimilarity


@dataclass(frozen=True)
class SSD(SumsSimilarity):
    """The mean squared difference of the intensities, negated, for images of one modality and one window.

    Mask: the pixels in the fixed mask and inside the moving image, taken together over all planes. Range [-1, 0] for
    intensities in [0, 1], larger is better, 0 for equal images. Unrelated images: a constant of the fixed image, see
    :meth:`prepare`.

    Source: L. G. Brown, A survey of image registration techniques, ACM Computing Surveys 24 (1992).
    """

    name = "ssd"
    range = (-1.0, 0.0)
    floor = None

    def prepare(
        self, fixed: NDArray[np.float32], mask: NDArray[np.uint8], volumetric: bool = False
    ) -> NDArray[np.generic]:
        """S_floor of each lane, ``(B, 1)``: minus the mean over the mask of max(f, 1 - f)^2.

        That is the worst any image can do. With milder floors, far poses of little overlap beat the truth.
        """
        floors = np.empty((len(fixed), 1))
        for lane in range(len(fixed)):
            inside = fixed[lane][mask[lane] != 0].astype(np.float64)
            floors[lane] = -np.mean(np.maximum(inside, 1 - inside) ** 2) if inside.size else -1.0
        return floors

    def floors(self, state: NDArray[np.generic] | None, lanes: int) -> FloatArray:
        """S_floor of each lane from the state of :meth:`prepare`, ``(B,)``."""
        if state is None:
            raise ValueError("ssd needs the state of prepare(fixed, mask): its floor is a constant of the fixed image")
        return np.asarray(state, dtype=np.float64)[:, 0]

    def _values_from_sums(self, sums: FloatArray) -> FloatArray:
        n = sums[:, 1]
        difference = sums[:, 4] - 2 * sums[:, 6] + sums[:, 5]
        return np.where(n > 0, -np.maximum(difference, 0.0) / np.maximum(n, 1.0), np.nan)


SIMILARITY = SSD
