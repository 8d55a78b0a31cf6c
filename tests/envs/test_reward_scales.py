"""A reward that nobody has calibrated pays a gain of 1 with 1, and says so."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest

import regenv  # noqa: F401  (registers the ids)
from regenv.catalogue import TASKS
from regenv.envs.config import make_config

RIGID = "CTCBCT-Rigid-v0"
CALIBRATED = tuple(TASKS[RIGID].calibration["reward_scales"])


def difference(fixed, moved, valid):
    return -np.abs(fixed - moved).mean((1, 2, 3))


@pytest.mark.parametrize("reward", ["tests.envs.test_reward_scales:difference", difference])
def test_a_metric_without_a_scale_warns_and_pays_its_gain(reward, blobs):
    with pytest.warns(UserWarning, match=rf"no calibrated scale on {RIGID}.*reward_scale=") as caught:
        env = gym.make(RIGID, dataset=blobs, reward=reward, step_cost=0.0)
    assert len(caught) == 1
    assert env.unwrapped.config.reward_scale == 1.0
    env.reset(seed=0)
    before = env.unwrapped.potential
    assert env.step(0)[1] == pytest.approx(env.unwrapped.potential - before, abs=1e-12)


@pytest.mark.parametrize("reward", [None, "mi", "dice"])
def test_a_similarity_that_is_not_calibrated_warns(reward, monkeypatch):
    monkeypatch.setattr("regenv.task._calibrations", dict)
    name = reward or TASKS[RIGID].similarity
    with pytest.warns(UserWarning, match=f"reward='{name}' has no calibrated scale"):
        assert make_config(RIGID, reward=reward).reward_scale == 1.0


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        *({"reward": reward} for reward in CALIBRATED),
        {"reward": difference, "reward_scale": 3.0},
        {"reward": "dice", "reward_scale": 1.0},
        {"dataset": "shapes"},
        {"preset": "liao2017", "split": "test"},  # whose reward needs the truth: it pays nothing
    ],
    ids=lambda keywords: "-".join(str(getattr(v, "__name__", v)) for v in keywords.values()) or "default",
)
def test_a_scale_that_is_measured_or_given_does_not_warn(keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = make_config(RIGID, **keywords)
    wanted = TASKS[RIGID].calibration["reward_scales"].get(config.reward, 1.0)
    assert config.reward_scale == keywords.get("reward_scale", wanted)


@pytest.mark.parametrize("env_id", TASKS)
def test_no_environment_warns_by_default(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert make_config(env_id).reward_scale > 0 != 1.0


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("region", ["view", "volume"])
def test_a_mean_of_similarities_pays_the_mean_of_their_rewards(lanes, region, blobs):
    names = ["ncc", "ngf", "mi"]
    envs = {
        reward: gym.make_vec(RIGID, lanes, dataset=blobs, reward=reward, reward_region=region, horizon=4)
        for reward in (*names, "+".join(names))
    }
    for env in envs.values():
        env.reset(seed=0)
    for action in (0, 5, 9, 14, 2, 7, 21):  # the fifth step begins new episodes
        paid = {reward: env.step(np.full(lanes, action))[1] for reward, env in envs.items()}
        assert len({tuple(paid[name]) for name in names}) == len(names) or action == 2
        np.testing.assert_allclose(paid["ncc+ngf+mi"], np.mean([paid[name] for name in names], axis=0), atol=1e-9)
    one = gym.make(RIGID, dataset=blobs, reward="ncc+ngf+mi").unwrapped
    assert one.reset(seed=0)[1]["similarity"] == one.potential  # so that a search climbs what is paid
    assert one.reward.name == "ncc+ngf+mi" and one.reward.telescopes and not one.reward.uses_truth


def test_a_mean_names_what_is_wrong_with_it(monkeypatch):
    with pytest.raises(ValueError, match="'ngff' is no similarity; did you mean 'ngf'"):
        gym.make(RIGID, reward="ncc+ngff")
    with pytest.raises(ValueError, match="'tre' is no similarity; .*nown: [^.]*'truncated_ssd'$"):
        gym.make(RIGID, reward="ncc+tre")
    monkeypatch.setattr("regenv.task._calibrations", dict)
    with pytest.raises(ValueError, match="'ncc' has no calibrated scale here"):
        gym.make(RIGID, reward="ncc+ngf")
