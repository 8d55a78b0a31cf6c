"""The demo's training, on ovals for a second."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs `pip install 'regenv[agents]'`")
pytest.importorskip("onnx", reason="needs `pip install 'regenv[agents]'`")
pytest.importorskip("PIL.Image", reason="needs `pip install 'regenv[video]'`")

import torch

from benchmarks import learning
from regenv.testing.sanity_envs import SANITY_ENVS

OVALS = SANITY_ENVS["shift"].dataset
TINY: dict[str, Any] = {"num_envs": 8, "rollout": 8, "minibatches": 2, "total_steps": 512}


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "pqn"
    folder.mkdir()
    (folder / "left").touch()  # by an earlier demo
    return folder, learning.learn(folder, starts=4, dataset=OVALS(), unseen=OVALS("validation"), **TINY)


def test_both_are_measured_on_the_same_cases(learned):
    _, found = learned
    assert found.before["episodes"] == found.after["episodes"] == 4
    assert found.before["start_tre_mm"] == found.after["start_tre_mm"]
    assert found.before["tre_mm"] != found.after["tre_mm"]
    assert found.start_mm == found.before["start_tre_mm"][1]


def test_the_curve_is_the_runs(learned):
    folder, found = learned
    assert found.steps == 512 and found.seconds > 0
    assert found.curve and found.curve[-1][0] == 512
    assert not (folder / "left").exists() and (folder / "policy.onnx").is_file()


def test_before_is_what_the_training_starts_from(tmp_path):
    import gymnasium as gym

    from agents.pqn.config import config_for
    from agents.pqn.train import Learner

    config = config_for(learning.ENV_ID, preset=learning.PRESET, **TINY)
    keywords = {"dataset": OVALS(), **config.env_kwargs, **config.training_kwargs}
    envs: Any = gym.make_vec(learning.ENV_ID, 8, autoreset_mode="SameStep", **keywords)
    begun = Learner(config, envs.unwrapped, learning.SEED).network.state_dict()
    untrained = learning.untrained_agent(tmp_path / "w.safetensors", OVALS(), **TINY).network.state_dict()
    assert begun.keys() == untrained.keys() and all(torch.equal(begun[key], untrained[key]) for key in begun)


def test_the_film_shows_the_trained_episode_to_its_end(learned):
    from PIL import Image

    from agents.pqn import PQNAgent

    folder, found = learned
    trained = PQNAgent(folder / "weights.safetensors")
    lengths = {len(learning.film(trained, seed, OVALS("validation"))) for seed in range(4)}
    with Image.open(folder / learning.FILM) as gif:
        assert gif.n_frames in {min(length, 40) for length in lengths}
    assert found.film == (folder / learning.FILM).read_bytes()


def test_two_episodes_under_each_other():
    short, long = ([np.full((10, 300, 3), 9 * i + n, np.uint8) for i in range(n)] for n in (2, 4))
    for before, after in ((short, long), (long, short)):
        frames = learning.before_and_after(before, after, steps=1000)
        assert len(frames) == len(after)
        for i, frame in enumerate(frames):
            assert (frame[-1] == after[i][-1]).all()  # after lies below
            assert (frame[22:32] == before[min(i, len(before) - 1)]).all()


def test_the_filmed_start_is_neither_the_best_nor_the_worst():
    episodes: Any = [SimpleNamespace(last={"tre": tre}) for tre in (9.0, 1.0, 5.0)]
    assert learning.median_seed(episodes) == 2
