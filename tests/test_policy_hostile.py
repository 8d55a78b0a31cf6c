"""Policy files made to harm: broken metadata, options that run code, names that are paths, graphs without end."""

from __future__ import annotations

import json
import math
import os
import resource
import string
import time

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="writes policy files: pip install 'regenv[agents]'")
pytest.importorskip("onnxruntime", reason="runs policy files: pip install 'regenv[align]'")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from regenv.errors import DataError  # noqa: E402
from regenv.evaluation.agents import environment_keywords, load_agent  # noqa: E402
from regenv.evaluation.method import AgentError, describe  # noqa: E402
from regenv.evaluation.runner import run  # noqa: E402
from regenv.policy import PolicyAgent, sessions  # noqa: E402
from regenv.policy.metadata import Metadata  # noqa: E402
from regenv.resources import resource as shipped  # noqa: E402

from .test_policy import METADATA, write  # noqa: E402

ONES = np.ones((2, 4, 4), np.uint8)


def graph_file(path, nodes, constants=(), outputs=(("values", [None, 3]),), states=(), metadata=METADATA):
    """A policy of a graph of one's own."""
    info = helper.make_tensor_value_info
    inputs = [info("observation", TensorProto.FLOAT, ["batch", 2, 4, 4]), *states]
    made = [info(name, TensorProto.FLOAT, shape) for name, shape in outputs]
    graph = helper.make_graph(nodes, "g", inputs, made, [numpy_helper.from_array(v, k) for k, v in constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, dict(metadata))
    path.write_bytes(model.SerializeToString())
    return path


# --- metadata ---

BROKEN = {
    "env_kwargs": [
        "",
        "null",
        "[]",
        "3",
        '"unit"',
        "{",
        "NaN",
        '{"steps": NaN}',
        '{"steps": [1e999]}',
        '{"steps": ' + "9" * 5000 + "}",
        '{"steps": [[[1]]]}',
        "[" * 100_000,
        '{"horizon": -1}',
        '{"horizon": 1.5}',
        '{"view_size": 100000}',
        '{"view_size": true}',
        '{"threads": 500}',
        '{"split": "train"}',
        '{"dataset": "folder:/"}',
        '{"deformation": "/etc/passwd"}',
        '{"reward": "os:system"}',
        '{"reward": "tests.nowhere:pay"}',
        '{"preset": "../../x"}',
        '{"observation": "a\\nb"}',
        '{"actions": ["os:system"]}',
        '{"steps": {"a": "os:system"}}',
    ],
    "max_steps": ["nan", "1e999", "", "-1", "0", "1.5", "\u0663", "9" * 5000, "1_000", " 3"],
    "min_confidence": ["x", "nan", "inf", "1e999", ""],
    "name": ["../../../up", "a\nb", "", "x" * 41, ".x", "a b", "\u202ex"],
    "description": ["a\nb", "x" * 201, "\x1b[2J"],
    "training": ["[]", "{", "null", "[" * 100_000],
    "commit": ["HEAD", "\n"],
    "regenv_policy": ["2", "1\n"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BROKEN.items() for value in values])
def test_broken_metadata_is_refused_by_name(key, value):
    Metadata.of(METADATA)
    with pytest.raises(ValueError, match=key) as refused:
        Metadata.of(METADATA | {key: value})
    assert len(str(refused.value)) < 700 and str(refused.value).isprintable()


def test_metadata_of_any_text_is_taken_or_refused():
    """Nothing but ValueError, whatever stands there."""
    rng = np.random.default_rng(0)
    pool = [*string.printable, "\u202e", "\x00", "{", '"', "[", "]", "}", "1", "e", ":", "null", "nan", '{"steps":']
    for _ in range(3000):
        key = str(rng.choice([*BROKEN, "family", "code", "training_data"]))
        value = "".join(rng.choice(pool, rng.integers(0, 12)))
        try:
            Metadata.of(METADATA | {key: value})
        except ValueError:
            continue


def test_metadata_from_a_file(tmp_path):
    with pytest.raises(DataError, match=r"p\.onnx: its metadata cannot be used: env_kwargs: reward='os:system'"):
        PolicyAgent(write(tmp_path / "p.onnx", METADATA | {"env_kwargs": '{"reward": "os:system"}'}))
    path = write(tmp_path / "q.onnx", METADATA | {"name": "zzzz"})
    path.write_bytes(path.read_bytes().replace(b"zzzz", b"\xff\xfe\xff\xfe"))
    with pytest.raises(DataError, match=r"q\.onnx"):
        PolicyAgent(path)


def test_what_a_file_says_goes_to_its_row(tmp_path):
    training = {"subjects": 48, "seeds": [3], "budget": "1 hour", "data": ["phantom 8"]}
    metadata = METADATA | {"name": "mine", "family": "imitation", "training": json.dumps(training)}
    method = describe(load_agent(str(write(tmp_path / "p.onnx", metadata))), "p.onnx")
    assert (method.name, method.family, method.training.subjects, method.commit) == ("mine", "imitation", 48, "")
    for wrong in ({"family": "magic"}, {"training": '{"subjects": "many"}'}, {"training": '{"x": 1}'}):
        agent = load_agent(str(write(tmp_path / "q.onnx", metadata | wrong)))
        with pytest.raises(AgentError, match="magic|subjects|no entry"):
            describe(agent, "q.onnx")


def test_names_stay_in_the_folder(tmp_path):
    """``--name ../../x`` and a file's own name wrote rows anywhere."""
    from tests.evaluation.conftest import AGENTS, bind, find_track, write_pairs

    track = bind(find_track("ctcbct-rigid-real"), write_pairs(tmp_path / "pairs", pairs=1))
    with pytest.raises(ValueError, match=r"name must be a name .*'\.\./\.\./up'"):
        run(track, f"{AGENTS}:walker", out=tmp_path / "a" / "b", cases=1, name="../../up")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pairs"]


# --- the graph ---


def endless(path):
    """A loop that never ends."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_in"], ["go"]), helper.make_node("Identity", ["x_in"], ["x"])],
        "body",
        [info("i", TensorProto.INT64, []), info("go_in", TensorProto.BOOL, []), info("x_in", TensorProto.FLOAT, None)],
        [info("go", TensorProto.BOOL, []), info("x", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Flatten", ["observation"], ["flat"], axis=1),
        helper.make_node("Loop", ["", "yes", "flat"], ["values"], body=body),
    ]
    return graph_file(path, nodes, [("yes", np.array(True))])


def glutton(path, size=10**10):
    """Takes ``size`` bytes, and only where the image is not black, so that a trial run does not tell."""
    nodes = [
        helper.make_node("ReduceMax", ["observation"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["seen"], to=TensorProto.INT64),
        helper.make_node("Mul", ["seen", "size"], ["wanted"]),
        helper.make_node("Reshape", ["wanted", "one"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["filled"]),
        helper.make_node("ReduceMean", ["filled"], ["mean"], keepdims=0),
        helper.make_node("Flatten", ["observation"], ["flat"], axis=1),
        helper.make_node("Add", ["flat", "mean"], ["values"]),
    ]
    return graph_file(path, nodes, [("size", np.array(size // 4)), ("one", np.array([1]))], [("values", [None, 32])])


def test_memory_is_bounded(tmp_path):
    agent = PolicyAgent(glutton(tmp_path / "p.onnx"))
    agent.act(0 * ONES)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with pytest.raises(DataError, match=r"p\.onnx fails on what it was given.*(alloc|memory)"):
        agent.act(ONES)
    agent.act(0 * ONES)  # goes on after a refusal
    agent._session._end()
    assert max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024 < sessions.MEMORY_BYTES


def test_memory_is_bounded_while_loading(tmp_path):
    """Constants are folded when a file is read."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["filled"]),
        helper.make_node("ReduceMean", ["filled"], ["mean"], keepdims=0),
        helper.make_node("Flatten", ["observation"], ["flat"], axis=1),
        helper.make_node("Add", ["flat", "mean"], ["values"]),
    ]
    path = graph_file(tmp_path / "p.onnx", nodes, [("shape", np.array([10**11]))], [("values", [None, 32])])
    with pytest.raises(DataError, match=r"p\.onnx .*(alloc|memory)"):
        PolicyAgent(path).act(ONES)


