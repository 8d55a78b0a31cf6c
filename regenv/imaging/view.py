"""Views: which samples of the fixed frame an agent sees, and how they are stacked into an observation.

A view is one or more *levels*. A level is a stack of planes on a regular view grid about the fixed image's centre;
three orthogonal slices and a whole volume differ only in their planes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.lanes import run_lanes, worth_threads
from regenv.errors import near_miss

_NANOSECONDS_OF_A_BYTE = 0.1


@dataclass(frozen=True, eq=False)
class Level:
    """Planes at one resolution.

    Attributes:
        planes: ``(S, 3, d)``: origin, row step and column step of each plane, in indices of the view grid.
        size: Pixels along each side of a plane.
        zoom: The view grid's spacing is divided by this.
    """

    planes: NDArray[np.float64]
    size: int
    zoom: float = 1.0


@dataclass(frozen=True, eq=False)
class View:
    """What is rendered of either image, and how it becomes an observation.

    Attributes:
        name: The keyword's value.
        ndim: Of the view grid: 2 for images and for radiographs, 3 for volumes and their slices.
        size: Voxels along each side of the view grid.
        spacing_mm: Spacing of the view grid at zoom 1.
        levels: Coarse first; similarities are computed on the first.
        volumetric: Whether a level's planes are the slices of one volume.
        difference: Whether the agent sees moved minus fixed instead of both.
        orthogonal: Whether the planes are the three slices through the middle of a volume.
        channels_last: Whether the channels of an observation are its last axis instead of its first.
    """

    name: str
    ndim: int
    size: int
    spacing_mm: float
    levels: tuple[Level, ...]
    volumetric: bool
    difference: bool = False
    orthogonal: bool = False
    channels_last: bool = False

    @property
    def extent_mm(self) -> float:
        """Width of the coarsest view."""
        return self.size * self.spacing_mm

    @property
    def channels(self) -> int:
        """Of an observation: planes, or volumes, of both images or of their difference."""
        of_one = len(self.levels) if self.volumetric else sum(len(level.planes) for level in self.levels)
        return of_one * (1 if self.difference else 2)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an observation."""
        return (*self._sides, self.channels) if self.channels_last else (self.channels, *self._sides)

    @property
    def _sides(self) -> tuple[int, ...]:
        return (self.levels[0].size,) * (3 if self.volumetric else 2)

    def grid(self, fixed: Grid, level: Level) -> Grid:
        """The view grid of a level: along the fixed grid's axes, about its centre."""
        spacing = (self.spacing_mm / level.zoom,) * self.ndim
        return Grid.centred((self.size,) * self.ndim, spacing, fixed.centre, fixed.direction)

    def local(self, level: Level) -> NDArray[np.float64]:
        """``(d + 1, d + 1)`` matrix from indices of the view grid to mm about its centre; the same for every case."""
        matrix = np.eye(self.ndim + 1)
        spacing = self.spacing_mm / level.zoom
        matrix[: self.ndim, : self.ndim] *= spacing
        matrix[: self.ndim, self.ndim] = -(self.size - 1) / 2 * spacing
        return matrix

    def detector_planes(self, level: Level) -> NDArray[np.float64]:
        """Planes ``(S, 3, 2)`` of a level of a 2-D view in mm about the middle of a detector."""
        local = self.local(level)
        planes = level.planes * local[0, 0]
        planes[:, 0] += local[:2, 2]
        return planes

    def stack(
        self, fixed: list[NDArray], moved: list[NDArray], lanes: NDArray[np.intp], threads: int | None = 1
    ) -> NDArray:
        """Observations of some lanes from the rendered levels of both images.

        Args:
            fixed: ``(B, S, H, W)`` for each level.
            moved: Alike.
            lanes: ``(N,)`` numbers of the lanes.
            threads: Threads over lanes.

        Returns:
            ``(N, *shape)``, a fresh array.
        """
        out = np.empty((len(lanes), *self.shape), fixed[0].dtype)
        channels = np.moveaxis(out, -1, 1) if self.channels_last else out
        threads = worth_threads(threads, out.nbytes * _NANOSECONDS_OF_A_BYTE)

        def fill(start: int, stop: int) -> None:
            numbers = lanes[start:stop]
            first, last = numbers[0], numbers[-1]
            # neighbours are read where they are
            some = slice(first, last + 1) if len(numbers) == last + 1 - first else numbers
            f, m = ([level[some] for level in levels] for levels in (fixed, moved))
            # Half grey is no difference; rounding up keeps the full range of both signs in eight bits.
            parts = [_signed_difference(a, b) for a, b in zip(f, m, strict=True)] if self.difference else [*f, *m]
            channel = 0
            for part in parts:
                part = part.reshape(len(part), -1, *self._sides)
                channels[start:stop, channel : channel + part.shape[1]] = part
                channel += part.shape[1]

        run_lanes(fill, len(lanes), threads=threads)
        return out


def _signed_difference(fixed: NDArray, moved: NDArray) -> NDArray:
    if fixed.dtype == np.uint8:
        return ((moved.astype(np.int16) - fixed.astype(np.int16) + 256) // 2).clip(0, 255).astype(np.uint8)
    return (moved - fixed) * np.float32(0.5) + np.float32(0.5)


# name -> (volumetric, difference, zooms)
VIEWS: dict[str, tuple[bool, bool, tuple[float, ...]]] = {
    "slices": (False, False, (1.0,)),
    "volume": (True, False, (1.0,)),
    "difference": (False, True, (1.0,)),
    "volume_difference": (True, True, (1.0,)),
    "zoom": (False, False, (1.0, 2.0)),
    "volume_zoom": (True, False, (1.0, 2.0)),
}


SINGLE_VIEWS = ("slices", "difference", "zoom")
"""Those of single images: 2-D, slices, radiographs, depth maps."""


def check_view(name: str, size: int, spacing_mm: float) -> None:
    """Raises ValueError on the name of no view, or on a size or spacing out of range."""
    if name not in VIEWS:
        raise ValueError(f"unknown observation {name!r}; {near_miss(name, VIEWS)}")
    if size < 8 or int(size) != size:
        raise ValueError(f"view_size must be a whole number of at least 8, got {size}")
    if not 0 < spacing_mm < 1000:
        raise ValueError(f"view_spacing_mm must be positive (mm), got {spacing_mm}")
