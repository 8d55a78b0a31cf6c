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
from regenv.envs.rewards import PRIVILEGED_REWARDS


def gains(env_id: str, reward: str, episodes: int) -> NDArray[np.float64]:
    """What the whole way from the start to the truth pays at scale 1, of each episode."""
    env = gym.make(env_id, reward=reward, reward_scale=1.0)
    values = []
    for seed in range(episodes):
        env.reset(seed=seed)
        truth, begin, before = env.unwrapped.truth(), env.unwrapped.get_state(), env.unwrapped.potential
        env.unwrapped.set_state({**begin, "transform": truth})
        values.append(env.unwrapped.potential - before)
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
    for name in (*SIMILARITIES, *PRIVILEGED_REWARDS):
        gain = gains(env_id, name, episodes)
        median = np.median(gain)
        print(f"{name}: median gain {median:.4g}, negative in {np.mean(gain < 0):.0%}; scale {10 / median:.3g}")
    errors, lengths = oracle(env_id, episodes)
    print(f"oracle: TRE median {np.median(errors):.2f} mm, 95 % {np.percentile(errors, 95):.2f} mm; steps median "
          f"{np.median(lengths):.0f}, 95 % {np.percentile(lengths, 95):.0f}")  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
