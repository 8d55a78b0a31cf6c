"""Local swellings and pushes: how organs differ in size between subjects and move between two scans of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.synthesis.anatomy import swelling_kernels as kernels
from regenv.synthesis.anatomy.warp import Warp

Three = tuple[float, float, float]


@dataclass(frozen=True)
class Bump:
    """A displacement ``u(p) = (push + pull * q) g(|q / radii|)`` with ``q = p - centre``, in mm.

    ``g(r)`` is ``exp(-r^2 / 2)``, or if ``compact`` ``(1 - r^2)^3`` up to r = 1 and 0 beyond. Alone it is invertible
    where every ``pull`` lies between -1 and 1.5 and ``push`` is under half a radius.

    Attributes:
        centre: Where it is strongest.
        radii: How far it reaches along each axis.
        pull: Relative stretch of space at the centre along each axis: what a map *from* swollen anatomy to anatomy at
            rest needs is negative, as it reads nearer to the centre.
        push: Displacement at the centre.
        compact: Whether it ends at ``radii``.
    """

    centre: Three
    radii: Three
    pull: Three = (0.0, 0.0, 0.0)
    push: Three = (0.0, 0.0, 0.0)
    compact: bool = False

    @property
    def row(self) -> list[float]:
        """For the kernels: centre, inverse radii, pull, push, compact."""
        return [*self.centre, *(1.0 / r for r in self.radii), *self.pull, *self.push, float(self.compact)]


def displacement(bumps: Sequence[Bump], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of displacements at points ``(N, 3)``, mm."""
    out = np.zeros((len(points), 3))
    if bumps:
        kernels.at_points(np.ascontiguousarray(points, np.float64), np.array([b.row for b in bumps]), out)
    return out


def displaced(bumps: Sequence[Bump], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points ``(N, 3)`` with their displacement added, mm."""
    return points + displacement(bumps, points)


class SwollenWarp(Warp):
    """A :class:`Warp` with bumps added to its random displacement.

    Args:
        rng: As in :class:`Warp`.
        scale: As in :class:`Warp`.
        bumps: Added displacements, in subject mm.
        **kwargs: As in :class:`Warp`.
    """

    def __init__(self, rng: np.random.Generator, scale: Three, bumps: Sequence[Bump], **kwargs: float | Three) -> None:
        super().__init__(rng, scale, **kwargs)  # type: ignore[arg-type]
        self.bumps = tuple(bumps)

    def template_coordinates(self, grid: Grid) -> tuple[NDArray[np.float32], ...]:
        """As :meth:`Warp.template_coordinates`."""
        fields = super().template_coordinates(grid)
        rows = np.array([b.row for b in self.bumps]).reshape(-1, 13)
        kernels.on_grid(rows, np.asarray(grid.origin), np.asarray(grid.spacing), 1.0 / self.scale, *fields)
        return fields

    def displacement(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :meth:`Warp.displacement`."""
        return super().displacement(points) + displacement(self.bumps, points)

    def to_template(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Template positions ``(N, 3)`` of subject points."""
        return (points + self.displacement(points)) / self.scale


class PlaneWarp(SwollenWarp):
    """The in-plane part of a warp at one height, for a slab: template z is ``level`` plus the subject's.

    Args:
        rng: As in :class:`SwollenWarp`.
        scale: As in :class:`SwollenWarp`.
        bumps: As in :class:`SwollenWarp`.
        level: Template height of the subject's plane z = 0.
        **kwargs: As in :class:`SwollenWarp`.
    """

    def __init__(
        self, rng: np.random.Generator, scale: Three, bumps: Sequence[Bump], *, level: float, **kwargs: float | Three
    ) -> None:
        super().__init__(rng, (scale[0], scale[1], 1.0), bumps, **kwargs)
        self.level = level

    def template_coordinates(self, grid: Grid) -> tuple[NDArray[np.float32], ...]:
        """As :meth:`Warp.template_coordinates`."""
        origin = (*grid.origin[:2], self.level)
        plane = Grid((*grid.size[:2], 1), grid.spacing, origin, np.eye(3))
        x, y, _ = super().template_coordinates(plane)
        z = (self.level + grid.origin[2] + grid.spacing[2] * np.arange(grid.size[2])).astype(np.float32)
        return tuple(np.ascontiguousarray(np.broadcast_to(f, grid.shape)) for f in (x, y, z[:, None, None]))

    def displacement(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :meth:`Warp.displacement`."""
        plane = np.array(points, dtype=np.float64)
        plane[:, 2] = self.level
        out = super().displacement(plane)
        out[:, 2] = self.level
        return out
