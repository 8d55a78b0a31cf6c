"""Measures the constants of environments: reward scales, what the oracle reaches, steps a second.

    python -m benchmarks.tools.calibrate CTCBCT-Rigid-v0 --episodes 48 --write

A scale is 10 over the median gain from a start to the truth (of a deformation: to the best of its model), over as many
training subjects as episodes, so that a median start is worth 10; a reward that does not gain from three quarters of
the starts has none. The oracle takes greedy steps on the true error until no action brings it nearer. ``--write`` puts
the numbers into ``regenv/calibration.json``, from where the environments take them.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
import typer
from numpy.typing import NDArray

import regenv
from agents.oracle import Oracle
from regenv.agent import play
from regenv.catalogue import TASKS
from regenv.core.similarity import SIMILARITIES
from regenv.envs.rewards import PRIVILEGED_REWARDS
from regenv.errors import DataError
from regenv.files import write_atomically
from regenv.poses import pose_model

FILE = Path(regenv.__file__).with_name("calibration.json")


GAINING = 0.75
"""Share of the starts from which the way to the truth has to gain, for a reward to have a scale."""


def subject(env_id: str, number: int) -> dict[str, str]:
    """Options that pin a training subject: by themselves all first episodes are of the first one."""
    return {"pair": TASKS[env_id].dataset("phantom", "train").ids[number]}


def gains(env_id: str, reward: str, episodes: int) -> NDArray[np.float64]:
    """What the whole way from the start to the truth pays at scale 1, of each episode."""
    env = gym.make(env_id, reward=reward, reward_scale=1.0)
    values = []
    for seed in range(episodes):
        env.reset(seed=seed, options=subject(env_id, seed))
        truth, begin, before = env.unwrapped.truth(), env.unwrapped.get_state(), env.unwrapped.potential
        env.unwrapped.set_state({**begin, "transform": truth})
        values.append(env.unwrapped.potential - before)
    return np.array(values)


def reward_scales(env_id: str, episodes: int) -> dict[str, float]:
    """The scale of every reward that gains from most starts on the way to the truth; prints what it sees."""
    scales = {}
    for name in (*SIMILARITIES, *PRIVILEGED_REWARDS):
        try:
            gain = gains(env_id, name, episodes)
        except DataError as error:
            print(f"  {name}: {error}")
            continue
        median = float(np.median(gain))
        print(f"  {name}: median gain {median:.4g}, negative in {np.mean(gain < 0):.0%}")
        if np.mean(gain > 0) >= GAINING:
            scales[name] = float(f"{10 / median:.2g}")
    return scales


def oracle(env_id: str, episodes: int) -> dict[str, float]:
    """What greedy steps on the true error reach, and in how many steps."""
    env = gym.make(env_id, horizon=1000)
    starts, errors, lengths = [], [], []
    for seed in range(episodes):
        played = play(Oracle(), env, seed=seed, options=subject(env_id, seed))
        starts.append(played.first["tre"])
        errors.append(played.last["tre"])
        lengths.append(len(played.actions) - played.terminated)
    success = np.mean(np.array(errors) < TASKS[env_id].success_mm)
    return {
        "start_median": round(float(np.median(starts)), 2),
        "tre_median": round(float(np.median(errors)), 2),
        "tre_95": round(float(np.percentile(errors, 95)), 2),
        "steps_median": round(float(np.median(lengths))),
        "steps_95": round(float(np.percentile(lengths, 95))),
        "success": round(float(success), 2),
        "start_success": round(float(np.mean(np.array(starts) < TASKS[env_id].success_mm)), 2),
    }


def outside(env_id: str, episodes: int) -> dict[str, float]:
    """Of a deformation: median TRE on the validation split before, and at the best coefficients of the model."""
    env = gym.make(env_id, split="validation")
    given, best = [], []
    for seed in range(episodes):
        _, info = env.reset(seed=seed)
        options = {"pair": info["pair_id"]}
        for errors, state in ((best, env.unwrapped.truth()), (given, np.zeros_like(info["transform"]))):
            errors.append(env.reset(options={**options, "start": state})[1]["tre"])
    return {"given_median": round(float(np.median(given)), 2), "outside_median": round(float(np.median(best)), 2)}


def steps_per_second(env_id: str, seconds: float = 1.0) -> float:
    """Steps a second of one environment with its defaults, observation and reward included; the best of five runs."""
    env = gym.make(env_id, horizon=1_000_000, disable_env_checker=True)
    pair = {"pair": env.reset(seed=0)[1]["pair_id"]}
    actions = np.random.default_rng(0).integers(env.action_space.n - 1, size=64)
    best = 0.0
    for _ in range(5):
        env.reset(seed=0, options=pair)
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds / 5:
            env.step(actions[count % len(actions)])
            count += 1
        best = max(best, count / (time.perf_counter() - began))
    return float(f"{best:.2g}")


def main(
    env_ids: Annotated[list[str] | None, typer.Argument(help="ids of environments; default all")] = None,
    episodes: Annotated[int, typer.Option(help="starts, one of each training subject from the first on")] = 24,
    speed_only: Annotated[bool, typer.Option(help="measure only steps a second")] = False,
    write: Annotated[bool, typer.Option(help="put the numbers into regenv/calibration.json")] = False,
) -> None:
    """Prints the reward scales of every similarity, the oracle's floor and path length, and steps a second."""
    for env_id in env_ids or list(TASKS):
        print(f"regenv {regenv.__version__}, {env_id}, {episodes} training subjects", flush=True)
        measured: dict[str, Any] = {}
        if not speed_only:
            measured = {"reward_scales": reward_scales(env_id, episodes), "oracle": oracle(env_id, episodes)}
            if pose_model(TASKS[env_id].model).needs_population:
                measured["model"] = outside(env_id, episodes)
        measured["steps_per_second"] = steps_per_second(env_id)
        print(f"  {json.dumps(measured)}", flush=True)
        if write:
            known = json.loads(FILE.read_text())
            known[env_id] = {**known.get(env_id, {}), **measured}
            write_atomically(FILE, (json.dumps(dict(sorted(known.items())), indent=1) + "\n").encode())


if __name__ == "__main__":
    typer.run(main)
