"""What libraries expect of an environment: keywords, keys, channels, ``spec`` and the end of an episode."""

from __future__ import annotations

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TimeLimit

import regenv  # noqa: F401
from regenv.adapters.pettingzoo import parallel_env
from regenv.envs.config import make_config
from regenv.envs.single import RegistrationEnv
from regenv.errors import OptionError, UnknownOptionError
from regenv.testing import SmallPairs, check_environment

RIGID = "CTCBCT-Rigid-v0"
FLAT = "CTMR-Similarity2D-v0"
STOP = 24
MOVE = np.int64(0)


def _steps_to_the_end(env) -> int:
    env.reset(seed=0)
    for number in range(1, 500):
        _, _, terminated, truncated, _ = env.step(np.int64(number % 2))
        if terminated or truncated:
            assert truncated and not terminated
            return number
    raise AssertionError("no end")


# Unknown keywords


def test_a_library_that_tries_keywords_goes_on_without_them(blobs):
    """As TorchRL's GymEnv does: it gives ``frameskip`` and reads the message of the TypeError."""
    keywords = {"dataset": blobs, "frameskip": 1}
    env = None
    while env is None:
        try:
            env = gym.make(RIGID, **keywords)
        except TypeError as error:
            assert "unexpected keyword argument 'frameskip" in str(error)
            del keywords["frameskip"]
    env.reset(seed=0)


def test_an_unknown_keyword_is_both_errors():
    assert issubclass(UnknownOptionError, OptionError)
    for kind in (TypeError, ValueError, UnknownOptionError):
        with pytest.raises(kind, match="frobnicate"):
            gym.make(RIGID, frobnicate=1)
    with pytest.raises(ValueError, match="sidewise") as raised:
        gym.make(RIGID, observation="sidewise")
    assert not isinstance(raised.value, TypeError)


@pytest.mark.parametrize(
    ("keyword", "advice"),
    [
        ("observtion", "did you mean 'observation'"),
        ("seed", r"reset\(seed=\.\.\.\)"),
        ("n_envs", r"gym\.make_vec\(id, num_envs=\.\.\.\)"),
        ("num_envs", r"gym\.make_vec\(id, num_envs=\.\.\.\)"),
        ("n_agents", r"parallel_env\(id, agents=\.\.\.\)"),
        ("max_steps", r"did you mean horizon\?"),
        ("max_cycles", r"did you mean horizon\?"),
        ("env_kwargs", "pass keywords directly"),
        ("obs_type", r"did you mean observation\?"),
        ("channels_last", r"did you mean channels\?"),
        ("frame_skip", "every action is one step"),
    ],
)
def test_an_unknown_keyword_is_answered_in_the_callers_words(keyword, advice):
    with pytest.raises(UnknownOptionError, match=f"'{keyword}'; .*{advice}"):
        gym.make(RIGID, **{keyword: 1})


def test_many_environments_know_how_many_is_called():
    with pytest.raises(UnknownOptionError, match=r"did you mean num_envs\?"):
        gym.make_vec(RIGID, n_envs=4)


# The key of the pose


@pytest.mark.parametrize("env_id", [RIGID, "CardiacMR-SDM2D-v0"])
def test_the_pose_is_no_name_that_a_torch_module_has(env_id):
    nn = pytest.importorskip("torch.nn")
    space = gym.make(env_id, parameters=True).observation_space
    assert set(space) == {"image", "pose"}
    nn.ModuleDict({key: nn.Identity() for key in space})


# Channels


@pytest.mark.parametrize(
    ("env_id", "keywords", "shape"),
    [
        (RIGID, {}, (64, 64, 6)),
        (RIGID, {"observation": "difference", "dtype": "float32"}, (64, 64, 3)),
        (RIGID, {"observation": "volume", "view_size": 24}, (24, 24, 24, 2)),
        (RIGID, {"observation": "volume_zoom", "view_size": 24}, (24, 24, 24, 4)),
        (RIGID, {"parameters": True}, (64, 64, 6)),
        (FLAT, {}, (96, 96, 2)),
        ("SliceMR-Rigid-v0", {"field_of_view": "stack"}, (64, 64, 6)),
    ],
)
def test_channels_last_are_the_same_numbers_in_another_order(env_id, keywords, shape):
    first, last = gym.make(env_id, **keywords), gym.make(env_id, **keywords, channels="last")
    space = last.observation_space["image"] if keywords.get("parameters") else last.observation_space
    assert space.shape == shape
    many = gym.make_vec(env_id, num_envs=2, **keywords, channels="last")

    def image(observation):
        return observation["image"] if keywords.get("parameters") else observation

    seen = [[env.reset(seed=3) for env in (first, last, many)]]
    for action in (0, 5):
        actions = np.full(many.action_space.shape, action)
        seen.append([env.step(env.action_space.dtype.type(action)) for env in (first, last)] + [many.step(actions)])
    for one, other, batch in ([image(result[0]) for result in results] for results in seen):
        assert space.contains(other) and other.flags.c_contiguous
        np.testing.assert_array_equal(np.moveaxis(one, 0, -1), other)
        np.testing.assert_array_equal(other, batch[0])
    info = seen[-1][1][-1]
    looked = last.unwrapped.observe([info["pair_id"]], info["transform"][None])
    np.testing.assert_array_equal(looked[0], image(seen[-1][1][0]))


