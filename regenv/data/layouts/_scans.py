"""Reading the files of a case: images, labels, masks and landmarks, checked against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid
from regenv.core.image import Image
from regenv.data.frames import inside
from regenv.data.image_io import read_image, read_labels
from regenv.data.pair import ImagePair, Truth
from regenv.errors import DataError

MOST_OUTSIDE = 0.05
"""Share of landmarks that may lie outside their image: a stray one is a slip, many are another convention."""


@dataclass(frozen=True)
class ScanFiles:
    """One image of a case and what belongs to it; paths are None where the set has no such file.

    Attributes:
        image: The image file, or folder of a DICOM series.
        modality: What its intensities mean.
        labels: Label map on its grid.
        mask: Mask on its grid.
        landmarks: Its landmarks.
    """

    image: Path
    modality: str
    labels: Path | None = None
    mask: Path | None = None
    landmarks: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that there must be."""
        return tuple(path for path in (self.image, self.labels, self.mask, self.landmarks) if path is not None)


def load_scans(
    fixed: ScanFiles,
    moving: ScanFiles,
    *,
    read: Callable[[Path, str], Image] | None = None,
    points: Callable[[Path, Grid], FloatArray] | None = None,
    label_names: Mapping[int, str] | None = None,
) -> ImagePair:
    """Reads a pair in the frames of its files.

    Args:
        fixed: The fixed scan.
        moving: The moving scan; labels and landmarks serve where both sides have them.
        read: Reads an image, ``read(path, modality)``; by default any format that the package reads.
        points: Reads landmarks as ``(N, 3)`` physical points, ``points(path, grid)``.
        label_names: Name of each label.

    Returns:
        The pair, without id and subject.

    Raises:
        DataError: If a file cannot be used.
    """
    images = [(read or _read)(scan.image, scan.modality) for scan in (fixed, moving)]
    landmarks = None
    if points is not None and fixed.landmarks is not None and moving.landmarks is not None:
        landmarks = [
            points(path, image.grid) for path, image in zip((fixed.landmarks, moving.landmarks), images, strict=True)
        ]
        for path, found, image in zip((fixed.landmarks, moving.landmarks), landmarks, images, strict=True):
            check_landmarks(path.name, found, image.grid)
        check_paired(fixed.landmarks.name, moving.landmarks.name, *landmarks)
    labels: list[NDArray[np.int32] | None] = [None, None]
    if fixed.labels is not None and moving.labels is not None:
        labels = [_labels(path, image.grid) for path, image in zip((fixed.labels, moving.labels), images, strict=True)]
    masks = [
        None if scan.mask is None else _mask(scan.mask, image.grid)
        for scan, image in zip((fixed, moving), images, strict=True)
    ]
    return ImagePair(
        "",
        "",
        images[0],
        images[1],
        masks[0],
        masks[1],
        make_truth(landmarks=landmarks, labels=labels, label_names=label_names),
    )


def make_truth(
    *,
    transform: FloatArray | None = None,
    landmarks: Sequence[FloatArray] | None = None,
    labels: Sequence[NDArray[np.int32] | None] | None = None,
    label_names: Mapping[int, str] | None = None,
) -> Truth | None:
    """What is known of the truth, or None where nothing is."""
    fixed_labels, moving_labels = labels or (None, None)
    if transform is None and landmarks is None and fixed_labels is None:
        return None
    return Truth(
        transform=transform,
        landmarks_fixed=None if landmarks is None else landmarks[0],
        landmarks_moving=None if landmarks is None else landmarks[1],
        labels_fixed=fixed_labels,
        labels_moving=moving_labels,
        label_names=dict(label_names or {}),
    )


def read_text(path: Path) -> str:
    """A text file's content.

    Raises:
        DataError: If it is missing or no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error}); copy it again") from error


def read_rows(path: Path, columns: int, *, delimiter: str | None = None, skip: str = "#%") -> FloatArray:
    """Rows of at least ``columns`` numbers from a text file, ``(N, columns)``.

    Args:
        path: The file.
        columns: Numbers taken from each row.
        delimiter: Between them; None for any white space.
        skip: Rows that begin with one of these are left out.

    Raises:
        DataError: If the file is missing, empty, or a row is not of numbers; the message names file and line.
    """
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.lstrip()[0] in skip:
            continue
        try:
            rows.append([float(word) for word in line.split(delimiter)[:columns]])
        except ValueError:
            raise DataError(
                f"{path} line {number}: {line.strip()!r} is not {columns} numbers; copy the file again"
            ) from None
        if len(rows[-1]) != columns:
            raise DataError(f"{path} line {number}: {line.strip()!r} has {len(rows[-1])} numbers and needs {columns}")
    if not rows:
        raise DataError(f"{path} holds no point; copy the file again")
    return np.array(rows)


def check_landmarks(name: str, points: FloatArray, grid: Grid) -> None:
    """Raises where more than :data:`MOST_OUTSIDE` of the points lie outside their image."""
    outside = ~inside(grid, points)
    if outside.mean() > MOST_OUTSIDE:
        first = int(outside.argmax())
        shown = ", ".join(f"{value:.1f}" for value in points[first])
        raise DataError(
            f"{name}: {int(outside.sum())} of {len(points)} landmarks lie outside their image, the first is number "
            f"{first + 1} at ({shown}) mm; image and landmarks are not of the same case or release"
        )


def check_paired(fixed_name: str, moving_name: str, fixed: FloatArray, moving: FloatArray) -> None:
    """Raises where the two sides have different numbers of landmarks."""
    if len(fixed) != len(moving):
        raise DataError(
            f"{moving_name} has {len(moving)} landmarks and {fixed_name} {len(fixed)}; they are not of the same release"
        )


def _read(path: Path, modality: str) -> Image:
    return read_image(path, modality, ndim=3)


def _labels(path: Path, grid: Grid) -> NDArray[np.int32]:
    labels = read_labels(path, grid)
    if not labels.any():
        raise DataError(f"labels {path} are 0 everywhere; copy the file again")
    return labels


def _mask(path: Path, grid: Grid) -> NDArray[np.bool_]:
    mask = read_labels(path, grid) != 0
    if not mask.any():
        raise DataError(f"mask {path} is empty; copy the file again")
    return mask