def test_time_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "STEP_SECONDS", 1)
    agent = PolicyAgent(endless(tmp_path / "p.onnx"))
    began = time.perf_counter()
    with pytest.raises(DataError, match="no answer within 1 s"):
        agent.act(ONES)
    assert time.perf_counter() - began < 10


def test_no_file_can_be_opened(tmp_path):
    """Weights in a file beside it, or anywhere."""
    np.arange(32, dtype=np.float32).tofile(tmp_path / "weights.bin")
    nodes = [
        helper.make_node("Flatten", ["observation"], ["flat"], axis=1),
        helper.make_node("Add", ["flat", "w"], ["values"]),
    ]
    for location in ("weights.bin", str(tmp_path / "weights.bin"), "/etc/passwd"):
        path = graph_file(tmp_path / "p.onnx", nodes, [("w", np.zeros((1, 32), np.float32))], [("values", [None, 32])])
        model = onnx.load(path)
        weights = model.graph.initializer[0]
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        entry = weights.external_data.add()
        entry.key, entry.value = "location", location
        path.write_bytes(model.SerializeToString())
        os.utime(path, ns=(0, time.time_ns()))
        with pytest.raises(DataError, match=r"p\.onnx cannot be read as an ONNX file"):
            PolicyAgent(path)


def test_state_is_bounded(tmp_path):
    huge = helper.make_tensor_value_info("memory", TensorProto.FLOAT, ["batch", 10**6, 10**6])
    nodes = [
        helper.make_node("Flatten", ["observation"], ["values"], axis=1),
        helper.make_node("Identity", ["memory"], ["next_memory"]),
    ]
    outputs = [("values", [None, 32]), ("next_memory", None)]
    with pytest.raises(DataError, match="'memory' must be float32 of at most"):
        PolicyAgent(graph_file(tmp_path / "p.onnx", nodes, (), outputs, [huge]))


