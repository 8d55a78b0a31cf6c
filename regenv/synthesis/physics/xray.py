"""Digital radiographs of a volume of CT numbers, as an interventional C-arm takes them.

1. Soft tissue and bone, told apart by CT number, are integrated along every ray (Joseph 1982,
   :mod:`regenv.core.projection`). Above and below what is given the patient goes on: end slices are held.
2. Implants are cylinders of titanium or steel, whose chords are exact; a pixel averages its sub-pixels' transmission,
   so that a wire thinner than a pixel stays as faint as it is.
3. Beer and Lambert for a spectrum of three energies, hardened by what the beam passes, with the attenuation of
   water, cortical bone, titanium and iron of NIST (Hubbell and Seltzer, NISTIR 5632).
4. Scatter: the source ``p ln(1 / p)`` of the primary (Ohnesorge, Flohr and Klingenbeck-Regn, Eur. Radiol. 9 (1999)
   563-569), spread by a narrow and a broad Gaussian (Sun and Star-Lack, Phys. Med. Biol. 55 (2010) 6695-6720).
5. Focal spot and scintillator blur; Poisson noise, of which the scintillator blurs a part too; electronic noise.
6. Collimation by shutters or an image intensifier's round field, and the logarithm: log attenuation, about 0 to 8.

What the table adds is taken for calibrated away, as carbon fibre nearly is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.core.projection import radiograph

Floats = NDArray[np.float32]

# keV; share of the detected spectrum of a filtered 80 kV beam; attenuation of water per mm, of cortical bone relative
# to water of equal attenuation at 70 keV (as in cbct.py), of titanium and of steel (as iron) per mm
_SPECTRUM = np.array(
    [
        [40.0, 0.34, 0.02683, 1.85, 0.9976, 2.857],
        [60.0, 0.48, 0.02059, 1.14, 0.3452, 0.9488],
        [80.0, 0.18, 0.01837, 0.905, 0.1826, 0.4687],
    ]
)
_METALS = {"titanium": 4, "steel": 5}
_SUB = 6  # sub-pixels along each side of a pixel that an implant is drawn with
_GOES_ON_MM = 90.0


@dataclass(frozen=True)
class XRay:
    """Settings of an exposure.

    Attributes:
        photons: Per pixel behind the patient, in the median of the field: a few hundred in fluoroscopy, many thousands
            in an acquisition.
        scatter: Scatter to primary ratio in the median of the field, after grid and air gap.
        blur_mm: Full width at half maximum of focal spot and scintillator together, on the detector.
        collimation: ``"none"``, ``"rectangle"`` or ``"circle"``.
        field: Half width of the collimated field along u and v, as a share of the detector's.
        shift: Where its middle lies, in the same unit.
        turn_deg: How far a rectangle is turned.
    """

    photons: float = 4000.0
    scatter: float = 0.6
    blur_mm: float = 1.2
    collimation: str = "none"
    field: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)
    turn_deg: float = 0.0


@dataclass(frozen=True)
class Cylinder:
    """A solid metal cylinder with flat ends, in the volume's physical space.

    Attributes:
        start: ``(3,)`` middle of one end, mm.
        end: ``(3,)`` middle of the other.
        radius_mm: Its radius.
        metal: ``"titanium"`` or ``"steel"``.
    """

    start: FloatArray
    end: FloatArray
    radius_mm: float
    metal: str = "titanium"


def draw_xray(rng: np.random.Generator) -> XRay:
    """A random exposure within the range of those in use."""
    collimation = str(rng.choice(["none", "rectangle", "circle"], p=[0.35, 0.45, 0.2]))
    field, turn = (1.0, 1.0), 0.0
    if collimation == "rectangle":
        field, turn = (float(rng.uniform(0.72, 1.0)), float(rng.uniform(0.78, 1.05))), float(rng.normal(0, 3))
    elif collimation == "circle":
        radius = float(rng.uniform(0.86, 1.0))
        field = (radius, radius)
    return XRay(
        photons=float(np.exp(rng.uniform(np.log(500), np.log(2e4)))),
        scatter=float(rng.uniform(0.25, 1.2)),
        blur_mm=float(rng.uniform(0.6, 2.0)),
        collimation=collimation,
        field=field,
        shift=(float(rng.uniform(-0.08, 0.08)), float(rng.uniform(-0.08, 0.08))),
        turn_deg=turn,
    )


def xray(
    volume: Image,
    cameras: Sequence[Camera],
    rng: np.random.Generator,
    transform: ArrayLike | None = None,
    settings: XRay | None = None,
    implants: Sequence[Cylinder] = (),
) -> tuple[Image, NDArray[np.bool_]]:
    """Radiographs of a volume of CT numbers by one or more cameras.

    Args:
        volume: CT numbers, procedural or real, on any grid.
        cameras: Where sources and detectors stand; all detectors of one size in pixels.
        rng: Draws the noise and, where it is not given, the exposure.
        transform: ``(4, 4)`` from world to the volume's physical points; default the identity.
        settings: The exposure; default :func:`draw_xray`, one for all cameras.
        implants: Metal in the patient.

    Returns:
        Image of modality ``"xray"`` on the first detector's grid, one slice for each camera, log attenuation of the
        open beam with background 0; and the collimated field, a mask of the same shape. Outside the field the image
        is 0.

    Raises:
        ValueError: If the volume is not 3-D, there is no camera, or the detectors' sizes differ.
    """
    if volume.grid.ndim != 3:
        raise ValueError(f"a radiograph needs a 3-D volume, got an array of shape {volume.array.shape}")
    if not cameras or len({camera.grid.size for camera in cameras}) != 1:
        raise ValueError(f"cameras must be one or more of one size, got sizes {[c.grid.size for c in cameras]}")
    settings = draw_xray(rng) if settings is None else settings
    matrix = np.eye(4) if transform is None else np.asarray(transform, dtype=np.float64)
    soft, bone = _materials(volume)
    images, fields = [], []
    for camera in cameras:
        lines = [radiograph(material, camera, matrix)[0] for material in (soft, bone)]
        metals = _metal_transmission(camera, matrix, implants)
        image, seen = _expose(lines[0], lines[1], metals, camera, settings, rng)
        images.append(image)
        fields.append(seen)
    first = cameras[0].grid
    grid = Grid((*first.size[:2], len(cameras)), first.spacing, first.origin, first.direction)
    return Image(np.stack(images), grid, "xray", 0.0), np.stack(fields)


def field_of_exposure(camera: Camera, settings: XRay) -> Floats:
    """Share of the beam that the collimator lets through, ``(H, W)``, with a penumbra of about 2 mm."""
    width, height = camera.grid.size[:2]
    half = np.asarray(camera.grid.extent[:2]) / 2
    pitch_u, pitch_v, _ = camera.grid.spacing
    x, y = np.meshgrid((np.arange(width) - (width - 1) / 2) * pitch_u, (np.arange(height) - (height - 1) / 2) * pitch_v)
    if settings.collimation == "none":
        return np.ones((height, width), np.float32)
    x, y = x - settings.shift[0] * half[0], y - settings.shift[1] * half[1]
    if settings.collimation == "circle":
        outside = np.hypot(x, y) - settings.field[0] * half.min()
    elif settings.collimation == "rectangle":
        c, s = np.cos(np.deg2rad(settings.turn_deg)), np.sin(np.deg2rad(settings.turn_deg))
        u, v = np.abs(c * x + s * y), np.abs(c * y - s * x)
        outside = np.maximum(u - settings.field[0] * half[0], v - settings.field[1] * half[1])
    else:
        raise ValueError(f"collimation is 'none', 'rectangle' or 'circle', got {settings.collimation!r}")
    return np.clip(0.5 - outside / 2.0, 0, 1).astype(np.float32)


def _materials(volume: Image) -> tuple[Image, Image]:
    """Soft tissue and bone as multiples of water, with end slices held along the patient's long axis."""
    ratio = np.clip(volume.array / np.float32(1000) + np.float32(1), 0, 4)
    ratio[ratio < 0.1] = 0  # air, whose noise would add up
    axis = int(np.argmax(np.abs(volume.grid.direction[2])))
    layers = int(np.ceil(_GOES_ON_MM / volume.grid.spacing[axis]))
    pad = [(0, 0)] * 3
    pad[2 - axis] = (layers, layers)
    ratio = np.pad(ratio, pad, mode="edge")
    start = np.zeros(3)
    start[axis] = -layers
    origin = transform_points(volume.grid.index_to_physical, start)
    grid = Grid(ratio.shape[::-1], volume.grid.spacing, tuple(origin), volume.grid.direction)
    # what is much denser than muscle is taken for bone, sliding over 300 HU
    bone = np.clip((ratio - np.float32(1.1)) / np.float32(0.3), 0, 1) * ratio
    return Image(ratio - bone, grid), Image(bone, grid)


