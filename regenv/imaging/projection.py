"""Projection: what radiographs and depth maps share. The volume is posed, the cameras stand, and rays are cast."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from regenv.core.lanes import ALL, Lanes, lane_numbers
from regenv.core.projection import sees
from regenv.core.rays import Rays
from regenv.core.resample import volume_planes
from regenv.core.scene import Scene
from regenv.data.pair import ImagePair
from regenv.errors import DataError
from regenv.imaging.base import Imaging, Visibility
from regenv.imaging.case import Case
from regenv.imaging.renderer import LevelBuffers, Renderer, render_one
from regenv.imaging.view import SINGLE_VIEWS, View
from regenv.poses.base import PoseModel

WHOLE = 0.99
"""A pixel of the view counts where all it is blended from is in the mask: a missing depth next to it would be near."""

Volumes = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Addresses, shapes, spacings, sources and rays of the lanes' volumes."""


class Projection(Imaging):
    """What cameras see of the moving volume.

    Attributes:
        beyond: Whether a camera that stands beyond the volume sees it (:func:`regenv.core.projection.sees`).
    """

    beyond: ClassVar[bool]
    has_labels: ClassVar[bool] = False

    def view_ndim(self, ndim: int) -> int:
        """See :class:`regenv.imaging.base.Imaging`: the view lies on a detector."""
        return 2

    def observations(self, ndim: int) -> tuple[str, ...]:
        """See :class:`regenv.imaging.base.Imaging`."""
        return SINGLE_VIEWS

    def planes(self, ndim: int, size: int, volumetric: bool, count: int) -> NDArray[np.float64]:
        """See :class:`regenv.imaging.base.Imaging`."""
        return np.repeat(volume_planes((size, size)), count, axis=0)

    def check(self, pair: ImagePair, case_id: str) -> None:
        """See :class:`regenv.imaging.base.Imaging`."""
        if not self.takes(pair.fixed.modality):
            raise DataError(f"pair {case_id!r}: this environment needs a {self.name} image, got {pair.fixed.modality}")
        if len(pair.cameras) != pair.fixed.grid.size[2]:
            raise DataError(
                f"pair {case_id!r}: projection needs a camera for each of {pair.fixed.grid.size[2]} fixed images, got "
                f"{len(pair.cameras)}; take the embedded data, or a Dataset of your own whose pairs have cameras"
            )

    def takes(self, modality: str) -> bool:
        """Whether the fixed image may be of a modality."""
        raise NotImplementedError

    def visibility(self, poses: PoseModel, view: View, lanes: int) -> Visibility:
        """See :class:`regenv.imaging.base.Imaging`."""
        return CameraVisibility(poses, view, lanes, self.beyond)


class CameraVisibility:
    """See :class:`regenv.imaging.base.Visibility`: no source lies inside the volume, and each camera's rays meet it."""

    def __init__(self, poses: PoseModel, view: View, lanes: int, beyond: bool) -> None:
        self._poses: Any = poses
        self._size = view.levels[0].size
        self._rays = Rays(view.detector_planes(view.levels[0]), lanes)
        self._beyond = beyond

    @property
    def of_case(self) -> list[NDArray]:
        """See :class:`regenv.imaging.base.Visibility`."""
        return self._rays.of_case

    def load(self, lane: int, scene: Scene) -> None:
        """See :class:`regenv.imaging.base.Visibility`."""
        self._rays.load(lane, scene)

    def sees(self, poses: NDArray[np.float64], lanes: Lanes) -> NDArray[np.bool_]:
        """See :class:`regenv.imaging.base.Visibility`."""
        sources, rays = self._rays.cast(self._poses.matrices(poses), lanes)
        return sees(self._rays.shapes[lanes], sources, rays, (self._size, self._size), beyond=self._beyond)


class ProjectionRenderer(Renderer):
    """Casts rays through the moving volume; a pose T maps world to volume points."""

    def _prepare(self, device: str) -> None:
        self._to_index = np.tile(np.eye(4), (self.lanes, 1, 1))
        self._shapes = np.zeros((self.lanes, 3), np.int64)
        self._spacings = np.ones((self.lanes, 3))
        self._windows = np.tile(np.array([0.0, 1.0], np.float32), (self.lanes, 1))
        self._outside = np.zeros(self.lanes, np.float32)
        self._rays = [Rays(self.view.detector_planes(buffers.level), self.lanes) for buffers in self.levels]
        self._raw = [np.zeros_like(b.moved) for b in self.levels]

    @property
    def of_case(self) -> list[NDArray]:
        """See :class:`regenv.imaging.renderer.Renderer`."""
        rays = (array for rays in self._rays for array in rays.of_case)
        return [*super().of_case, *rays, self._spacings, self._windows, self._outside]

    def load(self, lane: int, case: Case) -> None:
        """See :class:`regenv.imaging.renderer.Renderer`."""
        for rays, buffers in zip(self._rays, self.levels, strict=True):
            if len(case.scene.cameras) != len(buffers.level.planes):
                raise DataError(
                    f"pair {case.id!r} has {len(case.scene.cameras)} radiographs, this environment shows "
                    f"{len(buffers.level.planes)}; give as many, or another field_of_view"
                )
            rays.load(lane, case.scene)
        super().load(lane, case)
        self._spacings[lane] = case.scene.moving_grid.spacing
        self._windows[lane] = case.window

    def _render_fixed(self, buffers: LevelBuffers, lane: int, case: Case) -> None:
        planes = self._rays[self.levels.index(buffers)].planes[lane]
        mask = np.ones_like(case.fixed) if case.mask is None else case.mask
        for v, plane in enumerate(planes):  # each radiograph is an image of its own, in pixels of its detector
            one = (slice(lane, lane + 1), slice(v, v + 1))
            values, within = np.empty_like(buffers.fixed[one]), np.empty_like(buffers.mask[one])
            render_one(mask[v], np.eye(3), plane[None], 0.0, values, within)
            buffers.mask[one] = within & (values >= WHOLE)
            render_one(case.fixed[v], np.eye(3), plane[None], case.fixed_background, values, within)
            buffers.fixed[one] = values
        np.rint(buffers.fixed[lane] * np.float32(255), out=buffers.fixed_u8[lane], casting="unsafe")

    def _cast(
        self, volumes: Volumes, raw: NDArray[np.float32], valid: NDArray[np.uint8], lanes: int | NDArray[np.intp]
    ) -> None:
        """Writes what is seen on some lanes."""
        raise NotImplementedError

    def render(self, poses: NDArray[np.float64], lanes: Lanes = ALL) -> None:
        """See :class:`regenv.imaging.renderer.Renderer`."""
        some = lane_numbers(lanes, self.lanes)
        low, high = (np.ascontiguousarray(w) for w in self._windows.T)
        for rays, raw, buffers in zip(self._rays, self._raw, self.levels, strict=True):
            sources, pixels = rays.cast(self._poses.matrices(poses), ALL)
            self._cast((self._addresses, self._shapes, self._spacings, sources, pixels), raw, buffers.valid, some)
            buffers.window(raw, low, high, self._outside, some, self._threads(some), self._then(buffers))
