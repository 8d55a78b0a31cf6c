"""What is left to do from a pose to the truth, as a greedy expert wants to know it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from regenv.core.models import MatrixModel


class Remaining(Protocol):
    """What is left to do from one pose."""

    @property
    def coefficients(self) -> NDArray[np.float64]:
        """``(K,)`` steps that would lead to the truth, or to the best that the model can do."""
        ...

    def errors(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean distance in mm ``(A,)`` of the points from where they belong, after each of the steps ``(A, K)``."""
        ...


class MatrixRemaining:
    """Of a matrix group.

    Args:
        model: The group.
        residual: ``(d + 1, d + 1)``, ``F^-1 T^-1 T_true F``: what is left to do in the view's frame.
        points: ``(N, d)`` fixed points in the view's frame.
    """

    def __init__(self, model: MatrixModel, residual: NDArray[np.float64], points: NDArray[np.float64]) -> None:
        self._model = model
        self._residual = residual
        self._points = points

    @property
    def coefficients(self) -> NDArray[np.float64]:
        """See :class:`Remaining`."""
        return self._model.log(self._residual[None], nearest=True)[0]

    def errors(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :class:`Remaining`."""
        d = self._points.shape[1]
        after = self._model.exp(-steps) @ self._residual
        moved = self._points @ np.swapaxes(after[:, :d, :d], 1, 2) + after[:, None, :d, d] - self._points
        return np.sqrt((moved**2).sum(-1)).mean(-1)
