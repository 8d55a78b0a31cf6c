"""Rays of many cases side by side, from cameras through the planes that are seen on their detectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.camera import detector_pixels
from regenv.core.geometry import FloatArray
from regenv.core.lanes import Lanes
from regenv.core.scene import Scene


class Rays:
    """Rays of many lanes from the source of each camera to the pixels of its plane.

    Args:
        seen: ``(V, 3, 2)`` planes in mm about the middle of each detector: origin, row step, column step.
        lanes: Number of lanes, B.

    Attributes:
        planes: ``(B, V, 3, 2)`` in pixels of the detectors.
        shapes: ``(B, 3)`` of the volumes.
    """

    def __init__(self, seen: FloatArray, lanes: int) -> None:
        self._seen = seen
        self.planes = np.zeros((lanes, *seen.shape))
        self.shapes = np.zeros((lanes, 3), np.int64)
        self._to_index = np.tile(np.eye(4), (lanes, 1, 1))
        self._sources = np.zeros((lanes, len(seen), 3))
        self._detectors = np.tile(np.eye(4), (lanes, len(seen), 1, 1))  # from their pixels to the world

    @property
    def of_case(self) -> list[NDArray]:
        """Arrays over lanes of all that :meth:`load` sets."""
        return [self.planes, self.shapes, self._to_index, self._sources, self._detectors]

    def load(self, lane: int, scene: Scene) -> None:
        """Gives a lane the cameras and the volume of its new case."""
        for v, camera in enumerate(scene.cameras):
            self.planes[lane, v] = detector_pixels(camera, self._seen[v])
            self._sources[lane, v] = camera.source
            self._detectors[lane, v] = camera.grid.index_to_physical
        self._to_index[lane] = scene.moving_grid.physical_to_index
        self.shapes[lane] = scene.moving_grid.shape

    def cast(self, matrices: FloatArray, lanes: Lanes) -> tuple[FloatArray, FloatArray]:
        """Sources ``(B, V, 3)`` and pixels ``(B, V, 3, 3)`` of some lanes in indices of their volumes.

        As :func:`regenv.core.camera.index_rays` of each camera.

        Args:
            matrices: ``(B, 4, 4)`` from world to volume points.
            lanes: Which.
        """
        to_index = (self._to_index[lanes] @ matrices)[:, None]
        detectors = to_index @ self._detectors[lanes]
        sources = (to_index[..., :3, :3] @ self._sources[lanes][..., None])[..., 0] + to_index[..., :3, 3]
        pixels = np.einsum("bvij,bvkj->bvki", detectors[..., :3, :2], self.planes[lanes])
        pixels[:, :, 0] += detectors[..., :3, 3]
        return sources, pixels
