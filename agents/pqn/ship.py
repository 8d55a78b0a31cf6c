"""Measures a trained run on held-out subjects and ships it: weights with their result, and a card beside them.

``python -m agents.pqn.ship --run runs/pqn`` writes ``agents/weights/pqn_<id>.safetensors`` and its ``.md``; of a seed
other than 0 the names end in it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.common.measure import measure, result_table
from agents.pqn.agent import PQNAgent, save, shipped
from agents.pqn.train import WEIGHTS
from regenv.data.dataset import Dataset
from regenv.files import write_atomically


def card(weights: Path, metadata: Mapping[str, Any]) -> str:
    """The card, in Markdown, from a weight file's metadata."""
    result, env_id, seed = metadata["result"], metadata["env_id"], metadata["seed"]
    agent = f"agents.pqn:{shipped(env_id).stem.removeprefix('pqn_')}"
    hyperparameters = "\n".join(f"| {key} | {value} |" for key, value in metadata["config"].items())
    note = f"- {metadata['note']}\n" if metadata["note"] else ""
    return f"""# PQN on {env_id}

Parallelised Q-learning (Gallici et al., ICLR 2025): learned from the gain in similarity alone, on procedural images.
The true transform was used neither in training nor to choose the weights, which are the last ones. Not meant for
patients.

- Weights: `{weights.name}` (run as `--agent {agent} --seed {seed}`)
- Trained on: {metadata["training_data"]}
- Command: `{metadata["command"]}`: {metadata["steps"]:,} steps in {metadata["minutes"]:g} minutes
- Seed: {seed}
{note}
## Result

{result["episodes"]} episodes on the validation split (subjects that were not trained on), reset with the seeds 0 to
{result["episodes"] - 1}. Command: `python -m agents.pqn.ship --run RUN --episodes {result["episodes"]}`.

{result_table(result)}

## Hyperparameters

| name | value |
| --- | --- |
{hyperparameters}
"""


def ship(
    run: Path,
    weights: Path | None = None,
    episodes: int = 200,
    note: str = "",
    dataset: str | Dataset = "phantom",
) -> Path:
    """Measures a run and writes weights and card.

    Args:
        run: Folder of a finished run.
        weights: Where the weights go; the card lies beside them. None for where they ship.
        episodes: On the validation split.
        note: What else the card should say of the run.
        dataset: Whose validation split, or a data set.

    Returns:
        The card.
    """
    agent = PQNAgent(run / WEIGHTS)
    metadata = {**agent.metadata, "note": note}
    metadata["result"] = measure(agent, metadata["env_id"], episodes, dataset=dataset)
    weights = weights or shipped(metadata["env_id"], metadata["seed"])
    save(agent.network, weights, metadata)
    path = weights.with_suffix(".md")
    write_atomically(path, card(weights, metadata).encode())
    return path


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m agents.pqn.ship", description=__doc__.split("\n\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--weights", type=Path, help="where the weights go (default: where the id's ship)")
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--note", default="", help="what else the card should say of the run")
    chosen = parser.parse_args(arguments)
    try:
        path = ship(chosen.run, chosen.weights, chosen.episodes, chosen.note)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(path.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
