"""Cone-beam CT: projected, degraded and reconstructed from a volume of CT numbers.

The chain is that of a flat-panel C-arm or of a linear accelerator's imager:

1. Attenuation, split into soft tissue and bone by CT number, is projected along cone-beam rays (Joseph 1982).
2. Beam hardening: a spectrum of four energies with the attenuation of water and cortical bone of NIST (Hubbell and
   Seltzer, NISTIR 5632). The usual water correction is applied, so that bone leaves dark bands (Joseph and Spital,
   J. Comput. Assist. Tomogr. 2 (1978) 100-108).
3. Scatter: a broad, smooth background made from ``p exp(-p)`` of the primary (Ohnesorge, Flohr and Klingenbeck-Regn,
   Eur. Radiol. 9 (1999) 563-569). Logged with the primary it gives cupping and streaks.
4. Poisson noise of the photons and a fixed gain error per detector element, which makes rings.
5. Truncation: a detector narrower than the patient; the rows are continued by a falling cosine before filtering, which
   leaves the bright rim and the wrong level known from such images (Ohnesorge et al., Med. Phys. 27 (2000) 39-46).
6. Filtered back-projection after Feldkamp, Davis and Kress, J. Opt. Soc. Am. A 1 (1984) 612-619, over a full turn, or
   over a short one with the weights of Parker, Med. Phys. 9 (1982) 254-257. Few views leave streaks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.core.lanes import run_lanes
from regenv.synthesis.physics import projection_kernels as kernels
from regenv.synthesis.physics.common import AIR_HU

VERSION = 3
"""Part of cache keys: raised whenever the same input gives another image."""

# keV, share of the detected spectrum of a filtered 120 kV beam, attenuation of water per mm, of cortical bone relative
# to water of equal attenuation at 70 keV
_SPECTRUM = np.array(
    [
        [40.0, 0.10, 0.02683, 1.85],
        [60.0, 0.42, 0.02059, 1.14],
        [80.0, 0.31, 0.01837, 0.905],
        [100.0, 0.17, 0.01707, 0.811],
    ]
)


@dataclass(frozen=True)
class ConeBeam:
    """Settings of a cone-beam scan.

    Attributes:
        radius_mm: Radius of the reconstructed cylinder; the detector just sees it.
        height_mm: Height of the reconstruction.
        voxel_mm: Isotropic voxel size of the reconstruction.
        views: Number of projections.
        short_scan: Half a turn and the fan angle (a C-arm) instead of a full turn.
        distance_mm: Source to isocentre.
        pixel_mm: Detector pitch, scaled to the isocentre.
        scatter: Scatter to primary ratio behind the thickest part, after whatever correction the scanner makes.
        photons: Photons per pixel without an object.
        hardening: Whether the beam is polychromatic.
        gain_error: Standard deviation of the gain of a detector element.
        smoothing: Frequency at which the Hann window of the ramp filter falls to zero, in Nyquist frequencies.
        hu_gain: Factor by which the calibration is off.
        hu_offset: HU by which it is off.
        start_deg: Angle of the first view.
    """

    radius_mm: float = 128.0
    height_mm: float = 190.0
    voxel_mm: float = 2.5
    views: int = 120
    short_scan: bool = False
    distance_mm: float = 1000.0
    pixel_mm: float = 3.0
    scatter: float = 0.25
    photons: float = 6e4
    hardening: bool = True
    gain_error: float = 0.003
    smoothing: float = 1.3
    hu_gain: float = 1.0
    hu_offset: float = 0.0
    start_deg: float = 0.0


def draw_scanner(rng: np.random.Generator) -> ConeBeam:
    """A random scanner and protocol within the range of those in use."""
    wide = rng.random() < 0.4
    return ConeBeam(
        radius_mm=float(rng.uniform(165, 195) if wide else rng.uniform(108, 140)),
        height_mm=float(rng.uniform(160, 220)),
        voxel_mm=float(rng.uniform(2.2, 3.0)),
        views=int(rng.integers(90, 132)),
        short_scan=bool(rng.random() < 0.4),
        distance_mm=float(rng.choice([750.0, 1000.0])),
        pixel_mm=float(rng.uniform(2.7, 2.9) if wide else rng.uniform(2.2, 2.7)),
        scatter=float(rng.uniform(0.05, 0.7)),
        photons=float(np.exp(rng.uniform(np.log(1.5e4), np.log(2e5)))),
        gain_error=float(rng.uniform(0, 0.005)),
        smoothing=float(rng.uniform(0.9, 1.8)),
        hu_gain=float(rng.normal(1.0, 0.03)),
        hu_offset=float(rng.normal(0, 25)),
        start_deg=float(rng.uniform(0, 360)),
    )


def cbct_from_attenuation(
    hu_image: Image,
    rng: np.random.Generator,
    *,
    scanner: ConeBeam | None = None,
    isocentre: NDArray[np.floating] | None = None,
    grid: Grid | None = None,
    **physics: float,
) -> Image:
    """Scans a volume of CT numbers with a cone beam, and reconstructs it.

    The rotation axis is the array axis closest to the patient's long axis. Whatever is not in ``hu_image`` is air to
    the sides, and more of the end slices above and below.

    Args:
        hu_image: CT numbers, procedural or real.
        rng: Draws the noise and, where it is not given, the scanner.
        scanner: The settings; default :func:`draw_scanner`.
        isocentre: Centre (x, y, z) of the reconstruction in mm; default the middle of the body in the image.
        grid: Voxels of the reconstruction, along the axes of ``hu_image``; default isotropic over the cylinder.
        **physics: Settings of :class:`ConeBeam` that replace those of ``scanner``.

    Returns:
        Image of modality ``"cbct"`` in (inexact) HU; -1000 outside the reconstructed cylinder. The patient lies where
        ``hu_image`` has it: the true transform between the two is the identity.

    Raises:
        ValueError: If the image is not 3-D.
        TypeError: On an unknown setting.
    """
    if hu_image.grid.ndim != 3:
        raise ValueError(f"a cone-beam scan needs a 3-D volume, got an array of shape {hu_image.array.shape}")
    settings = replace(draw_scanner(rng) if scanner is None else scanner, **physics)  # type: ignore[arg-type]
    volume = _to_working_spacing(_upright(hu_image), settings.pixel_mm)
    centre = (
        _body_centre(volume)
        if isocentre is None
        else np.linalg.solve(volume.grid.direction, np.asarray(isocentre, float) - np.asarray(volume.grid.origin))
    )
    out_grid = _output_grid(volume, settings, centre) if grid is None else grid
    angles, arc = _angles(settings)
    us, vs = _detector(settings)
    lines = _project(volume, centre, angles, settings.distance_mm, us, vs)
    measured = _measure(lines, settings, rng)
    return _reconstruct(measured, settings, angles, arc, us, vs, volume.grid, centre, out_grid)


def _upright(image: Image) -> Image:
    """The same image with the axis closest to the patient's long axis last in (x, y, z)."""
    g = image.grid
    long_axis = int(np.argmax(np.abs(np.asarray(g.direction)[2])))
    if long_axis == 2:
        return image
    order = [(long_axis + 1) % 3, (long_axis + 2) % 3, long_axis]
    grid = Grid(
        tuple(g.size[a] for a in order), tuple(g.spacing[a] for a in order), g.origin, np.asarray(g.direction)[:, order]
    )
    return Image(image.array.transpose([2 - a for a in order[::-1]]), grid, image.modality, image.background)


