"""Weight files: safetensors with all that is needed to use them as JSON in their metadata, and no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regenv.errors import require
from regenv.files import write_atomically

if TYPE_CHECKING:
    import torch


def save_weights(state: Mapping[str, torch.Tensor], path: Path, metadata: Mapping[str, Any]) -> None:
    """Writes the weights whole or not at all.

    Args:
        state: Of the network.
        path: Where to.
        metadata: JSON values: ``env_id``, ``env_kwargs``, ``seed``, ``steps``, ...
    """
    safetensors = require("safetensors.torch", "agents")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    content = safetensors.save(tensors, {key: json.dumps(value) for key, value in metadata.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


def load_weights(path: Path, how_to_train: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The weights, as float32, and the metadata.

    Args:
        path: The file.
        how_to_train: The command that makes one, for the message.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it cannot be read.
    """
    safetensors = require("safetensors", "agents")
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; train them: {how_to_train}")
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (safetensors.SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is no weight file: {error}") from error
    return state, metadata
