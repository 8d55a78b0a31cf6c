"""Statistical deformation models as files, and their deformations as SimpleITK transforms."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.files import written_whole

if TYPE_CHECKING:
    from regenv.core.deformation import StatisticalDeformation

_FORMAT = 1
_KEYS = {"format", "steps", "scales", "extent_mm", "sigmas", "explained", "source"}
_DAMAGED = (KeyError, ValueError, TypeError, AttributeError, BadZipFile, EOFError, zlib.error, RuntimeError, OSError)
"""What reading a file that was cut off or overwritten ends in."""

_STEPS = 32767  # coefficients are 16-bit integers: off by at most 1.6e-5 of a mode's largest


def write_model(
    path: Path,
    modes: NDArray[np.float32],
    extent_mm: float,
    sigmas: FloatArray,
    explained: FloatArray,
    source: str,
) -> None:
    """Writes a model's parts as an NPZ file without pickles, whole or not at all."""
    flat = modes.reshape(len(modes), -1).astype(np.float64)
    peaks = np.abs(flat).max(axis=1, keepdims=True)
    scales = np.where(peaks > 0, peaks, 1.0) / _STEPS
    steps = np.rint(flat / scales).astype(np.int16).reshape(modes.shape)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}; make it first")
    with written_whole(path) as beside, beside.open("wb") as file:
        np.savez_compressed(
            file, format=np.array(_FORMAT), steps=steps, scales=scales.ravel(), extent_mm=np.array(extent_mm),
            sigmas=sigmas, explained=explained, source=np.array(source),
        )  # fmt: skip


def read_model(path: Path) -> tuple[NDArray[np.float32], float, FloatArray, FloatArray, str]:
    """Modes, extent, sigmas, explained shares and source of a file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it holds no model.
    """
    with path.open("rb") as file:
        packed = is_zipfile(file)
    try:
        if not packed:
            raise ValueError("it is no NPZ file")
        with np.load(path, allow_pickle=False) as arrays:
            held = {key: arrays[key] for key in arrays.files}
        if int(held.get("format", _FORMAT)) != _FORMAT:
            raise ValueError(f"its format is {int(held['format'])}, this version reads {_FORMAT}")
        if missing := _KEYS - set(held):
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        steps, scales = held["steps"], held["scales"]
        modes = (steps * scales.reshape((-1,) + (1,) * (steps.ndim - 1))).astype(np.float32)
        return modes, float(held["extent_mm"]), held["sigmas"], held["explained"], str(held["source"])
    except _DAMAGED as error:
        raise ValueError(f"{path} is no model that StatisticalDeformation.save wrote: {error}") from error


def to_sitk(
    model: StatisticalDeformation,
    coefficients: FloatArray,
    frame: FloatArray,
    alignment: ArrayLike | None,
    grid: Grid | None,
) -> Any:
    """See :meth:`regenv.core.deformation.StatisticalDeformation.to_sitk`."""
    import SimpleITK as sitk

    from regenv.core.sitk import matrix_to_sitk

    deformation = _spline(model, coefficients, frame) if grid is None else _field(model, coefficients, frame, grid)
    if alignment is None:
        return deformation
    # a composite applies its last transform first
    return sitk.CompositeTransform([matrix_to_sitk(alignment), deformation])


def _spline(model: StatisticalDeformation, coefficients: FloatArray, frame: FloatArray) -> Any:
    """As a B-spline transform."""
    import SimpleITK as sitk

    d, extent = model.ndim, model.extent_mm
    axes = frame[:d, :d]
    lattice = model.lattices(coefficients[None])[0].astype(np.float64)
    spline: Any = sitk.BSplineTransform(d, 3)
    spline.SetTransformDomainOrigin((axes @ np.full(d, -extent / 2) + frame[:d, d]).tolist())
    spline.SetTransformDomainDirection(axes.ravel().tolist())
    spline.SetTransformDomainPhysicalDimensions([extent] * d)
    spline.SetTransformDomainMeshSize([model.cells] * d)
    spline.SetParameters(np.tensordot(axes, lattice, 1).ravel().tolist())
    return spline


def _field(model: StatisticalDeformation, coefficients: FloatArray, frame: FloatArray, grid: Grid) -> Any:
    """As a displacement field transform on a grid."""
    import SimpleITK as sitk

    d = model.ndim
    local = transform_points(np.linalg.inv(frame), grid.points()).reshape(-1, d)
    u = model.displacement(coefficients, local) @ frame[:d, :d].T
    image: Any = sitk.GetImageFromArray(u.reshape(*grid.shape, d), isVector=True)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction.ravel().tolist())
    return sitk.DisplacementFieldTransform(image)
