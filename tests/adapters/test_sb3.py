from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import regenv  # noqa: F401

pytest.importorskip("stable_baselines3", reason="needs `pip install 'regenv[agents]'`")

from stable_baselines3 import DQN, PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from regenv.adapters import sb3
from regenv.adapters.sb3 import RegistrationVecEnv
from tests.envs.blobs import Blobs

ID = "CTCBCT-Rigid-v0"
STOP = 24
BLOBS = Blobs("train")


def make_vec_env(*args: Any, **keywords: Any) -> RegistrationVecEnv:
    return sb3.make_vec_env(*args, dataset=BLOBS, **keywords)


def _assert_same_observations(ours: object, theirs: object) -> None:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        np.testing.assert_array_equal(ours["image"], theirs["image"])
        np.testing.assert_allclose(ours["pose"], theirs["pose"], atol=1e-9)
    else:
        np.testing.assert_array_equal(ours, theirs)


def _assert_same_infos(ours: list[dict], theirs: list[dict]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert set(a) == set(b)
        for key in a:
            if key == "episode":
                assert (a[key]["r"], a[key]["l"]) == (b[key]["r"], b[key]["l"])
            elif isinstance(a[key], dict):
                _assert_same_observations(a[key], b[key])
            else:
                assert type(a[key]) is type(b[key]), key
                if isinstance(a[key], float):  # the mean over the lanes' padded points may differ in the last bit
                    assert a[key] == pytest.approx(b[key], abs=1e-9), key
                else:
                    assert np.array_equal(a[key], b[key]), key


@pytest.mark.parametrize("keywords", [{}, {"parameters": True}], ids=["image", "dict"])
def test_it_is_step_for_step_a_dummy_vec_env_of_monitored_single_environments(keywords: dict) -> None:
    ours = make_vec_env(ID, 3, seed=5, horizon=4, **keywords)
    theirs = DummyVecEnv([lambda: Monitor(gym.make(ID, dataset=BLOBS, horizon=4, **keywords)) for _ in range(3)])
    theirs.seed(5)
    _assert_same_observations(ours.reset(), theirs.reset())
    _assert_same_infos(ours.reset_infos, theirs.reset_infos)
    episodes = 0
    for actions in np.random.default_rng(0).integers(0, STOP + 1, (14, 3)):
        a, b = ours.step(actions), theirs.step(actions)
        _assert_same_observations(a[0], b[0])
        assert a[1].dtype == b[1].dtype == np.float32
        np.testing.assert_array_equal(a[1], b[1])
        np.testing.assert_array_equal(a[2], b[2])
        _assert_same_infos(a[3], b[3])
        _assert_same_infos(ours.reset_infos, theirs.reset_infos)
        episodes += int(a[2].sum())
    assert episodes > 6


def test_the_terminal_observation_is_the_last_pose_and_the_returned_one_the_new_start() -> None:
    venv = make_vec_env(ID, 2, seed=0, horizon=3)
    venv.reset()
    for _ in range(2):
        venv.step(np.array([0, 5]))
    observations, _, dones, infos = venv.step(np.array([0, STOP]))
    assert dones.tolist() == [True, True]
    # STOP on the last step is an end of its own.
    assert [info["TimeLimit.truncated"] for info in infos] == [True, False]
    for lane, (info, new) in enumerate(zip(infos, venv.reset_infos, strict=True)):
        last = venv.envs.observe([info["pair_id"]], [info["transform"]])[0]
        np.testing.assert_array_equal(info["terminal_observation"], last)
        first = venv.envs.observe([new["pair_id"]], [new["start"]])[0]
        np.testing.assert_array_equal(observations[lane], first)
        assert not np.array_equal(last, first)
        assert "terminal_observation" not in new
        assert info["episode"]["l"] == 3


def test_seeds_and_options_hold_for_one_reset() -> None:
    venv = make_vec_env(ID, 2, seed=7)
    first = venv.reset()
    again = venv.reset()
    assert not np.array_equal(first, again)
    assert venv.seed(7) == [7, 8]
    np.testing.assert_array_equal(venv.reset(), first)

    info = venv.reset_infos[0]
    pinned = {"pair": info["pair_id"], "start": info["start"]}
    venv.set_options(pinned)
    np.testing.assert_array_equal(venv.reset(), np.stack([first[0]] * 2))
    assert not np.array_equal(venv.reset(), np.stack([first[0]] * 2))
    venv.set_options([pinned, {}])
    with pytest.raises(ValueError, match="same reset options"):
        venv.reset()


def test_methods_and_attributes_are_those_of_a_single_environment() -> None:
    venv = make_vec_env(ID, 3, seed=1, render_mode="rgb_array")
    single = gym.make(ID, dataset=BLOBS)
    venv.reset()
    single.reset(seed=2)
    np.testing.assert_array_equal(venv.env_method("truth", indices=1)[0], single.unwrapped.truth())
    assert venv.env_method("expert_action")[1] == single.unwrapped.expert_action()
    assert venv.get_attr("np_random_seed") == [1, 2, 3]
    assert venv.get_attr("action_space", indices=[0]) == [single.action_space]
    assert venv.get_attr("render_mode") == ["rgb_array"] * 3
    assert venv.has_attr("config") and not venv.has_attr("no_such_thing")
    assert venv.env_is_wrapped(Monitor) == [True] * 3
    assert venv.render().ndim == 3
    assert len(venv.get_images()) == 3

    state = venv.env_method("get_state", indices=0)[0]
    before = venv.env_method("observe", state["pair_id"], state["transform"], indices=0)[0]
    venv.step(np.array([0, 0, 0]))
    observation, info = venv.env_method("set_state", state, indices=0)[0]
    np.testing.assert_array_equal(observation, before)
    np.testing.assert_array_equal(info["transform"], state["transform"])

    venv.set_attr("tag", 4)
    assert venv.get_attr("tag", indices=2) == [4]
    with pytest.raises(ValueError, match="lanes share"):
        venv.set_attr("tag", 5, indices=0)
    with pytest.raises(IndexError, match="lane 3 of 3"):
        venv.get_attr("tag", indices=3)


def test_wrong_uses_are_refused() -> None:
    with pytest.raises(ValueError, match="autoreset_mode"):
        make_vec_env(ID, 2, autoreset_mode="NextStep")
    with pytest.raises(ValueError, match="SameStep"):
        RegistrationVecEnv(gym.make_vec(ID, num_envs=2, dataset=BLOBS).unwrapped)
    venv = make_vec_env(ID, 1, seed=0)
    venv.reset()
    with pytest.raises(RuntimeError, match="step_async"):
        venv.step_wait()
    with pytest.raises(AttributeError, match="vector environment"):
        venv.env_method("step", 0)


@pytest.mark.parametrize("algorithm", ["DQN", "PPO"])
def test_an_algorithm_learns_on_it_and_logs_its_episodes(algorithm: str) -> None:
    venv = make_vec_env(ID, 4, horizon=6, threads=1)
    if algorithm == "DQN":
        model = DQN("CnnPolicy", venv, buffer_size=200, learning_starts=16, batch_size=8, train_freq=2, seed=3)
    else:
        model = PPO("CnnPolicy", venv, n_steps=8, batch_size=16, n_epochs=1, seed=3)
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(64)
    assert any(not np.array_equal(a, b.detach()) for a, b in zip(before, model.policy.parameters(), strict=True))
    assert len(model.ep_info_buffer) >= 8
    assert all(0 < episode["l"] <= 6 for episode in model.ep_info_buffer)
    assert len(model.ep_success_buffer) == len(model.ep_info_buffer)


def test_evaluate_policy_takes_its_statistics_without_a_warning() -> None:
    venv = make_vec_env(ID, 2, horizon=3, seed=0)
    model = DQN("CnnPolicy", venv, buffer_size=10, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        returns, lengths = evaluate_policy(model, venv, n_eval_episodes=4, return_episode_rewards=True)
    assert len(returns) == 4
    assert all(0 < length <= 3 for length in lengths)


FORK = f"""
import gymnasium as gym, numpy as np, regenv
from stable_baselines3.common.vec_env import SubprocVecEnv
from regenv.adapters.sb3 import make_vec_env
from tests.envs.blobs import Blobs

blobs = Blobs("train")
parent = make_vec_env({ID!r}, 8, seed=0, threads=2, dataset=blobs)   # starts the thread pool in the parent
first = parent.reset()
step = parent.step(np.zeros(8, int))
make = lambda: gym.make({ID!r}, dataset=blobs)
workers = SubprocVecEnv([make] * 2, start_method="fork")
workers.seed(0)
assert np.array_equal(workers.reset(), first[:2])
result = workers.step(np.zeros(2, int))
assert np.array_equal(result[0], step[0][:2]) and np.allclose(result[1], step[1][:2], atol=1e-6)
workers.close()
envs = gym.vector.AsyncVectorEnv([make] * 2, context="fork")
assert np.array_equal(envs.reset(seed=0)[0], first[:2])
assert np.array_equal(envs.step(np.zeros(2, int))[0], step[0][:2])
envs.close()
parent.step(np.zeros(8, int))                          # and the parent's pool still lives
print("all well")
"""


def test_forked_workers_live_after_the_parent_has_used_the_batched_environment() -> None:
    # In a process of its own: a worker that died in the thread pool would hang the parent.
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=240)
    assert done.stdout.strip().endswith("all well"), done.stderr[-2000:]


def test_without_stable_baselines3_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['stable_baselines3'] = None; import regenv.adapters.sb3"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "pip install 'regenv[agents]'" in done.stderr
