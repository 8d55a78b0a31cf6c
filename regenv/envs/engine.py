"""The decision process with its images, written once and batched: states, actions and rewards are arrays over B lanes.

:class:`regenv.envs.single.RegistrationEnv` is the engine with one lane,
:class:`regenv.envs.vector.RegistrationVectorEnv` the engine with many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from regenv.core.lanes import ALL, Lanes, get_num_threads
from regenv.core.similarity import get_similarity
from regenv.envs.case_rows import CaseRows
from regenv.envs.cases import CaseSource
from regenv.envs.config import Config
from regenv.envs.rewards import Images, Potential, SimilarityPotential, make_potential
from regenv.envs.window import Window
from regenv.imaging import make_renderer
from regenv.imaging.case import Case, require_target
from regenv.imaging.renderer import Renderer
from regenv.imaging.view import View
from regenv.poses.base import start_widths

_TRIES = 32  # starts that are drawn for one at which a camera sees the volume

Info = dict[str, Any]


class Engine:
    """B registrations side by side.

    Args:
        config: What ``gym.make`` was told.
        lanes: Number of lanes, B.
        source: Cases shared with another engine of the same configuration; default are its own.
        threads: Stands in for the configuration's.

    Attributes:
        process: Poses and steps, without pixels.
        renderer: Fixed and moved images, as they are observed.
        reward: What the reward is the gain of.
        similarity: ``(B,)`` current image similarity, larger is better.
        potential: ``(B,)`` current value of what the reward is the gain of.
    """

    def __init__(
        self, config: Config, lanes: int, source: CaseSource | None = None, threads: int | None = None
    ) -> None:
        self.config = config = config if threads is None else replace(config, threads=threads)
        self.lanes = lanes
        self.process = config.make_process(lanes)
        self.poses, self.actions = self.process.poses, self.process.actions
        widths = start_widths(self.poses, config.misalignment)
        self.source = source or CaseSource(config.make_dataset(), self.poses, widths, config.imaging)
        self.withheld = self.source.withheld
        self.view = config.make_view()
        self.renderer = self.make_renderer(lanes, self.view)
        self._make_potentials()
        self._dtype = np.dtype(config.dtype)
        self._cases: list[Case | None] = [None] * lanes
        self._rows = CaseRows()
        self._ids = np.full(lanes, "", dtype=object)
        self._windows = [Window(reuse=config.reuse) for _ in range(lanes)]
        # with a thread to spare, cases are prepared before lanes come to them
        self._ahead = lanes > 1 and (get_num_threads() if config.threads is None else config.threads) > 1
        self._shown = np.zeros(lanes, dtype=bool)  # lanes rendered since their episode began
        self.similarity = np.zeros(lanes)
        self.potential = np.zeros(lanes)

    def make_renderer(self, lanes: int, view: View, threads: int | None = None) -> Renderer:
        """A renderer of this environment's kind, such as to look at its cases through another view."""
        threads = self.config.threads if threads is None else threads
        return make_renderer(self.config.imaging, self.poses, view, lanes, threads, self.config.device)

    def _make_potentials(self) -> None:
        observed = Images(self.renderer, observed=True)
        images = observed
        self._renderers = [self.renderer]
        if self.config.reward_region != "view":
            images = Images(self.make_renderer(self.lanes, self.config.make_view("volume")), observed=False)
            self._renderers.append(images.renderer)
        self.reward = make_potential(
            self.config.reward,
            images=images,
            process=self.process,
            view=self.view,
            withheld=self.withheld,
            scales=self.config.task.calibration.get("reward_scales", {}),
        )
        # The similarity in info is the reward's where that is one, or the mean of several, else the id's own.
        self._monitor = (
            self.reward
            if isinstance(self.reward, SimilarityPotential)
            else SimilarityPotential([(get_similarity(self.config.task.similarity), 1.0)], observed)
        )

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """Space of one lane's observation."""
        high = 255 if self._dtype == np.uint8 else 1.0
        image = spaces.Box(0, high, self.view.shape, dtype=self._dtype.type)
        if not self.config.parameters:
            return image
        pose = spaces.Box(-np.inf, np.inf, (self.poses.n_parameters,), dtype=np.float64)
        return spaces.Dict({"image": image, "pose": pose})

    # Episodes

    def seeded(self, lane: int) -> None:
        """Told when a lane gets a new generator: its episodes are counted from 0."""
        self._windows[lane] = Window(reuse=self.config.reuse)

    def begin(
        self,
        lanes: Sequence[int],
        rngs: Sequence[np.random.Generator],
        options: Sequence[dict[str, Any] | None] | None = None,
    ) -> None:
        """Draws cases and starts for some lanes, each from its ``rng`` alone, or takes them from its options.

        Renders nothing yet.

        Args:
            lanes: Which lanes.
            rngs: The generator of each.
            options: ``{"pair": id, "start": (d + 1, d + 1) matrix or (K,) coefficients}`` of each, either may be left
                out; None for none.

        Raises:
            ValueError: On an unknown option or pair, or a start that is no pose of this model.
        """
        options = [None] * len(lanes) if options is None else options
        chosen = [self._choose(*one) for one in zip(lanes, rngs, options, strict=True)]
        if self._ahead:
            self.source.make({index for index, _ in chosen})
        for lane, rng, (index, start) in zip(lanes, rngs, chosen, strict=True):
            self.place(lane, index)
            if start is None:
                start = self._drawn_start(lane, index, rng)
            elif not self._sees(lane, start):
                raise ValueError(
                    f"at this start of pair {self._ids[lane]!r} a camera stands inside the volume or looks past it; "
                    f"give a transform that puts the volume before every camera, got {start.tolist()}"
                )
            self.process.begin(lane, start)

    def _choose(
        self, lane: int, rng: np.random.Generator, options: dict[str, Any] | None
    ) -> tuple[int, NDArray[np.float64] | None]:
        """The number of a lane's next pair, and its start where the options give one."""
        window, options = self._windows[lane], dict(options or {})
        drawn = self.source.draw(rng, window)
        if self._ahead:
            self.source.make_next(window)
        index = self.source.index(options.pop("pair")) if "pair" in options else drawn
        start = self.poses.checked(options.pop("start")) if "start" in options else None
        if options:
            raise ValueError(f"unknown reset options {sorted(options)}; known: 'pair', 'start'")
        return index, start

    def _drawn_start(self, lane: int, index: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """A random start of pair ``index`` at which it is seen."""
        for attempt in range(_TRIES):
            start = self.source.draw_start(index, rng, attempt)
            if self._sees(lane, start):
                return start
        raise ValueError(
            f"{_TRIES} random starts of pair {self._ids[lane]!r} all put the volume where no camera sees it; narrow "
            f"misalignment={dict(self.config.misalignment)}"
        )

    def _sees(self, lane: int, pose: NDArray[np.float64]) -> bool:
        """Whether a lane's case is seen at a pose."""
        return bool(self.process.sees(pose[None], slice(lane, lane + 1))[0])

    def place(self, lane: int, index: int) -> None:
        """Puts pair ``index`` on a lane; renders its fixed image if it is new there."""
        case = self.source.case(index)
        self._shown[lane] = False
        if self._cases[lane] is case:
            return
        self._cases[lane] = None  # until all of it has succeeded
        if self.config.goal is not None:
            require_target(case, "goal", self.withheld)
        if self._rows.recall(lane, case):
            for renderer in self._renderers:
                renderer.recalled(lane, case)
        else:
            self._load(lane, case)
        self._cases[lane] = case

    def _load(self, lane: int, case: Case) -> None:
        """Makes what a lane needs of a case that is new to this engine, and keeps it."""
        potentials: list[Potential] = [self.reward] if self.reward is self._monitor else [self.reward, self._monitor]
        self._ids[lane] = case.id
        self.renderer.load(lane, case)
        for potential in potentials:
            potential.load(lane, case)
        self.process.load(lane, case.scene, case.target)
        arrays = [self._ids, *self.renderer.of_case, *self.process.of_case]
        self._rows.keep(lane, case, [*arrays, *(array for potential in potentials for array in potential.of_case)])

    def refresh(self, lanes: Lanes = ALL) -> None:
        """Renders lanes at their current poses and takes similarity and potential from that."""
        poses = self.process.pose
        self.renderer.render(poses, lanes)
        self.similarity[lanes] = self._monitor.values(poses, lanes)
        self.potential[lanes] = (
            self.similarity[lanes] if self.reward is self._monitor else self.reward.values(poses, lanes)
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
        self, steps: NDArray[np.float64], stops: NDArray[np.bool_], resting: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """As :meth:`step`, from steps ``(B, K)`` and STOP flags ``(B,)`` instead of actions."""
        ready = self._shown if resting is None else self._shown | resting
        if not ready.all():
            raise RuntimeError(f"no episode has begun on lanes {np.flatnonzero(~ready).tolist()}: call reset() first")
        terminated, truncated, reached = self.process.advance(steps, stops, resting)
        before = self.potential.copy()
        self.refresh()
        rewards = self.config.reward_scale * (self.potential - before) - np.where(stops, 0.0, self.config.step_cost)
        rewards[reached] += self.config.goal_bonus
        if resting is not None:
            rewards[resting] = 0.0
        return rewards, terminated, truncated

    def observation(self, lanes: Lanes = ALL) -> Any:
        """Observations of some lanes, ``(B, ...)``, in fresh memory."""
        image = self.renderer.observation(self._dtype, lanes)
        if not self.config.parameters:
            return image
        return {"image": image, "pose": self.process.since()[lanes]}  # of all: some alone may round otherwise

    def info(self, lanes: Lanes = ALL) -> Info:
        """Infos of some lanes, arrays over them: plain numbers, and the truth's only where it is not withheld."""
        info: Info = {
            "transform": self.process.pose[lanes].copy(),
            "start": self.process.start[lanes].copy(),
            "similarity": self.similarity[lanes].copy(),
            "pair_id": self._ids[lanes].copy(),
        }
        known = self.process.known[lanes]
        if known.any():
            info["tre"] = self.process.tre(lanes)
            info["is_success"] = info["tre"] < self.config.task.success_mm
            if not known.all():  # what Gymnasium fills in for a lane without an entry
                info["tre"][~known], info["is_success"][~known] = 0.0, False
        return info

    # For training and planning

    @property
    def begun(self) -> bool:
        """Whether there is an episode on every lane."""
        return None not in self._cases

    def case(self, lane: int) -> Case:
        """The lane's case.

        Raises:
            RuntimeError: Before the first reset.
        """
        case = self._cases[lane]
        if case is None:
            raise RuntimeError("call reset() before anything else")
        return case

    def truth(self, lane: int) -> NDArray[np.float64]:
        """The true pose of a lane's pair, or the best of its model; raises WithheldError on the test split."""
        return require_target(self.case(lane), "truth()", self.withheld).pose.copy()

    def expert_action(self, lane: int) -> Any:
        """The action that a greedy expert who knows the truth would take; raises WithheldError on the test split."""
        require_target(self.case(lane), "expert_action()", self.withheld)
        return self.process.expert_action(lane)

    def to_sitk(self, lane: int) -> Any:
        """A lane's current pose as a SimpleITK transform from fixed to moving points."""
        return self.poses.to_sitk_transform(self.process.pose[lane], self.case(lane).scene)

    def get_state(self, lane: int) -> dict[str, Any]:
        """Everything that the lane's future depends on, but its generator: pair, poses and steps taken."""
        return {
            "pair_id": self._ids[lane],
            "transform": self.process.pose[lane].copy(),
            "start": self.process.start[lane].copy(),
            "elapsed": int(self.process.elapsed[lane]),
            "window": {name: getattr(self._windows[lane], name) for name in ("stream", "episodes")},
        }

    def set_state(self, lane: int, state: dict[str, Any]) -> None:
        """Puts a lane into a state of :meth:`get_state`."""
        self.place(lane, self.source.index(state["pair_id"]))
        self.process.pose[lane] = self.poses.checked(state["transform"])
        self.process.start[lane] = state["start"]
        self.process.elapsed[lane] = state["elapsed"]
        self._windows[lane] = Window(reuse=self.config.reuse, **state.get("window", {}))
        self.refresh(np.array([lane]))

    def observe(self, pair_ids: Sequence[object], transforms: ArrayLike) -> NDArray:
        """Image observations ``(N, ...)`` of any pairs at any poses ``(N, d + 1, d + 1)`` or ``(N, K)``."""
        poses = np.asarray(transforms, dtype=np.float64)
        wanted = (len(pair_ids), *self.poses.origin.shape)
        if poses.shape != wanted:
            raise ValueError(f"{len(pair_ids)} pairs need transforms {wanted}, got {poses.shape}")
        renderer = self.make_renderer(len(pair_ids), self.view)
        for lane, pair_id in enumerate(pair_ids):
            renderer.load(lane, self.source.case(self.source.index(pair_id)))
        renderer.render(poses)
        return renderer.observation(self._dtype)
