"""Measures the constants of an environment's row: reward scales, and what the oracle reaches.

    python -m benchmarks.calibrate CTCBCT-Rigid-v0 --episodes 60

A scale is 10 over the median gain from a start to the truth, on the training split, so that a median start is worth 10.
The oracle takes greedy steps on the true error until no action brings it nearer.
"""

from __future__ import annotations

from typing import Annotated

import gymnasium as gym
import numpy as np
import typer
from numpy.typing import NDArray

import regenv
from regenv.core.similarity import SIMILARITIES


def gains(env_id: str, similarity: str, episodes: int) -> NDArray[np.float64]:
    """Similarity at the truth less similarity at the start, of each episode."""
    env = gym.make(env_id, reward=similarity)
    values = []
    for seed in range(episodes):
        _, start = env.reset(seed=seed)
        truth = env.unwrapped.truth()
        _, end = env.reset(options={"pair": start["pair_id"], "start": truth})
        values.append(end["similarity"] - start["similarity"])
    return np.array(values)


def oracle(env_id: str, episodes: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Final TRE in mm and number of steps before STOP, of each episode."""
    env = gym.make(env_id, horizon=1000)
    errors, lengths = [], []
    for seed in range(episodes):
        _, info = env.reset(seed=seed)
        steps, over = 0, False
        while not over:
            _, _, terminated, truncated, info = env.step(env.unwrapped.expert_action())
            over = terminated or truncated
            steps += not terminated
        errors.append(info["tre"])
        lengths.append(steps)
    return np.array(errors), np.array(lengths)


def main(
    env_id: Annotated[str, typer.Argument(help="id of the environment")],
    episodes: Annotated[int, typer.Option(help="starts, seeds 0 upwards")] = 60,
) -> None:
    """Prints the reward scales of every similarity and the oracle's floor and path length."""
    print(f"regenv {regenv.__version__}, {env_id}, {episodes} starts of the training split")
    for name in SIMILARITIES:
        gain = gains(env_id, name, episodes)
        median = np.median(gain)
        print(f"{name}: median gain {median:.4g}, negative in {np.mean(gain < 0):.0%}; scale {10 / median:.3g}")
    errors, lengths = oracle(env_id, episodes)
    print(f"oracle: TRE median {np.median(errors):.2f} mm, 95 % {np.percentile(errors, 95):.2f} mm; steps median "
          f"{np.median(lengths):.0f}, 95 % {np.percentile(lengths, 95):.0f}")  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
