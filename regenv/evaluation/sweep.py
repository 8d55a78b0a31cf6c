"""Several agents on several tracks: one display, resumable, and what one agent cannot do does not stop the others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import product
from typing import Any

from regenv.data.cache import progress
from regenv.evaluation.episodes import Episode
from regenv.evaluation.runner import FinishedRow, run
from regenv.evaluation.track import Track
from regenv.fields import printable


def sweep(
    tracks: Sequence[Track],
    agents: Sequence[str],
    *,
    seeds: Sequence[int] = (0,),
    cases: int | None = None,
    **keywords: Any,
) -> tuple[list[tuple[Track, FinishedRow]], list[str]]:
    """Runs each agent on each track (:func:`regenv.evaluation.runner.run`), and says on stderr how each went.

    A sweep that was stopped goes on where it was: finished rows and cases are taken over.

    Args:
        tracks: Bound tracks.
        agents: Their names.
        seeds: The agents' seeds.
        cases: Only the first so many cases of each track.
        **keywords: Of :func:`regenv.evaluation.runner.run`.

    Returns:
        The rows with their tracks, and a line for each agent that failed on a track.
    """
    rows: list[tuple[Track, FinishedRow]] = []
    failures: list[str] = []
    counts = {track.name: len(track.cases[:cases]) * len(seeds) for track in tracks}
    with progress(f"{len(agents)} agents on {len(tracks)} tracks", sum(counts.values()) * len(agents)) as advance:
        for track, agent in product(tracks, agents):
            left = iter(range(counts[track.name]))

            def count(_: Episode, left: Any = left) -> None:
                next(left, None)
                advance()

            try:
                row = run(track, agent, seeds=seeds, cases=cases, on_case=count, **keywords)
            except (ValueError, RuntimeError, OSError, ImportError) as error:  # ours, and what data sets raise
                failures.append(printable(f"{agent} on {track.name}: {error}"))
                print(f"regenv: {failures[-1]}", file=sys.stderr, flush=True)
            else:
                rows.append((track, row))
                how = "finished before" if row.kept else f"{len(row.episodes)} cases"
                print(f"regenv: {row.submission.row} on {track.name}: {how}", file=sys.stderr, flush=True)
            for _ in left:  # cases of earlier runs, and those that a failure leaves out
                advance()
    return rows, failures
