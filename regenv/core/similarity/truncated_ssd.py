"""Negated mean squared difference, truncated."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from regenv.core._types import DOUBLE, VALUES, VIEWS
from regenv.core.geometry import FloatArray
from regenv.core.lanes import Work
from regenv.core.similarity._base import LaneImages, Similarity


@numba.njit([types.void(*VIEWS, DOUBLE, VALUES)], cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def _truncated(start, stop, fixed, moved, mask, valid, limit, values):  # type: ignore[no-untyped-def]
    scale = 1.0 / (limit * limit)
    for b in range(start, stop):
        fs, ms = fixed[b].reshape(-1), moved[b].reshape(-1)
        masks, valids = mask[b].reshape(-1), valid[b].reshape(-1)
        total, n = 0.0, 0
        for i in range(fs.shape[0]):
            inside = masks[i] != 0 and valids[i] != 0
            difference = np.float64(fs[i]) - np.float64(ms[i])
            total += min(scale * difference * difference, 1.0) if inside else 0.0
            n += 1 if inside else 0
        if n > 0:
            values[b] = -total / n


@dataclass(frozen=True)
class TruncatedSSD(Similarity):
    """The mean of min((f - m)^2 / limit^2, 1), negated, for distances: depth maps of one camera.

    Depth jumps where one surface ends before another, and a pixel there differs by half the window however well the
    rest agrees. Squared, those of a body out of its place outweigh a hundredfold what a registration gains. Here no
    pixel counts for more than one that is off by the limit.

    Mask: the pixels in the fixed mask and inside the moving image, taken together over all planes. Range [-1, 0],
    larger is better, 0 for equal images. Unrelated images: -1, the worst any image can do.

    Attributes:
        limit: Difference, of intensities in [0, 1], from which all count alike.

    Raises:
        ValueError: If the limit is not positive.

    Source: M. J. Black, A. Rangarajan, On the unification of line processes, outlier rejection, and robust statistics
    with applications in early vision, Int. J. Comput. Vis. 19 (1996); the truncated quadratic.
    """

    limit: float = 0.1

    name = "truncated_ssd"
    range = (-1.0, 0.0)
    floor = -1.0

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise ValueError(f"the limit of truncated_ssd must be positive, got {self.limit}")

    def _work(self, images: LaneImages, volumetric: bool, state: NDArray[np.generic], values: FloatArray) -> list[Work]:
        return [(_truncated, *images, self.limit, values)]


SIMILARITY = TruncatedSSD
