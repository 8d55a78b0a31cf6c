"""The kit passes the reference agents, and tells what is wrong with a broken one."""

from __future__ import annotations

import numpy as np
import pytest

from regenv.testing import check_agent
from tests.evaluation.some_agents import AtOnce, Walker

AGENTS = "tests.evaluation.some_agents"


@pytest.mark.parametrize("name", ["identity", "header", "centre", "random", "oracle", "greedy_search"])
def test_the_reference_agents_pass(name):
    check_agent(f"agents.{name}:factory")


@pytest.mark.parametrize("name", ["walker", "teller"])
def test_agents_of_the_runners_tests_pass(name, monkeypatch):
    monkeypatch.setattr(f"{AGENTS}.Walker.reset", lambda self, observation, info: setattr(self, "left", 3))
    check_agent(f"{AGENTS}:{name}")


class Sound:
    """Keeps to the protocol: one step, then STOP."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)

    def reset(self, observation, info):
        self.taken = 0

    def act(self, observation):
        self.taken += 1
        return 24 if self.taken > 2 else int(self.rng.integers(24))


class OutOfSpace(Sound):
    def act(self, observation):
        return 25


class NeedsTheTruth(Sound):
    def reset(self, observation, info):
        self.error = info["tre"]


class SpoilsTheObservation(Sound):
    def act(self, observation):
        observation[...] = 0
        return 24


class Unseeded(Sound):
    def __init__(self, seed=0):
        self.rng = np.random.default_rng()


class WantsTheTrainingSplit(Sound):
    env_kwargs = {"split": "train"}


class WantsWhatThereIsNot(Sound):
    env_kwargs = {"observation": "hologram"}


class OddFamily(Sound):
    method = {"name": "odd", "family": "magic"}


class ShortBatch(Sound):
    def act_batch(self, observations):
        return [24]


class NoReset:
    def act(self, observation):
        return 24


class NoTransform(AtOnce):
    def __init__(self, seed=0):
        pass

    def register(self, fixed, moving, initial):
        return np.eye(4)


class SpoilsTheImage(NoTransform):
    def register(self, fixed, moving, initial):
        fixed[0, 0, 0] = 77.0
        return initial


class Bends(NoTransform):
    def register(self, fixed, moving, initial):
        import SimpleITK as sitk

        return sitk.DisplacementFieldTransform(3)


def test_a_sound_agent_passes_as_factory_and_as_object():
    check_agent(Sound)
    check_agent(Sound(3))
    check_agent(Walker)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (OutOfSpace, "25, which is not in Discrete"),
        (SpoilsTheObservation, "changed the observation"),
        (Unseeded, "made twice with seed"),
        (WantsTheTrainingSplit, "may not set 'split'"),
        (WantsWhatThereIsNot, "does not take the agent's env_kwargs"),
        (OddFamily, "family='magic'"),
        (ShortBatch, "1 actions for 3 observations"),
        (NoReset, "lacks reset"),
        (NoTransform, "give a SimpleITK transform"),
        (SpoilsTheImage, "changed an image"),
        (Bends, "not linear"),
    ],
)
def test_what_is_broken_is_told(broken, message):
    factory = broken if broken is not NoReset else (lambda seed: NoReset())
    with pytest.raises(AssertionError, match=message):
        check_agent(factory)


def test_the_truth_is_not_there():
    with pytest.raises((AssertionError, KeyError)):
        check_agent(NeedsTheTruth)


def test_no_agent():
    with pytest.raises(AssertionError, match="no module"):
        check_agent("nowhere:make")
    with pytest.raises(AssertionError, match="neither"):
        check_agent(lambda seed: object())
