"""The kit passes the suite's environments in many settings, and catches each kind of broken one."""

from __future__ import annotations

import os

import gymnasium as gym
import numpy as np
import pytest

import regenv  # noqa: F401  (registers the ids)
from regenv.envs.single import RegistrationEnv
from regenv.testing import SmallPairs, check_environment


def make(split="train", **keywords):
    return gym.make("CTCBCT-Rigid-v0", split=split, dataset=SmallPairs(split), **keywords)


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"split": "test"},
        {"observation": "difference", "dtype": "float32", "parameters": True},
        {"actions": "continuous", "stop": True},
        {"actions": "multidiscrete"},
        {"actions": "unit", "stop": False, "horizon": 30},
        {"reward": "tre"},
        {"preset": "liao2017", "view_size": 40},
    ],
)
def test_the_suite_passes(keywords):
    check_environment(make(**keywords))


class Unseeded(RegistrationEnv):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=int.from_bytes(os.urandom(4)), options=options)


class TellsTheTruth(RegistrationEnv):
    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated, truncated, {**info, "tre": 3.0}


class NaNInInfo(RegistrationEnv):
    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated, truncated, {**info, "speed": np.nan}


class ForgetsPair(RegistrationEnv):
    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        return observation, {k: v for k, v in info.items() if k != "pair_id"}


class SharesMemory(RegistrationEnv):
    buffer = np.zeros((6, 64, 64), np.uint8)

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        self.buffer[...] = observation
        return self.buffer, info

    def step(self, action):
        observation, *rest = super().step(action)
        self.buffer[...] = observation
        return self.buffer, *rest


class Overpays(RegistrationEnv):
    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, reward + 0.1, *rest


class TerminatesAtTheHorizon(RegistrationEnv):
    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated or truncated, False, info


class IgnoresStop(RegistrationEnv):
    def step(self, action):
        observation, reward, _, truncated, info = super().step(action)
        return observation, reward, False, truncated, info


@pytest.mark.parametrize(
    ("broken", "split", "message"),
    [
        (Unseeded, "train", "seed|determin|np_random"),
        (TellsTheTruth, "test", "info tells \\['tre'\\]"),
        (NaNInInfo, "train", "'speed'|not finite|nan"),
        (ForgetsPair, "train", "'pair_id'"),
        (SharesMemory, "train", "memory|changed after|share an object"),
        (Overpays, "train", "telescopes"),
        (TerminatesAtTheHorizon, "train", "use truncated for the horizon"),
        (IgnoresStop, "train", "must terminate"),
    ],
)
def test_what_is_broken_is_caught(broken, split, message):
    def make_broken():
        return broken("CTCBCT-Rigid-v0", split=split, dataset=SmallPairs(split), horizon=12)

    with pytest.raises(AssertionError, match=message):
        check_environment(make_broken(), same=make_broken)
