"""Slices: the fixed image is a few thick slices of a volume, and the moved one is averaged over their thickness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.lanes import ALL, Lanes, lane_numbers, run_lanes
from regenv.core.resample import orthogonal_planes, render
from regenv.errors import DataError
from regenv.imaging.base import Imaging, ImagingWords
from regenv.imaging.case import Case
from regenv.imaging.renderer import LevelBuffers, Renderer
from regenv.imaging.view import SINGLE_VIEWS

SAMPLES = 5
"""Planes across the thickness of a slice whose mean is the moved slice."""


class SliceRenderer(Renderer):
    """Renders slices of a volume as thick as those of the fixed image, and where those lie; one plane for each."""

    nanoseconds = SAMPLES * Renderer.nanoseconds

    def _prepare(self, device: str) -> None:
        self._centres = [np.zeros((self.lanes, len(b.level.planes), 3, 3)) for b in self.levels]
        self._planes = [np.repeat(centres, SAMPLES, axis=1) for centres in self._centres]
        self._raw = [np.repeat(buffers.moved, SAMPLES, axis=1) for buffers in self.levels]
        self._inside = [np.repeat(buffers.valid, SAMPLES, axis=1) for buffers in self.levels]
        self._slabs = [buffers.moved.copy() for buffers in self.levels]

    @property
    def of_case(self) -> list[NDArray]:
        """See :class:`Renderer`."""
        return [*super().of_case, *self._centres, *self._planes]

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Renderer`."""
        grid = case.scene.fixed_grid
        count, apart = grid.size[2], grid.spacing[2]
        for centres, planes, buffers in zip(self._centres, self._planes, self.levels, strict=True):
            if count != len(buffers.level.planes):
                raise DataError(
                    f"pair {case.id!r} has {count} slices, this environment shows {len(buffers.level.planes)}; give a "
                    "fixed image of as many"
                )
            spacing, middle = float(buffers.local[0, 0]), -float(buffers.local[0, 3]) / float(buffers.local[0, 0])
            across = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
            centres[lane] = buffers.level.planes
            for s in range(count):
                depth = (s - (count - 1) / 2) * apart
                centres[lane, s, 0, 2] = middle + depth / spacing
                planes[lane, s * SAMPLES : (s + 1) * SAMPLES] = centres[lane, s]
                planes[lane, s * SAMPLES : (s + 1) * SAMPLES, 0, 2] += across * case.scene.slice_mm / spacing
        super().load(lane, case)

    def planes_of(self, buffers: LevelBuffers, lane: int) -> NDArray[np.float64]:
        """See :class:`Renderer`: the middle planes of the case's slices."""
        return self._centres[self.levels.index(buffers)][lane]

    def render(self, poses: NDArray[np.float64], lanes: Lanes = ALL) -> None:
        """See :class:`Renderer`."""
        some, backgrounds = lane_numbers(lanes, self.lanes), self._backgrounds
        threads = self._threads(some)
        zero, one = np.zeros_like(backgrounds), np.ones_like(backgrounds)
        self._place(poses, lanes)
        for k, buffers in enumerate(self.levels):
            given = (self._addresses, self._shapes, self._matrices[k], self._planes[k], backgrounds)
            raw, inside, slabs = self._raw[k], self._inside[k], self._slabs[k]
            render(*given, raw, inside, threads=threads, lanes=some)
            run_lanes(_average, some, raw, inside, slabs, buffers.valid, threads=threads)
            buffers.window(slabs, zero, one, backgrounds, some, threads, self._then(buffers))


def _average(
    start: int,
    stop: int,
    raw: NDArray[np.float32],
    inside: NDArray[np.uint8],
    slabs: NDArray[np.float32],
    valid: NDArray[np.uint8],
) -> None:
    """Slabs ``(B, S, H, W)`` of some lanes from their samples ``(B, S * SAMPLES, H, W)``; valid where the middle is."""
    valid[start:stop] = inside[start:stop, SAMPLES // 2 :: SAMPLES]
    samples = raw[start:stop].reshape(stop - start, -1, SAMPLES, *raw.shape[2:])
    np.mean(samples, axis=2, out=slabs[start:stop])


class Slices(Imaging):
    """Slices of the moving volume where the pose puts the fixed ones."""

    name = "slice"
    noun = "slice"
    slabs = True
    words = ImagingWords(
        shown="slice",
        moved="; the moved image is a slice of the moving volume where T puts the fixed one, averaged over its "
        "thickness, always from the original volume.",
        about="the centre of the view and along its axes",
    )
    renderers = {("matrix", "cpu"): "regenv.imaging.slices:SliceRenderer"}

    def observations(self, ndim: int) -> tuple[str, ...]:
        """See :class:`regenv.imaging.base.Imaging`."""
        return SINGLE_VIEWS

    def planes(self, ndim: int, size: int, volumetric: bool, count: int) -> NDArray[np.float64]:
        """See :class:`regenv.imaging.base.Imaging`; where they lie along the normal depends on the case."""
        return np.repeat(orthogonal_planes((size,) * 3)[:1], count, axis=0)


IMAGING = Slices()
