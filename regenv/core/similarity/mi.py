"""Mutual information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray
from regenv.core.lanes import Work
from regenv.core.similarity._base import LaneImages
from regenv.core.similarity._histogram import HistogramSimilarity, information


@dataclass(frozen=True)
class MI(HistogramSimilarity):
    """Mutual information H(F) + H(M) - H(F, M) in nats, for images of any two modalities.

    Mask: the pixels in the fixed mask and inside the moving image, in one histogram over all planes. Range [0, log
    bins], larger is better. Unrelated images: 0 (a finite sample gives a little more). Undefined where either image
    is constant.

    Attributes:
        bins: Bins of either image over intensities [0, 1]; default 32.

    Source: D. Mattes et al., PET-CT image registration in the chest using free-form deformations, IEEE TMI 22 (2003).
    """

    name = "mi"
    range = (0.0, float("inf"))
    floor = 0.0

    def _work(self, images: LaneImages, volumetric: bool, state: NDArray[np.generic], values: FloatArray) -> list[Work]:
        return [(information, *images, self.bins, False, values)]


SIMILARITY = MI
