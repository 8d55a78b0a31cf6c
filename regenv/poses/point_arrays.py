"""Points of many cases side by side, as many as each case has, for kernels that read them by address."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray
from regenv.core.lanes import Lanes


class PointArrays:
    """Two float64 arrays for each of B lanes.

    Args:
        lanes: Number of lanes, B.
    """

    def __init__(self, lanes: int) -> None:
        self._counts = np.zeros(lanes, np.int64)
        self._addresses = np.zeros((2, lanes), np.int64)
        self._held = np.full(lanes, None, dtype=object)  # what the addresses point into

    @property
    def of_case(self) -> list[NDArray]:
        """Arrays over lanes of what :meth:`load` sets."""
        return [self._counts, *self._addresses, self._held]

    def load(self, lane: int, count: int, first: FloatArray, second: FloatArray) -> None:
        """Gives a lane two arrays of ``count`` points."""
        arrays = [np.ascontiguousarray(array, np.float64) for array in (first, second)]
        self._counts[lane] = count
        self._addresses[:, lane] = [array.ctypes.data for array in arrays]
        self._held[lane] = tuple(arrays)

    def clear(self, lane: int) -> None:
        """Leaves a lane without points."""
        self._counts[lane] = 0
        self._held[lane] = None

    def at(self, lanes: Lanes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Addresses of the first and of the second arrays of some lanes, and how many points they have, ``(B,)``."""
        first, second = self._addresses
        return first[lanes], second[lanes], self._counts[lanes]

    def total(self, lanes: Lanes) -> int:
        """Points of some lanes together."""
        return int(self._counts[lanes].sum())
