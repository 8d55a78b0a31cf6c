"""Resampling on views, fused with validity and similarity sums, over lanes of ragged volumes.

A *view* is a stack of planes. ``planes`` is ``(S, 3, d)`` float64, rows (origin, row step, column step), in index
coordinates ``(x, y[, z])`` of the view grid: pixel ``(s, i, j)`` has the index ``origin + i * row_step + j *
column_step``. A volume is one plane for each z (:func:`volume_planes`), three orthogonal slices are three planes
(:func:`orthogonal_planes`). Planes of one's own for each lane are ``(B, S, 3, d)``.

Interpolation is linear. Inside is ITK's rule, continuous index in ``[-0.5, N - 0.5)`` along each axis, edge values
held; outside a lane's background is written and ``valid`` is 0. A value sampled at a voxel centre is that voxel's
value, bit for bit: coordinates at the start of a row are rounded to 2^-20 voxel, far below what is visible (1e-6 of
the intensity range), which absorbs the rounding of composed matrices.

Volumes are given by address, so that lanes may hold images of different shapes without a copy. The caller keeps the
arrays alive and C-contiguous float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray, Grid
from regenv.core.image import Image
from regenv.core.lanes import Work, get_num_threads, in_turn, run_lanes

N_SUMS = 7
"""Columns of the similarity sums: n_mask, n_valid, and over mask and valid sum f, m, f f, m m, f m."""

_PIXELS_OF_A_THREAD = 32768  # about 0.1 ms of work: less is not worth handing to another thread
_NO_FLOAT = np.empty((0, 0, 0, 0), np.float32)
_NO_BYTE = np.empty((0, 0, 0, 0), np.uint8)
_NO_SUMS = np.empty((0, N_SUMS), np.float64)


def volume_planes(size: Sequence[int]) -> FloatArray:
    """The planes of a whole grid of ``size`` voxels ``(x, y[, z])``: one for each z, ``(S, 3, d)``; one in 2-D."""
    d = len(size)
    planes = np.zeros((size[2] if d == 3 else 1, 3, d))
    if d == 3:
        planes[:, 0, 2] = np.arange(size[2])
    planes[:, 1, 1] = 1
    planes[:, 2, 0] = 1
    return planes


def orthogonal_planes(size: Sequence[int], at: ArrayLike | None = None) -> FloatArray:
    """Three orthogonal slices of a cubic 3-D grid, ``(3, 3, 3)``: axial, coronal, sagittal.

    Rows and columns run along (y, x), (z, x) and (z, y).

    Args:
        size: Voxels along ``(x, y, z)``; all three alike, so that the slices stack.
        at: Index ``(x, y, z)`` that the slices pass through; default the voxel at ``size // 2``, whose values need no
            interpolation along the slice's normal where view and image grids coincide.

    Raises:
        ValueError: If the sizes differ.
    """
    if len(size) != 3 or len(set(size)) != 1:
        raise ValueError(f"three slices stack only on a cubic view grid, got size {tuple(size)}")
    centre = np.asarray(size, dtype=np.float64) // 2 if at is None else np.asarray(at, dtype=np.float64)
    planes = np.zeros((3, 3, 3))
    for s, (row, column) in enumerate(((1, 0), (2, 0), (2, 1))):
        normal = 3 - row - column
        planes[s, 0, normal] = centre[normal]
        planes[s, 1, row] = 1
        planes[s, 2, column] = 1
    return planes


def array_addresses(arrays: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Addresses ``(B,)`` and shapes ``(B, d)`` of images for the kernels.

    Keep the arrays alive as long as these are used.

    Raises:
        ValueError: If an array is not C-contiguous float32.
    """
    for lane, array in enumerate(arrays):
        if array.dtype != np.float32 or not array.flags.c_contiguous:
            raise ValueError(f"lane {lane}: the kernels need C-contiguous float32 arrays, got {array.dtype}")
    addresses = np.array([array.ctypes.data for array in arrays], dtype=np.int64)
    return addresses, np.array([array.shape for array in arrays], dtype=np.int64)


def index_matrices(moving: Grid, transforms: ArrayLike, view: Grid) -> FloatArray:
    """``(B, d, d + 1)`` matrices from view index to continuous moving index, for ``(B, d + 1, d + 1)`` transforms."""
    t = np.asarray(transforms, dtype=np.float64)
    return np.ascontiguousarray((moving.physical_to_index @ t @ view.index_to_physical)[:, : moving.ndim])


