"""Volumes, and images in 2-D: the moving image is resampled on the view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.resample import orthogonal_planes, volume_planes
from regenv.imaging.base import Imaging, ImagingWords
from regenv.imaging.view import View


class Volume(Imaging):
    """The moving image, resampled."""

    name = "volume"
    noun = "volume"
    words = ImagingWords(
        shown="image",
        moved="; the moved image is always resampled from the original moving image through T.",
        about="the centre of the view and along its axes",
        framing=" and crop",
    )
    renderers = {
        ("matrix", "cpu"): "regenv.imaging.renderer:Renderer",
        ("matrix", "torch"): "regenv.imaging.volume_torch:TorchRenderer",
        ("lattice", "cpu"): "regenv.imaging.volume_lattice:LatticeRenderer",
    }

    def planes(self, ndim: int, size: int, volumetric: bool, count: int) -> NDArray[np.float64]:
        """See :class:`regenv.imaging.base.Imaging`: three orthogonal slices, or all; in 2-D the image."""
        return orthogonal_planes((size,) * 3) if ndim == 3 and not volumetric else volume_planes((size,) * ndim)

    def region(self, view: View, middle: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :class:`regenv.imaging.base.Imaging`."""
        return orthogonal_planes((view.size,) * 3, middle) if view.ndim == 3 else super().region(view, middle)


IMAGING = Volume()
