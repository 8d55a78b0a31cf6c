"""Transform files: linear transforms from fixed to moving points, as ITK writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.data.frames import inside
from regenv.data.itk import quiet
from regenv.data.transform_checks import check_transform, not_linear, unreadable
from regenv.errors import DataError
from regenv.poses import pose_model


def read_transform(path: Path, ndim: int, model: str) -> FloatArray:
    """Reads a linear transform, fixed to moving points, and checks that it belongs to the model.

    Args:
        path: A transform file of ITK: ``.tfm``, ``.txt``, ``.h5``, ``.mat``.
        ndim: 2 or 3.
        model: Name of the pose model; to one that takes an alignment any linear transform will do.

    Returns:
        ``(ndim + 1, ndim + 1)`` matrix.

    Raises:
        DataError: If it cannot be read, is not linear, has another dimension or does not belong to the model.
    """
    import SimpleITK as sitk

    from regenv.core.sitk import matrix_from_sitk

    if not path.is_file():
        raise DataError(f"transform {path.name} does not exist at {path}; give the path of a .tfm, .txt or .h5 file")
    check_transform(path)
    try:
        with quiet():
            transform = sitk.ReadTransform(str(path))
    except (RuntimeError, UnicodeDecodeError) as error:  # the latter: ITK's message quotes the file
        raise unreadable(path) from error
    try:
        matrix = matrix_from_sitk(transform)
    except (ValueError, TypeError, RuntimeError, KeyError) as error:  # the last two: kinds that SimpleITK knows in part
        raise not_linear(path, transform.GetName()) from error
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-12:
        raise DataError(f"transform {path.name} is not finite or cannot be inverted; write it again")
    if matrix.shape != (ndim + 1, ndim + 1):
        raise DataError(f"transform {path.name} is {len(matrix) - 1}-D and the images are {ndim}-D")
    linear = matrix[:ndim, :ndim]
    scale = float(abs(np.linalg.det(linear)) ** (1 / ndim))
    if pose_model(model).orthonormal:
        unit = max(scale, 1e-12) if pose_model(model).scaled else 1.0
        if not np.allclose(linear.T @ linear, unit**2 * np.eye(ndim), atol=2e-3) or np.linalg.det(linear) <= 0:
            raise DataError(
                f"transform {path.name} is not {model} (its axes scale by {scale:.4f} in the mean or shear); use an "
                "affine environment, or give a rigid transform"
            )
    return matrix


def overlap(fixed: Grid, moving: Grid, transform: FloatArray) -> float:
    """Share of a lattice over the fixed grid that the transform maps into the moving grid."""
    steps = [np.linspace(0, n - 1, min(n, 24)) for n in fixed.size]
    lattice = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, fixed.ndim)
    points = transform_points(transform @ fixed.index_to_physical, lattice)
    return float(inside(moving, points).mean())