def render(
    addresses: NDArray[np.int64],
    shapes: NDArray[np.int64],
    matrices: FloatArray,
    planes: FloatArray,
    backgrounds: NDArray[np.float32],
    out: NDArray[np.float32],
    valid: NDArray[np.uint8],
    threads: int | None = None,
    lanes: int | NDArray[np.intp] | None = None,
) -> None:
    """Samples every lane's volume on the planes.

    Args:
        addresses: ``(B,)`` int64 addresses of the volumes (:func:`array_addresses`).
        shapes: ``(B, d)`` int64 array shapes ``([z,] y, x)``.
        matrices: ``(B, d, d + 1)`` float64 from view index to continuous index of the volume (:func:`index_matrices`).
        planes: ``(S, 3, d)`` or ``(B, S, 3, d)`` float64.
        backgrounds: ``(B,)`` values outside.
        out: ``(B, S, H, W)`` float32, written.
        valid: ``(B, S, H, W)`` uint8, written: 1 inside, 0 outside.
        threads: Threads over lanes; default :func:`regenv.core.lanes.get_num_threads`, fewer for little work.
        lanes: Numbers of the lanes that are rendered, or how many all are; default all.

    Raises:
        ValueError: If a shape or type does not fit.
    """
    _run(
        addresses,
        shapes,
        matrices,
        planes,
        backgrounds,
        out,
        valid,
        _NO_FLOAT,
        _NO_BYTE,
        _NO_SUMS,
        _NO_BYTE,
        threads,
        lanes,
    )


def render_with_sums(
    addresses: NDArray[np.int64],
    shapes: NDArray[np.int64],
    matrices: FloatArray,
    planes: FloatArray,
    backgrounds: NDArray[np.float32],
    out: NDArray[np.float32],
    valid: NDArray[np.uint8],
    fixed: NDArray[np.float32],
    mask: NDArray[np.uint8],
    sums: FloatArray,
    out_u8: NDArray[np.uint8] | None = None,
    threads: int | None = None,
    lanes: int | NDArray[np.intp] | None = None,
    then: Sequence[Work] = (),
) -> None:
    """As :func:`render`, and in the same pass the sums of SSD and NCC, and bytes for an observation.

    Args:
        addresses: As in :func:`render`, like the next six.
        shapes: See there.
        matrices: See there.
        planes: See there.
        backgrounds: See there.
        out: See there.
        valid: See there.
        fixed: ``(B, S, H, W)`` float32, the fixed image on the same planes.
        mask: ``(B, S, H, W)`` uint8, not 0 where a pixel counts.
        sums: ``(B, 7)`` float64, written: n_mask, n_valid (mask and valid), and over the latter the sums of f, m, f f,
            m m, f m.
        out_u8: ``(B, S, H, W)`` uint8, written where given: round(255 x) of the value clipped to [0, 1].
        threads: Threads over lanes.
        lanes: Numbers of the lanes that are rendered, or how many all are; default all.
        then: Work on what was rendered, done by the thread that rendered it (:func:`regenv.core.lanes.in_turn`).

    Raises:
        ValueError: If a shape or type does not fit.
    """
    bytes_out = _NO_BYTE if out_u8 is None else out_u8
    args = (addresses, shapes, matrices, planes, backgrounds, out, valid, fixed, mask, sums, bytes_out)
    _run(*args, threads, lanes, then)


def similarity_sums(
    addresses: NDArray[np.int64],
    shapes: NDArray[np.int64],
    matrices: FloatArray,
    planes: FloatArray,
    backgrounds: NDArray[np.float32],
    fixed: NDArray[np.float32],
    mask: NDArray[np.uint8],
    sums: FloatArray,
    threads: int | None = None,
) -> None:
    """The sums of :func:`render_with_sums` (bit for bit) without writing the moved image: for search and refinement."""
    _run(addresses, shapes, matrices, planes, backgrounds, _NO_FLOAT, _NO_BYTE, fixed, mask, sums, _NO_BYTE, threads)


