"""Smooth random fields and the invertible warp that makes subjects differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.synthesis.anatomy import kernels
from regenv.synthesis.anatomy.points import lattice

_TILE = 64


def smooth_noise(rng: np.random.Generator, grid: Grid, scale_mm: float) -> NDArray[np.float32]:
    """A random field of unit variance and about ``scale_mm`` correlation length, on an axis-aligned grid.

    The field is a cubic B-spline over a tile of random knots that repeats every 64 knots: it is the same function of
    space whatever the grid, and costs the same few numbers.

    Args:
        rng: Source of randomness.
        grid: Where the field is evaluated.
        scale_mm: Distance between knots.

    Returns:
        float32 of ``grid.shape``.
    """
    tile = rng.standard_normal((_TILE, _TILE, _TILE), dtype=np.float32) * np.float32(1 / 0.325)
    first = np.floor(np.asarray(grid.origin) / scale_mm).astype(int) - 2
    count = np.ceil(np.asarray(grid.extent) / scale_mm).astype(int) + 6
    for axis, xyz in ((0, 2), (1, 1), (2, 0)):
        tile = np.take(tile, np.arange(first[xyz], first[xyz] + count[xyz]), axis=axis, mode="wrap")
    return evaluate_lattice(tile, grid, (first + 2.0) * scale_mm, scale_mm)


def evaluate_lattice(
    lattice: NDArray[np.float32], grid: Grid, origin: NDArray[np.float64], knot_mm: float
) -> NDArray[np.float32]:
    """A cubic B-spline on an axis-aligned grid.

    Args:
        lattice: ``(z, y, x)`` knots.
        grid: Where it is evaluated.
        origin: Position ``(3,)`` of knot 2 of each axis, mm.
        knot_mm: Distance of the knots.

    Returns:
        float32 of ``grid.shape``.

    Raises:
        ValueError: If the grid leaves the region on which the spline is defined.
    """
    out = np.empty(grid.shape, np.float32)
    start = (np.asarray(grid.origin) - origin) / knot_mm + 2.0
    last = np.asarray(lattice.shape[::-1]) - 3.001
    step = np.asarray(grid.spacing) / knot_mm
    end = start + step * (np.asarray(grid.size) - 1)
    if np.any(start < 1.0) or np.any(end > last):
        raise ValueError(f"the grid from {grid.origin} mm of {grid.size} voxels leaves the lattice's region")
    kernels.upsample(lattice, start, step, out)
    return out


class Warp:
    """Subject to template coordinates: ``template = (p + u(p)) / scale``.

    Args:
        rng: Source of the displacement.
        scale: Size of the subject relative to the template along (x, y, z).
        amplitude_mm: Standard deviation of the displacement.
        knot_mm: Knot distance of its B-spline lattice. The field is invertible while ``amplitude_mm`` is under about a
            tenth of it; Choi and Lee, Graph. Models 62 (2000) 411-427, have the conditions on single knots.
        lo: Lower corner of the region of space that the warp is defined on.
        hi: Upper corner.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        scale: tuple[float, float, float],
        amplitude_mm: float = 3.5,
        knot_mm: float = 60.0,
        lo: tuple[float, float, float] = (-300.0, -300.0, -520.0),
        hi: tuple[float, float, float] = (300.0, 300.0, 520.0),
    ) -> None:
        self.scale = np.asarray(scale, dtype=np.float64)
        self.knot_mm = knot_mm
        self.origin = np.asarray(lo, dtype=np.float64)
        knots = np.ceil((np.asarray(hi) - self.origin) / knot_mm).astype(int) + 5
        drawn = rng.standard_normal((3, *knots[::-1])).astype(np.float32) * np.float32(amplitude_mm / 0.325)
        limit = 6.0 * amplitude_mm
        self.lattices = np.clip(drawn, -limit, limit)

    def template_coordinates(self, grid: Grid) -> tuple[NDArray[np.float32], ...]:
        """Template x, y, z of every voxel of an axis-aligned grid in subject space."""
        index = [np.arange(n, dtype=np.float64) for n in grid.size]
        axes = [grid.origin[a] + grid.spacing[a] * index[a] for a in range(3)]
        shapes = [(1, 1, -1), (1, -1, 1), (-1, 1, 1)]
        fields = []
        for a in range(3):
            u = evaluate_lattice(self.lattices[a], grid, self.origin, self.knot_mm)
            u += axes[a].astype(np.float32).reshape(shapes[a])
            u *= np.float32(1.0 / self.scale[a])
            fields.append(u)
        return tuple(fields)

    def displacement(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """U at subject points ``(N, 3)``, mm; held at the border of the region."""
        out = np.empty((len(points), 3))
        kernels.displace(np.ascontiguousarray(points, np.float64), self.lattices, self.origin, self.knot_mm, out)
        return out

    def to_subject(self, template_points: NDArray[np.float64], iterations: int = 30) -> NDArray[np.float64]:
        """Subject positions ``(N, 3)`` of template points, by fixed-point iteration."""
        target = np.atleast_2d(np.asarray(template_points, dtype=np.float64)) * self.scale
        points = target.copy()
        for _ in range(iterations):
            points = target - self.displacement(points)
        return points

    def bounds(
        self, lo: NDArray[np.float64], hi: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A subject box that covers a template box."""
        steps = [np.linspace(a, b, int(np.ceil((b - a) / 45.0)) + 1) for a, b in zip(lo, hi, strict=True)]
        points = self.to_subject(lattice(*steps), 4)
        return points.min(axis=0) - 3.0, points.max(axis=0) + 3.0
