"""Depth maps: the moved image is the depth at which a camera's rays meet the skin of the moving volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.image import Image
from regenv.core.projection import depth
from regenv.imaging.base import ImagingWords
from regenv.imaging.case import Case
from regenv.imaging.projection import Projection, ProjectionRenderer, Volumes

SKIN_HU = -400.0
"""A depth camera sees where a ray first meets something denser."""


class DepthRenderer(ProjectionRenderer):
    """First hits of the skin."""

    def load(self, lane: int, case: Case) -> None:
        """See :class:`regenv.imaging.renderer.Renderer`."""
        super().load(lane, case)
        self._outside[lane] = case.fixed_background

    def _cast(
        self, volumes: Volumes, raw: NDArray[np.float32], valid: NDArray[np.uint8], lanes: int | NDArray[np.intp]
    ) -> None:
        depth(*volumes, np.full(len(volumes[0]), SKIN_HU, np.float32), raw, valid, threads=self.threads, lanes=lanes)


class Depth(Projection):
    """A depth camera."""

    name = "depth"
    noun = "depth"
    beyond = True
    words = ImagingWords(
        shown="depth map",
        moved=". Fixed points are points of the camera's world: the camera stands, T poses the volume before it, and "
        "the moved image is the depth at which its rays meet the skin.",
        about="the point the camera looks at and along the axes of its image: x and y in plane, z in depth",
        unseen=" So does one that would bring the camera into the volume, or the volume out of its sight.",
        grid="The view has {size} pixels of {spacing:g} mm to a side at the point the camera looks at, about its "
        "middle.",
    )
    renderers = {("matrix", "cpu"): "regenv.imaging.depth:DepthRenderer"}

    def takes(self, modality: str) -> bool:
        """See :class:`regenv.imaging.projection.Projection`."""
        return modality == "depth"

    def values(self, moving: Image) -> tuple[NDArray[np.float32], float]:
        """See :class:`regenv.imaging.base.Imaging`: as they are."""
        return moving.array, moving.background


IMAGING = Depth()
