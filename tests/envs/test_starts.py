"""Where episodes start: on the test split a pair has one start, so that many of them tell no more than one."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import regenv  # noqa: F401  (registers the ids)
from tests.envs.balls import Balls, c_arm
from tests.envs.blobs import Blobs

RIGID, FLAT = "CTCBCT-Rigid-v0", "BrainMR-SDM2D-v0"
DRAWN = {"misalignment": {"sd": 1.0}}
PAIRS = {RIGID: {"dataset": Blobs("test")}, FLAT: {"split": "test", **DRAWN}}


def starts_of(env, pair: str, seeds) -> np.ndarray:
    """Starts of one pair, one a seed; None goes on with the generator."""
    return np.stack([env.reset(seed=seed, options={"pair": pair})[1]["start"] for seed in seeds])


@pytest.mark.parametrize("env_id", PAIRS)
def test_a_test_pair_has_one_start(env_id):
    """Over seeds, repeated resets, what was shown before, and environments."""
    env = gym.make(env_id, **PAIRS[env_id])
    starts = starts_of(env, "0", [0, 1, 2, None, None])
    others = starts_of(env, "1", [0, 1])
    starts = np.concatenate(
        [starts, starts_of(gym.make(env_id, **PAIRS[env_id]), "0", [None, 3]), starts_of(env, "0", [0])]
    )
    assert (starts == starts[0]).all() and (others == others[0]).all()
    assert not np.allclose(starts[0], others[0])
    _, info = env.reset(seed=5)  # where the pair is drawn, too
    np.testing.assert_array_equal(starts_of(env, info["pair_id"], [6])[0], info["start"])


def test_it_does_not_depend_on_the_lane():
    envs = gym.make_vec(RIGID, num_envs=3, dataset=Blobs("test"))
    alone = gym.make(RIGID, dataset=Blobs("test"))
    start = alone.reset(options={"pair": "2"})[1]["start"]
    for seed in (0, 40):
        _, infos = envs.reset(seed=seed, options={"pair": "2"})
        assert (infos["start"] == start).all()


@pytest.mark.parametrize("env_id", PAIRS)
def test_training_starts_vary(env_id):
    keywords = {"dataset": Blobs("train")} if env_id == RIGID else DRAWN
    env = gym.make(env_id, **keywords)
    pair = env.reset(seed=7)[1]["pair_id"]
    starts = starts_of(env, pair, [0, 1, None, None, None])
    assert len(np.unique(starts.reshape(5, -1), axis=0)) == 5
    np.testing.assert_array_equal(starts[:2], starts_of(env, pair, [0, 1]))


def test_the_middle_of_many_test_starts_is_no_nearer_to_the_truth_than_one():
    off = {}
    for pairs, pair in ((Blobs("test"), "0"), (Blobs("train"), "train-0")):
        truth = pairs.load(0).truth.transform
        poses = starts_of(gym.make(RIGID, dataset=pairs), pair, [0, *[None] * 49])
        middle = (poses.min(axis=0) + poses.max(axis=0)) / 2
        away = [np.abs(pose - truth)[:3, 3].mean() for pose in (middle, *poses)]
        off[pairs.split] = away[0], np.mean(away[1:])
    assert off["test"][0] == pytest.approx(off["test"][1], rel=1e-12)
    assert off["train"][0] < 0.5 * off["train"][1]  # which is why the test split has one


def test_a_start_cannot_be_computed_from_the_pairs_name():
    """The truth is among what it is drawn from: the same name with another truth has another misalignment."""

    class Elsewhere(Blobs):
        def load(self, index):
            pair = super().load(index)
            transform = pair.truth.transform.copy()
            transform[:3, 3] += 1.0
            return replace(pair, truth=replace(pair.truth, transform=transform))

    away = []
    for data in (Blobs("test"), Elsewhere("test")):
        start = gym.make(RIGID, dataset=data).reset(options={"pair": "0"})[1]["start"]
        away.append(np.linalg.inv(data.load(0).truth.transform) @ start)
    assert np.abs(away[0] - away[1]).max() > 0.1


def test_a_test_start_that_no_camera_sees_is_drawn_again_alike():
    """Of uniform draws within 250 mm about half would look past these balls."""
    balls = Balls([c_arm(0.0)], [[0, 0, 0], [30, 0, 0], [0, -25, 10], [0, 0, 35]], pairs=6, split="test")
    keywords = {"dataset": balls, "misalignment": {"mm": 250.0, "deg": 20.0}}
    envs = [gym.make("XRayCT-Rigid-v0", **keywords) for _ in range(2)]
    for pair in range(6):
        starts = [starts_of(env, str(pair), [seed])[0] for seed, env in enumerate(envs)]
        np.testing.assert_array_equal(*starts)
        process = envs[0].unwrapped._engine.process
        assert process.sees(process.pose)[0]
