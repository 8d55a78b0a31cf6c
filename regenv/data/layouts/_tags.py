"""Landmark files of the Montreal Neurological Institute, ``.tag``: pairs of points in two volumes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from regenv.core.geometry import FloatArray
from regenv.errors import DataError

RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


def read_tags(path: Path) -> tuple[FloatArray, FloatArray]:
    """Reads the points of both volumes of a tag file.

    A file begins with ``MNI Tag Point File``, says ``Volumes = 2;`` and lists after ``Points =``, up to a
    semicolon, six numbers and perhaps more (weight, structure, patient, a label in quotes) for each point: x, y, z
    in the first volume, then in the second, in mm of MINC's world, which is RAS as in NIfTI (format: McConnell
    Brain Imaging Centre, libminc ``volume_io`` and VTK ``vtkMNITagPointReader``).

    Args:
        path: The file.

    Returns:
        ``(N, 3)`` points in the first and in the second volume, in LPS mm.

    Raises:
        DataError: If it is no such file or has points of one volume only.
    """
    try:
        text = path.read_text(encoding="latin-1")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); copy it again") from error
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("%", "#")))
    volumes = re.search(r"Volumes\s*=\s*(\d+)\s*;", text)
    points = re.search(r"Points\s*=(.*)", text, re.DOTALL)
    if not text.lstrip().startswith("MNI Tag Point File") or volumes is None or points is None:
        raise DataError(f"{path} is no MNI tag point file; copy it again")
    if volumes[1] != "2":
        raise DataError(f"{path} has points of {volumes[1]} volume and pairs are needed; take the file that has both")
    rows = []
    for line in points[1].splitlines():
        words = line.partition('"')[0].replace(";", " ").split()
        if not words:
            continue
        try:
            rows.append([float(word) for word in words[:6]])
        except ValueError:
            raise DataError(f"{path}: {line.strip()!r} is no pair of points; copy the file again") from None
        if len(rows[-1]) < 6:
            raise DataError(f"{path}: {line.strip()!r} has {len(rows[-1])} numbers and a pair of points needs 6")
    if not rows:
        raise DataError(f"{path} holds no point; copy it again")
    array = np.array(rows)
    return array[:, :3] * RAS_TO_LPS, array[:, 3:] * RAS_TO_LPS
