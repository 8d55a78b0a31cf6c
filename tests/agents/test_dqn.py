from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import regenv  # noqa: F401

pytest.importorskip("stable_baselines3", reason="needs `pip install 'regenv[agents]'`")
pytest.importorskip("onnx", reason="needs `pip install 'regenv[agents]'`")

import torch
from stable_baselines3 import DQN

from agents.dqn import DQNAgent, ship, train
from agents.dqn.agent import WEIGHTS, WEIGHTS_VARIABLE, factory
from agents.dqn.config import dqn_config
from agents.dqn.monitor import minutes_trained
from agents.dqn.network import from_sb3, load_weights, q_network, save_weights
from agents.dqn.policy_file import policy_metadata, save_policy
from regenv.adapters.sb3 import make_vec_env
from regenv.catalogue import TASKS
from regenv.policy import PolicyAgent
from regenv.testing import check_agent
from tests.envs.blobs import Blobs

TINY = {
    "num_envs": 2,
    "base_pairs": 2,
    "pairs": 4,
    "buffer_size": 64,
    "learning_starts": 16,
    "batch_size": 8,
    "gradient_steps": 1,
}
METADATA = {"env_id": "CTCBCT-Rigid-v0", "env_kwargs": {}, "channels": 6, "size": 64, "actions": 25, "steps": 7}


def _train(out: Path, steps: int, **keywords: object) -> Path:
    return train.train(out, steps, dataset=Blobs("train"), progress=False, **{**TINY, **keywords})


