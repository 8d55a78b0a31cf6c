"""A pair as plain arrays by name, and back: what the disk cache keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.pair import ImagePair, Truth

if TYPE_CHECKING:
    from regenv.core.camera import Camera

_POINTS = ("transform", "points_fixed", "points_moving", "landmarks_fixed", "landmarks_moving")
_LEVELS = 32767


def pack(pair: ImagePair) -> dict[str, NDArray[Any]]:
    """The pair's arrays by name; images as int16, whole numbers exactly, others to 1/32767 of their range."""
    arrays: dict[str, NDArray[Any]] = {}
    for role, image, mask in (("fixed", pair.fixed, pair.fixed_mask), ("moving", pair.moving, pair.moving_mask)):
        arrays.update(pack_image(role, image))
        if mask is not None:
            arrays[f"{role}_mask"] = mask
    if pair.alignment is not None:
        arrays["alignment"] = pair.alignment
    if pair.slice_mm is not None:
        arrays["slice_mm"] = np.array(pair.slice_mm)
    for i, camera in enumerate(pair.cameras):
        arrays[f"camera_{i}"] = np.vstack([camera.source, camera.isocentre, _grid_rows(camera.grid)])
        arrays[f"camera_{i}_size"] = np.array(camera.grid.size)
    truth = pair.truth
    if truth is not None:
        for name in (*_POINTS, "labels_fixed", "labels_moving"):
            value = getattr(truth, name)
            if value is not None:
                arrays[name] = value
        arrays["landmark_names"] = np.array(truth.landmark_names, dtype=np.str_)
        arrays["label_values"] = np.array(list(truth.label_names), dtype=np.int64)
        arrays["label_names"] = np.array(list(truth.label_names.values()), dtype=np.str_)
    return arrays


def unpack(arrays: dict[str, NDArray[Any]]) -> ImagePair:
    """The pair of :func:`pack`."""
    images, masks = [], []
    for role in ("fixed", "moving"):
        images.append(unpack_image(role, arrays))
        masks.append(arrays.get(f"{role}_mask"))
    cameras: list[Camera] = []
    while (rows := arrays.get(f"camera_{len(cameras)}")) is not None:
        from regenv.core.camera import Camera

        size = tuple(int(n) for n in arrays[f"camera_{len(cameras)}_size"])
        cameras.append(Camera(rows[0], _grid(rows[2:], size), rows[1]))
    truth = None
    if "label_values" in arrays:  # else the pair has none
        names = zip(arrays["label_values"], arrays["label_names"], strict=True)
        truth = Truth(
            **{name: arrays.get(name) for name in (*_POINTS, "labels_fixed", "labels_moving")},
            landmark_names=tuple(str(name) for name in arrays["landmark_names"]),
            label_names={int(value): str(name) for value, name in names},
        )
    fixed, moving = images
    thick = float(arrays["slice_mm"]) if "slice_mm" in arrays else None
    given = arrays.get("alignment")
    return ImagePair("", "", fixed, moving, masks[0], masks[1], truth, given, tuple(cameras), thick)


def pack_image(role: str, image: Image) -> dict[str, NDArray[Any]]:
    """An image's arrays by name, each of which begins with its role; voxels as in :func:`pack`."""
    voxels, scale = _as_int16(image)
    return {
        f"{role}_image": voxels,
        f"{role}_scale": scale,
        f"{role}_grid": _grid_rows(image.grid),
        f"{role}_modality": np.array(image.modality),
    }


def unpack_image(role: str, arrays: Mapping[str, NDArray[Any]]) -> Image:
    """The image of :func:`pack_image`."""
    low, step, background = (float(v) for v in arrays[f"{role}_scale"])
    array = arrays[f"{role}_image"].astype(np.float32)
    if (low, step) != (0.0, 1.0):
        array = array * np.float32(step) + np.float32(low)
    grid = _grid(arrays[f"{role}_grid"], array.shape[::-1])
    return Image(array, grid, str(arrays[f"{role}_modality"].item()), background)


def bytes_held(pair: ImagePair) -> int:
    """Memory that a pair takes."""
    arrays: list[NDArray[Any] | None] = [pair.fixed.array, pair.moving.array, pair.fixed_mask, pair.moving_mask]
    if pair.truth is not None:
        arrays += [pair.truth.labels_fixed, pair.truth.labels_moving]
    return sum(a.nbytes for a in arrays if a is not None)


def _as_int16(image: Image) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Voxels, and (value of 0, value of 1 more, background)."""
    array = image.array
    low, high = float(array.min()), float(array.max())
    if low >= -32768 and high <= _LEVELS and np.array_equal(array, np.rint(array)):
        return array.astype(np.int16), np.array([0.0, 1.0, image.background])
    step = max(high - low, 1e-6) / _LEVELS
    return np.rint((array - np.float32(low)) / np.float32(step)).astype(np.int16), np.array(
        [low, step, image.background]
    )


def _grid_rows(grid: Grid) -> NDArray[np.float64]:
    """Direction, origin and spacing, ``(d + 2, d)``."""
    return np.vstack([grid.direction, grid.origin, grid.spacing])


def _grid(rows: NDArray[np.float64], size: tuple[int, ...]) -> Grid:
    d = rows.shape[1]
    return Grid(size, tuple(rows[d + 1]), tuple(rows[d]), rows[:d])
