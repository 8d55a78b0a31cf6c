"""The decision process, written once and batched: states, actions and rewards are arrays over B lanes.

:class:`regenv.envs.single.RegistrationEnv` is the engine with one lane,
:class:`regenv.envs.vector.RegistrationVectorEnv` the engine with many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from regenv.core.models import TransformModel, get_model
from regenv.core.similarity import get_similarity
from regenv.data.dataset import Dataset, Prepared
from regenv.envs.actions import make_actions
from regenv.envs.canvas import ALL, Canvas
from regenv.envs.canvases import make_canvas
from regenv.envs.cases import Case, CaseSource, require_privileged
from regenv.envs.config import Config
from regenv.envs.motion import make_motion
from regenv.envs.rewards import SimilarityPotential, make_potential
from regenv.envs.starts import half_widths
from regenv.envs.views import View, make_view

_TRIES = 32  # starts that are drawn for one at which a camera sees the volume

Info = dict[str, Any]


def _dataset(config: Config) -> Dataset:
    """The data set of a configuration, made from its name or taken as it is."""
    if not isinstance(config.dataset, str):
        return config.dataset
    extent_mm = config.view_size * config.view_spacing_mm
    dataset = config.task.dataset(config.dataset, config.split, field_of_view=config.field_of_view, extent_mm=extent_mm)
    if isinstance(dataset, Prepared):
        dataset.prepare()
    return dataset


def config_view(config: Config, name: str | None = None, **changes: Any) -> View:
    """The view of a configuration; ``name`` and ``changes`` stand in for its observation, size and spacing."""
    task = config.task
    keywords = {"size": config.view_size, "spacing_mm": config.view_spacing_mm, **changes}
    planes = task.planes.get(config.field_of_view, 1)
    return make_view(name or config.observation, ndim=task.ndim, imaging=task.imaging, planes=planes, **keywords)


def config_model(config: Config) -> TransformModel:
    """The transform model of a configuration.

    Raises:
        OptionError: If a population model does not fit the environment.
    """
    task = config.task
    if task.model != "sdm":
        return get_model(task.model, task.ndim)
    from regenv.envs.populations import find_population

    return find_population(config)


class Engine:
    """B registrations side by side.

    Args:
        config: What ``gym.make`` was told.
        lanes: Number of lanes, B.

    Attributes:
        transforms: ``(B, d + 1, d + 1)`` current transforms, fixed to moving physical points, or ``(B, K)``
            coefficients of a deformation.
        starts: Where the episodes began, alike.
        elapsed: ``(B,)`` steps taken.
        similarity: ``(B,)`` current image similarity, larger is better.
        potential: ``(B,)`` current value of what the reward is the gain of.
    """

    def __init__(self, config: Config, lanes: int) -> None:
        task = config.task
        self.config = config
        self.lanes = lanes
        self.model = config_model(config)
        widths = half_widths(self.model, config.misalignment)
        self.source = CaseSource(_dataset(config), self.model, widths, task.imaging)
        self.withheld = self.source.withheld
        self.view = config_view(config)
        self.actions = make_actions(
            config.actions, self.model, steps=config.steps, default_steps=task.steps, stop=config.stop
        )
        self.canvas = self.make_canvas(lanes, self.view)
        self.motion = make_motion(self.model, lanes, self.view.extent_mm, config.threads)
        self._make_potentials()
        self._dtype = np.dtype(config.dtype)
        self._ids = np.full(lanes, "", dtype=object)
        self._placed: list[Case | None] = [None] * lanes  # what canvas, potentials and motion are all ready for
        self._shown = np.zeros(lanes, dtype=bool)  # lanes rendered since their episode began
        self.transforms = np.tile(self.motion.identity, (lanes, *[1] * self.motion.identity.ndim))
        self.starts = self.transforms.copy()
        self.elapsed = np.zeros(lanes, np.int64)
        self.similarity = np.zeros(lanes)
        self.potential = np.zeros(lanes)

    def make_canvas(self, lanes: int, view: View, threads: int | None = None) -> Canvas:
        """A canvas of this environment's kind, such as to look at its cases through another view."""
        config = self.config
        threads = config.threads if threads is None else threads
        return make_canvas(config.task.imaging, self.model, view, lanes, threads, config.device)

    def _make_potentials(self) -> None:
        config = self.config
        canvas = None
        if config.reward_region == "volume":
            canvas = self.make_canvas(self.lanes, config_view(config, "volume"))
        self.reward = make_potential(config.reward, lanes=self.lanes, withheld=self.withheld, canvas=canvas)
        # The similarity in info is the reward's where that is one, else the id's own.
        self._monitor = (
            self.reward
            if isinstance(self.reward, SimilarityPotential)
            else SimilarityPotential(get_similarity(config.task.similarity), self.lanes)
        )

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """Space of one lane's observation."""
        high = 255 if self._dtype == np.uint8 else 1.0
        image = spaces.Box(0, high, self.view.shape, dtype=self._dtype.type)
        if not self.config.parameters:
            return image
        pose = spaces.Box(-np.inf, np.inf, (self.model.n_parameters,), dtype=np.float64)
        return spaces.Dict({"image": image, "parameters": pose})

    # Episodes

    def begin(self, lane: int, rng: np.random.Generator, options: dict[str, Any] | None = None) -> None:
        """Draws a case and a start for a lane from ``rng`` alone, or takes them from ``options``; renders nothing yet.

        Args:
            lane: Which lane.
            rng: The lane's generator.
            options: ``{"pair": id, "start": (d + 1, d + 1) matrix or (K,) coefficients}``, either may be left out.

        Raises:
            ValueError: On an unknown option or pair, or a start that is no transform of this model.
        """
        options = dict(options or {})
        drawn = int(rng.integers(len(self.source)))
        index = self.source.index(options.pop("pair")) if "pair" in options else drawn
        start = self.motion.checked(options.pop("start")) if "start" in options else None
        if options:
            raise ValueError(f"unknown reset options {sorted(options)}; known: 'pair', 'start'")
        if start is None:
            start = self._drawn_start(lane, index, rng)
        elif not self._shows(lane, index, start):
            raise ValueError(
                f"at this start of pair {self._ids[lane]!r} a camera stands inside the volume or looks past it; give a "
                f"transform that puts the volume before every camera, got {start.tolist()}"
            )
        self.starts[lane] = start
        self.elapsed[lane] = 0

    def _drawn_start(self, lane: int, index: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Places pair ``index`` at a random start at which it is seen, and returns the start."""
        for _ in range(_TRIES):
            start = self.source.draw_start(index, rng)
            if self._shows(lane, index, start):
                return start
        raise ValueError(
            f"{_TRIES} random starts of pair {self._ids[lane]!r} all put the volume where no camera sees it; narrow "
            f"misalignment={dict(self.config.misalignment)}"
        )

    def _shows(self, lane: int, index: int, transform: NDArray[np.float64]) -> bool:
        """Places pair ``index`` at a pose; whether it is seen there."""
        self.place(lane, index, transform)
        return bool(self.canvas.sees(self.transforms, slice(lane, lane + 1))[0])

    def place(self, lane: int, index: int, transform: NDArray[np.float64]) -> None:
        """Puts pair ``index`` at a pose on a lane; renders the fixed image if the pair is new there."""
        case = self.source.case(index)
        self._shown[lane] = False
        if self._placed[lane] is not case:
            self._placed[lane] = None  # until all of it has succeeded
            if self.config.goal is not None:
                require_privileged(case, "goal", self.withheld)
            self.canvas.load(lane, case)
            for potential in {id(p): p for p in (self.reward, self._monitor)}.values():
                potential.load(self, lane)
            self._ids[lane] = case.id
            self.motion.load(lane, case)
            self._placed[lane] = case
        self.transforms[lane] = transform

    def refresh(self, lanes: slice = ALL) -> None:
        """Renders lanes at their current poses and takes similarity and potential from that."""
        self.canvas.render(self.transforms, lanes)
        self.similarity[lanes] = self._monitor.values(self, lanes)
        self.potential[lanes] = (
            self.similarity[lanes] if self.reward is self._monitor else self.reward.values(self, lanes)
        )
        self._shown[lanes] = True

    def step(
        self, actions: NDArray[Any], resting: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """One step of every lane.

        Args:
            actions: A batch of actions, ``(B, ...)``.
            resting: Lanes that have just begun an episode: they are rendered, and their action is ignored.

        Returns:
            Rewards (float64), terminated and truncated, each ``(B,)``.
        """
        return self.advance(*self.actions.decode(actions), resting)

    def advance(
        self,
        coefficients: NDArray[np.float64],
        stops: NDArray[np.bool_],
        resting: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """As :meth:`step`, from coefficients ``(B, K)`` and STOP flags ``(B,)`` instead of actions."""
        ready = self._shown if resting is None else self._shown | resting
        if not ready.all():
            raise RuntimeError(f"no episode has begun on lanes {np.flatnonzero(~ready).tolist()}: call reset() first")
        if resting is not None:
            coefficients = np.where(resting[:, None], 0.0, coefficients)
            stops = stops & ~resting
        after = self.motion.advance(self.transforms, coefficients)
        hidden = ~self.canvas.sees(after)
        if hidden.any():  # a step after which nothing would be seen changes nothing
            after[hidden] = self.transforms[hidden]
        self.transforms = after
        before = self.potential.copy()
        self.refresh()
        rewards = self.config.reward_scale * (self.potential - before) - np.where(stops, 0.0, self.config.step_cost)
        self.elapsed += 1
        terminated = stops
        if self.config.goal is not None:
            left = self.tre() if self.config.goal_measure == "tre" else np.linalg.norm(self.left(), axis=1)
            reached = left <= self.config.goal
            rewards[reached] += self.config.goal_bonus
            terminated = stops | reached
        truncated = self.elapsed >= self.config.horizon
        if resting is not None:
            rewards[resting] = 0.0
            self.elapsed[resting] = 0
            terminated = terminated & ~resting
            truncated = truncated & ~resting
        return rewards, terminated, truncated

    def observation(self, lanes: slice = ALL) -> Any:
        """Observations of some lanes, ``(B, ...)``, in fresh memory."""
        image = self.canvas.observation(self._dtype, lanes)
        if not self.config.parameters:
            return image
        since = self.motion.between(self.starts[lanes], self.transforms[lanes], lanes)
        return {"image": image, "parameters": since}

    def info(self, lanes: slice = ALL) -> Info:
        """Infos of some lanes, arrays over them: plain numbers, and the truth's only where it is not withheld."""
        info: Info = {
            "transform": self.transforms[lanes].copy(),
            "start": self.starts[lanes].copy(),
            "similarity": self.similarity[lanes].copy(),
            "pair_id": self._ids[lanes].copy(),
        }
        known = self.known[lanes]
        if known.any():
            info["tre"] = self.tre(lanes)
            info["is_success"] = info["tre"] < self.config.task.success_mm
            if not known.all():  # what Gymnasium fills in for a lane without an entry
                info["tre"][~known], info["is_success"][~known] = 0.0, False
        return info

    # For training and planning

    def case(self, lane: int) -> Case:
        """The lane's case.

        Raises:
            RuntimeError: Before the first reset.
        """
        case = self.canvas.cases[lane]
        if case is None:
            raise RuntimeError("call reset() before anything else")
        return case

    def truth(self, lane: int) -> NDArray[np.float64]:
        """The true transform of a lane's pair, or the best of its model; raises WithheldError on the test split."""
        return require_privileged(self.case(lane), "truth()", self.withheld).transform.copy()

    @property
    def known(self) -> NDArray[np.bool_]:
        """``(B,)`` whether the lane's truth is known and not withheld; only there does info hold a ``tre``."""
        return self.motion.known

    def tre(self, lanes: slice = ALL) -> NDArray[np.float64]:
        """Mean TRE ``(B,)`` of some lanes in mm; train and validation only."""
        return self.motion.tre(self.transforms[lanes], lanes)

    def left(self, lanes: slice = ALL) -> NDArray[np.float64]:
        """Coefficients ``(B, K)`` of what is left to do, in the view's frame."""
        truths = np.stack([self.truth(lane) for lane in range(self.lanes)[lanes]])
        return self.motion.between(self.transforms[lanes], truths, lanes)

    def expert_action(self, lane: int) -> Any:
        """The action that a greedy expert who knows the truth would take; raises WithheldError on the test split."""
        privileged = require_privileged(self.case(lane), "expert_action()", self.withheld)
        return self.actions.expert(self.motion.remaining(self.transforms[lane], privileged, lane))

    def to_sitk(self, lane: int) -> Any:
        """A lane's current pose as a SimpleITK transform from fixed to moving points."""
        return self.motion.to_sitk(self.transforms[lane], self.case(lane))

    def get_state(self, lane: int) -> dict[str, Any]:
        """Everything that the lane's future depends on, but its generator: pair, poses and steps taken."""
        return {
            "pair_id": self._ids[lane],
            "transform": self.transforms[lane].copy(),
            "start": self.starts[lane].copy(),
            "elapsed": int(self.elapsed[lane]),
        }

    def set_state(self, lane: int, state: dict[str, Any]) -> None:
        """Puts a lane into a state of :meth:`get_state`."""
        self.place(lane, self.source.index(state["pair_id"]), self.motion.checked(state["transform"]))
        self.starts[lane] = state["start"]
        self.elapsed[lane] = state["elapsed"]
        self.refresh(slice(lane, lane + 1))

    def observe(self, pair_ids: Sequence[object], transforms: ArrayLike) -> NDArray:
        """Image observations ``(N, ...)`` of any pairs at any poses ``(N, d + 1, d + 1)`` or ``(N, K)``."""
        poses = np.asarray(transforms, dtype=np.float64)
        wanted = (len(pair_ids), *self.motion.identity.shape)
        if poses.shape != wanted:
            raise ValueError(f"{len(pair_ids)} pairs need transforms {wanted}, got {poses.shape}")
        canvas = self.make_canvas(len(pair_ids), self.view)
        for lane, pair_id in enumerate(pair_ids):
            canvas.load(lane, self.source.case(self.source.index(pair_id)))
        canvas.render(poses)
        return canvas.observation(self._dtype)
