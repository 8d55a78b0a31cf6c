"""What every registered id owes to Gymnasium, to stable-baselines3 and to whoever trusts the test split.

All with default keywords. CI runs this file on the oldest and on the newest Gymnasium that is supported.
"""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from gymnasium.vector import AutoresetMode

import regenv  # noqa: F401  (registers the ids)
from regenv.catalogue import TASKS
from regenv.envs.presets import PRESETS, fits
from regenv.errors import WithheldError
from tests.envs.targets import known_of

ROOT = Path(__file__).resolve().parents[2]
IDS = list(TASKS)
SEED = 7


def drawn_actions(env: Any, count: int, seed: int = 0) -> list[Any]:
    """Random actions of one environment, without STOP where that is the last of a Discrete space."""
    space = env.unwrapped.action_space
    if isinstance(space, gym.spaces.Discrete):
        return [np.int64(a) for a in np.random.default_rng(seed).integers(space.n - 1, size=count)]
    space.seed(seed)
    return [space.sample() for _ in range(count)]


def rollout(env: Any, actions: list[Any], seed: int | None = SEED) -> list[Any]:
    """Everything an agent gets to see from reset to the last action."""
    seen: list[Any] = [env.reset(seed=seed)]
    seen += [env.step(action) for action in actions]
    return seen


