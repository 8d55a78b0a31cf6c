"""Writes trained weights as a policy file that needs onnxruntime alone.

``python -m agents.greedy_supervised.export runs/gs/final.safetensors agents/weights/greedy_supervised_rigid.onnx``
"""

from __future__ import annotations

import argparse
import io
import json
import os
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file

from agents.greedy_supervised.config import Config
from agents.greedy_supervised.network import Matcher, Policy


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
        "regenv_policy": "1",
        "env_kwargs": json.dumps(env_kwargs),
        "max_steps": str(config.max_steps),
        "name": "greedy-supervised",
        "family": "rl",
        "description": "greedy supervised action values from matched features of one shared encoder",
        "training_data": "procedural shapes in random contrasts; no real image",
        "code": "agents/greedy_supervised",
    }


def export(weights: Path, out: Path, config: Config) -> None:
    """Writes ``out`` atomically; the file is checked before it takes its place."""
    import onnx

    policy = load_policy(weights, config)
    size = config.network.size
    example = torch.randint(0, 255, (2, 2, size, size, size), dtype=torch.uint8)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        torch.onnx.export(
            policy,
            (example,),
            buffer,
            input_names=["observation"],
            output_names=["values", "confidence"],
            dynamic_axes={"observation": {0: "batch"}, "values": {0: "batch"}, "confidence": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    for key, value in metadata(config).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    temporary = out.with_suffix(".tmp")
    temporary.write_bytes(model.SerializeToString())
    os.replace(temporary, out)


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
