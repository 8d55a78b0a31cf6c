"""Voxels without a header: one reader for all raw files, which counts the bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regenv.errors import DataError


def read_raw(path: Path, size: tuple[int, ...], dtype: str) -> NDArray[np.float32]:
    """Reads a file that holds voxels and nothing else, the first axis running fastest.

    Args:
        path: The file.
        size: Voxels along ``(x, y[, z])``.
        dtype: Of the file, with its byte order, such as ``"<i2"`` or ``">u2"``.

    Returns:
        ``size[::-1]`` float32, indexed ``[z, y, x]``.

    Raises:
        DataError: If the file is missing or has another number of bytes.
    """
    wanted = int(np.prod(size)) * np.dtype(dtype).itemsize
    by = " x ".join(str(n) for n in size)
    try:
        found = path.stat().st_size
        if found != wanted:
            raise DataError(
                f"{path} has {found} bytes and {by} voxels of {np.dtype(dtype).itemsize} bytes are {wanted}; it is "
                "truncated or of another case, copy it again"
            )
        return np.fromfile(path, dtype=dtype).reshape(size[::-1]).astype(np.float32)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); copy it again") from error