def assert_same(a: Any, b: Any) -> None:
    """Exact equality of nested results, arrays by value and dtype."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_same(left, right)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert type(a) is type(b)
        assert a == b


@pytest.fixture(params=IDS)
def env_id(request) -> str:
    return request.param


@pytest.fixture
def env(env_id) -> Iterator[gym.Env]:
    made = gym.make(env_id)
    yield made
    made.close()


def test_observations_are_at_least_36_pixels_a_side(env):
    assert env.observation_space.dtype == np.uint8
    assert min(env.observation_space.shape[-2:]) >= 36


def test_gymnasium_checker_finds_nothing(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(env_id, disable_env_checker=True, render_mode="rgb_array")
        gymnasium_check_env(env.unwrapped)


def test_stable_baselines3_checker_finds_nothing(env_id):
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="needs regenv[agents]")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(gym.make(env_id).unwrapped, warn=True)


def test_two_environments_agree_exactly(env_id, env):
    actions = drawn_actions(env, 8)
    assert_same(rollout(env, actions), rollout(gym.make(env_id), actions))


def _same_episode(one, other):
    return one["pair_id"] == other["pair_id"] and np.array_equal(one["start"], other["start"])


def test_seeds_decide_and_differ(env):
    first, again, other = (env.reset(seed=seed)[1] for seed in (1, 1, 2))
    assert_same(first, again)
    assert not _same_episode(first, other)
    # a deformation starts at the alignment it is given, and a lane's first episodes may show one pair
    assert not all(_same_episode(env.reset()[1], other) for _ in range(12))


def test_a_copy_goes_on_where_the_original_stands(env):
    actions = drawn_actions(env, 6)
    rollout(env, actions[:3])
    for twin in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        state = env.unwrapped.get_state()
        assert_same([env.step(a) for a in actions[3:]], [twin.step(a) for a in actions[3:]])
        assert_same(env.reset(), twin.reset())
        env.unwrapped.set_state(state)


def test_a_fresh_environment_can_be_pickled(env):
    actions = drawn_actions(env, 2)
    assert_same(rollout(pickle.loads(pickle.dumps(env)), actions), rollout(env, actions))


def test_spec_survives_json(env_id, env):
    text = env.spec.to_json()
    assert json.loads(text)["id"] == env_id
    spec = EnvSpec.from_json(text)
    actions = drawn_actions(env, 2)
    assert_same(rollout(gym.make(spec), actions), rollout(env, actions))


def test_spec_keeps_keywords(env_id):
    env = gym.make(env_id, split="validation", actions="unit", horizon=5)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.config == env.unwrapped.config
    assert again.unwrapped.config.horizon == 5


def test_id_is_reached_through_the_module_prefix(env_id):
    code = f"import gymnasium as gym; print(gym.make('regenv:{env_id}').spec.id)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip().splitlines()[-1] == env_id


def test_pictures_show_the_pose(env_id):
    env = gym.make(env_id, render_mode="rgb_array")
    env.reset(seed=SEED)
    before = env.render()
    env.step(np.int64(0))
    after = env.render()
    for picture in (before, after):
        assert picture.dtype == np.uint8
        assert picture.ndim == 3 and picture.shape[2] == 3
        assert picture.max() > 100
        assert picture.std() > 10
    assert not np.array_equal(before, after)


def test_text_tells_step_and_similarity(env_id):
    env = gym.make(env_id, render_mode="ansi")
    env.reset(seed=SEED)
    env.step(np.int64(0))
    text = env.render()
    assert isinstance(text, str)
    assert "1" in text and "similarity" in text and "TRE" in text
    hidden = gym.make(env_id, render_mode="ansi", split="test")
    hidden.reset(seed=SEED)
    assert "TRE" not in hidden.render()


def test_results_share_no_memory_between_calls(env):
    seen = rollout(env, drawn_actions(env, 3))
    arrays = [[result[0], *(v for v in result[-1].values() if isinstance(v, np.ndarray))] for result in seen]
    for i, earlier in enumerate(arrays):
        for later in arrays[i + 1 :]:
            assert not any(np.shares_memory(a, b) for a in earlier for b in later)


def test_infos_hold_what_is_promised(env):
    _, _, _, _, info = rollout(env, drawn_actions(env, 1))[-1]
    shape = env.unwrapped.get_state()["transform"].shape
    d = TASKS[env.spec.id].ndim
    assert shape == ((env.unwrapped.model.n_parameters,) if TASKS[env.spec.id].model == "sdm" else (d + 1, d + 1))
    assert set(info) == {"transform", "start", "similarity", "pair_id", "tre", "is_success"}
    for key in ("transform", "start"):
        assert info[key].dtype == np.float64
        assert info[key].shape == shape
    assert np.isfinite(info["tre"])
    assert isinstance(info["similarity"], float)


def test_stop_terminates_and_the_horizon_truncates(env_id):
    env = gym.make(env_id, horizon=3)
    env.reset(seed=SEED)
    _, reward, terminated, truncated, _ = env.step(np.int64(env.action_space.n - 1))
    assert (terminated, truncated, reward) == (True, False, 0.0)
    ends = [result[2:4] for result in rollout(env, drawn_actions(env, 3))[1:]]
    assert ends == [(False, False), (False, False), (False, True)]


# The batched face


def test_lanes_are_single_environments(env_id):
    count = 3
    envs = gym.make_vec(env_id, num_envs=count)
    singles = [gym.make(env_id) for _ in range(count)]
    columns = [drawn_actions(singles[i], 6, seed=i) for i in range(count)]
    observations, infos = envs.reset(seed=SEED)
    for i, single in enumerate(singles):
        observation, info = single.reset(seed=SEED + i)
        np.testing.assert_array_equal(observations[i], observation)
        assert_lane(infos, info, i)
    for step in range(6):
        batch = envs.step(np.array([column[step] for column in columns]))
        for i, single in enumerate(singles):
            observation, reward, terminated, truncated, info = single.step(columns[i][step])
            np.testing.assert_array_equal(batch[0][i], observation)
            assert batch[1][i] == pytest.approx(reward, abs=1e-9)
            assert (batch[2][i], batch[3][i]) == (terminated, truncated)
            assert_lane(batch[4], info, i)


def assert_lane(infos: dict[str, Any], info: dict[str, Any], lane: int) -> None:
    for key, value in info.items():
        assert infos[f"_{key}"][lane]
        if isinstance(value, str):
            assert infos[key][lane] == value
        else:
            np.testing.assert_allclose(infos[key][lane], value, rtol=0, atol=1e-9)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_autoreset_follows_gymnasium(env_id, mode):
    """Lane 0 stops at step 1, lane 1 runs into the horizon: both begin anew as the mode says, like single ones do."""
    horizon = 3
    envs = gym.make_vec(env_id, num_envs=2, autoreset_mode=mode, horizon=horizon)
    assert envs.metadata["autoreset_mode"] == AutoresetMode(mode)
    singles = [gym.make(env_id, horizon=horizon) for _ in range(2)]
    envs.reset(seed=SEED)
    for i, single in enumerate(singles):
        single.reset(seed=SEED + i)
    stop = envs.single_action_space.n - 1
    over = [False, False]
    resets = 0
    for step in range(7):
        actions = [stop if step == 1 else 0, 4]
        observations, rewards, terminated, truncated, infos = envs.step(np.array(actions))
        for i, single in enumerate(singles):
            if mode == "NextStep" and over[i]:
                observation, info = single.reset()
                assert (rewards[i], terminated[i], truncated[i]) == (0.0, False, False)
                over[i] = False
                resets += 1
            else:
                observation, reward, end, late, info = single.step(np.int64(actions[i]))
                assert rewards[i] == pytest.approx(reward, abs=1e-9)
                assert (terminated[i], truncated[i]) == (end, late)
                over[i] = end or late
                if mode == "SameStep" and over[i]:
                    assert infos["_final_obs"][i]
                    np.testing.assert_array_equal(infos["final_obs"][i], observation)
                    assert_lane(infos["final_info"], info, i)
                    observation, info = single.reset()
                    resets += 1
            np.testing.assert_array_equal(observations[i], observation)
            assert_lane(infos, info, i)
    assert resets >= 3


def test_vector_spec_survives_json(env_id):
    envs = gym.make_vec(env_id, num_envs=2, autoreset_mode="SameStep")
    text = envs.spec.to_json()
    again = gym.make_vec(EnvSpec.from_json(text), num_envs=2)
    assert_same(again.reset(seed=SEED), envs.reset(seed=SEED))


def test_forked_workers_live_after_the_parent_used_the_batched_face(env_id):
    envs = gym.make_vec(env_id, num_envs=4, threads=2)
    observations, _ = envs.reset(seed=SEED)
    workers = gym.vector.AsyncVectorEnv([lambda: gym.make(env_id)] * 2, context="fork")
    try:
        forked, _ = workers.reset(seed=SEED)
        np.testing.assert_array_equal(forked, observations[:2])
        forked = workers.step(np.array([0, 1]))
        batch = envs.step(np.array([0, 1, 2, 3]))
        np.testing.assert_array_equal(forked[0], batch[0][:2])
        np.testing.assert_allclose(forked[1], batch[1][:2], rtol=0, atol=1e-9)
    finally:
        workers.close()


# The test split


def test_test_split_answers_nothing_about_the_truth(env_id):
    env = gym.make(env_id, split="test")
    _, info = env.reset(seed=SEED)
    *_, later = env.step(np.int64(0))
    for seen in (info, later):
        assert set(seen) == {"transform", "start", "similarity", "pair_id"}
        assert seen["pair_id"].isdigit()
    for ask in (env.unwrapped.truth, env.unwrapped.expert_action):
        with pytest.raises(WithheldError, match="test split"):
            ask()
    for reward in ("tre", "parameter_distance", "dice"):
        with pytest.raises(WithheldError, match="test split"):
            gym.make(env_id, split="test", reward=reward)
    for name in PRESETS:
        if fits(name, TASKS[env_id]):
            preset = gym.make(env_id, split="test", preset=name)
            preset.reset(seed=SEED)
            assert preset.step(preset.action_space.sample())[1] == 0.0


def test_no_truth_is_reachable_on_the_test_split(env_id):
    """Follows every attribute, item and slot from the environment, the caches of its modules aside."""
    env = gym.make(env_id, split="test")
    _, info = env.reset(seed=SEED)
    secrets = secrets_of(env_id, int(info["pair_id"]), "test")
    found = [path for path, value in reachable(env) if reveals(value, secrets)]
    assert found == []


def test_the_crawl_finds_the_truth_where_it_is(env_id):
    """The test above would pass just as well if the crawl were blind: on the train split it must find something."""
    env = gym.make(env_id, split="train")
    _, info = env.reset(seed=SEED)
    secrets = secrets_of(env_id, env.unwrapped._engine.source.ids.index(info["pair_id"]), "train")
    assert [path for path, value in reachable(env) if reveals(value, secrets)]


def secrets_of(env_id: str, index: int, split: str) -> list[np.ndarray]:
    """What the truth of a pair is, from the data set itself: the maintainer's side of the wall."""
    task = TASKS[env_id]
    pair = task.dataset("phantom", split).load(index)
    target = known_of(pair, gym.make(env_id).unwrapped.model, task.imaging)
    secrets = [target.partners, *(a for a in [pair.truth.landmarks_moving] if a is not None)]
    if task.model == "sdm":
        return [target.pose, *secrets]
    # the linear part that a deformable environment is given is as good as the truth to another
    known = [a for a in (target.pose, pair.alignment) if a is not None]
    return [*known, *(np.linalg.inv(a) for a in known), *secrets]