def _expose(
    soft: Floats, bone: Floats, metals: Floats, camera: Camera, s: XRay, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.bool_]]:
    """Log attenuation ``(H, W)`` and the field, from mm of water of two tissues and the metals' transmission."""
    from scipy.ndimage import gaussian_filter

    primary = np.zeros(soft.shape, np.float32)
    for (_, share, water, dense, _, _), metal in zip(_SPECTRUM, metals, strict=True):
        primary += np.float32(share) * np.exp(-np.float32(water) * (soft + np.float32(dense) * bone)) * metal
    light = field_of_exposure(camera, s)
    field = light > 0.95
    primary *= light
    pitch = float(camera.grid.spacing[0])
    middle = float(np.median(primary[field & (soft > 5)])) if (field & (soft > 5)).any() else 1.0
    signal = primary + _scatter(primary, pitch) * np.float32(s.scatter * middle)
    blur = s.blur_mm / 2.355 / pitch
    # focal spot and scintillator share the blur; noise of the quanta is blurred by the scintillator only
    signal = gaussian_filter(signal, 0.8 * blur)
    dose = s.photons / middle
    counts = rng.poisson(np.maximum(signal, 0) * dose).astype(np.float32)
    counts = gaussian_filter(counts, 0.6 * blur) + 3.0 * rng.standard_normal(signal.shape, dtype=np.float32)
    log = -np.log(np.maximum(counts, 1.0) / np.float32(dose))
    return np.where(field, np.clip(log, 0, 12), 0).astype(np.float32), field


