"""Statistical deformation models as files."""

from __future__ import annotations

import zlib
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray
from regenv.files import written_whole

_FORMAT = 1
_KEYS = {"format", "steps", "scales", "extent_mm", "sigmas", "explained", "source"}
_DAMAGED = (KeyError, ValueError, TypeError, AttributeError, BadZipFile, EOFError, zlib.error, RuntimeError, OSError)
"""What reading a file that was cut off or overwritten ends in."""

_STEPS = 32767  # coefficients are 16-bit integers: off by at most 1.6e-5 of a mode's largest


def write_model(
    path: Path,
    modes: NDArray[np.float32],
    extent_mm: float,
    sigmas: FloatArray,
    explained: FloatArray,
    source: str,
) -> None:
    """Writes a model's parts as an NPZ file without pickles, whole or not at all."""
    flat = modes.reshape(len(modes), -1).astype(np.float64)
    peaks = np.abs(flat).max(axis=1, keepdims=True)
    scales = np.where(peaks > 0, peaks, 1.0) / _STEPS
    steps = np.rint(flat / scales).astype(np.int16).reshape(modes.shape)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}; make it first")
    with written_whole(path) as beside, beside.open("wb") as file:
        np.savez_compressed(
            file, format=np.array(_FORMAT), steps=steps, scales=scales.ravel(), extent_mm=np.array(extent_mm),
            sigmas=sigmas, explained=explained, source=np.array(source),
        )  # fmt: skip


def read_model(path: Path) -> tuple[NDArray[np.float32], float, FloatArray, FloatArray, str]:
    """Modes, extent, sigmas, explained shares and source of a file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it holds no model.
    """
    with path.open("rb") as file:
        packed = is_zipfile(file)
    try:
        if not packed:
            raise ValueError("it is no NPZ file")
        with np.load(path, allow_pickle=False) as arrays:
            held = {key: arrays[key] for key in arrays.files}
        if int(held.get("format", _FORMAT)) != _FORMAT:
            raise ValueError(f"its format is {int(held['format'])}, this version reads {_FORMAT}")
        if missing := _KEYS - set(held):
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        steps, scales = held["steps"], held["scales"]
        modes = (steps * scales.reshape((-1,) + (1,) * (steps.ndim - 1))).astype(np.float32)
        return modes, float(held["extent_mm"]), held["sigmas"], held["explained"], str(held["source"])
    except _DAMAGED as error:
        raise ValueError(f"{path} is no model that StatisticalDeformation.save wrote: {error}") from error
