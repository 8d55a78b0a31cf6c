"""Policy files: what is accepted, what is refused with the mend, memory, and the stop."""

from __future__ import annotations

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="writes policy files: pip install 'regenv[agents]'")
pytest.importorskip("onnxruntime", reason="runs policy files: pip install 'regenv[align]'")

from onnx import TensorProto, helper  # noqa: E402

from regenv.errors import DataError  # noqa: E402
from regenv.policy import PolicyAgent  # noqa: E402

METADATA = {"regenv_policy": "1", "env_kwargs": json.dumps({"observation": "slices", "actions": "discrete"})}


def write(path, metadata=METADATA, *, recurrent=True):
    """Values are the running sum of the mean observation: after n steps of ones, the first action is worth n."""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Flatten", ["observation"], ["flat"], axis=1),
        helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Add", ["mean", "memory"] if recurrent else ["mean", "mean"], ["sum"]),
        helper.make_node("Sub", ["limit", "sum"], ["left"]),
        helper.make_node("Sub", ["sum", "sum"], ["zero"]),
        helper.make_node("Concat", ["sum", "left", "zero"], ["values"], axis=1),
    ]
    inputs = [info("observation", TensorProto.FLOAT, ["batch", 2, 4, 4])]
    outputs = [info("values", TensorProto.FLOAT, ["batch", 3])]
    if recurrent:
        nodes.append(helper.make_node("Identity", ["sum"], ["next_memory"]))
        inputs.append(info("memory", TensorProto.FLOAT, ["batch", 1]))
        outputs.append(info("next_memory", TensorProto.FLOAT, ["batch", 1]))
    constants = [helper.make_tensor("limit", TensorProto.FLOAT, [1, 1], [5.0])]
    graph = helper.make_graph(nodes, "policy", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
    return path


def test_memory_runs_within_an_episode_and_is_cleared_by_reset(tmp_path):
    agent = PolicyAgent(write(tmp_path / "p.onnx"))
    assert agent.env_kwargs == {"observation": "slices", "actions": "discrete"}
    ones = np.ones((2, 4, 4), np.uint8)
    for _ in range(2):
        agent.reset(ones, {})
        assert [agent.act(ones) for _ in range(4)] == [1, 1, 0, 0]  # the sum passes 2.5 at the third step


def test_lanes_are_acted_on_together(tmp_path):
    agent = PolicyAgent(write(tmp_path / "p.onnx", recurrent=False))
    batch = np.stack([np.ones((2, 4, 4)), np.full((2, 4, 4), 2.0)])
    assert agent.act_batch(batch).tolist() == [1, 0]


def test_it_stops_by_itself(tmp_path):
    agent = PolicyAgent(write(tmp_path / "p.onnx", METADATA | {"max_steps": "3"}))
    ones = np.ones((2, 4, 4), np.float32)
    agent.reset(ones)
    assert [agent.act(ones) for _ in range(5)] == [1, 1, 0, 2, 2]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "regenv_policy=None"),
        ({"regenv_policy": "9"}, "regenv_policy='9'"),
        ({"regenv_policy": "1"}, "env_kwargs"),
        ({"regenv_policy": "1", "env_kwargs": "[1]"}, "JSON object"),
    ],
)
def test_files_that_are_no_policies_are_refused(tmp_path, metadata, message):
    with pytest.raises(DataError, match=message):
        PolicyAgent(write(tmp_path / "p.onnx", metadata))


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(DataError, match="no policy file"):
        PolicyAgent(tmp_path / "absent.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    with pytest.raises(DataError, match=r"broken\.onnx cannot be read"):
        PolicyAgent(tmp_path / "broken.onnx")


def test_another_observation_names_the_mend(tmp_path):
    agent = PolicyAgent(write(tmp_path / "p.onnx"))
    with pytest.raises(ValueError, match="env_kwargs"):
        agent.act(np.ones((6, 64, 64), np.uint8))
