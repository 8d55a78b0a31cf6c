"""Statistics for comparing methods on the same cases.

Scores of a method are ``(S, N)``: S training seeds (1 for a method that has none) by N cases. Larger is better. How
often the intervals hold the true value was measured on the shipped rows: ``docs/design/statistics.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from regenv.core.geometry import FloatArray

FEWEST_SUBJECTS = 10


def interquartile_mean(scores: ArrayLike) -> float:
    """Mean of the middle half of all scores. Source: Agarwal et al., NeurIPS 2021."""
    return float(stats.trim_mean(np.asarray(scores, dtype=np.float64), 0.25, axis=None))


@dataclass(frozen=True)
class Interval:
    """A mean or a share with its confidence interval.

    Attributes:
        value: The mean of the sample.
        low: Lower bound, or None where no interval can be claimed.
        high: Upper bound, or None.
    """

    value: float
    low: float | None = None
    high: float | None = None


def share_interval(hits: ArrayLike, subjects: Sequence[str], *, confidence: float = 0.95) -> Interval:
    """Share of cases that are hits, with Wilson's interval over subjects and training seeds.

    Cases of one subject are not independent, so the number of cases in Wilson's formula is replaced by the effective
    number ``p (1 - p) / variance``, with the variance of the share between subjects (and seeds) and Student's quantile.
    The effective number is at most the number of cases; where all or none are hits it is the number of subjects.

    Args:
        hits: ``(S, N)`` or ``(N,)``, true or 1 for a hit.
        subjects: Subject of each of the N cases.
        confidence: Coverage of the interval.

    Returns:
        The share, with bounds in [0, 1]; without bounds under :data:`FEWEST_SUBJECTS` subjects.

    Raises:
        ValueError: If there are not as many subjects as cases.

    Sources: Wilson, JASA 1927; Korn and Graubard, Survey Methodology 1998 (effective number, Student's quantile);
    Franco et al., J Surv Stat Methodol 2019 (Wilson's interval with it).
    """
    spread = _spread(hits, subjects)
    p = spread.mean
    if spread.subjects < FEWEST_SUBJECTS:
        return Interval(p)
    cases, unanimous = len(subjects), p * (1 - p) < 1e-12
    effective = spread.subjects if unanimous else min(p * (1 - p) / max(spread.variance, 1e-300), cases)
    return Interval(p, *_wilson(p, effective, spread.quantile(confidence)))


def mean_interval(
    values: ArrayLike,
    subjects: Sequence[str],
    *,
    confidence: float = 0.95,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """Mean with Student's interval over subjects and training seeds.

    Args:
        values: ``(S, N)`` or ``(N,)``.
        subjects: Subject of each of the N cases.
        confidence: Coverage of the interval.
        limits: What no value can lie beyond; the interval ends there.

    Returns:
        The mean; without bounds under :data:`FEWEST_SUBJECTS` subjects and where all subjects agree.

    Raises:
        ValueError: If there are not as many subjects as cases.
    """
    spread = _spread(values, subjects)
    if spread.subjects < FEWEST_SUBJECTS or spread.variance < 1e-18:
        return Interval(spread.mean)
    reach = spread.quantile(confidence) * spread.variance**0.5
    return Interval(spread.mean, max(spread.mean - reach, limits[0]), min(spread.mean + reach, limits[1]))


@dataclass(frozen=True)
class _Spread:
    """A mean, the variance of that mean, and how many degrees of freedom the variance has."""

    mean: float
    variance: float
    freedom: float
    subjects: int

    def quantile(self, confidence: float) -> float:
        return float(stats.t.ppf((1 + confidence) / 2, self.freedom))


def _spread(values: ArrayLike, subjects: Sequence[str]) -> _Spread:
    """The mean of ``(S, N)`` values and its variance, were other subjects and other training seeds drawn.

    The variance is the sum of that between subjects (their totals' deviations, so that subjects may have different
    numbers of cases) and that between seeds; what subjects and seeds have in common is in both, which errs on the wide
    side. Degrees of freedom are Satterthwaite's. Sources: Cochran, Sampling Techniques, 1977, chapter 9A;
    Satterthwaite, Biometrics Bulletin 1946.
    """
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if table.shape[1] != len(subjects):
        raise ValueError(f"values of {table.shape[1]} cases and subjects of {len(subjects)} differ")
    mean = float(table.mean())
    names, member = np.unique(np.asarray(subjects), return_inverse=True)
    deviations = np.bincount(member, weights=table.mean(axis=0) - mean) * len(names) / len(subjects)
    sources = [part for part in (deviations, table.mean(axis=1)) if len(part) > 1]
    variances = np.array([part.var(ddof=1) / len(part) for part in sources])
    total = float(variances.sum())
    if total < 1e-18:
        return _Spread(mean, 0.0, max(len(names) - 1, 1), len(names))
    freedom = total**2 / sum(v**2 / (len(part) - 1) for v, part in zip(variances, sources, strict=True))
    return _Spread(mean, total, float(freedom), len(names))


def _wilson(share: float, number: float, quantile: float) -> tuple[float, float]:
    """Wilson's interval for a share of ``number`` independent trials."""
    a = quantile**2 / number
    centre = (share + a / 2) / (1 + a)
    reach = np.sqrt(a * share * (1 - share) + a**2 / 4) / (1 + a)
    return max(0.0, float(centre - reach)), min(1.0, float(centre + reach))


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> FloatArray:
    """Share of scores above each threshold. Source: Agarwal et al., NeurIPS 2021, score distributions."""
    ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=None)
    return 1.0 - np.searchsorted(ordered, np.asarray(thresholds, dtype=np.float64), side="right") / len(ordered)


def probability_of_improvement(first: ArrayLike, second: ArrayLike) -> float:
    """Chance that a run of the first method beats a run of the second on the same case; a tie counts one half.

    Args:
        first: ``(S1, N)`` or ``(N,)`` scores.
        second: ``(S2, N)`` or ``(N,)`` scores of the same cases.
    """
    a, b = np.atleast_2d(np.asarray(first, dtype=np.float64)), np.atleast_2d(np.asarray(second, dtype=np.float64))
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"the methods were run on {a.shape[1]} and {b.shape[1]} cases: give scores of the same cases")
    difference = a[:, None] - b[None]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def signed_rank_test(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test on paired scores; equal pairs are dropped, 1 if all are equal.

    Source: Wilcoxon, Biometrics Bulletin 1945; :func:`scipy.stats.wilcoxon` chooses between the exact distribution and
    the normal approximation with tie correction.
    """
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    difference = difference[difference != 0]
    return float(stats.wilcoxon(difference).pvalue) if len(difference) else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the family-wise error, in the order given. Source: Holm, Scand J Stat 1979."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    running = 0.0
    for i, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - i) * p_values[index]))
        adjusted[index] = running
    return adjusted.tolist()
