"""The score of a case and the summary of a run. The reward of an environment is never the score.

Everything here is a function of the target registration errors (mm) at the start and at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray

SCORE_VERSION = 2
PERCENTILES = (10, 25, 50, 75, 90, 95)
CAPTURE_SHARE = 0.95
WORST_SHARE = 0.3


@dataclass(frozen=True)
class Scale:
    """What counts as near and far in a track, so that tasks of small errors are not judged by the rule of large ones.

    Attributes:
        success_mm: Error in mm under which a case is a success; :attr:`regenv.task.Task.success_mm`.
        smallest_start_mm: Smallest start error of the track's cases in mm.

    Raises:
        ValueError: If either is not above 0.
    """

    success_mm: float
    smallest_start_mm: float

    def __post_init__(self) -> None:
        if not (self.success_mm > 0 and self.smallest_start_mm > 0):
            raise ValueError(f"a scale needs errors above 0 mm, got {self.success_mm} and {self.smallest_start_mm}")

    @property
    def thresholds_mm(self) -> tuple[float, ...]:
        """Thresholds of the success rates: 1, 2, 5 and 10 mm where a success is an error under 5 mm."""
        return tuple(round(self.success_mm * factor, 6) for factor in (0.2, 0.4, 1.0, 2.0))

    @property
    def harm_mm(self) -> float:
        """A case that ends worse than it started by more than this is harmed."""
        return 0.2 * min(self.success_mm, self.smallest_start_mm)

    @property
    def curve_range_mm(self) -> tuple[float, float]:
        """Smallest and largest threshold of the success curve: 0.1 to 20 mm where a success is under 5 mm."""
        return self.success_mm / 50, self.success_mm * 4


def case_score(tre_start: ArrayLike, tre_final: ArrayLike) -> FloatArray:
    """``1 - TRE_final / TRE_start`` clipped to [-1, 1]: 1 is perfect, 0 is doing nothing, below 0 is harm.

    Args:
        tre_start: Errors in mm before the registration, above 0.
        tre_final: Errors in mm after it.

    Raises:
        ValueError: If a start has no error, where there is nothing to score.
    """
    start = np.asarray(tre_start, dtype=np.float64)
    if np.any(start <= 0):
        raise ValueError("a case that starts at the truth cannot be scored: its start TRE must be above 0 mm")
    return np.clip(1.0 - np.asarray(tre_final, dtype=np.float64) / start, -1.0, 1.0)


def reached(score: float, oracle_score: float) -> float:
    """Share of what can be reached: ``score / oracle_score``, 1 for the oracle itself.

    The oracle is told the truth and acts with the environment's actions. Where these are too coarse, or the model
    cannot express the truth, its score is under 1, and no agent with these actions can do much better. Methods that
    answer at once are not bound to steps and may come out above 1.

    Args:
        score: Mean score of a row.
        oracle_score: Mean score of the oracle's row on the same cases.

    Raises:
        ValueError: If the oracle's score is not above 0, where nothing can be reached.
    """
    if oracle_score <= 0:
        raise ValueError(f"an oracle with a score of {oracle_score:g} reaches nothing: check the track's cases")
    return score / oracle_score


def harmed(tre_start: ArrayLike, tre_final: ArrayLike, harm_mm: float) -> NDArray[np.bool_]:
    """Whether each case ended worse than it started by more than ``harm_mm`` (:attr:`Scale.harm_mm`)."""
    return np.asarray(tre_final) > np.asarray(tre_start) + harm_mm


def success_rate(tre_final: ArrayLike, threshold_mm: float) -> float:
    """Share of cases whose final error is under ``threshold_mm``."""
    return float(np.mean(np.asarray(tre_final) < threshold_mm))


def success_curve(tre_final: ArrayLike, scale: Scale, points: int = 200) -> tuple[FloatArray, FloatArray]:
    """Thresholds in mm, evenly spaced on a log axis over :attr:`Scale.curve_range_mm`, and the share under each."""
    thresholds = np.geomspace(*scale.curve_range_mm, points)
    ordered = np.sort(np.asarray(tre_final, dtype=np.float64))
    return thresholds, np.searchsorted(ordered, thresholds, side="left") / len(ordered)


def success_area(tre_final: ArrayLike, scale: Scale) -> float:
    """Area under :func:`success_curve` over log TRE, as a share of the whole, exactly; 1 is best."""
    low, high = np.log(scale.curve_range_mm)
    log_tre = np.log(np.maximum(np.asarray(tre_final, dtype=np.float64), scale.curve_range_mm[0]))
    return float(np.mean(np.clip((high - log_tre) / (high - low), 0.0, 1.0)))


def capture_range(tre_start: ArrayLike, tre_final: ArrayLike, threshold_mm: float) -> float:
    """Largest start TRE in mm such that at least 95 % of the cases that start no further away succeed; 0 if none."""
    start = np.asarray(tre_start, dtype=np.float64)
    order = np.argsort(start, kind="stable")
    won = np.cumsum(np.asarray(tre_final, dtype=np.float64)[order] < threshold_mm)
    enough = np.flatnonzero(won >= CAPTURE_SHARE * np.arange(1, len(start) + 1) - 1e-9)
    return float(start[order][enough[-1]]) if len(enough) else 0.0


def worst_mean(tre_final: ArrayLike) -> float:
    """Mean error in mm of the worst 30 % of cases (at least one)."""
    ordered = np.sort(np.asarray(tre_final, dtype=np.float64))
    return float(ordered[-max(1, round(WORST_SHARE * len(ordered))) :].mean())


@dataclass(frozen=True)
class Summary:
    """What a leaderboard row shows of the errors of a run.

    Attributes:
        scale: What counts as near and far.
        cases: How many cases.
        score: Mean of :func:`case_score`.
        harmed: Share of cases that are :func:`harmed`.
        success: Share under each of :attr:`Scale.thresholds_mm`.
        percentiles: TRE in mm at :data:`PERCENTILES`.
        area: :func:`success_area`.
        capture_range_mm: :func:`capture_range` at :attr:`Scale.success_mm`.
        worst_mm: :func:`worst_mean`.
    """

    scale: Scale
    cases: int
    score: float
    harmed: float
    success: dict[float, float]
    percentiles: dict[int, float]
    area: float
    capture_range_mm: float
    worst_mm: float


def summarise(tre_start: ArrayLike, tre_final: ArrayLike, scale: Scale) -> Summary:
    """All numbers of a run from its start and final errors in mm, ``(N,)`` each, and the track's scale.

    Raises:
        ValueError: If there is no case, the lengths differ, or an error is not finite.
    """
    start, final = np.asarray(tre_start, dtype=np.float64), np.asarray(tre_final, dtype=np.float64)
    if start.shape != final.shape or start.ndim != 1 or len(start) == 0:
        raise ValueError(f"need as many start as final errors and at least one, got {start.shape} and {final.shape}")
    if not (np.all(np.isfinite(start)) and np.all(np.isfinite(final))):
        raise ValueError("an error is not finite: every case needs a transform of finite numbers")
    return Summary(
        scale=scale,
        cases=len(start),
        score=float(case_score(start, final).mean()),
        harmed=float(harmed(start, final, scale.harm_mm).mean()),
        success={t: success_rate(final, t) for t in scale.thresholds_mm},
        percentiles={p: float(v) for p, v in zip(PERCENTILES, np.percentile(final, PERCENTILES), strict=True)},
        area=success_area(final, scale),
        capture_range_mm=capture_range(start, final, scale.success_mm),
        worst_mm=worst_mean(final),
    )
