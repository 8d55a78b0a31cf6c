"""Trains by parallelised Q-learning (PQN; Gallici et al., ICLR 2025, arXiv 2407.04811), from the reward alone.

    python -m agents.pqn.train --env CTMR-Similarity2D-v0 --out runs/pqn --seed 0 [--resume]

Many lanes act at once; after every ``rollout`` steps the network is fitted to the Q(lambda) returns of what they have
just seen. There is no replay buffer and no target network: normalised layers keep the values from running away.

A run's folder holds ``checkpoint.pt`` (all that the rest of the run depends on, the lanes' episodes too: a resumed run
is the uninterrupted one), ``progress.jsonl``, ``run.json``, and at the end ``weights.safetensors`` and ``policy.onnx``.
The true transform is used for nothing. Where the split shows it, ``tre`` is logged, for people to look at.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import regenv
from agents.common.policy_file import policy_metadata, save_policy
from agents.common.progress import progress_bar
from agents.common.run import Run, interruptible
from agents.pqn.agent import method_of, save
from agents.pqn.config import CONFIG_FILE, PQNConfig, config_for
from agents.pqn.network import NetworkConfig, QNetwork
from regenv.data.dataset import Dataset
from regenv.errors import OptionError
from regenv.evaluation.cases import generator_of

WEIGHTS = "weights.safetensors"
POLICY = "policy.onnx"
RECENT = 200
"""Episodes that the logged means are taken over."""


class Rollout(NamedTuple):
    """What all lanes saw in T steps; B lanes, H heads.

    Attributes:
        observations: ``(T, B, *shape)``.
        actions: ``(T, B)``.
        returns: ``(H, T, B)``, what the values of these actions are fitted to.
    """

    observations: Tensor
    actions: Tensor
    returns: Tensor


def q_lambda_returns(
    rewards: NDArray, next_values: NDArray, ended: NDArray, traced: NDArray, gamma: float, trace: float
) -> NDArray[np.float32]:
    """Q(lambda) returns of a rollout of T steps on B lanes.

    From the last step backwards, ``G[t] = r[t] + gamma * ((1 - l) V[t] + l G[t + 1])``, where l is ``trace``, and 0
    where nothing may be traced on: at the end of an episode or of the rollout.

    Args:
        rewards: ``(T, B)``.
        next_values: ``(..., T, B)`` value V of the state after each step: 0 where the episode terminated; where it was
            truncated, that of its final observation, and not of the next episode's first.
        ended: ``(T, B)`` whether the episode ended with this step, either way.
        traced: ``(T, B)`` whether the action of this step is what the policy would have done. Where the next action is
            not, the return stops at V (Watkins, 1989): what an exploring agent loses is no fault of the actions before.
        gamma: Discount.
        trace: Lambda.
    """
    returns = np.empty(next_values.shape, np.float32)
    share = np.zeros(rewards.shape[1:])
    after = next_values[..., -1, :]
    for t in reversed(range(len(rewards))):
        value = next_values[..., t, :]
        share = np.where(ended[t], 0.0, share)
        returns[..., t, :] = after = rewards[t] + gamma * ((1.0 - share) * value + share * after)
        share = trace * traced[t]
    return returns


def state_values(estimates: Tensor) -> Tensor:
    """Values ``(H, B)`` of states from the estimates ``(H, B, actions)`` of H heads.

    One head gives its largest estimate. Of two, each chooses the action and the other says what it is worth: the
    largest of many noisy estimates is too large, and an agent that expects too much does not stop.
    """
    best = estimates.argmax(2, keepdim=True)
    return estimates.flip(0).gather(2, best).squeeze(2)


def network_config(config: PQNConfig, envs: Any) -> NetworkConfig:
    """The network that an environment needs.

    Raises:
        OptionError: If it shows more than images, or takes other actions than one of several.
        ValueError: If the images are too small.
    """
    shown, taken = envs.single_observation_space, envs.single_action_space
    if not isinstance(taken, gym.spaces.Discrete):
        raise OptionError(f"PQN takes one of several actions, not {taken}: actions='discrete'")
    if not isinstance(shown, gym.spaces.Box):
        raise OptionError("PQN takes images alone: parameters=False")
    return NetworkConfig(
        config.network,
        shown.shape,
        int(taken.n),
        bool(envs.config.stop),
        config.width,
        config.hidden,
        config.dueling,
        heads=1 + config.double,
        pairs=shown.shape[0] // (1 if envs.config.make_view().difference else 2),
        shift=config.shift,
    )


class Learner:
    """Network, optimiser, lanes, and where the run stands.

    Args:
        config: Hyperparameters.
        envs: The batched environment, which resets finished lanes in the same step.
        seed: Of network, exploration and environment.
        device: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, config: PQNConfig, envs: Any, seed: int, device: str = "cpu") -> None:
        self.config, self.envs, self.device = config, envs, torch.device(device)
        torch.manual_seed(seed)
        network = QNetwork(network_config(config, envs))
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.RAdam(self.network.parameters(), lr=config.learning_rate)
        self.rng = np.random.default_rng([seed, 0])
        self.steps = self.episodes = 0
        self.seconds = 0.0
        self.current = np.zeros((2, config.num_envs))  # return and length of the episodes under way
        self.recent: deque[list[float | None]] = deque(maxlen=RECENT)  # return, length, stopped, TRE of finished ones
        self.observation = self._tensor(envs.reset(seed=seed)[0])

    def _tensor(self, array: NDArray) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def collect(self, exploration: float, charged: float = 1.0) -> Rollout:
        """Lets all lanes act for a rollout.

        Args:
            exploration: Probability of a random action.
            charged: Share of the environment's cost of a step that is paid.
        """
        T, B, H = self.config.rollout, self.config.num_envs, self.network.config.heads
        observations = torch.empty((T, *self.observation.shape), dtype=self.observation.dtype, device=self.device)
        actions = np.empty((T, B), np.int64)
        rewards, next_values = np.empty((T, B)), np.empty((H, T, B))
        ended, traced = np.empty((T, B), bool), np.empty((T, B), bool)
        estimates = self._estimates(self.observation)
        for t in range(T):
            observations[t] = self.observation
            actions[t], traced[t] = self.choose(estimates.mean(0).cpu().numpy(), exploration)
            observation, rewards[t], terminated, truncated, infos = self.envs.step(actions[t])
            ended[t] = terminated | truncated
            self.observation = self._tensor(observation)
            estimates = self._estimates(self.observation)
            next_values[:, t] = state_values(estimates).cpu().numpy()
            cut = truncated & ~terminated
            if cut.any():  # the lanes show their next episodes' first observations already
                final = self._tensor(np.stack(infos["final_obs"][cut]))
                next_values[:, t, cut] = state_values(self._estimates(final)).cpu().numpy()
            next_values[:, t, terminated] = 0.0
            self._note(rewards[t], ended[t], terminated, infos)
        self.steps += T * B
        stops = actions == self.network.learned  # where there is no STOP no action has that number
        rewards += np.where(stops, 0.0, (1.0 - charged) * self.envs.config.step_cost)
        returns = q_lambda_returns(rewards, next_values, ended, traced, self.config.gamma, self.config.trace)
        return Rollout(observations, self._tensor(actions), self._tensor(returns))

    @torch.no_grad()
    def _estimates(self, observation: Tensor) -> Tensor:
        return self.network.estimates(observation)

    def choose(self, values: NDArray, exploration: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Actions ``(B,)`` for values ``(B, actions)``, and which of them are the best.

        STOP is never tried at random, since what it is worth is known.
        """
        B, learned = len(values), values.shape[1] - int(self.network.config.stop)
        best = values.argmax(1)
        actions = np.where(
            self.rng.random(B) < (1.0 - exploration) * self.config.stop_share, best, values[:, :learned].argmax(1)
        )  # where the best is not STOP both are the same
        random = self.rng.integers(learned, size=B)
        actions = np.where(self.rng.random(B) < exploration, random, actions)
        return actions, actions == best

    def _note(self, rewards: NDArray, ended: NDArray, terminated: NDArray, infos: Mapping[str, Any]) -> None:
        """Keeps what the log says of finished episodes."""
        self.current += np.stack([rewards, np.ones_like(rewards)])
        for lane in np.flatnonzero(ended):
            final = infos["final_info"]
            tre = float(final["tre"][lane]) if "tre" in final and final["_tre"][lane] else None
            self.recent.append([*self.current[:, lane].tolist(), float(terminated[lane]), tre])
        self.episodes += int(ended.sum())
        self.current[:, ended] = 0.0

    def learn(self, rollout: Rollout, learning_rate: float) -> float:
        """Fits the values to the returns; gives the mean squared error."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        observations, actions = rollout.observations.flatten(0, 1), rollout.actions.flatten()
        returns = rollout.returns.flatten(1)
        losses = []
        for _ in range(self.config.epochs):
            order = torch.from_numpy(self.rng.permutation(len(actions))).to(self.device)
            for batch in order.tensor_split(self.config.minibatches):
                estimates = self.network.estimates(observations[batch])
                taken = estimates.gather(2, actions[batch].expand(len(estimates), -1).unsqueeze(2)).squeeze(2)
                loss = (taken - returns[:, batch]).pow(2).mean()
                self.optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.max_grad_norm)
                self.optimiser.step()
                losses.append(loss.detach())
        return float(torch.stack(losses).mean())

    def statistics(self) -> dict[str, Any]:
        """Where the run stands, and means over the last episodes of the (exploring) agent."""
        known: dict[str, Any] = {"steps": self.steps, "episodes": self.episodes}
        if self.recent:
            returns, lengths, stopped, errors = zip(*self.recent, strict=True)
            known |= {"return": round(float(np.mean(returns)), 3), "length": round(float(np.mean(lengths)), 1)}
            known["stopped"] = round(float(np.mean(stopped)), 3)
            tre = np.array([e for e in errors if e is not None])
            if len(tre):  # for people to look at: nothing is decided by it
                known["tre_mm"] = round(float(np.median(tre)), 2)
                known |= {f"under_{mm}mm": round(float(np.mean(tre < mm)), 3) for mm in (5, 10)}
        return known

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on: tensors and plain values."""
        lanes = [
            {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in s.items()} for s in self.envs.get_state()
        ]
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
            "episodes": self.episodes,
            "seconds": self.seconds,
            "plain": json.dumps(
                {
                    "lanes": lanes,
                    "rng": self.rng.bit_generator.state,
                    "current": self.current.tolist(),
                    "recent": list(self.recent),
                }
            ),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Returns to a state of :meth:`state_dict`."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.episodes, self.seconds = state["steps"], state["episodes"], state["seconds"]
        plain = json.loads(state["plain"])
        self.rng.bit_generator.state = plain["rng"]
        self.current = np.array(plain["current"])
        self.recent.extend(plain["recent"])
        for lane in plain["lanes"]:
            lane |= {key: np.array(lane[key]) for key in ("transform", "start")}
        self.observation = self._tensor(self.envs.set_state(plain["lanes"])[0])


def train(
    out: Path | str,
    env_id: str,
    *,
    seed: int = 0,
    minutes: float | None = None,
    resume: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    dataset: str | Dataset = "phantom",
    progress: bool = True,
    checkpoint_seconds: float = 60.0,
    config_file: Path = CONFIG_FILE,
    preset: str | None = None,
    watch: Callable[[Mapping[str, Any]], None] | None = None,
    **overrides: Any,
) -> Path:
    """Trains and exports.

    Args:
        out: Folder of the run; made if missing.
        env_id: Any id with discrete actions.
        seed: Of network, exploration and environment.
        minutes: The run ends after this long, if its steps have not ended it before.
        resume: Go on from the run's last checkpoint.
        device: Of the network: ``"cpu"`` or ``"cuda"``.
        threads: Of torch and of the environment; None for all processors.
        dataset: Name of the data set whose training split is trained on, or a data set.
        progress: Whether to show a progress bar.
        checkpoint_seconds: Time between checkpoints.
        config_file: The hyperparameters.
        preset: A table of that file which counts over the id's own, such as ``"quick"``.
        watch: Called with each line of the log (a mapping) as it is written.
        **overrides: Fields of :class:`PQNConfig`.

    Returns:
        The policy file, for ``regenv evaluate --agent``; the weight file lies beside it.

    Raises:
        FileExistsError: If the folder holds a run and ``resume`` is not asked for.
        FileNotFoundError: If there is nothing to resume.
        ValueError: On a wrong hyperparameter, or if the folder's run was begun with others.
        KeyboardInterrupt: After Ctrl-C, with a checkpoint written.
    """
    config = config_for(env_id, config_file, preset, **overrides)
    source = dataset if isinstance(dataset, str) else dataset.name
    record = {"env_id": env_id, "seed": seed, "dataset": source, "config": asdict(config)}
    run = Run(Path(out), record, resume)
    if threads is not None:
        torch.set_num_threads(threads)
    keywords = {"dataset": dataset, "threads": threads, **config.env_kwargs, **config.training_kwargs}
    envs: Any = gym.make_vec(env_id, config.num_envs, autoreset_mode="SameStep", **keywords).unwrapped
    learner = Learner(config, envs, seed, device)
    if run.checkpoint is not None:
        learner.load_state_dict(run.checkpoint)
    saved = time.monotonic()
    with progress_bar(f"PQN on {env_id}", progress) as show, interruptible() as interrupt:
        while (done := _done(learner, minutes)) < 1.0 and not interrupt.asked:
            began = time.monotonic()
            exploration = 1.0 + _rise(done, 0.0, config.exploration_fraction) * (config.exploration_final - 1.0)
            charged = _rise(done, config.exploration_fraction, 0.5)
            learning_rate = config.learning_rate * (1.0 - done)
            loss = learner.learn(learner.collect(exploration, charged), learning_rate)
            learner.seconds += time.monotonic() - began
            line = {**learner.statistics(), "exploration": round(exploration, 4), "loss": round(loss, 5)}
            line["minutes"] = round(learner.seconds / 60, 3)
            run.log(line)
            if watch is not None:
                watch(line)
            show(_done(learner, minutes), _text(line))
            if time.monotonic() - saved > checkpoint_seconds:
                run.save(learner.state_dict())
                saved = time.monotonic()
        run.save(learner.state_dict())
    envs.close()
    if interrupt.asked:
        raise KeyboardInterrupt
    data = envs.config.make_dataset(prepare=False)
    metadata = {
        "env_id": env_id,
        "env_kwargs": dict(config.env_kwargs),
        "seed": seed,
        "steps": learner.steps,
        "minutes": round(learner.seconds / 60, 1),
        "subjects": _subjects(data),
        "training_data": f"{generator_of(data)}, {_subjects(data)} subjects of the {data.split} split",
        "command": _command(record, preset, overrides, minutes),
        "config": asdict(config),
        "regenv": regenv.__version__,
    }
    return export(learner, run.folder, metadata)


def _done(learner: Learner, minutes: float | None) -> float:
    """Share of the run that is over, by steps or by time, whichever is further."""
    by_steps = learner.steps / learner.config.total_steps
    return min(1.0, max(by_steps, 0.0 if minutes is None else learner.seconds / 60 / minutes))


def _rise(done: float, start: float, end: float) -> float:
    """What rises from 0 at one share of the run to 1 at another."""
    return float(done >= end) if end <= start else min(1.0, max(0.0, (done - start) / (end - start)))


def _text(line: Mapping[str, Any]) -> str:
    """A line of the log for people."""
    text = f"{line['steps']:,} steps, exploring {100 * line['exploration']:.0f} %"
    if "return" in line:
        text += f", return {line['return']:.1f}, length {line['length']:.0f}, stopped {100 * line['stopped']:.0f} %"
    if "tre_mm" in line:
        text += f", TRE {line['tre_mm']:.1f} mm"
    return text


def _subjects(data: Dataset) -> int | str:
    """How many subjects a data set has; one that invents them may have no end."""
    names = data.subjects
    return len(set(names)) if isinstance(names, tuple) else getattr(names, "limit", None) or "endless"


def _command(record: Mapping[str, Any], preset: str | None, overrides: Mapping[str, Any], minutes: float | None) -> str:
    """The command that makes this run."""
    parts = ["python -m agents.pqn.train --env", record["env_id"], "--seed", str(record["seed"])]
    parts += [] if record["dataset"] == "phantom" else ["--dataset", record["dataset"]]
    parts += [] if preset is None else ["--preset", preset]
    parts += [] if minutes is None else ["--minutes", f"{minutes:g}"]
    changed = [f"{key}={json.dumps(value)}" for key, value in overrides.items() if value is not None]
    return " ".join([*parts, *(["--set", *(shlex.quote(c) for c in changed)] if changed else []), "--out runs/pqn"])


def export(learner: Learner, folder: Path, metadata: Mapping[str, Any]) -> Path:
    """Writes the weight file and the policy file of a run; gives the policy file."""
    network = learner.network.cpu().eval()
    save(network, folder / WEIGHTS, metadata)
    method = method_of({**metadata, "network": asdict(network.config)})
    example = learner.observation[:2].cpu()
    save_policy(network, folder / POLICY, example, policy_metadata(method, metadata["env_kwargs"]))
    return folder / POLICY


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m agents.pqn.train", description=__doc__.split("\n\n")[0])
    parser.add_argument("--env", required=True, help="the environment's id")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--steps", type=int, help="steps of all lanes (default: the file's)")
    parser.add_argument("--minutes", type=float, help="end after this long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, help="default: all processors")
    parser.add_argument("--dataset", default="phantom")
    parser.add_argument("--config", type=Path, default=CONFIG_FILE, help="TOML file of hyperparameters")
    parser.add_argument("--preset", help="one more table of that file, such as quick: a minute to see it learn")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="hyperparameters, values as in JSON")
    chosen = parser.parse_args(arguments)
    try:
        policy = train(
            chosen.out,
            chosen.env,
            seed=chosen.seed,
            minutes=chosen.minutes,
            resume=chosen.resume,
            device=chosen.device,
            threads=chosen.threads,
            dataset=chosen.dataset,
            config_file=chosen.config,
            preset=chosen.preset,
            total_steps=chosen.steps,
            **_overrides(chosen.set),
        )
    except KeyboardInterrupt:
        print(f"\nstopped; {chosen.out} holds a checkpoint: go on with the same command and --resume", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"policy file {policy}\nweights {policy.with_name(WEIGHTS)}")
    return 0


def _overrides(pairs: list[str]) -> dict[str, Any]:
    chosen = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set takes KEY=VALUE, got {pair!r}")
        try:
            chosen[key] = json.loads(value)
        except json.JSONDecodeError:
            chosen[key] = value
    return chosen


if __name__ == "__main__":
    sys.exit(main())
