"""Trained networks as policy files (ONNX): how others run them, with neither torch nor the agent's code."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from regenv.files import write_atomically

OPSET = 17


class OfBytes(nn.Module):
    """A network of images in [0, 1] that is given bytes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Images uint8 to what the network makes of them."""
        return self.network(images.to(torch.float32) / 255)


def exported(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> onnx.ModelProto:
    """The ONNX model of a module, traced on some inputs; the first axis of all inputs and outputs is left open."""
    buffer, names = io.BytesIO(), [*inputs, *outputs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            buffer,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: "batch"} for name in names},
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load_from_string(buffer.getvalue())


def write_policy(model: onnx.ModelProto, path: Path, metadata: Mapping[str, str]) -> None:
    """Writes a policy file, checked, whole or not at all.

    Args:
        model: Inputs and outputs as :mod:`regenv.policy` says.
        path: Ending in ``.onnx``.
        metadata: What it says besides of the file, such as ``name`` and ``env_kwargs`` (JSON).
    """
    onnx.helper.set_model_props(model, {"regenv_policy": "1", **metadata})
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, model.SerializeToString())
