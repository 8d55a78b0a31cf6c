"""Radiographs: the moved image is a digitally reconstructed radiograph of the moving volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regenv.core.image import Image
from regenv.core.projection import attenuation, project
from regenv.core.scene import Scene
from regenv.data.pair import ImagePair
from regenv.imaging.base import ImagingWords
from regenv.imaging.projection import Projection, ProjectionRenderer, Volumes


class RadiographRenderer(ProjectionRenderer):
    """Line integrals of attenuation."""

    def _cast(
        self, volumes: Volumes, raw: NDArray[np.float32], valid: NDArray[np.uint8], lanes: int | NDArray[np.intp]
    ) -> None:
        project(*volumes, raw, valid, threads=self.threads, lanes=lanes)


class Radiograph(Projection):
    """X-ray cameras."""

    name = "radiograph"
    noun = "radiograph"
    beyond = False
    headroom = 0.15  # those rendered have one energy and no scatter, and are about a tenth brighter
    words = ImagingWords(
        shown="radiograph",
        moved=". Fixed points are points of the X-ray system: the sources and detectors stand, T poses the volume "
        "before them, and the moved image is its digitally reconstructed radiograph (line integrals of attenuation, "
        "Joseph 1982).",
        about="the isocentre and along the detector's axes: x and y in plane, z in depth",
        unseen=" So does one that would bring a source into the volume, or the volume out of a detector's sight.",
        tre="`tre` (mm: at the 8 corners of the target's box; with one radiograph in its plane only, which is "
        "mTREproj)",
        grid="The view has {size} pixels of {spacing:g} mm to a side on the detector, about its middle.",
    )
    renderers = {("matrix", "cpu"): "regenv.imaging.radiograph:RadiographRenderer"}

    def takes(self, modality: str) -> bool:
        """See :class:`regenv.imaging.projection.Projection`."""
        return modality != "depth"

    def values(self, moving: Image) -> tuple[NDArray[np.float32], float]:
        """See :class:`regenv.imaging.base.Imaging`: attenuation per mm."""
        return attenuation(moving.array), 0.0

    def scene(self, pair: ImagePair) -> Scene:
        """See :class:`regenv.imaging.base.Imaging`: one camera does not see depth."""
        scene = super().scene(pair)
        return replace(scene, blind_axis=scene.frame[:-1, -2]) if len(pair.cameras) == 1 else scene


IMAGING = Radiograph()