@pytest.mark.parametrize("operator", ["Identity", "ReduceMax"])
def test_outputs_of_another_shape_are_named(tmp_path, operator):
    path = graph_file(
        tmp_path / "p.onnx", [helper.make_node(operator, ["observation"], ["values"])], (), [("values", None)]
    )
    with pytest.raises(DataError, match="output 'values' has shape"):
        PolicyAgent(path).act(ONES)


def test_files_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "p.onnx")
    with pytest.raises(DataError, match="no policy file"):
        PolicyAgent(tmp_path / "p.onnx")
    with open(tmp_path / "large.onnx", "wb") as stream:
        stream.truncate(300 << 20)
    with pytest.raises(DataError, match="at most"):
        PolicyAgent(tmp_path / "large.onnx")


def test_here_and_there_give_the_same(tmp_path):
    path = shipped("policies", "greedy_supervised_rigid.onnx")
    here, there = PolicyAgent(path), PolicyAgent(path, trusted=False)
    assert isinstance(here._session, sessions.LocalSession)
    assert isinstance(there._session, sessions.ConfinedSession)
    view = np.random.default_rng(0).integers(0, 255, (2, 2, 64, 64, 64), dtype=np.uint8)
    for _ in range(2):
        np.testing.assert_array_equal(here.act_batch(view), there.act_batch(view))
        np.testing.assert_array_equal(here.confidence, there.confidence)
    assert environment_keywords(here) == environment_keywords(there)
    assert math.isclose(here.min_confidence, 0.1)


def test_a_fork_gets_a_process_of_its_own(tmp_path):
    agent = PolicyAgent(write(tmp_path / "p.onnx", recurrent=False))
    assert agent.act(ONES) == 1
    child = os.fork()
    if child == 0:
        os._exit(0 if agent.act(ONES) == 1 and agent._session._owner == os.getpid() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert agent.act(ONES) == 1
