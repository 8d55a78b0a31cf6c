"""Volumes through deformations: the moved image is read at displaced points, in one pass with the sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.lanes import ALL, Lanes, lane_numbers, worth_threads
from regenv.core.warp import render_warped_with_sums
from regenv.imaging.case import Case
from regenv.imaging.renderer import Renderer

_NANOSECONDS_OF_A_LATTICE = 600


class LatticeRenderer(Renderer):
    """Renders ``T(x) = A (x + u(x))`` with A given by the case and u by the lattice of a pose."""

    def _prepare(self, device: str) -> None:
        d = self.view.ndim
        self._directions = np.zeros((self.lanes, d, d))
        self._lattices = np.zeros((self.lanes, *self._poses.lattice_shape), np.float32)
        self._lattice = [self._poses.lattice_scale_offset(buffers.local) for buffers in self.levels]

    @property
    def of_case(self) -> list[NDArray]:
        """See :class:`Renderer`."""
        return [*super().of_case, self._directions, *self._matrices]

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Renderer`."""
        super().load(lane, case)
        d = self.view.ndim
        to_index = case.scene.moving_grid.physical_to_index @ case.scene.alignment
        self._directions[lane] = (to_index @ case.scene.frame)[:d, :d]
        for matrices, buffers in zip(self._matrices, self.levels, strict=True):
            matrices[lane] = (to_index @ buffers.to_physical[lane])[:d]

    def render(self, poses: NDArray[np.float64], lanes: Lanes = ALL) -> None:
        """See :class:`Renderer`."""
        images, some = (self._addresses, self._shapes), lane_numbers(lanes, self.lanes)
        threads = self._threads(some)
        few = worth_threads(threads, _NANOSECONDS_OF_A_LATTICE * self.lanes)
        self._poses.lattices(poses, out=self._lattices, threads=few, lanes=some)
        for matrices, (scale, offset), buffers in zip(self._matrices, self._lattice, self.levels, strict=True):
            where = (matrices, self._directions, buffers.level.planes, self._lattices, scale, offset)
            given = (*images, *where, self._backgrounds, *buffers.outputs)
            render_warped_with_sums(*given, threads=threads, lanes=some, then=self._then(buffers))