def _run(
    addresses: NDArray[np.int64],
    shapes: NDArray[np.int64],
    matrices: FloatArray,
    planes: FloatArray,
    backgrounds: NDArray[np.float32],
    out: NDArray[np.float32],
    valid: NDArray[np.uint8],
    fixed: NDArray[np.float32],
    mask: NDArray[np.uint8],
    sums: FloatArray,
    out_u8: NDArray[np.uint8],
    threads: int | None,
    which: int | NDArray[np.intp] | None = None,
    then: Sequence[Work] = (),
) -> None:
    """Checks the arguments (the kernel reads by address and cannot) and spreads the lanes over threads."""
    from regenv.core._resample_kernels import render_lanes

    lanes = len(addresses)
    d = shapes.shape[1]
    if matrices.shape != (lanes, d, d + 1) or shapes.shape[0] != lanes or len(backgrounds) != lanes:
        raise ValueError(
            f"{lanes} lanes in {d}-D need matrices {(lanes, d, d + 1)}, got {matrices.shape}; shapes {(lanes, d)}, got "
            f"{shapes.shape}; {lanes} backgrounds, got {len(backgrounds)}"
        )
    stack, threads = checked_view(lanes, d, planes, out, valid, fixed, mask, sums, out_u8, threads)
    work = (
        render_lanes,
        np.ascontiguousarray(addresses, dtype=np.int64),
        np.ascontiguousarray(shapes, dtype=np.int64),
        np.ascontiguousarray(matrices, dtype=np.float64),
        stack,
        np.ascontiguousarray(backgrounds, dtype=np.float32),
        out,
        valid,
        fixed,
        mask,
        sums,
        out_u8,
    )
    run_lanes(in_turn, lanes if which is None else which, work, *then, threads=threads)


def checked_view(
    lanes: int,
    d: int,
    planes: FloatArray,
    out: NDArray[np.float32],
    valid: NDArray[np.uint8],
    fixed: NDArray[np.float32],
    mask: NDArray[np.uint8],
    sums: FloatArray,
    out_u8: NDArray[np.uint8],
    threads: int | None,
) -> tuple[FloatArray, int]:
    """Checks what a kernel renders on and writes; see :func:`render_with_sums` for the arguments.

    Returns:
        The planes, ``(1 or B, S, 3, d)`` contiguous float64, and the threads to use.

    Raises:
        ValueError: If a shape or type does not fit.
    """
    stack = planes if planes.ndim == 4 else planes[None]
    view = out.shape if len(out) else fixed.shape
    if stack.shape[1:] != (view[1], 3, d) or len(stack) not in (1, lanes) or view[0] != lanes:
        raise ValueError(f"planes {planes.shape} do not fit {lanes} lanes in {d}-D on a view of shape {view}")
    for name, array, kind in (
        ("out", out, np.float32),
        ("valid", valid, np.uint8),
        ("fixed", fixed, np.float32),
        ("mask", mask, np.uint8),
        ("out_u8", out_u8, np.uint8),
    ):
        if array.dtype != kind or not array.flags.c_contiguous or (array.shape != view and len(array)):
            raise ValueError(
                f"{name} must be C-contiguous {np.dtype(kind)} of shape {view}, got {array.dtype} {array.shape}"
            )
    if len(sums) and (sums.shape != (lanes, N_SUMS) or fixed.shape != view or mask.shape != view):
        raise ValueError(
            f"sums must be {(lanes, N_SUMS)}, fixed and mask {view}; got {sums.shape}, {fixed.shape}, {mask.shape}"
        )
    if threads is None:
        threads = min(get_num_threads(), 1 + lanes * view[1] * view[2] * view[3] // _PIXELS_OF_A_THREAD)
    return np.ascontiguousarray(stack, dtype=np.float64), threads


def resample(
    image: Image, grid: Grid, transform: ArrayLike | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """One image resampled on a grid, linearly.

    Args:
        image: The moving image.
        grid: Where values are wanted.
        transform: ``(d + 1, d + 1)`` matrix from the grid's physical points to the image's; default the identity.

    Returns:
        The values, ``grid.shape`` float32, with the image's background outside; and where they lie inside,
        ``grid.shape`` bool.

    Raises:
        ValueError: If the dimensions disagree.
    """
    matrices = index_matrices(image.grid, checked_transform(image.grid, grid, transform)[None], grid)
    addresses, shapes = array_addresses([image.array])
    planes = volume_planes(grid.size)
    view = (1, len(planes), grid.size[1], grid.size[0])
    out, valid = np.empty(view, np.float32), np.empty(view, np.uint8)
    render(addresses, shapes, matrices, planes, np.array([image.background], np.float32), out, valid, threads=1)
    return out.reshape(grid.shape), valid.reshape(grid.shape).astype(np.bool_)


def checked_transform(source: Grid, target: Grid, transform: ArrayLike | None) -> FloatArray:
    """The transform as a float64 matrix of the right size."""
    d = source.ndim
    if target.ndim != d:
        raise ValueError(f"a {d}-D image cannot be resampled on a {target.ndim}-D grid")
    matrix = np.eye(d + 1) if transform is None else np.asarray(transform, dtype=np.float64)
    if matrix.shape != (d + 1, d + 1):
        raise ValueError(f"a {d}-D transform is a {(d + 1, d + 1)} matrix, got shape {matrix.shape}")
    return matrix
