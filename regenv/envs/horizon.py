"""The horizon of an environment as Gymnasium tells it: ``env.spec.max_episode_steps``."""

from __future__ import annotations

from dataclasses import replace

from gymnasium.envs.registration import EnvSpec

from regenv.envs.config import Config
from regenv.envs.engine import Engine


class HasHorizon:
    """An environment that keeps its horizon itself and says it in its ``spec``.

    The entry in Gymnasium's registry leaves ``max_episode_steps`` open: ``gym.make`` would put a ``TimeLimit`` of that
    many steps on every environment of the id, on those with a longer horizon too, and its count would not follow
    ``set_state``.
    """

    _engine: Engine
    _spec: EnvSpec | None = None

    @property
    def config(self) -> Config:
        """The configuration, defaults filled in."""
        return self._engine.config

    @property
    def spec(self) -> EnvSpec | None:
        """What ``gym.make`` or ``gym.make_vec`` was told; ``max_episode_steps`` is the horizon."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self._spec = spec and replace(spec, max_episode_steps=self.config.horizon)
