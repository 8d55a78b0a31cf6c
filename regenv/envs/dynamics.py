"""How a pose moves: the only place where a step is applied, for episodes and for their replay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.models import MatrixModel


@dataclass(frozen=True)
class Dynamics:
    """Applies steps within reach.

    Attributes:
        model: The transform model.
        reach_mm: A step that carries the view's centre further than this from the moving image's centre, and further
            than it was, changes nothing (one view width: the centre half a width beyond the edge of the view).
    """

    model: MatrixModel
    reach_mm: float

    def advance(
        self,
        transforms: NDArray[np.float64],
        coefficients: NDArray[np.float64],
        frames: NDArray[np.float64],
        moving_centres: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """The transforms after one step of every lane.

        Args:
            transforms: ``(B, d + 1, d + 1)``, fixed to moving.
            coefficients: ``(B, K)`` steps in mm, degree and %; a lane of zeros keeps its transform bit for bit.
            frames: ``(B, d + 1, d + 1)`` view frames: mm along the view's axes about its centre, to physical.
            moving_centres: ``(B, d)`` mm, centres of the moving images.
        """
        d = self.model.ndim
        after = self.model.step(transforms, coefficients, frames)
        distance = _centre_distance(after, frames, moving_centres, d)
        if distance.max() > self.reach_mm:  # the common case costs nothing more
            before = _centre_distance(transforms, frames, moving_centres, d)
            refused = (distance > self.reach_mm) & (distance > before)
            after[refused] = transforms[refused]
        return after


def _centre_distance(
    transforms: NDArray[np.float64], frames: NDArray[np.float64], moving_centres: NDArray[np.float64], d: int
) -> NDArray[np.float64]:
    """Distance in mm of the view's centre, carried into the moving image, from that image's centre."""
    offset = (transforms @ frames[:, :, d:])[:, :d, 0] - moving_centres
    return np.sqrt(np.einsum("bi,bi->b", offset, offset))
