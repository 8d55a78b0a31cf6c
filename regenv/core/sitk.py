"""To and from SimpleITK: images, and linear transforms as matrices from fixed to moving physical points.

ITK's resampling transform also maps fixed to moving points, so no inverse is taken anywhere here.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from regenv.core.geometry import FloatArray, Grid
from regenv.core.image import Image

# SimpleITK's own annotations are partial: these names say what is meant.
SitkImage: TypeAlias = Any
SitkTransform: TypeAlias = Any

_ROTATION_TOLERANCE = 1e-7


def grid_from_sitk(image: SitkImage) -> Grid:
    """The grid of a 2-D or 3-D SimpleITK image.

    Raises:
        ValueError: If the image has another dimension, or no usable geometry.
    """
    d = image.GetDimension()
    if d not in (2, 3):
        raise ValueError(f"an image has 2 or 3 dimensions, got {d}; extract one frame first (SimpleITK.Extract)")
    direction = np.array(image.GetDirection(), dtype=np.float64).reshape(d, d)
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), direction)


def image_from_sitk(image: SitkImage, modality: str = "unknown", background: float = 0.0) -> Image:
    """A scalar SimpleITK image as an :class:`~regenv.core.image.Image`, voxels copied.

    Args:
        image: Scalar, 2-D or 3-D.
        modality: Lower-case name, see :class:`~regenv.core.image.Image`.
        background: Value outside.

    Raises:
        ValueError: If the image is no scalar image of 2 or 3 dimensions.
    """
    import SimpleITK as sitk

    if image.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(
            f"expected one value a voxel, got {image.GetNumberOfComponentsPerPixel()}; "
            "select one channel first (SimpleITK.VectorIndexSelectionCast)"
        )
    grid = grid_from_sitk(image)
    return Image(sitk.GetArrayFromImage(image).astype(np.float32), grid, modality, background)


def image_to_sitk(image: Image) -> SitkImage:
    """An image as a float32 SimpleITK image, voxels copied."""
    import SimpleITK as sitk

    out: Any = sitk.GetImageFromArray(image.array)
    out.SetSpacing(image.grid.spacing)
    out.SetOrigin(image.grid.origin)
    out.SetDirection(image.grid.direction.ravel().tolist())
    return out


def mask_to_sitk(mask: Any, grid: Grid) -> SitkImage | None:
    """A boolean ``grid.shape`` mask as an 8-bit SimpleITK image; None of None."""
    if mask is None:
        return None
    import SimpleITK as sitk

    out: Any = sitk.GetImageFromArray(np.asarray(mask, dtype=np.uint8))
    out.SetSpacing(grid.spacing)
    out.SetOrigin(grid.origin)
    out.SetDirection(grid.direction.ravel().tolist())
    return out


def matrix_to_sitk(matrix: ArrayLike) -> SitkTransform:
    """A ``(d + 1, d + 1)`` matrix as the most special SimpleITK transform: Euler, similarity, else affine; centre 0.

    An Euler transform is checked to give the matrix back; where its angles cannot (gimbal lock), it is a versor.

    Raises:
        ValueError: If it is not a homogeneous matrix of 2 or 3 dimensions.
    """
    import SimpleITK as sitk

    t = np.asarray(matrix, dtype=np.float64)
    d = t.shape[0] - 1
    if t.shape not in ((3, 3), (4, 4)) or not np.allclose(t[d], np.eye(d + 1)[d]) or not np.isfinite(t).all():
        raise ValueError(f"expected a finite (3, 3) or (4, 4) homogeneous matrix, got {t.tolist()}")
    linear, translation = t[:d, :d], t[:d, d].tolist()
    kinds = ["AffineTransform"]
    scale = np.linalg.det(linear)
    if scale > 0:
        scale = scale ** (1 / d)
        if np.abs(linear @ linear.T / scale**2 - np.eye(d)).max() < _ROTATION_TOLERANCE:
            kinds.insert(0, f"Similarity{d}DTransform")
            if abs(scale - 1) < _ROTATION_TOLERANCE:
                kinds[:0] = ["Euler2DTransform"] if d == 2 else ["Euler3DTransform", "VersorRigid3DTransform"]
    for kind in kinds:
        maker: Any = getattr(sitk, kind)
        transform = maker(d) if kind == "AffineTransform" else maker()
        transform.SetTranslation(translation)
        try:
            transform.SetMatrix(linear.ravel().tolist())
        except RuntimeError:  # ITK's own test of orthogonality is stricter than ours for some kinds
            continue
        if np.abs(np.array(transform.GetMatrix()).reshape(d, d) - linear).max() < 1e-9 * max(1.0, np.abs(linear).max()):
            return transform
    raise ValueError(f"SimpleITK takes this matrix for no linear transform: {t.tolist()}")


def matrix_from_sitk(transform: SitkTransform) -> FloatArray:
    """A linear SimpleITK transform, composites of linear ones included, as a ``(d + 1, d + 1)`` matrix.

    Raises:
        ValueError: If the transform, or a part of a composite, is not linear.
    """
    d = transform.GetDimension()
    if d not in (2, 3):
        raise ValueError(f"a transform has 2 or 3 dimensions, got {d}")
    kind = transform.Downcast() if hasattr(transform, "Downcast") else transform
    if hasattr(kind, "GetNumberOfTransforms"):
        matrix = np.eye(d + 1)
        for k in range(kind.GetNumberOfTransforms()):
            # A composite applies its last transform first: the matrices multiply in the order they are stored.
            matrix = matrix @ matrix_from_sitk(kind.GetNthTransform(k))
        return matrix
    if not kind.IsLinear():
        raise ValueError(
            f"{kind.GetName()} is not linear and has no matrix; give a linear transform, or resample with it"
        )
    # By what it does, so that every kind of linear transform (centres, translations, scales) is read the same way.
    matrix = np.eye(d + 1)
    for axis in range(d):
        matrix[:d, axis] = kind.TransformVector(np.eye(d)[axis].tolist(), [0.0] * d)
    matrix[:d, d] = kind.TransformPoint([0.0] * d)
    return matrix


def spline_to_sitk(lattice: ArrayLike, extent_mm: float, frame: ArrayLike) -> SitkTransform:
    """A B-spline displacement as a SimpleITK transform, exact within its cube and 0 beyond.

    Args:
        lattice: ``(d, *lattice)`` cubic coefficients in mm along the frame's axes.
        extent_mm: Width of the cube that they span.
        frame: ``(d + 1, d + 1)`` from mm about the cube's centre to physical mm.
    """
    import SimpleITK as sitk

    u, f = np.asarray(lattice, dtype=np.float64), np.asarray(frame, dtype=np.float64)
    d, axes = len(u), f[:-1, :-1]
    spline: Any = sitk.BSplineTransform(d, 3)
    spline.SetTransformDomainOrigin((axes @ np.full(d, -extent_mm / 2) + f[:d, d]).tolist())
    spline.SetTransformDomainDirection(axes.ravel().tolist())
    spline.SetTransformDomainPhysicalDimensions([extent_mm] * d)
    spline.SetTransformDomainMeshSize([u.shape[-1] - 3] * d)
    spline.SetParameters(np.tensordot(axes, u, 1).ravel().tolist())
    return spline


def field_to_sitk(displacement: ArrayLike, grid: Grid) -> SitkTransform:
    """A displacement field ``grid.shape + (d,)`` in physical mm, which ITK interpolates linearly and is 0 beyond."""
    import SimpleITK as sitk

    image: Any = sitk.GetImageFromArray(np.asarray(displacement, dtype=np.float64), isVector=True)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction.ravel().tolist())
    return sitk.DisplacementFieldTransform(image)


def to_sitk(value: ArrayLike | Image) -> Any:
    """Whatever the suite hands out, for SimpleITK.

    Args:
        value: An :class:`~regenv.core.image.Image`, or a ``(d + 1, d + 1)`` matrix (``info["transform"]``), also with
            a leading axis of one lane.

    Returns:
        A ``SimpleITK.Image``, or a ``SimpleITK.Transform`` from fixed to moving points, as its ``Resample`` wants it.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(value, Image):
        return image_to_sitk(value)
    matrix = np.asarray(value, dtype=np.float64)
    if matrix.ndim == 3 and len(matrix) == 1:
        matrix = matrix[0]
    if matrix.ndim != 2:
        raise ValueError(
            f"expected an Image or one homogeneous matrix, got an array of shape {matrix.shape}; of coefficients, "
            "env.unwrapped.to_sitk() gives the transform"
        )
    return matrix_to_sitk(matrix)
