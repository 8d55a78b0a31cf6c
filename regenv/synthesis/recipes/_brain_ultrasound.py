"""What the recipes of ultrasound in the operating theatre share: the head with its tumour, probes, landmarks, masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.core.labels import label_resample
from regenv.data.frames import case_generator
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.brains import BrainSubject, brain
from regenv.synthesis.anatomy.glioma import Glioma, draw_glioma, with_glioma
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.physics.relaxation import Relaxation
from regenv.synthesis.physics.scan import Displace
from regenv.synthesis.physics.us import Acoustic, Probe, us, us_sector
from regenv.synthesis.recipes._scans import tilt

ANATOMY_MM = 2.0
US_MM = (1.5, 1.8)
"""Range of the voxel size of the reconstructed ultrasound volumes."""

_INSIDE = (
    Organ.CORTEX,
    Organ.WHITE_MATTER,
    Organ.DEEP_GREY,
    Organ.VENTRICLES,
    Organ.CEREBELLUM,
    Organ.BRAINSTEM,
    Organ.TUMOUR,
)

# white matter is even and grey, cortex a little darker, furrows, falx and plexus bright, gliomas bright (Unsgaard et
# al., Acta Neurochir. 147 (2005) 1259-1269; Selbekk et al., Acta Neurochir. 155 (2013) 973-980)
_ACOUSTICS = {
    Tissue.WALL: Acoustic(11.0, 1.61, 0.6, 2.5, 3.0),
    Tissue.LIGAMENT: Acoustic(13.0, 1.66, 0.8),
    Tissue.GREY_MATTER: Acoustic(-8.0, 1.600, 0.5, 1.0, 1.0),
    Tissue.WHITE_MATTER: Acoustic(-4.5, 1.605, 0.55, 1.0, 1.0),
    Tissue.TUMOUR: Acoustic(6.0, 1.612, 0.6, 1.5, 2.0),
    Tissue.CSF: Acoustic(-46.0, 1.51, 0.01, 0.0, 0.0),
    # saline attenuates nothing, but the surgeon turns the gain behind a cavity down: in part, as an image before shows
    Tissue.FLUID: Acoustic(-42.0, 1.52, 0.3, 1.0, 1.0),
    Tissue.PANCREAS: Acoustic(9.0, 1.64, 0.8),
}

GLIOMA_MR = {Tissue.TUMOUR: Relaxation((1450, 1800), (165, 150), 0.92, coarse=0.08, fine=0.06, between=0.08)}
"""A glioma of low grade is wet; typical values in the wide range of Kjaer et al., Acta Radiol. 32 (1991) 498-504."""


def patient(recipe: str, seed: int) -> tuple[Anatomy, Glioma]:
    """A head with a tumour, as it is before the operation."""
    subject = BrainSubject.draw(seed)
    healthy = brain(subject, ANATOMY_MM)
    glioma = draw_glioma(healthy, subject, case_generator(recipe, seed, "tumour"))
    return with_glioma(healthy, glioma), glioma


def draw_probe(glioma: Glioma, rng: np.random.Generator) -> Probe:
    """A probe on the brain's surface in the opening, looking at the tumour, tilted or moved by hand."""
    aim = tilt(rng, 9.0) @ glioma.inward
    lateral = np.cross(aim, rng.standard_normal(3))
    lateral /= np.linalg.norm(lateral)
    axes = np.column_stack([lateral, np.cross(aim, lateral), aim])
    depth = float(np.linalg.norm(glioma.centre - glioma.entry) + 1.2 * glioma.radii.max() + rng.uniform(14, 32))
    radius, standoff = float(rng.uniform(14, 30)), float(rng.uniform(3, 7))
    slide = lateral * rng.uniform(-6, 6) + axes[:, 1] * rng.uniform(-6, 6)
    position = glioma.entry - (radius + standoff) * aim + slide
    travels = rng.random() < 0.4
    return Probe(
        position=position,
        axes=axes,
        shape="cylinder" if travels else "fan",
        radius_mm=radius,
        depth_mm=float(np.clip(depth, 50, 85)),
        angle_deg=float(rng.uniform(62, 90)),
        sweep=float(rng.uniform(36, 50) if travels else rng.uniform(45, 70)),
        frequency_mhz=float(rng.uniform(5.0, 8.0)),
        focus_mm=float(rng.uniform(25, 45)),
    )


