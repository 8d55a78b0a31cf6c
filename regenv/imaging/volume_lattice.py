"""Volumes through deformations: the moved image is read at displaced points, in one pass with the sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.warp import render_warped_with_sums
from regenv.imaging.case import Case
from regenv.imaging.renderer import ALL, Renderer


class LatticeRenderer(Renderer):
    """Renders ``T(x) = A (x + u(x))`` with A given by the case and u by the lattice of a pose."""

    def _prepare(self, device: str) -> None:
        d = self.view.ndim
        self._directions = np.zeros((self.lanes, d, d))
        self._matrices = [np.zeros((self.lanes, d, d + 1)) for _ in self.levels]
        self._lattice = [self._poses.lattice_scale_offset(buffers.local) for buffers in self.levels]

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Renderer`."""
        super().load(lane, case)
        d = self.view.ndim
        to_index = case.scene.moving_grid.physical_to_index @ case.scene.alignment
        self._directions[lane] = (to_index @ case.scene.frame)[:d, :d]
        for matrices, buffers in zip(self._matrices, self.levels, strict=True):
            matrices[lane] = (to_index @ buffers.to_physical[lane])[:d]

    def render(self, poses: NDArray[np.float64], lanes: slice = ALL) -> None:
        """See :class:`Renderer`."""
        lattices = self._poses.lattices(poses[lanes])
        images = (self._addresses[lanes], self._shapes[lanes])
        for matrices, (scale, offset), buffers in zip(self._matrices, self._lattice, self.levels, strict=True):
            where = (matrices[lanes], self._directions[lanes], buffers.level.planes, lattices, scale, offset)
            given = (*images, *where, self._backgrounds[lanes], *buffers.outputs(lanes))
            render_warped_with_sums(*given, threads=self.threads)
