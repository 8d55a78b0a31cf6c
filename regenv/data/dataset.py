"""What a data set is, and how pairs without end are named and numbered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

from regenv.data.cache import progress
from regenv.data.pair import ImagePair
from regenv.errors import OptionError

SPLITS = ("train", "validation", "test")

SPAN = 2**32
"""Pair ``n + v * SPAN`` of a data set without end is variation ``v`` of subject ``n``; variation 0 is the subject."""


class Names(Protocol):
    """One unique name per pair: a tuple, or of pairs without end a :class:`Numbered`."""

    def __getitem__(self, index: int, /) -> str:
        """The name of pair ``index``."""
        ...

    def index(self, name: str, /) -> int:
        """The number of the pair of that name; ValueError if there is none."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Pairs of one split, reached by number. The same number gives the same pair, always and everywhere.

    Attributes:
        name: As given to :func:`regenv.datasets.make_dataset`.
        split: ``"train"``, ``"validation"`` or ``"test"``; splits share no subject.
        ndim: 2 or 3.
        ids: One unique id per pair; :func:`count_of` says how many there are.
        subjects: Whose images pair ``i`` shows; one per pair.
    """

    name: str
    split: str
    ndim: int

    @property
    def ids(self) -> Names:
        """See above."""
        ...

    @property
    def subjects(self) -> Names:
        """See above."""
        ...

    def load(self, index: int) -> ImagePair:
        """Pair ``index`` with its truth; quick after the first time."""
        ...


@runtime_checkable
class Supplied(Protocol):
    """A data set whose subjects are made; environments tell it which they are going to need."""

    def prepare(self) -> None:
        """Told when an environment is made; returns at once."""
        ...

    def expect(self, subjects: Iterable[int]) -> None:
        """Has the subjects of these numbers made in the background, in this order; returns at once."""
        ...

    def is_kept(self, number: int) -> bool:
        """Whether a subject is made, so that its pairs are soon there."""
        ...


@dataclass(frozen=True)
class Numbered:
    """Names of pairs without end, by subject and variation; see :data:`SPAN`.

    Attributes:
        stem: What all names begin with, such as ``"phantom-torso-train-"``.
        digits: Of the subject's number, at least.
        limit: How many subjects there are; None for no end.
        varied: Whether a variation has a name of its own, ``"...-0003-v5"``; else it has its subject's.
    """

    stem: str
    digits: int
    limit: int | None = None
    varied: bool = True

    __iter__ = None  # a loop over them would never end

    def __getitem__(self, index: int) -> str:
        """The name of pair ``index``; IndexError where there is none."""
        variation, number = divmod(index, SPAN)
        if index < 0 or number >= (SPAN if self.limit is None else self.limit):
            raise IndexError(f"subject {number} of {self.limit}: {self.stem} counts from 0")
        return f"{self.stem}{number:0{self.digits}d}" + (f"-v{variation}" if self.varied and variation else "")

    def index(self, name: str) -> int:
        """The number of the pair of that name; ValueError if there is none."""
        number, _, variation = name.removeprefix(self.stem).partition("-v")
        if number.isdecimal() and (variation or "0").isdecimal():
            index = int(number) % SPAN + int(variation or 0) * SPAN
            if (self.limit is None or index % SPAN < self.limit) and self[index] == name:
                return index
        raise ValueError(f"there is no {name!r}; names are such as {self[0]!r}")


def count_of(dataset: Dataset, limit: int | None = None) -> int:
    """How many pairs there are to go through; of a data set that is varied without end how many subjects.

    Args:
        dataset: Any data set.
        limit: At most so many.

    Raises:
        OptionError: If the data set has no end and no limit is given.
    """
    ids = dataset.ids
    count = ids.limit if isinstance(ids, Numbered) else len(cast(tuple[str, ...], ids))
    if count is None and limit is None:
        raise OptionError(f"{dataset.name} ({dataset.split}) has no end: say how many pairs, or limit its subjects")
    return min(n for n in (count, limit) if n is not None)


def prefetch(dataset: Dataset, limit: int | None = None) -> int:
    """Loads pairs once, with a progress bar, so that those that must be generated lie on disk.

    Args:
        dataset: Any data set.
        limit: At most so many pairs, from the first.

    Returns:
        The number of pairs loaded.

    Raises:
        OptionError: If the data set has no end and no limit is given.
    """
    count = count_of(dataset, limit)
    with progress(f"preparing {dataset.name} ({dataset.split})", count) as advance:
        for index in range(count):
            dataset.load(index)
            advance()
    return count
