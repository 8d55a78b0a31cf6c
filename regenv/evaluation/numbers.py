"""Scenes and targets as plain numbers: what a track stores of a case, rounded so that its digest is the same."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.points import LATTICE_SPACING_MM
from regenv.core.scene import Scene, Target

_POINT_MM = 1e-4
"""Points are stored as whole multiples of this."""

_HALVINGS = 6  # of the lattice's spacing, for small structures


def rounded(array: Any, decimals: int = 9) -> Any:
    """Nested lists of a rounded array, or None of None."""
    # Adding 0.0 turns -0.0 into 0.0, which prints otherwise.
    return None if array is None else (np.round(np.asarray(array, dtype=np.float64), decimals) + 0.0).tolist()


def _array(numbers: Any) -> FloatArray:
    return np.asarray(numbers, dtype=np.float64)


def grid_to_json(grid: Grid) -> list[Any]:
    """Size, spacing, origin and direction; what is multiplied by hundreds of voxels has three more digits."""
    return [list(grid.size), rounded(grid.spacing, 12), rounded(grid.origin), rounded(grid.direction, 12)]


def grid_from_json(record: Any) -> Grid:
    """The inverse of :func:`grid_to_json`."""
    size, spacing, origin, direction = record
    return Grid(tuple(size), tuple(spacing), tuple(origin), _array(direction))


def scene_to_json(scene: Scene) -> dict[str, Any]:
    """A scene's numbers."""
    identity = np.array_equal(scene.alignment, np.eye(scene.ndim + 1))
    return {
        "fixed": grid_to_json(scene.fixed_grid),
        "moving": grid_to_json(scene.moving_grid),
        "alignment": None if identity else rounded(scene.alignment),
        "slice_mm": rounded(scene.slice_mm),
        "cameras": [[rounded(c.source), grid_to_json(c.grid), rounded(c.isocentre)] for c in scene.cameras],
        "blind_axis": rounded(scene.blind_axis),
    }


def scene_from_json(record: Mapping[str, Any]) -> Scene:
    """The inverse of :func:`scene_to_json`."""
    fixed, moving = grid_from_json(record["fixed"]), grid_from_json(record["moving"])
    given, blind = record["alignment"], record["blind_axis"]
    return Scene(
        fixed_grid=fixed,
        moving_grid=moving,
        alignment=np.eye(fixed.ndim + 1) if given is None else _array(given),
        slice_mm=float(record["slice_mm"]),
        cameras=tuple(Camera(_array(s), grid_from_json(g), _array(i)) for s, g, i in record["cameras"]),
        blind_axis=None if blind is None else _array(blind),
    )


def target_to_json(target: Target, scene: Scene) -> dict[str, Any]:
    """A target's numbers; points on a lattice as a bit each, partners that the pose itself gives not at all."""
    given = target.pose.ndim == 2 and np.allclose(
        transform_points(target.pose, target.points), target.partners, atol=1e-6
    )
    return {
        "pose": rounded(target.pose),
        "points": _pack_lattice(target.points, scene) or _pack(target.points),
        "partners": None if given else _pack(target.partners),
        "landmarks_fixed": rounded(target.landmarks_fixed, 4),
        "landmarks_moving": rounded(target.landmarks_moving, 4),
        "landmark_names": list(target.landmark_names),
    }


def target_from_json(record: Mapping[str, Any], scene: Scene) -> Target:
    """The inverse of :func:`target_to_json`."""
    pose, packed = _array(record["pose"]), record["points"]
    points = _unpack_lattice(packed, scene) if "inside" in packed else _unpack(packed)
    fixed, moving = record["landmarks_fixed"], record["landmarks_moving"]
    return Target(
        pose=pose,
        points=points,
        partners=transform_points(pose, points) if record["partners"] is None else _unpack(record["partners"]),
        landmarks_fixed=None if fixed is None else _array(fixed),
        landmarks_moving=None if moving is None else _array(moving),
        landmark_names=tuple(record["landmark_names"]),
    )


def _pack(points: FloatArray) -> dict[str, Any]:
    """Points as 32-bit multiples of a tenth of a micrometre."""
    steps = np.rint(points / _POINT_MM).astype("<i4")
    return {"shape": list(points.shape), "steps": base64.b64encode(steps.tobytes()).decode()}


def _unpack(packed: Mapping[str, Any]) -> FloatArray:
    steps = np.frombuffer(base64.b64decode(packed["steps"]), "<i4").reshape(packed["shape"])
    return steps * _POINT_MM


def _pack_lattice(points: FloatArray, scene: Scene) -> dict[str, Any] | None:
    """Points on a lattice about the frame's origin as a bit for each of their box, ``[z, y, x]``; None of others."""
    local = transform_points(scene.to_frame, points)
    for halving in range(_HALVINGS):
        spacing = LATTICE_SPACING_MM / 2**halving
        lattice = np.rint(local / spacing).astype(np.int64)
        if np.abs(lattice * spacing - local).max() < 1e-6:
            break
    else:
        return None
    low = lattice.min(axis=0)
    size = lattice.max(axis=0) - low + 1
    inside = np.zeros(size[::-1], dtype=bool)
    inside[tuple((lattice - low).T[::-1])] = True
    if not np.array_equal(np.argwhere(inside)[:, ::-1] + low, lattice):
        return None  # the order of the points would be lost
    bits = np.packbits(inside).tobytes().hex()
    return {"spacing_mm": spacing, "low": low.tolist(), "size": size.tolist(), "inside": bits}


def _unpack_lattice(packed: Mapping[str, Any], scene: Scene) -> FloatArray:
    size = packed["size"]
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(packed["inside"]), np.uint8), count=int(np.prod(size)))
    lattice = np.argwhere(bits.reshape(size[::-1]))[:, ::-1] + np.asarray(packed["low"])
    return transform_points(scene.frame, lattice * packed["spacing_mm"])
