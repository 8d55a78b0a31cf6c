"""Balls in air before cameras, so that where they are seen follows from geometry alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.core.projection import attenuation, depth_image, radiograph
from regenv.data.frames import case_generator, with_random_frame
from regenv.data.pair import ImagePair, Truth
from regenv.poses import get_model

AIR, METAL = -1000.0, 1500.0
SKIN_HU = -400.0
EDGE_MM = 5.0
"""Width over which a ball's values fall to those of air."""

SKIN_MM = EDGE_MM * ((METAL - SKIN_HU) / (METAL - AIR) - 0.5)
"""How far beyond the radius of a ball its values are those of skin."""


def pose(*values: float) -> FloatArray:
    """Rigid motion: mm along x, y, z and degrees about them."""
    return get_model("rigid", 3).exp(np.array([values]))[0]


def c_arm(turn_deg: float, to_isocentre: float = 640.0, to_detector: float = 1024.0) -> Camera:
    """A tilted X-ray camera about an isocentre that is not the origin; +z of its frame points to the source."""
    isocentre = np.array([30.0, -20.0, 10.0])
    axes = (pose(0, 0, 0, 8, turn_deg, 0) @ pose(0, 0, 0, 0, 0, 15))[:3, :3]
    middle = isocentre - (to_detector - to_isocentre) * axes[:, 2]
    return Camera(
        isocentre + to_isocentre * axes[:, 2], Grid.centred((160, 150, 1), (2.0, 2.0, 2.0), middle, axes), isocentre
    )


def depth_camera() -> Camera:
    """A tilted depth camera; +z of its frame points away from it."""
    isocentre = np.array([30.0, -20.0, 10.0])
    axes = pose(0, 0, 0, 80, 15, 10)[:3, :3]
    grid = Grid.centred((128, 120, 1), (5.0, 5.0, 5.0), isocentre, axes)
    return Camera(isocentre - 1200 * axes[:, 2], grid, isocentre)


class Balls:
    """Pairs whose moving volume holds balls, each pair in a frame of its own; the balls are its landmarks.

    The error is measured at the corners of a box of 80 mm about the isocentre.

    Args:
        cameras: That take the fixed image.
        centres: ``(N, 3)`` mm along the first camera's axes about the isocentre, where the balls lie at the truth.
        radius: Of the balls, mm.
        pairs: Number of pairs; volumes differ in size.
        imaging: ``"radiograph"`` or ``"depth"``.
        split: Of the data set.
    """

    name, ndim = "balls", 3

    def __init__(
        self,
        cameras: Sequence[Camera],
        centres: ArrayLike,
        radius: float = 7.0,
        pairs: int = 1,
        imaging: str = "radiograph",
        split: str = "train",
    ) -> None:
        self.cameras = tuple(cameras)
        self.world = transform_points(self.cameras[0].frame, np.asarray(centres, dtype=np.float64))
        self.radius, self.imaging, self.split = radius, imaging, split
        self.ids = self.subjects = tuple(f"balls-{i}" for i in range(pairs))

    def load(self, index: int) -> ImagePair:
        """Pair ``index``."""
        rng = case_generator("balls", index)
        spacing = np.array([2.0, 2.4, 2.2])
        reach = np.abs(self.world - self.cameras[0].isocentre).max(0) + self.radius + 12 + 6 * index
        grid = Grid.centred([int(n) for n in np.ceil(2 * reach / spacing)], spacing.tolist(), self.cameras[0].isocentre)
        inside = np.full(grid.shape, -np.inf)
        for centre in self.world:
            inside = np.maximum(inside, self.radius - np.linalg.norm(grid.points() - centre, axis=-1))
        hu = AIR + (METAL - AIR) * np.clip(0.5 + inside / EDGE_MM, 0.0, 1.0)
        moving = Image(hu.astype(np.float32), grid, "ct", AIR)
        corners = transform_points(self.cameras[0].frame, 40.0 * np.array(list(product((-1, 1), repeat=3))))
        truth = Truth(
            np.eye(4),
            landmarks_fixed=self.world,
            landmarks_moving=self.world,
            points_fixed=corners,
            points_moving=corners,
        )
        pair = ImagePair(
            self.ids[index], self.ids[index], self._fixed(moving), moving, None, None, truth, cameras=self.cameras
        )
        return with_random_frame(pair, rng, max_crop=0.0)

    def _fixed(self, moving: Image) -> Image:
        first = self.cameras[0].grid
        grid = Grid((*first.size[:2], len(self.cameras)), first.spacing, first.origin, first.direction)
        if self.imaging == "depth":
            seen = [depth_image(moving, camera, SKIN_HU)[0] for camera in self.cameras]
            return Image(np.stack(seen), grid, "depth", 0.0)
        through = Image(attenuation(moving.array), moving.grid)
        return Image(np.stack([radiograph(through, camera)[0] for camera in self.cameras]), grid, "xray", 0.0)
