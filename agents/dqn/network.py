"""The Q-network of SB3's ``CnnPolicy`` (the "Nature" CNN, Mnih et al. 2015) in plain torch, and its weight file.

A weight file is a safetensors file in half precision, with all that is needed to use it in its metadata: no pickle, and
nothing of stable-baselines3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regenv.errors import require
from regenv.files import write_atomically

if TYPE_CHECKING:
    import torch


def q_network(channels: int, size: int, actions: int) -> torch.nn.Sequential:
    """Images ``(B, channels, size, size)`` in [0, 1] to action values ``(B, actions)``."""
    nn = require("torch", "agents").nn
    left = ((size - 8) // 4 + 1 - 4) // 2 + 1 - 2  # pixels along each side after the three convolutions
    return nn.Sequential(
        nn.Conv2d(channels, 32, 8, 4),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, 2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * left * left, 512),
        nn.ReLU(),
        nn.Linear(512, actions),
    )


def from_sb3(q_net: Any) -> torch.nn.Sequential:
    """The network of a trained SB3 DQN (``model.q_net``), weights copied.

    Raises:
        ValueError: If it is not the network of ``CnnPolicy`` with its default layers.
    """
    try:
        channels, size, _ = q_net.observation_space.shape
        network = q_network(channels, size, int(q_net.action_space.n))
        # SB3 names its layers otherwise, and has them in the same order
        network.load_state_dict(dict(zip(network.state_dict(), q_net.state_dict().values(), strict=True)))
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"this is not the network of SB3's CnnPolicy with default layers: {error}") from error
    return network.eval()


def save_weights(network: torch.nn.Sequential, path: Path, metadata: Mapping[str, Any]) -> None:
    """Writes the weights in half precision, whole or not at all.

    Args:
        network: From :func:`q_network`.
        path: Where to.
        metadata: JSON values: ``env_id``, ``env_kwargs``, ``seed``, ``steps``, ...
    """
    safetensors = require("safetensors.torch", "agents")
    tensors = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    content = safetensors.save(tensors, {key: json.dumps(value) for key, value in metadata.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


def load_weights(path: Path) -> tuple[torch.nn.Sequential, dict[str, Any]]:
    """The network and the metadata of a weight file.

    Raises:
        FileNotFoundError: If there is none; the message says how to train one.
        ValueError: If it cannot be read.
    """
    safetensors = require("safetensors", "agents")
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; train them: python -m agents.dqn.train --out runs/dqn")
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (no mapping)
        network = q_network(metadata["channels"], metadata["size"], metadata["actions"])
        network.load_state_dict(state)
    except (safetensors.SafetensorError, KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is not a weight file of agents.dqn: {error}") from error
    return network.eval(), metadata
