"""Which training case an episode of a lane shows, where cases have no end.

Cases come in :data:`STREAMS` sequences, of which a lane draws one when it is seeded. In a sequence each subject is
shown in :data:`VARIATIONS` cases, one after the other. A lane draws among the newest :data:`HELD` cases of its
sequence, and moves on to a new one every :data:`REUSE` of its own episodes: so one lane uses a case :data:`REUSE` times
in the mean, and B of them, from 16 on, ``REUSE * B / STREAMS`` times. All that decides is the lane's generator and the
count of its episodes: neither the other lanes nor how fast subjects are made.

All sequences begin with subject 0, so that the first reset of any number of lanes needs a single subject; half of them
leave it a little earlier than the others. Of so many subjects each sequence shows all, again and again, always in
another variation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STREAMS = 16
"""Sequences of cases; no two show the same subject, but for the first."""

HELD = 4
"""Cases that a lane draws among."""

REUSE = 28
"""Episodes of a lane after which it moves on to a new case."""

VARIATIONS = 2
"""Cases of one subject in a sequence."""

_FIRST = 4  # episodes for each of the first few cases, so that a lane soon has as many as it draws among
_AHEAD = 2  # subjects of a sequence that are made ahead


@dataclass
class Window:
    """Where a lane stands.

    Attributes:
        stream: Its sequence; None before its first episode.
        episodes: How many it has begun.
    """

    stream: int | None = None
    episodes: int = 0

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
        assert self.stream is not None
        step, turn = self._step(number)
        if step == 0:
            return 0, self.stream * VARIATIONS + turn
        # subjects that come again come in another variation
        again = 0 if limit is None else step * STREAMS + self.stream
        return self._subject(step, limit), again * VARIATIONS + turn

    def ahead(self, limit: int | None = None) -> list[int]:
        """Subjects that are next."""
        step = self._step(self._newest)[0]
        return [self._subject(step + i, limit) for i in range(1, _AHEAD + 1)]

    @property
    def _newest(self) -> int:
        """Number of the newest case."""
        late = self.episodes - _FIRST * HELD
        return self.episodes // _FIRST if late < 0 else HELD + late // REUSE

    def _step(self, number: int) -> tuple[int, int]:
        """The subject's place in the sequence, and which of its cases a case is."""
        assert self.stream is not None
        return divmod(number + self.stream % VARIATIONS, VARIATIONS)

    def _subject(self, step: int, limit: int | None) -> int:
        assert self.stream is not None
        return 1 + (step - 1) * STREAMS + self.stream if limit is None else (step + self.stream) % limit
