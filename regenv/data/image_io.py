"""Image files in and out: NIfTI, MetaImage, NRRD and DICOM series, read by SimpleITK and checked.

Nothing doubtful is let through: every error names the file, what is wrong with it and what mends it.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.dicom import check_pixel_spacing, series_files, series_grid
from regenv.data.header_values import check_one_value
from regenv.data.image_checks import check_complete, check_geometry, format_of
from regenv.data.itk import last_line, quiet
from regenv.data.memory import check_memory
from regenv.errors import DataError
from regenv.files import written_whole
from regenv.modality import get_modality

READABLE = ".nii, .nii.gz, .hdr/.img, .mha, .mhd, .nrrd, .nhdr, or a folder with a DICOM series"
WRITABLE = (".nii", ".nii.gz", ".mha", ".nrrd")


@dataclass(frozen=True)
class ImageHeader:
    """Where an image lies, known without reading its voxels.

    Attributes:
        path: As given.
        files: The file, or the sorted files of a DICOM series.
        grid: Where the voxels lie.
    """

    path: str
    files: tuple[str, ...]
    grid: Grid


def read_header(path: str | os.PathLike[str], *, ndim: int | None = None, single_slice: bool = False) -> ImageHeader:
    """Reads where an image lies and checks that it can be used, without its voxels.

    Args:
        path: A file, or a folder with a DICOM series: ``"FOLDER"``, or ``"FOLDER#SERIES_UID"`` where it has several.
        ndim: 2 or 3 to refuse images of another dimension.
        single_slice: Whether a volume of one slice serves where ``ndim`` is 3.

    Returns:
        The header.

    Raises:
        DataError: If the file is missing, of another format, damaged, without geometry, has several values a voxel, or
            has another dimension.
    """
    given = os.fspath(path)
    place, _, series = given.partition("#") if not Path(given).exists() else (given, "", "")
    where = Path(place).expanduser()
    if not where.exists():
        raise DataError(f"{given} does not exist; give the path of an image ({READABLE})")
    if where.is_dir():
        files = series_files(where, series or None)
    else:
        try:
            if not format_of(where):
                raise DataError(_wrong_format(where))
            check_geometry(where)
        except OSError as error:
            raise DataError(f"{given} cannot be opened ({error.strerror}); check who may read it") from error
        files = (str(where),)
    grid = _read_grid(given, files, ndim)
    _check_dimension(given, grid, ndim, single_slice)
    return ImageHeader(given, files, grid)


def read_image(
    path: str | os.PathLike[str],
    modality: str = "unknown",
    *,
    ndim: int | None = None,
    background: float | None = None,
    single_slice: bool = False,
) -> Image:
    """Reads a scalar image with its geometry.

    Args:
        path: A file, or a folder with a DICOM series: ``"FOLDER"``, or ``"FOLDER#SERIES_UID"`` where it has several.
        modality: What the intensities mean, such as ``"ct"`` (in HU), ``"cbct"``, ``"t1"``.
        ndim: 2 or 3 to refuse images of another dimension.
        background: Value outside the image; by default air for CT and CBCT, 0 for others.
        single_slice: Whether a volume of one slice serves where ``ndim`` is 3.

    Returns:
        The image, float32.

    Raises:
        DataError: As :func:`read_header`, or if the voxels are truncated, not finite or all the same.
    """
    header = read_header(path, ndim=ndim, single_slice=single_slice)
    array = _read_array(header, as_float=True)
    not_finite = int(array.size - np.count_nonzero(np.isfinite(array)))
    if not_finite:
        raise DataError(
            f"{header.path} has {not_finite} voxels that are NaN or infinite; replace them by the value of air and "
            "write the image again"
        )
    low, high = float(array.min()), float(array.max())
    if low == high:
        raise DataError(f"{header.path} is {low:g} everywhere; an image without contrast cannot be registered")
    if background is None:
        background = get_modality(modality).background
        if get_modality(modality).hounsfield and low >= 0:
            warnings.warn(
                f"{header.path} is given as {modality} but has no value below 0, so it is not in HU; rescale it "
                f"(often by subtracting 1024), or name its modality 'other'",
                UserWarning,
                stacklevel=2,
            )
    return Image(array, header.grid, modality, background)


def read_labels(path: str | os.PathLike[str], grid: Grid) -> NDArray[np.int32]:
    """Reads a label map or mask that must lie on ``grid``.

    Args:
        path: As for :func:`read_image`.
        grid: The image's grid; its size must be the same and its voxels in the same places to a tenth of a voxel.

    Returns:
        ``grid.shape`` integers.

    Raises:
        DataError: If it lies on another grid, holds values that are no integers, or cannot be read.
    """
    header = read_header(path, ndim=grid.ndim, single_slice=min(grid.size) == 1)
    check_same_grid(header, grid)
    array = _read_array(header, as_float=False)
    if array.dtype.kind == "f" and (not np.all(np.isfinite(array)) or np.any(array != np.rint(array))):
        raise DataError(f"{header.path} holds values that are no integers; labels and masks need whole numbers")
    return array.astype(np.int32)


def check_same_grid(header: ImageHeader, grid: Grid) -> None:
    """Raises :class:`DataError` unless the header's voxels lie where those of ``grid`` do."""
    own = header.grid
    mend = "resample it onto the image's grid with nearest neighbour"
    if own.size != grid.size:
        raise DataError(f"{header.path} has {_by(own.size)} voxels and its image {_by(grid.size)}; {mend}")
    corners = np.stack(np.meshgrid(*[(0.0, n - 1.0) for n in grid.size], indexing="ij"), -1).reshape(-1, grid.ndim)
    there = np.c_[corners, np.ones(len(corners))]
    apart = there @ (own.index_to_physical - grid.index_to_physical).T
    distance = float(np.linalg.norm(apart, axis=1).max())
    if distance > 0.1 * min(grid.spacing):
        raise DataError(f"{header.path} lies up to {distance:.2f} mm away from its image's grid; {mend}")


