"""Trains SB3's DQN: ``python -m agents.dqn.train --out runs/dqn --steps 200000 --seed 0 [--resume]``.

A run's folder holds ``checkpoint.zip`` (networks, optimiser and step count; with ``--keep-buffer`` also
``replay_buffer.pkl``, a few GB), ``progress.jsonl``, ``run.json`` (hyperparameters and seed), and at the end
``weights.safetensors`` and ``policy.onnx``. Ctrl-C writes a checkpoint; ``--resume`` goes on from the last one: without
the kept buffer it first fills a new one with the agent's own actions.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents.dqn.config import DQNConfig, dqn_config
from agents.dqn.network import from_sb3, save_weights
from agents.dqn.pairs import MorePairs
from agents.dqn.policy_file import policy_metadata, save_policy
from regenv.catalogue import get_task
from regenv.data.dataset import Dataset, prefetch
from regenv.errors import require
from regenv.evaluation.cases import generator_of
from regenv.files import write_atomically

WEIGHTS = "weights.safetensors"
POLICY = "policy.onnx"


def train(
    out: Path | str,
    total_steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    *,
    progress: bool = True,
    resume: bool = False,
    keep_buffer: bool = False,
    threads: int = 1,
    dataset: str | Dataset = "phantom",
    **overrides: Any,
) -> Path:
    """Trains and exports.

    Args:
        out: Folder of the run; made if missing.
        total_steps: Transitions; None for the file's.
        minutes: The run ends after this long, whatever the steps.
        seed: Of networks, exploration and environment.
        progress: Whether to show a progress bar.
        resume: Go on from the run's last checkpoint.
        keep_buffer: Checkpoints hold the replay buffer.
        threads: Of torch and of the environment.
        dataset: Name of the data set whose training split is trained on, or a data set.
        **overrides: Fields of :class:`~agents.dqn.config.DQNConfig`.

    Returns:
        The policy file, for ``regenv evaluate --agent``; the weight file lies beside it.

    Raises:
        FileExistsError: If the folder holds a run and ``resume`` is not asked for.
        FileNotFoundError: If there is nothing to resume.
        KeyboardInterrupt: After Ctrl-C, with a checkpoint written.
    """
    folder = Path(out)
    config = dqn_config(total_steps=total_steps, **overrides)
    torch = require("torch", "agents")
    torch.set_num_threads(threads)
    from agents.dqn.monitor import CHECKPOINT, RunMonitor, minutes_trained

    _prepare(folder, config, seed, resume, CHECKPOINT)
    pairs = MorePairs(_training_split(config.env_id, dataset), config.pairs, config.base_pairs)
    prefetch(pairs, limit=pairs.base)
    with _progress_bar(f"DQN on {config.env_id}", progress) as show:
        model = _model(config, pairs, folder, seed, resume, threads)
        monitor = RunMonitor(folder, config, minutes, show, keep_buffer=keep_buffer)
        try:
            left = config.total_steps - model.num_timesteps
            if left > 0:
                model.learn(left, callback=monitor, reset_num_timesteps=not resume, log_interval=None)
        except KeyboardInterrupt:
            monitor.checkpoint()
            raise
        monitor.init_callback(model)
        monitor.checkpoint()
    model.get_env().close()
    training_data = f"{generator_of(pairs)}, {pairs.base} pairs of the train split in {len(pairs.ids)} variations"
    return _export(model, config, folder, seed, minutes_trained(folder), training_data)


def _training_split(env_id: str, dataset: str | Dataset) -> Dataset:
    return get_task(env_id).dataset(dataset) if isinstance(dataset, str) else dataset


def _prepare(folder: Path, config: DQNConfig, seed: int, resume: bool, checkpoint: str) -> None:
    """Makes the run's folder, or checks that what is there is the run to go on with."""
    own = asdict(config)
    if resume:
        if not (folder / checkpoint).is_file():
            raise FileNotFoundError(f"nothing to resume in {folder}: it holds no {checkpoint}; leave out --resume")
        before = json.loads((folder / "run.json").read_text())
        changed = {key for key in ("env_id", "learning_rate", "gamma") if before["config"].get(key) != own[key]}
        if changed or before["seed"] != seed:
            different = ", ".join(sorted(changed)) or "seed"
            raise ValueError(f"{folder} was begun with another {different}; use the same, or another --out")
    elif (folder / checkpoint).exists():
        raise FileExistsError(f"{folder} already holds a run: go on with --resume, or choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "run.json", (json.dumps({"seed": seed, "config": own}, indent=1) + "\n").encode())


def _model(config: DQNConfig, pairs: Dataset, folder: Path, seed: int, resume: bool, threads: int) -> Any:
    """SB3's DQN on the batched environment, new or from the checkpoint."""
    sb3 = require("stable_baselines3", "agents")
    from agents.dqn.monitor import CHECKPOINT, REPLAY
    from regenv.adapters.sb3 import make_vec_env

    venv = make_vec_env(config.env_id, config.num_envs, dataset=pairs, threads=threads)
    if not resume:
        return sb3.DQN("CnnPolicy", venv, train_freq=1, seed=seed, device="cpu", **config.for_sb3())
    model = sb3.DQN.load(folder / CHECKPOINT, env=venv, device="cpu")
    # Other episodes than the run began with, and the same ones each time that this checkpoint is resumed.
    model.set_random_seed(seed + model.num_timesteps)
    if (folder / REPLAY).is_file():
        model.load_replay_buffer(folder / REPLAY)
    else:
        model.learning_starts = 0  # SB3 acts at random before it; a resumed agent fills its buffer by its own actions
        model.gradient_steps = 0  # until the monitor sees that the buffer holds enough
    return model


def _export(model: Any, config: DQNConfig, folder: Path, seed: int, minutes: float, training_data: str) -> Path:
    """Writes the weight file and the policy file of a trained model."""
    import regenv

    network = from_sb3(model.q_net)
    shape = model.observation_space.shape
    metadata = {
        "env_id": config.env_id,
        "env_kwargs": {},
        "channels": shape[0],
        "size": shape[1],
        "actions": int(model.action_space.n),
        "seed": seed,
        "steps": int(model.num_timesteps),
        "minutes": round(minutes, 1),
        "training_data": training_data,
        "config": asdict(config),
        "regenv": regenv.__version__,
    }
    save_weights(network, folder / WEIGHTS, metadata)
    save_policy(network, folder / POLICY, shape, policy_metadata("dqn", metadata))
    return folder / POLICY


@contextlib.contextmanager
def _progress_bar(title: str, wanted: bool, seconds: float = 20.0) -> Iterator[Callable[[float, str], None]]:
    """Gives a function that takes the share done and a line; a bar on a terminal, now and then a line elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[text]}"))
    last, terminal = 0.0, sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=not (wanted and terminal)) as bar:
        task = bar.add_task(title, total=1.0, text="")

        def show(done: float, text: str) -> None:
            nonlocal last
            bar.update(task, completed=done, text=text)
            if wanted and not terminal and time.monotonic() - last > seconds:
                last = time.monotonic()
                print(f"{title}: {100 * done:.0f} %, {text}", file=sys.stderr, flush=True)

        yield show


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m agents.dqn.train", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--steps", dest="total_steps", type=int, help="transitions (default: those of dqn.toml)")
    parser.add_argument("--minutes", type=float, help="end after this long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--keep-buffer", action="store_true", help="checkpoints hold the replay buffer (GB)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--env", dest="env_id", help="the environment's id (default: that of dqn.toml)")
    parser.add_argument("--dataset", default="phantom")
    chosen = parser.parse_args(arguments)
    try:
        policy = train(**vars(chosen))
    except KeyboardInterrupt:
        print(f"\nstopped; {chosen.out} holds a checkpoint: go on with the same command and --resume", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"policy file {policy}\nweights {policy.with_name(WEIGHTS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
