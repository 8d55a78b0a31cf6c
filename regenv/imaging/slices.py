"""Slices: the fixed image is a few thick slices of a volume, and the moved one is averaged over their thickness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.projection import windowed_sums
from regenv.core.resample import orthogonal_planes, render
from regenv.errors import DataError
from regenv.imaging.base import Imaging, ImagingWords
from regenv.imaging.case import Case
from regenv.imaging.renderer import ALL, LevelBuffers, Renderer
from regenv.imaging.view import SINGLE_VIEWS, View
from regenv.poses.base import PoseModel

SAMPLES = 5
"""Planes across the thickness of a slice whose mean is the moved slice."""


class SliceRenderer(Renderer):
    """Renders slices of a volume as thick as those of the fixed image, and where those lie.

    Args:
        view: What is seen; one plane for each slice.
        lanes: Number of lanes, B.
        poses: The pose model.
        threads: Threads for more than one lane.
        device: The processor.
    """

    def __init__(
        self, view: View, lanes: int, poses: PoseModel, threads: int | None = None, device: str = "cpu"
    ) -> None:
        super().__init__(view, lanes, poses, threads)
        self._centres = [np.zeros((lanes, len(b.level.planes), 3, 3)) for b in self.levels]
        self._planes = [np.zeros((lanes, len(b.level.planes) * SAMPLES, 3, 3)) for b in self.levels]
        self._raw = [np.zeros((*_times(b.moved.shape, SAMPLES),), np.float32) for b in self.levels]
        self._inside = [np.zeros((*_times(b.moved.shape, SAMPLES),), np.uint8) for b in self.levels]

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

    def render(self, poses: NDArray[np.float64], lanes: slice = ALL) -> None:
        """See :class:`Renderer`."""
        base = self._to_index[lanes] @ self._poses.matrices(poses[lanes])
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
