"""Ultrasound: speckle, interfaces, attenuation, shadows and enhancement, in the sector of a three-dimensional probe.

The image is made along the beams. Scatterers of random phase, as strong as the tissue's backscatter, are convolved
with the pulse's envelope and a beam that is narrowest at its focus, which gives fully developed speckle (Meunier and
Bertrand, IEEE Trans. Biomed. Eng. 42 (1995) 1082-1094). A change of acoustic impedance along a beam reflects, most
strongly where the surface faces the transducer, and takes from what goes on; attenuation accumulates along the beam,
and the machine makes up for that of average tissue, so that bone and gas throw shadows and fluid brightens what is
behind it (Shams, Hartley and Navab, MICCAI 2008, 888-895; Salehi et al., MICCAI 2015, 504-511). The envelope is
compressed logarithmically to 0..255.

Impedances and attenuations are after Duck, Physical Properties of Tissue (1990), and Szabo, Diagnostic Ultrasound
Imaging (2014), appendix B; echogenicities are relative to an average gland and chosen to look as they
do in practice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.core.lanes import run_lanes
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.tissues import Tissue
from regenv.synthesis.physics import us_kernels as kernels

Displace = Callable[[NDArray[np.float64]], NDArray[np.float64]]

LATTICE_MM = 4.0
"""Knot distance at which a displacement is evaluated; between knots it is interpolated linearly."""


@dataclass(frozen=True, eq=False)
class Probe:
    """A transducer that sweeps a volume.

    Attributes:
        position: Physical point (mm) from which depth is counted: the centre of curvature of a fan, the middle of the
            axis of a cylinder.
        axes: ``(3, 3)`` orthonormal, columns: lateral (along the image), elevational (along the sweep), and depth.
        shape: ``"fan"``: the fan's plane tilts about the lateral axis through ``position`` (end-fire, curvilinear and
            wobbling probes). ``"cylinder"``: the fan's plane travels along the elevational axis (side-fire probes on a
            stepper; with the whole angle, a rotated sagittal array).
        radius_mm: From ``position`` to the transducer's surface.
        depth_mm: Depth of the image below the surface.
        angle_deg: Full opening of the fan.
        sweep: Full extent of the sweep: degrees of a fan, mm of a cylinder.
        frequency_mhz: Centre frequency; attenuation grows with it, resolution too.
        focus_mm: Depth below the surface at which the beam is narrowest.
        looks: Views with independent speckle that the machine averages (compounding).
    """

    position: ArrayLike = (0.0, 0.0, 0.0)
    axes: ArrayLike = field(default_factory=lambda: np.eye(3))
    shape: str = "fan"
    radius_mm: float = 10.0
    depth_mm: float = 80.0
    angle_deg: float = 110.0
    sweep: float = 80.0
    frequency_mhz: float = 6.5
    focus_mm: float = 35.0
    looks: int = 2

    def __post_init__(self) -> None:
        axes = np.asarray(self.axes, dtype=np.float64)
        if self.shape not in ("fan", "cylinder"):
            raise ValueError(f"shape must be 'fan' or 'cylinder', got {self.shape!r}")
        if axes.shape != (3, 3) or not np.allclose(axes.T @ axes, np.eye(3), atol=1e-6):
            raise ValueError(f"axes must be an orthonormal (3, 3) matrix, got {axes.tolist()}")
        if not 0 < self.angle_deg <= 300 or (self.shape == "fan" and not 0 < self.sweep <= 170):
            raise ValueError(f"angle_deg={self.angle_deg} or sweep={self.sweep} is no sector")
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "position", np.asarray(self.position, dtype=np.float64))

    @property
    def geometry(self) -> NDArray[np.float64]:
        """What the kernels need: shape, inner and outer radius, half angle, half sweep (radians or mm)."""
        cylinder = self.shape == "cylinder"
        sweep = self.sweep / 2 if cylinder else np.deg2rad(self.sweep / 2)
        outer = self.radius_mm + self.depth_mm
        return np.array([float(cylinder), self.radius_mm, outer, np.deg2rad(self.angle_deg / 2), sweep])

    @property
    def to_world(self) -> NDArray[np.float64]:
        """``(4, 4)`` matrix from (lateral, elevational, depth) mm to physical mm."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.axes, self.position
        return matrix


