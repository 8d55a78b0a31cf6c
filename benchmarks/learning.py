"""The demo's training: an untrained network and what it becomes in a minute, on the same unseen subjects."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.curve import live_curve
from benchmarks.pictures import side_by_side, thinned
from benchmarks.report import Learning
from regenv.agent import Played, play
from regenv.data.dataset import Dataset

if TYPE_CHECKING:
    from agents.pqn import PQNAgent

ENV_ID = "CTMR-Similarity2D-v0"
PRESET = "quick"
SEED = 0
STARTS = 64
FILM = "before_after.gif"


def learn(
    folder: Path,
    *,
    starts: int = STARTS,
    dataset: str | Dataset = "phantom",
    unseen: str | Dataset = "phantom",
    **overrides: Any,
) -> Learning:
    """Trains an agent, measures it before and after, and films both.

    Args:
        folder: Of the run; what an earlier demo left there is removed.
        starts: How many it is measured on.
        dataset: Whose training split it learns from, or a data set.
        unseen: Whose validation split it is measured on, or a data set.
        **overrides: Hyperparameters; None leaves the preset's.

    Returns:
        What the page shows of it.
    """
    from agents.common.measure import played, summary
    from agents.common.run import LOG
    from agents.pqn import PQNAgent
    from agents.pqn.config import config_for
    from agents.pqn.train import WEIGHTS, train
    from regenv.cli.episode import save_pictures

    if folder.exists():
        shutil.rmtree(folder)
    total = config_for(ENV_ID, preset=PRESET, **overrides).total_steps
    untrained = untrained_agent(folder / "untrained.safetensors", dataset, **overrides)
    before = played(untrained, ENV_ID, starts, dataset=unseen)
    with live_curve(total, float(np.median([episode.first["tre"] for episode in before]))) as watch:
        train(folder, ENV_ID, preset=PRESET, seed=SEED, dataset=dataset, progress=False, watch=watch, **overrides)
    trained = PQNAgent(folder / WEIGHTS, "trained")
    after = played(trained, ENV_ID, starts, dataset=unseen)
    log = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
    seed = median_seed(after)
    first = after[seed].first
    frames = [film(agent, seed, unseen) for agent in (untrained, trained)]
    save_pictures(thinned(before_and_after(*frames, steps=log[-1]["steps"])), folder / FILM, fps=5.0)
    return Learning(
        env_id=ENV_ID,
        steps=log[-1]["steps"],
        seconds=60 * log[-1]["minutes"],
        curve=[(line["steps"], line["tre_mm"]) for line in log if "tre_mm" in line],
        before=summary(before),
        after=summary(after),
        film=(folder / FILM).read_bytes(),
        case=f"{first['pair_id']}, {first['tre']:.1f} mm off",
    )


def untrained_agent(path: Path, dataset: str | Dataset = "phantom", **overrides: Any) -> PQNAgent:
    """The network that the training starts from, as an agent; ``path`` is where its weights go."""
    import gymnasium as gym
    import torch

    import regenv  # noqa: F401  (registers the environments)
    from agents.pqn import PQNAgent
    from agents.pqn.agent import save
    from agents.pqn.config import config_for
    from agents.pqn.network import QNetwork
    from agents.pqn.train import network_config

    config = config_for(ENV_ID, preset=PRESET, **overrides)
    envs: Any = gym.make_vec(ENV_ID, 1, dataset=dataset, **config.env_kwargs).unwrapped
    torch.manual_seed(SEED)
    network = QNetwork(network_config(config, envs))
    envs.close()
    metadata = {"env_id": ENV_ID, "env_kwargs": dict(config.env_kwargs), "seed": SEED, "steps": 0}
    save(network, path, {**metadata, "training_data": "none"})
    return PQNAgent(path, "untrained")


def median_seed(episodes: Sequence[Played]) -> int:
    """The episode, by its seed, of the median final error: neither the best nor the worst."""
    return int(np.argsort([episode.last["tre"] for episode in episodes])[len(episodes) // 2])


def film(agent: PQNAgent, seed: int, dataset: str | Dataset = "phantom") -> list[NDArray[np.uint8]]:
    """Pictures of the agent's episode of a seed on the validation split, from the start to the end."""
    import gymnasium as gym

    env = gym.make(ENV_ID, render_mode="rgb_array", split="validation", dataset=dataset, **agent.env_kwargs)
    frames: list[NDArray[np.uint8]] = []
    play(agent, env, seed=seed, watch=lambda shown: frames.append(shown.render()))
    env.close()
    return frames


def before_and_after(
    before: Sequence[NDArray[np.uint8]], after: Sequence[NDArray[np.uint8]], steps: int
) -> list[NDArray[np.uint8]]:
    """Two episodes under each other, to the end of the second; the shorter one rests on its last picture."""
    return [
        side_by_side(
            [
                ("Before training", before[min(i, len(before) - 1)]),
                (f"After {steps:,} steps of training", picture),
            ]
        )
        for i, picture in enumerate(after)
    ]


def print_result(learning: Learning) -> None:
    """Before and after as a table for the terminal."""
    from rich.console import Console
    from rich.table import Table

    head, *rows = learning.table()
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in head:
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    print(
        f"{learning.after['episodes']} starts of subjects it never saw, the median start {learning.start_mm:.1f} mm off"
    )
    Console().print(table)
