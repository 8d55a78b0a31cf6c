"""Steps that the modalities share: tissues to CT numbers, resampling with a scanner's point spread, the table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.tissues import CT_NUMBERS, Tissue
from regenv.synthesis.physics.tissue_kernels import mix

AIR_HU = -1000.0


def hounsfield(anatomy: Anatomy, enhancement: float = 0.0, venous: float = 1.0) -> Image:
    """The noise-free CT numbers of an anatomy, on its own grid.

    The deviation of this subject from the mean of each tissue comes from the subject's seed, so that two scans of one
    subject agree.

    Args:
        anatomy: The subject.
        enhancement: CT number added to arterial blood by contrast medium, HU (0: none given).
        venous: Factor on the enhancement of everything but arteries and the left heart (an early phase is near 0).

    Returns:
        Image of modality ``"ct"``, air outside.
    """
    rng = np.random.default_rng([anatomy.seed, 16])
    table = np.zeros((256, 3), np.float32)
    left = (Tissue.ARTERY, Tissue.HEART_LEFT)
    for tissue, number in CT_NUMBERS.items():
        mean = number.mean + number.between * float(np.clip(rng.standard_normal(), -2.2, 2.2))
        mean += enhancement * number.contrast * (1.0 if tissue in left else venous)
        table[tissue] = mean, number.coarse, number.fine
    out = np.empty(anatomy.grid.shape, np.float32)
    mix(anatomy.tissue, anatomy.under, anatomy.share, anatomy.coarse, anatomy.fine, table, out)
    return Image(out, anatomy.grid, "ct", AIR_HU)


def slice_profile(
    size_in: int, size_out: int, first: float, step: float, sigma: float, width: float
) -> NDArray[np.float32]:
    """Weights ``(size_out, size_in)`` of a blurred resampling along one axis, in voxels of the input.

    Args:
        size_in: Input samples.
        size_out: Output samples.
        first: Input position of output sample 0.
        step: Input samples per output sample.
        sigma: Standard deviation of the Gaussian point spread.
        width: Width of the box that it is convolved with (a slice's thickness).
    """
    from scipy.special import erf

    position = first + step * np.arange(size_out)[:, None]
    offset = position - np.arange(size_in)[None, :]
    # variance of linear interpolation, so that a narrow kernel still covers its neighbours
    spread = np.sqrt(sigma**2 + 0.12)
    half = max(width, 1e-3) / 2
    reach = half + 4 * spread

    def profile(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        value = erf((distance + half) / (np.sqrt(2) * spread)) - erf((distance - half) / (np.sqrt(2) * spread))
        return np.where(np.abs(distance) > reach, 0.0, value)

    # normalised over all of the line, as if the input went on: a narrow profile does not sum to the same everywhere
    near = np.arange(-int(reach) - 1, int(reach) + 2)[None, :] + (position - np.floor(position))
    return (profile(offset) / profile(near).sum(axis=1, keepdims=True)).astype(np.float32)


def resample_blurred(image: Image, grid: Grid, fwhm_mm: float, slice_mm: float) -> Image:
    """An image on another grid of the same axes, through a scanner's point spread.

    Args:
        image: On a grid of identity direction.
        grid: The new grid, of identity direction.
        fwhm_mm: Full width at half maximum of the in-plane point spread, mm.
        slice_mm: Thickness of a slice, mm.

    Returns:
        The image on ``grid``; beyond the input's edge it fades to the background.
    """
    sigma = fwhm_mm / 2.355
    array = image.array - np.float32(image.background)
    profiles = ((0, 0.3 * sigma, slice_mm), (1, sigma, grid.spacing[1] * 0.5), (2, sigma, grid.spacing[0] * 0.5))
    for axis, blur, width in profiles:
        xyz = 2 - axis
        spacing = image.grid.spacing[xyz]
        first = (grid.origin[xyz] - image.grid.origin[xyz]) / spacing
        n = array.shape[axis]
        weights = slice_profile(n, grid.size[xyz], first, grid.spacing[xyz] / spacing, blur / spacing, width / spacing)
        if axis == 0:
            # a patient goes on above and below what was painted: hold the end slices
            weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-3)
            array = (weights @ array.reshape(n, -1)).reshape(-1, *array.shape[1:])
        elif axis == 1:
            array = np.matmul(weights[None], array)
        else:
            array = np.matmul(array, weights.T)
    return Image(array + np.float32(image.background), grid, image.modality, image.background)


def add_table(image: Image, rng: np.random.Generator, curved: bool) -> Image:
    """Puts a carbon-fibre table under the patient, along the array's axes (the scanner's, not the patient's).

    Args:
        image: CT numbers, rows running from front to back.
        rng: For the table's width, depth and density.
        curved: A diagnostic scanner's cradle, else the flat top of an interventional or treatment table.

    Returns:
        The image with the table; unchanged where nothing of the patient is in view.
    """
    array = image.array.copy()
    rows = np.flatnonzero((array > -400).any(axis=(0, 2)))
    if len(rows) == 0:
        return image
    sx, sy = image.grid.spacing[:2]
    x = (np.arange(array.shape[2]) - (array.shape[2] - 1) / 2) * sx + rng.normal(0, 6)
    y = (np.arange(array.shape[1]) - rows[-1])[:, None] * sy
    half = rng.uniform(200, 225) if curved else rng.uniform(220, 270)
    sag = (x / half) ** 2 * rng.uniform(30, 55) if curved else np.zeros_like(x)
    gap = rng.uniform(1, 6)
    depth = rng.uniform(10, 40) if curved else rng.uniform(35, 60)
    top = y - gap + sag[None]
    inside = np.maximum(np.abs(top - depth / 2) - depth / 2, np.abs(x)[None] - half)
    # a shell of 2.4 mm under the scanner's point spread
    width = np.hypot(0.7 * sy, 0.8)
    cover_shell = min(1.0, 2.4 / (2.5 * width)) * np.exp(-0.5 * ((inside + 1.0) / width) ** 2)
    cover_core = np.clip(0.5 - inside / sy, 0, 1)
    density = rng.uniform(0, 600)
    table = AIR_HU + cover_core * 90 + cover_shell * (density - AIR_HU - 90)
    free = (array < -700) & (table[None] > AIR_HU + 1)
    array[free] = np.maximum(array, table[None].astype(np.float32))[free]
    return Image(array, image.grid, image.modality, image.background)
