"""A canvas for projection: the moved image is a radiograph, or a depth map, of the moving volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.camera import detector_pixels, index_rays
from regenv.core.projection import depth, project, sees, windowed_sums
from regenv.envs.canvas import ALL, Canvas, LevelBuffers, render_one
from regenv.envs.cases import Case
from regenv.envs.views import View
from regenv.errors import DataError

WHOLE = 0.99
"""A pixel of the view counts where all it is blended from is in the mask: a missing depth next to it would be near."""

SKIN_HU = -400.0
"""A depth camera sees where a ray first meets something denser."""


class ProjectionCanvas(Canvas):
    """Casts rays through the moving volume, from the source of each camera to the pixels of the view.

    A state T maps world to volume points: the volume is posed, the cameras stand.

    Args:
        view: What is seen on the detectors; one plane for each camera.
        lanes: Number of lanes, B.
        threads: Threads for more than one lane.
        imaging: ``"radiograph"`` or ``"depth"``.
    """

    def __init__(self, view: View, lanes: int, threads: int | None, imaging: str) -> None:
        super().__init__(view, lanes, threads)
        self._imaging = imaging
        self._to_index = np.tile(np.eye(4), (lanes, 1, 1))
        self._shapes = np.zeros((lanes, 3), np.int64)
        self._spacings = np.zeros((lanes, 3))
        self._windows = np.zeros((lanes, 2), np.float32)
        self._outside = np.zeros(lanes, np.float32)
        self._planes = [np.zeros((lanes, len(b.level.planes), 3, 2)) for b in self.levels]
        self._raw = [np.zeros_like(b.moved) for b in self.levels]

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Canvas`."""
        for planes, buffers in zip(self._planes, self.levels, strict=True):
            if len(case.cameras) != planes.shape[1]:
                raise DataError(
                    f"pair {case.id!r} has {len(case.cameras)} radiographs, this environment shows {planes.shape[1]}; "
                    "give as many, or another field_of_view"
                )
            for v, camera in enumerate(case.cameras):
                plane = buffers.level.planes[v] * buffers.local[0, 0]  # mm about the middle of the detector
                plane[0] += buffers.local[:2, 2]
                planes[lane, v] = detector_pixels(camera, plane)
        super().load(lane, case)
        self._spacings[lane] = case.moving_grid.spacing
        self._windows[lane] = case.window
        self._outside[lane] = case.fixed_background if self._imaging == "depth" else 0.0

    def _render_fixed(self, buffers: LevelBuffers, lane: int, case: Case) -> None:
        planes = self._planes[self.levels.index(buffers)][lane]
        mask = np.ones_like(case.fixed) if case.mask is None else case.mask
        for v, plane in enumerate(planes):  # each radiograph is an image of its own, in pixels of its detector
            one = (slice(lane, lane + 1), slice(v, v + 1))
            values, within = np.empty_like(buffers.fixed[one]), np.empty_like(buffers.mask[one])
            render_one(mask[v], np.eye(3), plane[None], 0.0, values, within)
            buffers.mask[one] = within & (values >= WHOLE)
            render_one(case.fixed[v], np.eye(3), plane[None], case.fixed_background, values, within)
            buffers.fixed[one] = values
        np.rint(buffers.fixed[lane] * np.float32(255), out=buffers.fixed_u8[lane], casting="unsafe")

    def _rays(
        self, states: NDArray[np.float64], planes: NDArray[np.float64], lanes: slice
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sources ``(B, V, 3)`` and pixels ``(B, V, 3, 3)`` of some lanes in indices of their volumes."""
        world_to_index = self._to_index[lanes] @ states[lanes]
        sources, rays = np.zeros((*planes[lanes].shape[:2], 3)), np.zeros((*planes[lanes].shape[:2], 3, 3))
        for i, (case, views) in enumerate(zip(self.cases[lanes], planes[lanes], strict=True)):
            assert case is not None
            for v, camera in enumerate(case.cameras):
                source, ray = index_rays(camera, views[v][None], world_to_index[i][None])
                sources[i, v], rays[i, v] = source[0], ray[0, 0]
        return sources, rays

    def sees(self, states: NDArray[np.float64], lanes: slice = ALL) -> NDArray[np.bool_]:
        """See :class:`Canvas`: no source lies inside the volume, and each camera's rays meet it."""
        size = self.levels[0].level.size
        sources, rays = self._rays(states, self._planes[0], lanes)
        return sees(self._shapes[lanes], sources, rays, (size, size), beyond=self._imaging == "depth")

    def render(self, states: NDArray[np.float64], lanes: slice = ALL) -> None:
        """See :class:`Canvas`."""
        for planes, raw, buffers in zip(self._planes, self._raw, self.levels, strict=True):
            sources, rays = self._rays(states, planes, lanes)
            volumes = (self._addresses[lanes], self._shapes[lanes], self._spacings[lanes], sources, rays)
            if self._imaging == "depth":
                thresholds = np.full(len(sources), SKIN_HU, np.float32)
                depth(*volumes, thresholds, raw[lanes], buffers.valid[lanes], threads=self.threads)
            else:
                project(*volumes, raw[lanes], buffers.valid[lanes], threads=self.threads)
            low, high = (np.ascontiguousarray(w) for w in self._windows[lanes].T)
            windowed_sums(
                raw[lanes],
                buffers.valid[lanes],
                low,
                high,
                self._outside[lanes],
                buffers.fixed[lanes],
                buffers.mask[lanes],
                buffers.moved[lanes],
                buffers.moved_u8[lanes],
                buffers.sums[lanes],
                threads=self.threads,
            )
