"""Measures a trained run on held-out subjects and ships it: weights with their result, and a card beside them.

``python -m agents.dqn.ship --run runs/dqn`` writes ``agents/weights/dqn_ctcbct_rigid.safetensors`` and its ``.md``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from agents.dqn.agent import WEIGHTS, DQNAgent
from agents.dqn.network import load_weights, save_weights
from agents.dqn.train import WEIGHTS as RUN_WEIGHTS
from regenv.agent import play
from regenv.data.cache import progress
from regenv.files import write_atomically

THRESHOLDS_MM = (1.0, 2.0, 5.0, 10.0)


def measure(agent: DQNAgent, episodes: int, split: str = "validation") -> dict[str, Any]:
    """Plays episodes seeded 0, 1, ... on subjects that were not trained on.

    Args:
        agent: The agent.
        episodes: How many.
        split: ``"validation"``: the test split belongs to the leaderboard.

    Returns:
        ``success`` (share under 1, 2, 5, 10 mm), ``tre_mm`` (10th, 50th, 90th percentile), the same of the starts as
        ``start_tre_mm``, mean ``steps``, ``seconds`` an episode, ``stopped`` (share that ended by STOP), ``episodes``.
    """
    env = gym.make(agent.metadata["env_id"], split=split, threads=1, **agent.env_kwargs)
    played = []
    with progress(f"measuring on the {split} split", episodes) as advance:
        for seed in range(episodes):
            played.append(play(agent, env, seed=seed))
            advance()
    starts, errors = ([getattr(episode, which)["tre"] for episode in played] for which in ("first", "last"))
    return {
        "episodes": episodes,
        "success": {f"{mm:g}": float(np.mean(np.array(errors) < mm)) for mm in THRESHOLDS_MM},
        "tre_mm": np.round(np.percentile(errors, (10, 50, 90)), 2).tolist(),
        "start_tre_mm": np.round(np.percentile(starts, (10, 50, 90)), 1).tolist(),
        "steps": round(float(np.mean([len(episode.actions) for episode in played])), 1),
        "stopped": float(np.mean([episode.terminated for episode in played])),
        "seconds": round(sum(episode.seconds for episode in played) / episodes, 3),
    }


def card(metadata: Mapping[str, Any]) -> str:
    """The card, in Markdown, from a weight file's metadata."""
    result, config = metadata["result"], metadata["config"]
    success = " | ".join(f"{100 * share:.0f} %" for share in result["success"].values())
    tre, start = (" / ".join(f"{value:g}" for value in result[key]) for key in ("tre_mm", "start_tre_mm"))
    note = f"- {metadata['note']}\n" if metadata.get("note") else ""
    hyperparameters = "\n".join(f"| {key} | {value} |" for key, value in config.items())
    return f"""# DQN on {metadata["env_id"]}

Stable-baselines3's DQN as it comes: `CnnPolicy`, the environment's default observation, actions and reward. It shows
what an unmodified algorithm gets from the environment; it is neither precise nor meant for real images.

- Weights: `{WEIGHTS.name}` (half precision; run as `agents.dqn:factory`)
- Trained on: {metadata["training_data"]}, procedural images only
- Command: `python -m agents.dqn.train --out runs/dqn --seed {metadata["seed"]}`: {metadata["steps"]:,} steps in
  {metadata["minutes"]:g} minutes
- Seed: {metadata["seed"]}; one run, so this says nothing of how much seeds differ
{note}
## Result

{result["episodes"]} episodes on the validation split (subjects that were not trained on), reset with the seeds 0 to
{result["episodes"] - 1}, starts within 20 degrees and 30 mm. Command:
`python -m agents.dqn.ship --run runs/dqn --episodes {result["episodes"]}`.

| under 1 mm | 2 mm | 5 mm | 10 mm | TRE 10/50/90 % in mm | start TRE 10/50/90 % in mm | steps | ended by STOP |
| --- | --- | --- | --- | --- | --- | --- | --- |
| {success} | {tre} | {start} | {result["steps"]:g} | {100 * result["stopped"]:.0f} % |

## Hyperparameters

| name | value |
| --- | --- |
{hyperparameters}
"""


def ship(run: Path, weights: Path = WEIGHTS, episodes: int = 100, note: str = "") -> Path:
    """Measures a run and writes weights and card.

    Args:
        run: Folder of a finished run.
        weights: Where the weights go; the card lies beside them.
        episodes: On the validation split.
        note: What else the card should say of the run.

    Returns:
        The card.
    """
    network, metadata = load_weights(run / RUN_WEIGHTS)
    # What is measured is what is shipped: half precision.
    metadata["note"] = note
    metadata["result"] = measure(DQNAgent(run / RUN_WEIGHTS), episodes)
    save_weights(network, weights, metadata)
    path = weights.with_suffix(".md")
    write_atomically(path, card(metadata).encode())
    return path


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m agents.dqn.ship", description=__doc__.split("\n\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where the weights go")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--note", default="", help="what else the card should say of the run")
    try:
        path = ship(**vars(parser.parse_args(arguments)))
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(path.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
