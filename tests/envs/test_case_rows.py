"""What is made once for each case: a lane that shows one again shows the same, and lanes share what they hold."""

from __future__ import annotations

import gc
import weakref

import gymnasium as gym
import numpy as np
import pytest

import regenv  # noqa: F401  (registers the ids)
from regenv.envs.window import HELD, Window

IDS = ("CTMR-Similarity2D-v0", "CardiacMR-SDM2D-v0", "XRayCT-Rigid-v0", "SliceMR-Rigid-v0")


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("reward", [None, "mind"])
def test_a_case_shown_again_on_another_lane_is_the_case_shown_first(env_id, reward):
    keywords = {"split": "validation", "reward": reward} if reward else {"split": "validation"}
    envs = gym.make_vec(env_id, num_envs=2, **keywords).unwrapped
    pairs = [envs._engine.source.ids[i] for i in range(2)]
    _, first = envs.reset(seed=0, options={"pair": pairs})
    starts = list(first["start"])
    shown = envs.step(np.zeros(2, int))
    envs.reset(options={"pair": pairs[::-1], "start": starts[::-1]})
    again = envs.step(np.zeros(2, int))
    np.testing.assert_array_equal(again[0], shown[0][::-1])
    np.testing.assert_array_equal(again[1], shown[1][::-1])
    for key in ("similarity", "tre", "transform"):
        np.testing.assert_array_equal(again[4][key], shown[4][key][::-1])


@pytest.mark.parametrize("env_id", IDS)
def test_the_error_is_the_mean_distance_of_the_points(env_id):
    env = gym.make(env_id, split="validation").unwrapped
    _, info = env.reset(seed=3)
    case = env._engine.case(0)
    error = env.model.carry(info["transform"], case.target.points, case.scene) - case.target.partners
    if case.scene.blind_axis is not None:
        normal = info["transform"][:3, :3] @ case.scene.blind_axis
        error -= (error @ normal)[:, None] * normal
    assert info["tre"] == pytest.approx(np.linalg.norm(error, axis=1).mean(), rel=1e-7)


def test_lanes_that_show_the_same_case_share_it_when_the_cache_has_dropped_it():
    envs = gym.make_vec("CTMR-Similarity2D-v0", num_envs=2, split="validation").unwrapped
    source = envs._engine.source
    source._prepared.max_bytes = 1  # the case used last and no other
    envs.reset(seed=0, options={"pair": [source.ids[0], source.ids[1]]})
    envs.reset(options={"pair": source.ids[0], "reset_mask": np.array([False, True])})
    assert envs._engine.case(0) is envs._engine.case(1)
    assert source.held[0] <= 2


@pytest.mark.parametrize(
    ("env_id", "keywords"),
    [
        *((env_id, {}) for env_id in (*IDS, "CTCBCT-Rigid-v0")),
        ("CTCBCT-Rigid-v0", {"reward": "dice"}),
        ("CTCBCT-Rigid-v0", {"reward": "ncc+ngf", "reward_region": "volume"}),
    ],
)
def test_a_case_that_no_lane_shows_any_more_is_let_go(env_id, keywords):
    envs = gym.make_vec(env_id, num_envs=2, split="validation", **keywords).unwrapped
    source = envs._engine.source
    source._prepared.max_bytes = 1  # the case used last and no other
    envs.reset(seed=0, options={"pair": source.ids[0]})
    first = weakref.ref(envs._engine.case(0))
    envs.reset(options={"pair": source.ids[1]})
    envs.step(np.zeros(2, int))
    gc.collect()
    assert first() is None and source.held[0] == 1


def test_the_case_that_a_lane_moves_on_to_is_prepared_before():
    envs = gym.make_vec("CTMR-Similarity2D-v0", num_envs=2, threads=2, subjects=1).unwrapped
    envs.reset(seed=0)
    source = envs._engine.source
    assert len(source._coming) == len({window.place for window in envs._engine._windows})
    alone = gym.make_vec("CTMR-Similarity2D-v0", num_envs=2, threads=1, subjects=1).unwrapped
    alone.reset(seed=0)
    assert not alone._engine.source._coming


def test_next_is_the_newest_case_of_the_window_to_come():
    rng, window = np.random.default_rng(0), Window()
    window.draw(rng)
    announced = {window.next()}
    for _ in range(20 * HELD):
        drawn = window.draw(rng)
        announced.add(window.next())
        assert drawn in announced or drawn[0] == 0
