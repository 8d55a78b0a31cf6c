"""Trains the greedy supervised agent.

``python -m agents.greedy_supervised.train --out runs/gs --minutes 45`` (two cores: one learns, one makes data);
``--resume`` goes on where a run was cut off. No environment is stepped: the values of all actions are known from
the true
residual motion (Liao et al. 2017), so any pair in any pose is an example, and every example teaches every action.

Writes to the folder: ``checkpoint.safetensors`` (all that is needed to go on), ``weights-MMM.safetensors``
(averaged weights after MMM minutes), ``final.safetensors``, ``log.jsonl`` (losses over time).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from agents.greedy_supervised.config import Config, TrainingConfig
from agents.greedy_supervised.data import Batch, batches
from agents.greedy_supervised.losses import losses, total
from agents.greedy_supervised.network import Matcher
from agents.greedy_supervised.pool import load_pool
from regenv.files import written_whole

WARM_UP = 100
"""Batches over which the learning rate rises."""

SAVE_SECONDS = 150.0


class Trainer:
    """Network, running average, optimiser, and how far it is.

    Attributes:
        config: Hyperparameters.
        model: What learns.
        average: Running average of its weights, which is what is kept.
        step: Batches so far.
        seconds: Time so far, the runs before a resumption included.
    """

    def __init__(self, config: Config) -> None:
        self.config, self.step, self.seconds = config, 0, 0.0
        training = config.training
        torch.manual_seed(training.seed)
        self.model, self.average = Matcher(config.network), Matcher(config.network)
        self.average.load_state_dict(self.model.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, betas=(0.9, 0.98)
        )
        self.generator = torch.Generator().manual_seed(training.seed)

    def start_from(self, weights: Path) -> None:
        """Takes the weights of an earlier run."""
        for model in (self.model, self.average):
            model.load_state_dict(load_file(weights))

    def learn(self, batch: Batch) -> dict[str, float]:
        """One step; the parts of the loss."""
        training = self.config.training
        rate = learning_rate(training, self.step, self.seconds)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        parts = losses(self.model, batch, self.generator)
        loss = total(parts)
        self.optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(norm):  # a degenerate pair must not spoil the weights
            self.optimiser.step()
        self.step += 1
        keep = min(training.average, self.step / (self.step + 10))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.model.parameters(), strict=True):
                kept.lerp_(new, 1 - keep)
        return {name: value.item() for name, value in parts.items()} | {"learning_rate": rate}

    def save(self, path: Path) -> None:
        """Writes everything, atomically."""
        tensors: dict[str, Tensor] = {}
        for prefix, model in (("model", self.model), ("average", self.average)):
            tensors |= {f"{prefix}.{name}": value for name, value in model.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value.contiguous() for name, value in state.items()}
        write(path, tensors, {"step": str(self.step), "seconds": str(self.seconds)})

    def resume(self, path: Path) -> None:
        """Goes on from :meth:`save`."""
        tensors = load_file(path)
        with safe_open(path, framework="pt") as file:
            known = file.metadata()
        self.step, self.seconds = int(known["step"]), float(known["seconds"])
        for prefix, model in (("model", self.model), ("average", self.average)):
            model.load_state_dict({k[len(prefix) + 1 :]: v for k, v in tensors.items() if k.startswith(f"{prefix}.")})
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, index, name = key.split(".")
                state.setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state})


def learning_rate(training: TrainingConfig, step: int, seconds: float) -> float:
    """Rises over the first batches, then falls to a fiftieth along a cosine of the time."""
    done = min(1.0, seconds / 60 / training.minutes)
    return training.learning_rate * min(1.0, (step + 1) / WARM_UP) * (0.02 + 0.49 * (1 + math.cos(math.pi * done)))


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """A safetensors file, whole or not at all.

    Raises:
        OSError: If the disk is full; what was there before is kept.
    """
    try:
        with written_whole(path) as beside:
            save_file(tensors, beside, metadata)
    except Exception as error:
        raise OSError(f"{path} could not be written ({error}); free some space and go on with --resume") from error


def train(config: Config, out: Path, *, resume: bool, workers: int, start: Path | None = None) -> None:
    """Runs until the configured time is spent; saves now and then, and on Ctrl-C."""
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config)
    if resume:
        trainer.resume(out / "checkpoint.safetensors")
    elif start is not None:
        trainer.start_from(start)
    training = config.training
    pool = load_pool(training.anatomies, training.torsos)
    # another stream after a resumption: the examples already seen need not be made again
    stream = batches(pool, training.seed * 7919 + trainer.step, training.batch, workers)
    last_save = last_line = clock = time.perf_counter()
    mean: dict[str, float] = {}
    try:
        for batch in stream:
            parts = trainer.learn(batch)
            mean = {name: 0.98 * mean.get(name, value) + 0.02 * value for name, value in parts.items()}
            now = time.perf_counter()
            trainer.seconds += now - clock
            clock = now
            finished = trainer.seconds >= 60 * training.minutes
            if now - last_line > 30 or finished:
                last_line = now
                report(out, trainer, mean)
            if now - last_save > SAVE_SECONDS or finished:
                last_save = now
                trainer.save(out / "checkpoint.safetensors")
                write(out / f"weights-{trainer.seconds / 60:05.1f}.safetensors", trainer.average.state_dict())
            if finished:
                break
    except KeyboardInterrupt:
        trainer.save(out / "checkpoint.safetensors")
        raise SystemExit(f"stopped after {trainer.step} batches; --resume goes on from {out}") from None
    write(out / "final.safetensors", trainer.average.state_dict())


def report(out: Path, trainer: Trainer, mean: dict[str, float]) -> None:
    """A line on the terminal and in the log."""
    minutes = trainer.seconds / 60
    with open(out / "log.jsonl", "a") as log:
        log.write(json.dumps({"minutes": round(minutes, 2), "step": trainer.step, **mean}) + "\n")
    shown = " ".join(f"{name} {value:.3g}" for name, value in mean.items())
    print(f"{minutes:6.1f} of {trainer.config.training.minutes:g} min, batch {trainer.step}: {shown}", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and log")
    parser.add_argument("--minutes", type=float, default=None, help="default: of the configuration")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    parser.add_argument("--start", type=Path, default=None, help="weights of an earlier run to begin with")
    parser.add_argument("--rate", type=float, default=None, help="learning rate; default: of the configuration")
    parser.add_argument("--seed", type=int, default=None, help="default: of the configuration")
    parser.add_argument("--config", type=Path, default=None, help="default: the agent's config.toml")
    parser.add_argument("--workers", type=int, default=1, help="processes that make data")
    parser.add_argument("--threads", type=int, default=1, help="threads that learn")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = Config.load(args.config).with_training(minutes=args.minutes, learning_rate=args.rate, seed=args.seed)
    train(config, args.out, resume=args.resume, workers=args.workers, start=args.start)


if __name__ == "__main__":
    main()
