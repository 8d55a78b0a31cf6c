"""Which training case an episode of a lane shows, where cases have no end.

Cases come in :data:`STREAMS` sequences, of which a lane draws one when it is seeded. Each subject of a sequence is
shown in :data:`VARIATIONS` cases, one after the other, and each case is a variation that no other sequence shows. A
lane draws among the newest :data:`HELD` cases of its sequence, and moves on to a new one every ``reuse`` of its own
episodes, by default :data:`REUSE`: so one lane uses a case ``reuse`` times in the mean, and B of them, from 64 on,
``reuse * B / STREAMS`` times.

All sequences begin with subject 0, so that the first reset of any number of lanes needs a single subject; half of them
leave it a little earlier than the others. From then on a sequence's next subject is drawn among all that there are by
then, :data:`NEW` more each time: however many lanes there are, subjects become more at the rate at which one processor
makes them, and those that were seen come again, so that they are not forgotten. Where there are only so many, a
sequence goes through all of them.

All that decides is the lane's generator and the count of its episodes: neither the other lanes nor how fast subjects
are made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STREAMS = 64
"""Sequences of cases; no two show the same case."""

HELD = 4
"""Cases that a lane draws among."""

REUSE = 28
"""Episodes of a lane after which it moves on to a new case, unless ``gym.make`` is told otherwise."""

VARIATIONS = 2
"""Cases of one subject, one after the other in a sequence."""

NEW = 64
"""Subjects that are new with every turn of all sequences."""

_FIRST = 4  # episodes for each of the first few cases, so that a lane soon has as many as it draws among
_AHEAD = 2  # subjects of a sequence that are made ahead


@dataclass
class Window:
    """Where a lane stands.

    Attributes:
        stream: Its sequence; None before its first episode.
        episodes: How many it has begun.
        reuse: After how many it moves on to a new case.
    """

    stream: int | None = None
    episodes: int = 0
    reuse: int = REUSE

    def draw(self, rng: np.random.Generator, limit: int | None = None) -> tuple[int, int]:
        """The subject and the variation of the next episode.

        Args:
            rng: The lane's generator.
            limit: How many subjects there are; None for no end.
        """
        if self.stream is None:
            self.stream = int(rng.integers(STREAMS))
        newest = self._newest
        number = int(rng.integers(max(0, newest - HELD + 1), newest + 1))
        self.episodes += 1
        return self._case(number, limit)

    def next(self, limit: int | None = None) -> tuple[int, int]:
        """The subject and the variation of the case that the lane moves on to."""
        return self._case(self._newest + 1, limit)

    @property
    def place(self) -> tuple[int | None, int]:
        """Sequence and newest case: what comes next is the same for all lanes there."""
        return self.stream, self._newest

    def _case(self, number: int, limit: int | None) -> tuple[int, int]:
        """The subject and the variation of a case of the sequence."""
        assert self.stream is not None
        return self._subject(self._turn(number), limit), number * STREAMS + self.stream

    def ahead(self, limit: int | None = None) -> list[int]:
        """Subjects that are next."""
        turn = self._turn(self._newest)
        return [self._subject(turn + i, limit) for i in range(1, _AHEAD + 1)]

    @property
    def _newest(self) -> int:
        """Number of the newest case."""
        first = min(_FIRST, self.reuse)
        late = self.episodes - first * HELD
        return self.episodes // first if late < 0 else HELD + late // self.reuse

    def _turn(self, number: int) -> int:
        """The place in the sequence of the subject that a case shows."""
        assert self.stream is not None
        return (number + self.stream % VARIATIONS) // VARIATIONS

    def _subject(self, turn: int, limit: int | None) -> int:
        """The subject at a place of the sequence."""
        assert self.stream is not None
        if turn == 0:
            return 0
        known = 1 + turn * NEW
        if limit is not None and limit <= known:
            return (turn + self.stream) % limit
        return int(np.random.default_rng([turn, self.stream]).integers(known))
