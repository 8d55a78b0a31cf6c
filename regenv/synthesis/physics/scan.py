"""Reading a noise-free signal on any grid, through a scanner's point spread and slice profile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.core.resample import array_addresses, index_matrices, render, volume_planes
from regenv.synthesis.physics import scan_kernels as kernels

Displace = Callable[[NDArray[np.float64]], NDArray[np.float64]]

FWHM = 2.3548
"""Full width at half maximum of a Gaussian of unit standard deviation."""

_MOST_PLANES = 8
"""A slice is the mean of this many planes at most."""


def scan(
    signal: Image, grid: Grid, fwhm_mm: float, slice_mm: float | None = None, displace: Displace | None = None
) -> Image:
    """Resamples a signal as a scanner would see it.

    A Gaussian point spread of ``fwhm_mm``, or of a pixel where that is wider (a scanner does not resolve less than its
    pixel), is followed by a mean over ``slice_mm`` along the third axis of ``grid``. The interpolation's own blur is
    taken off the Gaussian.

    Args:
        signal: The noise-free image, on any grid.
        grid: The scan's voxels, at any angle to the signal's; 2-D for a 2-D signal.
        fwhm_mm: Full width at half maximum of the point spread, mm.
        slice_mm: Thickness of a slice, mm; default the grid's third spacing. Unused in 2-D.
        displace: Where the anatomy at rest lies that the scan shows: physical points of the scan ``(N, d)`` to points
            of the signal. It is exact at voxel centres and held within a slice.

    Returns:
        The image on ``grid``; ``signal.background`` outside the signal.

    Raises:
        ValueError: If signal and grid differ in dimension.
    """
    if signal.grid.ndim != grid.ndim:
        raise ValueError(f"a {signal.grid.ndim}-D signal cannot be scanned on a {grid.ndim}-D grid")
    seen = Image(
        _blurred(signal, max(fwhm_mm, float(np.mean(grid.spacing[:2])))), signal.grid, "signal", signal.background
    )
    offsets = _slice_offsets(signal, grid, slice_mm)
    array = _render(seen, grid, offsets) if displace is None else _render_displaced(seen, grid, offsets, displace)
    return Image(array, grid, signal.modality, signal.background)


def _slice_offsets(signal: Image, grid: Grid, slice_mm: float | None) -> NDArray[np.float64]:
    """Positions (mm along the third axis) of the planes that a slice is the mean of."""
    if grid.ndim == 2:
        return np.zeros(1)
    thickness = grid.spacing[2] if slice_mm is None else float(slice_mm)
    count = int(np.clip(np.ceil(thickness / min(signal.grid.spacing)), 1, _MOST_PLANES))
    return thickness * ((np.arange(count) + 0.5) / count - 0.5)


def _render(seen: Image, grid: Grid, offsets: NDArray[np.float64]) -> NDArray[np.float32]:
    """Means over slices of a grid, without displacement."""
    planes = volume_planes(grid.size)
    stack = np.concatenate([planes] * len(offsets))
    if grid.ndim == 3:
        stack[:, 0, 2] += np.repeat(offsets / grid.spacing[2], len(planes))
    addresses, shapes = array_addresses([seen.array])
    matrices = index_matrices(seen.grid, np.eye(grid.ndim + 1)[None], grid)
    view = (1, len(stack), grid.size[1], grid.size[0])
    out, valid = np.empty(view, np.float32), np.empty(view, np.uint8)
    render(addresses, shapes, matrices, stack, np.array([seen.background], np.float32), out, valid, threads=1)
    mean: NDArray[np.float32] = out.reshape(len(offsets), *grid.shape).mean(axis=0, dtype=np.float32)
    return mean


def _render_displaced(seen: Image, grid: Grid, offsets: NDArray[np.float64], displace: Displace) -> NDArray[np.float32]:
    """As :func:`_render`, each voxel read where ``displace`` sends its centre."""
    points = np.ascontiguousarray(grid.points().reshape(-1, grid.ndim))
    index = transform_points(seen.grid.physical_to_index, displace(points))
    steps = np.zeros((len(offsets), grid.ndim))
    if grid.ndim == 3:
        steps = offsets[:, None] * (seen.grid.physical_to_index[:3, :3] @ grid.direction[:, 2])
    volume = seen.array
    if grid.ndim == 2:
        volume = volume[None]
        index = np.column_stack([index, np.zeros(len(index))])
        steps = np.column_stack([steps, np.zeros(len(steps))])
    out = np.empty(len(index), np.float32)
    kernels.sample(volume, np.ascontiguousarray(index), np.ascontiguousarray(steps), np.float32(seen.background), out)
    return out.reshape(grid.shape)


def _blurred(signal: Image, fwhm_mm: float) -> NDArray[np.float32]:
    """The signal under a Gaussian, less the variance (a sixth of a voxel squared) that linear interpolation adds."""
    array = signal.array
    d = signal.grid.ndim
    for axis in range(d):
        spacing = signal.grid.spacing[d - 1 - axis]
        variance = (fwhm_mm / FWHM / spacing) ** 2 - 1.0 / 6.0
        if variance > 0.01 and array.shape[axis] > 1:
            rows = array.reshape(int(np.prod(array.shape[:axis])), array.shape[axis], -1)
            out = np.empty_like(rows)
            kernels.convolve(rows, _gaussian(variance), out)
            array = out.reshape(array.shape)
    return array


def _gaussian(variance: float) -> NDArray[np.float32]:
    """Symmetric weights of exactly this variance (in samples squared): a narrow Gaussian on samples has less."""
    if variance < 0.5:
        return np.array([variance / 2, 1 - variance, variance / 2], np.float32)
    reach = int(np.ceil(3.5 * np.sqrt(variance)))
    weights = np.exp(-0.5 * np.arange(-reach, reach + 1) ** 2 / variance)
    return (weights / weights.sum()).astype(np.float32)


def flat(image: Image) -> Image:
    """The slice of a one-slice 3-D image as a 2-D image, in mm along its own axes about the physical origin's foot.

    Args:
        image: ``(W, H, 1)``.

    Returns:
        A 2-D image whose physical point ``(a, b)`` is the point ``a * x axis + b * y axis`` of the slice's plane.

    Raises:
        ValueError: If there is more than one slice.
    """
    return Image(image.array[0], flat_grid(image.grid), image.modality, image.background)


def flat_grid(grid: Grid) -> Grid:
    """The grid of :func:`flat`."""
    if grid.ndim != 3 or grid.size[2] != 1:
        raise ValueError(f"only a single slice is flat, got a grid of size {grid.size}")
    origin = grid.direction[:, :2].T @ np.asarray(grid.origin)
    return Grid(grid.size[:2], grid.spacing[:2], (float(origin[0]), float(origin[1])), np.eye(2))
