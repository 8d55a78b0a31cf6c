"""What a data set is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from regenv.data.cache import progress
from regenv.data.pair import ImagePair

SPLITS = ("train", "validation", "test")
"""Transform models that find a matrix; any other is given one, a pair's alignment, and finds what is left."""


@runtime_checkable
class Dataset(Protocol):
    """Pairs of one split, reached by number. The same number gives the same pair, always and everywhere.

    Attributes:
        name: As given to :func:`regenv.datasets.make_dataset`.
        split: ``"train"``, ``"validation"`` or ``"test"``; splits share no subject.
        ndim: 2 or 3.
        ids: One unique id per pair.
        subjects: Whose images pair ``i`` shows; one per pair.
    """

    name: str
    split: str
    ndim: int
    ids: tuple[str, ...]
    subjects: tuple[str, ...]

    def load(self, index: int) -> ImagePair:
        """Pair ``index`` with its truth; quick after the first time."""
        ...


@runtime_checkable
class Prepared(Protocol):
    """A data set that can make its pairs ahead of use; environments call this when they are made."""

    def prepare(self) -> None:
        """Makes what is missing, with progress on stderr."""
        ...


def prefetch(dataset: Dataset, limit: int | None = None) -> int:
    """Loads pairs once, with a progress bar, so that those that must be generated lie on disk.

    Args:
        dataset: Any data set.
        limit: At most so many pairs, from the first.

    Returns:
        The number of pairs loaded.
    """
    count = len(dataset.ids) if limit is None else min(limit, len(dataset.ids))
    with progress(f"preparing {dataset.name} ({dataset.split})", count) as advance:
        for index in range(count):
            dataset.load(index)
            advance()
    return count
