"""Timing on a machine that others use too: contenders take turns, and the fastest and the median call count."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_CALLS = 4  # of one contender before the next has its turn


@dataclass(frozen=True)
class Timing:
    """Seconds a call: the fastest round and the median round."""

    fastest: float
    median: float


def interleaved(
    contenders: dict[str, Callable[[], object]], seconds: float = 4.0, clock: Callable[[], float] = time.process_time
) -> dict[str, Timing]:
    """Times the contenders in turns and in random order, so that a busy moment meets all of them alike.

    A turn is a few calls, since the first finds the caches full of the others' data.

    Args:
        contenders: Name to a call without arguments; each is called once before, unmeasured.
        seconds: For all contenders together; at least 7 rounds are made.
        clock: The processor time of this process, which does not run while other processes have the processor and
            counts every thread; ``time.perf_counter`` where threads are what is measured.
    """
    for call in contenders.values():
        call()
    order = np.random.default_rng(0)
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(rounds.values()))) < 7 * _CALLS:
        for name in order.permutation(list(contenders)):
            for _ in range(_CALLS):
                start = clock()
                contenders[name]()
                rounds[name].append(clock() - start)
    return {name: Timing(min(times), float(np.median(times))) for name, times in rounds.items()}


def ratio_table(
    title: str, timings: dict[str, Timing], missing: list[str], digits: int = 3, absent: str = "not installed"
) -> str:
    """Markdown: fastest and median call of each contender, and their ratios to the first one's, which is ours.

    Args:
        title: Of the section.
        timings: By name, ours first.
        missing: Names of those that could not be imported.
        digits: After the point of a millisecond.
        absent: What the rows of the missing say.
    """
    ours = next(iter(timings.values()))
    lines = [
        f"### {title}",
        "",
        "| | fastest | median | fastest / regenv's | median / regenv's |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, timing in timings.items():
        times = " | ".join(f"{seconds * 1e3:.{digits}f} ms" for seconds in (timing.fastest, timing.median))
        ratios = f"{timing.fastest / ours.fastest:.1f} | {timing.median / ours.median:.1f}"
        lines.append(f"| {name} | {times} | {ratios} |")
    return "\n".join(lines + [f"| {name} | {absent} | | | |" for name in missing])
