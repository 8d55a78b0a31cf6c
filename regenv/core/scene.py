"""Where the images of a case lie, without their pixels, and where its points belong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray, Grid


@dataclass(frozen=True, eq=False)
class Scene:
    """All that a step, and the replay of one, needs of a case.

    Attributes:
        fixed_grid: Where the fixed voxels lie.
        moving_grid: Where the moving voxels lie.
        alignment: ``(d + 1, d + 1)`` linear transform, fixed to moving, that a deformation is given.
        slice_mm: How thick the fixed image's slices are.
        cameras: That took the fixed image; none where it was resampled.
        blind_axis: ``(d,)`` unit vector in fixed space along which errors are not counted, since nothing shows them
            (one X-ray camera); None where all are.
    """

    fixed_grid: Grid
    moving_grid: Grid
    alignment: FloatArray
    slice_mm: float
    cameras: tuple[Camera, ...] = ()
    blind_axis: FloatArray | None = None

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return self.fixed_grid.ndim

    @cached_property
    def frame(self) -> FloatArray:
        """``(d + 1, d + 1)``, the frame of the steps, to physical mm.

        From mm along the fixed grid's axes about its centre; in projection along the first detector's axes, about the
        isocentre.
        """
        return self.cameras[0].frame if self.cameras else self.fixed_grid.frame

    @cached_property
    def to_frame(self) -> FloatArray:
        """Inverse of :attr:`frame`."""
        return np.asarray(np.linalg.inv(self.frame), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Target:
    """What the truth says of a pose, in numbers. It never enters an observation.

    Attributes:
        pose: The true state, or the nearest that the environment's model can say (least squares over the points).
        points: ``(N, d)`` fixed points in mm on which the TRE is measured.
        partners: ``(N, d)`` where they belong in the moving image.
        landmarks_fixed: ``(M, d)`` named points, reported apart; None where there are none.
        landmarks_moving: ``(M, d)`` where those belong.
        landmark_names: M names, or empty.
    """

    pose: FloatArray
    points: FloatArray
    partners: FloatArray
    landmarks_fixed: FloatArray | None = None
    landmarks_moving: FloatArray | None = None
    landmark_names: tuple[str, ...] = ()
