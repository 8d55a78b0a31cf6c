"""Structural similarity."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from regenv.core._types import BOOL, DOUBLE, VALUES, VIEWS, given
from regenv.core.geometry import FloatArray
from regenv.core.lanes import Work
from regenv.core.similarity._base import LaneImages, Similarity
from regenv.core.similarity._local import is_constant, local_moments


@numba.njit([types.void(*VIEWS, given(DOUBLE, 1), BOOL, DOUBLE, DOUBLE, VALUES)], cache=True, nogil=True)
def _ssim(start, stop, fixed, moved, mask, valid, taps, volumetric, c1, c2, values):  # type: ignore[no-untyped-def]
    moments = np.empty((6,) + fixed.shape[1:])
    scratch = np.empty(fixed.shape[1:])
    for b in range(start, stop):
        if is_constant(fixed[b], mask[b], valid[b]) or is_constant(moved[b], mask[b], valid[b]):
            continue
        local_moments(fixed[b], moved[b], valid[b], taps, volumetric, moments, scratch)
        masks, valids = mask[b].reshape(-1), valid[b].reshape(-1)
        flattened = moments.reshape(6, -1)
        total, n = 0.0, 0
        for i in range(masks.shape[0]):
            if masks[i] != 0 and valids[i] != 0:
                f, m = flattened[1, i], flattened[2, i]
                luminance = (2.0 * f * m + c1) / (f * f + m * m + c1)
                structure = (2.0 * flattened[5, i] + c2) / (flattened[3, i] + flattened[4, i] + c2)
                total += luminance * structure
                n += 1
        values[b] = total / n


@dataclass(frozen=True)
class SSIM(Similarity):
    """The mean over pixels of luminance, contrast and structure compared in a Gaussian window.

    For images of one modality.

    Mask: windows are centred on the pixels in the fixed mask and inside the moving image, and weigh only pixels
    inside the moving image. Range [-1, 1], larger is better, 1 for equal images. Unrelated images: 0. Undefined where
    either image is constant.

    Attributes:
        sigma: Standard deviation of the Gaussian window in pixels, cut at 3.5 sigma; default 1.5.
        k1: Constant of the luminance term for intensities in [0, 1]; default 0.01.
        k2: Constant of the structure term; default 0.03.

    Raises:
        ValueError: If sigma or a constant is not positive.

    Source: Z. Wang et al., Image quality assessment: from error visibility to structural similarity, IEEE TIP 13
    (2004).
    """

    sigma: float = 1.5
    k1: float = 0.01
    k2: float = 0.03

    name = "ssim"
    range = (-1.0, 1.0)
    floor = 0.0

    def __post_init__(self) -> None:
        if min(self.sigma, self.k1, self.k2) <= 0:
            raise ValueError(f"sigma, k1 and k2 of ssim must be positive, got {self.sigma}, {self.k1}, {self.k2}")

    def _work(self, images: LaneImages, volumetric: bool, state: NDArray[np.generic], values: FloatArray) -> list[Work]:
        radius = max(1, int(3.5 * self.sigma + 0.5))
        taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / self.sigma) ** 2)
        arguments = (*images, taps / taps.sum(), volumetric, self.k1**2, self.k2**2, values)
        return [(_ssim, *arguments)]


SIMILARITY = SSIM
