"""A registration problem: two images, and apart from them what is known of the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regenv.core.image import Image

if TYPE_CHECKING:
    from regenv.core.camera import Camera


@dataclass(frozen=True, eq=False)
class Truth:
    """Whatever an agent would not have in a clinic. It never enters an observation.

    Attributes:
        transform: ``(d + 1, d + 1)`` matrix from fixed to moving physical points, where it is known exactly.
        landmarks_fixed: ``(N, d)`` physical points in mm.
        landmarks_moving: ``(N, d)``, row by row the same anatomical points in the moving image.
        landmark_names: ``N`` names, or empty.
        labels_fixed: Integer label map on the fixed grid, or None.
        labels_moving: Integer label map on the moving grid, or None.
        label_names: Name of each label value.
        points_fixed: ``(N, d)`` physical points in mm on which the TRE is measured, where it is not the lattice of
            :mod:`regenv.core.points` (a truth that is no matrix) or the landmarks: exact correspondences, dense in the
            body, or the corners of the target's box in projection.
        points_moving: ``(N, d)``, row by row where they belong in the moving image.
    """

    transform: NDArray[np.float64] | None = None
    landmarks_fixed: NDArray[np.float64] | None = None
    landmarks_moving: NDArray[np.float64] | None = None
    landmark_names: tuple[str, ...] = ()
    labels_fixed: NDArray[np.integer] | None = None
    labels_moving: NDArray[np.integer] | None = None
    label_names: Mapping[int, str] = field(default_factory=dict)
    points_fixed: NDArray[np.float64] | None = None
    points_moving: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class ImagePair:
    """Fixed and moving image, masks, and the truth (None where it is withheld or unknown).

    Attributes:
        id: Unique within its data set; on the test split an opaque index.
        subject: Whose images these are; splits are disjoint in subjects.
        fixed: The fixed image.
        moving: The moving image.
        fixed_mask: Boolean body mask on the fixed grid (``fixed.grid.shape``), or None for the whole image.
        moving_mask: Boolean mask on the moving grid, or None.
        truth: What is known of the right answer.
        alignment: ``(d + 1, d + 1)`` linear transform, fixed to moving, that is *given* to an environment of a
            deformable model, which finds the rest: ``T(x) = alignment (x + u(x))``; None for the identity. Other models
            ignore it.
        cameras: In projection, the cameras that took the fixed image: ``fixed.array[v]`` is what ``cameras[v]`` saw.
        slice_mm: How thick the fixed image's slices are in mm, where gaps lie between them; None where they touch.
    """

    id: str
    subject: str
    fixed: Image
    moving: Image
    fixed_mask: NDArray[np.bool_] | None = None
    moving_mask: NDArray[np.bool_] | None = None
    truth: Truth | None = None
    alignment: NDArray[np.float64] | None = None
    cameras: tuple[Camera, ...] = ()
    slice_mm: float | None = None

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return self.fixed.grid.ndim

    def without_truth(self) -> ImagePair:
        """The same pair as an agent in a clinic has it."""
        return replace(self, truth=None)
