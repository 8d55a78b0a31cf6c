"""What making training cases costs beside stepping: ``python -m benchmarks.tools.reuse_cost [ID ...]``.

One environment, subjects on disk, 32 cases; of the time that :data:`regenv.envs.window.REUSE` episodes of full length
take, the share of processor time that goes into reading a subject, varying it and preparing the case.
"""

from __future__ import annotations

import argparse
import os
import time

import gymnasium as gym
import numpy as np

import regenv  # noqa: F401  (registers the ids)
from regenv.catalogue import TASKS
from regenv.data.dataset import SPAN
from regenv.envs.window import REUSE, VARIATIONS

_SUBJECTS, _ROUNDS, _STEPS = 8, 2, 1000


def measure(env_id: str) -> tuple[float, float, int]:
    """Processor seconds that a case takes and that a step takes, and the horizon."""
    env = gym.make(env_id, disable_env_checker=True).unwrapped
    env.reset(seed=0)
    horizon = env.config.horizon
    for subject in range(_SUBJECTS):  # are on disk from now on, and kernels are loaded
        env.observe(env._engine.source.ids[subject + SPAN], env.model.origin)
    cases = []
    for first in range(_ROUNDS):
        fresh = gym.make(env_id, disable_env_checker=True).unwrapped  # holds nothing in memory
        source = fresh._engine.source
        for subject in range(_SUBJECTS):
            for variation in range(VARIATIONS):
                began = time.process_time()
                source.case(subject + SPAN * (2 + first * VARIATIONS + variation))
                cases.append(time.process_time() - began)
    rng, stepping, steps = np.random.default_rng(0), 0.0, 0
    while steps < _STEPS:
        env.reset()
        over = False
        began = time.process_time()
        while not over and steps < _STEPS:
            _, _, terminated, truncated, _ = env.step(rng.integers(env.action_space.n - 1))
            over, steps = terminated or truncated, steps + 1
        stepping += time.process_time() - began
    return float(np.mean(cases)), stepping / steps, horizon


def main() -> None:
    """Measures the ids that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tools.reuse_cost", description=__doc__)
    parser.add_argument("ids", nargs="*", metavar="ID", help="default all")
    os.environ["REGENV_PREPARE"] = "0"
    print("| id | a case (ms) | a step (us) | horizon | cases / stepping |\n| --- | --- | --- | --- | --- |")
    for env_id in parser.parse_args().ids or TASKS:
        case, step, horizon = measure(env_id)
        share = case / (REUSE * horizon * step)
        print(f"| {env_id} | {1e3 * case:.0f} | {1e6 * step:.0f} | {horizon} | {share:.0%} |", flush=True)


if __name__ == "__main__":
    main()
