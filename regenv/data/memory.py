"""Whether there is memory enough for an image, asked before it is read."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from regenv.errors import DataError

_MEMINFO = Path("/proc/meminfo")


def check_memory(path: str, size: Sequence[int]) -> None:
    """Raises unless an image fits into memory: its voxels as float32, and the copy that reading makes of them.

    Args:
        path: The image, for the message.
        size: Voxels along each axis.

    Raises:
        DataError: If there is too little; the message names what it takes and what there is.
    """
    needed, available = 8 * math.prod(size), available_bytes()
    if available is not None and needed > available:
        raise DataError(
            f"{path} has {' x '.join(map(str, size))} voxels: reading it takes {needed / 2**30:.1f} GiB of memory and "
            f"{available / 2**30:.1f} GiB are free. Crop it or resample it to coarser voxels, or use a larger machine"
        )


def available_bytes() -> int | None:
    """Memory that a new array may take without swapping; None where the system does not tell."""
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass  # no Linux
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
