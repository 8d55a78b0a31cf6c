"""What the embedded data sets share: numbered subjects, their seeds, their variations, and making them ahead."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.data.cache import MemoryCache, cached, is_cached, keep
from regenv.data.dataset import SPAN, SPLITS, Names, Numbered, count_of
from regenv.data.frames import with_random_frame
from regenv.data.packing import bytes_held
from regenv.data.pair import ImagePair
from regenv.errors import OptionError, check_option
from regenv.synthesis.patient import Patient
from regenv.synthesis.variation import varied
from regenv.synthesis.workers import want

HELD_BYTES = 256 * 2**20
"""Memory that one data set keeps whole subjects in."""

SUBJECTS = {"validation": 8, "test": 40}
"""Fixed subjects of the splits that are not trained on."""

_SPLIT_SEEDS = 10_000  # between the first seeds of the splits
_FAR_SEEDS = 10_000_000  # where training goes on once it has used the seeds below those of validation


def subject_seed(split: str, number: int) -> int:
    """The seed of a subject; the splits' lie in disjoint spaces, however many subjects are trained on."""
    if split == "train":
        return number if number < _SPLIT_SEEDS else _FAR_SEEDS + number
    return SPLITS.index(split) * _SPLIT_SEEDS + number


@dataclass(frozen=True, eq=False)
class Whole:
    """A subject before it gets a frame.

    Attributes:
        pair: Its images and truth.
        patient: Whom a camera took the fixed image of, where that is varied; else None.
    """

    pair: ImagePair
    patient: Patient | None = None

    def bytes_held(self) -> int:
        """Memory that it takes."""
        return bytes_held(self.pair) + (0 if self.patient is None else self.patient.bytes_held())


class Procedural:
    """Pairs of invented subjects; the training split has no end.

    Pair ``i`` of validation and test is subject ``i % n``, of training subject ``i % SPAN`` in variation ``i // SPAN``;
    each in a frame and with crops of its own.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``.
        stem: Of pairs' ids, without the split.
        who: Of subjects' names, without the split.
        cases: Pairs of validation and of test.
        subjects: How many subjects to train on; None for no end.
        spec: Keywords that make the same data set in another process.

    Raises:
        OptionError: On an unknown split, or ``subjects`` under 1 or not for training.

    Attributes:
        spec: Keywords that make the same data set in another process.
        mirrors: Whether a subject's mirror image could be a subject.
    """

    name: str
    ndim: int
    mirrors = False

    def __init__(
        self,
        split: str,
        stem: str,
        who: str,
        cases: Mapping[str, int],
        subjects: int | None,
        spec: Mapping[str, Any],
    ) -> None:
        check_option("split", split, SPLITS)
        if subjects is not None and (split != "train" or subjects < 1):
            raise OptionError(f"subjects={subjects} must be at least 1, and is for split='train', not {split!r}")
        self.split = split
        self.ids: Names
        self.subjects: Names
        if split == "train":
            self.ids = Numbered(f"{stem}-train-", 4, subjects)
            self.subjects = Numbered(f"{who}-train-", 2, subjects, varied=False)
        else:
            self.ids = tuple(f"{stem}-{split}-{i:04d}" for i in range(cases[split]))
            self.subjects = tuple(f"{who}-{split}-{i % SUBJECTS[split]:02d}" for i in range(cases[split]))
        self.spec = {**spec, "split": split}
        self._held: MemoryCache[Whole] = MemoryCache(HELD_BYTES)

    def load(self, index: int) -> ImagePair:
        """Pair ``index``, the same always and everywhere."""
        if index < 0 or (isinstance(self.ids, tuple) and index >= len(self.ids)):
            raise IndexError(f"pair {index} of {count_of(self, SPAN)} in {self.name} ({self.split})")
        pair_id, subject = self.ids[index], self.subjects[index]
        variation, number = divmod(index, SPAN)
        number = number if self.split == "train" else index % SUBJECTS[self.split]
        whole = self._held.get(number, lambda: self.whole(number), Whole.bytes_held)
        rng = self._generator(number, "variation", variation) if variation else self._generator(index)
        pair = self._vary(whole, rng) if variation else whole.pair
        return replace(with_random_frame(pair, rng, max_crop=self.max_crop), id=pair_id, subject=subject)

    def prepare(self) -> None:
        """Has the validation split's subjects made in the background.

        Training subjects are made as they come, see :meth:`expect`. The test split has many of which a run may want a
        few.
        """
        if self.split == "validation":
            self.expect(range(SUBJECTS[self.split]))

    def expect(self, subjects: Iterable[int]) -> None:
        """Has subjects made in the background, in this order; not where the variable REGENV_PREPARE is 0."""
        if os.environ.get("REGENV_PREPARE") != "0":
            missing = [number for number in subjects if not self.is_kept(number)]
            if missing:
                want(self.spec, missing)

    def is_kept(self, number: int) -> bool:
        """Whether the cache holds a subject."""
        return is_cached(self._key(number))

    def keep(self, number: int) -> bool:
        """Makes a subject for the cache; False where another process has begun and may fail."""
        return keep(self._key(number), partial(self._make, number), self._what(number))

    def _kept(self, number: int) -> dict[str, NDArray[Any]]:
        """A subject's arrays, from the cache or made."""
        return cached(self._key(number), partial(self._make, number), what=self._what(number))

    # Of each kind of subjects

    @property
    def max_crop(self) -> tuple[float, float]:
        """Largest share of an axis that a case cuts from either end of the fixed and of the moving image."""
        raise NotImplementedError

    def whole(self, number: int) -> Whole:
        """A subject before it gets a frame."""
        raise NotImplementedError

    def _vary(self, whole: Whole, rng: np.random.Generator) -> ImagePair:
        """A variation of a subject, before it gets a frame."""
        return varied(whole.pair, rng, self.mirrors)

    def _generator(self, *case: object) -> Any:
        """The generator that decides a case's frame and crops."""
        raise NotImplementedError

    def _make(self, number: int) -> dict[str, NDArray[Any]]:
        raise NotImplementedError

    def _key(self, number: int) -> str:
        raise NotImplementedError

    def _what(self, number: int) -> str:
        raise NotImplementedError
