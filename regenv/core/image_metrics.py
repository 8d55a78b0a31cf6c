"""Similarity of the fixed and the moved image inside a mask, as the field reports it beside TRE and Dice.

High values do not show that a registration is right (Rohlfing, IEEE TMI 2012): they are no part of the score.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from regenv.core.similarity import get_similarity


def image_metrics(fixed: ArrayLike, moved: ArrayLike, mask: ArrayLike) -> dict[str, float]:
    """CC, MSE and SSIM of two images inside a mask.

    - ``cc``: Pearson's correlation, in [-1, 1]; 1 is best, 0 where an image is constant.
    - ``mse``: mean squared difference, in [0, 1]; 0 is best.
    - ``ssim``: mean structural similarity over the windows centred in the mask (Gaussian of 1.5 voxels; 3-D in a
      volume), in [-1, 1]; 1 is best, 0 where an image is constant. Source: Wang et al., IEEE TIP 2004.

    MSE and SSIM only compare images of one modality.

    Args:
        fixed: ``([z,] y, x)`` intensities in [0, 1], windowed as the environment does.
        moved: The moving image resampled on the same grid, same shape and range.
        mask: Same shape, true where a voxel counts: in the fixed mask and inside the moving image.

    Raises:
        ValueError: If shapes differ, the mask is empty, or an intensity is not in [0, 1].
    """
    images = [np.asarray(image, dtype=np.float32) for image in (fixed, moved)]
    inside = np.asarray(mask, dtype=bool)
    if not images[0].shape == images[1].shape == inside.shape or inside.ndim not in (2, 3):
        shapes = f"{images[0].shape}, {images[1].shape} and {inside.shape}"
        raise ValueError(f"fixed, moved and mask must have one shape of 2 or 3 axes, got {shapes}")
    if not inside.any():
        raise ValueError("the mask is empty: nothing can be compared")
    for name, image in zip(("fixed", "moved"), images, strict=True):
        if not (image.min() >= 0 and image.max() <= 1):  # also where one is NaN
            raise ValueError(f"the {name} image runs from {image.min()} to {image.max()}: window it to [0, 1]")
    lane = (1, -1, *inside.shape[-2:])
    f, m, counts = images[0].reshape(lane), images[1].reshape(lane), inside.astype(np.uint8).reshape(lane)

    def similarity(name: str) -> float:
        values = get_similarity(name).evaluate(f, m, counts, np.ones_like(counts), volumetric=inside.ndim == 3)
        return float(values[0])

    difference = images[0][inside].astype(np.float64) - images[1][inside]
    return {"cc": similarity("ncc"), "mse": float(np.mean(difference**2)), "ssim": similarity("ssim")}
