"""Overlap of label maps at a pose, on the view grid, by nearest neighbour."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import transform_points
from regenv.core.labels import nearest_labels
from regenv.core.models import MatrixModel, TransformModel
from regenv.envs.cases import Case
from regenv.envs.views import View
from regenv.errors import DataError


class LabelOverlap:
    """Dice of one case.

    Args:
        case: With label maps in its truth.
        view: Whose grid the labels are compared on.
        model: The transform model of the states.

    Raises:
        DataError: If the case has no label maps, or they share no label.
    """

    def __init__(self, case: Case, view: View, model: TransformModel) -> None:
        truth = case.truth
        if truth is None or truth.labels_fixed is None or truth.labels_moving is None or case.cameras:
            raise DataError(f"reward='dice' needs label maps on both images, and pair {case.id!r} has none")
        self._case, self._model = case, model
        self._labels = truth.labels_moving
        grid = view.grid(case.fixed_grid, view.levels[0])
        points = grid.points().reshape(-1, grid.ndim)
        fixed = nearest_labels(truth.labels_fixed, transform_points(case.fixed_grid.physical_to_index, points))
        self._values = np.setdiff1d(np.intersect1d(np.unique(fixed), np.unique(self._labels)), [0])
        if len(self._values) == 0:
            raise DataError(
                f"reward='dice': the label maps of pair {case.id!r} share no label: fixed has "
                f"{_values(fixed)} in the view, moving {_values(self._labels)}; give a structure the same value in both"
            )
        self._fixed, self._points = fixed, points
        self._local = transform_points(np.linalg.inv(case.frame), points)

    def mean_dice(self, state: NDArray[np.float64]) -> float:
        """Mean Dice coefficient at a pose, in [0, 1]."""
        moving_points = self._carried(state)
        moved = nearest_labels(self._labels, transform_points(self._case.moving_grid.physical_to_index, moving_points))
        scores = []
        for value in self._values:
            a, b = self._fixed == value, moved == value
            scores.append(2 * int((a & b).sum()) / (int(a.sum()) + int(b.sum())))
        return float(np.mean(scores))

    def _carried(self, state: NDArray[np.float64]) -> NDArray[np.float64]:
        if isinstance(self._model, MatrixModel):
            return transform_points(state, self._points)
        deformable: Any = self._model
        linear = (self._case.alignment @ self._case.frame)[:-1, :-1]
        return transform_points(self._case.alignment, self._points) + (
            deformable.displacement(state, self._local) @ linear.T
        )


def _values(labels: NDArray[Any]) -> list[int]:
    """The labels that there are."""
    return [int(value) for value in np.unique(labels) if value != 0]
