"""A linear start put into the moving image, for tools that begin at the identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regenv.core.sitk import matrix_from_sitk

if TYPE_CHECKING:
    import SimpleITK as sitk


def moved_to_start(moving: sitk.Image, initial: sitk.Transform) -> sitk.Image:
    """The moving image carried back by a rigid initial transform: the header alone changes, no voxel is resampled.

    Args:
        moving: Scalar image.
        initial: Rigid transform, fixed to moving points.

    Returns:
        An image that lies on the fixed one as well as ``moving`` does under ``initial``.

    Raises:
        ValueError: If the transform is not rigid: a header cannot hold scale or shear.
    """
    import SimpleITK as sitk

    matrix = matrix_from_sitk(initial)
    d = moving.GetDimension()
    if not np.allclose(matrix[:d, :d] @ matrix[:d, :d].T, np.eye(d), atol=1e-5):
        raise ValueError("this agent starts from rigid transforms only, the initial transform scales or shears")
    back = np.linalg.inv(matrix)
    carried = sitk.Cast(moving, sitk.sitkFloat32)
    carried.SetOrigin((back[:d, :d] @ np.array(moving.GetOrigin()) + back[:d, d]).tolist())
    carried.SetDirection((back[:d, :d] @ np.reshape(moving.GetDirection(), (d, d))).ravel().tolist())
    return carried


def with_start(initial: sitk.Transform, found: np.ndarray) -> Any:
    """The initial transform after what was found from it: ``initial . found``, as a SimpleITK transform."""
    from regenv.core.sitk import matrix_to_sitk

    return matrix_to_sitk(matrix_from_sitk(initial) @ found)
