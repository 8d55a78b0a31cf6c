"""Small pairs made in memory, for checks."""

from __future__ import annotations

import numpy as np

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.pair import ImagePair, Truth
from regenv.testing.compare import SEED


class SmallPairs:
    """Two pairs of smooth blobs, made in memory in a moment; a data set for checks.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``; the pairs are the same.
    """

    name = "small pairs"
    ndim = 3
    ids = ("0", "1")
    subjects = ("0", "1")

    def __init__(self, split: str = "test") -> None:
        self.split = split

    def load(self, index: int) -> ImagePair:
        """Pair ``index``: 40 x 40 x 32 voxels of 5 mm, the moving one of 4 mm in another frame."""
        from regenv.core.resample import resample
        from regenv.poses import get_model

        rng = np.random.default_rng([SEED, index])
        grid = Grid.centred((40, 40, 32), (5.0, 5.0, 5.0))
        points = grid.points()
        values = np.zeros(grid.shape)
        for _ in range(30):
            centre, width = rng.uniform(-70, 70, 3), rng.uniform(10, 30)
            values += rng.choice([-1, 1]) * np.exp(-((points - centre) ** 2).sum(-1) / (2 * width**2))
        inside = np.linalg.norm(points / [95, 95, 75], axis=-1) < 1
        fixed = Image(np.where(inside, 300 * values, -1000.0), grid, "cbct", -1000.0)
        truth = get_model("rigid", 3).exp(np.array([[30.0, -20.0, 50.0, 5.0, -8.0, 12.0]]))[0]
        there = Grid.centred((50, 50, 40), (4.0, 4.0, 4.0), truth[:3, 3], truth[:3, :3])
        array, _ = resample(fixed, there, np.linalg.inv(truth))
        moving = Image(array, there, "ct", -1000.0)
        return ImagePair(str(index), str(index), fixed, moving, inside, None, Truth(transform=truth))
