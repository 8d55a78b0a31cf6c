"""The cases of a data set: which there are, each made ready, and where its episodes start."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from regenv.core.background import in_background
from regenv.data.cache import MemoryCache
from regenv.data.dataset import SPAN, Dataset, Names, Numbered, Supplied, count_of
from regenv.data.pair import ImagePair
from regenv.envs.window import Window
from regenv.errors import DataError, near_miss
from regenv.imaging.base import Imaging
from regenv.imaging.case import Case, make_case, target_of
from regenv.poses.base import PoseModel

PREPARED_BYTES = 2**30
"""Memory that one environment keeps its prepared cases in, so that a later reset need not window them again."""

MOST_COMING = 64
"""Cases that are prepared, or being prepared, for lanes that are about to show them."""

_LISTED = 10  # ids that a message names


class CaseSource:
    """Prepares the cases of a data set and draws their starts.

    On the test split a case carries no truth, ids are opaque indices, and a pair has one start, which is a function of
    the pair: any estimate over many starts about the truth would give the truth away.

    Args:
        dataset: Where pairs come from.
        poses: Pose model of the environment.
        widths: ``(K,)`` largest misalignment of a start.
        imaging: How the moved image comes about.

    Attributes:
        name: Of the data set.
        split: Of the data set.
        withheld: Whether the truth is withheld.
        ids: Ids of the pairs; of a training split without end those of its subjects and their variations.
    """

    def __init__(self, dataset: Dataset, poses: PoseModel, widths: NDArray[np.float64], imaging: Imaging) -> None:
        self._endless = dataset.ids if isinstance(dataset.ids, Numbered) else None
        count = 0 if self._endless else count_of(dataset)
        if not (self._endless or count):
            raise DataError(f"data set {dataset.name!r} has no pair in its {dataset.split!r} split; try another split")
        if dataset.ndim != poses.ndim:
            raise DataError(f"data set {dataset.name!r} is {dataset.ndim}-D, the environment is {poses.ndim}-D")
        self.name, self.split = dataset.name, dataset.split
        self.withheld = dataset.split == "test"
        self.ids: Names = tuple(str(i) for i in range(count)) if self.withheld else dataset.ids
        self._count = count
        self._index = {self.ids[i]: i for i in range(count)}
        # not where the truth is withheld: whoever has the data set has the truth
        self._supply = dataset if self._endless and isinstance(dataset, Supplied) else None
        self._expected: set[int] = set()
        self._told: set[tuple[int | None, int]] = set()
        self._prepared: MemoryCache[Case] = MemoryCache(PREPARED_BYTES)
        self._shown: WeakValueDictionary[int, Case] = WeakValueDictionary()  # lanes may hold more than the cache
        self._coming: dict[int, Future[Case]] = {}
        self._passed: set[tuple[int | None, int]] = set()
        self._prepare, self._start = _readers(dataset, self.ids, self.withheld, poses, widths, imaging)

    def draw(self, rng: np.random.Generator, window: Window) -> int:
        """The number of the pair of a lane's next episode.

        Args:
            rng: The lane's generator.
            window: Where the lane stands, which moves on; of no account where there are only so many pairs.
        """
        if self._endless is None:
            return int(rng.integers(self._count))
        limit = self._endless.limit
        subject, variation = window.draw(rng, limit)
        if self._supply is not None and window.place not in self._told:
            self._told.add(window.place)
            ahead = set(window.ahead(limit)) - self._expected
            if ahead:
                self._expected |= ahead
                self._supply.expect(sorted(ahead))
        return subject + SPAN * variation

    def make_next(self, window: Window) -> None:
        """Has a thread prepare the case that a lane moves on to, where its subject is made; once for all lanes."""
        if self._supply is None or self._endless is None or window.place in self._passed:
            return
        subject, variation = window.next(self._endless.limit)
        if self._supply.is_kept(subject):
            self._passed.add(window.place)
            self.make([subject + SPAN * variation])

    def make(self, indices: Iterable[int]) -> None:
        """Has threads prepare those of some cases that are not at hand."""
        for index in indices:
            if not (index in self._prepared or index in self._shown or index in self._coming):
                while len(self._coming) >= MOST_COMING:  # lanes that were seeded anew may never come there
                    self._coming.pop(next(iter(self._coming))).cancel()
                self._coming[index] = in_background(self._prepare, index)

    def index(self, pair_id: object) -> int:
        """Number of a pair.

        Raises:
            ValueError: If there is none of that id; the message names the nearest.
        """
        name = str(pair_id)
        try:
            return self._index[name] if self._endless is None else self._endless.index(name)
        except (KeyError, ValueError):
            limit = self._endless.limit if self._endless else self._count
            known = [self.ids[i] for i in range(_LISTED if limit is None else min(limit, _LISTED))]
            raise ValueError(
                f"no pair {name!r} in the {self.split} split of {self.name!r} "
                f"({'no end of' if limit is None else limit} {'subjects' if self._endless else 'pairs'}); "
                f"{near_miss(pair_id, known)}"
            ) from None

    def case(self, index: int) -> Case:
        """The prepared case; those used last are kept in memory."""
        return self._prepared.get(index, lambda: self._made(index), Case.bytes_held)

    def _made(self, index: int) -> Case:
        """A case that is not among those used last."""
        case = self._shown.get(index)
        if case is None:
            coming = self._coming.pop(index, None)
            case = self._prepare(index) if coming is None or coming.cancel() else coming.result()
            self._shown[index] = case
        return case

    @property
    def held(self) -> tuple[int, int]:
        """How many prepared cases are in memory, whether in the cache or on lanes, and the bytes of their images."""
        cases = list(self._shown.values())
        return len(cases), sum(case.bytes_held() for case in cases)

    def draw_start(self, index: int, rng: np.random.Generator, attempt: int = 0) -> NDArray[np.float64]:
        """A start for a pair, drawn from ``rng``; where the truth is withheld from the pair itself.

        Args:
            index: Which pair.
            rng: The lane's generator.
            attempt: How many starts of the pair were not taken before; counts where the truth is withheld.

        Raises:
            DataError: If the pair comes with neither a transform nor landmarks nor an alignment to draw about.
        """
        return self._start(self.case(index), index, rng, attempt)


_Prepare = Callable[[int], Case]
_Start = Callable[[Case, int, np.random.Generator, int], NDArray[np.float64]]


def _readers(
    dataset: Dataset,
    ids: Names,
    withheld: bool,
    poses: PoseModel,
    widths: NDArray[np.float64],
    imaging: Imaging,
) -> tuple[_Prepare, _Start]:
    """The two functions that read pairs: one prepares a case, one draws a start. Only they hold the data set."""

    def load(index: int) -> ImagePair:
        pair = dataset.load(index)
        # only a model that takes it is given the alignment; to others it would tell the truth
        return pair if poses.takes_alignment else replace(pair, alignment=None)

    def prepare(index: int) -> Case:
        pair = load(index)
        return make_case(pair.without_truth() if withheld else pair, ids[index], imaging, poses)

    def about(case: Case, index: int) -> NDArray[np.float64]:
        target = case.target or target_of(load(index), poses, case.scene)
        # where no truth is known, about how the files' own frames lie
        pose = dataset.load(index).alignment if target is None else target.pose
        if pose is None:
            raise DataError(
                f"pair {ids[index]!r} of {dataset.name!r} has no true transform, landmarks or alignment to draw a "
                "start about; fill the manifest's column 'alignment', or pass a start: "
                'reset(options={"pair": ..., "start": matrix})'
            )
        return pose

    def start(case: Case, index: int, rng: np.random.Generator, attempt: int) -> NDArray[np.float64]:
        pose = about(case, index) if poses.starts_about_truth else None
        if withheld:
            rng = np.random.default_rng([attempt, *_salt(dataset.ids[index], pose)])
        return poses.start(rng, widths, pose, case.scene)

    return prepare, start


def _salt(pair_id: str, pose: NDArray[np.float64] | None) -> list[int]:
    """Numbers that only the pair decides; the truth is among what they are made of, so that none can be computed."""
    text = f"{pair_id}\x1f".encode()
    if pose is not None:
        text += (np.round(pose, 6) + 0.0).tobytes()
    words: list[int] = np.frombuffer(hashlib.sha256(text).digest(), dtype="<u4").tolist()
    return words
