"""How many training subjects an agent needs: one agent, one budget, trained on few subjects, more, and without end.

    python -m benchmarks.generalisation --env ID --out runs/generalisation [--preset quick] [--steps N] [--seeds 0 1]

Trains PQN once for each number of subjects and seed, and measures the final policy on episodes of the subjects that it
was trained on, and on as many of the same kind that no run comes to. Nothing else differs between the runs. Finished
runs are kept, and one that was interrupted goes on. Writes ``generalisation.json`` and ``generalisation.md``, and
prints the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.common.measure import measure
from agents.common.run import CHECKPOINT
from agents.pqn.agent import PQNAgent
from agents.pqn.config import config_for
from agents.pqn.train import WEIGHTS, train
from regenv.files import write_atomically

SUBJECTS = (8, 24, 100, 500, None)
"""Training subjects of each run; None is without end."""

SEEN = 100
"""Of more subjects, the first so many are measured on: a run without end has seen them all."""

UNSEEN = 1_000_000
"""Number of the first of as many training subjects that no run comes to. The validation split has too few for a gap."""

RESULT = "generalisation.json"
TABLE = "generalisation.md"


def one(
    out: Path, env_id: str, subjects: int | None, seed: int, steps: int | None, episodes: int, preset: str | None
) -> dict[str, Any]:
    """Trains and measures one agent, or takes what an earlier call found.

    Args:
        out: Folder of all runs.
        env_id: The environment.
        subjects: How many it is trained on; None for no end.
        seed: Of the run.
        steps: Environment steps of the run; None for the id's own number.
        episodes: Measured on each kind of subjects.
        preset: Of PQN's hyperparameters; None for the id's own.
    """
    folder = out / f"subjects-{subjects or 'endless'}-seed-{seed}"
    result = folder / "result.json"
    if result.is_file():
        known: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return known
    limit = {} if subjects is None else {"subjects": subjects}
    keywords = {**config_for(env_id, preset=preset).training_kwargs, **limit}
    if not (folder / WEIGHTS).is_file():
        resume = (folder / CHECKPOINT).is_file()
        train(folder, env_id, preset=preset, seed=seed, resume=resume, total_steps=steps, training_kwargs=keywords)
    agent = PQNAgent(folder / WEIGHTS)
    found = {
        "subjects": subjects,
        "seed": seed,
        "steps": agent.metadata["steps"],
        "trained": measure(agent, env_id, episodes, split="train", subjects=min(subjects or SEEN, SEEN)),
        "unseen": measure(agent, env_id, episodes, split="train", subjects=SEEN, first=UNSEEN),
    }
    write_atomically(result, (json.dumps(found, indent=1) + "\n").encode())
    return found


def table(env_id: str, results: Sequence[dict[str, Any]], command: str) -> str:
    """The Markdown table: a row for each number of subjects, means over seeds."""
    first = results[0]
    seeds = sorted({r["seed"] for r in results})
    lines = [
        f"PQN on `{env_id}`, {first['steps']:,} steps, {first['unseen']['episodes']} episodes of each kind, seeds "
        f"{', '.join(map(str, seeds))}: `{command}`",
        "",
        "| training subjects | trained on: < 2 / < 5 mm, median | unseen: < 2 / < 5 mm, median | gap at 5 mm |",
        "| --- | --- | --- | --- |",
    ]
    for subjects in dict.fromkeys(r["subjects"] for r in results):
        same = [r for r in results if r["subjects"] == subjects]
        trained, unseen = ([_summary(r[kind]) for r in same] for kind in ("trained", "unseen"))
        gap = np.mean([t[1] - u[1] for t, u in zip(trained, unseen, strict=True)])
        lines.append(f"| {subjects or 'endless'} | {_cell(trained)} | {_cell(unseen)} | {gap:.1f} points |")
    return "\n".join(lines) + "\n"


def _summary(result: dict[str, Any]) -> tuple[float, float, float]:
    """Share under 2 and 5 mm in %, and the median TRE."""
    return 100 * result["success"]["2"], 100 * result["success"]["5"], result["tre_mm"][1]


def _cell(rows: Sequence[tuple[float, float, float]]) -> str:
    two, five, median = np.mean(rows, axis=0)
    return f"{two:.1f} / {five:.1f} %, {median:.2f} mm"


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generalisation", description=__doc__.split("\n\n")[0])
    parser.add_argument("--env", default="CTMR-Similarity2D-v0", help="the environment's id")
    parser.add_argument("--out", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--preset", help="of PQN's hyperparameters (default: the id's own)")
    parser.add_argument("--steps", type=int, help="steps of each run (default: the id's)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--episodes", type=int, default=200, help="measured on each kind of subjects")
    chosen = parser.parse_args(arguments)
    results = []
    try:
        for subjects in SUBJECTS:
            for seed in chosen.seeds:
                found = one(chosen.out, chosen.env, subjects, seed, chosen.steps, chosen.episodes, chosen.preset)
                results.append(found)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    more = [f"--preset {chosen.preset}"] if chosen.preset else []
    more += [f"--steps {chosen.steps}"] if chosen.steps else []
    more += [f"--seeds {' '.join(map(str, chosen.seeds))}"] if chosen.seeds != [0] else []
    text = table(chosen.env, results, " ".join([f"python -m benchmarks.generalisation --env {chosen.env}", *more]))
    write_atomically(chosen.out / RESULT, (json.dumps(results, indent=1) + "\n").encode())
    write_atomically(chosen.out / TABLE, text.encode())
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
