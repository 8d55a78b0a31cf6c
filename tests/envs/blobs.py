"""A data set that is made in memory in a moment, for tests of the process that need no anatomy."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.frames import case_generator, with_random_frame
from regenv.data.pair import ImagePair, Truth


class Blobs:
    """Smooth random volumes in a ball; fixed and moving differ in noise, scale of values and voxel size."""

    name = "blobs"
    ndim = 3

    def __init__(self, split: str = "train", pairs: int = 3) -> None:
        self.split = split
        self.ids = tuple(f"{split}-{i}" for i in range(pairs))
        self.subjects = self.ids

    def load(self, index: int) -> ImagePair:
        """Pair ``index``."""
        rng = case_generator("blobs", self.split, index)
        values = zoom(gaussian_filter(rng.normal(size=(24, 24, 24)), 1.5), 3, order=1)
        grid = Grid.centred((72, 72, 72), (2.5, 2.5, 2.5))
        radius = np.linalg.norm(grid.points(), axis=-1)
        inside = radius < 85
        hu = np.where(inside, 300 * values / values.std(), -1000.0)
        coarse = Grid.centred((36, 36, 36), (5.0, 5.0, 5.0))
        fixed = Image(0.8 * hu + 10 * rng.normal(size=hu.shape), grid, "cbct", -1000.0)
        moving = Image(hu.reshape(36, 2, 36, 2, 36, 2).mean((1, 3, 5)), coarse, "ct", -1000.0)
        labels = np.where(inside, 1 + (values > 0), 0).astype(np.uint8)
        coarse_labels = labels[::2, ::2, ::2].copy()
        truth = Truth(np.eye(4), labels_fixed=labels, labels_moving=coarse_labels, label_names={1: "low", 2: "high"})
        pair = ImagePair(self.ids[index], self.ids[index], fixed, moving, inside, None, truth)
        return with_random_frame(pair, rng)
