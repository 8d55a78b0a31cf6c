"""Positron emission tomography with 18F-FDG: uptake, point spread, counts.

The chain is that of a whole-body scan an hour after injection, in standardised uptake values (SUV):

1. Uptake of every tissue, with the spread between patients of Wang et al., Mol. Imaging Biol. 9 (2007) 83-90, and
   Zincirkeser et al., J. Int. Med. Res. 35 (2007) 231-236. Myocardium and bowel differ by an order of magnitude
   between patients and days; urine is hot.
2. Breathing: minutes of scanning blur along the body's axis what the diaphragm moves (Nehmeh and Erdi, Semin. Nucl.
   Med. 38 (2008) 167-176).
3. The scanner's point spread of about 4 mm full width at half maximum, or of a voxel where that is wider.
4. Coincidences: Poisson counts, thinned by the attenuation of both photons of a pair (0.0096 per mm of water at
   511 keV), so that the middle of a stout patient is noisier than the rim of a slim one. As in iterative
   reconstruction, noise grows with the signal (Barrett, Wilson and Tsui, Phys. Med. Biol. 39 (1994) 833-846).
5. The Gaussian filter after reconstruction, which correlates the noise and leaves 5.5 to 7.5 mm of resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.core.resample import resample
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.lesions import Lesion, lesion_shares
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.physics import pet_kernels as kernels
from regenv.synthesis.physics.common import AIR_HU, hounsfield
from regenv.synthesis.physics.scan import FWHM, Displace, scan

WATER_PER_MM = 0.0096
"""Attenuation of water at 511 keV per mm (Hubbell and Seltzer, NISTIR 5632)."""


@dataclass(frozen=True)
class SUV:
    """Uptake of a tissue.

    Attributes:
        mean: Standardised uptake value.
        spread: Standard deviation of its logarithm between subjects.
        coarse: Relative standard deviation within a subject at a scale of about 15 mm.
    """

    mean: float
    spread: float = 0.15
    coarse: float = 0.08


UPTAKE: dict[Tissue, SUV] = {
    Tissue.AIR: SUV(0.0, 0, 0),
    Tissue.LUNG: SUV(0.45, 0.2, 0.12),
    Tissue.FAT: SUV(0.28, 0.2, 0.15),
    Tissue.SKIN: SUV(0.6, 0.2),
    Tissue.MUSCLE: SUV(0.7, 0.2, 0.1),
    Tissue.ARTERY: SUV(1.6, 0.18, 0.03),
    Tissue.VEIN: SUV(1.6, 0.18, 0.03),
    Tissue.HEART_LEFT: SUV(1.6, 0.18, 0.03),
    Tissue.HEART_RIGHT: SUV(1.6, 0.18, 0.03),
    Tissue.MYOCARDIUM: SUV(3.4, 0.75, 0.2),
    Tissue.WALL: SUV(1.2, 0.2, 0.15),
    Tissue.LIVER: SUV(2.3, 0.18, 0.06),
    Tissue.SPLEEN: SUV(1.9, 0.18, 0.05),
    Tissue.RENAL_CORTEX: SUV(2.8, 0.25, 0.1),
    Tissue.RENAL_MEDULLA: SUV(4.5, 0.45, 0.25),
    Tissue.CORTICAL: SUV(0.6, 0.2, 0.1),
    Tissue.CANCELLOUS: SUV(1.5, 0.28, 0.1),
    Tissue.CARTILAGE: SUV(0.6, 0.2),
    Tissue.DISC: SUV(0.5, 0.2),
    Tissue.CSF: SUV(0.5, 0.2),
    Tissue.NERVE: SUV(1.5, 0.2),
    Tissue.GAS: SUV(0.0, 0, 0),
    Tissue.FLUID: SUV(0.7, 0.3, 0.1),
    Tissue.CONTENT: SUV(0.8, 0.4, 0.2),
    Tissue.PANCREAS: SUV(1.4, 0.2, 0.1),
    Tissue.GLAND: SUV(1.0, 0.3, 0.2),
    Tissue.MARROW: SUV(0.7, 0.3, 0.1),
    Tissue.LUNG_VESSEL: SUV(1.4, 0.18, 0.05),
    Tissue.GREY_MATTER: SUV(8.5, 0.25, 0.08),
    Tissue.WHITE_MATTER: SUV(2.8, 0.25, 0.05),
    Tissue.TOOTH: SUV(0.3, 0.2),
    Tissue.DIPLOE: SUV(0.9, 0.25, 0.1),
    Tissue.PROSTATE_PERIPHERAL: SUV(1.9, 0.3, 0.15),
    Tissue.PROSTATE_TRANSITION: SUV(1.8, 0.3, 0.15),
    Tissue.URINE: SUV(18.0, 0.6, 0.02),
    Tissue.RECTUM_WALL: SUV(1.6, 0.35, 0.2),
    Tissue.SEMINAL_VESICLE: SUV(1.2, 0.25, 0.1),
    Tissue.TUMOUR: SUV(7.0, 0.5, 0.2),
    Tissue.LIGAMENT: SUV(0.4, 0.2),
    Tissue.MENISCUS: SUV(0.5, 0.2),
    Tissue.HYALINE: SUV(0.5, 0.2),
    Tissue.SYNOVIA: SUV(0.6, 0.3),
    Tissue.BLOOD: SUV(1.6, 0.18, 0.03),
    Tissue.AMNION: SUV(0.6, 0.3),
}

# organs whose wall takes up more or less than the tissue alone would say, with the spread of the factor
_ORGAN_FACTOR: dict[Organ, tuple[float, float]] = {
    Organ.BOWEL: (1.3, 0.4),
    Organ.STOMACH: (1.6, 0.35),
}

# what the diaphragm moves, of whose motion it takes part
_MOVES: dict[Organ, float] = {
    Organ.LIVER: 1.0,
    Organ.SPLEEN: 0.9,
    Organ.STOMACH: 0.9,
    Organ.KIDNEY_LEFT: 0.6,
    Organ.KIDNEY_RIGHT: 0.6,
    Organ.LUNG_LEFT: 1.0,
    Organ.LUNG_RIGHT: 1.0,
    Organ.HEART: 0.6,
    Organ.BOWEL: 0.4,
    Organ.TUMOUR: 0.8,
}


@dataclass(frozen=True, eq=False)
class Uptake:
    """Uptake of one subject on one day.

    Attributes:
        tissue: ``(256, 2)`` SUV of every tissue and its relative standard deviation at about 15 mm.
        organ: ``(256,)`` factor on what lies in each organ.
        patchiness: Standard deviation of the logarithm of the uptake along the bowel.
        breathing_mm: Way of the diaphragm between the ends of a breath.
    """

    tissue: NDArray[np.float32]
    organ: NDArray[np.float32]
    patchiness: float
    breathing_mm: float


def draw_uptake(rng: np.random.Generator, before: Uptake | None = None, share: float = 0.6) -> Uptake:
    """Draws the uptake of a subject.

    Args:
        rng: Source of randomness.
        before: The same subject's uptake on another day, from which this one differs in part.
        share: Weight of ``before``'s deviation from the mean, 0 to 1; the heart and the gut forget half of it.
    """
    tissue, organ = np.zeros((256, 2), np.float32), np.ones(256, np.float32)
    for name, suv in UPTAKE.items():
        z = float(np.clip(rng.standard_normal(), -2.2, 2.2))
        if before is not None and suv.mean > 0 and suv.spread > 0:
            kept = share if suv.spread < 0.3 else 0.5 * share
            z = kept * float(np.log(before.tissue[name, 0] / suv.mean)) / suv.spread + np.sqrt(1 - kept**2) * z
        tissue[name] = suv.mean * np.exp(suv.spread * z), suv.coarse
    for part, (mean, spread) in _ORGAN_FACTOR.items():
        organ[part] = mean * np.exp(spread * rng.standard_normal())
    return Uptake(tissue, organ, float(rng.uniform(0.2, 0.8)), float(rng.uniform(4.0, 18.0)))


def activity(anatomy: Anatomy, uptake: Uptake, lesions: tuple[Lesion, ...] = ()) -> Image:
    """The noise-free SUV of an anatomy on its own grid, blurred by breathing.

    Args:
        anatomy: The subject.
        uptake: What its tissues take up.
        lesions: Tumours that are painted over it.
    """
    first, second = uptake.tissue[anatomy.tissue, 0], uptake.tissue[anatomy.under, 0]
    weight = anatomy.share * np.float32(1 / 255)
    array = weight * first + (1 - weight) * second
    array *= np.maximum(1 + uptake.tissue[anatomy.tissue, 1] * anatomy.coarse, np.float32(0.3))
    array *= uptake.organ[anatomy.organ]
    gut = anatomy.organ == Organ.BOWEL
    array[gut] *= np.exp(np.float32(uptake.patchiness) * anatomy.coarse[gut])
    for lesion in lesions:
        box, cover = lesion_shares(anatomy, lesion)
        texture = np.maximum(1 + np.float32(0.2) * anatomy.fine[box], np.float32(0.3))
        array[box] += cover * (np.float32(lesion.uptake) * texture - array[box])
    return Image(_breathe(array, anatomy, uptake.breathing_mm), anatomy.grid, "pet", 0.0)


def _breathe(array: NDArray[np.float32], anatomy: Anatomy, way_mm: float) -> NDArray[np.float32]:
    """The mean over a breath: organs near the diaphragm move along z, the chest wall and the spine stay."""
    from scipy.ndimage import uniform_filter

    dome = np.flatnonzero((anatomy.organ == Organ.LIVER).any(axis=(1, 2)))
    if len(dome) == 0 or way_mm <= 0:
        return array
    table = np.zeros(256, np.float32)
    for organ, part in _MOVES.items():
        table[organ] = part
    spacing = float(anatomy.grid.spacing[2])
    moving = uniform_filter(table[anatomy.organ], max(3, int(round(14 / spacing)) | 1), mode="nearest")
    above = (np.arange(len(array)) - dome[-1]) * spacing
    # motion fades into the upper chest and into the lower abdomen
    level = np.where(above > 0, np.exp(-((above / 70.0) ** 2)), np.exp(-((above / 130.0) ** 2)))
    out = np.empty_like(array)
    # phases of a breath of |sin|, which stays longer near the end of breathing out; no mean shift
    phases = np.array([-0.36, -0.32, -0.16, 0.2, 0.64])
    kernels.breathe(array, moving, level * way_mm / spacing, phases, out)
    return out


def pet(
    anatomy: Anatomy,
    rng: np.random.Generator,
    grid: Grid,
    lesions: tuple[Lesion, ...] = (),
    displace: Displace | None = None,
    *,
    uptake: Uptake | None = None,
    liver_noise: float | None = None,
) -> Image:
    """A PET scan of an anatomy.

    Args:
        anatomy: The subject.
        rng: Draws uptake, resolution and noise.
        grid: Voxels of the scan, usually 4 to 5 mm, at any angle; the third axis runs along the scanner's.
        lesions: Tumours, see :func:`regenv.synthesis.anatomy.lesions.draw_lesions`.
        displace: As in :func:`regenv.synthesis.physics.scan.scan`.
        uptake: What the tissues take up; default :func:`draw_uptake`.
        liver_noise: Relative noise of a voxel where the body attenuates as at the liver of an average patient;
            default 6 to 16 per cent.

    Returns:
        Image of modality ``"pet"`` in SUV, at least 0.
    """
    drawn = draw_uptake(rng)
    signal = activity(anatomy, drawn if uptake is None else uptake, lesions)
    intrinsic, post = float(rng.uniform(3.6, 4.6)), float(rng.uniform(4.2, 5.6))
    noise = float(rng.uniform(0.06, 0.16)) if liver_noise is None else float(liver_noise)
    expected = scan(signal, grid, intrinsic, grid.spacing[2], displace)
    surviving = _surviving(_water(anatomy, grid, displace), grid)
    array = _count(expected.array, surviving, grid, post, noise, rng)
    return Image(array, grid, "pet", 0.0)


def _water(anatomy: Anatomy, grid: Grid, displace: Displace | None) -> NDArray[np.float32]:
    """Density relative to water on the scan's grid; bone counts less at 511 keV than its CT number says."""
    hu = hounsfield(anatomy)
    if displace is None:
        array, _ = resample(hu, grid)
    else:
        # attenuation is smooth: every other voxel is enough
        spacing = np.asarray(grid.spacing)
        half = Grid(
            tuple((n + 1) // 2 for n in grid.size),
            tuple(2 * spacing),
            tuple(np.asarray(grid.origin) + grid.direction @ (0.5 * spacing)),
            grid.direction,
        )
        array = scan(hu, half, 1.0, half.spacing[2], displace).array
        for axis, n in enumerate(grid.shape):
            array = array.repeat(2, axis=axis).take(np.arange(n), axis=axis)
    density = np.maximum(array, AIR_HU) / np.float32(1000) + np.float32(1)
    return np.where(density > 1, 1 + np.float32(0.55) * (density - 1), density).astype(np.float32)


def _surviving(water: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """Share of photon pairs that leave the body from every voxel: the mean over two directions across the patient."""
    across = np.exp(-WATER_PER_MM * grid.spacing[0] * water.sum(axis=2, keepdims=True))
    through = np.exp(-WATER_PER_MM * grid.spacing[1] * water.sum(axis=1, keepdims=True))
    both: NDArray[np.float32] = (0.5 * (across + through)).astype(np.float32)
    return both


def _count(
    expected: NDArray[np.float32],
    surviving: NDArray[np.float32],
    grid: Grid,
    post_mm: float,
    noise: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Poisson counts, corrected for attenuation and filtered."""
    filters = [_gaussian(post_mm, spacing) for spacing in grid.spacing]
    gain = np.prod([float(np.sum(f**2)) for f in filters])
    # counts per SUV such that an SUV of 2 with 6 per cent of the pairs surviving has the wanted noise
    scale = gain / noise**2 / (2.0 * 0.06)
    # what the reconstruction spreads along the lines: cold regions of the body are not free of noise
    level = 0.9 * expected + 0.1 * expected.mean(axis=(1, 2), keepdims=True) * (surviving < 0.5)
    counts = rng.poisson(np.maximum(level, 0) * surviving * scale)
    found = counts / (surviving * scale) - (level - expected)
    array = found.astype(np.float32)
    for axis, weights in zip((2, 1, 0), filters, strict=True):
        array = _convolve(array, weights, axis)
    return np.maximum(array, 0)


def _gaussian(fwhm_mm: float, spacing: float) -> NDArray[np.float32]:
    """Weights of a Gaussian of this width on voxels."""
    sigma = fwhm_mm / FWHM / spacing
    reach = max(1, int(np.ceil(3 * sigma)))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return (weights / weights.sum()).astype(np.float32)


def _convolve(array: NDArray[np.float32], kernel: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Convolves one axis with a symmetric kernel, zero beyond the ends."""
    reach = len(kernel) // 2
    out = kernel[reach] * array
    forward, backward = np.moveaxis(out, axis, 0), np.moveaxis(array, axis, 0)
    for step in range(1, reach + 1):
        weight = kernel[reach + step]
        forward[step:] += weight * backward[:-step]
        forward[:-step] += weight * backward[step:]
    return out