def write_image(path: str | os.PathLike[str], image: Image, *, labels: NDArray[np.integer] | None = None) -> None:
    """Writes an image, or a label map on its grid; the file is whole or not there.

    Args:
        path: Ends with one of :data:`WRITABLE`.
        image: Gives the grid and, without ``labels``, the voxels.
        labels: Integers of ``image.grid.shape`` to write in place of the intensities.

    Raises:
        DataError: If the name has another ending, or the file cannot be written.
    """
    import SimpleITK as sitk

    target = Path(path).expanduser()
    suffix = next((s for s in sorted(WRITABLE, key=len, reverse=True) if target.name.lower().endswith(s)), None)
    if suffix is None:
        raise DataError(f"{target} must end with one of {', '.join(WRITABLE)}")
    image_sitk = sitk.GetImageFromArray(image.array if labels is None else labels)
    image_sitk.SetSpacing(image.grid.spacing)
    image_sitk.SetOrigin(image.grid.origin)
    image_sitk.SetDirection(image.grid.direction.ravel().tolist())
    try:
        with written_whole(target) as beside:
            beside.touch(exist_ok=False)
            sitk.WriteImage(image_sitk, str(beside), useCompression=True)
            check_complete(beside)  # a full disk is not always reported by the writer
    except (OSError, RuntimeError, DataError) as error:
        raise DataError(
            f"cannot write {target}: {last_line(error)}. Nothing half-written is left; check that its folder exists, "
            "can be written and has space"
        ) from error


def _read_grid(given: str, files: tuple[str, ...], ndim: int | None) -> Grid:
    """The grid from the header; axes of a single voxel beyond the third are dropped."""
    import SimpleITK as sitk

    if len(files) > 1:
        grid = series_grid(given, files)
    else:
        reader = sitk.ImageFileReader()
        reader.SetFileName(files[0])
        with quiet():
            try:
                reader.ReadImageInformation()
            except RuntimeError as error:
                raise _unreadable(given, error) from error
        check_one_value(given, reader.GetNumberOfComponents())
        size, d = reader.GetSize(), reader.GetDimension()
        spatial = d
        while spatial > 3 and size[spatial - 1] == 1:
            spatial -= 1
        if spatial > 3:
            raise DataError(f"{given} has {_by(size)} voxels: {spatial} dimensions; extract one volume first")
        if format_of(Path(files[0])) == "dicom":
            check_pixel_spacing(given, reader)
        directions = np.asarray(reader.GetDirection()).reshape(d, d)
        if ndim == 2 and spatial == 3 and size[2] == 1 and np.allclose(np.abs(directions[2]), (0, 0, 1), atol=1e-4):
            spatial = 2  # a picture stored as a volume of one slice in the x-y plane, as DICOM and NIfTI do
        direction = directions[:spatial, :spatial]
        try:
            grid = Grid(size[:spatial], reader.GetSpacing()[:spatial], reader.GetOrigin()[:spatial], direction)
        except ValueError as error:
            raise DataError(f"{given} has unusable geometry: {error}; write it again with its geometry") from error
    return grid


def _check_dimension(given: str, grid: Grid, ndim: int | None, single_slice: bool) -> None:
    if ndim is None:
        return
    if grid.ndim != ndim:
        mend = "give a volume" if ndim == 3 else "extract one slice first"
        raise DataError(
            f"{given} is a {grid.ndim}-D image ({_by(grid.size)}) and this environment registers {ndim}-D ones; "
            f"{mend}, or use a {grid.ndim}-D environment"
        )
    if ndim == 3 and min(grid.size) == 1 and not (single_slice and grid.size[2] == 1):
        raise DataError(
            f"{given} has {_by(grid.size)} voxels: a single slice, and this environment registers volumes; "
            "give a volume"
        )


def _read_array(header: ImageHeader, *, as_float: bool) -> NDArray[Any]:
    """The voxels ``[z, y, x]``, after counting the bytes that they take in memory and those in the file."""
    import SimpleITK as sitk

    check_memory(header.path, header.grid.size)
    reader: Any
    if len(header.files) > 1:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(header.files)
    else:
        check_complete(Path(header.files[0]))
        reader = sitk.ImageFileReader()
        reader.SetFileName(header.files[0])
    if as_float:
        reader.SetOutputPixelType(sitk.sitkFloat32)
    with quiet():
        try:
            array = sitk.GetArrayFromImage(reader.Execute())
        except RuntimeError as error:
            raise _unreadable(header.path, error) from error
    return array.reshape(header.grid.shape)


def _wrong_format(path: Path) -> str:
    if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif"):
        return (
            f"{path} has no geometry: {path.suffix} keeps neither spacing nor orientation; convert it to .mha or "
            ".nii.gz with the spacing in mm"
        )
    return f"{path} is not an image file that can be read; give {READABLE}"


def _unreadable(given: str, error: Exception) -> DataError:
    if "orthonormal" in str(error):
        return DataError(f"{given} has sheared or mixed axes, which ITK does not read; resample it onto a regular grid")
    return DataError(f"{given} cannot be read ({last_line(error)}); it is damaged or of another format than its name")


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in size)
