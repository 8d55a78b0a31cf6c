"""Volumes through deformations: the moved image is read at displaced points, in one pass with the sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.warp import render_warped_with_sums
from regenv.imaging.case import Case
from regenv.imaging.renderer import ALL, Renderer
from regenv.imaging.view import View
from regenv.poses.base import PoseModel


class LatticeRenderer(Renderer):
    """Renders ``T(x) = A (x + u(x))`` with A given by the case and u by the lattice of a pose.

    Args:
        view: What is seen.
        lanes: Number of lanes, B.
        poses: The pose model.
        threads: Threads for more than one lane.
        device: The processor.
    """

    def __init__(
        self, view: View, lanes: int, poses: PoseModel, threads: int | None = None, device: str = "cpu"
    ) -> None:
        super().__init__(view, lanes, poses, threads)
        d = view.ndim
        self._directions = np.zeros((lanes, d, d))
        self._matrices = [np.zeros((lanes, d, d + 1)) for _ in self.levels]
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
        for matrices, (scale, offset), buffers in zip(self._matrices, self._lattice, self.levels, strict=True):
            render_warped_with_sums(
                self._addresses[lanes],
                self._shapes[lanes],
                matrices[lanes],
                self._directions[lanes],
                buffers.level.planes,
                lattices,
                scale,
                offset,
                self._backgrounds[lanes],
                buffers.moved[lanes],
                buffers.valid[lanes],
                buffers.fixed[lanes],
                buffers.mask[lanes],
                buffers.sums[lanes],
                buffers.moved_u8[lanes],
                threads=self.threads,
            )
