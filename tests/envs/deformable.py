"""Deformable pairs and models for tests: those of an environment, changed in one respect."""

from __future__ import annotations

from collections.abc import Callable

from regenv.catalogue import TASKS
from regenv.data.dataset import Dataset
from regenv.data.pair import ImagePair
from regenv.poses.deformation import StatisticalDeformation


def own_dataset(env_id: str, split: str = "train") -> Dataset:
    """The embedded pairs of an id."""
    return TASKS[env_id].dataset("phantom", split)


class Changed:
    """The first pairs of a data set, each changed by a function."""

    def __init__(self, base: Dataset, change: Callable[[ImagePair], ImagePair], count: int = 1) -> None:
        self._base, self._change = base, change
        self.name, self.split, self.ndim = "changed", base.split, base.ndim
        self.ids = tuple(base.ids[i] for i in range(count))
        self.subjects = tuple(base.subjects[i] for i in range(count))

    def load(self, index: int) -> ImagePair:
        """Pair ``index``."""
        return self._change(self._base.load(index))


def stronger(model: StatisticalDeformation, factor: float) -> StatisticalDeformation:
    """A model whose standard deviations are so many times as large."""
    return StatisticalDeformation(model.modes * factor, model.extent_mm, model.sigmas * factor, model.explained)
