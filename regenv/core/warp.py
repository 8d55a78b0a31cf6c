"""Resampling on views through a linear transform and a smooth displacement, fused with validity and similarity sums.

The counterpart of :mod:`regenv.core.resample` for T(x) = A (x + u(x)), u a cubic B-spline lattice in mm along the local
axes of the fixed view (:mod:`regenv.poses.deformation`). Views, volumes, validity and sums are as there, with one
restriction: the rows and columns of a plane run along axes of the view. A lane whose lattice is all zero gets the
bits of that module's functions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray, Grid
from regenv.core.lanes import Work, in_turn, run_lanes
from regenv.core.resample import _NO_BYTE, _NO_FLOAT, _NO_SUMS, checked_view


def direction_matrices(moving: Grid, alignments: ArrayLike, fixed_frame: ArrayLike) -> FloatArray:
    """``(B, d, d)`` matrices from a displacement in local mm to moving index.

    Args:
        moving: Grid of the moving image.
        alignments: ``(B, d + 1, d + 1)`` matrices A from fixed to moving physical points.
        fixed_frame: ``(d + 1, d + 1)`` matrix from local to fixed physical mm (:attr:`Grid.frame`).
    """
    d = moving.ndim
    a, f = np.asarray(alignments, dtype=np.float64), np.asarray(fixed_frame, dtype=np.float64)
    return np.ascontiguousarray((moving.physical_to_index @ a @ f)[:, :d, :d])


def render_warped(
    addresses: NDArray[np.int64],
    shapes: NDArray[np.int64],
    matrices: FloatArray,
    directions: FloatArray,
    planes: FloatArray,
    lattices: NDArray[np.float32],
    scale: FloatArray,
    offset: FloatArray,
    backgrounds: NDArray[np.float32],
    out: NDArray[np.float32],
    valid: NDArray[np.uint8],
    threads: int | None = None,
) -> None:
    """Samples every lane's displaced volume on the planes: :func:`render_warped_with_sums` without the sums."""
    args = (addresses, shapes, matrices, directions, planes, lattices, scale, offset, backgrounds)
    _run(*args, out, valid, _NO_FLOAT, _NO_BYTE, _NO_SUMS, _NO_BYTE, threads)


