"""Rays of many cases side by side, from cameras through the planes that are seen on their detectors."""

from __future__ import annotations

import numpy as np

from regenv.core.camera import detector_pixels, index_rays
from regenv.core.geometry import FloatArray
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
        self._scenes: list[Scene | None] = [None] * lanes

    def load(self, lane: int, scene: Scene) -> None:
        """Gives a lane the cameras and the volume of its new case."""
        for v, camera in enumerate(scene.cameras):
            self.planes[lane, v] = detector_pixels(camera, self._seen[v])
        self._to_index[lane] = scene.moving_grid.physical_to_index
        self.shapes[lane] = scene.moving_grid.shape
        self._scenes[lane] = scene

    def cast(self, matrices: FloatArray, lanes: slice) -> tuple[FloatArray, FloatArray]:
        """Sources ``(B, V, 3)`` and pixels ``(B, V, 3, 3)`` of some lanes in indices of their volumes.

        Args:
            matrices: ``(B, 4, 4)`` from world to volume points.
            lanes: Which.
        """
        world_to_index = self._to_index[lanes] @ matrices
        planes = self.planes[lanes]
        sources, rays = np.zeros((*planes.shape[:2], 3)), np.zeros((*planes.shape[:2], 3, 3))
        for i, (scene, views) in enumerate(zip(self._scenes[lanes], planes, strict=True)):
            assert scene is not None
            for v, camera in enumerate(scene.cameras):
                source, ray = index_rays(camera, views[v][None], world_to_index[i][None])
                sources[i, v], rays[i, v] = source[0], ray[0, 0]
        return sources, rays
