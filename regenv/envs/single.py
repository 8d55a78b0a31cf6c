"""The single face: one registration as a ``gymnasium.Env``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.envs.config import make_config
from regenv.envs.engine import Engine
from regenv.envs.horizon import HasHorizon
from regenv.envs.rendering import RENDER_MODES, check_render_mode, render_ansi, render_frame

ONE = slice(0, 1)


class RegistrationEnv(HasHorizon, gym.Env[Any, Any]):
    """One pair of images, of which the moving one is brought to the fixed one step by step.

    The page of each id (``regenv info ID``) says what its observations, actions and rewards are.

    Args:
        task: The id; filled in by ``gym.make``.
        render_mode: ``"rgb_array"``, ``"ansi"`` or None.
        preset: A published decision process, such as ``"liao2017"``.
        **keywords: Fields of :class:`regenv.envs.config.Config`.

    Raises:
        OptionError: On a bad keyword (a TypeError too) or value; the message names the nearest.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 8}

    def __init__(self, task: str, render_mode: str | None = None, preset: str | None = None, **keywords: Any) -> None:
        check_render_mode(render_mode)
        self.render_mode = render_mode
        self._engine = Engine(make_config(task, preset, **keywords), lanes=1)
        self.observation_space = self._engine.observation_space
        self.action_space = self._engine.actions.space
        self._last_action: Any = None
        self._over = False

    @property
    def reward(self) -> Any:
        """What the reward is the gain of; it says ``telescopes`` and ``uses_truth``."""
        return self._engine.reward

    @property
    def potential(self) -> float:
        """What the reward is the gain of, at the current pose."""
        return float(self._engine.potential[0])

    @property
    def model(self) -> Any:
        """The pose model."""
        return self._engine.poses

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Draws a pair and a start from the generator alone; ``options={"pair": id, "start": matrix}`` pins them."""
        super().reset(seed=seed)
        if seed is not None:
            self._engine.seeded(0)
        self._engine.begin([0], [self.np_random], [options])
        self._engine.refresh()
        self._last_action, self._over = None, False
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step; see the id's page for actions and rewards.

        Raises:
            RuntimeError: Before the first reset, and after the end of an episode.
        """
        self._engine.case(0)
        if self._over:
            raise RuntimeError("the episode is over: call reset() before the next step")
        rewards, terminated, truncated = self._engine.step(np.asarray(action)[None])
        self._last_action, self._over = action, bool(terminated[0] or truncated[0])
        return self._observation(), float(rewards[0]), bool(terminated[0]), bool(truncated[0]), self._info()

    def render(self) -> Any:
        """A picture (``(H, W, 3)`` uint8) or a line of text of the current pose."""
        if self.render_mode == "rgb_array":
            return render_frame(self._engine, 0)
        if self.render_mode == "ansi":
            return render_ansi(self._engine, 0, self._last_action)
        gym.logger.warn(f"render() without a render_mode: pass one to gym.make, one of {RENDER_MODES}")
        return None

    # For training and planning

    def truth(self) -> NDArray[np.float64]:
        """The true transform ``(d + 1, d + 1)``, or the best ``(K,)`` of a deformation; raises on the test split."""
        return self._engine.truth(0)

    def to_sitk(self) -> Any:
        """The current pose as a SimpleITK transform from fixed to moving points."""
        return self._engine.to_sitk(0)

    def expert_action(self) -> Any:
        """The action of a greedy expert who knows the truth; raises on the test split."""
        return self._engine.expert_action(0)

    def get_state(self) -> dict[str, Any]:
        """The state of the episode, for planning; :meth:`set_state` takes it back."""
        return {**self._engine.get_state(0), "rng": self.np_random.bit_generator.state, "over": self._over}

    def set_state(self, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Returns to a state of :meth:`get_state`; gives observation and info there."""
        self._engine.set_state(0, state)
        self._over = state.get("over", False)
        if "rng" in state:
            self.np_random.bit_generator.state = state["rng"]
        return self._observation(), self._info()

    def observe(self, pair_id: object | Sequence[object], transform: ArrayLike) -> NDArray:
        """The image observation of a pair at a pose; a list of ids and as many transforms give ``(N, ...)``."""
        if isinstance(pair_id, list | tuple | np.ndarray):
            return self._engine.observe(list(pair_id), transform)
        return self._engine.observe([pair_id], np.asarray(transform, dtype=np.float64)[None])[0]

    def __getstate__(self) -> dict[str, Any]:
        # Kernels read images by address: a copy in another process has to load them again.
        episode = self.get_state() if self._engine.begun else None
        kept = {name: value for name, value in self.__dict__.items() if name != "_engine"}
        return {"attributes": kept, "config": self._engine.config, "episode": episode}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state["attributes"])
        self._engine = Engine(state["config"], lanes=1)
        if state["episode"] is not None:
            self._engine.set_state(0, state["episode"])

    def _info(self) -> dict[str, Any]:
        # Plain numbers for scalars: what a logger or JSON expects.
        return {k: v[0] if v.ndim > 1 or v.dtype == object else v[0].item() for k, v in self._engine.info(ONE).items()}

    def _observation(self) -> Any:
        observation = self._engine.observation(ONE)
        return {k: v[0] for k, v in observation.items()} if isinstance(observation, dict) else observation[0]
