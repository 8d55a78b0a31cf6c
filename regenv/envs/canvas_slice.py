"""A canvas for slices: the fixed image is a few thick slices, and the moved one is averaged over their thickness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.projection import windowed_sums
from regenv.core.resample import render
from regenv.envs.canvas import ALL, Canvas, LevelBuffers
from regenv.envs.cases import Case
from regenv.envs.views import View
from regenv.errors import DataError

SAMPLES = 5
"""Planes across the thickness of a slice whose mean is the moved slice."""


class SliceCanvas(Canvas):
    """Renders slices of a volume as thick as those of the fixed image, and where those lie.

    Args:
        view: What is seen; one plane for each slice.
        lanes: Number of lanes, B.
        threads: Threads for more than one lane.
    """

    def __init__(self, view: View, lanes: int, threads: int | None = None) -> None:
        super().__init__(view, lanes, threads)
        self._centres = [np.zeros((lanes, len(b.level.planes), 3, 3)) for b in self.levels]
        self._planes = [np.zeros((lanes, len(b.level.planes) * SAMPLES, 3, 3)) for b in self.levels]
        self._raw = [np.zeros((*_times(b.moved.shape, SAMPLES),), np.float32) for b in self.levels]
        self._inside = [np.zeros((*_times(b.moved.shape, SAMPLES),), np.uint8) for b in self.levels]

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Canvas`."""
        count, apart = case.fixed_grid.size[2], case.fixed_grid.spacing[2]
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
                planes[lane, s * SAMPLES : (s + 1) * SAMPLES, 0, 2] += across * case.slice_mm / spacing
        super().load(lane, case)

    def planes_of(self, buffers: LevelBuffers, lane: int) -> NDArray[np.float64]:
        """See :class:`Canvas`: the middle planes of the case's slices."""
        return self._centres[self.levels.index(buffers)][lane]

    def render(self, states: NDArray[np.float64], lanes: slice = ALL) -> None:
        """See :class:`Canvas`."""
        base = self._to_index[lanes] @ states[lanes]
        count = len(base)
        zero, one = np.zeros(count, np.float32), np.ones(count, np.float32)
        for k, buffers in enumerate(self.levels):
            raw, inside = self._raw[k][lanes], self._inside[k][lanes]
            matrices = np.ascontiguousarray((base @ buffers.to_physical[lanes])[:, :3])
            render(
                self._addresses[lanes],
                self._shapes[lanes],
                matrices,
                self._planes[k][lanes],
                self._backgrounds[lanes],
                raw,
                inside,
                threads=self.threads,
            )
            shape = buffers.moved[lanes].shape
            slabs = raw.reshape(count, shape[1], SAMPLES, *shape[2:]).mean(axis=2)
            middle = inside.reshape(count, shape[1], SAMPLES, *shape[2:])[:, :, SAMPLES // 2]
            buffers.valid[lanes] = middle
            windowed_sums(
                np.ascontiguousarray(slabs),
                buffers.valid[lanes],
                zero,
                one,
                self._backgrounds[lanes],
                buffers.fixed[lanes],
                buffers.mask[lanes],
                buffers.moved[lanes],
                buffers.moved_u8[lanes],
                buffers.sums[lanes],
                threads=self.threads,
            )


def _times(shape: tuple[int, ...], samples: int) -> tuple[int, ...]:
    return (shape[0], shape[1] * samples, *shape[2:])
