"""What a kind of imaging is: how the fixed and the moved image of a case come about, and what a page says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from regenv.core.image import Image
from regenv.core.lanes import Lanes
from regenv.core.scene import Scene
from regenv.data.pair import ImagePair
from regenv.errors import DataError
from regenv.imaging.view import SINGLE_VIEWS, VIEWS, Level, View, check_view
from regenv.imaging.windows import windowed
from regenv.poses.base import PoseModel


@dataclass(frozen=True)
class ImagingWords:
    """What an environment's page says of its images.

    Attributes:
        shown: What one channel is: ``"image"``, ``"slice"``, ``"radiograph"``, ``"depth map"``.
        moved: How the moved image comes about.
        about: Where the axes of a step are.
        unseen: Which other steps change nothing.
        tre: What the error in ``info`` is.
        grid: Where the view lies; a format with ``size``, ``spacing`` and ``unit``.
        framing: What of a pair is framed anew for each case.
    """

    shown: str
    moved: str
    about: str
    tre: str = "`tre` (mm)"
    unseen: str = ""
    grid: str = (
        "The view grid has {size} {unit} of {spacing:g} mm to a side, along the fixed image's axes and about its "
        "centre."
    )
    framing: str = " of its volume"


class Visibility(Protocol):
    """Tells which poses put the volume where a camera sees it; needs no pixels.

    Attributes:
        of_case: Arrays over lanes of all that :meth:`load` sets.
    """

    @property
    def of_case(self) -> list[NDArray]:
        """See above."""

    def load(self, lane: int, scene: Scene) -> None:
        """Told when a lane gets a new case."""

    def sees(self, poses: NDArray[np.float64], lanes: Lanes) -> NDArray[np.bool_]:
        """Which of some lanes ``(B,)`` would show anything at their poses."""


class Imaging:
    """One kind of imaging; each is a subclass in a file of its own.

    Attributes:
        name: The word for it in the table of environments.
        noun: What error messages call what it shows.
        words: What pages say.
        headroom: Share by which the fixed image's window is widened at its upper end.
        slabs: Whether the fixed image is thick slices of a volume.
        has_labels: Whether label maps of both images can be compared.
        renderers: ``"module:class"`` by sampling of the poses and kind of device; what is missing cannot be had.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    words: ClassVar[ImagingWords]
    headroom: ClassVar[float] = 0.0
    slabs: ClassVar[bool] = False
    has_labels: ClassVar[bool] = True
    renderers: ClassVar[Mapping[tuple[str, str], str]]

    def view_ndim(self, ndim: int) -> int:
        """Dimension of the view grid for images of ``ndim`` dimensions."""
        return ndim

    def observations(self, ndim: int) -> tuple[str, ...]:
        """Names of the views there are; single images have no volume."""
        return SINGLE_VIEWS if ndim == 2 else tuple(VIEWS)

    def planes(self, ndim: int, size: int, volumetric: bool, count: int) -> NDArray[np.float64]:
        """Planes ``(S, 3, d)`` of one level of a view, in indices of the view grid; ``count`` of single images."""
        raise NotImplementedError

    def view(self, name: str, *, ndim: int, size: int, spacing_mm: float, count: int = 1) -> View:
        """The view of an ``observation`` keyword.

        Args:
            name: ``"slices"`` (three orthogonal slices of fixed and moved; the image itself in 2-D), ``"volume"``,
                ``"difference"`` and ``"volume_difference"`` (moved minus fixed), ``"zoom"`` and ``"volume_zoom"``
                (a coarse view and one of twice its resolution, stacked).
            ndim: Of the images, 2 or 3.
            size: Voxels along each side, at least 8.
            spacing_mm: Spacing of the coarse view; of radiographs on the detector.
            count: Slices, or radiographs, of the fixed image.

        Raises:
            ValueError: On an unknown name or a size or spacing out of range.
        """
        check_view(name, size, spacing_mm)
        if name not in self.observations(ndim):
            raise ValueError(
                f"observation {name!r} needs a 3-D environment; one that shows single images has 'slices', "
                "'difference', 'zoom'"
            )
        volumetric, difference, zooms = VIEWS[name]
        planes = self.planes(ndim, size, volumetric, count)
        levels = tuple(Level(planes, size, zoom) for zoom in zooms)
        orthogonal = not volumetric and "volume" in self.observations(ndim)
        return View(
            name, self.view_ndim(ndim), int(size), float(spacing_mm), levels, volumetric, difference, orthogonal
        )

    def region(self, view: View, middle: NDArray[np.float64]) -> NDArray[np.float64]:
        """Planes of a view through a point ``(d,)`` in indices of its grid."""
        return view.levels[0].planes.copy()

    def check(self, pair: ImagePair, case_id: str) -> None:
        """Raises DataError where a pair is not of this kind."""
        if pair.cameras:
            raise DataError(
                f"pair {case_id!r} has cameras, as for XRayCT-Rigid-v0; this environment shows {self.noun}s"
            )

    def values(self, moving: Image) -> tuple[NDArray[np.float32], float]:
        """What the moving image is rendered from, and its value outside; windowed to [0, 1] by default."""
        values, background, _ = windowed(moving)
        return values, background

    def scene(self, pair: ImagePair) -> Scene:
        """Where the pair's images lie."""
        return Scene(
            fixed_grid=pair.fixed.grid,
            moving_grid=pair.moving.grid,
            alignment=np.eye(pair.ndim + 1) if pair.alignment is None else pair.alignment,
            slice_mm=pair.fixed.grid.spacing[-1] if pair.slice_mm is None else pair.slice_mm,
            cameras=pair.cameras,
        )

    def visibility(self, poses: PoseModel, view: View, lanes: int) -> Visibility | None:
        """What tells whether a pose is seen; None where the overlap rule of the similarities says it."""
        return None