def _to_working_spacing(image: Image, target: float) -> Image:
    """Averages whole blocks of voxels until none is finer than about the detector's pitch."""
    array, grid = image.array, image.grid
    factors = [max(1, int(round(target / s * 0.9))) for s in grid.spacing]
    if max(factors) == 1:
        return image
    fx, fy, fz = factors
    nz, ny, nx = (n // f for n, f in zip(array.shape, (fz, fy, fx), strict=True))
    block = array[: nz * fz, : ny * fy, : nx * fx].reshape(nz, fz, ny, fy, nx, fx)
    shift = np.asarray(grid.direction) @ ((np.array(factors) - 1) / 2 * np.asarray(grid.spacing))
    small = Grid(
        (nx, ny, nz),
        tuple(s * f for s, f in zip(grid.spacing, factors, strict=True)),
        tuple(np.asarray(grid.origin) + shift),
        grid.direction,
    )
    return Image(block.mean(axis=(1, 3, 5)), small, image.modality, image.background)


def _body_centre(image: Image) -> NDArray[np.float64]:
    """Middle of what is denser than fat, across; middle of the image along. In mm along the axes from voxel 0."""
    dense = image.array > -300
    size, spacing = np.asarray(image.grid.size), np.asarray(image.grid.spacing)
    middle = (size - 1) / 2.0
    if dense.any():
        for axis, xyz in ((2, 0), (1, 1)):
            profile = dense.sum(axis=tuple(a for a in range(3) if a != axis)).astype(float)
            share = np.cumsum(profile) / profile.sum()
            middle[xyz] = 0.5 * (np.searchsorted(share, 0.02) + np.searchsorted(share, 0.98))
    return middle * spacing


def _output_grid(image: Image, settings: ConeBeam, centre: NDArray[np.float64]) -> Grid:
    """An isotropic grid over the cylinder, no higher than the image."""
    height = min(settings.height_mm, float(image.grid.extent[2]))
    v = settings.voxel_mm
    across = int(np.ceil(2 * settings.radius_mm / v)) + 1
    size = (across, across, max(int(height / v), 2))
    direction = np.asarray(image.grid.direction)
    position = np.asarray(image.grid.origin) + direction @ centre
    return Grid.centred(size, (v, v, v), position, direction)


def _angles(settings: ConeBeam) -> tuple[NDArray[np.float64], float]:
    """View angles in radians, and the arc that they cover."""
    fan = np.arcsin(min(settings.radius_mm / settings.distance_mm, 0.9))
    arc = np.pi + 2 * fan * 1.05 if settings.short_scan else 2 * np.pi
    return np.deg2rad(settings.start_deg) + arc * np.arange(settings.views) / settings.views, arc


def _detector(settings: ConeBeam) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns and rows of the virtual detector in the isocentre, mm."""
    edge = settings.radius_mm / np.sqrt(1 - (settings.radius_mm / settings.distance_mm) ** 2)
    n_u = 2 * int(np.ceil(edge / settings.pixel_mm)) + 2
    n_v = 2 * int(np.ceil(0.56 * settings.height_mm / settings.pixel_mm))
    us = (np.arange(n_u) - (n_u - 1) / 2) * settings.pixel_mm
    vs = (np.arange(n_v) - (n_v - 1) / 2) * settings.pixel_mm
    return us.astype(np.float64), vs.astype(np.float64)


def _project(
    image: Image,
    centre: NDArray[np.float64],
    angles: NDArray[np.float64],
    distance: float,
    us: NDArray[np.float64],
    vs: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Millimetres of water of soft tissue and of bone along every ray, ``(A, U, V, 2)``."""
    ratio = np.clip(image.array / np.float32(1000) + np.float32(1), 0, 4)
    # what is much denser than muscle is taken for bone, sliding over 300 HU
    bone = np.clip((ratio - np.float32(1.1)) / np.float32(0.3), 0, 1) * ratio
    both = np.stack([ratio - bone, bone])
    # leave out the air around the patient, which only costs time
    solid = ratio > 0.03
    rows, columns = np.flatnonzero(solid.any(axis=(0, 2))), np.flatnonzero(solid.any(axis=(0, 1)))
    j0, j1 = (max(rows[0] - 1, 0), rows[-1] + 2) if len(rows) else (0, 2)
    i0, i1 = (max(columns[0] - 1, 0), columns[-1] + 2) if len(columns) else (0, 2)
    spacing = np.asarray(image.grid.spacing)
    origin = np.array([i0, j0, 0.0]) * spacing - centre
    # hold the end slices as far as the cone reaches beyond them: the patient goes on
    across = np.hypot(*(np.maximum(np.abs(origin[:2]), np.abs(origin[:2] + spacing[:2] * [i1 - i0, j1 - j0]))))
    reach = float(np.abs(vs).max()) * (1 + across / distance) + 2 * spacing[2]
    below = max(int(np.ceil((origin[2] + reach) / spacing[2])), 0)
    above = max(int(np.ceil((reach - origin[2]) / spacing[2])) - ratio.shape[0] + 2, 0)
    both = np.pad(both[:, :, j0:j1, i0:i1], ((0, 0), (below, above), (0, 0), (0, 0)), mode="edge")
    both = np.ascontiguousarray(both.transpose(0, 2, 3, 1), dtype=np.float32)
    origin[2] -= below * spacing[2]
    out = np.empty((len(angles), len(us), len(vs), 2), np.float32)
    run_lanes(kernels.project, len(angles), both, origin, spacing, angles, distance, us, vs, out)
    return out


def _measure(lines: NDArray[np.float32], s: ConeBeam, rng: np.random.Generator) -> NDArray[np.float32]:
    """What the detector says of the line integrals: mm of water, ``(A, U, V)``, with all that is wrong with it."""
    soft, bone = lines[..., 0], lines[..., 1]
    if s.hardening:
        primary = np.zeros(soft.shape, np.float32)
        for _, share, water, dense in _SPECTRUM:
            primary += np.float32(share) * np.exp(-np.float32(water) * (soft + np.float32(dense) * bone))
    else:
        primary = np.exp(np.float32(-0.0195) * (soft + bone))
    signal = primary + _scatter(primary, s) if s.scatter > 0 else primary
    if np.isfinite(s.photons):
        # electronic noise of about two photons keeps starved pixels from being exact
        counts = rng.poisson(signal * s.photons) + 2.0 * rng.standard_normal(signal.shape)
        signal = (np.maximum(counts, 1.0) / s.photons).astype(np.float32)
    if s.gain_error > 0:
        signal *= (1 + s.gain_error * rng.standard_normal(signal.shape[1:])).astype(np.float32)
    log = -np.log(np.minimum(signal, 1.2))
    if not s.hardening:
        return log / np.float32(0.0195)
    # water correction: the thickness of water that gives this reading
    thickness = np.linspace(0, 900, 1801)
    reading = -np.log((_SPECTRUM[:, 1] * np.exp(-thickness[:, None] * _SPECTRUM[:, 2])).sum(axis=1))
    return np.interp(log, reading, thickness).astype(np.float32)


def _scatter(primary: NDArray[np.float32], s: ConeBeam) -> NDArray[np.float32]:
    """A smooth background whose ratio to the primary is ``s.scatter`` behind the thickest tenth."""
    from scipy.ndimage import gaussian_filter1d

    source = primary * -np.log(np.clip(primary, 1e-6, 1))
    width = 45.0 / s.pixel_mm
    step = 4
    coarse = source[:, ::step, ::step]
    for axis in (1, 2):
        coarse = gaussian_filter1d(coarse, width / step, axis=axis, mode="nearest", truncate=2.5)
    broad = coarse.repeat(step, axis=1).repeat(step, axis=2)[:, : primary.shape[1], : primary.shape[2]]
    for axis in (1, 2):
        broad = gaussian_filter1d(broad, step / 2, axis=axis, mode="nearest", truncate=2.0)
    few = primary[::4, ::2, ::2]
    thick = few <= np.quantile(few, 0.1)
    ratio = few[thick].mean() / max(float(broad[::4, ::2, ::2][thick].mean()), 1e-9)
    return broad * np.float32(s.scatter * ratio)


def _reconstruct(
    measured: NDArray[np.float32],
    s: ConeBeam,
    angles: NDArray[np.float64],
    arc: float,
    us: NDArray[np.float64],
    vs: NDArray[np.float64],
    frame: Grid,
    centre: NDArray[np.float64],
    grid: Grid,
) -> Image:
    """Weights, filters and back-projects."""
    d = s.distance_mm
    cosine = d / np.sqrt(d * d + us[:, None] ** 2 + vs[None, :] ** 2)
    weighted = measured * cosine.astype(np.float32)
    if s.short_scan:
        weighted *= _parker(angles - angles[0], np.arctan(us / d), arc)[:, :, None].astype(np.float32)
        scale = arc / len(angles)
    else:
        scale = np.pi / len(angles)
    filtered = _ramp(weighted, s.pixel_mm, s.smoothing) * np.float32(scale)
    local = [
        (np.linalg.solve(frame.direction, np.asarray(grid.origin) - np.asarray(frame.origin)) - centre)[a]
        + grid.spacing[a] * np.arange(grid.size[a])
        for a in range(3)
    ]
    out = np.zeros((grid.size[1], grid.size[0], grid.size[2]), np.float32)
    run_lanes(
        kernels.backproject,
        grid.size[1],
        filtered,
        angles,
        d,
        us[0],
        s.pixel_mm,
        vs[0],
        s.pixel_mm,
        *local,
        s.radius_mm,
        out,
    )
    hu = (out.transpose(2, 0, 1) - 1) * np.float32(1000 * s.hu_gain) + np.float32(s.hu_offset)
    hu = np.clip(np.rint(hu), AIR_HU + 1, 4000)
    outside = local[0][None, :] ** 2 + local[1][:, None] ** 2 > s.radius_mm**2
    hu[:, outside] = AIR_HU
    return Image(hu, grid, "cbct", AIR_HU)


def _parker(beta: NDArray[np.float64], gamma: NDArray[np.float64], arc: float) -> NDArray[np.float64]:
    """Parker's weights ``(A, U)`` for a short scan; conjugate rays sum to 1."""
    delta = (arc - np.pi) / 2
    b, g = beta[:, None], -gamma[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = np.sin(np.pi / 4 * b / (delta - g)) ** 2
        fall = np.sin(np.pi / 4 * (np.pi + 2 * delta - b) / (delta + g)) ** 2
    w = np.where(b < 2 * (delta - g), rise, np.where(b > np.pi - 2 * g, fall, 1.0))
    return np.where((b >= 0) & (b <= np.pi + 2 * delta), w, 0.0)


def _ramp(rows: NDArray[np.float32], pitch: float, smoothing: float) -> NDArray[np.float32]:
    """Ramp-filters along the detector's columns, rows continued by a falling cosine on both sides."""
    from scipy.fft import irfft, next_fast_len, rfft

    n = rows.shape[1]
    pad = n // 2
    length = next_fast_len(2 * (n + 2 * pad), real=True)
    taper = (0.5 * (1 + np.cos(np.pi * (np.arange(pad) + 1) / (pad + 1)))).astype(np.float32)
    left = rows[:, :1] * taper[None, ::-1, None]
    right = rows[:, -1:] * taper[None, :, None]
    padded = np.concatenate([left, rows, right], axis=1)
    offset = np.fft.fftfreq(length, 1 / length)
    kernel = np.zeros(length)
    kernel[0] = 1 / (4 * pitch)
    odd = np.abs(offset) % 2 == 1
    kernel[odd] = -1 / (np.pi**2 * offset[odd] ** 2 * pitch)
    response = rfft(kernel).real
    frequency = np.arange(len(response)) / (len(response) - 1)
    window = np.where(frequency < smoothing, 0.5 * (1 + np.cos(np.pi * frequency / smoothing)), 0.0)
    response = (response * window).astype(np.float32)
    out = np.empty(rows.shape, np.float32)
    for a in range(rows.shape[0]):
        out[a] = irfft(rfft(padded[a], length, axis=0) * response[:, None], length, axis=0)[pad : pad + n]
    return out