def test_any_rigid_environment_can_be_trained_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command makes the data set of its environment, with the recipe and the modalities that belong to it."""
    dataset = train._training_split("T1T2-Rigid-v0", "phantom")
    assert dataset.split == "train" and dataset.modalities == TASKS["T1T2-Rigid-v0"].modalities
    given = {}
    monkeypatch.setattr(train, "train", lambda *_, **keywords: given.update(keywords) or tmp_path / "policy.onnx")
    assert train.main(["--out", str(tmp_path), "--env", "T1T2-Rigid-v0"]) == 0
    assert dqn_config(env_id=given["env_id"]).env_id == "T1T2-Rigid-v0"


def test_sb3_takes_the_configuration() -> None:
    default = dqn_config()
    DQN("CnnPolicy", make_vec_env(default.env_id, 1, dataset=Blobs("train")), **{**default.for_sb3(), "buffer_size": 9})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("gamma", 1.5, "gamma must be between 0 and 1, got 1.5"),
        ("batch_size", 0, "batch_size must be a whole number of at least 1, got 0"),
        ("learning_rate", -1.0, "learning_rate must be positive, got -1.0"),
        ("learning_starts", 3, "learning_starts=3 must be at least batch_size"),
        ("gama", 0.9, "did you mean 'gamma'"),
    ],
)
def test_a_wrong_hyperparameter_is_named(key: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dqn_config(**{key: value})


def test_the_plain_network_is_sb3s(tmp_path: Path) -> None:
    venv = make_vec_env("CTCBCT-Rigid-v0", 3, dataset=Blobs("train"), seed=0)
    model = DQN("CnnPolicy", venv, buffer_size=9, seed=1)
    observations = venv.reset()
    network = from_sb3(model.q_net)
    with torch.no_grad():
        theirs = model.q_net(torch.from_numpy(observations)).numpy()
        ours = network(torch.from_numpy(observations).float() / 255).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-6)

    save_weights(network, tmp_path / "w.safetensors", METADATA)
    save_policy(network, tmp_path / "p.onnx", (6, 64, 64), policy_metadata("mine", {**METADATA, "training_data": "x"}))
    assert (tmp_path / "w.safetensors").stat().st_size < 2e6
    agent, policy = DQNAgent(tmp_path / "w.safetensors"), PolicyAgent(tmp_path / "p.onnx")
    best = theirs.argmax(1)
    np.testing.assert_array_equal(policy.act_batch(observations), best)
    assert policy.method["name"] == "mine"
    # Half precision may swap two values that are all but equal.
    chosen = agent.act_batch(observations)
    assert (theirs.max(1) - theirs[np.arange(3), chosen] < 1e-3).all()
    assert agent.act(observations[1]) == chosen[1]
    check_agent(str(tmp_path / "p.onnx"))


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"agents\.dqn\.train"):
        load_weights(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(ValueError, match="not a weight file"):
        load_weights(tmp_path / "text.safetensors")
    save_weights(q_network(6, 64, 25), tmp_path / "w.safetensors", {**METADATA, "actions": 13})
    with pytest.raises(ValueError, match="not a weight file"):
        load_weights(tmp_path / "w.safetensors")
    model = DQN("MlpPolicy", gym.make("CartPole-v1"), buffer_size=9)
    with pytest.raises(ValueError, match="CnnPolicy"):
        from_sb3(model.q_net)


def test_a_run_trains_exports_and_is_resumed(tmp_path: Path) -> None:
    out = tmp_path / "run"
    policy = _train(out, 40)
    first, metadata = load_weights(out / train.WEIGHTS)
    assert metadata["steps"] == 40 and metadata["seed"] == 0
    assert "blobs" in metadata["training_data"]
    assert json.loads((out / "progress.jsonl").read_text().splitlines()[-1])["steps"] == 40
    assert not list(out.glob(".*"))
    check_agent(str(policy))
    with pytest.raises(FileExistsError, match="--resume"):
        _train(out, 40)

    _train(out, 80, resume=True)
    second, metadata = load_weights(out / train.WEIGHTS)
    assert metadata["steps"] == 80
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    # Resumed from the weights it stopped with: nearer to them than to a new network.
    new = from_sb3(
        DQN("CnnPolicy", make_vec_env("CTCBCT-Rigid-v0", 1, dataset=Blobs("train")), seed=9, buffer_size=9).q_net
    )
    assert _distance(first, second) < 0.2 * _distance(first, new)
    with pytest.raises(ValueError, match="another learning_rate"):
        _train(out, 120, resume=True, learning_rate=1e-3)
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        _train(tmp_path / "empty", 40, resume=True)


def _distance(a: torch.nn.Module, b: torch.nn.Module) -> float:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return float(sum(((p - q).detach() ** 2).sum() for p, q in pairs)) ** 0.5


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    runs = [
        load_weights(_train(tmp_path / f"{n}", 60, seed=seed).parent / train.WEIGHTS)[0]
        for n, seed in enumerate((1, 1, 2))
    ]
    assert _distance(runs[0], runs[1]) == 0.0
    assert _distance(runs[0], runs[2]) > 0.1


def test_the_replay_buffer_is_kept_on_request(tmp_path: Path) -> None:
    _train(tmp_path / "run", 40, keep_buffer=True)
    assert (tmp_path / "run" / "replay_buffer.pkl").stat().st_size > 40 * 2 * 6 * 64 * 64
    _train(tmp_path / "run", 60, resume=True, keep_buffer=True)


def test_the_clock_ends_a_run_and_anneals_exploration(tmp_path: Path) -> None:
    _train(tmp_path / "run", 10**6, minutes=0.05)
    last = json.loads((tmp_path / "run" / "progress.jsonl").read_text().splitlines()[-1])
    assert 0.05 <= last["minutes"] < 0.2
    assert last["steps"] < 10**5
    assert last["exploration"] == pytest.approx(dqn_config().exploration_final_eps)


def test_minutes_add_up_over_resumptions(tmp_path: Path) -> None:
    lines = [{"minutes": m} for m in (1.0, 2.5, 0.5, 1.5, 0.25)]
    (tmp_path / "progress.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert minutes_trained(tmp_path) == 4.25


def test_a_full_disk_leaves_the_last_checkpoint_and_the_training(tmp_path: Path, monkeypatch, capsys) -> None:
    from agents.dqn import monitor

    _train(tmp_path / "run", 40)
    before = (tmp_path / "run" / monitor.CHECKPOINT).read_bytes()

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(monitor, "write_atomically", full)
    _train(tmp_path / "run", 60, resume=True)
    assert (tmp_path / "run" / monitor.CHECKPOINT).read_bytes() == before
    assert "No space left" in capsys.readouterr().out


COMMAND = """
import functools, sys
from tests.envs.blobs import Blobs
from agents.dqn import train
train._training_split = lambda env_id, name: Blobs("train")
train.dqn_config = functools.partial(train.dqn_config, buffer_size=20_000, base_pairs=16, pairs=32)
sys.exit(train.main(sys.argv[1:]))
"""


def test_control_c_writes_a_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["--out", str(out), "--steps", "1000000"]
    process = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if " steps" in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(60) == 130, rest
    assert "--resume" in rest and "Traceback" not in rest
    assert (out / "checkpoint.zip").is_file()
    DQN.load(out / "checkpoint.zip")


def test_the_variable_names_other_weights(tmp_path: Path, monkeypatch) -> None:
    save_weights(q_network(6, 64, 25), tmp_path / "w.safetensors", METADATA)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "w.safetensors"))
    assert factory(seed=3).metadata["steps"] == 7


def test_the_shipped_agent_keeps_the_protocol_and_is_small() -> None:
    assert WEIGHTS.stat().st_size < 15e6
    assert WEIGHTS.with_suffix(".md").is_file()
    check_agent("agents.dqn:factory")


def test_shipping_measures_on_held_out_subjects_and_writes_the_card(tmp_path: Path, monkeypatch) -> None:
    _train(tmp_path / "run", 40)
    make = gym.make
    monkeypatch.setattr(gym, "make", lambda *a, **k: make(*a, dataset=Blobs(k["split"]), **k))
    path = ship.ship(tmp_path / "run", tmp_path / "shipped.safetensors", episodes=2)
    _, metadata = load_weights(tmp_path / "shipped.safetensors")
    result = metadata["result"]
    assert result["episodes"] == 2 and 0.0 <= result["success"]["10"] <= 1.0
    assert result["start_tre_mm"][0] > 1.0
    assert "40 steps" in path.read_text() and "100 episodes" not in path.read_text()


@pytest.mark.slow
def test_the_shipped_agent_reaches_its_stated_success_on_held_out_phantoms() -> None:
    agent = factory()
    stated = agent.metadata["result"]
    found = ship.measure(agent, 40)
    for threshold in ("5", "10"):
        assert found["success"][threshold] >= stated["success"][threshold] - 0.15
