"""Measures an agent on held-out subjects, and writes the table of its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

import regenv  # noqa: F401  (registers the environments)
from regenv.agent import Played, play
from regenv.data.cache import progress
from regenv.data.dataset import SPAN, Dataset

THRESHOLDS_MM = (1.0, 2.0, 5.0, 10.0)
HARM_MM = 1.0


def measure(
    agent: Any,
    env_id: str,
    episodes: int,
    split: str = "validation",
    dataset: str | Dataset = "phantom",
    subjects: int | None = None,
    first: int = 0,
) -> dict[str, Any]:
    """Plays episodes and sums them up: :func:`played` and :func:`summary`."""
    return summary(played(agent, env_id, episodes, split, dataset, subjects, first))


def played(
    agent: Any,
    env_id: str,
    episodes: int,
    split: str = "validation",
    dataset: str | Dataset = "phantom",
    subjects: int | None = None,
    first: int = 0,
) -> list[Played]:
    """Plays episodes seeded 0, 1, ...

    Args:
        agent: That acts; the environment is made with its ``env_kwargs``.
        env_id: The environment.
        episodes: How many.
        split: ``"validation"``: on the test split the truth is withheld, and it belongs to the leaderboard.
        dataset: Name of a data set, or one whose split counts.
        subjects: Of embedded training subjects, which have no end: so many, one after the other, each time in another
            variation.
        first: Number of the first of them.
    """
    env = gym.make(env_id, split=split, dataset=dataset, threads=1, **agent.env_kwargs)
    names = None if subjects is None else env.unwrapped.config.make_dataset(prepare=False).ids
    found = []
    with progress(f"measuring on the {split} split", episodes) as advance:
        for seed in range(episodes):
            options = None
            if names is not None:
                turn, subject = divmod(seed, subjects)
                options = {"pair": names[first + subject + SPAN * turn]}
            found.append(play(agent, env, seed=seed, options=options))
            advance()
    env.close()
    return found


def summary(episodes: Sequence[Played]) -> dict[str, Any]:
    """What episodes whose truth is known came to.

    Returns:
        ``success`` (share under 1, 2, 5, 10 mm), ``tre_mm`` (10th, 50th, 90th percentile), the same of the starts as
        ``start_tre_mm``, ``harmed`` (share that ended over 1 mm worse), mean ``steps``, ``seconds`` an episode,
        ``stopped`` (share that ended by STOP), ``episodes``.
    """
    starts, errors = (np.array([getattr(p, which)["tre"] for p in episodes]) for which in ("first", "last"))
    return {
        "episodes": len(episodes),
        "success": {f"{mm:g}": float(np.mean(errors < mm)) for mm in THRESHOLDS_MM},
        "tre_mm": np.round(np.percentile(errors, (10, 50, 90)), 2).tolist(),
        "start_tre_mm": np.round(np.percentile(starts, (10, 50, 90)), 1).tolist(),
        "harmed": float(np.mean(errors > starts + HARM_MM)),
        "steps": round(float(np.mean([len(p.actions) for p in episodes])), 1),
        "stopped": float(np.mean([p.terminated for p in episodes])),
        "seconds": round(sum(p.seconds for p in episodes) / len(episodes), 3),
    }


def result_table(result: Mapping[str, Any]) -> str:
    """A result of :func:`measure` as a Markdown table."""
    success = " | ".join(f"{100 * share:.1f} %" for share in result["success"].values())
    tre, start = (" / ".join(f"{value:g}" for value in result[key]) for key in ("tre_mm", "start_tre_mm"))
    return (
        "| under 1 mm | 2 mm | 5 mm | 10 mm | TRE 10/50/90 % in mm | start TRE 10/50/90 % in mm | harmed | steps "
        "| ended by STOP |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        f"| {success} | {tre} | {start} | {100 * result['harmed']:.1f} % | {result['steps']:g} "
        f"| {100 * result['stopped']:.0f} % |"
    )
