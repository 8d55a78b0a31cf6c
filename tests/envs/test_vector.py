"""The vector face is the single face, lane by lane, in every autoreset mode."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import regenv  # noqa: F401
from regenv.core import background, lanes
from tests.envs.blobs import Blobs

RIGID = "CTCBCT-Rigid-v0"
LANES = 3


def both_faces(blobs, mode="NextStep", **keywords):
    keywords = {"horizon": 4, "dataset": blobs, **keywords}
    vector = gym.make_vec(RIGID, num_envs=LANES, autoreset_mode=mode, **keywords)
    single = SyncVectorEnv([partial(gym.make, RIGID, **keywords)] * LANES, autoreset_mode=AutoresetMode(mode))
    return vector, single


def assert_same_infos(one, two):
    assert set(one) == set(two)
    for key, values in two.items():
        if key == "final_info":
            assert_same_infos(one[key], values)
        elif key == "final_obs":
            for a, b in zip(one[key], values, strict=True):
                np.testing.assert_array_equal(a, b)
        elif values.dtype == object:
            kept = values != None  # noqa: E711 (element by element)
            np.testing.assert_array_equal(one[key][kept], values[kept])
        else:
            kept = two.get(f"_{key}", np.ones(len(values), bool))
            np.testing.assert_allclose(one[key][kept], values[kept], atol=1e-9)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("keywords", [{}, {"reward": "mi"}, {"observation": "difference", "actions": "multidiscrete"}])
def test_a_lane_is_the_single_environment(mode, keywords, blobs):
    vector, single = both_faces(blobs, mode, **keywords)
    assert vector.single_observation_space == single.single_observation_space
    assert vector.observation_space == single.observation_space
    one, two = vector.reset(seed=11), single.reset(seed=11)
    np.testing.assert_array_equal(one[0], two[0])
    assert_same_infos(one[1], two[1])
    vector.action_space.seed(0)
    for _ in range(14):
        actions = vector.action_space.sample()
        one, two = vector.step(actions), single.step(actions)
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_allclose(one[1], two[1], atol=1e-9)
        np.testing.assert_array_equal(one[2], two[2])
        np.testing.assert_array_equal(one[3], two[3])
        assert_same_infos(one[4], two[4])


def test_stop_resets_only_its_lane(blobs):
    envs = gym.make_vec(RIGID, num_envs=LANES, dataset=blobs, autoreset_mode=AutoresetMode.NEXT_STEP)
    envs.reset(seed=0)
    stop = envs.single_action_space.n - 1
    _, rewards, terminated, _, before = envs.step(np.array([0, stop, 0]))
    assert terminated.tolist() == [False, True, False] and rewards[1] == 0.0
    _, rewards, terminated, _, after = envs.step(np.array([0, 5, 0]))
    assert not terminated.any() and rewards[1] == 0.0
    assert not np.array_equal(after["start"][1], before["start"][1])
    np.testing.assert_array_equal(after["start"][0], before["start"][0])


def test_disabled_autoreset_waits_for_the_mask(blobs):
    envs = gym.make_vec(RIGID, num_envs=LANES, dataset=blobs, autoreset_mode="Disabled", horizon=1)
    envs.reset(seed=0)
    envs.step(np.zeros(LANES, int))
    with pytest.raises(RuntimeError, match="reset_mask"):
        envs.step(np.zeros(LANES, int))
    _, infos = envs.reset(options={"reset_mask": np.array([True, True, True])})
    assert infos["_start"].all()
    assert envs.step(np.zeros(LANES, int))[3].all()


def test_reset_mask_leaves_other_lanes_alone(blobs):
    envs = gym.make_vec(RIGID, num_envs=LANES, dataset=blobs)
    first, infos = envs.reset(seed=0)
    second, masked = envs.reset(options={"reset_mask": np.array([False, True, False])})
    np.testing.assert_array_equal(first[[0, 2]], second[[0, 2]])
    assert not np.array_equal(masked["start"][1], infos["start"][1])
    assert masked["_start"].tolist() == [False, True, False]


def test_a_seed_is_for_the_lanes_that_are_reset(blobs):
    vector, single = both_faces(blobs, "Disabled")
    for envs in (vector, single):
        envs.reset(seed=1)
        envs.reset(seed=50, options={"reset_mask": np.array([True, False, False])})
    np.testing.assert_array_equal(vector.reset()[1]["start"], single.reset()[1]["start"])


def test_seeds_one_by_one(blobs):
    envs = gym.make_vec(RIGID, num_envs=LANES, dataset=blobs)
    together, _ = envs.reset(seed=7)
    listed, _ = envs.reset(seed=[7, 8, 9])
    np.testing.assert_array_equal(together, listed)
    with pytest.raises(ValueError, match="as many"):
        envs.reset(seed=[1, 2])


def test_threads_change_nothing(blobs):
    rollouts = []
    for threads in (1, 2):
        envs = gym.make_vec(RIGID, num_envs=8, dataset=blobs, threads=threads, horizon=5)
        envs.reset(seed=0)
        steps = [envs.step(np.full(8, a)) for a in (0, 4, 9, 13, 20, 2)]
        rollouts.append((np.stack([s[0] for s in steps]), np.stack([s[1] for s in steps])))
    np.testing.assert_array_equal(rollouts[0][0], rollouts[1][0])
    np.testing.assert_array_equal(rollouts[0][1], rollouts[1][1])


def test_forked_workers_run_after_the_parent_has_used_threads(blobs):
    envs = gym.make_vec(RIGID, num_envs=8, dataset=blobs, threads=2)
    envs.reset(seed=0)
    expected = envs.step(np.zeros(8, int))[1]
    workers = AsyncVectorEnv([partial(gym.make, RIGID, dataset=blobs)] * 2, context="fork")
    try:
        workers.reset(seed=0)
        np.testing.assert_allclose(workers.step(np.zeros(2, int))[1], expected[:2], atol=1e-9)
    finally:
        workers.close()


def test_states_expert_and_truth_are_batched(blobs):
    envs = gym.make_vec(RIGID, num_envs=LANES, dataset=blobs)
    _, infos = envs.reset(seed=0)
    assert envs.truth().shape == (LANES, 4, 4)
    states = envs.get_state()
    for _ in range(3):
        _, _, _, _, after = envs.step(envs.expert_action())
    assert (after["tre"] < infos["tre"]).all()
    observation, back = envs.set_state(states)
    np.testing.assert_array_equal(back["transform"], infos["transform"])
    np.testing.assert_array_equal(envs.observe(infos["pair_id"], infos["transform"]), observation)


def test_a_state_remembers_that_the_episode_is_over(blobs):
    envs = gym.make_vec(RIGID, num_envs=2, dataset=blobs)
    envs.reset(seed=0)
    envs.step(np.array([envs.single_action_space.n - 1, 0]))
    states = envs.get_state()
    ahead = envs.step(np.zeros(2, int))
    envs.set_state(states)
    again = envs.step(np.zeros(2, int))
    np.testing.assert_array_equal(again[0], ahead[0])
    np.testing.assert_array_equal(again[1], ahead[1])


def test_a_reset_that_failed_leaves_nothing_to_step(blobs):
    envs = gym.make_vec(RIGID, num_envs=LANES, dataset=blobs)
    with pytest.raises(ValueError, match="nonsense"):
        envs.reset(options={"pair": [blobs.ids[0], "nonsense", blobs.ids[0]]})
    with pytest.raises(RuntimeError, match=r"call reset\(\)"):
        envs.step(np.zeros(LANES, int))


@pytest.mark.parametrize("options", [{"pair": ["train-0", "train-1"]}, {"start": np.tile(np.eye(4), (2, 1, 1))}])
def test_pins_of_another_number_of_lanes_are_refused(options, blobs):
    envs = gym.make_vec(RIGID, num_envs=LANES, dataset=blobs)
    with pytest.raises(ValueError, match="each of 3 lanes, got 2"):
        envs.reset(options=options)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_lane_without_truth_has_no_success(order, blobs):
    class Mixed(Blobs):
        def load(self, index):
            pair = super().load(index)
            return replace(pair, truth=None, alignment=pair.truth.transform) if index == 1 else pair

    envs = gym.make_vec(RIGID, num_envs=2, dataset=Mixed(), misalignment={"mm": 0.0, "deg": 0.0})
    envs.reset(seed=0, options={"pair": "train-0"})
    _, infos = envs.reset(options={"pair": [blobs.ids[i] for i in order]})
    known = np.array(order) == 0
    np.testing.assert_array_equal(infos["_tre"], known)
    np.testing.assert_array_equal(infos["is_success"], known)
    np.testing.assert_allclose(infos["tre"], 0.0, atol=1e-9)


@pytest.mark.parametrize("env_id", ["XRayCT-Rigid-v0", "SliceMR-Rigid-v0", "CardiacMR-SDM2D-v0"])
def test_one_thread_means_one(env_id, monkeypatch):
    monkeypatch.setattr(lanes, "_workers", [])
    monkeypatch.setattr(background, "_pool", None)
    monkeypatch.setenv("REGENV_NUM_THREADS", "2")
    envs = gym.make_vec(env_id, num_envs=16, threads=1)
    envs.reset(seed=0, options={"pair": envs.unwrapped._engine.source.ids[0]})
    envs.step(np.zeros(16, int))
    assert lanes._workers == [] and background._pool is None


def test_pins_for_each_lane(blobs):
    envs = gym.make_vec(RIGID, num_envs=LANES, dataset=blobs)
    starts = np.stack([blobs.load(i).truth.transform for i in range(3)])
    _, infos = envs.reset(seed=0, options={"pair": list(blobs.ids), "start": starts})
    assert infos["pair_id"].tolist() == list(blobs.ids) and infos["tre"].max() < 1e-9


@pytest.mark.parametrize("face", ["single", "vector"])
def test_a_pickled_copy_goes_on_alike(face, blobs):
    env = gym.make(RIGID, dataset=blobs) if face == "single" else gym.make_vec(RIGID, num_envs=LANES, dataset=blobs)
    env.reset(seed=0)
    action = 4 if face == "single" else np.full(LANES, 4)
    env.step(action)
    copy = pickle.loads(pickle.dumps(env))
    one, two = env.step(action), copy.step(action)
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def test_max_episode_steps_is_the_horizon(blobs):
    envs = gym.make_vec(RIGID, num_envs=LANES, dataset=blobs, max_episode_steps=2)
    envs.reset(seed=0)
    assert not envs.step(np.zeros(LANES, int))[3].any()
    assert envs.step(np.zeros(LANES, int))[3].all()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [({"num_envs": 0}, "num_envs"), ({"num_envs": 2, "autoreset_mode": "Sometimes"}, "NextStep")],
)
def test_bad_keywords_are_named(keywords, message, blobs):
    with pytest.raises(ValueError, match=message):
        gym.make_vec(RIGID, dataset=blobs, **keywords)


def test_too_few_actions(blobs):
    envs = gym.make_vec(RIGID, num_envs=LANES, dataset=blobs)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="3 lanes"):
        envs.step(np.zeros(2, int))
