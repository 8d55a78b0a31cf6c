"""Normalised cross-correlation over the whole mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from regenv.core.geometry import FloatArray
from regenv.core.similarity._sums import SumsSimilarity


@dataclass(frozen=True)
class NCC(SumsSimilarity):
    """Pearson's correlation of the intensities, for images of the same or nearly the same modality (CT, CBCT).

    Mask: the pixels in the fixed mask and inside the moving image, taken together over all planes. Range [-1, 1],
    larger is better, 1 for intensities related by an increasing line. Unrelated images: 0. Undefined where either
    image is constant.

    Source: L. G. Brown, A survey of image registration techniques, ACM Computing Surveys 24 (1992).
    """

    name = "ncc"
    range = (-1.0, 1.0)
    floor = 0.0

    def _values_from_sums(self, sums: FloatArray) -> FloatArray:
        from regenv.core.similarity._kernels import correlate_sums

        values = np.empty(len(sums))
        correlate_sums(sums, values)
        return values


SIMILARITY = NCC
