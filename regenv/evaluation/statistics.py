"""Statistics for comparing methods on the same cases: small, own, tested against SciPy and hand values.

Scores of a method are ``(S, N)``: S training seeds (1 for a method that has none) by N cases. Larger is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from regenv.core.geometry import FloatArray

Statistic = Callable[[FloatArray], float]


def interquartile_mean(scores: ArrayLike) -> float:
    """Mean of the middle half of all scores, the outer quarters cut off by whole scores.

    Source: Agarwal et al., NeurIPS 2021; equals ``scipy.stats.trim_mean(x, 0.25)``.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=None)
    cut = int(0.25 * len(ordered))
    return float(ordered[cut : len(ordered) - cut].mean())


@dataclass(frozen=True)
class Interval:
    """A statistic and its bootstrap percentile interval.

    Attributes:
        value: The statistic of the sample itself.
        low: Lower bound, or None where no interval can be claimed.
        high: Upper bound, or None.
    """

    value: float
    low: float | None
    high: float | None


def bootstrap(
    scores: ArrayLike,
    subjects: Sequence[str],
    statistic: Statistic = np.mean,
    *,
    strata: Sequence[str] | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval by resampling training seeds and subjects, each with replacement.

    Cases of one subject are not independent, so a subject is drawn with all its cases. Where there is only one subject,
    no interval over patients can be claimed and the bounds are None.

    Args:
        scores: ``(S, N)`` or ``(N,)``.
        subjects: Subject of each of the N cases.
        statistic: From an ``(S, M)`` array to a number.
        strata: Group of each case (data set, field of view); subjects are drawn within their group.
        resamples: How many bootstrap samples.
        confidence: Coverage of the interval.
        seed: Of the resampling.
    """
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if table.shape[1] != len(subjects):
        raise ValueError(f"scores of {table.shape[1]} cases and subjects of {len(subjects)} differ")
    value = float(statistic(table))
    groups: dict[str, dict[str, list[int]]] = {}
    for case, subject in enumerate(subjects):
        groups.setdefault(strata[case] if strata is not None else "", {}).setdefault(subject, []).append(case)
    if all(len(group) == 1 for group in groups.values()):
        return Interval(value, None, None)
    members = [[np.array(cases) for cases in group.values()] for group in groups.values()]
    rng = np.random.default_rng(seed)
    values = np.empty(resamples)
    for i in range(resamples):
        chosen = np.concatenate([group[j] for group in members for j in rng.integers(len(group), size=len(group))])
        rows = rng.integers(len(table), size=len(table)) if len(table) > 1 else np.zeros(1, dtype=np.int64)
        values[i] = statistic(table[np.ix_(rows, chosen)])
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high))


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
    """Two-sided p-value of Wilcoxon's signed-rank test on paired scores; equal pairs are dropped.

    Exact, ties included, up to 50 pairs; beyond, the normal approximation with tie correction. 1 where all are equal.
    Source: Wilcoxon, Biometrics Bulletin 1945.
    """
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    difference = difference[difference != 0]
    n = len(difference)
    if n == 0:
        return 1.0
    ranks = _mid_ranks(np.abs(difference))
    positive = float(ranks[difference > 0].sum())
    if n <= 50:
        return _exact_signed_rank(ranks, positive)
    variance = float((ranks**2).sum()) / 4  # with mid-ranks this is the tie-corrected variance
    z = (positive - ranks.sum() / 2) / math.sqrt(variance)
    return math.erfc(abs(z) / math.sqrt(2))


def _mid_ranks(values: FloatArray) -> FloatArray:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _exact_signed_rank(ranks: FloatArray, positive: float) -> float:
    """Two-sided p-value from the distribution of the positive rank sum over all sign patterns."""
    doubled = np.rint(2 * ranks).astype(np.int64)  # mid-ranks are halves
    total = int(doubled.sum())
    ways = np.zeros(total + 1)
    ways[0] = 1.0
    for rank in doubled:
        shifted = np.zeros_like(ways)
        shifted[rank:] = ways[:-rank]
        ways = (ways + shifted) / 2
    observed = round(2 * positive)
    tail = min(ways[: observed + 1].sum(), ways[observed:].sum())
    return float(min(1.0, 2 * tail))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the family-wise error, in the order given. Source: Holm, Scand J Stat 1979."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    running = 0.0
    for i, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - i) * p_values[index]))
        adjusted[index] = running
    return adjusted.tolist()
