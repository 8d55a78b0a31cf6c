"""``regenv.align`` as it ships: the policy file in the package, then a short refinement on the similarity."""

from __future__ import annotations

from typing import Any

import regenv


class Shipped:
    """Answers with :func:`regenv.align`'s transform.

    Args:
        runs: Runs of the agent, from the start and from near it; the most similar answer counts.
        seed: Of the further starts.
    """

    def __init__(self, runs: int = 1, seed: int = 0) -> None:
        self.runs = runs
        self._seed = seed
        self.method = {
            "name": "greedy-supervised-refined" if runs == 1 else f"greedy-supervised-refined-{runs}",
            "family": "imitation",
            "description": "The shipped policy file and a short refinement on the similarity, as regenv.align runs them"
            + ("" if runs == 1 else f", best of {runs} runs"),
            "training": {"subjects": "endless", "data": ["procedural shapes and torsos; no real image"]},
            "test_time_optimisation": True,
        }

    def register(self, fixed: Any, moving: Any, initial: Any) -> Any:
        """The SimpleITK transform from fixed to moving points, from one start."""
        return regenv.align(fixed, moving, initial=initial, runs=self.runs, seed=self._seed).transform


def factory(seed: int = 0) -> Shipped:
    """One run: as fast as it gets."""
    return Shipped(1, seed)


def several(seed: int = 0) -> Shipped:
    """Three runs, as ``regenv.align`` does unless told otherwise."""
    return Shipped(3, seed)
