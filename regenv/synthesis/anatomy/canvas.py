"""A voxel canvas on which shapes are painted, each voxel a mixture of at most two tissues.

Shapes are given as signed distances in *template* millimetres (negative inside). A voxel that a surface cuts keeps
the tissue on both sides and the share of the upper one, so that partial volume does not depend on the modality that
later turns tissues into intensities. The canvas lies in the subject's space; every voxel knows its template
coordinates, which are the subject's after scaling and an invertible smooth warp.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import Grid
from regenv.synthesis.anatomy import kernels
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.warp import Warp, smooth_noise

Box = tuple[slice, slice, slice]
FloatField = NDArray[np.float32]


class Canvas:
    """Tissue and organ maps being painted.

    Args:
        lo: Lower corner ``(x, y, z)`` of the painted region in subject mm.
        hi: Upper corner.
        spacing: Isotropic voxel size in mm.
        warp: Map from subject to template coordinates.

    Attributes:
        grid: Where the voxels lie, in subject mm.
        x, y, z: Template coordinates of every voxel, float32 ``[z, y, x]``.
        top, under: Tissues of every voxel.
        share: Share of ``top``, 255 for all of the voxel.
        organ: Organ of every voxel.
    """

    def __init__(self, lo: Sequence[float], hi: Sequence[float], spacing: float, warp: Warp) -> None:
        size = tuple(int(np.ceil((b - a) / spacing)) + 1 for a, b in zip(lo, hi, strict=True))
        self.grid = Grid(size, (spacing,) * 3, tuple(float(a) for a in lo), np.eye(3))
        self.spacing = float(spacing)
        self.warp = warp
        self.x, self.y, self.z = warp.template_coordinates(self.grid)
        shape = self.grid.shape
        self.top = np.zeros(shape, np.uint8)
        self.under = np.zeros(shape, np.uint8)
        self.share = np.full(shape, 255, np.uint8)
        self.organ = np.zeros(shape, np.uint8)

    def box(self, lo: ArrayLike, hi: ArrayLike) -> Box:
        """Slices ``[z, y, x]`` that certainly cover the template box from ``lo`` to ``hi`` (x, y, z)."""
        low, high = self.warp.bounds(np.asarray(lo, float), np.asarray(hi, float))
        first = np.floor((low - self.grid.origin) / self.spacing).astype(int)
        last = np.ceil((high - self.grid.origin) / self.spacing).astype(int) + 1
        first = np.clip(first, 0, self.grid.size)
        last = np.clip(last, first, self.grid.size)
        return tuple(slice(a, b) for a, b in zip(first[::-1], last[::-1], strict=True))  # type: ignore[return-value]

    def around(self, centre: ArrayLike, radius: ArrayLike) -> Box:
        """:meth:`box` of half-width ``radius`` (number or three) about ``centre``."""
        c = np.asarray(centre, float)
        return self.box(c - radius, c + radius)

    @property
    def everything(self) -> Box:
        """The box of the whole canvas."""
        return (slice(None), slice(None), slice(None))

    def coordinates(self, box: Box) -> tuple[FloatField, FloatField, FloatField]:
        """Template coordinates x, y, z in a box."""
        return self.x[box], self.y[box], self.z[box]

    def noise(self, rng: np.random.Generator, scale_mm: float) -> FloatField:
        """A random field of unit variance over the canvas, see :func:`regenv.synthesis.anatomy.warp.smooth_noise`."""
        return smooth_noise(rng, self.grid, scale_mm)

    def heights(self, box: Box, column: tuple[int, int]) -> FloatField:
        """Template z of the slices of a box, as in one column ``[y, x]``; broadcasts against the box."""
        return self.z[box[0], column[0], column[1]][:, None, None]

    def paint(
        self,
        box: Box,
        distance: FloatField,
        tissue: Tissue,
        organ: Organ | None = None,
        over: Iterable[Tissue] | None = None,
    ) -> None:
        """Paints where ``distance`` is negative.

        Args:
            box: The region.
            distance: Signed distance in mm, of the region's shape.
            tissue: What is painted.
            organ: The organ that painted voxels belong to from now on (None keeps what was there).
            over: The tissues that may be painted over (None for all).
        """
        if distance.size == 0:
            return
        kernels.paint(
            np.ascontiguousarray(distance, dtype=np.float32),
            self.top[box],
            self.under[box],
            self.share[box],
            self.organ[box],
            int(tissue),
            -1 if organ is None else int(organ),
            _table(over),
            self.spacing,
        )

    def tubes(
        self,
        segments: NDArray[np.float64],
        tissue: Tissue,
        organ: Organ | None = None,
        over: Iterable[Tissue] | None = None,
        grow: float = 0.0,
    ) -> None:
        """Paints round cone segments.

        Args:
            segments: ``(N, 8)`` rows x0, y0, z0, r0, x1, y1, z1, r1 in template mm.
            tissue: What is painted.
            organ: As in :meth:`paint`.
            over: As in :meth:`paint`.
            grow: Added to every radius, mm.
        """
        rows = np.ascontiguousarray(segments, dtype=np.float64)
        if rows.size == 0:
            return
        kernels.paint_tubes(
            rows,
            float(grow),
            self._boxes(rows[:, :3], rows[:, 4:7], np.maximum(rows[:, 3], rows[:, 7]) + grow),
            self.x,
            self.y,
            self.z,
            self.top,
            self.under,
            self.share,
            self.organ,
            int(tissue),
            -1 if organ is None else int(organ),
            _table(over),
            self.spacing,
        )

    def bands(
        self,
        nodes: NDArray[np.float64],
        tissue: Tissue,
        organ: Organ | None = None,
        over: Iterable[Tissue] | None = None,
        grow: float = 0.0,
    ) -> None:
        """Paints a flat tube (a rib, a cartilage) along nodes.

        Args:
            nodes: ``(N, 8)`` rows x, y, z, thin half-axis, wide half-axis, and the unit vector of the thin axis.
            tissue: What is painted.
            organ: As in :meth:`paint`.
            over: As in :meth:`paint`.
            grow: Added to both half-axes, mm.
        """
        rows = np.ascontiguousarray(nodes, dtype=np.float64)
        radius = rows[:, 3:5].max(axis=1)
        kernels.paint_bands(
            rows,
            float(grow),
            self._boxes(rows[:-1, :3], rows[1:, :3], np.maximum(radius[:-1], radius[1:]) + grow),
            self.x,
            self.y,
            self.z,
            self.top,
            self.under,
            self.share,
            self.organ,
            int(tissue),
            -1 if organ is None else int(organ),
            _table(over),
            self.spacing,
        )

    def _boxes(
        self, start: NDArray[np.float64], stop: NDArray[np.float64], radius: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Index ranges ``(N, 6)`` (z0, z1, y0, y1, x0, x1) that cover segments with a radius."""
        ends = self.warp.to_subject(np.vstack([start, stop]), 4).reshape(2, -1, 3)
        # the warp bends a long segment by a few per cent of its length
        margin = 1.1 * radius[:, None] + self.spacing + 1.0 + 0.06 * np.linalg.norm(stop - start, axis=1)[:, None]
        first = np.floor((ends.min(axis=0) - margin - self.grid.origin) / self.spacing).astype(np.int64)
        last = np.ceil((ends.max(axis=0) + margin - self.grid.origin) / self.spacing).astype(np.int64) + 1
        first, last = np.clip(first, 0, self.grid.size), np.clip(last, 0, self.grid.size)
        return np.column_stack([first[:, 2], last[:, 2], first[:, 1], last[:, 1], first[:, 0], last[:, 0]])

    def dominant(self) -> NDArray[np.uint8]:
        """The tissue that fills most of every voxel."""
        return np.where(self.share >= 128, self.top, self.under)


def _table(over: Iterable[Tissue] | None) -> NDArray[np.uint8]:
    """256 flags: may this tissue be painted over."""
    if over is None:
        return np.ones(256, np.uint8)
    table = np.zeros(256, np.uint8)
    table[[int(t) for t in over]] = 1
    return table
