"""Writes a trained Q-network as a policy file (ONNX): how others run it, with neither torch nor this code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regenv.errors import require
from regenv.files import write_atomically

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
    onnx = require("onnx", "agents")
    helper, kinds = onnx.helper, onnx.TensorProto
    import numpy as np

    nodes = [helper.make_node("Cast", ["observation"], ["float"], to=kinds.FLOAT)]
    nodes.append(helper.make_node("Div", ["float", "white"], ["x"]))
    constants = [onnx.numpy_helper.from_array(np.array(255.0, np.float32), "white")]
    last = "x"
    layer: Any
    for index, layer in enumerate(network):
        kind, out = type(layer).__name__, f"x{index}"
        inputs: list[str] = [last]
        keywords: dict[str, Any] = {}
        for name, value in layer.named_parameters(recurse=False):
            inputs.append(f"{index}.{name}")
            constants.append(onnx.numpy_helper.from_array(value.detach().numpy(), inputs[-1]))
        if kind == "Conv2d":
            keywords = {"kernel_shape": layer.kernel_size, "strides": layer.stride}
        elif kind == "Linear":
            keywords = {"transB": 1}
        operator = {"Conv2d": "Conv", "Linear": "Gemm", "ReLU": "Relu", "Flatten": "Flatten"}[kind]
        nodes.append(helper.make_node(operator, inputs, [out], **keywords))
        last = out
    nodes.append(helper.make_node("Identity", [last], ["values"]))
    actions = network[-1].out_features
    graph = helper.make_graph(
        nodes,
        "dqn",
        [helper.make_tensor_value_info("observation", kinds.UINT8, ["batch", *shape])],
        [helper.make_tensor_value_info("values", kinds.FLOAT, ["batch", actions])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"regenv_policy": "1", "family": "rl", **metadata})
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, model.SerializeToString())


def training_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says of the training, from a weight file's metadata."""
    return {
        "seeds": [metadata["seed"]] if "seed" in metadata else [],
        "budget": f"{metadata.get('steps', 0):,} steps, {metadata.get('minutes', 0):.0f} minutes",
    }


def policy_metadata(name: str, metadata: Mapping[str, Any]) -> dict[str, str]:
    """What a policy file says of itself, from a weight file's metadata."""
    return {
        "name": name,
        "description": f"stable-baselines3 DQN, CnnPolicy, {metadata['steps']:,} steps",
        "training_data": str(metadata["training_data"]),
        "training": json.dumps(training_of(metadata)),
        "env_kwargs": json.dumps(metadata["env_kwargs"]),
    }
