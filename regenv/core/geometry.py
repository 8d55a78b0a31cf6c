"""Regular grids in physical space, with ITK's conventions.

Physical space is LPS in millimetres. Points and vectors are ``(x, y[, z])``; arrays are indexed ``[z, y, x]``.
A homogeneous matrix has shape ``(d + 1, d + 1)`` and acts on column vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular, possibly anisotropic and oblique, 2-D or 3-D grid of voxel centres.

    Attributes:
        size: Voxels along ``(x, y[, z])``.
        spacing: Millimetres between voxel centres along each axis.
        origin: Physical position of the centre of voxel 0, in mm.
        direction: ``(d, d)`` orthonormal matrix whose columns are the physical directions of the axes.

    Raises:
        ValueError: If the sizes disagree, a spacing is not positive, or the direction is not orthonormal.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: FloatArray

    def __post_init__(self) -> None:
        d = len(self.size)
        object.__setattr__(self, "size", tuple(int(n) for n in self.size))
        object.__setattr__(self, "spacing", tuple(float(s) for s in self.spacing))
        object.__setattr__(self, "origin", tuple(float(o) for o in self.origin))
        if d not in (2, 3):
            raise ValueError(f"a grid has 2 or 3 axes, got size {self.size}")
        direction = np.array(self.direction, dtype=np.float64)
        if direction.size != d * d:
            raise ValueError(f"direction must be a ({d}, {d}) matrix, got shape {direction.shape}")
        direction = direction.reshape(d, d)
        direction.setflags(write=False)
        object.__setattr__(self, "direction", direction)
        if len(self.spacing) != d or len(self.origin) != d:
            raise ValueError(f"size {self.size}, spacing {self.spacing} and origin {self.origin} differ in length")
        if min(self.size) < 1:
            raise ValueError(f"every axis needs at least one voxel, got size {self.size}")
        if not all(np.isfinite(self.spacing)) or min(self.spacing) <= 0:
            raise ValueError(f"spacing must be positive and finite, got {self.spacing} mm")
        if not np.all(np.isfinite(self.origin)):
            raise ValueError(f"origin must be finite, got {self.origin} mm")
        if not np.allclose(direction @ direction.T, np.eye(d), atol=1e-3):
            raise ValueError(f"direction must be orthonormal, got {direction.tolist()}")

    @classmethod
    def centred(
        cls,
        size: Sequence[int],
        spacing: Sequence[float],
        centre: ArrayLike | None = None,
        direction: ArrayLike | None = None,
    ) -> Grid:
        """The grid of ``size`` and ``spacing`` whose middle lies at ``centre`` (mm, default 0)."""
        d = len(size)
        axes = np.eye(d) if direction is None else np.asarray(direction, dtype=np.float64)
        middle = np.zeros(d) if centre is None else np.asarray(centre, dtype=np.float64)
        half = (np.asarray(size, dtype=np.float64) - 1) / 2 * np.asarray(spacing, dtype=np.float64)
        return cls(tuple(size), tuple(spacing), tuple(middle - axes @ half), axes)

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return len(self.size)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape, ``(z, y, x)``."""
        return self.size[::-1]

    @cached_property
    def index_to_physical(self) -> FloatArray:
        """``(d + 1, d + 1)`` matrix from continuous index ``(x, y[, z])`` to mm."""
        d = self.ndim
        matrix = np.eye(d + 1)
        matrix[:d, :d] = self.direction * np.asarray(self.spacing)
        matrix[:d, d] = self.origin
        return matrix

    @cached_property
    def physical_to_index(self) -> FloatArray:
        """Inverse of :attr:`index_to_physical`."""
        return np.asarray(np.linalg.inv(self.index_to_physical), dtype=np.float64)

    @cached_property
    def centre(self) -> FloatArray:
        """Physical position of the middle of the grid, ``(d,)`` mm."""
        return transform_points(self.index_to_physical, (np.asarray(self.size, dtype=np.float64) - 1) / 2)

    @property
    def extent(self) -> FloatArray:
        """Millimetres covered along each axis, voxel edges included, ``(d,)``."""
        return np.asarray(self.size, dtype=np.float64) * np.asarray(self.spacing, dtype=np.float64)

    @cached_property
    def frame(self) -> FloatArray:
        """``(d + 1, d + 1)`` matrix from mm along the grid's axes about its centre to physical mm."""
        d = self.ndim
        matrix = np.eye(d + 1)
        matrix[:d, :d] = self.direction
        matrix[:d, d] = self.centre
        return matrix

    def points(self) -> FloatArray:
        """Physical positions of all voxel centres, ``shape + (d,)``."""
        index = np.stack(np.meshgrid(*[np.arange(n) for n in self.shape], indexing="ij")[::-1], axis=-1)
        return transform_points(self.index_to_physical, index.astype(np.float64))

    def corners(self) -> FloatArray:
        """Physical positions of the outermost voxel centres, ``(2**d, d)`` mm."""
        ends = np.meshgrid(*[(0.0, n - 1.0) for n in self.size], indexing="ij")
        return transform_points(self.index_to_physical, np.stack(ends, axis=-1).reshape(-1, self.ndim))

    def crop(self, start: Sequence[int], size: Sequence[int]) -> Grid:
        """The sub-grid of ``size`` voxels that begins at voxel ``start``, both ``(x, y[, z])``."""
        origin = transform_points(self.index_to_physical, np.asarray(start, dtype=np.float64))
        return Grid(tuple(size), self.spacing, tuple(origin), self.direction)

    def refined(self, spacing_mm: float) -> Grid:
        """A grid between the same outermost points whose spacing is at most ``spacing_mm``."""
        cells = np.asarray(self.size) - 1
        finer = np.where(cells > 0, cells * np.ceil(np.asarray(self.spacing) / spacing_mm), 0)
        spacing = np.where(finer > 0, cells * np.asarray(self.spacing) / np.maximum(finer, 1), self.spacing)
        return Grid(tuple(int(n) + 1 for n in finer), tuple(spacing.tolist()), self.origin, self.direction)

    def moved_by(self, matrix: ArrayLike) -> Grid:
        """The same grid after a rigid ``(d + 1, d + 1)`` motion of physical space."""
        motion = np.asarray(matrix, dtype=np.float64)
        d = self.ndim
        return Grid(
            self.size,
            self.spacing,
            tuple(transform_points(motion, np.asarray(self.origin))),
            motion[:d, :d] @ self.direction,
        )


def transform_points(matrix: ArrayLike, points: ArrayLike) -> FloatArray:
    """Applies a ``(d + 1, d + 1)`` matrix to points ``(..., d)``; batched matrices need ``(B, N, d)`` points."""
    m = np.asarray(matrix, dtype=np.float64)
    p = np.asarray(points, dtype=np.float64)
    d = m.shape[-1] - 1
    if p.shape[-1] != d:
        raise ValueError(f"a {d}-D transform cannot map points of {p.shape[-1]} coordinates")
    if m.ndim == 2:
        return p @ m[:d, :d].T + m[:d, d]
    return np.einsum("bij,bnj->bni", m[:, :d, :d], p) + m[:, None, :d, d]