@dataclass(frozen=True)
class Acoustic:
    """What ultrasound meets in a tissue.

    Attributes:
        echo: Backscatter against the reference, dB.
        impedance: Acoustic impedance, MRayl.
        attenuation: dB/cm/MHz, one way.
        coarse: Standard deviation of the backscatter at a scale of about 15 mm, dB.
        fine: The same at about 4 mm, dB.
    """

    echo: float
    impedance: float
    attenuation: float
    coarse: float = 1.0
    fine: float = 1.0


SOFT = Acoustic(0.0, 1.63, 0.6)
"""Tissues that the table does not name."""

ACOUSTICS: dict[Tissue, Acoustic] = {
    Tissue.AIR: Acoustic(-50.0, 0.0004, 12.0),
    Tissue.GAS: Acoustic(-50.0, 0.0004, 12.0),
    Tissue.LUNG: Acoustic(-10.0, 0.2, 20.0),
    Tissue.FAT: Acoustic(4.0, 1.42, 0.5, 3.0, 3.0),
    Tissue.SKIN: Acoustic(5.0, 1.72, 1.0),
    Tissue.MUSCLE: Acoustic(-5.0, 1.68, 0.8, 2.0, 4.0),
    Tissue.ARTERY: Acoustic(-24.0, 1.64, 0.2),
    Tissue.VEIN: Acoustic(-18.0, 1.62, 0.2),
    Tissue.WALL: Acoustic(-7.0, 1.66, 0.7, 1.0, 1.5),
    Tissue.RECTUM_WALL: Acoustic(-6.0, 1.66, 0.7, 1.0, 1.5),
    Tissue.LIVER: Acoustic(-1.0, 1.66, 0.5, 0.8, 0.8),
    Tissue.CORTICAL: Acoustic(-6.0, 7.4, 7.0),
    Tissue.CANCELLOUS: Acoustic(-8.0, 3.0, 9.0),
    Tissue.DIPLOE: Acoustic(-8.0, 3.5, 12.0),
    Tissue.TOOTH: Acoustic(-6.0, 7.8, 9.0),
    Tissue.MARROW: Acoustic(-6.0, 1.6, 0.6),
    Tissue.CARTILAGE: Acoustic(-8.0, 1.85, 3.0),
    Tissue.HYALINE: Acoustic(-18.0, 1.75, 2.0),
    Tissue.MENISCUS: Acoustic(4.0, 1.75, 2.0),
    Tissue.LIGAMENT: Acoustic(10.0, 1.76, 1.2),
    Tissue.DISC: Acoustic(-6.0, 1.75, 2.0),
    Tissue.CSF: Acoustic(-34.0, 1.51, 0.01, 0.0, 0.0),
    Tissue.URINE: Acoustic(-38.0, 1.53, 0.01, 0.0, 0.0),
    Tissue.FLUID: Acoustic(-30.0, 1.52, 0.02, 1.0, 1.0),
    Tissue.SYNOVIA: Acoustic(-34.0, 1.53, 0.02, 0.0, 0.0),
    Tissue.AMNION: Acoustic(-36.0, 1.52, 0.01, 0.0, 0.0),
    Tissue.BLOOD: Acoustic(-26.0, 1.66, 0.18),
    Tissue.CONTENT: Acoustic(4.0, 1.75, 2.5, 4.0, 5.0),
    Tissue.NERVE: Acoustic(1.0, 1.66, 0.8),
    Tissue.GLAND: Acoustic(1.0, 1.58, 0.7, 2.0, 2.0),
    Tissue.PROSTATE_PERIPHERAL: Acoustic(-2.0, 1.64, 0.55, 1.0, 1.4),
    Tissue.PROSTATE_TRANSITION: Acoustic(-9.0, 1.67, 0.65, 2.0, 3.0),
    Tissue.SEMINAL_VESICLE: Acoustic(-16.0, 1.58, 0.3, 1.0, 2.5),
    Tissue.GREY_MATTER: Acoustic(-7.0, 1.60, 0.55, 1.0, 1.0),
    Tissue.WHITE_MATTER: Acoustic(-4.0, 1.62, 0.65, 1.0, 1.0),
    Tissue.TUMOUR: Acoustic(5.0, 1.64, 0.7, 2.0, 3.0),
}


