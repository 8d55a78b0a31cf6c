"""Branching trees of vessels that fill a cloud of points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def grow_tree(
    root: NDArray[np.float64], goals: NDArray[np.float64], radius: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Branches from ``root`` until every goal is reached.

    The goals are halved again and again along their longest axis; each branch runs part of the way to the middle of
    its goals. Radii fall with the number of goals served, by Murray's law with exponent 3 (Murray, PNAS 12 (1926)
    207-214).

    Args:
        root: ``(3,)`` start in mm.
        goals: ``(N, 3)`` ends.
        radius: At the root, mm.
        rng: For the bends.

    Returns:
        ``(M, 8)`` segments for ``Canvas.tubes``.
    """
    rows: list[list[float]] = []
    total = max(len(goals), 1)
    stack = [(np.asarray(root, float), np.asarray(goals, float), radius)]
    while stack:
        start, ends, thick = stack.pop()
        if len(ends) == 1:
            bend = 0.5 * (start + ends[0]) + rng.normal(0, 2.0, 3)
            rows.append([*start, thick, *bend, 0.8 * thick])
            rows.append([*bend, 0.8 * thick, *ends[0], 0.35])
            continue
        centred = ends - ends.mean(axis=0)
        spread = np.linalg.svd(centred, full_matrices=False)[2][0] + rng.normal(0, 0.25, 3)
        order = centred @ spread
        ranked = ends[np.argsort(order)]
        cut = min(max(int(round(rng.uniform(0.36, 0.64) * len(ends))), 1), len(ends) - 1)
        for group in (ranked[:cut], ranked[cut:]):
            goal = group.mean(axis=0)
            thin = max(radius * (len(group) / total) ** (1 / 3), 0.5)
            share = rng.uniform(0.32, 0.5) if len(group) > 1 else 0.35
            stop = start + share * (goal - start) + rng.normal(0, 1.2, 3)
            rows.append([*start, min(thick, 1.15 * thin), *stop, thin])
            stack.append((stop, group, thin))
    return np.asarray(rows)
