"""What a lane needs of its case, made once for each case and copied from then on."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from numpy.typing import NDArray

from regenv.imaging.case import Case


class CaseRows:
    """Rows of arrays over lanes by case, kept for as long as anything holds the case.

    An episode that shows a case again, on whichever lane, begins with a few copies: the fixed image is not rendered
    again, nor what a similarity or an error takes from the case computed.
    """

    def __init__(self) -> None:
        self._rows: WeakKeyDictionary[Case, list[NDArray]] = WeakKeyDictionary()
        self._arrays: Sequence[NDArray] = ()

    def keep(self, lane: int, case: Case, arrays: Sequence[NDArray]) -> None:
        """Keeps a lane's rows of the arrays ``(B, ...)``, which hold all that is its case's and nothing else.

        None may hold the case itself, which would then never be let go.
        """
        self._arrays = arrays
        self._rows[case] = [array[lane : lane + 1].copy() for array in arrays]

    def recall(self, lane: int, case: Case) -> bool:
        """Gives a lane the rows of a case; whether there are any."""
        rows = self._rows.get(case)
        if rows is None:
            return False
        for array, row in zip(self._arrays, rows, strict=True):
            array[lane] = row[0]
        return True
