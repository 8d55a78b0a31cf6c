"""Normalised mutual information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray
from regenv.core.lanes import Work
from regenv.core.similarity._base import LaneImages
from regenv.core.similarity._histogram import HistogramSimilarity, information


@dataclass(frozen=True)
class NMI(HistogramSimilarity):
    """Normalised mutual information (H(F) + H(M)) / H(F, M), for images of any two modalities.

    It depends less than MI on how much of the images overlaps. Mask: the pixels in the fixed mask and inside the
    moving image, in one histogram over all planes. Range [1, 2], larger is better; the smooth histogram keeps equal
    images somewhat below 2. Unrelated images: 1. Undefined where either image is constant.

    Attributes:
        bins: Bins of either image over intensities [0, 1]; default 32.

    Source: C. Studholme, D. L. G. Hill, D. J. Hawkes, An overlap invariant entropy measure of 3D medical image
    alignment, Pattern Recognition 32 (1999).
    """

    name = "nmi"
    range = (1.0, 2.0)
    floor = 1.0

    def _work(self, images: LaneImages, volumetric: bool, state: NDArray[np.generic], values: FloatArray) -> list[Work]:
        return [(information, *images, self.bins, True, values)]


SIMILARITY = NMI