def reveals(value: Any, secrets: list[np.ndarray]) -> bool:
    """Whether a value is, or holds along its first axis, one of the secrets."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return False
    for secret in secrets:
        if value.shape[-secret.ndim :] == secret.shape:
            parts = value.reshape(-1, *secret.shape)
            if np.isclose(parts, secret, atol=1e-6).all(axis=tuple(range(1, parts.ndim))).any():
                return True
    return False


def reachable(root: Any) -> Iterator[tuple[str, Any]]:
    """Every object that attributes, slots and items lead to, and what a data set on the way hands out."""
    index = int(root.unwrapped.get_state()["pair_id"]) if root.unwrapped.config.split == "test" else 0
    seen: set[int] = set()
    keep: list[Any] = []  # ids are unique only as long as the objects live
    stack = [("env", root)]
    while stack:
        path, value = stack.pop()
        if id(value) in seen or isinstance(value, type | str | bytes | int | float | type(sys)):
            continue
        seen.add(id(value))
        keep.append(value)
        yield path, value
        if isinstance(value, dict):
            stack += [(f"{path}[{key!r}]", item) for key, item in value.items()]
        elif isinstance(value, list | tuple | set | frozenset):
            stack += [(f"{path}[{i}]", item) for i, item in enumerate(value)]
        elif isinstance(value, np.ndarray) and value.dtype == object:
            stack += [(f"{path}[{i}]", item) for i, item in enumerate(value.ravel())]
        slots = [name for base in type(value).__mro__ for name in getattr(base, "__slots__", ())]
        names = [*getattr(value, "__dict__", {}), *slots]
        stack += [(f"{path}.{name}", getattr(value, name)) for name in names if hasattr(value, name)]
        if callable(getattr(value, "load", None)) and hasattr(value, "subjects"):
            stack.append((f"{path}.load({index})", value.load(index)))
