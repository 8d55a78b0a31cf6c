"""Aligns the centres of the two grids, and no more: where most tools begin, and ``regenv.align``'s default start."""

from __future__ import annotations

from typing import Any

import numpy as np

import regenv


class Centre:
    """Answers with the translation that carries the centre of the fixed grid to the centre of the moving one."""

    method = {"name": "centre", "family": "reference", "description": "Aligns the centres of both grids"}

    def register(self, fixed: Any, moving: Any, initial: Any) -> Any:
        """The alignment of centres as a SimpleITK transform, whatever the start was."""
        d = fixed.GetDimension()
        matrix = np.eye(d + 1)
        matrix[:d, d] = grid_centre(moving) - grid_centre(fixed)
        return regenv.to_sitk(matrix)


def grid_centre(image: Any) -> np.ndarray:
    """Physical position of the middle of a SimpleITK image's grid, ``(d,)`` mm."""
    return np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))


def factory(seed: int = 0) -> Centre:
    """The agent; nothing in it is random."""
    return Centre()
