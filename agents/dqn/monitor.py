"""What watches a training run: progress on the terminal, a log, checkpoints, and the clock."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from agents.dqn.config import DQNConfig
from regenv.errors import require
from regenv.files import write_atomically, written_whole

_callbacks: Any = require("stable_baselines3.common.callbacks", "agents")

CHECKPOINT = "checkpoint.zip"
REPLAY = "replay_buffer.pkl"
LOG = "progress.jsonl"


def minutes_trained(out: Path) -> float:
    """Minutes of training in a run's log, over all its resumptions."""
    total = last = 0.0
    for line in (out / LOG).read_text(encoding="utf-8").splitlines():
        minutes = json.loads(line)["minutes"]
        total += last if minutes < last else 0.0  # the clock begins anew where a run is resumed
        last = minutes
    return total + last


class RunMonitor(_callbacks.BaseCallback):
    """Watches one run.

    Args:
        out: The run's folder.
        config: The run's hyperparameters.
        minutes: The run ends after this long; None for no limit.
        show: Called with (share done, a line of text); None for silence.
        checkpoint_seconds: Time between checkpoints.
        keep_buffer: Whether checkpoints hold the replay buffer.
    """

    def __init__(
        self,
        out: Path,
        config: DQNConfig,
        minutes: float | None = None,
        show: Callable[[float, str], None] | None = None,
        checkpoint_seconds: float = 120.0,
        keep_buffer: bool = False,
    ) -> None:
        super().__init__()
        self.out = out
        self.config = config
        self.minutes = minutes
        self.show = show
        self.checkpoint_seconds = checkpoint_seconds
        self.keep_buffer = keep_buffer
        self.began = time.monotonic()
        self._checkpointed = self._logged = self.began

    @property
    def minutes_spent(self) -> float:
        """Since the run, or its resumption, began."""
        return (time.monotonic() - self.began) / 60

    def _on_training_start(self) -> None:
        # The first episodes are made before this, which may take minutes where their pairs are not cached yet.
        self.began = self._checkpointed = self._logged = time.monotonic()

    def done(self) -> float:
        """Share of the run that is over, by steps or by time, whichever is further."""
        by_steps = self.model.num_timesteps / self.config.total_steps
        by_time = 0.0 if self.minutes is None else self.minutes_spent / self.minutes
        return min(1.0, max(by_steps, by_time))

    def _on_step(self) -> bool:
        done = self.done()
        if self.model.replay_buffer.size() * self.model.n_envs >= self.config.learning_starts:
            self.model.gradient_steps = self.config.gradient_steps  # none in a resumed run before this
        if self.minutes is not None:
            # SB3 anneals exploration by steps; where the clock ends the run, they are what the clock will allow.
            self.model._total_timesteps = int(self.model.num_timesteps / max(done, 1e-6))
        now = time.monotonic()
        if self.show is not None:
            self.show(done, self.line())
        if now - self._logged > 10.0 or done >= 1.0:
            self._logged = now
            self._log()
        if now - self._checkpointed > self.checkpoint_seconds:
            self._checkpointed = now
            self.checkpoint()
        return done < 1.0

    def statistics(self) -> dict[str, float]:
        """Means over the last 100 episodes of the (exploring) agent, and where the training stands."""
        episodes, successes = self.model.ep_info_buffer, self.model.ep_success_buffer
        known: dict[str, float] = {
            "steps": self.model.num_timesteps,
            "minutes": round(self.minutes_spent, 3),
            "exploration": round(float(self.model.exploration_rate), 4),
        }
        if episodes:
            known["return"] = round(float(np.mean([e["r"] for e in episodes])), 3)
            known["length"] = round(float(np.mean([e["l"] for e in episodes])), 1)
            known["success"] = round(float(np.mean(successes)), 3)
        return known

    def line(self) -> str:
        """The statistics for people."""
        s = self.statistics()
        text = f"{s['steps']:,} steps, exploring {100 * s['exploration']:.0f} %"
        if "return" in s:
            text += f", return {s['return']:.1f}, success {100 * s['success']:.0f} %, length {s['length']:.0f}"
        return text

    def _log(self) -> None:
        with open(self.out / LOG, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(self.statistics()) + "\n")

    def checkpoint(self) -> None:
        """Writes the checkpoint, whole or not at all; a full disk leaves the last one and the training as they are."""
        try:
            content = io.BytesIO()
            self.model.save(content)
            write_atomically(self.out / CHECKPOINT, content.getvalue())
            if self.keep_buffer:
                with written_whole(self.out / REPLAY) as beside:
                    self.model.save_replay_buffer(beside)
        except OSError as error:
            print(f"\ncheckpoint not written ({error.strerror}): {self.out} keeps the last one, training goes on")
