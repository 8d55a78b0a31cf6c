"""How often 95 % intervals hold the true value, measured on the shipped rows.

    python -m benchmarks.tools.interval_coverage

A row's subjects are taken as the whole population. So many of them are drawn, with replacement and with all their
cases; an interval is computed, and whether it holds the value of the population is counted. The figures are in
``docs/design/statistics.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from regenv.core.geometry import FloatArray
from regenv.core.statistics import FEWEST_SUBJECTS, mean_interval, share_interval
from regenv.evaluation.submission import read_episodes
from regenv.evaluation.track import find_track

ROWS = Path(__file__).parents[1] / "submissions" / "ctcbct-rigid"
SUBJECTS = (2, 5, 10, 15, 20, 40)
QUANTITIES = ("score", "< 1 mm", "< 2 mm", "< 5 mm", "harmed")

Bounds = tuple[FloatArray, FloatArray]


def populations(folder: Path = ROWS) -> Iterator[tuple[str, str, FloatArray]]:
    """Row, quantity and its values ``(subjects, cases of each)``, where the subjects differ."""
    subject = {case.id: case.subject for case in find_track(folder.name).cases}
    for row in sorted(path for path in folder.iterdir() if path.is_dir()):
        by_subject: dict[str, list[dict[str, float]]] = {}
        for episode in read_episodes(row):
            by_subject.setdefault(subject[episode.case], []).append(episode.metrics)
        start, final, score = (
            np.array([[m[key] for m in group] for group in by_subject.values()])
            for key in ("tre_start", "tre", "score")
        )
        values = (score, final < 1, final < 2, final < 5, final > start + 1)
        for quantity, table in zip(QUANTITIES, values, strict=True):
            if np.ptp(table.mean(axis=1)) > 1e-9:
                yield row.name, quantity, table.astype(np.float64)


def student(means: FloatArray) -> Bounds:
    """Student's interval on subjects' means ``(draws, n)``."""
    n = means.shape[1]
    reach = stats.t.ppf(0.975, n - 1) * means.std(axis=1, ddof=1) / np.sqrt(n)
    return means.mean(axis=1) - reach, means.mean(axis=1) + reach


def bootstraps(means: FloatArray, rng: np.random.Generator, resamples: int = 1000) -> tuple[Bounds, Bounds]:
    """Percentile and BCa (Efron, JASA 1987) bootstrap intervals over subjects' means ``(draws, n)``."""
    draws, n = means.shape
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    values = np.sort(means @ weights.T, axis=1)
    centre = means.mean(axis=1, keepdims=True)
    below = ((values < centre - 1e-12).mean(axis=1) + (values < centre + 1e-12).mean(axis=1)) / 2
    bias = stats.norm.ppf(np.clip(below, 1e-3, 1 - 1e-3))[:, None]
    cubes, squares = ((means - centre) ** 3).sum(axis=1), ((means - centre) ** 2).sum(axis=1)
    skew = (cubes / (6 * np.maximum(squares, 1e-18) ** 1.5))[:, None]
    shifted = bias + stats.norm.ppf([0.025, 0.975])
    levels = np.broadcast_to([0.025, 0.975], (draws, 2)), stats.norm.cdf(bias + shifted / (1 - skew * shifted))
    ends = [np.take_along_axis(values, np.rint(level * (resamples - 1)).astype(int), axis=1) for level in levels]
    return (ends[0][:, 0], ends[0][:, 1]), (ends[1][:, 0], ends[1][:, 1])


def shipped(samples: FloatArray, score: bool) -> Bounds:
    """The intervals that regenv claims for samples ``(draws, n, cases)``; NaN where it claims none."""
    interval: Callable[..., object] = mean_interval if score else share_interval
    subjects = [str(i) for i in range(samples.shape[1]) for _ in range(samples.shape[2])]
    found = [interval(sample.reshape(-1), subjects) for sample in samples]
    ends = np.array([[getattr(i, end) for i in found] for end in ("low", "high")], dtype=np.float64)
    return ends[0], ends[1]


@dataclass
class Tally:
    """Of one method: share of draws held, share claimed and mean width, a number for each population."""

    held: list[float]
    claimed: list[float]
    width: list[float]

    def add(self, bounds: Bounds, truth: float) -> None:
        """Counts the intervals of one population."""
        low, high = bounds
        claimed = ~np.isnan(low)
        self.claimed.append(float(claimed.mean()))
        self.held.append(float(((low <= truth + 1e-9) & (truth <= high + 1e-9))[claimed].mean()))
        self.width.append(float((high - low)[claimed].mean()))

    def text(self) -> str:
        """Mean and lowest coverage over the populations, and the mean width."""
        return f"{100 * np.mean(self.held):.0f} ({100 * np.min(self.held):.0f}), {np.mean(self.width):.2f}"


def measure(draws: int, seed: int) -> str:
    """The table, in Markdown."""
    everything = list(populations())
    lines = ["| subjects | of | percentile | Student's t | BCa | regenv | claimed |", "| --- " * 7 + "|"]
    for is_score, name in ((True, "score"), (False, "shares")):
        for n in SUBJECTS:
            tallies = [Tally([], [], []) for _ in range(4)]
            for _, quantity, table in everything:
                if (quantity == "score") is not is_score:
                    continue
                rng = np.random.default_rng([seed, n])
                samples = table[rng.integers(len(table), size=(draws, n))]
                means = samples.mean(axis=2)
                percentile, bca = bootstraps(means, rng)
                found = [percentile]
                if n >= FEWEST_SUBJECTS:
                    found += [student(means), bca, shipped(samples, is_score)]
                differ = np.ptp(means, axis=1) > 1e-9
                for tally, (low, high) in zip(tallies, found, strict=False):
                    # No mean claims an interval where all agree, so there no method is counted.
                    low = np.where(differ, low, np.nan) if is_score else low
                    tally.add((low, high), float(table.mean()))
            cells = [tally.text() if tally.held else "" for tally in tallies]
            claimed = f"{100 * np.mean(tallies[3].claimed):.0f} %" if tallies[3].claimed else "none"
            lines.append(f"| {n} | {name} | {' | '.join(cells)} | {claimed} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000, help="how often each population is sampled")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(measure(arguments.draws, arguments.seed))


if __name__ == "__main__":
    main()
