"""Smooth random fields and the invertible warp that makes subjects differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.data.anatomy import kernels


def smooth_noise(
    rng: np.random.Generator, grid: Grid, scale_mm: float, region: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> NDArray[np.float32]:
    """A random field of unit variance and about ``scale_mm`` correlation length, on an axis-aligned grid.

    Args:
        rng: Source of randomness; the number of draws depends on ``region`` and ``scale_mm`` alone, so that the field
            is the same in space whatever the grid.
        grid: Where the field is evaluated, inside ``region``.
        scale_mm: Distance between the knots of the cubic B-spline lattice.
        region: Lower and upper corner (x, y, z) of the space over which the field is drawn.

    Returns:
        float32 of ``grid.shape``.
    """
    lo, hi = region
    knots = np.ceil((np.asarray(hi) - np.asarray(lo)) / scale_mm).astype(int) + 5
    lattice = rng.standard_normal(tuple(knots[::-1]), dtype=np.float32)
    return evaluate_lattice(lattice, grid, np.asarray(lo), scale_mm) * np.float32(1 / 0.325)


def evaluate_lattice(
    lattice: NDArray[np.float32], grid: Grid, origin: NDArray[np.float64], knot_mm: float
) -> NDArray[np.float32]:
    """A cubic B-spline lattice, whose knot 2 lies at ``origin``, on an axis-aligned grid."""
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
            tenth of it.
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
        self.reach = float(np.abs(self.lattices).max()) * 0.8 if amplitude_mm > 0 else 0.0

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
        """u at subject points ``(N, 3)``, mm."""
        position = (points - self.origin) / self.knot_mm + 2.0
        base = np.floor(position).astype(int)
        t = position - base
        weights = np.stack(
            [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=-1
        ) / 6.0
        out = np.zeros((len(points), 3))
        for n in range(len(points)):
            i, j, k = base[n] - 1
            block = self.lattices[:, k : k + 4, j : j + 4, i : i + 4]
            out[n] = np.einsum("czyx,z,y,x->c", block, weights[n, 2], weights[n, 1], weights[n, 0])
        return out

    def to_subject(self, template_points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Subject positions ``(N, 3)`` of template points, by fixed-point iteration."""
        target = np.atleast_2d(np.asarray(template_points, dtype=np.float64)) * self.scale
        points = target.copy()
        for _ in range(30):
            points = target - self.displacement(points)
        return points
