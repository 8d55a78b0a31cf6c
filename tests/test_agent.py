"""Agents: what they are handed, what planners look ahead on, and both forms of answering at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import SimpleITK as sitk

import regenv
from regenv.agent import CLINIC_INFO, Actor, Planner, Problem, Registrar, answer, answers_at_once, is_agent, play
from regenv.core.points import point_errors
from regenv.core.sitk import matrix_from_sitk
from regenv.envs.simulator import Simulator
from regenv.errors import WithheldError
from tests.envs.blobs import Blobs
from tests.envs.targets import known_of

RIGID = "CTCBCT-Rigid-v0"
STOP = 24
KINDS = (RIGID, "BrainMR-SDM2D-v0", "XRayCT-Rigid-v0")


def made(env_id: str, blobs: Blobs, **keywords: Any) -> gym.Env[Any, Any]:
    """An environment; of volumes on pairs that take no time to make."""
    return gym.make(env_id, **({"dataset": blobs} if env_id == RIGID else {}), **keywords)


class Walker:
    """Keeps what it is handed, and takes given actions."""

    def __init__(self, *actions: int) -> None:
        self.actions, self.infos, self.observations = list(actions), [], []

    def reset(self, observation, info):
        self.first = observation, info

    def act(self, observation, info):
        self.observations.append(observation)
        self.infos.append(info)
        return self.actions.pop(0)


class Blind(Walker):
    def act(self, observation):
        return self.actions.pop(0)


class Ahead(Walker):
    """Peeks at each action before it takes it."""

    def plan(self, simulator):
        self.simulator, self.peeked, self.states = simulator, [], []

    def act(self, observation, info):
        self.states.append(self.simulator.state)
        self.peeked.append(self.simulator.peek([self.actions[0]]))
        return super().act(observation, info)


# Playing


def test_of_info_an_agent_gets_what_a_clinic_has(blobs):
    env = made(RIGID, blobs)
    agent, seen = Walker(0, 5, 9, STOP), []
    played = play(agent, env, seed=3, watch=lambda env: seen.append(env.unwrapped.get_state()["elapsed"]))
    assert {"tre", "pair_id"} <= set(played.last)  # there was more to be had
    assert [set(info) for info in agent.infos] == [set(CLINIC_INFO)] * 4
    assert set(CLINIC_INFO) == {"transform", "start", "similarity"}
    np.testing.assert_array_equal(agent.infos[0]["transform"], played.first["start"])
    np.testing.assert_array_equal(agent.infos[-1]["transform"], played.last["transform"])  # STOP moves nothing
    np.testing.assert_array_equal(agent.first[0], agent.observations[0])
    assert played.actions == [0, 5, 9, STOP] and seen == [0, 1, 2, 3, 4]
    assert (played.terminated, played.truncated) == (True, False) and played.seconds > 0


def test_an_agent_that_wants_no_info_gets_none(blobs):
    one, other = (play(agent, made(RIGID, blobs), seed=3) for agent in (Blind(2, STOP), Walker(2, STOP)))
    np.testing.assert_array_equal(one.last["transform"], other.last["transform"])


def test_an_episode_ends_at_the_horizon_or_is_broken_off(blobs):
    env = made(RIGID, blobs, horizon=3)
    played = play(Blind(0, 0, 0), env, seed=1)
    assert (len(played.actions), played.terminated, played.truncated) == (3, False, True)
    played = play(Blind(0, 0, 0), env, seed=1, most=2)
    assert (len(played.actions), played.terminated, played.truncated) == (2, False, False)


def test_an_episode_is_that_of_the_environment(blobs):
    env = made(RIGID, blobs)
    truth = blobs.load(2).truth.transform
    played = play(Blind(0, STOP), env, options={"pair": "train-2", "start": truth})
    assert played.first["pair_id"] == "train-2" and played.first["tre"] < 1e-9
    env.reset(options={"pair": "train-2", "start": truth})
    np.testing.assert_array_equal(env.step(0)[-1]["transform"], played.last["transform"])


# Planning


@pytest.mark.parametrize("env_id", KINDS)
def test_what_a_planner_peeks_at_comes_true(env_id, blobs):
    env = made(env_id, blobs, horizon=5)
    agent, infos = Ahead(0, 5, 9, 2, 7), []
    agent_ends = play(agent, env, seed=7, watch=lambda env: infos.append(env.unwrapped._engine.info(slice(0, 1))))
    assert agent_ends.truncated
    for peeked, info in zip(agent.peeked, infos[1:], strict=True):
        np.testing.assert_array_equal(peeked["transform"][0], info["transform"][0])
        assert peeked["similarity"][0] == pytest.approx(info["similarity"][0], abs=1e-12)
    assert [peeked["truncated"].tolist() for peeked in agent.peeked] == [[False]] * 4 + [[True]]
    assert not any(peeked["terminated"].any() for peeked in agent.peeked)
    assert [state["elapsed"] for state in agent.states] == list(range(5))


@pytest.mark.parametrize("env_id", KINDS)
def test_a_second_look_goes_on_from_the_first(env_id, blobs):
    env = made(env_id, blobs, horizon=3)
    env.reset(seed=7)
    env.step(np.int64(4))
    simulator, stop = Simulator(env), env.action_space.n - 1
    assert simulator.stops and simulator.action_space == env.action_space
    actions = np.arange(env.action_space.n)
    here = env.unwrapped.get_state()
    first = simulator.peek(actions)
    state = simulator.after(first, 6)
    second = simulator.peek(actions, state)
    again = env.unwrapped.get_state()
    np.testing.assert_array_equal(again["transform"], here["transform"])  # the episode is left alone
    assert again["elapsed"] == here["elapsed"] == 1

    *_, info = env.step(np.int64(6))
    np.testing.assert_array_equal(simulator.state["transform"], info["transform"])
    there = simulator.peek(actions)
    for key in ("transform", "similarity", "terminated", "truncated"):
        np.testing.assert_array_equal(second[key], there[key])
    assert second["truncated"].all() and not first["truncated"].any()
    assert second["terminated"].tolist() == [action == stop for action in actions]
    *_, terminated, truncated, info = env.step(np.int64(9))
    np.testing.assert_array_equal(second["transform"][9], info["transform"])
    assert second["similarity"][9] == pytest.approx(info["similarity"], abs=1e-12)
    assert (second["terminated"][9], second["truncated"][9]) == (terminated, truncated)


def test_looking_far_ahead_is_a_number_of_peeks(blobs):
    """A few lanes, then one, then many: simulators make room as they are asked."""
    env = made(RIGID, blobs)
    env.reset(seed=1)
    simulator, state = Simulator(env), None
    for actions in ([1, 3], [5], [0, 2, 4, 6]):
        state = simulator.after(simulator.peek(actions, state), 0, state)
    for action in (1, 5, 0):
        *_, info = env.step(action)
    np.testing.assert_array_equal(state["transform"], info["transform"])
    assert state["elapsed"] == 3


def test_on_the_test_split_the_expert_is_only_for_who_is_told_the_truth(withheld_blobs):
    env = made(RIGID, withheld_blobs)
    _, info = env.reset(seed=2)
    with pytest.raises(WithheldError, match="test split"):
        Simulator(env).expert_action()
    known = known_of(withheld_blobs.load(int(info["pair_id"])))
    told = Simulator(env, known)
    for _ in range(3):
        after = told.peek(np.arange(STOP + 1))["transform"]
        best = np.argmin([point_errors(pose, known.points, known.partners).mean() for pose in after])
        assert told.expert_action() == best
        *_, info = env.step(told.expert_action())
    assert "tre" not in info  # the environment itself is told nothing
    with pytest.raises(WithheldError):
        env.unwrapped.expert_action()


def test_where_the_truth_is_known_the_expert_is_the_environments(blobs):
    env = made(RIGID, blobs)
    env.reset(seed=2)
    assert Simulator(env).expert_action() == env.unwrapped.expert_action()


# Answering at once


class Registers:
    def register(self, problem):
        self.got = problem
        return problem.initial


class RegistersOfOld:
    def register(self, fixed, moving, initial):
        self.got = SimpleNamespace(fixed=fixed, moving=moving, initial=initial)
        return initial


class RegistersNothing:
    def register(self, problem):
        return np.eye(4)


@pytest.fixture
def problem() -> Problem:
    return Problem(
        sitk.Image(4, 5, 6, sitk.sitkFloat32), sitk.Image(3, 3, 3, sitk.sitkFloat32), regenv.to_sitk(np.eye(4))
    )


@pytest.mark.parametrize("make", [Registers, RegistersOfOld])
def test_register_is_asked_in_the_form_it_has(make, problem):
    agent = make()
    np.testing.assert_array_equal(matrix_from_sitk(answer(agent, problem)), np.eye(4))
    assert agent.got.fixed.GetSize() == (4, 5, 6) and agent.got.moving.GetSize() == (3, 3, 3)
    assert agent.got.initial is problem.initial


def test_what_is_no_transform_is_named(problem):
    with pytest.raises(TypeError, match="SimpleITK transform.* got ndarray"):
        answer(RegistersNothing(), problem)


def test_a_problem_says_what_there_is_and_no_more(problem):
    assert (problem.model, problem.cameras, problem.slice_mm) == ("rigid", (), 0.0)
    for absent in ("fixed_mask", "moving_mask", "alignment", "truth"):
        assert getattr(problem, absent) is None
    with pytest.raises(AttributeError):
        problem.truth = regenv.to_sitk(np.eye(4))


def test_who_is_an_agent_and_of_which_kind():
    walker, ahead, at_once = Walker(), Ahead(), Registers()
    assert [is_agent(a) for a in (walker, ahead, at_once, RegistersOfOld(), Walker, Registers, object())] == [
        True
    ] * 4 + [False] * 3
    assert [answers_at_once(a) for a in (walker, ahead, at_once)] == [False, False, True]
    assert isinstance(walker, Actor) and not isinstance(walker, Planner) and not isinstance(walker, Registrar)
    assert isinstance(ahead, Planner) and isinstance(at_once, Registrar)
