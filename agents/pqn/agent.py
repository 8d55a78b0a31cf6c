"""Runs a trained PQN: the action of the largest value, STOP where none is positive. Needs torch alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.common.policy_file import training_of
from agents.common.weights import load_weights, save_weights
from regenv.errors import require

if TYPE_CHECKING:
    from agents.pqn.network import QNetwork

FOLDER = Path(__file__).resolve().parents[1] / "weights"
WEIGHTS_VARIABLE = "REGENV_PQN_WEIGHTS"
_TRAIN = "python -m agents.pqn.train --env ID --out runs/pqn"


class PQNAgent:
    """Greedy on learned action values.

    Args:
        weights: A weight file of :mod:`agents.pqn.train`.
        name: For the table.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else.
    """

    def __init__(self, weights: Path, name: str = "pqn") -> None:
        self._torch = require("torch", "agents")
        self.network, self.metadata = load(weights)
        self.env_kwargs: dict[str, Any] = dict(self.metadata["env_kwargs"])
        self.method = method_of(self.metadata, name)

    def reset(self, observation: Any, info: Mapping[str, Any]) -> None:
        """Nothing to prepare: the policy has no memory."""

    def act(self, observation: np.ndarray) -> np.int64:
        """The best action for one observation ``(C, H, W)``."""
        return np.int64(self.act_batch(np.asarray(observation)[None])[0])

    def act_batch(self, observations: np.ndarray) -> np.ndarray:
        """The best actions ``(B,)`` for observations ``(B, C, H, W)``."""
        with self._torch.no_grad():
            return self.network(self._torch.from_numpy(np.ascontiguousarray(observations))).argmax(1).numpy()


def method_of(metadata: Mapping[str, Any], name: str = "pqn") -> dict[str, Any]:
    """What a row says of the agent, from a weight file's metadata."""
    return {
        "name": name,
        "family": "rl",
        "description": f"parallelised Q-learning, {metadata['network']['kind']} network, {metadata['steps']:,} steps",
        "training_data": metadata["training_data"],
        "training": training_of(metadata),
        "code": "agents/pqn",
    }


def save(network: QNetwork, path: Path, metadata: Mapping[str, Any]) -> None:
    """Writes a weight file; the network's sizes are added to the metadata."""
    save_weights(network.state_dict(), path, {**metadata, "network": asdict(network.config)})


def load(path: Path) -> tuple[QNetwork, dict[str, Any]]:
    """The network and the metadata of a weight file.

    Raises:
        FileNotFoundError: If there is none; the message says how to train one.
        ValueError: If it is something else.
    """
    from agents.pqn.network import NetworkConfig, QNetwork

    state, metadata = load_weights(path, _TRAIN)
    try:
        sizes = metadata["network"]
        network = QNetwork(NetworkConfig(**{**sizes, "shape": tuple(sizes["shape"])}))
        network.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a weight file of agents.pqn: {error}") from error
    return network.eval(), metadata


def shipped(env_id: str, seed: int = 0) -> Path:
    """Where the weights lie that ship for an id, of the run with a seed."""
    name = f"pqn_{env_id.removesuffix('-v0').replace('-', '_').lower()}"
    return FOLDER / (f"{name}.safetensors" if seed == 0 else f"{name}_seed{seed}.safetensors")


def factory(seed: int = 0, env_id: str = "CTMR-Similarity2D-v0") -> PQNAgent:
    """An agent shipped for an id, or the one whose weight file the variable ``REGENV_PQN_WEIGHTS`` names.

    Args:
        seed: Of the training; the policy itself is deterministic.
        env_id: Which one.

    Raises:
        FileNotFoundError: If no run with that seed ships.
    """
    other = os.environ.get(WEIGHTS_VARIABLE)
    if other:
        return PQNAgent(Path(other), name=f"pqn-{Path(other).parent.name}")
    return PQNAgent(shipped(env_id, seed))


def ctmr_similarity2d(seed: int = 0) -> PQNAgent:
    """The agent of ``CTMR-Similarity2D-v0``."""
    return factory(seed, "CTMR-Similarity2D-v0")


def ctcbct_rigid(seed: int = 0) -> PQNAgent:
    """The agent of ``CTCBCT-Rigid-v0``."""
    return factory(seed, "CTCBCT-Rigid-v0")
