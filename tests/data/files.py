"""Tiny real files for the tests of this folder, written by SimpleITK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

SIZE = (20, 16, 12)
SPACING = (1.5, 2.0, 3.0)
ORIGIN = (5.0, -6.0, 7.0)


def oblique() -> np.ndarray:
    """A direction that is neither the identity nor a permutation."""
    a, b = np.deg2rad(20), np.deg2rad(-35)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return about_z @ about_x


def image(
    size: tuple[int, ...] = SIZE,
    *,
    seed: int = 0,
    kind: type = np.int16,
    spacing: tuple[float, ...] = SPACING,
    origin: tuple[float, ...] = ORIGIN,
    direction: np.ndarray | None = None,
) -> sitk.Image:
    """Smooth random values from about -900 to 900, of any size."""
    rng = np.random.default_rng(seed)
    array = 300 * rng.standard_normal(size[::-1])
    made = sitk.GetImageFromArray(array.astype(kind))
    d = len(size)
    made.SetSpacing(spacing[:d])
    made.SetOrigin(origin[:d])
    if direction is not None:
        made.SetDirection(direction.ravel().tolist())
    return made


def write(path: Path, given: sitk.Image, compress: bool = False) -> Path:
    """Writes and returns the path."""
    sitk.WriteImage(given, str(path), useCompression=compress)
    return path


def write_series(
    folder: Path,
    uid: str,
    *,
    slices: int = 6,
    step: float = 3.0,
    tilt: float = 0.0,
    without: tuple[str, ...] = (),
    description: str = "chest",
) -> Path:
    """A DICOM series of axial slices of 10 x 8 pixels of 1.5 x 1.25 mm; slice k holds k in its first pixel."""
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(slices):
        array = np.random.default_rng(k).integers(-500, 500, (8, 10)).astype(np.int16)
        array[0, 0] = k
        piece = sitk.GetImageFromArray(array)
        piece.SetSpacing((1.5, 1.25))
        tags = {
            "0008|0060": "CT",
            "0008|103e": description,
            "0020|000d": "1.2.3",
            "0020|000e": uid,
            "0008|0018": f"{uid}.{k + 1}",
            "0020|0013": str(k + 1),
            "0020|0032": f"10\\{20 + k * tilt}\\{30 + k * step}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0028|0030": "1.25\\1.5",
        }
        for tag, value in tags.items():
            if tag not in without:
                piece.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{uid.split('.')[-1]}_{k:02d}.dcm"))
        writer.Execute(piece)
    return folder
