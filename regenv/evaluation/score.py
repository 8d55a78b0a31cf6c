"""The score of a case and the summary of a run. The reward of an environment is never the score.

Everything here is a function of the target registration errors (mm) at the start and at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from regenv.core.geometry import FloatArray

SCORE_VERSION = 1
THRESHOLDS_MM = (1.0, 2.0, 5.0, 10.0)
PERCENTILES = (10, 25, 50, 75, 90, 95)
HARM_MM = 1.0
CURVE_RANGE_MM = (0.1, 20.0)
CAPTURE_SHARE = 0.95
WORST_SHARE = 0.3


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


def harmed(tre_start: ArrayLike, tre_final: ArrayLike) -> float:
    """Share of cases that end more than 1 mm worse than they started, in [0, 1]."""
    return float(np.mean(np.asarray(tre_final) > np.asarray(tre_start) + HARM_MM))


def success_rate(tre_final: ArrayLike, threshold_mm: float) -> float:
    """Share of cases whose final error is under ``threshold_mm``."""
    return float(np.mean(np.asarray(tre_final) < threshold_mm))


def success_curve(tre_final: ArrayLike, points: int = 200) -> tuple[FloatArray, FloatArray]:
    """Thresholds in mm, evenly spaced on a log axis from 0.1 to 20, and the share of cases under each."""
    thresholds = np.geomspace(*CURVE_RANGE_MM, points)
    ordered = np.sort(np.asarray(tre_final, dtype=np.float64))
    return thresholds, np.searchsorted(ordered, thresholds, side="left") / len(ordered)


def success_area(tre_final: ArrayLike) -> float:
    """Area under the success curve over log TRE from 0.1 to 20 mm, as a share of the whole, exactly; 1 is best."""
    low, high = np.log(CURVE_RANGE_MM)
    log_tre = np.log(np.maximum(np.asarray(tre_final, dtype=np.float64), CURVE_RANGE_MM[0]))
    return float(np.mean(np.clip((high - log_tre) / (high - low), 0.0, 1.0)))


def capture_range(tre_start: ArrayLike, tre_final: ArrayLike, threshold_mm: float = 5.0) -> float:
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
        cases: How many cases.
        score: Mean of :func:`case_score`.
        harmed: Share harmed.
        success: Share under each of :data:`THRESHOLDS_MM`.
        percentiles: TRE in mm at :data:`PERCENTILES`.
        area: :func:`success_area`.
        capture_range_mm: :func:`capture_range` at 5 mm.
        worst_mm: :func:`worst_mean`.
    """

    cases: int
    score: float
    harmed: float
    success: dict[float, float]
    percentiles: dict[int, float]
    area: float
    capture_range_mm: float
    worst_mm: float


def summarise(tre_start: ArrayLike, tre_final: ArrayLike) -> Summary:
    """All numbers of a run from its start and final errors in mm, ``(N,)`` each.

    Raises:
        ValueError: If there is no case, the lengths differ, or an error is not finite.
    """
    start, final = np.asarray(tre_start, dtype=np.float64), np.asarray(tre_final, dtype=np.float64)
    if start.shape != final.shape or start.ndim != 1 or len(start) == 0:
        raise ValueError(f"need as many start as final errors and at least one, got {start.shape} and {final.shape}")
    if not (np.all(np.isfinite(start)) and np.all(np.isfinite(final))):
        raise ValueError("an error is not finite: every case needs a transform of finite numbers")
    return Summary(
        cases=len(start),
        score=float(case_score(start, final).mean()),
        harmed=harmed(start, final),
        success={t: success_rate(final, t) for t in THRESHOLDS_MM},
        percentiles={p: float(v) for p, v in zip(PERCENTILES, np.percentile(final, PERCENTILES), strict=True)},
        area=success_area(final),
        capture_range_mm=capture_range(start, final),
        worst_mm=worst_mean(final),
    )
