"""The greedy supervised agent: its geometry, its training, its file, and what the shipped weights reach."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="trains the agent: pip install 'regenv[agents]'")
pytest.importorskip("onnx", reason="writes policy files: pip install 'regenv[agents]'")
pytest.importorskip("onnxruntime", reason="runs policy files: pip install 'regenv[align]'")

from agents.greedy_supervised.config import Config  # noqa: E402
from agents.greedy_supervised.data import Stream, batches  # noqa: E402
from agents.greedy_supervised.export import export, load_policy  # noqa: E402
from agents.greedy_supervised.losses import pose_error, spread  # noqa: E402
from agents.greedy_supervised.measure import Result, draw_starts, register, target  # noqa: E402
from agents.greedy_supervised.network import (  # noqa: E402
    Motion,
    NetworkConfig,
    consensus,
    lattice,
    log_motion,
    rigid_fit,
    robust_fit,
)
from agents.greedy_supervised.train import Trainer, train, write  # noqa: E402
from regenv.core.points import point_errors  # noqa: E402
from regenv.datasets import make_dataset  # noqa: E402
from regenv.policy import PolicyAgent  # noqa: E402
from regenv.poses import get_model  # noqa: E402
from regenv.resources import resource  # noqa: E402
from regenv.synthesis.shapes import PairGenerator, make_anatomy  # noqa: E402

SMALL = NetworkConfig(
    size=64, channels=(4, 4, 8), coarse_features=8, fine_features=8, coarse_queries=32, fine_queries=48, radius=1
)


@pytest.fixture(scope="module")
def anatomies():
    return [make_anatomy(seed) for seed in (501, 502)]


@pytest.fixture
def small() -> Config:
    return replace(Config.load(), network=SMALL)


def motions(count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    c = np.concatenate([rng.uniform(-60, 60, (count, 3)), rng.uniform(-45, 45, (count, 3))], axis=1)
    c[0] *= 1e-5
    matrices = get_model("rigid", 3).exp(c)
    p = rng.uniform(-90, 90, (count, 80, 3))
    q = np.einsum("bij,bnj->bni", matrices[:, :3, :3], p) + matrices[:, None, :3, 3]
    return c, torch.tensor(p).float(), torch.tensor(q).float()


def test_the_fit_finds_the_motion_and_its_logarithm():
    c, p, q = motions(30)
    motion = rigid_fit(p, q, torch.ones(p.shape[:2]))
    assert (motion(p) - q).abs().max() < 1e-3
    np.testing.assert_allclose(log_motion(motion, 1.0), c, atol=2e-3)
    np.testing.assert_allclose(log_motion(motion, 2.0)[:, :3], 2 * log_motion(motion, 1.0)[:, :3], atol=1e-3)


def test_a_minority_of_true_matches_is_enough():
    _, p, q = motions(8, seed=1)
    rng = torch.Generator().manual_seed(0)
    wrong = torch.rand(p.shape[:2], generator=rng) < 0.6
    q = torch.where(wrong.unsqueeze(2), (torch.rand(q.shape, generator=rng) - 0.5) * 200, q)
    weight = torch.ones(p.shape[:2])
    plain = rigid_fit(p, q, weight)
    motion, _ = robust_fit(p, q, weight * consensus(p, q, weight, 5.0), (8.0, 4.0))
    true = ~wrong
    assert (motion(p) - q).norm(dim=2)[true].max() < 0.5
    assert (plain(p) - q).norm(dim=2)[true].mean() > 5


def test_values_are_the_distance_that_an_action_takes_off(small, anatomies):
    policy = load_policy_of(small)
    left = torch.tensor([[30.0, -0.2, 4.0, 0.0, -11.0, 0.6]])

    def known(queries, moved):
        rotation = get_model("rigid", 3).exp(left.numpy())[0]
        angle = torch.deg2rad(left[:, 3:])
        theta = angle.norm()
        quaternion = torch.cat([torch.cos(theta / 2)[None, None], angle / theta * torch.sin(theta / 2)], dim=1)
        matrix = torch.tensor(rotation).float()
        return Motion(matrix[None, :3, :3], matrix[None, :3, 3] / policy.spacing_mm, quaternion), torch.ones(1)

    policy.matcher.answer = known
    values, _ = policy(torch.zeros((1, 2, 64, 64, 64), dtype=torch.uint8))
    moves = policy.moves
    expected = left.abs().unsqueeze(2) - (left.unsqueeze(2) - moves).abs()
    np.testing.assert_allclose(values, expected, atol=2e-3)
    chosen = moves[values.argmax(2)]
    nearest = moves[(left.unsqueeze(2) - moves).abs().argmin(2)]
    np.testing.assert_allclose((chosen - left).abs(), (nearest - left).abs(), atol=1e-2)
    left.mul_(0.005)  # within the stop: doing nothing is best in every degree of freedom
    assert (policy(torch.zeros((1, 2, 64, 64, 64), dtype=torch.uint8))[0].argmax(2) == 0).all()


def load_policy_of(config: Config, tmp: Path | None = None):
    from agents.greedy_supervised.network import Matcher, Policy

    torch.manual_seed(0)
    return Policy(Matcher(config.network), config.steps, config.view_spacing_mm, config.stop_mm).eval()


def test_spread_weights_reproduce_a_position():
    position = torch.tensor([[[3.3, -7.0, 11.9], [0.0, 0.5, -20.0]]])
    index, weight = spread(position, 16, 4)
    cells = lattice(16, 4.0)
    np.testing.assert_allclose((cells[index] * weight.unsqueeze(3)).sum(2), position, atol=1e-4)


def test_pose_error_is_the_motion_that_is_off():
    _, p, _ = motions(3, seed=2)
    weight = torch.ones(p.shape[:2])
    assert pose_error(p, p, weight) == pytest.approx(0.1, abs=1e-3)
    assert pose_error(p, p + torch.tensor([0.5, 0.0, 0.0]), weight) == pytest.approx(0.51, abs=0.02)
    noisy = p + 0.5 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
    assert pose_error(p, noisy, weight) < 0.25  # independent errors average out


def test_examples_teach_what_both_views_show(anatomies):
    example = next(iter(Stream(anatomies, seed=1)))
    assert example["observation"].dtype == torch.uint8 and example["observation"].shape == (2, 64, 64, 64)
    p = lattice(32, 2.0)[example["fine_index"]]
    rigid = p @ example["motion"][:3, :3].T + example["motion"][:3, 3]
    assert (rigid - example["fine_match"]).norm(dim=1).max() < 10
    assert example["fine_match"].abs().max() <= 31
    coarse = lattice(16, 4.0)[example["coarse_index"]]
    rigid = coarse @ example["motion"][:3, :3].T + example["motion"][:3, 3]
    assert (rigid - example["coarse_match"]).norm(dim=1).max() < 10


def test_training_lowers_the_loss_and_goes_on_where_it_was(small, anatomies, tmp_path):
    config = small.with_training(batch=1, learning_rate=5e-3)
    trainer = Trainer(config)
    batch = next(batches(anatomies, 1, 1, 0))
    trainer.step = 100  # past the warm-up
    first = trainer.learn(batch)
    for _ in range(12):
        last = trainer.learn(batch)
    assert last["coarse"] < first["coarse"] and last["fine"] < first["fine"]
    trainer.save(tmp_path / "checkpoint.safetensors")
    again = Trainer(config)
    again.resume(tmp_path / "checkpoint.safetensors")
    assert again.step == trainer.step == 113
    again.generator.set_state(trainer.generator.get_state())
    assert again.learn(batch)["coarse"] == pytest.approx(trainer.learn(batch)["coarse"], rel=1e-4)


def test_a_run_leaves_its_files(small, anatomies, tmp_path, monkeypatch):
    monkeypatch.setattr("agents.greedy_supervised.train.load_pool", lambda *_: anatomies)
    train(small.with_training(batch=1, minutes=0.02), tmp_path / "run", resume=False, workers=0)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"checkpoint.safetensors", "final.safetensors", "log.jsonl"} <= names
    assert not any(name.startswith(".") for name in names)


def test_a_failed_write_keeps_what_was_there(tmp_path):
    path = tmp_path / "weights.safetensors"
    write(path, {"a": torch.ones(2)})
    before = path.read_bytes()
    with pytest.raises(OSError, match="--resume"):
        write(path, {"a": "no tensor"})
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_file_acts_as_the_network_does(small, anatomies, tmp_path):
    policy = load_policy_of(small)
    write(tmp_path / "weights.safetensors", policy.matcher.state_dict())
    export(tmp_path / "weights.safetensors", tmp_path / "policy.onnx", small)
    policy = load_policy(tmp_path / "weights.safetensors", small)
    agent = PolicyAgent(tmp_path / "policy.onnx")
    assert agent.env_kwargs["actions"] == "multidiscrete" and agent.env_kwargs["steps"] == list(small.steps)
    generator = PairGenerator(anatomies, seed=4)
    first, second, third = (generator.draw().observation for _ in range(3))
    second[0], third[0] = first[0], first[0]  # one episode: the fixed view stays
    agent.reset(first)
    for observation in (first, second, third):
        with torch.inference_mode():
            values, confidence = policy(torch.from_numpy(observation)[None])
        agent.act(observation)
        np.testing.assert_allclose(agent.confidence, confidence, atol=0.02)
    both = np.stack([first, generator.draw().observation])
    agent.reset_batch(both)
    with torch.inference_mode():
        values, _ = policy(torch.from_numpy(both))
    assert (agent.act_batch(both) == values.argmax(2).numpy()).mean() > 0.9


def test_hyperparameters_are_checked(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(Path("agents/greedy_supervised/config.toml").read_text().replace("batch =", "bacth ="))
    with pytest.raises(ValueError, match=r"\[training\]: unknown key 'bacth'"):
        Config.load(path)


@pytest.fixture(scope="module")
def shipped() -> PolicyAgent:
    return PolicyAgent(resource("policies", "greedy_supervised_rigid.onnx"))


def test_shipped_weights_register_torsos_they_never_saw(shipped):
    """The card: at least 99 % under 5 mm, median under 0.5 mm after refinement."""
    dataset, rng, result = make_dataset("phantom", split="validation"), np.random.default_rng(0), Result("phantom")
    for index in (0, 1):
        pair = dataset.load(index)
        register(shipped, pair, draw_starts(pair, 4, 20.0, 30.0, rng), result)
    assert max(result.agent) < 5.0
    assert np.median(result.refined) < 0.5
    assert max(result.steps) <= shipped.max_steps + 1


def test_shipped_weights_register_a_real_scan(shipped, shared_data, tmp_path_factory):
    """A real half-lung CT against a cone-beam CT simulated from it, from far away."""
    from benchmarks.real_pairs import write_real_pairs

    folder = write_real_pairs(shared_data, tmp_path_factory.mktemp("real")).parent
    dataset = make_dataset(f"folder:{folder}", split="validation")
    pair = dataset.load(dataset.ids.index("lung_baseline_cbct"))
    result = Result("lung")
    starts = draw_starts(pair, 4, 20.0, 30.0, np.random.default_rng(1))
    register(shipped, pair, starts, result)
    assert max(result.agent) < 5.0 and max(result.refined) < 1.0
    assert shipped.confidence[0] > shipped.min_confidence
    known = target(pair)
    assert min(point_errors(start, known.points, known.partners).mean() for start in starts) > 10.0


def test_shipped_weights_do_not_trust_images_that_do_not_belong_together(shipped, anatomies):
    """Views of two different anatomies: the share of matches that agree stays below what the file asks for."""
    first, second = (PairGenerator([anatomy], seed=6, fine_share=0.0) for anatomy in anatomies)
    related, unrelated = [], []
    for _ in range(8):
        one, other = first.draw(), second.draw()
        for observation, kept in (
            (one.observation, related),
            (np.stack([one.observation[0], other.observation[1]]), unrelated),
        ):
            shipped.reset(observation)
            shipped.act(observation)
            kept.append(float(shipped.confidence[0]))
    assert np.median(unrelated) < shipped.min_confidence < np.median(related)


def test_the_shipped_file_is_the_export_of_the_shipped_weights(anatomies, tmp_path):
    shipped = resource("policies", "greedy_supervised_rigid.onnx")
    export(shipped.with_suffix(".safetensors"), tmp_path / "policy.onnx", Config.load())
    one, two = PolicyAgent(shipped), PolicyAgent(tmp_path / "policy.onnx")
    assert one.env_kwargs == two.env_kwargs and one.min_confidence == two.min_confidence
    observation = PairGenerator(anatomies, seed=5).draw().observation
    actions = []
    for agent in (one, two):
        agent.reset(observation)
        actions.append((agent.act(observation), float(agent.confidence[0])))
    np.testing.assert_array_equal(actions[0][0], actions[1][0])
    assert actions[0][1] == pytest.approx(actions[1][1], rel=1e-4)
