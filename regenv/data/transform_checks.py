"""Transform files, checked before ITK sees them.

ITK takes the numbers in them on trust: an Euler transform with too few, or with NaN, ends the process (a segmentation
fault), and too many are read without a word. Text and MATLAB files are simple enough to be read here; what lies in HDF5
and other formats is read by another process first.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

from regenv.data.header_values import finite_numbers
from regenv.errors import DataError, near_miss

PARAMETERS = {
    **{"Identity": (0, 0), "Translation": (2, 3), "Scale": (2, 3), "ScaleLogarithmic": (None, 3)},
    **{"Euler2D": (3, None), "Similarity2D": (4, None), "Affine": (6, 12)},
    **{"Versor": (None, 3), "VersorRigid3D": (None, 6), "QuaternionRigid": (None, 7), "Euler3D": (None, 6)},
    **{"Similarity3D": (None, 7), "ScaleVersor3D": (None, 9), "ScaleSkewVersor3D": (None, 15)},
}
"""Linear transforms of ITK that have a matrix, and how many parameters they have in 2-D and 3-D (None: not defined)."""

_NOT_LINEAR = re.compile(r"BSpline|Displacement|Velocity|Diffeomorphic|Spline|Kernel|Azimuth|Perspective")
_KIND = re.compile(r"(\w+?)Transform_(?:double|float)_([23])_\2")
_MOST_BYTES = 1 << 20
_SECONDS = 120
_TRY = "import sys, SimpleITK; SimpleITK.ReadTransform(sys.argv[1])"


def check_transform(path: Path) -> None:
    """Raises unless ITK can read the file without harm, and it holds a linear transform.

    Args:
        path: A file that is there.

    Raises:
        DataError: What is wrong with it; of HDF5 files it is known only whether reading them goes well.
    """
    ending = path.suffix.lower()
    if ending not in (".tfm", ".txt", ".mat"):
        stat = path.stat()
        if not _can_be_read(str(path.resolve()), stat.st_mtime_ns, stat.st_size):
            raise unreadable(path)
        return
    with path.open("rb") as stream:
        content = stream.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise not_linear(path, "it has over a million bytes")
    transforms = _of_matlab(path, content) if ending == ".mat" else _of_text(path, content)
    composite = bool(transforms) and transforms[0][0].startswith("CompositeTransform_")
    if not transforms[composite:]:
        raise unreadable(path)
    if len(transforms) > 1 and not composite:
        raise DataError(f"transform {path.name} holds {len(transforms)}; write them as one CompositeTransform")
    for kind, parameters, fixed in transforms[composite:]:
        _check_one(path, kind, parameters, fixed)


def unreadable(path: Path) -> DataError:
    """The error for a file that is no transform."""
    return DataError(
        f"transform {path.name} cannot be read as an ITK transform; write it with SimpleITK.WriteTransform (.tfm)"
    )


def not_linear(path: Path, what: str) -> DataError:
    """The error for a transform that has no matrix."""
    return DataError(f"transform {path.name} is not linear ({what}); give its linear part, or landmarks instead")


def _check_one(path: Path, kind: str, parameters: str, fixed: str) -> None:
    if _NOT_LINEAR.search(kind):
        raise not_linear(path, kind.partition("_")[0])
    match = _KIND.fullmatch(kind)
    if match is None or match[1] not in PARAMETERS:
        name = kind.partition("Transform")[0]
        raise DataError(f"transform {path.name} is of the unknown kind {kind[:60]!r}; {near_miss(name, PARAMETERS)}")
    name, d = match[1], int(match[2])
    count = PARAMETERS[name][d - 2]
    if count is None:
        raise DataError(f"transform {path.name} is of the kind {name}, which has no {d} dimensions")
    finite_numbers(path, f"Parameters of {name}", parameters, count)
    words = len(fixed.split())
    centre = {"Identity": words, "Translation": words, "Euler3D": max(3, min(words, 4))}.get(name, d)
    finite_numbers(path, f"FixedParameters of {name}", fixed, centre)


def _of_text(path: Path, content: bytes) -> list[tuple[str, str, str]]:
    """Kind, parameters and fixed parameters of each transform of a text file, as ITK's reader splits it."""
    transforms: list[dict[str, str]] = []
    for line in content.decode("latin-1").split("\n"):
        name, colon, value = (part.strip(" \t\r") for part in line.strip(" \t\r").partition(":"))
        if not name or name.startswith("#"):
            continue
        if name == "Transform":
            transforms.append({})
        if not colon or not transforms or name not in ("Transform", "Parameters", "FixedParameters"):
            raise unreadable(path)
        if name in transforms[-1]:
            raise DataError(f"transform {path.name} has {name} twice; write it with SimpleITK.WriteTransform (.tfm)")
        transforms[-1][name] = value
    return [(t["Transform"], t.get("Parameters", ""), t.get("FixedParameters", "")) for t in transforms]


def _of_matlab(path: Path, content: bytes) -> list[tuple[str, str, str]]:
    """The same of a MATLAB file (level 4): columns of doubles, each transform's parameters and then ``fixed``."""
    columns: list[tuple[str, str]] = []
    while content:
        if len(content) < 20:
            raise unreadable(path)
        kind, rows, width, imaginary, letters = struct.unpack_from("<5i", content)
        end = 20 + letters + 8 * rows
        if kind != 0 or width != 1 or imaginary or rows < 0 or letters < 1 or end > len(content):
            raise unreadable(path)
        name = content[20 : 20 + letters].rstrip(b"\0").decode("latin-1")
        values = np.frombuffer(content, "<f8", rows, 20 + letters)
        columns.append((name, " ".join(repr(float(value)) for value in values)))
        content = content[end:]
    if len(columns) % 2 or any(name != "fixed" for name, _ in columns[1::2]):
        raise unreadable(path)
    return [(*columns[i], columns[i + 1][1]) for i in range(0, len(columns), 2)]


@lru_cache(maxsize=1024)
def _can_be_read(path: str, changed: int, size: int) -> bool:
    """Whether another process reads the file and lives; ``changed`` and ``size`` tell one state of it from the next."""
    try:
        done = subprocess.run([sys.executable, "-c", _TRY, path], capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
