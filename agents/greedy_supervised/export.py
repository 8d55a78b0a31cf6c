"""Writes trained weights as a policy file that needs onnxruntime alone.

``python -m agents.greedy_supervised.export runs/gs/final.safetensors agents/weights/greedy_supervised_rigid.onnx``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import onnx
import onnx.compose
import torch
from onnx import helper
from safetensors.torch import load_file
from torch import Tensor, nn

from agents.common.onnx_files import OPSET, exported, write_policy
from agents.greedy_supervised.config import Config
from agents.greedy_supervised.network import Matcher, Policy, Queries


def load_policy(weights: Path, config: Config) -> Policy:
    """The policy network with the weights of a checkpoint."""
    matcher = Matcher(config.network)
    matcher.load_state_dict(load_file(weights))
    return Policy(matcher, config.steps, config.view_spacing_mm, config.stop_mm).eval()


def metadata(config: Config) -> dict[str, str]:
    """What :class:`regenv.policy.PolicyAgent` reads: environment keywords and who this is."""
    env_kwargs = {
        "observation": "volume",
        "actions": "multidiscrete",
        "steps": list(config.steps),
        "view_size": config.network.size,
        "view_spacing_mm": config.view_spacing_mm,
        "horizon": config.horizon,
    }
    return {
        "env_kwargs": json.dumps(env_kwargs),
        "max_steps": str(config.max_steps),
        "min_confidence": str(config.min_confidence),
        "name": "greedy-supervised",
        "family": "imitation",
        "description": "greedy supervised action values from matched features of one shared encoder",
        "training_data": "procedural shapes and torsos in random contrasts; no real image",
        "training": json.dumps({"subjects": "endless"}),
        "code": "agents/greedy_supervised",
    }


class _Part(nn.Module):
    """One method of the policy as a module of its own, which is what the exporter takes."""

    def __init__(self, policy: Policy, method: str) -> None:
        super().__init__()
        self.policy, self.method = policy, method

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors in, tensors out."""
        if self.method == "ask":
            return tuple(self.policy.ask(tensors[0]))
        return self.policy.answer(Queries(*tensors[1:]), tensors[0])


def export(weights: Path, out: Path, config: Config) -> None:
    """Writes ``out`` atomically; the file is checked before it takes its place.

    What is asked of the fixed view is kept as recurrent state, so that it is encoded once an episode.
    """
    policy = load_policy(weights, config)
    size = config.network.size
    view = torch.randint(0, 255, (2, 1, size, size, size), dtype=torch.uint8)
    queries = policy.ask(view)
    parts = {
        "ask": exported(_Part(policy, "ask"), {"fixed": view}, queries._fields),
        "answer": exported(_Part(policy, "answer"), {"moved": view, **queries._asdict()}, ["values", "confidence"]),
    }
    ask, answer = (onnx.compose.add_prefix(part, f"{name}/").graph for name, part in parts.items())
    model = compose(ask, answer, {name: tuple(q.shape[1:]) for name, q in queries._asdict().items()}, size)
    write_policy(model, out, metadata(config))


def compose(
    ask: onnx.GraphProto, answer: onnx.GraphProto, state: dict[str, tuple[int, ...]], size: int
) -> onnx.ModelProto:
    """One graph: ``ask`` runs only where the state is empty (``known`` is 0), ``answer`` always; they share weights."""
    float32, uint8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
    node, info = helper.make_node, helper.make_tensor_value_info
    shared = {w.raw_data: w.name for w in answer.initializer if len(w.raw_data) > 64}
    same = {w.name: shared[w.raw_data] for w in ask.initializer if w.raw_data in shared}
    for one in ask.node:
        one.input[:] = [same.get(name, name) for name in one.input]
    kept = helper.make_graph([node("Identity", [name], [f"kept/{name}"]) for name in state], "kept", [], [
        info(f"kept/{name}", float32, ["batch", *shape]) for name, shape in state.items()
    ])  # fmt: skip
    asked = helper.make_graph(list(ask.node), "ask", [], list(ask.output))
    nodes = [
        node("Split", ["observation", "ones"], ["ask/fixed", "answer/moved"], axis=1),
        node("ReduceMin", ["known"], ["least"], keepdims=0),
        node("Greater", ["least", "half"], ["is_known"]),
        node("If", ["is_known"], [f"answer/{name}" for name in state], then_branch=kept, else_branch=asked),
        *answer.node,
        node("Identity", ["answer/values"], ["values"]),
        node("Identity", ["answer/confidence"], ["confidence"]),
        *[node("Identity", [f"answer/{name}"], [f"next_{name}"]) for name in state],
        node("Mul", ["known", "zero"], ["nothing"]),
        node("Add", ["nothing", "one"], ["next_known"]),
    ]
    constants = [
        helper.make_tensor("ones", onnx.TensorProto.INT64, [2], [1, 1]),
        *[helper.make_tensor(name, float32, [], [v]) for name, v in (("half", 0.5), ("zero", 0.0), ("one", 1.0))],
    ]
    states = {"known": (1,), **state}
    graph = helper.make_graph(
        nodes,
        "greedy_supervised",
        [
            info("observation", uint8, ["batch", 2, size, size, size]),
            *[info(name, float32, ["batch", *shape]) for name, shape in states.items()],
        ],
        [
            info("values", float32, ["batch", *[d.dim_value for d in answer.output[0].type.tensor_type.shape.dim[1:]]]),
            info("confidence", float32, ["batch"]),
            *[info(f"next_{name}", float32, ["batch", *shape]) for name, shape in states.items()],
        ],
        [*answer.initializer, *[w for w in ask.initializer if w.name not in same], *constants],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--config", type=Path, default=None, help="default: the agent's config.toml")
    args = parser.parse_args()
    export(args.weights, args.out, Config.load(args.config))
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
