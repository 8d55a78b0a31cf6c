"""DICOM series in a folder: which there are, and whether one is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regenv.core.geometry import Grid
from regenv.data.itk import quiet
from regenv.errors import DataError

if TYPE_CHECKING:
    import SimpleITK

_POSITION, _ORIENTATION, _SPACING = "0020|0032", "0020|0037", "0028|0030"
_IMAGER_SPACING, _FRAMES = "0018|1164", "0028|0008"
_MODALITY, _DESCRIPTION = "0008|0060", "0008|103e"


def series_files(folder: Path, series: str | None) -> tuple[str, ...]:
    """The files of one series, sorted along the slice axis.

    Args:
        folder: Holds the files (not its sub-folders).
        series: Series UID; needed where the folder holds several.

    Returns:
        Paths.

    Raises:
        DataError: If there is no series, or several and none was chosen, or not the one named.
    """
    import SimpleITK as sitk

    with quiet():
        found = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
        if not found:
            raise DataError(f"{folder} is a folder without DICOM files; give an image file or the folder of a series")
        if series is None and len(found) > 1 or series is not None and series not in found:
            raise DataError(_choose(folder, found, series))
        return tuple(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series or found[0]))


def series_grid(given: str, files: tuple[str, ...]) -> Grid:
    """The grid of a series, from the headers of all its files.

    Args:
        given: What the user gave, for messages.
        files: Sorted along the slice axis, two or more.

    Returns:
        The grid.

    Raises:
        DataError: If geometry is missing, slices differ in size or orientation, or one is missing between the others.
    """
    headers = [_header(given, name) for name in files]
    size, spacing, rows, _ = headers[0]
    for name, (other_size, other_spacing, other_rows, _) in zip(files, headers, strict=True):
        if (
            other_size != size
            or not np.allclose(other_spacing, spacing, rtol=1e-3)
            or not np.allclose(other_rows, rows, atol=1e-3)
        ):
            raise DataError(f"{given}: slice {Path(name).name} differs from the first in size, spacing or orientation")
    normal = np.cross(rows[0], rows[1])
    positions = np.array([header[3] for header in headers])
    along = positions @ normal
    steps = np.diff(along)
    step = float(np.median(steps))
    uneven = np.abs(steps - step)
    if step <= 0 or uneven.max() > max(0.05 * step, 0.05):
        worst = int(uneven.argmax())
        raise DataError(
            f"{given}: slices {Path(files[worst]).name} and {Path(files[worst + 1]).name} are {steps[worst]:.2f} mm "
            f"apart where others are {step:.2f}; slices are missing or doubled, copy the whole series again"
        )
    drift = np.linalg.norm(positions - positions[0] - np.outer(along - along[0], normal), axis=1)
    if drift.max() > 0.5:
        raise DataError(
            f"{given}: the slices shift sideways by {drift.max():.1f} mm from first to last (a tilted gantry); "
            "resample the series onto a regular grid first, as 3D Slicer and dcm2niix do"
        )
    direction = np.stack([rows[0], rows[1], normal], axis=1)
    mean_step = float(along[-1] - along[0]) / (len(files) - 1)
    return Grid((*size, len(files)), (*spacing, mean_step), tuple(positions[0]), direction)


def check_pixel_spacing(given: str, reader: SimpleITK.ImageFileReader) -> None:
    """Raises :class:`DataError` where a single DICOM file does not say how large its pixels are.

    Args:
        given: What the user gave, for the message.
        reader: Has read the file's header.
    """
    frames = reader.GetMetaData(_FRAMES).strip() if reader.HasMetaDataKey(_FRAMES) else "1"
    if frames == "1" and not any(reader.HasMetaDataKey(tag) for tag in (_SPACING, _IMAGER_SPACING)):
        raise DataError(f"{given} has no geometry (no pixel spacing); export it again with its image planes")


def _header(given: str, name: str) -> tuple[tuple[int, int], tuple[float, float], np.ndarray, np.ndarray]:
    """Size, spacing ``(x, y)``, the two direction rows and the position of one slice."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise DataError(f"{given}: {Path(name).name} cannot be read; copy the series again") from error
    if reader.GetNumberOfComponents() > 1:
        raise DataError(f"{given}: {Path(name).name} is a colour picture, not a slice of a volume")
    for tag, word in ((_POSITION, "position"), (_ORIENTATION, "orientation"), (_SPACING, "pixel spacing")):
        if not reader.HasMetaDataKey(tag):
            raise DataError(
                f"{given}: {Path(name).name} has no geometry (no {word}); export the series again with its image planes"
            )
    rows = np.array([float(v) for v in reader.GetMetaData(_ORIENTATION).split("\\")]).reshape(2, 3)
    position = np.array([float(v) for v in reader.GetMetaData(_POSITION).split("\\")])
    down, across = (float(v) for v in reader.GetMetaData(_SPACING).split("\\"))
    if not (down > 0 and across > 0):
        raise DataError(f"{given}: {Path(name).name} has a pixel spacing of {across:g} x {down:g} mm")
    width, height = reader.GetSize()[:2]
    return (width, height), (across, down), rows, position


def _choose(folder: Path, found: tuple[str, ...], series: str | None) -> str:
    """The message that lists the series of a folder and shows how one is chosen."""
    import SimpleITK as sitk

    listed = []
    for uid in found:
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        reader = sitk.ImageFileReader()
        reader.SetFileName(files[0])
        words = []
        try:
            reader.ReadImageInformation()
            words = [reader.GetMetaData(tag).strip() for tag in (_MODALITY, _DESCRIPTION) if reader.HasMetaDataKey(tag)]
        except RuntimeError:
            words = ["unreadable"]
        listed.append(f"  {folder}#{uid}  ({', '.join([*words, f'{len(files)} files'])})")
    head = f"{folder} holds {len(found)} DICOM series" if series is None else f"{folder} holds no series {series}"
    return f"{head}; name one, such as {folder}#{found[0]}:\n" + "\n".join(listed)
