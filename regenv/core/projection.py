"""Radiographs and depth images of volumes, cast ray by ray, over lanes of ragged volumes.

Sources and planes are in continuous index coordinates of each lane's volume (:func:`regenv.core.camera.index_rays`),
so that any oblique, anisotropic grid is projected as it lies. A view is a plane of pixels: pixel ``(i, j)`` of view
``v`` is ``planes[b, v, 0] + i * planes[b, v, 1] + j * planes[b, v, 2]``, and its ray runs there from ``sources[b, v]``.
Views are the detectors of several cameras, regions of interest on one, or both.

Volumes are given by address (:func:`regenv.core.resample.array_addresses`); the caller keeps them alive. Each lane is
computed by one thread, alike whatever the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.camera import Camera, detector_planes, index_rays
from regenv.core.geometry import FloatArray
from regenv.core.image import Image
from regenv.core.lanes import Work, get_num_threads, in_turn, run_lanes
from regenv.core.resample import N_SUMS, array_addresses

WATER_PER_MM = 0.0195
"""Attenuation of water at the mean energy of a diagnostic beam of about 70 keV, per mm (NIST, NISTIR 5632)."""

AIR_BELOW_HU = -900.0
"""CT numbers below count as air, whose noise would otherwise add up along a metre of ray."""

_Rays = tuple[NDArray[np.int64], NDArray[np.int64], FloatArray, FloatArray, FloatArray]
_RAYS_OF_A_THREAD = 256  # about 0.1 ms of work: less is not worth handing to another thread
_NO_BYTE = np.empty((0, 0, 0, 0), np.uint8)
_NO_FLOAT = np.empty((0, 0, 0, 0), np.float32)
_NO_SUMS = np.empty((0, N_SUMS), np.float64)


def attenuation(hu: ArrayLike) -> NDArray[np.float32]:
    """Linear attenuation per mm of CT numbers, ``0.0195 (1 + HU / 1000)``, and 0 below -900 HU."""
    array = np.asarray(hu, dtype=np.float32)
    mu = (array + np.float32(1000.0)) * np.float32(WATER_PER_MM / 1000.0)
    return np.where(array < AIR_BELOW_HU, np.float32(0.0), mu)


def project(
    addresses: NDArray[np.int64],
    shapes: NDArray[np.int64],
    spacings: FloatArray,
    sources: FloatArray,
    planes: FloatArray,
    out: NDArray[np.float32],
    valid: NDArray[np.uint8],
    threads: int | None = None,
    lanes: int | NDArray[np.intp] | None = None,
) -> None:
    """Line integrals of every lane's volume from the source to each pixel, by Joseph's method (1982).

    Args:
        addresses: ``(B,)`` int64 addresses of the volumes.
        shapes: ``(B, 3)`` int64 array shapes ``(z, y, x)``.
        spacings: ``(B, 3)`` mm between voxels along ``(x, y, z)``.
        sources: ``(B, V, 3)`` float64 index coordinates.
        planes: ``(B, V, 3, 3)`` float64, rows (origin, row step, column step).
        out: ``(B, V, H, W)`` float32, written: value x mm; 0 outside the volume.
        valid: ``(B, V, H, W)`` uint8, written: 1 where the ray meets the volume's box on its way to the pixel.
        threads: Threads over lanes; default :func:`regenv.core.lanes.get_num_threads`, fewer for little work.
        lanes: Numbers of the lanes that are rendered, or how many all are; default all.

    Raises:
        ValueError: If a shape or type does not fit.
    """
    from regenv.core._projection_kernels import project_lanes

    rays = _checked_rays(addresses, shapes, spacings, sources, planes, out, valid)
    run_lanes(
        project_lanes, len(addresses) if lanes is None else lanes, *rays, out, valid, threads=_threads(threads, out)
    )


def depth(
    addresses: NDArray[np.int64],
    shapes: NDArray[np.int64],
    spacings: FloatArray,
    sources: FloatArray,
    planes: FloatArray,
    thresholds: NDArray[np.float32],
    out: NDArray[np.float32],
    valid: NDArray[np.uint8],
    threads: int | None = None,
    lanes: int | NDArray[np.intp] | None = None,
) -> None:
    """Distance along each ray to the first point whose value is at or above a threshold.

    The ray is followed from voxel plane to voxel plane of the axis that it is most aligned with, at most one voxel
    along each axis a step, and the crossing is interpolated linearly between the last two. A ray that is above the
    threshold where it enters the volume ends there. The pixels' plane is no limit: rays go on behind it.

    Args:
        addresses: As in :func:`project`, like the next four.
        shapes: See there.
        spacings: See there.
        sources: See there.
        planes: See there.
        thresholds: ``(B,)`` float32.
        out: ``(B, V, H, W)`` float32, written: mm from the source along the ray; 0 without a crossing.
        valid: ``(B, V, H, W)`` uint8, written: 1 where there is a crossing.
        threads: Threads over lanes.
        lanes: Numbers of the lanes that are rendered, or how many all are; default all.

    Raises:
        ValueError: If a shape or type does not fit.
    """
    from regenv.core._projection_kernels import depth_lanes

    rays = _checked_rays(addresses, shapes, spacings, sources, planes, out, valid)
    levels = _per_lane("thresholds", thresholds, len(addresses))
    run_lanes(
        depth_lanes,
        len(addresses) if lanes is None else lanes,
        *rays,
        levels,
        out,
        valid,
        threads=_threads(threads, out),
    )


def sees(
    shapes: NDArray[np.int64],
    sources: FloatArray,
    planes: FloatArray,
    size: tuple[int, int],
    *,
    beyond: bool = False,
    every: bool = True,
) -> NDArray[np.bool_]:
    """Which lanes' poses make sense: each source outside the volume, and the volume before some pixel of each view.

    A pose for which this is false gives a radiograph of nothing, or one from inside the patient.

    Args:
        shapes: ``(B, 3)`` int64 array shapes ``(z, y, x)``.
        sources: ``(B, V, 3)`` index coordinates.
        planes: ``(B, V, 3, 3)``.
        size: Pixels ``(H, W)`` of a view.
        beyond: Whether rays go on behind their pixels, as a depth camera's do.
        every: Whether all views have to see the volume; else one is enough, while no source may be inside.

    Returns:
        ``(B,)`` bool.

    Raises:
        ValueError: If a shape does not fit.
    """
    from regenv.core._projection_kernels import FAR, sees_lanes

    lanes = len(shapes)
    shapes, sources, planes = _checked_views(lanes, shapes, sources, planes)
    views = np.empty(sources.shape[:2], np.uint8)
    furthest = FAR if beyond else 1.0
    run_lanes(sees_lanes, lanes, shapes, sources, planes, int(size[0]), int(size[1]), furthest, views, threads=1)
    if every:
        return np.asarray((views == 1).all(axis=1))
    return np.asarray((views != 2).all(axis=1) & (views == 1).any(axis=1))


def windowed_sums(
    raw: NDArray[np.float32],
    valid: NDArray[np.uint8],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    outside: NDArray[np.float32],
    fixed: NDArray[np.float32] | None,
    mask: NDArray[np.uint8] | None,
    moved: NDArray[np.float32],
    moved_u8: NDArray[np.uint8] | None = None,
    sums: FloatArray | None = None,
    threads: int | None = None,
    lanes: int | NDArray[np.intp] | None = None,
    then: Sequence[Work] = (),
) -> None:
    """Windows raw values to [0, 1], and in the same pass writes bytes and the sums of SSD and NCC.

    Args:
        raw: ``(B, V, H, W)`` float32 of :func:`project` or :func:`depth`.
        valid: ``(B, V, H, W)`` uint8 of the same.
        low: ``(B,)`` raw value that becomes 0.
        high: ``(B,)`` raw value that becomes 1; a window that runs downwards (high below low) inverts.
        outside: ``(B,)`` windowed value where not valid.
        fixed: ``(B, V, H, W)`` float32, windowed; needed only for the sums.
        mask: ``(B, V, H, W)`` uint8, not 0 where a pixel counts; needed only for the sums.
        moved: ``(B, V, H, W)`` float32, written; may be ``raw``.
        moved_u8: ``(B, V, H, W)`` uint8, written where given: round(255 x).
        sums: ``(B, 7)`` float64, written where given: n_mask, n_valid (mask and valid), and over the latter the sums
            of f, m, f f, m m, f m.
        threads: Threads over lanes.
        lanes: Numbers of the lanes that are rendered, or how many all are; default all.
        then: Work on what was rendered, see :func:`regenv.core.resample.render_with_sums`.

    Raises:
        ValueError: If a shape or type does not fit, or a window is empty.
    """
    from regenv.core._projection_kernels import window_lanes

    count = len(raw)
    bytes_out = _NO_BYTE if moved_u8 is None else moved_u8
    total = _NO_SUMS if sums is None else sums
    fixed = _NO_FLOAT if fixed is None else fixed
    mask = _NO_BYTE if mask is None else mask
    for name, array, kind, needed in (
        ("raw", raw, np.float32, True),
        ("valid", valid, np.uint8, True),
        ("moved", moved, np.float32, True),
        ("moved_u8", bytes_out, np.uint8, moved_u8 is not None),
        ("fixed", fixed, np.float32, sums is not None),
        ("mask", mask, np.uint8, sums is not None),
    ):
        if needed:
            _check_image(name, array, kind, raw.shape)
    if sums is not None and (sums.shape != (count, N_SUMS) or sums.dtype != np.float64 or not sums.flags.c_contiguous):
        raise ValueError(f"sums must be C-contiguous float64 {(count, N_SUMS)}, got {sums.dtype} {sums.shape}")
    lows, highs = _per_lane("low", low, count), _per_lane("high", high, count)
    if not np.all(np.isfinite(highs - lows) & (highs != lows)):
        raise ValueError(f"windows from low={lows.tolist()} to high={highs.tolist()} must have a finite width")
    backgrounds = _per_lane("outside", outside, count)
    threads = min(get_num_threads(), 1 + raw.size // 65536) if threads is None else threads
    work = (
        window_lanes,
        raw,
        valid,
        lows,
        highs,
        backgrounds,
        fixed,
        mask,
        moved,
        bytes_out,
        total,
    )
    run_lanes(in_turn, count if lanes is None else lanes, work, *then, threads=threads)


def radiograph(
    volume: Image, camera: Camera, transform: ArrayLike | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Line integrals of one volume on a whole detector.

    Args:
        volume: What is integrated, for instance :func:`attenuation`.
        camera: Source and detector.
        transform: ``(4, 4)`` from world to the volume's physical points; default the identity.

    Returns:
        ``(H, W)`` float32, value x mm, and where rays meet the volume, ``(H, W)`` bool.

    Raises:
        ValueError: If the volume is not 3-D, or a shape does not fit.
    """
    arguments, out, valid = _one(volume, camera, transform)
    project(*arguments, out, valid, threads=1)
    return out[0, 0], valid[0, 0].astype(np.bool_)


