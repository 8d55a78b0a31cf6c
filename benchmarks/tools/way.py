"""What rewards gain on the way from a start to the truth: which lead from afar, and which tell the last millimetres.

    python -m benchmarks.tools.way ID [--reward ncc --reward ngf --reward ncc+ngf]

On pairs of the validation split, with calibrated scales: the mean gain since the start after shares of the straight
way, and of how many starts the potential has fallen there.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

from benchmarks.tools.landscape import Floats, Landscape

SHARES = (0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0)
"""Of the way."""

STARTS = 8
"""Starts of each pair."""


def gains(env_id: str, reward: str | None, pairs: int) -> Floats:
    """Gains since the start, ``(pairs * STARTS, shares)``, in the reward's units.

    Args:
        env_id: The environment.
        reward: Its keyword; None for the id's own.
        pairs: How many.
    """
    landscape = Landscape(env_id, lanes=STARTS, reward=reward)
    rng, found = np.random.default_rng(0), []
    for pair in range(pairs):
        landscape.show(pair)
        starts = landscape.spread(STARTS, rng)
        before, _ = landscape.at(starts)
        found.append(np.stack([landscape.at(landscape.along(starts, share))[0] - before for share in SHARES], axis=1))
    return landscape.config.reward_scale * np.concatenate(found)


def main(
    env_id: str,
    reward: Annotated[list[str] | None, typer.Option(help="May be given again; default is the id's.")] = None,
    pairs: int = 12,
) -> None:
    """Prints a table of mean gains, with the share of starts that have lost in brackets."""
    print("| reward | " + " | ".join(f"{100 * share:g} %" for share in SHARES) + " |")
    print("| --- |" + " --- |" * len(SHARES))
    for name in reward or [None]:
        found = gains(env_id, name, pairs)
        cells = [f"{g:.2f} ({100 * lost:.0f} %)" for g, lost in zip(found.mean(0), (found < 0).mean(0), strict=True)]
        print(f"| {name or 'default'} | {' | '.join(cells)} |")


if __name__ == "__main__":
    typer.run(main)