def us_grid(probe: Probe, rng: np.random.Generator, axes: NDArray[np.float64]) -> Grid:
    """The smallest grid along ``axes`` (columns) that holds a probe's sector; ``rng`` draws the voxel's size."""
    _, inner, outer, half_angle, half_sweep = probe.geometry
    beam = np.linspace(-half_angle, half_angle, 9)
    sweep = np.linspace(-half_sweep, half_sweep, 9)
    s, t, r = np.meshgrid(sweep, beam, np.array([inner, outer]), indexing="ij")
    if probe.shape == "cylinder":
        points = np.stack([r * np.sin(t), s, r * np.cos(t)], axis=-1)
    else:
        points = np.stack([r * np.sin(t), r * np.cos(t) * np.sin(s), r * np.cos(t) * np.cos(s)], axis=-1)
    there = transform_points(probe.to_world, points.reshape(-1, 3)) @ axes
    low, high = there.min(axis=0), there.max(axis=0)
    spacing = float(rng.uniform(*US_MM))
    size = np.ceil((high - low) / spacing).astype(int) + 3
    return Grid.centred([int(n) for n in size], (spacing,) * 3, axes @ (0.5 * (low + high)), axes)


def sweep(
    anatomy: Anatomy,
    rng: np.random.Generator,
    probe: Probe,
    axes: NDArray[np.float64],
    displace: Displace | None = None,
) -> Image:
    """One swept volume of an opened head, on a grid along ``axes``.

    Tracked slices overlap and every voxel is the mean of several: the reconstruction has less speckle than a slice.

    Args:
        anatomy: The head.
        rng: Draws voxel size and speckle.
        probe: The probe.
        axes: ``(3, 3)``, directions of the grid's axes as columns.
        displace: Where points ``(N, 3)`` of the scan lie in the anatomy; default there.

    Returns:
        Image of modality ``"us"``, 0 outside the sector.
    """
    image = us(anatomy, rng, us_grid(probe, rng, axes), probe, displace, _ACOUSTICS)
    sector = us_sector(image.grid, probe)
    total, weight = image.array * sector, sector.astype(np.float32)
    for axis in range(3):
        total, weight = _smoothed(total, axis), _smoothed(weight, axis)
    array = np.where(sector, total / np.maximum(weight, np.float32(1e-3)), 0)
    return Image(array, image.grid, "us", 0.0)


def _smoothed(array: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Weights 1, 2, 1 along an axis, zero beyond the ends."""
    out = 2 * array
    to, what = np.moveaxis(out, axis, 0), np.moveaxis(array, axis, 0)
    to[1:] += what[:-1]
    to[:-1] += what[1:]
    return np.asarray(out * np.float32(0.25), dtype=np.float32)


def seen_brain(
    anatomy: Anatomy, grid: Grid, probe: Probe | None, transform: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """What a scan shows of the brain.

    Args:
        anatomy: The head.
        grid: The scan's voxels.
        probe: Labels and mask end at its sector; None for MR.
        transform: ``(4, 4)``, from the scan's physical points into the anatomy; default the identity.

    Returns:
        Organ labels and the mask of what is inside the skull, both ``grid.shape``.
    """
    labels = label_resample(anatomy.organ, anatomy.grid, grid, transform)
    tissue = label_resample(anatomy.tissue, anatomy.grid, grid, transform)
    inside = np.isin(labels, _INSIDE) | np.isin(tissue, (Tissue.CSF, Tissue.LIGAMENT, Tissue.FLUID))
    if probe is not None:
        sector = us_sector(grid, probe)
        labels = labels * sector.astype(np.uint8)
        inside &= sector
    return labels, inside


def landmarks(anatomy: Anatomy, glioma: Glioma) -> dict[str, NDArray[np.float64]]:
    """The brain's landmarks, the tumour's middle and ends, and the entry, in the subject's mm."""
    points = dict(anatomy.landmarks)
    points["tumour"] = glioma.centre
    points["entry"] = glioma.entry
    for axis, name in enumerate(("a", "b", "c")):
        for sign, end in ((-1, "first"), (1, "second")):
            points[f"tumour_axis_{name}_{end}"] = glioma.centre + sign * glioma.radii[axis] * glioma.axes[:, axis]
    return points
