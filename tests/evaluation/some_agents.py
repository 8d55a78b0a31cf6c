"""Agents for tests of the runner: good ones, and each kind of bad one."""

import os

import numpy as np


class Walker:
    """Three steps drawn from its own seed, then STOP."""

    method = {"name": "walker", "family": "reference"}
    env_kwargs = {"horizon": 20}

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)

    def seed(self, seed):
        self.rng = np.random.default_rng(seed)

    def reset(self, observation, info):
        assert "truth" not in info and "tre" not in info
        assert set(info) == {"transform", "start", "similarity", "pair_id"}
        self.left = 3

    def act(self, observation):
        assert observation.shape == (6, 64, 64)
        self.left -= 1
        return int(self.rng.integers(24)) if self.left >= 0 else 24


def walker(seed):
    return Walker(seed)


class Stumbler(Walker):
    """Fails on the case named in the environment variable STUMBLE, by count."""

    method = {"name": "stumbler", "family": "rl"}
    count = 0

    def reset(self, observation, info):
        super().reset(observation, info)
        type(self).count += 1
        if type(self).count > int(os.environ.get("STUMBLE", "1000000")):
            if os.environ.get("STUMBLE_BY") == "interrupt":
                raise KeyboardInterrupt
            raise ZeroDivisionError("no more strength")


def stumbler(seed):
    return Stumbler(seed)


class AtOnce:
    """Answers the start, moved by 1 mm along x."""

    method = {"name": "at-once", "family": "classical", "test_time_optimisation": True}

    def register(self, fixed, moving, initial):
        import SimpleITK as sitk

        assert fixed.GetSpacing() == (4.0, 4.0, 4.0) and moving.GetDimension() == 3
        self.evaluations = 7
        return sitk.CompositeTransform([sitk.TranslationTransform(3, (1.0, 0.0, 0.0)), initial])


def at_once(seed):
    return AtOnce()


class Cheat(AtOnce):
    method = {"name": "cheat", "family": "rl", "uses_truth": True}


def cheat(seed):
    return Cheat()


class Teller(AtOnce):
    """A reference that is told the truth."""

    method = {"name": "teller", "family": "reference", "uses_truth": True}

    def register(self, problem):
        return problem.truth


def teller(seed):
    return Teller()


class CopyOfStart:
    """Answers the start as something else: a displacement field."""

    method = {"name": "copy-of-start", "family": "reference"}

    def register(self, problem):
        import SimpleITK as sitk

        return sitk.CompositeTransform([problem.initial, sitk.TranslationTransform(problem.fixed.GetDimension())])


def copy_of_start(seed):
    return CopyOfStart()


class WrongAnswer(AtOnce):
    def register(self, fixed, moving, initial):
        return np.eye(4)


def wrong_answer(seed):
    return WrongAnswer()


class Greedy(Walker):
    env_kwargs = {"split": "train"}


def greedy(seed):
    return Greedy(seed)


class LongWinded(Walker):
    env_kwargs = {"horizon": 100_000}


def long_winded(seed):
    return LongWinded(seed)


def no_agent(seed):
    return object()


def no_seed():
    return Walker()
