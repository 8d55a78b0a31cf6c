"""Measures whether the reward of an environment means registration.

    python -m benchmarks.tools.reward_meaning [ID ...] [--pairs 12] [--write]

On pairs of the validation split, with the id's defaults: how many far poses have a better potential than the truth; how
far from the truth the potential is best; how its order follows the order of the TRE; and what policies earn that do not
look at the images. ``docs/design/rewards.md`` defines each and holds the table. ``--write`` puts the numbers into
``regenv/calibration.json`` as each id is done; what is there from the same row and pairs is not measured again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from scipy.stats import spearmanr

import regenv
from benchmarks.tools.blind import checkpoints, oracle_returns, plans, returns, to_zero
from benchmarks.tools.landscape import Floats, Landscape
from regenv.actions import DiscreteActions
from regenv.catalogue import TASKS, get_task
from regenv.data.cache import progress
from regenv.files import write_atomically
from regenv.task import Task

FILE = Path(regenv.__file__).with_name("calibration.json")

FAR = 1000
"""Far poses of each pair."""

RANKED = 128
"""Starts of each pair whose order is looked at."""

STARTS = 4
"""Starts of each pair from which policies are played."""

_WORDS = ("id", "title", "description", "history")


@dataclass
class Measured:
    """What is seen of the pairs of one id; a list has an entry for each pair.

    Attributes:
        far: Share of far poses whose potential is better than the truth's.
        optimum: Distance in mm from the truth to where the potential is best (:meth:`Landscape.from_truth`).
        tre: TRE in mm there.
        floor: TRE in mm of the truth.
        rank: Spearman's correlation of potential and -TRE over starts.
        rank_way: The same over poses between a start and the truth.
        oracle: Returns of the expert ``(S,)``.
        blind: By policy and action, returns ``(S, C)`` for each of the lengths after which it may stop.
    """

    far: list[float] = field(default_factory=list)
    optimum: list[float] = field(default_factory=list)
    tre: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    rank: list[float] = field(default_factory=list)
    rank_way: list[float] = field(default_factory=list)
    oracle: list[Floats] = field(default_factory=list)
    blind: dict[tuple[str, str], list[Floats]] = field(default_factory=lambda: defaultdict(list))


def look(landscape: Landscape, pair: int, seen: Measured, far: int = FAR) -> None:
    """Measures one pair, except for policies, and adds it to what is seen."""
    rng = np.random.default_rng(pair)
    landscape.show(pair)
    (at_truth,), (floor,) = landscape.at(landscape.truth[None])
    seen.floor.append(float(floor))
    seen.far.append(float(np.mean(landscape.at(landscape.far(far, rng))[0] >= at_truth)))
    best = landscape.optimum()
    seen.optimum.append(landscape.from_truth(best))
    seen.tre.append(float(landscape.at(best[None])[1][0]))
    starts = landscape.spread(RANKED, rng)
    seen.rank.append(_rank(*landscape.at(starts)))
    seen.rank_way.append(_rank(*landscape.at(landscape.between(starts, rng))))


def play_blind(landscape: Landscape, pair: int, seen: Measured, starts: int = STARTS) -> None:
    """Plays the expert and the blind policies on one pair that is shown, and adds their returns."""
    rng = np.random.default_rng(pair)
    scheme, horizon = landscape.engine.actions, landscape.config.horizon
    assert isinstance(scheme, DiscreteActions)
    begun = landscape.starts(starts, rng)
    seen.oracle.append(oracle_returns(landscape, begun))
    made = plans(scheme, horizon, np.random.default_rng(0))
    earned = returns(landscape, np.tile(begun, (len(made), *[1] * (begun.ndim - 1))), np.repeat(made, starts).tolist())
    for plan, values in zip(made, earned.reshape(len(made), starts, -1), strict=True):
        seen.blind[plan.policy, plan.name].append(values)
    if not landscape.engine.poses.starts_about_truth:
        back = [to_zero(scheme, start, horizon) for start in begun]
        seen.blind["zero", ""].append(returns(landscape, begun, back))


def _rank(potential: Floats, tre: Floats) -> float:
    value = float(spearmanr(potential, -tre).statistic)
    return value if np.isfinite(value) else 0.0


def summary(seen: Measured, task: Task) -> dict[str, Any]:
    """The numbers of one id, as ``regenv/calibration.json`` holds them under ``"meaning"``."""
    oracle = float(np.mean(seen.oracle))
    blind = _blind(seen, task.horizon)
    half = np.array(seen.optimum) <= task.success_mm / 2
    return {
        "row": digest(task),
        "pairs": len(seen.far),
        "far": round(float(np.mean(seen.far)), 5),
        "floor_mm": _spread(seen.floor),
        "optimum_mm": _spread(seen.optimum),
        "optimum_tre_mm": _spread(seen.tre),
        "within_half": round(float(np.mean(half)), 3),
        "rank": round(float(np.mean(seen.rank)), 2),
        "rank_way": round(float(np.mean(seen.rank_way)), 2),
        "oracle_return": round(oracle, 2),
        "blind": blind,
        "blind_share": round(max(0.0, *(entry["return"] for entry in blind.values())) / oracle, 3),
    }


def _spread(values: list[float]) -> list[float]:
    """Median, 90th percentile and largest."""
    return [round(float(v), 2) for v in (*np.percentile(values, (50, 90)), max(values))]


def _blind(seen: Measured, horizon: int) -> dict[str, dict[str, Any]]:
    """By policy, the return of its best action and length in the mean over all starts, and at the horizon."""
    lengths, found = checkpoints(horizon), {}
    by_policy: dict[str, list[tuple[str, Floats]]] = defaultdict(list)
    for (policy, name), values in seen.blind.items():
        by_policy[policy].append((name, np.concatenate(values).mean(0)))
    for policy, actions in by_policy.items():
        name, means = max(actions, key=lambda one: float(one[1].max()))
        best = int(means.argmax())
        found[policy] = {
            "return": round(float(means[best]), 2),
            "steps": lengths[best],
            **({"action": name} if name else {}),
            "at_horizon": round(max(float(means[-1]) for _, means in actions), 2),
        }
    return found


def digest(task: Task) -> str:
    """Of all that the numbers of an id depend on in its row."""
    row = {name: value for name, value in asdict(task).items() if name not in _WORDS}
    scale = task.calibration.get("reward_scales", {}).get(task.similarity)
    text = json.dumps({**row, "scale": scale}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def measure(env_id: str, pairs: int, reward: str | None = None) -> dict[str, Any]:
    """The numbers of one id, with its own reward or another."""
    seen, landscape = Measured(), Landscape(env_id, reward=reward)
    with progress(f"{env_id}: reward at far poses, its optimum, blind policies", pairs) as advance:
        for pair in range(pairs):
            look(landscape, pair, seen)
            play_blind(landscape, pair, seen)
            advance()
    return summary(seen, get_task(env_id))


def main(
    env_ids: Annotated[list[str] | None, typer.Argument(help="ids of environments; default all")] = None,
    pairs: Annotated[int, typer.Option(help="pairs of the validation split, from the first")] = 12,
    reward: Annotated[str | None, typer.Option(help="another similarity to try, which is not written")] = None,
    write: Annotated[bool, typer.Option(help="put the numbers into regenv/calibration.json")] = False,
) -> None:
    """Prints what the reward of each id means."""
    for env_id in env_ids or list(TASKS):
        if reward is not None:
            print(f"{env_id}, {reward}: {json.dumps(measure(env_id, pairs, reward))}", flush=True)
            continue
        kept = json.loads(FILE.read_text()).get(env_id, {}).get("meaning", {})
        if (kept.get("row"), kept.get("pairs")) == (digest(get_task(env_id)), pairs):
            print(f"{env_id}: measured before", flush=True)
            continue
        began = time.monotonic()
        measured = measure(env_id, pairs)
        print(f"{env_id} ({time.monotonic() - began:.0f} s): {json.dumps(measured)}", flush=True)
        if write:
            known = json.loads(FILE.read_text())
            known[env_id] = {**known.get(env_id, {}), "meaning": measured}
            write_atomically(FILE, (json.dumps(dict(sorted(known.items())), indent=1) + "\n").encode())


if __name__ == "__main__":
    typer.run(main)