def us(
    anatomy: Anatomy,
    rng: np.random.Generator,
    grid: Grid,
    probe: Probe,
    displace: Displace | None = None,
    acoustics: Mapping[Tissue, Acoustic] | None = None,
) -> Image:
    """A three-dimensional ultrasound image of an anatomy.

    How echogenic each of this subject's tissues is comes from the subject's seed, so that two images of one subject
    agree; speckle, gain and time-gain compensation come from ``rng``.

    Args:
        anatomy: The subject; beyond its grid the values of its edge go on.
        rng: Draws speckle, noise and the machine's settings.
        grid: Voxels of the image, oblique or not.
        probe: Where the transducer lies and what it sees.
        displace: Physical points ``(N, 3)`` of the image to those of ``anatomy`` whose tissue is there (None: as at
            rest).
        acoustics: Replaces entries of :data:`ACOUSTICS`.

    Returns:
        Image of modality ``"us"``, 0..255, 0 outside the sector.
    """
    table = _table(anatomy.seed, {**ACOUSTICS, **(acoustics or {})})
    fields = np.empty((3, *anatomy.grid.shape), np.float32)
    n = anatomy.grid.shape[0]
    run_lanes(
        kernels.properties,
        n,
        anatomy.tissue,
        anatomy.under,
        anatomy.share,
        anatomy.coarse,
        anatomy.fine,
        table,
        fields,
    )
    beams = _Beams(probe, min(grid.spacing))
    lattice, lattice_matrix = _displacements(probe, beams, displace)
    sampled = np.empty((3, *beams.shape), np.float32)
    to_index = anatomy.grid.physical_to_index
    run_lanes(
        kernels.sample,
        beams.shape[0],
        fields,
        to_index,
        probe.to_world,
        beams.geometry,
        lattice,
        lattice_matrix,
        sampled,
    )
    settings = _Settings.draw(rng, beams.depths)
    psf = _PointSpread(probe, beams)
    machine = (settings.tgc_db, psf.speckle_gain, probe.frequency_mhz, settings.noise_db)
    envelope, echoes = np.zeros(beams.shape, np.float32), np.empty((2, *beams.shape), np.float32)
    for _ in range(probe.looks):
        wave = rng.standard_normal((2, *beams.shape), dtype=np.float32)
        run_lanes(kernels.propagate, beams.shape[0], sampled, beams.geometry, *machine, wave)
        run_lanes(kernels.blur_within, beams.shape[0], wave, psf.axial, psf.lateral, echoes)
        run_lanes(kernels.blur_across, beams.shape[0], echoes, psf.elevational, envelope)
    pixels = np.empty(beams.shape, np.float32)
    run_lanes(kernels.compress, beams.shape[0], envelope, probe.looks, settings.compression, pixels)
    out = np.zeros(grid.shape, np.float32)
    world_to_probe = np.linalg.inv(probe.to_world) @ grid.index_to_physical
    run_lanes(kernels.scan_convert, grid.shape[0], pixels, beams.geometry, world_to_probe, out)
    return Image(out, grid, "us", 0.0)


def us_sector(grid: Grid, probe: Probe) -> NDArray[np.bool_]:
    """Which voxels of a grid lie in a probe's sector, bool ``grid.shape``."""
    out = np.zeros(grid.shape, np.uint8)
    matrix = np.linalg.inv(probe.to_world) @ grid.index_to_physical
    run_lanes(kernels.sector, grid.shape[0], probe.geometry, matrix, out)
    return out.astype(bool)


class _Beams:
    """Samples along beams: arrays ``[sweep, beam, depth]``.

    Attributes:
        geometry: :attr:`Probe.geometry`, then the steps along sweep, beam and depth and their counts.
        shape: Counts (sweep, beam, depth).
        depths: Of the samples below the transducer's surface, mm.
        steps_mm: Distance between samples along sweep and beam at every depth, ``(2, depth)``.
    """

    def __init__(self, probe: Probe, voxel_mm: float) -> None:
        cylinder, inner, outer, half_angle, half_sweep = probe.geometry
        middle = inner + 0.6 * (outer - inner)
        n_depth = int(np.ceil((outer - inner) / (0.45 * voxel_mm))) + 1
        n_beam = int(np.ceil(2 * half_angle * middle / (0.8 * voxel_mm))) + 1
        reach = 1.0 if cylinder else middle
        n_sweep = int(np.ceil(2 * half_sweep * reach / (0.9 * voxel_mm))) + 1
        self.shape = (n_sweep, n_beam, n_depth)
        steps = [2 * half_sweep / (n_sweep - 1), 2 * half_angle / (n_beam - 1), (outer - inner) / (n_depth - 1)]
        self.geometry = np.array([*probe.geometry, *steps, *self.shape], dtype=np.float64)
        self.depths = np.arange(n_depth) * steps[2]
        radius = inner + self.depths
        self.steps_mm = np.stack([np.full(n_depth, steps[0]) if cylinder else steps[0] * radius, steps[1] * radius])


