"""The shared half of the metrics that are functions of the seven sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray
from regenv.core.lanes import Work
from regenv.core.similarity._base import LaneImages, Similarity


@dataclass(frozen=True)
class SumsSimilarity(Similarity):
    """A metric of n, sum f, sum m, sum f f, sum m m and sum f m over the pixels in mask and valid."""

    has_sums = True

    def _work(self, images: LaneImages, volumetric: bool, state: NDArray[np.generic], values: FloatArray) -> list[Work]:
        from regenv.core.similarity._kernels import sum_lanes

        sums = np.zeros((len(images.fixed), 7))

        def finish(start: int, stop: int) -> None:
            values[start:stop] = self._values_from_sums(sums[start:stop])

        return [(sum_lanes, *images, sums), (finish,)]
