"""Measures a policy on real and procedural pairs.

``python -m agents.greedy_supervised.measure POLICY.onnx --pairs folder:OUT --split test --starts 200`` where
``OUT`` was written by
``python -m benchmarks.real_pairs DATA OUT``; ``--pairs phantom`` for procedural torsos. Prints a Markdown table,
with and
without refinement, and writes the errors as JSON. Development and choices use split ``validation``; the figures of
split ``test`` are taken once per trained policy and counted in its card.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import regenv  # noqa: F401  (registers the environments)
from regenv.agent import play
from regenv.alignment.align import OnePair
from regenv.alignment.refine import refine
from regenv.catalogue import get_task
from regenv.core.points import point_errors
from regenv.core.scene import Target
from regenv.data.dataset import count_of
from regenv.data.pair import ImagePair
from regenv.files import write_atomically
from regenv.imaging import get_imaging
from regenv.imaging.case import target_of
from regenv.policy import PolicyAgent
from regenv.poses import get_model

ENVIRONMENT = "CTCBCT-Rigid-v0"
THRESHOLDS = (1.0, 2.0, 5.0, 10.0)


@dataclass
class Result:
    """What one pair, or one data set, gave.

    Attributes:
        name: Of the pair or set.
        start: TRE at the start, mm, one a registration; likewise the next.
        agent: TRE where the agent stopped.
        refined: TRE after refinement.
        steps: Actions taken.
        agent_seconds: Processor time of the agent and its environment.
        refine_seconds: Of the refinement.
    """

    name: str
    start: list[float] = field(default_factory=list)
    agent: list[float] = field(default_factory=list)
    refined: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    agent_seconds: list[float] = field(default_factory=list)
    refine_seconds: list[float] = field(default_factory=list)

    def rows(self) -> list[str]:
        """Two lines of the table."""
        seconds = {"agent": np.median(self.agent_seconds)}
        seconds["agent + refinement"] = seconds["agent"] + np.median(self.refine_seconds)
        lines = []
        for label, errors in (("agent", self.agent), ("agent + refinement", self.refined)):
            e = np.asarray(errors)
            shares = " | ".join(f"{100 * np.mean(e < t):.1f}" for t in THRESHOLDS)
            spread = " / ".join(f"{v:.2f}" for v in np.percentile(e, (10, 50, 90)))
            lines.append(
                f"| {self.name} | {label} | {len(e)} | {np.median(self.start):.0f} | {shares} | {spread} "
                f"| {np.median(self.steps):.0f} | {seconds[label]:.2f} |"
            )
        return lines


COLUMNS = (
    *("pair", "method", "starts", "start TRE, median", *(f"< {t:g} mm, %" for t in THRESHOLDS)),
    *("TRE 10/50/90 %, mm", "steps, median", "seconds on one core, median"),
)
HEADER = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]


def target(pair: ImagePair) -> Target:
    """What the truth says of rigid poses: the true one, or the fit of the landmarks where only these are known."""
    found = target_of(pair, get_model("rigid", 3), get_imaging("volume").scene(pair))
    assert found is not None
    return found


def register(
    agent: PolicyAgent, pair: ImagePair, starts: list[NDArray[np.float64]], result: Result, *, refined: bool = True
) -> None:
    """Runs the agent from each start and adds to ``result``; the environment withholds the truth."""
    truth = target(pair)

    def tre(pose: NDArray[np.float64]) -> float:
        return float(point_errors(pose, truth.points, truth.partners).mean())

    env = gym.make(ENVIRONMENT, split="test", dataset=OnePair(pair.without_truth()), **agent.env_kwargs)
    for start in starts:
        clock = time.process_time()
        played = play(agent, env, options={"pair": "0", "start": start})
        pose = played.last["transform"]
        middle = time.process_time()
        final, _ = refine(pair.fixed, pair.moving, pose) if refined else (pose, 0.0)
        result.refine_seconds.append(time.process_time() - middle)
        result.agent_seconds.append(middle - clock)
        result.start.append(tre(start))
        result.agent.append(tre(pose))
        result.refined.append(tre(final))
        result.steps.append(len(played.actions))
    env.close()


def draw_starts(
    pair: ImagePair, count: int, degrees: float, millimetres: float, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """The truth composed with misalignments uniform in each degree of freedom."""
    model = get_model("rigid", 3)
    c = rng.uniform(-1, 1, (count, 6)) * np.repeat([millimetres, degrees], 3)
    frame, truth = pair.fixed.grid.frame, target(pair).pose
    return list(truth @ frame @ model.exp(c) @ np.linalg.inv(frame))


def measure(policy: Path, args: argparse.Namespace) -> list[Result]:
    """One result a pair, or one for all of an embedded data set."""
    agent = PolicyAgent(policy)
    rng = np.random.default_rng(args.seed)
    dataset = get_task(ENVIRONMENT).dataset(args.pairs, args.split)
    results = []
    if args.pairs.startswith("folder:"):
        for index, name in enumerate(dataset.ids[i] for i in range(count_of(dataset))):
            if args.only and name not in args.only:
                continue
            pair = dataset.load(index)
            result = Result(name)
            starts = draw_starts(pair, args.starts, args.degrees, args.millimetres, rng)
            register(agent, pair, starts, result, refined=not args.no_refinement)
            results.append(show(result))
    else:
        result = Result(f"{args.pairs} {args.split}")
        for index in range(count_of(dataset, args.starts)):
            pair = dataset.load(index)
            starts = draw_starts(pair, 1, args.degrees, args.millimetres, rng)
            register(agent, pair, starts, result, refined=not args.no_refinement)
        results.append(show(result))
    return results


def show(result: Result) -> Result:
    """Prints its lines as they come."""
    print("\n".join(result.rows()), flush=True)
    return result


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policies", type=Path, nargs="+", help="policy files (several: over training time)")
    parser.add_argument("--pairs", required=True, help="phantom, shapes or folder:PATH")
    parser.add_argument("--split", default="validation", choices=("train", "validation", "test"))
    parser.add_argument("--only", nargs="*", default=None, help="ids of pairs of the folder")
    parser.add_argument("--starts", type=int, default=200)
    parser.add_argument("--degrees", type=float, default=20.0)
    parser.add_argument("--millimetres", type=float, default=30.0)
    parser.add_argument("--no-refinement", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="JSON of all errors")
    args = parser.parse_args()
    kept = {}
    for policy in args.policies:
        print(f"{policy.name}: +-{args.degrees:g} degrees, +-{args.millimetres:g} mm", file=sys.stderr)
        print("\n".join(HEADER), flush=True)
        kept[policy.name] = [vars(result) for result in measure(policy, args)]
        if args.out is not None:
            write_atomically(args.out, json.dumps(kept).encode())


if __name__ == "__main__":
    main()
