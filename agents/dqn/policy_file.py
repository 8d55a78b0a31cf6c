"""Writes a trained Q-network as a policy file (ONNX): how others run it, with neither torch nor this code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regenv.errors import require

if TYPE_CHECKING:
    import torch


def save_policy(
    network: torch.nn.Sequential, path: Path, shape: tuple[int, int, int], metadata: Mapping[str, str]
) -> None:
    """Writes ``observation (B, *shape)`` uint8 in, ``values (B, actions)`` out; see :mod:`regenv.policy`.

    Args:
        network: From :func:`agents.dqn.network.q_network`.
        path: Ending in ``.onnx``.
        shape: Of one observation.
        metadata: ``name``, ``description``, ``env_kwargs`` (JSON) and so on.
    """
    from agents.common.onnx_files import OfBytes, exported, write_policy

    torch = require("torch", "agents")
    images = torch.zeros((2, *shape), dtype=torch.uint8)
    model = exported(OfBytes(network), {"observation": images}, ["values"])
    write_policy(model, path, metadata)


def method_of(name: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says of the agent, from a weight file's metadata."""
    steps = f"{metadata.get('steps', 0):,} steps"
    seeds = [metadata["seed"]] if "seed" in metadata else []
    return {
        "name": name,
        "family": "rl",
        "description": f"stable-baselines3 DQN, CnnPolicy, {steps}",
        "training_data": str(metadata.get("training_data", "")),
        "training": {"seeds": seeds, "budget": f"{steps}, {metadata.get('minutes', 0):.0f} minutes"},
    }


def policy_metadata(name: str, metadata: Mapping[str, Any]) -> dict[str, str]:
    """What a policy file says of itself, from a weight file's metadata."""
    method = method_of(name, metadata)
    return {**method, "training": json.dumps(method["training"]), "env_kwargs": json.dumps(metadata["env_kwargs"])}