def test_channels_last_leave_reward_and_picture_alone(blobs):
    envs = [
        gym.make(RIGID, dataset=blobs, channels=channels, render_mode="rgb_array") for channels in ("first", "last")
    ]
    for env in envs:
        env.reset(seed=1)
    one, other = (env.step(MOVE) for env in envs)
    assert one[1:4] == other[1:4]
    np.testing.assert_array_equal(*(env.render() for env in envs))


def test_channels_last_pass_gymnasiums_check(blobs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(RIGID, dataset=blobs, channels="last").unwrapped, skip_render_check=True)


@pytest.mark.parametrize("agents", [2, "axes"])
def test_channels_last_reach_every_agent(agents):
    teams = [parallel_env(FLAT, agents=agents, channels=channels, combine="mean") for channels in ("first", "last")]
    seen = [team.reset(seed=0)[0] for team in teams]
    for name in teams[0].agents:
        one, other = (observations[name] for observations in seen)
        assert teams[1].observation_space(name).contains(other) and other.shape[-1] == 2
        np.testing.assert_array_equal(np.moveaxis(one, 0, -1), other)


def test_unknown_channels_are_refused():
    with pytest.raises(OptionError, match=r"channels='lst' is unknown; did you mean 'last'"):
        gym.make(RIGID, channels="lst")


# The horizon in the spec


@pytest.mark.parametrize(
    ("keywords", "horizon"),
    [
        ({}, 100),
        ({"horizon": 7}, 7),
        ({"horizon": 130}, 130),
        ({"preset": "liao2017", "observation": "slices"}, 200),
        ({"max_episode_steps": 5}, 5),
        ({"max_episode_steps": 5, "horizon": 130}, 5),
        ({"max_episode_steps": 120, "horizon": 130}, 120),
    ],
)
def test_the_spec_tells_the_horizon_and_the_episode_keeps_it(blobs, keywords, horizon):
    single = gym.make(RIGID, dataset=blobs, view_size=8, **keywords)
    many = gym.make_vec(RIGID, num_envs=2, dataset=blobs, view_size=8, **keywords)
    assert single.spec.max_episode_steps == many.spec.max_episode_steps == horizon
    assert _steps_to_the_end(single) == horizon
    many.reset(seed=0)
    for number in range(1, horizon + 1):
        _, _, terminated, truncated, _ = many.step(np.full(2, number % 2))
        assert not terminated.any()
        assert truncated.tolist() == [number == horizon] * 2


def test_no_time_limit_counts_beside_the_environment(blobs):
    env = gym.make(RIGID, dataset=blobs)
    while isinstance(env, gym.Wrapper):
        assert not isinstance(env, TimeLimit)
        env = env.env


def test_a_spec_makes_the_same_horizon_again():
    env = gym.make(FLAT, horizon=103)
    spec = EnvSpec.from_json(env.spec.to_json())
    again = gym.make(spec)
    assert spec.max_episode_steps == again.spec.max_episode_steps == 103
    assert _steps_to_the_end(again) == 103
    assert gym.make_vec(spec, num_envs=2).unwrapped.config.horizon == 103


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_a_pickled_copy_keeps_its_spec(blobs, make):
    env = make(RIGID, dataset=blobs, horizon=9).unwrapped
    assert pickle.loads(pickle.dumps(env)).spec.max_episode_steps == 9


def test_the_config_takes_the_smaller_horizon():
    assert make_config(RIGID, max_episode_steps=500).horizon == 100


# After the end


@pytest.fixture
def short(blobs):
    """An environment whose episodes have two steps."""
    return gym.make(RIGID, dataset=blobs, horizon=2).unwrapped


@pytest.mark.parametrize("actions", [[STOP], [0, 1], [0, STOP]], ids=["stop", "horizon", "both"])
def test_a_step_after_the_end_is_refused(short, actions):
    short.reset(seed=0)
    for action in actions:
        short.step(np.int64(action))
    with pytest.raises(RuntimeError, match=r"over.*reset\(\)"):
        short.step(MOVE)
    short.reset()
    short.step(MOVE)


def test_going_back_to_a_state_before_the_end_goes_on(short):
    short.reset(seed=0)
    before = short.get_state()
    short.step(np.int64(STOP))
    after = short.get_state()
    short.set_state(before)
    short.step(MOVE)
    short.set_state(after)
    with pytest.raises(RuntimeError, match="over"):
        short.step(MOVE)


def test_a_pickled_copy_knows_that_the_episode_is_over(short):
    short.reset(seed=0)
    short.step(np.int64(STOP))
    with pytest.raises(RuntimeError, match="over"):
        pickle.loads(pickle.dumps(short)).step(MOVE)


class PaysOn(RegistrationEnv):
    """Takes steps after the end of an episode."""

    def step(self, action):
        self._over = False
        return super().step(action)


def test_the_conformance_kit_holds_an_environment_to_it():
    check_environment(RegistrationEnv(RIGID, dataset=SmallPairs("train"), horizon=2))
    check_environment(gym.make(RIGID, dataset=SmallPairs(), horizon=2, channels="last"))
    env = PaysOn(RIGID, dataset=SmallPairs("train"), horizon=2)
    with pytest.raises(AssertionError, match="a step after the end is taken"):
        check_environment(env)
