"""Writes any network that maps an observation to action values as a policy file (ONNX)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from agents.common.onnx_files import exported, write_policy


def save_policy(network: torch.nn.Module, path: Path, example: torch.Tensor, metadata: Mapping[str, str]) -> None:
    """Writes ``observation`` in, ``values (B, actions)`` out; see :mod:`regenv.policy`.

    Args:
        network: Observations to action values.
        path: Ending in ``.onnx``.
        example: Observations ``(B, *shape)`` of the type that the environment gives.
        metadata: From :func:`policy_metadata`.
    """
    write_policy(exported(network.eval(), {"observation": example}, ["values"]), path, metadata)


def training_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says of the training, from a weight file's metadata."""
    known = {key: metadata[key] for key in ("subjects",) if key in metadata}
    return {
        **known,
        "seeds": [metadata["seed"]] if "seed" in metadata else [],
        "budget": f"{metadata.get('steps', 0):,} steps, {metadata.get('minutes', 0):.0f} minutes",
    }


def policy_metadata(method: Mapping[str, Any], env_kwargs: Mapping[str, Any]) -> dict[str, str]:
    """What a policy file says of itself, from an agent's ``method`` and the keywords that it wants."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in method.items()}
    return {**texts, "env_kwargs": json.dumps(dict(env_kwargs))}
