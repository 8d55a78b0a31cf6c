"""A canvas for statistical deformations: the moved image is read at displaced points, in one pass with the sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.warp import render_warped_with_sums
from regenv.envs.canvas import ALL, Canvas
from regenv.envs.cases import Case
from regenv.envs.views import View


class DeformationCanvas(Canvas):
    """Renders ``T(x) = A (x + u(x))`` with A given by the case and u by the coefficients of the model.

    Args:
        view: What is seen.
        lanes: Number of lanes, B.
        threads: Threads for more than one lane.
        model: The :class:`regenv.core.deformation.StatisticalDeformation`.
    """

    def __init__(self, view: View, lanes: int, threads: int | None, model: Any) -> None:
        super().__init__(view, lanes, threads)
        d = view.ndim
        self._model = model
        self._directions = np.zeros((lanes, d, d))
        self._matrices = [np.zeros((lanes, d, d + 1)) for _ in self.levels]
        self._lattice = [model.lattice_scale_offset(buffers.local) for buffers in self.levels]

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Canvas`."""
        super().load(lane, case)
        d = self.view.ndim
        to_index = case.moving_grid.physical_to_index @ case.alignment
        self._directions[lane] = (to_index @ case.frame)[:d, :d]
        for matrices, buffers in zip(self._matrices, self.levels, strict=True):
            matrices[lane] = (to_index @ buffers.to_physical[lane])[:d]

    def render(self, states: NDArray[np.float64], lanes: slice = ALL) -> None:
        """See :class:`Canvas`; states are coefficients ``(B, K)``."""
        lattices = self._model.lattices(states[lanes])
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