class _PointSpread:
    """Widths of pulse and beam, as weights in samples.

    Attributes:
        axial: ``(taps,)``.
        lateral: ``(taps, depth)``.
        elevational: ``(taps, depth)``.
        speckle_gain: ``(depth,)``: what restores the strength of random scatterers after weights that sum to 1.
    """

    def __init__(self, probe: Probe, beams: _Beams) -> None:
        resolution = 6.5 / probe.frequency_mhz
        axial = 0.38 * resolution / beams.geometry[7]
        beyond = beams.depths - probe.focus_mm
        width = np.sqrt((0.65 * resolution) ** 2 + (0.014 * beyond) ** 2)
        self.axial = _gaussian(np.array([axial]))[:, 0].copy()
        self.lateral = _gaussian(width / beams.steps_mm[1])
        self.elevational = _gaussian(1.4 * width / beams.steps_mm[0])
        energy = (self.axial**2).sum() * (self.lateral**2).sum(axis=0) * (self.elevational**2).sum(axis=0)
        self.speckle_gain = (1 / np.sqrt(energy)).astype(np.float32)


def _gaussian(sigma: NDArray[np.float64], most: int = 6) -> NDArray[np.float32]:
    """Weights ``(taps, n)`` of Gaussians of ``sigma`` samples, each summing to 1."""
    sigma = np.clip(sigma, 0.2, most / 2)
    reach = min(most, int(np.ceil(2.5 * sigma.max())))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1)[:, None] / sigma) ** 2)
    return (weights / weights.sum(axis=0)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Settings:
    """The machine: time-gain compensation (dB at every depth), receiver noise (dB), and log compression.

    ``compression`` holds the share of 255 at the reference level and the dynamic range in dB.
    """

    tgc_db: NDArray[np.float32]
    noise_db: float
    compression: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator, depths: NDArray[np.float64]) -> _Settings:
        """Settings of one examination: sliders that do not quite make up for the attenuation."""
        knots = np.linspace(0, depths[-1], 7)
        error = np.interp(depths, knots, np.cumsum(rng.normal(0, 0.9, 7)))
        rate = 0.6 * rng.normal(1.0, 0.05)
        # dB/cm/MHz and an offset; the kernel multiplies the first by frequency
        tgc = np.stack([2 * rate * depths / 10, error - error.mean()])
        compression = np.array([0.46 + rng.normal(0, 0.025), rng.uniform(48, 60)])
        return cls(tgc.astype(np.float32), float(rng.uniform(-88, -78)), compression)


def _table(seed: int, acoustics: Mapping[Tissue, Acoustic]) -> NDArray[np.float32]:
    """Rows by tissue: echo (dB), impedance, attenuation, coarse and fine deviation of the echo."""
    rng = np.random.default_rng([seed, 31])
    table = np.tile(
        np.array([SOFT.echo, SOFT.impedance, SOFT.attenuation, SOFT.coarse, SOFT.fine], np.float32), (256, 1)
    )
    for tissue in Tissue:
        a = acoustics.get(tissue, SOFT)
        shift = float(np.clip(rng.standard_normal(), -2, 2))
        table[tissue] = a.echo + 1.2 * shift, a.impedance, a.attenuation, a.coarse, a.fine
    return table


def _displacements(
    probe: Probe, beams: _Beams, displace: Displace | None
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Displacements on a lattice over the sector: ``(3, z, y, x)`` and the matrix from physical mm to its index."""
    if displace is None:
        return np.zeros((3, 1, 1, 1), np.float32), np.eye(4)
    outer = float(beams.geometry[2])
    along = probe.sweep / 2 if probe.shape == "cylinder" else outer
    axes, position = np.asarray(probe.axes), np.asarray(probe.position)
    half = np.array([outer, along, outer]) + LATTICE_MM
    size = tuple(int(n) for n in np.ceil(2 * half / LATTICE_MM) + 1)
    grid = Grid.centred(size, (LATTICE_MM,) * 3, position, axes)
    points = grid.points().reshape(-1, 3)
    shifts = (np.asarray(displace(points)) - points).reshape(*grid.shape, 3)
    return np.ascontiguousarray(np.moveaxis(shifts, -1, 0), dtype=np.float32), grid.physical_to_index
