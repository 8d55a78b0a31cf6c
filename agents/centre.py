"""Aligns the centres of the two grids, and no more: where most tools begin, and ``regenv.align``'s default start.

In projection the isocentre of the cameras stands for the centre of the fixed image, whose grid is the detector.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import regenv
from regenv.agent import Problem


class Centre:
    """Answers with the translation that carries the centre of the fixed grid to the centre of the moving one."""

    method = {"name": "centre", "family": "reference", "description": "Aligns the centres of both grids"}

    def register(self, problem: Problem) -> Any:
        """The alignment of centres as a SimpleITK transform, whatever the start was."""
        d = problem.moving.GetDimension()
        matrix = np.eye(d + 1)
        fixed = problem.cameras[0].isocentre if problem.cameras else grid_centre(problem.fixed)
        matrix[:d, d] = grid_centre(problem.moving) - fixed
        return regenv.to_sitk(matrix)


def grid_centre(image: Any) -> np.ndarray:
    """Physical position of the middle of a SimpleITK image's grid, ``(d,)`` mm."""
    return np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))


def factory(seed: int = 0) -> Centre:
    """The agent; nothing in it is random."""
    return Centre()
