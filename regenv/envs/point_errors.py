"""The error of many lanes at once: how far their poses leave points from where they belong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.envs.cases import Case


class PointErrors:
    """Mean TRE of many lanes at once; each lane has its own points, padded to the longest.

    Seen by one X-ray camera, the part of the error along the detector's normal is left out: that is mTREproj (van de
    Kraats et al., IEEE Trans. Med. Imaging 24 (2005) 1177-1189).

    Args:
        lanes: Number of lanes, B.
        ndim: 2 or 3.

    Attributes:
        known: ``(B,)`` whether the lane's truth is known and not withheld.
    """

    def __init__(self, lanes: int, ndim: int) -> None:
        self.known = np.zeros(lanes, dtype=bool)
        self._points = np.zeros((lanes, 0, ndim + 1))
        self._targets = np.zeros((lanes, 0, ndim))
        self._weights = np.zeros((lanes, 0))
        self._normals = np.zeros((lanes, ndim))

    def load(self, lane: int, case: Case) -> None:
        """Gives a lane the points of its new case."""
        privileged = case.privileged
        self.known[lane] = privileged is not None
        self._normals[lane] = case.frame[:-1, -2] if case.projects else 0.0
        if privileged is None:
            return
        count = len(privileged.points)
        if count > self._weights.shape[1]:
            more = ((0, 0), (0, count - self._weights.shape[1]))
            self._points = np.pad(self._points, (*more, (0, 0)))
            self._targets = np.pad(self._targets, (*more, (0, 0)))
            self._weights = np.pad(self._weights, more)
        self._points[lane, :count] = np.pad(privileged.points, ((0, 0), (0, 1)), constant_values=1.0)
        self._targets[lane, :count] = privileged.true_points
        self._weights[lane] = 0.0
        self._weights[lane, :count] = 1.0 / count

    def mean(self, transforms: NDArray[np.float64], lanes: slice) -> NDArray[np.float64]:
        """Mean distance in mm ``(B,)`` of the points, carried by ``(B, d + 1, d + 1)``, from where they belong."""
        error = self._points[lanes] @ np.swapaxes(transforms[:, :-1], 1, 2)
        error -= self._targets[lanes]
        if self._normals[lanes].any():
            normals = np.einsum("bij,bj->bi", transforms[:, :-1, :-1], self._normals[lanes])  # in the moving image
            error -= np.einsum("bni,bi->bn", error, normals)[..., None] * normals[:, None]
        return np.einsum("bn,bn->b", np.sqrt(np.einsum("bni,bni->bn", error, error)), self._weights[lanes])
