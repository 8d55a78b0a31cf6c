"""Computed tomography: CT numbers through a scanner's point spread, with its noise."""

from __future__ import annotations

import numpy as np

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.physics.common import AIR_HU, add_table, hounsfield, resample_blurred
from regenv.synthesis.physics.scan import Displace, scan

NOISE_HU = (5.0, 16.0)
"""Range of the standard deviation of a diagnostic scan's noise."""


def ct(anatomy: Anatomy, rng: np.random.Generator, grid: Grid | None = None, enhancement: float | None = None) -> Image:
    """A CT scan of an anatomy.

    The image is the anatomy's CT number blurred in plane by the reconstruction kernel and through plane by the slice
    thickness. Noise has the kernel's correlation and grows with the attenuation along the widest direction, where
    photons are starved (Hsieh, Med. Phys. 25 (1998) 2139-2147): shoulders show lateral streaks.

    Args:
        anatomy: The subject.
        rng: Draws kernel, noise, table and, where not given, grid and contrast medium.
        grid: Voxels of the scan, identity direction; default :func:`draw_grid`.
        enhancement: CT number that contrast medium adds to arterial blood; default random, none in half the scans.

    Returns:
        Image in HU of modality ``"ct"``, background -1000.
    """
    if enhancement is None:
        enhancement = float(rng.uniform(80, 330)) if rng.random() < 0.5 else 0.0
    hu = hounsfield(anatomy, enhancement, venous=float(rng.uniform(0.2, 1.1)))
    grid = draw_grid(anatomy, rng) if grid is None else grid
    seen = resample_blurred(hu, grid, fwhm_mm=float(rng.uniform(0.8, 1.8)), slice_mm=grid.spacing[2])
    return with_noise(add_table(seen, rng, curved=True), rng)


def oblique_ct(
    anatomy: Anatomy, rng: np.random.Generator, grid: Grid, low_dose: bool = False, displace: Displace | None = None
) -> Image:
    """As :func:`ct`, on a grid at any angle to the patient.

    Args:
        anatomy: The subject.
        rng: Draws contrast medium, kernel, table and noise.
        grid: Voxels of the scan; rows run from front to back.
        low_dose: The noise of a scan for attenuation correction instead of a diagnostic one, without contrast medium.
        displace: As in :func:`regenv.synthesis.physics.scan.scan`.

    Returns:
        Image in HU of modality ``"ct"``, background -1000.
    """
    enhanced = not low_dose and rng.random() < 0.5
    enhancement = float(rng.uniform(80, 330)) if enhanced else 0.0
    hu = hounsfield(anatomy, enhancement, venous=float(rng.uniform(0.2, 1.1)))
    return scanned(hu, rng, grid, (0.8, 2.0), (18.0, 38.0) if low_dose else NOISE_HU, displace)


def scanned(
    hu: Image,
    rng: np.random.Generator,
    grid: Grid,
    fwhm_mm: tuple[float, float] = (0.8, 1.8),
    noise_hu: tuple[float, float] = NOISE_HU,
    displace: Displace | None = None,
) -> Image:
    """What a scanner makes of noise-free CT numbers, on a grid at any angle: point spread, slices, table, noise.

    Args:
        hu: Noise-free CT numbers in HU.
        rng: Draws kernel, table and noise.
        grid: Voxels of the scan; rows run from front to back.
        fwhm_mm: Range of the full width at half maximum of the in-plane point spread.
        noise_hu: Range of the noise's standard deviation.
        displace: As in :func:`regenv.synthesis.physics.scan.scan`.

    Returns:
        Image in HU of modality ``"ct"``, background -1000.
    """
    seen = scan(hu, grid, float(rng.uniform(*fwhm_mm)), displace=displace)
    return with_noise(add_table(seen, rng, curved=True), rng, noise_hu)


def draw_grid(anatomy: Anatomy, rng: np.random.Generator) -> Grid:
    """A scan grid over the anatomy: 2 to 3 mm in plane, slices of 2.5 to 5 mm, off centre by a few mm."""
    inplane = float(rng.uniform(2.0, 3.0))
    thickness = float(rng.uniform(2.5, 5.0))
    field = np.array([min(anatomy.grid.extent[0] + 16, 400.0), min(anatomy.grid.extent[1] + 70, 330.0)])
    length = anatomy.grid.extent[2] - 2 * thickness
    size = (*(np.ceil(field / inplane).astype(int)), int(length / thickness))
    centre = anatomy.grid.centre + np.array([rng.normal(0, 4), 22 + rng.normal(0, 4), 0.0])
    return Grid.centred(size, (inplane, inplane, thickness), centre)


def with_noise(image: Image, rng: np.random.Generator, noise_hu: tuple[float, float] = NOISE_HU) -> Image:
    """A scan as it is stored: with noise of a standard deviation drawn from a range (HU), whole numbers, clipped."""
    array = add_noise(image, rng, sd=float(rng.uniform(*noise_hu)))
    return Image(np.clip(np.rint(array), -1024, 3071), image.grid, "ct", AIR_HU)


def add_noise(image: Image, rng: np.random.Generator, sd: float) -> np.ndarray:
    """CT numbers with scanner noise; see :func:`ct`.

    Args:
        image: CT numbers in HU, rows running from front to back.
        rng: Draws the noise.
        sd: Its standard deviation in the middle of an average body, HU.

    Returns:
        float32 of the image's shape.
    """
    from scipy.ndimage import gaussian_filter1d

    array = image.array
    sx = image.grid.spacing[0]
    # mm of water along each row
    path = np.clip(array / 1000 + 1, 0, 3).sum(axis=2) * sx
    fine = rng.standard_normal(array.shape, dtype=np.float32)
    fine = gaussian_filter1d(gaussian_filter1d(fine, 0.55, axis=2), 0.55, axis=1) * np.float32(1.75)
    streak = gaussian_filter1d(rng.standard_normal(array.shape, dtype=np.float32), 7.0, axis=2) * np.float32(4.9)
    level = (sd * np.exp(np.clip((path - 300) / 320, -1.2, 1.0))).astype(np.float32)
    starved = (1.1 * sd * np.exp(np.clip((path - 430) / 90, -6, 1.3))).astype(np.float32)
    return array + level[..., None] * fine + starved[..., None] * streak