def render_warped_with_sums(
    addresses: NDArray[np.int64],
    shapes: NDArray[np.int64],
    matrices: FloatArray,
    directions: FloatArray,
    planes: FloatArray,
    lattices: NDArray[np.float32],
    scale: FloatArray,
    offset: FloatArray,
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
    """Samples every lane's displaced volume on the planes, with the sums of SSD and NCC and bytes for an observation.

    The pixel with view index v has the displacement u at the lattice coordinate ``scale * v + offset`` and is sampled
    at the moving index ``matrices @ [v, 1] + directions @ u``.

    Args:
        addresses: ``(B,)`` int64 addresses of the volumes (:func:`regenv.core.resample.array_addresses`).
        shapes: ``(B, d)`` int64 array shapes ``([z,] y, x)``.
        matrices: ``(B, d, d + 1)`` float64 from view index to moving index
            (:func:`regenv.core.resample.index_matrices`).
        directions: ``(B, d, d)`` float64 from displacement to moving index (:func:`direction_matrices`).
        planes: ``(S, 3, d)`` or ``(B, S, 3, d)`` float64, rows and columns each along one axis.
        lattices: ``(B, d, *L)`` float32 in mm, components (x, y[, z]), axes ``([z,] y, x)``, all of one length
            (:meth:`regenv.core.spline_modes.SplineModes.lattices`).
        scale: ``(d,)`` lattice coordinate per view index, (x, y[, z])
            (:meth:`~regenv.core.spline_modes.SplineModes.lattice_scale_offset`).
        offset: ``(d,)`` lattice coordinate of view index 0.
        backgrounds: ``(B,)`` values outside.
        out: ``(B, S, H, W)`` float32, written.
        valid: ``(B, S, H, W)`` uint8, written: 1 inside, 0 outside.
        fixed: ``(B, S, H, W)`` float32, the fixed image on the same planes.
        mask: ``(B, S, H, W)`` uint8, not 0 where a pixel counts.
        sums: ``(B, 7)`` float64, written, see :func:`regenv.core.resample.render_with_sums`.
        out_u8: ``(B, S, H, W)`` uint8, written where given.
        threads: Threads over lanes; default :func:`regenv.core.lanes.get_num_threads`, fewer for little work.
        lanes: Numbers of the lanes that are rendered, or how many all are; default all.
        then: Work on what was rendered, see :func:`regenv.core.resample.render_with_sums`.

    Raises:
        ValueError: If a shape or type does not fit, or a plane is oblique to the view.
    """
    args = (addresses, shapes, matrices, directions, planes, lattices, scale, offset, backgrounds)
    _run(*args, out, valid, fixed, mask, sums, _NO_BYTE if out_u8 is None else out_u8, threads, lanes, then)


def warped_similarity_sums(
    addresses: NDArray[np.int64],
    shapes: NDArray[np.int64],
    matrices: FloatArray,
    directions: FloatArray,
    planes: FloatArray,
    lattices: NDArray[np.float32],
    scale: FloatArray,
    offset: FloatArray,
    backgrounds: NDArray[np.float32],
    fixed: NDArray[np.float32],
    mask: NDArray[np.uint8],
    sums: FloatArray,
    threads: int | None = None,
) -> None:
    """The sums of :func:`render_warped_with_sums` (bit for bit) without writing the moved image: for search."""
    args = (addresses, shapes, matrices, directions, planes, lattices, scale, offset, backgrounds)
    _run(*args, _NO_FLOAT, _NO_BYTE, fixed, mask, sums, _NO_BYTE, threads)


def _run(
    addresses: NDArray[np.int64],
    shapes: NDArray[np.int64],
    matrices: FloatArray,
    directions: FloatArray,
    planes: FloatArray,
    lattices: NDArray[np.float32],
    scale: FloatArray,
    offset: FloatArray,
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
    from regenv.core._warp_kernels import along_axes, warp_lanes

    lanes, d = shapes.shape
    side = lattices.shape[-1]
    for name, array, shape in (
        ("addresses", addresses, (lanes,)),
        ("matrices", matrices, (lanes, d, d + 1)),
        ("directions", directions, (lanes, d, d)),
        ("lattices", lattices, (lanes, d) + (side,) * d),
        ("scale", scale, (d,)),
        ("offset", offset, (d,)),
        ("backgrounds", backgrounds, (lanes,)),
    ):
        if array.shape != shape:
            raise ValueError(f"{name} of {lanes} lanes in {d}-D must have shape {shape}, got {array.shape}")
    if side < 4:
        raise ValueError(f"a cubic lattice has at least 4 coefficients per axis, got {side}")
    stack, threads = checked_view(lanes, d, planes, out, valid, fixed, mask, sums, out_u8, threads)
    if not along_axes(stack):
        raise ValueError("rows and columns of a warped plane must each run along one axis of the view, not the same")
    work = (
        warp_lanes,
        np.ascontiguousarray(addresses, dtype=np.int64),
        np.ascontiguousarray(shapes, dtype=np.int64),
        np.ascontiguousarray(matrices, dtype=np.float64),
        np.ascontiguousarray(directions, dtype=np.float64),
        stack,
        np.ascontiguousarray(lattices, dtype=np.float32).reshape(lanes, d, -1),
        side,
        np.ascontiguousarray(scale, dtype=np.float64),
        np.ascontiguousarray(offset, dtype=np.float64),
        np.ascontiguousarray(backgrounds, dtype=np.float32),
        out,
        valid,
        fixed,
        mask,
        sums,
        out_u8,
    )
    run_lanes(in_turn, lanes if which is None else which, work, *then, threads=threads)
