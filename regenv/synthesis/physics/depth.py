"""Depth cameras: what a time-of-flight or a structured-light sensor makes of exact distances.

1. Flying pixels: at a jump of depth a pixel mixes both sides (Foix, Alenya and Torras, IEEE Sensors J. 11 (2011)
   1917-1926), or, with structured light, loses the pattern.
2. Noise that grows with distance and slant. Structured light: ``1.2 + 1.9 (z - 0.4)^2`` mm at z metres and a term for
   the angle (Nguyen, Izadi and Lovell, 3DIMPVT 2012, 524-530). Time of flight: shot noise of light that falls as
   ``cos(angle) / z^2``, so that the deviation grows as ``z / sqrt(cos(angle))`` (Lange and Seitz, IEEE J. Quantum
   Electron. 37 (2001) 390-397), with the periodic distortion that the survey above describes.
3. Quantisation: whole millimetres, and with structured light steps of ``2.85e-6 z^2`` mm at z mm (Khoshelham and
   Elberink, Sensors 12 (2012) 1437-1454).
4. Missing pixels: surfaces seen at a grazing angle, which send too little back, a few at random, and all beyond range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray
from regenv.core.image import Image

MISSING = 0.0
_DISPARITY_STEP = 2.85e-6  # per mm: depth comes in steps of this times z^2


@dataclass(frozen=True)
class DepthSensor:
    """Settings of a depth camera.

    Attributes:
        kind: ``"time_of_flight"`` or ``"structured_light"``.
        noise: Factor on the noise; of a time-of-flight sensor the deviation in mm at one metre, seen head on.
        bias_mm: Error of the calibration.
        ripple_mm: Amplitude of the periodic distortion of a time-of-flight sensor.
        grazing_deg: Angle to the surface's normal at which half of the pixels are lost.
        dropout: Share of pixels lost at random.
        range_mm: Nearest and farthest distance that is measured.
    """

    kind: str = "time_of_flight"
    noise: float = 1.5
    bias_mm: float = 0.0
    ripple_mm: float = 1.0
    grazing_deg: float = 78.0
    dropout: float = 0.002
    range_mm: tuple[float, float] = (400.0, 2500.0)


def draw_sensor(rng: np.random.Generator) -> DepthSensor:
    """A random sensor within the range of those in use."""
    kind = "time_of_flight" if rng.random() < 0.6 else "structured_light"
    return DepthSensor(
        kind=kind,
        noise=float(rng.uniform(0.8, 2.5) if kind == "time_of_flight" else rng.uniform(0.5, 1.2)),
        bias_mm=float(rng.normal(0, 2)),
        ripple_mm=float(rng.uniform(0, 2)),
        grazing_deg=float(rng.uniform(72, 83)),
        dropout=float(rng.uniform(0, 0.006)),
    )


def depth_camera(
    distance: NDArray[np.floating],
    seen: NDArray[np.bool_],
    camera: Camera,
    rng: np.random.Generator,
    sensor: DepthSensor | None = None,
) -> Image:
    """A depth image from exact distances.

    Args:
        distance: ``(H, W)`` mm from the camera's source along each pixel's ray (:func:`regenv.core.projection.depth`).
        seen: ``(H, W)`` where there is a surface.
        camera: The camera.
        rng: Draws the noise and, where it is not given, the sensor.
        sensor: The settings; default :func:`draw_sensor`.

    Returns:
        Image ``(1, H, W)`` of modality ``"depth"`` on the camera's grid, whole mm along the ray; 0, its background,
        where nothing was measured.

    Raises:
        ValueError: If the arrays do not fit the camera, or the kind of sensor is unknown.
    """
    if distance.shape != camera.grid.shape[1:] or seen.shape != distance.shape:
        raise ValueError(f"distances {distance.shape} and seen {seen.shape} do not fit pixels {camera.grid.shape[1:]}")
    s = draw_sensor(rng) if sensor is None else sensor
    if s.kind not in ("time_of_flight", "structured_light"):
        raise ValueError(f"a sensor is 'time_of_flight' or 'structured_light', got {s.kind!r}")
    exact = np.asarray(distance, dtype=np.float64)
    angle = slant(exact, camera)
    value, lost = _flying_pixels(exact, seen, s, rng)
    value = value + _noise(value, angle, s, rng) + s.bias_mm
    if s.kind == "structured_light":  # whole steps of disparity, which is 1 / z
        value = 1 / (_DISPARITY_STEP * np.maximum(np.rint(1 / (_DISPARITY_STEP * np.maximum(value, 100.0))), 1))
    value = np.rint(value)
    grazing = 1 / (1 + np.exp(-(np.rad2deg(angle) - s.grazing_deg) / 2.0))
    lost = lost | (rng.random(exact.shape) < grazing) | (rng.random(exact.shape) < s.dropout) | ~seen
    lost |= (value < s.range_mm[0]) | (value > s.range_mm[1])
    return Image(np.where(lost, MISSING, value)[None].astype(np.float32), camera.grid, "depth", MISSING)


def slant(distance: FloatArray, camera: Camera) -> FloatArray:
    """Angle between each pixel's ray and the normal of the surface that it meets, ``(H, W)`` radians."""
    way = camera.grid.points()[0] - camera.source
    way /= np.linalg.norm(way, axis=-1, keepdims=True)
    points = camera.source + distance[..., None] * way
    normal = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    length = np.maximum(np.linalg.norm(normal, axis=-1), 1e-9)
    return np.arccos(np.clip(np.abs((normal * way).sum(axis=-1)) / length, 0, 1))


def _flying_pixels(
    exact: FloatArray, seen: NDArray[np.bool_], s: DepthSensor, rng: np.random.Generator
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Distances with mixed pixels at jumps, and which are lost there."""
    from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter

    near = minimum_filter(np.where(seen, exact, np.inf), 3)
    far = maximum_filter(np.where(seen, exact, -np.inf), 3)
    jump = np.isfinite(near) & np.isfinite(far) & (far - near > 40.0)
    struck = jump & (rng.random(exact.shape) < 0.5)
    if s.kind == "structured_light":
        i, j = np.mgrid[: exact.shape[0], : exact.shape[1]]
        # the edge of the pattern wanders by a part of a pixel, and many pixels at it find no match
        wander = rng.normal(0, 0.4, (2, *exact.shape))
        value = map_coordinates(np.where(seen, exact, 0.0), [i + wander[0], j + wander[1]], order=0, mode="nearest")
        return np.where(jump & (value > 0), value, exact), struck
    share = rng.random(exact.shape)
    mixed = np.where(jump, near, exact) * share + np.where(jump, far, exact) * (1 - share)
    return np.where(struck, mixed, exact), jump & (rng.random(exact.shape) < 0.15)


def _noise(value: FloatArray, angle: FloatArray, s: DepthSensor, rng: np.random.Generator) -> FloatArray:
    """Errors in mm."""
    metres = np.maximum(value, 1.0) / 1000
    slanted = np.minimum(angle, np.deg2rad(85))
    if s.kind == "structured_light":
        deviation = 1.2 + 1.9 * (metres - 0.4) ** 2 + 0.1 / np.sqrt(metres) * (slanted / (np.pi / 2 - slanted)) ** 2
        return rng.standard_normal(value.shape) * deviation * s.noise
    deviation = s.noise * metres / np.sqrt(np.cos(slanted))
    ripple = s.ripple_mm * np.sin(2 * np.pi * value / 470.0 + rng.uniform(0, 2 * np.pi))
    return rng.standard_normal(value.shape) * deviation + ripple
