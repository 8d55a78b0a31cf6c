"""Values in the headers of files, read and checked before a reader that trusts them sees the file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from regenv.errors import DataError

WRITE_AGAIN = "write it again with its geometry (3D Slicer, ITK-SNAP and dcm2niix do), or as .mha"

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WHOLE = re.compile(r"[+-]?\d{1,19}")
T = TypeVar("T", int, float)


def damaged(path: Path, found: str) -> DataError:
    """The error for a file that is not what its header says."""
    return DataError(f"{path} is truncated or damaged ({found}); copy or download it again")


def whole_numbers(path: Path, field: str, text: str, count: int, lowest: int, highest: int) -> tuple[int, ...]:
    """As many whole numbers as ``count``, each from ``lowest`` to ``highest``.

    Raises:
        DataError: If there are others; the message names file, field and value.
    """
    return _values(path, field, text, count, _WHOLE, int, lambda n: lowest <= n <= highest, f"{lowest} to {highest}")


def finite_numbers(path: Path, field: str, text: str, count: int) -> tuple[float, ...]:
    """As many finite numbers as ``count``.

    Raises:
        DataError: If there are others; the message names file, field and value.
    """
    return _values(path, field, text, count, _NUMBER, float, math.isfinite, "finite")


def _values(
    path: Path,
    field: str,
    text: str,
    count: int,
    pattern: re.Pattern[str],
    kind: Callable[[str], T],
    allowed: Callable[[T], bool],
    what: str,
) -> tuple[T, ...]:
    words = text.split(None, count)
    values = tuple(kind(word) for word in words if pattern.fullmatch(word))
    if len(words) != count or len(values) != count or not all(map(allowed, values)):
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        needed = f"a number ({what})" if count == 1 else f"{count} numbers ({what})"
        raise damaged(path, f"{field} is {shown!r} and must be {needed}")
    return values


def check_spacing(path: Path, spacing: tuple[float, ...]) -> None:
    """Raises :class:`DataError` unless all spacings are positive and finite."""
    if not all(math.isfinite(s) and s > 0 for s in spacing):
        shown = ", ".join(f"{s:g}" for s in spacing)
        raise DataError(f"{path} has a spacing of ({shown}) mm, which must be positive; {WRITE_AGAIN}")


def check_one_value(path: Path | str, components: int) -> None:
    """Raises :class:`DataError` where voxels have several values."""
    if components > 1:
        raise DataError(f"{path} has {components} values a voxel (a colour or vector image); extract one channel first")
