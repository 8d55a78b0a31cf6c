"""The batched environment as a stable-baselines3 ``VecEnv``: one engine, many lanes, no process and no copy between.

    from stable_baselines3 import DQN
    from regenv.adapters.sb3 import make_vec_env

    model = DQN("CnnPolicy", make_vec_env("CTCBCT-Rigid-v0", 32, seed=0)).learn(100_000)

Lane i seeded s is the single environment seeded s + i, as with SB3's own ``DummyVecEnv``, and several times as fast.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import regenv  # noqa: F401  (registers the ids)
from regenv.envs.config import KEYWORDS
from regenv.envs.words import check_keywords
from regenv.errors import require

if TYPE_CHECKING:
    from regenv.envs.vector import RegistrationVectorEnv

_vec_env: Any = require("stable_baselines3.common.vec_env", "agents")

Indices = int | Iterable[int] | None

# Methods that answer for all lanes at once: asking lane by lane would do the work of all lanes for each.
_BATCHED_METHODS = ("truth", "expert_action", "get_state", "render")


def make_vec_env(
    id: str, num_envs: int = 1, *, seed: int | None = None, monitor: bool = True, **keywords: Any
) -> RegistrationVecEnv:
    """The batched environment of an id, ready for a stable-baselines3 algorithm.

    Args:
        id: Such as ``"CTCBCT-Rigid-v0"``.
        num_envs: Number of lanes.
        seed: Lane i is seeded ``seed + i`` at the first reset; None leaves it to the algorithm's own ``seed=``.
        monitor: Whether finished episodes carry ``info["episode"]`` (return, length, seconds), which SB3 logs.
        **keywords: What ``gym.make_vec(id)`` takes: ``split``, ``observation``, ``actions``, ``reward``, ``threads``.

    Returns:
        A ``stable_baselines3.common.vec_env.VecEnv``.

    Raises:
        UnknownOptionError: On an unknown keyword; SB3's own words are known, and the message says what they are here.
        ValueError: If ``autoreset_mode`` is asked for: SB3 resets a finished lane in the same step.
    """
    check_keywords("make_vec_env", keywords, ("num_envs", "seed", "monitor", "autoreset_mode", *KEYWORDS))
    if "autoreset_mode" in keywords:
        raise ValueError("stable-baselines3 resets a finished lane in the same step: leave autoreset_mode out")
    envs = gym.make_vec(id, num_envs=num_envs, autoreset_mode="SameStep", **keywords)
    venv = RegistrationVecEnv(envs.unwrapped, monitor=monitor)  # type: ignore[arg-type]
    if seed is not None:
        venv.seed(seed)
    return venv


class RegistrationVecEnv(_vec_env.VecEnv):
    """A :class:`~regenv.envs.vector.RegistrationVectorEnv` with the interface of SB3's vector environments.

    Args:
        envs: The batched environment, with ``autoreset_mode="SameStep"``.
        monitor: Whether finished episodes carry ``info["episode"]``, as SB3's ``Monitor`` writes it.

    Attributes:
        envs: The batched environment.

    Raises:
        ValueError: If the environment resets in another way.
    """

    def __init__(self, envs: RegistrationVectorEnv, monitor: bool = True) -> None:
        if envs.autoreset_mode != gym.vector.AutoresetMode.SAME_STEP:
            raise ValueError(f"stable-baselines3 needs autoreset_mode='SameStep', got {envs.autoreset_mode.value!r}")
        self.envs = envs
        self.monitor = monitor
        self._actions: NDArray[Any] | None = None
        self._returns = np.zeros(envs.num_envs)
        self._lengths = np.zeros(envs.num_envs, np.int64)
        self._began = time.time()
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)
        self.metadata = {**envs.metadata}

    def reset(self) -> Any:
        """Begins an episode on every lane, with the seeds and options set since the last reset; observations only."""
        observations, infos = self.envs.reset(seed=self._seeds, options=_joined_options(self._options))
        self.reset_infos = _split_infos(infos, self.num_envs)
        self._returns[:] = 0.0
        self._lengths[:] = 0
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Takes the actions ``(B, ...)`` of the next step."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """One step of every lane; finished lanes are reset in it.

        Returns:
            Observations ``(B, ...)``, rewards ``(B,)``, dones ``(B,)`` and an info for each lane. A finished lane's
            info is that of its last step, with ``terminal_observation``; ``reset_infos`` holds the new episode's.
        """
        if self._actions is None:
            raise RuntimeError("call step_async(actions) before step_wait()")
        observations, rewards, terminated, truncated, batched = self.envs.step(self._actions)
        self._actions = None
        infos = _split_infos(batched, self.num_envs)
        self._returns += rewards
        self._lengths += 1
        dones = terminated | truncated
        for info, late in zip(infos, (truncated & ~terminated).tolist(), strict=True):
            info["TimeLimit.truncated"] = late
        if dones.any():
            final = _split_infos(batched["final_info"], self.num_envs)
            for lane in np.flatnonzero(dones).tolist():
                final[lane]["TimeLimit.truncated"] = infos[lane].pop("TimeLimit.truncated")
                self.reset_infos[lane] = infos[lane]
                infos[lane] = self._finished(lane, final[lane], batched["final_obs"][lane])
        return observations, rewards.astype(np.float32), dones, infos

    def _finished(self, lane: int, info: dict[str, Any], observation: Any) -> dict[str, Any]:
        info["terminal_observation"] = observation
        if self.monitor:
            info["episode"] = {
                "r": round(float(self._returns[lane]), 6),
                "l": int(self._lengths[lane]),
                "t": round(time.time() - self._began, 6),
            }
        self._returns[lane] = 0.0
        self._lengths[lane] = 0
        return info

    def close(self) -> None:
        """Closes the batched environment."""
        self.envs.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """A picture ``(H, W, 3)`` of each lane; needs ``render_mode="rgb_array"``."""
        if self.render_mode != "rgb_array":
            raise ValueError(f"pictures need render_mode='rgb_array', this environment has {self.render_mode!r}")
        frames = self.envs.render()
        assert frames is not None
        return list(frames)

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """An attribute as each lane has it: its own generator and spaces, else that of the batched environment."""
        return [getattr(Lane(self.envs, i), attr_name) for i in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Sets an attribute of the batched environment, which all lanes share.

        Raises:
            ValueError: If only some lanes are named.
        """
        lanes = sorted(set(self._get_indices(indices)))
        if lanes != list(range(self.num_envs)):
            raise ValueError(f"lanes share attribute {attr_name!r}: set it for all {self.num_envs}, not for {lanes}")
        setattr(self.envs, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Calls a method of the single environment on each lane: ``truth``, ``expert_action``, ``get_state``, ..."""
        lanes = list(self._get_indices(indices))
        if method_name in _BATCHED_METHODS and len(lanes) > 1:
            results = getattr(self.envs, method_name)(*method_args, **method_kwargs)
            return [None if results is None else results[lane] for lane in lanes]
        return [getattr(Lane(self.envs, lane), method_name)(*method_args, **method_kwargs) for lane in lanes]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Indices = None) -> list[bool]:
        """True for SB3's ``Monitor`` where ``monitor`` is on, since infos carry the same statistics; else False."""
        from stable_baselines3.common.monitor import Monitor

        return [self.monitor and wrapper_class is Monitor for _ in self._get_indices(indices)]


class Lane:
    """One lane of a batched environment, with the names of the single one.

    Its spaces, its generator and what the batch answers lane by lane (``truth``, ``expert_action``, ``get_state``,
    ``render``) are its own; what it does not know is the batch's.

    Args:
        envs: The batched environment.
        index: Which lane.
    """

    def __init__(self, envs: RegistrationVectorEnv, index: int) -> None:
        if not -envs.num_envs <= index < envs.num_envs:
            raise IndexError(f"lane {index} of {envs.num_envs} lanes")
        self._envs = envs
        self._index = index

    @property
    def unwrapped(self) -> Lane:
        """Itself: there are no wrappers."""
        return self

    def observe(self, pair_id: Any, transform: Any) -> NDArray[Any]:
        """The image observation of a pair at a pose; a list of ids and ``(N, d + 1, d + 1)`` gives ``(N, ...)``."""
        if isinstance(pair_id, list | tuple | np.ndarray):
            return self._envs.observe(list(pair_id), transform)
        return self._envs.observe([pair_id], np.asarray(transform, dtype=np.float64)[None])[0]

    def set_state(self, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Returns the lane to a state of :meth:`get_state`; gives its observation and info there."""
        states = self._envs.get_state()
        states[self._index] = state
        observations, infos = self._envs.set_state(states)
        return _lane_of(observations, self._index), _split_infos(infos, self._envs.num_envs)[self._index]

    def __getattr__(self, name: str) -> Any:
        if name in ("reset", "step"):
            raise AttributeError(f"a lane has no {name} of its own: use that of the vector environment, for all lanes")
        if name in ("observation_space", "action_space"):
            return getattr(self._envs, f"single_{name}")
        found = getattr(self._envs, name)
        if name in _BATCHED_METHODS:
            return lambda: None if (results := found()) is None else results[self._index]
        return found[self._index] if name in ("np_random", "np_random_seed") else found


def _lane_of(observations: Any, lane: int) -> Any:
    if isinstance(observations, Mapping):
        return {key: values[lane] for key, values in observations.items()}
    return observations[lane]


def _split_infos(infos: Mapping[str, Any], lanes: int) -> list[dict[str, Any]]:
    """One dict for each lane, of plain numbers and matrices, from Gymnasium's arrays with their ``_key`` masks."""
    split: list[dict[str, Any]] = [{} for _ in range(lanes)]
    for key, values in infos.items():
        if key.startswith(("_", "final_")):
            continue
        has = infos[f"_{key}"]
        column = values.tolist() if values.ndim == 1 else list(values)
        if has.all():
            for info, value in zip(split, column, strict=True):
                info[key] = value
        else:
            for lane in np.flatnonzero(has):
                split[lane][key] = column[lane]
    return split


def _joined_options(options: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Options of all lanes as the batched environment takes them: a list under each key."""
    keys = set(options[0])
    if any(set(lane) != keys for lane in options):
        raise ValueError(f"give every lane the same reset options; lane 0 has {sorted(keys)}, another has others")
    return {key: [lane[key] for lane in options] for key in sorted(keys)} or None
