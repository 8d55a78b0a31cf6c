"""MINC images: version 2 (HDF5) by SimpleITK, version 1 (netCDF) by SciPy. Their RAS coordinates become LPS.

MINC 1, by the reference of the format (McConnell Brain Imaging Centre, "MINC 1.0 reference manual"): the variable
``image`` has the dimensions ``xspace``, ``yspace``, ``zspace`` in the order in which they are stored, each a variable
with the attributes ``start``, ``step`` and ``direction_cosines``; integers from ``valid_range`` stand for values from
``image-min`` to ``image-max``, which are given for the volume or for each slice; ``signtype`` says whether they are
signed; without it bytes are not and longer integers are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.layouts._tags import RAS_TO_LPS
from regenv.errors import DataError

_AXES = {"xspace": (1.0, 0.0, 0.0), "yspace": (0.0, 1.0, 0.0), "zspace": (0.0, 0.0, 1.0)}


def read_minc(path: Path, modality: str) -> Image:
    """Reads a MINC volume.

    Args:
        path: The ``.mnc`` file.
        modality: What its intensities mean.

    Returns:
        The image in LPS.

    Raises:
        DataError: If it cannot be read, with the conversion that helps, or holds values that are not finite.
    """
    with path.open("rb") as stream:
        old = stream.read(3) == b"CDF"
    array, grid = _read_version_1(path) if old else _read_version_2(path)
    if not np.all(np.isfinite(array)) or array.min() == array.max():
        raise DataError(f"{path} holds values that are not finite, or one value everywhere; convert it again")
    return Image(array, grid, modality)


def _read_version_2(path: Path) -> tuple[NDArray[np.float32], Grid]:
    """ITK leaves MINC's coordinates as they are (SimpleITK 2.5): the geometry is turned here."""
    import SimpleITK as sitk

    from regenv.data.itk import quiet

    with quiet():
        try:
            read = sitk.ReadImage(str(path), sitk.sitkFloat32)
        except RuntimeError as error:
            raise DataError(f"{path} cannot be read as MINC; convert it with mnc2nii {path.name}") from error
    turn = np.diag(RAS_TO_LPS)
    direction = turn @ np.array(read.GetDirection()).reshape(3, 3)
    grid = Grid(read.GetSize(), read.GetSpacing(), tuple(turn @ np.array(read.GetOrigin())), direction)
    return sitk.GetArrayFromImage(read), grid


def _read_version_1(path: Path) -> tuple[NDArray[np.float32], Grid]:
    from scipy.io import netcdf_file

    try:
        with netcdf_file(path, "r", mmap=False) as file:
            image = file.variables["image"]
            if sorted(image.dimensions) != sorted(_AXES):
                raise DataError(f"{path} has the dimensions {', '.join(image.dimensions)}; extract one volume first")
            array = _values(file.variables, image)
            return array, _grid(file.variables, image.dimensions, array.shape)
    except (KeyError, AttributeError, TypeError, ValueError, OSError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as MINC 1 ({error!r}); convert it with mnc2nii {path.name}") from error


def _values(variables: dict[str, Any], image: Any) -> NDArray[np.float32]:
    """Real values of the stored integers."""
    stored = np.array(image.data)
    if stored.dtype.kind == "f":
        return stored.astype(np.float32)
    default = b"unsigned" if stored.dtype.itemsize == 1 else b"signed__"
    if getattr(image, "signtype", default).startswith(b"unsigned"):
        stored = stored.view(stored.dtype.str.replace("i", "u"))
    info = np.iinfo(stored.dtype)
    low, high = (float(v) for v in np.sort(getattr(image, "valid_range", (info.min, info.max))))
    bottom, top = (np.array(variables[name].data, dtype=np.float64) for name in ("image-min", "image-max"))
    slices = (...,) + (None,) * (stored.ndim - bottom.ndim)  # of the volume, or of each slice along the first axes
    share = (np.clip(stored.astype(np.float64), low, high) - low) / (high - low)
    return (share * (top - bottom)[slices] + bottom[slices]).astype(np.float32)


def _grid(variables: dict[str, Any], dimensions: tuple[str, ...], shape: tuple[int, ...]) -> Grid:
    """The grid in LPS; the dimension stored last runs fastest. A negative step turns its axis round."""
    names = dimensions[::-1]
    axes = [np.array(getattr(variables[name], "direction_cosines", _AXES[name]), dtype=np.float64) for name in names]
    starts, steps = ([float(getattr(variables[name], key)) for name in names] for key in ("start", "step"))
    turn = np.diag(RAS_TO_LPS)
    columns = [axis / np.linalg.norm(axis) for axis in axes]
    origin = turn @ np.sum([column * start for column, start in zip(columns, starts, strict=True)], axis=0)
    direction = turn @ np.stack([c * np.sign(step) for c, step in zip(columns, steps, strict=True)], axis=1)
    return Grid(shape[::-1], tuple(abs(step) for step in steps), tuple(origin), direction)
