"""Local normalised cross-correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from regenv.core._types import BOOL, DOUBLE, INT, VALUES, VIEWS
from regenv.core.geometry import FloatArray
from regenv.core.lanes import Work
from regenv.core.similarity._base import LaneImages, Similarity
from regenv.core.similarity._local import local_moments

_FULL_WINDOW = 0.5  # share of a window that must be valid: of two pixels the correlation is always 1


@numba.njit([types.void(*VIEWS, INT, BOOL, DOUBLE, VALUES)], cache=True, nogil=True)
def _lncc(start, stop, fixed, moved, mask, valid, window, volumetric, flat, values):  # type: ignore[no-untyped-def]
    taps = np.ones(window)
    enough = _FULL_WINDOW * float(window) ** (3 if volumetric else 2)
    moments = np.empty((6,) + fixed.shape[1:])
    scratch = np.empty(fixed.shape[1:])
    for b in range(start, stop):
        local_moments(fixed[b], moved[b], valid[b], taps, volumetric, moments, scratch)
        masks, valids = mask[b].reshape(-1), valid[b].reshape(-1)
        flattened = moments.reshape(6, -1)
        total, n, varied = 0.0, 0, False
        for i in range(masks.shape[0]):
            if masks[i] == 0 or valids[i] == 0 or flattened[0, i] < enough:
                continue
            n += 1
            f_variance, m_variance = flattened[3, i], flattened[4, i]
            if f_variance > flat and m_variance > flat:
                varied = True
                total += min(flattened[5, i] * flattened[5, i] / (f_variance * m_variance), 1.0)
        if varied:
            values[b] = total / n


@dataclass(frozen=True)
class LNCC(Similarity):
    """The mean over pixels of the squared correlation in a window around each.

    Blind to slow shading and to an inversion of contrast, for images of one modality or of related ones.

    Mask: windows are centred on the pixels in the fixed mask and inside the moving image, and take all pixels inside
    the moving image; windows less than half filled do not count, flat ones count as 0. Range [0, 1], larger is
    better. Unrelated images: 0 (a finite window gives a little more). Undefined where no window varies in both
    images.

    Attributes:
        window: Side of the square or cubic window in pixels, odd; default 9.
        flat: Variance, of intensities in [0, 1], up to which a window is flat; default 1e-5.

    Raises:
        ValueError: If the window is not odd or below 3.

    Source: B. B. Avants et al., Symmetric diffeomorphic image registration with cross-correlation, Medical Image
    Analysis 12 (2008); the window of G. Balakrishnan et al., VoxelMorph, IEEE TMI 38 (2019).
    """

    window: int = 9
    flat: float = 1e-5

    name = "lncc"
    range = (0.0, 1.0)
    floor = 0.0

    def __post_init__(self) -> None:
        if self.window < 3 or self.window % 2 == 0:
            raise ValueError(f"the window of lncc must be odd and at least 3 pixels, got {self.window}")

    def _work(self, images: LaneImages, volumetric: bool, state: NDArray[np.generic], values: FloatArray) -> list[Work]:
        arguments = (*images, self.window, volumetric, self.flat, values)
        return [(_lncc, *arguments)]


SIMILARITY = LNCC
