"""``check_environment``."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from regenv.errors import WithheldError
from regenv.testing.compare import SEED, equal, leaves

_STEPS = 6
REQUIRED_INFO = ("transform", "start", "similarity", "pair_id")
PRIVILEGED_INFO = ("tre", "is_success", "truth", "landmarks")


def check_environment(env: gym.Env[Any, Any], *, same: Callable[[], gym.Env[Any, Any]] | None = None) -> None:
    """Checks an environment against Gymnasium's rules and this suite's.

    Gymnasium's ``check_env`` without a warning; determinism by seed, in one environment and in two; observations and
    infos finite, in their space, of plain numbers and in memory of their own; info with ``transform``, ``start``,
    ``similarity`` and ``pair_id``, and on the test split no entry of the truth; a reward that telescopes if it says
    so; STOP terminates, the horizon truncates, and a step after that raises; pickling; ``spec`` to JSON and back.

    Args:
        env: As ``gym.make`` gives it. It is reset and stepped.
        same: Makes the same environment once more; default is from ``env.spec``.

    Raises:
        AssertionError: At the first rule that is broken.
    """
    first = _rollout(env)
    _check_finite(env, first)
    _check_info(env, first)
    _check_same(first, _rollout(env), "reset(seed=...) twice gives different episodes: draw from self.np_random alone")
    _check_gymnasium(env)
    _check_memory(env)
    _check_telescoping(env)
    _check_endings(env)
    _check_pickling(env)
    twin = same() if same is not None else _from_spec(env)
    if twin is not None:
        _check_same(
            first, _rollout(twin), "two environments with the same seed differ: keep no state outside the object"
        )
        twin.close()


def _check_gymnasium(env: gym.Env[Any, Any]) -> None:
    from gymnasium.utils.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*infinity")  # a pose in mm and degrees has no bounds
        # The checker wants the bare environment and says so by a warning otherwise.
        try:
            check_env(env.unwrapped, skip_render_check=True)
        except Warning as warning:
            raise AssertionError(f"gymnasium's check_env warns: {warning}") from warning
        except gym.error.Error as error:
            raise AssertionError(f"gymnasium's check_env: {error}") from error


def _actions(env: gym.Env[Any, Any], count: int) -> list[Any]:
    """Actions that are not STOP where that is the last of a Discrete space."""
    space = env.action_space
    if isinstance(space, gym.spaces.Discrete):
        return [np.int64(a) for a in np.random.default_rng(SEED).integers(space.n - 1, size=count)]
    space.seed(SEED)
    return [space.sample() for _ in range(count)]


def _rollout(env: gym.Env[Any, Any]) -> list[Any]:
    observation, info = env.reset(seed=SEED)
    seen: list[Any] = [(observation, info)]
    for action in _actions(env, _STEPS):
        seen.append(env.step(action))
        if seen[-1][2] or seen[-1][3]:
            break
    return seen


def _check_same(first: Any, second: Any, fix: str) -> None:
    assert equal(first, second), fix


def _check_finite(env: gym.Env[Any, Any], seen: list[Any]) -> None:
    for number, result in enumerate(seen):
        observation, info = result[0], result[-1]
        assert env.observation_space.contains(observation), (
            f"the observation after step {number} is not in {env.observation_space}: check its shape and dtype"
        )
        for path, leaf in leaves({"observation": observation, "info": info}):
            assert isinstance(leaf, np.ndarray | np.generic | int | float | str | bool), (
                f"{path} is a {type(leaf).__name__}: give plain numbers, strings and arrays (regenv.to_sitk makes "
                "SimpleITK objects)"
            )
            if not isinstance(leaf, str) and np.asarray(leaf).dtype.kind == "f":
                assert np.isfinite(leaf).all(), f"{path} is not finite after step {number}: leave out what is unknown"
        if number:
            assert np.isfinite(result[1]), f"the reward of step {number} is {result[1]}"


def _check_info(env: gym.Env[Any, Any], seen: list[Any]) -> None:
    split = getattr(getattr(env.unwrapped, "config", None), "split", None)
    for result in seen:
        info = result[-1]
        for key in REQUIRED_INFO:
            assert key in info, f"info lacks {key!r}: every reset and step gives {REQUIRED_INFO}"
        for key in ("transform", "start"):
            array = info[key]
            assert isinstance(array, np.ndarray) and array.dtype == np.float64, f"info[{key!r}] must be a float64 array"
            assert array.ndim == 1 or array.shape in ((3, 3), (4, 4)), (
                f"info[{key!r}] has shape {array.shape}: a (d + 1, d + 1) matrix, or (K,) coefficients"
            )
        if split == "test":
            told = sorted(set(PRIVILEGED_INFO) & set(info))
            assert not told, f"on the test split info tells {told}: the truth is withheld there"
    if split == "test" and callable(getattr(env.unwrapped, "truth", None)):
        try:
            env.unwrapped.truth()  # type: ignore[attr-defined]
        except WithheldError:
            return
        raise AssertionError("truth() answers on the test split: raise regenv.errors.WithheldError")


def _check_memory(env: gym.Env[Any, Any]) -> None:
    kept: list[Any] = [env.reset(seed=SEED)]
    copies = [pickle.loads(pickle.dumps(kept[0]))]
    for action in _actions(env, 3):
        result = env.step(action)
        kept.append(result)
        copies.append(pickle.loads(pickle.dumps(result)))
        if result[2] or result[3]:
            break
    assert equal(kept, copies), "an observation or info changed after it was given: hand out copies"
    arrays = [[leaf for _, leaf in leaves(result) if isinstance(leaf, np.ndarray)] for result in kept]
    for earlier in range(len(arrays)):
        for later in range(earlier + 1, len(arrays)):
            shared = any(np.shares_memory(a, b) for a in arrays[earlier] for b in arrays[later])
            assert not shared, "observations or infos of different calls share memory: hand out copies"


def _check_telescoping(env: gym.Env[Any, Any]) -> None:
    from regenv.core.similarity import SIMILARITIES

    reward, config = getattr(env.unwrapped, "reward", None), getattr(env.unwrapped, "config", None)
    if reward is None or config is None or not reward.telescopes or reward.name not in SIMILARITIES:
        return
    _, first = env.reset(seed=SEED)
    total, info = 0.0, first
    for action in _actions(env, _STEPS):
        _, gain, terminated, truncated, info = env.step(action)
        total += float(gain) + (0.0 if terminated else config.step_cost)  # STOP is free
        if terminated or truncated:
            break
    expected = config.reward_scale * (info["similarity"] - first["similarity"])
    assert abs(total - expected) < 1e-6 * max(1.0, abs(expected)), (
        f"the reward says that it telescopes, and its gains sum to {total}, not to {expected}: pay differences of "
        "one value"
    )


def _check_endings(env: gym.Env[Any, Any]) -> None:
    config = getattr(env.unwrapped, "config", None)
    space = env.action_space
    if config is None or not isinstance(space, gym.spaces.Discrete):
        return
    if getattr(getattr(env.unwrapped, "_engine", None), "actions", None) is not None and config.stop is not False:
        env.reset(seed=SEED)
        _, _, terminated, truncated, _ = env.step(np.int64(space.n - 1))
        assert terminated and (not truncated or config.horizon == 1), "STOP, the last action, must terminate"
    env.reset(seed=SEED)
    for number in range(1, config.horizon + 1):
        _, _, terminated, truncated, _ = env.step(np.int64(number % 2))  # there and back
        if terminated and config.goal is not None:
            return
        assert not terminated, f"step {number} terminated without STOP: use truncated for the horizon"
        assert truncated == (number == config.horizon), f"truncated is {truncated} at step {number} of {config.horizon}"
    try:
        env.step(np.int64(0))
    except RuntimeError:
        return
    raise AssertionError("a step after the end is taken and paid: raise RuntimeError until reset()")


def _check_pickling(env: gym.Env[Any, Any]) -> None:
    env.reset(seed=SEED)
    actions = _actions(env, 3)
    env.step(actions[0])
    twin = pickle.loads(pickle.dumps(env.unwrapped))
    assert equal(env.unwrapped.step(actions[1]), twin.step(actions[1])), (
        "a pickled environment goes on differently: keep its whole state in __getstate__"
    )


def _from_spec(env: gym.Env[Any, Any]) -> gym.Env[Any, Any] | None:
    if env.spec is None:
        return None
    dataset = env.spec.kwargs.get("dataset", "")
    if not isinstance(dataset, str):
        return gym.make(env.spec)  # an object made by hand has no JSON
    try:
        spec = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
    except Exception as error:
        raise AssertionError(f"spec does not go to JSON and back ({error}): take keywords that JSON has") from error
    return gym.make(spec)