def depth_image(
    volume: Image, camera: Camera, threshold: float, transform: ArrayLike | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Distance to the surface of one volume over a whole image: as :func:`radiograph`, by :func:`depth`."""
    arguments, out, valid = _one(volume, camera, transform)
    depth(*arguments, np.array([threshold], np.float32), out, valid, threads=1)
    return out[0, 0], valid[0, 0].astype(np.bool_)


def _one(
    volume: Image, camera: Camera, transform: ArrayLike | None
) -> tuple[_Rays, NDArray[np.float32], NDArray[np.uint8]]:
    """The arguments of one lane that sees a whole detector, and arrays for its result."""
    if volume.grid.ndim != 3:
        raise ValueError(f"only a 3-D volume can be projected, got an array of shape {volume.array.shape}")
    matrix = np.eye(4) if transform is None else np.asarray(transform, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise ValueError(f"a 3-D transform is a (4, 4) matrix, got shape {matrix.shape}")
    sources, planes = index_rays(camera, detector_planes(camera), (volume.grid.physical_to_index @ matrix)[None])
    addresses, shapes = array_addresses([volume.array])
    width, height = camera.grid.size[:2]
    view = (1, 1, height, width)
    spacings = np.array([volume.grid.spacing])
    return (addresses, shapes, spacings, sources[:, None], planes), np.empty(view, np.float32), np.empty(view, np.uint8)


def _checked_rays(
    addresses: NDArray[np.int64],
    shapes: NDArray[np.int64],
    spacings: FloatArray,
    sources: FloatArray,
    planes: FloatArray,
    out: NDArray[np.float32],
    valid: NDArray[np.uint8],
) -> _Rays:
    """Checks what the kernels, which read by address, cannot; the arguments that they share."""
    lanes = len(addresses)
    shapes, sources, planes = _checked_views(lanes, shapes, sources, planes)
    spacings = np.ascontiguousarray(spacings, dtype=np.float64)
    if spacings.shape != (lanes, 3) or not (spacings > 0).all():
        raise ValueError(f"{lanes} lanes need positive spacings of shape {(lanes, 3)}, got shape {spacings.shape}")
    if out.ndim != 4 or out.shape[:2] != sources.shape[:2]:
        raise ValueError(f"{lanes} lanes of {sources.shape[1]} views need out of 4 axes, got {out.shape}")
    _check_image("out", out, np.float32, out.shape)
    _check_image("valid", valid, np.uint8, out.shape)
    return np.ascontiguousarray(addresses, dtype=np.int64), shapes, spacings, sources, planes


def _checked_views(
    lanes: int, shapes: NDArray[np.int64], sources: FloatArray, planes: FloatArray
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Shapes, sources and planes as the kernels take them."""
    shapes = np.ascontiguousarray(shapes, dtype=np.int64)
    sources = np.ascontiguousarray(sources, dtype=np.float64)
    planes = np.ascontiguousarray(planes, dtype=np.float64)
    if shapes.shape != (lanes, 3):
        raise ValueError(f"{lanes} lanes need shapes {(lanes, 3)} of 3-D volumes, got {shapes.shape}")
    if sources.ndim != 3 or sources.shape != (lanes, sources.shape[1], 3):
        raise ValueError(f"sources must be ({lanes}, V, 3), got {sources.shape}")
    if planes.shape != (*sources.shape, 3):
        raise ValueError(f"planes must be {(*sources.shape, 3)} beside sources {sources.shape}, got {planes.shape}")
    return shapes, sources, planes


def _check_image(name: str, array: NDArray[Any], kind: type[np.generic], shape: tuple[int, ...]) -> None:
    if array.dtype != kind or array.shape != shape or array.ndim != 4 or not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous {np.dtype(kind)} {shape}, got {array.dtype} {array.shape}")


def _per_lane(name: str, values: ArrayLike, lanes: int) -> NDArray[np.float32]:
    array = np.ascontiguousarray(values, dtype=np.float32)
    if array.shape != (lanes,):
        raise ValueError(f"{lanes} lanes need {lanes} {name}, got shape {array.shape}")
    return array


def _threads(threads: int | None, out: NDArray[np.float32]) -> int:
    return min(get_num_threads(), 1 + out.size // _RAYS_OF_A_THREAD) if threads is None else threads