def _scatter(primary: Floats, pitch: float) -> Floats:
    """Scatter over the whole detector, with a median of 1 where the primary is attenuated."""
    from scipy.ndimage import gaussian_filter

    p = np.clip(primary, 1e-6, 1)
    source = p * -np.log(p)
    step = max(1, int(6.0 / pitch))
    coarse = source[::step, ::step]
    spread = 0.35 * gaussian_filter(coarse, 18 / pitch / step, mode="nearest", truncate=3)
    spread += 0.65 * gaussian_filter(coarse, 60 / pitch / step, mode="nearest", truncate=2.5)
    broad = spread.repeat(step, axis=0).repeat(step, axis=1)[: p.shape[0], : p.shape[1]]
    broad = gaussian_filter(broad, step / 2)
    thick = p < 0.5
    return broad / max(float(np.median(broad[thick])) if thick.any() else 1.0, 1e-9)


def _metal_transmission(camera: Camera, transform: FloatArray, implants: Sequence[Cylinder]) -> Floats:
    """Share of each energy that the implants let through, ``(3, H, W)``."""
    width, height = camera.grid.size[:2]
    out = np.ones((len(_SPECTRUM), height, width), np.float32)
    to_world = np.linalg.inv(transform)
    shifts = (np.arange(_SUB) + 0.5) / _SUB - 0.5
    around = np.stack([*np.meshgrid(shifts, shifts), np.zeros((_SUB, _SUB))], axis=-1).reshape(-1, 3)
    for implant in implants:
        start, end = transform_points(to_world, np.stack([implant.start, implant.end]))
        i, j = _pixels_of(camera, start, end, implant.radius_mm)
        index = np.stack([j, i, np.zeros(len(i))], axis=-1)[:, None] + around
        lengths = _chords(camera.source, transform_points(camera.grid.index_to_physical, index), start, end, implant)
        mu = _SPECTRUM[:, _METALS[implant.metal]]
        out[:, i, j] *= np.exp(-mu[:, None, None] * lengths).mean(axis=2).astype(np.float32)
    return out


def _pixels_of(
    camera: Camera, start: FloatArray, end: FloatArray, radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the pixels near the axis of a cylinder: all that it can be seen in."""
    width, height = camera.grid.size[:2]
    a, b = camera.pixels(np.stack([start, end]))
    if not np.isfinite([a, b]).all():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    way = b - a
    i, j = np.mgrid[:height, :width]
    x, y = j - a[0], i - a[1]
    share = np.clip((x * way[0] + y * way[1]) / max(float(way @ way), 1e-9), 0, 1)
    away = np.hypot(x - share * way[0], y - share * way[1])
    normal = camera.frame[:3, 2]
    nearest = min(abs(float(normal @ (p - camera.source))) for p in (start, end)) - radius
    # a tenth more, since rays off the middle meet the detector aslant
    reach = 1.1 * radius * camera.distance_mm / max(nearest, 1.0) / min(camera.grid.spacing[:2]) + 1.5
    rows, columns = np.nonzero(away <= reach)
    return rows, columns


def _chords(
    source: FloatArray, pixels: FloatArray, start: FloatArray, end: FloatArray, implant: Cylinder
) -> FloatArray:
    """Millimetres of each ray, from the source to ``pixels`` ``(..., 3)``, inside a cylinder with flat ends."""
    length = float(np.linalg.norm(end - start))
    axis = (end - start) / length
    way = pixels - source
    far = np.linalg.norm(way, axis=-1)
    way = way / far[..., None]
    offset = source - start
    along, rise = way @ axis, float(offset @ axis)
    across = way - along[..., None] * axis
    beside = offset - rise * axis
    a = np.maximum((across**2).sum(axis=-1), 1e-12)
    b = across @ beside
    root = b * b - a * (float(beside @ beside) - implant.radius_mm**2)
    half = np.sqrt(np.maximum(root, 0)) / a
    slope = np.where(np.abs(along) < 1e-9, 1e-9, along)
    t0, t1 = -rise / slope, (length - rise) / slope
    enter = np.maximum(np.maximum(-b / a - half, np.minimum(t0, t1)), 0)
    leave = np.minimum(np.minimum(-b / a + half, np.maximum(t0, t1)), far)
    return np.where(root > 0, np.maximum(leave - enter, 0), 0)
