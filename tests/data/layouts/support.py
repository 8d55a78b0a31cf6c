"""What the tests of all layouts use."""

from __future__ import annotations

from regenv.data.dataset import Dataset
from regenv.data.pair import ImagePair, Truth
from regenv.datasets import make_dataset


def pairs_of(name: str, *modalities: str, split: str = "test", ndim: int = 3) -> Dataset:
    return make_dataset(name, split=split, modalities=modalities, ndim=ndim)


def truth_of(pair: ImagePair) -> Truth:
    assert pair.truth is not None
    return pair.truth
