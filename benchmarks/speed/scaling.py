"""How stepping many lanes scales with threads, resets and all: ``python -m benchmarks.speed.scaling [ID ...]``.

Actions are random and one in thirty is STOP, so that lanes end at different steps and some begin anew in every one, as
they do under a trained agent; ``autoreset_mode="SameStep"``, as ``agents/pqn`` uses it. Environments of one thread and
of several take turns. What is serial is measured twice: as the share of a step of one thread that is spent outside of
what threads share (kernels over lanes, observations, cases made ahead), in processor time, which other programs do not
change; and by Amdahl's law from the ratio, which needs a quiet machine and counts what memory and waking threads cost.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

import regenv
from regenv.core import lanes
from regenv.envs.cases import CaseSource
from regenv.envs.window import REUSE

IDS = ("CTCBCT-Rigid-v0", "CTMR-Similarity2D-v0", "CardiacMR-SDM-v0", "CTMR-Affine-v0", "XRayCT-Rigid-v0")
SUBJECTS = 4
"""Are made and on disk before anything is measured; their variations have no end."""

STOPS = 1 / 30
_TURN = 0.5  # seconds of one environment before the other has its turn
_WARM = 640  # episodes of all lanes together before anything is measured


@dataclass(frozen=True)
class Scaling:
    """One id.

    Attributes:
        single: Seconds a step of a lane, one thread.
        several: The same with several threads.
        outside: Share of a step of one thread outside of what threads share.
    """

    single: float
    several: float
    outside: float

    def serial(self, threads: int) -> float:
        """Serial share by Amdahl's law."""
        return (self.several / self.single - 1 / threads) / (1 - 1 / threads)


class Lanes:
    """One environment, stepped on and on.

    Args:
        env_id: The id.
        count: Number of lanes.
        threads: Of the environment.
    """

    def __init__(self, env_id: str, count: int, threads: int) -> None:
        keywords: dict[str, Any] = {"threads": threads, "subjects": SUBJECTS, "autoreset_mode": "SameStep"}
        self.envs: Any = gym.make_vec(env_id, num_envs=count, **keywords).unwrapped
        self._rng = np.random.default_rng(0)
        self.envs.reset(seed=0)
        states = self.envs.get_state()
        for state in states:  # as after many episodes: lanes move on to new cases rarely, and not all at once
            state["window"]["episodes"] = int(self._rng.integers(10 * REUSE, 11 * REUSE))
        self.envs.set_state(states)
        self.step(max(2, _WARM // count) * round(1 / STOPS))

    def step(self, steps: int) -> None:
        """Random actions on all lanes."""
        count, stop = self.envs.num_envs, int(self.envs.single_action_space.n) - 1
        actions = self._rng.integers(0, stop, (steps, count))
        actions[self._rng.random((steps, count)) < STOPS] = stop
        for row in actions:
            self.envs.step(row)

    def turn(self, steps: int) -> float:
        """Seconds a step of a lane."""
        began = time.perf_counter()
        self.step(steps)
        return (time.perf_counter() - began) / (steps * self.envs.num_envs)


def measure(env_id: str, count: int, threads: int, seconds: float) -> Scaling:
    """Measures one id with ``count`` lanes."""
    single, several = Lanes(env_id, count, 1), Lanes(env_id, count, threads)
    steps = max(2, int(_TURN / (single.turn(3) * count)))
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        times.append((single.turn(steps), several.turn(steps)))
    with shared_time() as shared:
        began = time.thread_time()
        single.step(steps)
        outside = 1 - shared[0] / (time.thread_time() - began)
    one, more = np.mean(times, axis=0)  # of the same steps of the same episodes
    return Scaling(float(one), float(more), outside)


@contextmanager
def shared_time() -> Iterator[list[float]]:
    """Adds up the processor seconds spent in kernels over lanes and in making cases, of environments of one thread."""
    total = [0.0]

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **keywords: Any) -> Any:
            began = time.thread_time()
            try:
                return call(*arguments, **keywords)
            finally:
                total[0] += time.thread_time() - began

        return wrapped

    spread, made = lanes.run_lanes, CaseSource._made

    def run_lanes(kernel: Callable[..., Any], *arguments: Any, **keywords: Any) -> None:
        spread(timed(kernel), *arguments, **keywords)

    users = [m for name, m in sys.modules.items() if name.startswith("regenv.envs") or name.startswith("regenv.core")]
    users += [m for name, m in sys.modules.items() if name.startswith(("regenv.poses", "regenv.imaging"))]
    users = [module for module in users if getattr(module, "run_lanes", None) is spread]
    for module in users:
        module.run_lanes = run_lanes  # type: ignore[attr-defined]
    CaseSource._made = timed(made)  # type: ignore[method-assign]
    try:
        yield total
    finally:
        CaseSource._made = made  # type: ignore[method-assign]
        for module in users:
            module.run_lanes = spread  # type: ignore[attr-defined]


def main() -> None:
    """Prints a row for each id and number of lanes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.scaling", description=__doc__)
    parser.add_argument("ids", nargs="*", metavar="ID", help=f"default {' '.join(IDS)}")
    parser.add_argument("--lanes", type=int, nargs="+", default=(64, 512), help="default 64 512")
    parser.add_argument("--threads", type=int, default=lanes.get_num_threads(), help="default one for each processor")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each row (default 8)")
    options = parser.parse_args()
    if options.threads < 2:
        parser.error("--threads must be at least 2")
    os.environ["REGENV_PREPARE"] = "0"
    print(f"regenv {regenv.__version__}, {os.cpu_count()} processors")
    print(f"| id | lanes | steps/s, 1 thread | {options.threads} threads | ratio | serial, measured | by Amdahl |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for env_id in options.ids or IDS:
        for count in options.lanes:
            found = measure(env_id, count, options.threads, options.seconds)
            rates = f"{1 / found.single:,.0f} | {1 / found.several:,.0f} | {found.single / found.several:.2f}"
            serial = f"{found.outside:.1%} | {found.serial(options.threads):.1%}"
            print(f"| {env_id} | {count} | {rates} | {serial} |", flush=True)


if __name__ == "__main__":
    main()
