"""The vector face: many registrations as one ``gymnasium.vector.VectorEnv``, on the batched engine itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from regenv.core.lanes import ALL
from regenv.envs.config import KEYWORDS, make_config
from regenv.envs.engine import Engine
from regenv.envs.horizon import HasHorizon
from regenv.envs.rendering import RENDER_MODES, check_render_mode, render_ansi, render_frame
from regenv.envs.words import check_keywords
from regenv.errors import OptionError

AUTORESET_NAMES = {mode.value.lower(): mode for mode in AutoresetMode} | {
    mode.name.lower().replace("_", ""): mode for mode in AutoresetMode
}


class RegistrationVectorEnv(HasHorizon, VectorEnv[Any, Any, Any]):
    """B registrations side by side. Lane i seeded s is, step for step, the single environment seeded s + i.

    Args:
        task: The id; filled in by ``gym.make_vec``.
        num_envs: Number of lanes, B.
        autoreset_mode: ``"NextStep"`` (default), ``"SameStep"`` or ``"Disabled"``, or Gymnasium's enumeration.
        max_episode_steps: Gymnasium's word for ``horizon``; the smaller of the two holds.
        render_mode: ``"rgb_array"``, ``"ansi"`` or None.
        preset: A published decision process.
        **keywords: Fields of :class:`regenv.envs.config.Config`.

    Raises:
        OptionError: On a bad keyword (a TypeError too) or value; the message names the nearest.
    """

    metadata = {
        "render_modes": list(RENDER_MODES),
        "render_fps": 8,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        task: str,
        num_envs: int = 1,
        autoreset_mode: str | AutoresetMode = "NextStep",
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        preset: str | None = None,
        **keywords: Any,
    ) -> None:
        check_keywords(task, keywords, ("num_envs", "autoreset_mode", *KEYWORDS))
        check_render_mode(render_mode)
        if num_envs < 1:
            raise OptionError(f"num_envs must be at least 1, got {num_envs}")
        self.render_mode = render_mode
        self.num_envs = num_envs
        self.autoreset_mode = parse_autoreset(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self._engine = Engine(make_config(task, preset, max_episode_steps, **keywords), lanes=num_envs)
        self.single_observation_space = self._engine.observation_space
        self.single_action_space = self._engine.actions.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generators: list[np.random.Generator] = []
        self._seeds: list[int] = []
        self._over = np.zeros(num_envs, dtype=bool)

    @property
    def reward(self) -> Any:
        """What the reward is the gain of; it says ``telescopes`` and ``uses_truth``."""
        return self._engine.reward

    @property
    def model(self) -> Any:
        """The pose model."""
        return self._engine.poses

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """One generator for each lane."""
        self._seed(None)
        return tuple(self._generators)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed of each lane."""
        self._seed(None)
        return tuple(self._seeds)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins an episode on every lane.

        Args:
            seed: One seed (lane i gets ``seed + i``) or one for each lane; a lane that is not
                reset keeps its generator.
            options: ``"pair"`` and ``"start"`` as in the single environment, the same for every lane or a list with one
                for each; ``"reset_mask"`` ``(B,)`` bool resets some lanes only.

        Returns:
            Observations ``(B, ...)`` and infos.
        """
        options = dict(options or {})
        mask = self._reset_mask(options.pop("reset_mask", None))
        self._seed(seed, mask)
        self._begin(mask, options)
        self._engine.refresh(ALL if mask.all() else np.flatnonzero(mask))
        self._over[mask] = False
        return self._engine.observation(), self._infos(mask)

    def step(self, actions: Any) -> tuple[Any, NDArray, NDArray, NDArray, dict[str, Any]]:
        """One step of every lane; finished lanes are reset as the autoreset mode says."""
        self._engine.case(0)
        actions = np.asarray(actions)
        if len(actions) != self.num_envs:
            raise ValueError(f"{self.num_envs} lanes need as many actions, got {len(actions)}")
        if self.autoreset_mode == AutoresetMode.DISABLED and self._over.any():
            raise RuntimeError(
                f"lanes {np.flatnonzero(self._over).tolist()} are over: reset them with options={{'reset_mask': ...}}"
            )
        resting = None
        if self.autoreset_mode == AutoresetMode.NEXT_STEP and self._over.any():
            resting = self._over
            self._begin(resting)
        rewards, terminated, truncated = self._engine.step(actions, resting)
        self._over = terminated | truncated
        infos = self._engine.info()
        final: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._over.any():
            infos, final = self._restart(infos, self._over)
        infos = {**self._batched(infos, np.ones(self.num_envs, dtype=bool)), **final}
        return self._engine.observation(), rewards, terminated, truncated, infos

    def render(self) -> tuple[Any, ...] | None:
        """A picture or a line of text for each lane."""
        if self.render_mode is None:
            return None
        draw = render_frame if self.render_mode == "rgb_array" else render_ansi
        return tuple(draw(self._engine, lane) for lane in range(self.num_envs))

    # For training and planning

    def truth(self) -> NDArray[np.float64]:
        """The true transforms ``(B, d + 1, d + 1)``, or the best ``(B, K)`` of a deformation; not on the test split."""
        return np.stack([self._engine.truth(lane) for lane in range(self.num_envs)])

    def to_sitk(self) -> list[Any]:
        """The current pose of each lane as a SimpleITK transform from fixed to moving points."""
        return [self._engine.to_sitk(lane) for lane in range(self.num_envs)]

    def expert_action(self) -> NDArray:
        """The actions of a greedy expert who knows the truth, ``(B, ...)``; raises on the test split."""
        return np.stack([self._engine.expert_action(lane) for lane in range(self.num_envs)])

    def get_state(self) -> list[dict[str, Any]]:
        """The state of each lane, for planning."""
        return [
            {
                **self._engine.get_state(lane),
                "rng": self.np_random[lane].bit_generator.state,
                "over": bool(self._over[lane]),
            }
            for lane in range(self.num_envs)
        ]

    def set_state(self, states: Sequence[dict[str, Any]]) -> tuple[Any, dict[str, Any]]:
        """Returns each lane to a state of :meth:`get_state`; gives observations and infos there."""
        if len(states) != self.num_envs:
            raise ValueError(f"{self.num_envs} lanes need as many states, got {len(states)}")
        for lane, state in enumerate(states):
            self._engine.set_state(lane, state)
            if "rng" in state:
                self.np_random[lane].bit_generator.state = state["rng"]
            self._over[lane] = state.get("over", False)
        return self._engine.observation(), self._infos(np.ones(self.num_envs, dtype=bool))

    def observe(self, pair_ids: Sequence[object], transforms: ArrayLike) -> NDArray:
        """Image observations ``(N, ...)`` of any pairs at any poses ``(N, d + 1, d + 1)`` or ``(N, K)``."""
        return self._engine.observe(pair_ids, transforms)

    def _seed(self, seed: int | Sequence[int | None] | None, mask: NDArray[np.bool_] | None = None) -> None:
        """Gives lanes their generators: those of the mask, and all that have none yet."""
        if seed is None and self._generators:
            return
        if seed is None or isinstance(seed, int | np.integer):
            seeds: list[int | None] = [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"{self.num_envs} lanes need one seed or as many, got {len(seeds)}")
        for lane, value in enumerate(seeds):
            kept = value is None or (mask is not None and not mask[lane])
            if kept and lane < len(self._generators):
                continue  # a lane without a seed goes on with the generator it has
            generator, used = seeding.np_random(value)
            self._generators[lane : lane + 1] = [generator]
            self._seeds[lane : lane + 1] = [used]
            self._engine.seeded(lane)

    def _reset_mask(self, mask: Any) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, dtype=bool)
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(f"reset_mask must be {self.num_envs} booleans, at least one of them True, got {mask!r}")
        if not mask.all():
            self._engine.case(0)
        return mask

    def _lane_options(self, options: dict[str, Any], lane: int) -> dict[str, Any]:
        chosen = dict(options)
        each = {
            "pair": isinstance(chosen.get("pair"), list | tuple | np.ndarray),
            "start": "start" in chosen and np.ndim(chosen["start"]) == self._engine.poses.origin.ndim + 1,
        }
        for name in (name for name, is_list in each.items() if is_list):
            if len(chosen[name]) != self.num_envs:
                raise ValueError(
                    f"options[{name!r}] must be one for all or one for each of {self.num_envs} lanes, got "
                    f"{len(chosen[name])}"
                )
            chosen[name] = chosen[name][lane]
        return chosen

    def _begin(self, mask: NDArray[np.bool_], options: dict[str, Any] | None = None) -> None:
        """Begins episodes on the lanes of a mask."""
        lanes = np.flatnonzero(mask).tolist()
        each = [self._lane_options(options, lane) for lane in lanes] if options else None
        self._engine.begin(lanes, [self._generators[lane] for lane in lanes], each)

    def _restart(self, infos: dict[str, Any], over: NDArray[np.bool_]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Same-step autoreset: keeps what the finished lanes showed, then begins anew on them.

        Returns:
            The infos of all lanes, brought up to date from those before, and what is kept.
        """
        lanes = np.flatnonzero(over)
        final_obs = np.full(self.num_envs, None, dtype=object)
        last = self._engine.observation(lanes)
        for i, lane in enumerate(lanes.tolist()):
            final_obs[lane] = {k: v[i] for k, v in last.items()} if isinstance(last, dict) else last[i]
        final_info = self._batched(infos, over)
        self._begin(over)
        self._engine.refresh(lanes)
        kept = {"final_obs": final_obs, "_final_obs": over.copy(), "final_info": final_info, "_final_info": over.copy()}
        fresh = self._engine.info(lanes)
        if fresh.keys() != infos.keys():  # the truth of some is known, of others it is not
            return self._engine.info(), kept
        infos = {key: values.copy() for key, values in infos.items()}
        for key, values in fresh.items():
            infos[key][lanes] = values
        return infos, kept

    def _infos(self, lanes: NDArray[np.bool_]) -> dict[str, Any]:
        return self._batched(self._engine.info(), lanes)

    def _batched(self, infos: dict[str, Any], lanes: NDArray[np.bool_]) -> dict[str, Any]:
        """Infos as Gymnasium batches them: arrays over lanes, and under ``_key`` which lanes have them."""
        batched: dict[str, Any] = {}
        for key, values in infos.items():
            batched[key] = values
            batched[f"_{key}"] = lanes & self._engine.process.known if key in ("tre", "is_success") else lanes.copy()
        return batched

    def __getstate__(self) -> dict[str, Any]:
        states = self.get_state() if self._engine.begun else None
        kept = {name: value for name, value in self.__dict__.items() if name != "_engine"}
        return {"attributes": kept, "config": self._engine.config, "states": states}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state["attributes"])
        self._engine = Engine(state["config"], lanes=self.num_envs)
        if state["states"] is not None:
            self.set_state(state["states"])


def parse_autoreset(mode: str | AutoresetMode) -> AutoresetMode:
    """Gymnasium's enumeration from itself or its name; a name keeps ``spec.to_json()`` whole.

    Raises:
        OptionError: On an unknown name.
    """
    if isinstance(mode, AutoresetMode):
        return mode
    name = str(mode).lower().replace("_", "")
    if name not in AUTORESET_NAMES:
        raise OptionError(f"autoreset_mode={mode!r} is unknown; known: 'NextStep', 'SameStep', 'Disabled'")
    return AUTORESET_NAMES[name]
