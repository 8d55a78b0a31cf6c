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

from regenv.core.models import get_model
from regenv.core.similarity import get_similarity
from regenv.data.dataset import Dataset, Prepared, make_dataset
from regenv.envs.actions import make_actions
from regenv.envs.canvas import ALL
from regenv.envs.canvas_torch import make_canvas
from regenv.envs.cases import Case, CaseSource, PointErrors, require_privileged
from regenv.envs.config import Config
from regenv.envs.dynamics import Dynamics
from regenv.envs.rewards import SimilarityPotential, make_potential
from regenv.envs.starts import half_widths
from regenv.envs.views import make_view

Info = dict[str, Any]


def _dataset(config: Config) -> Dataset:
    """The data set of a configuration, made from its name or taken as it is."""
    if not isinstance(config.dataset, str):
        return config.dataset
    task = config.task
    dataset = make_dataset(
        config.dataset,
        split=config.split,
        modalities=task.modalities,
        field_of_view=config.field_of_view,
        model=task.model,
        ndim=task.ndim,
    )
    if isinstance(dataset, Prepared):
        dataset.prepare()
    return dataset


class Engine:
    """B registrations side by side.

    Args:
        config: What ``gym.make`` was told.
        lanes: Number of lanes, B.

    Attributes:
        transforms: ``(B, d + 1, d + 1)`` current transforms, fixed to moving physical points.
        starts: ``(B, d + 1, d + 1)`` where the episodes began.
        elapsed: ``(B,)`` steps taken.
        similarity: ``(B,)`` current image similarity, larger is better.
        potential: ``(B,)`` current value of what the reward is the gain of.
    """

    def __init__(self, config: Config, lanes: int) -> None:
        task = config.task
        self.config = config
        self.lanes = lanes
        self.model = get_model(task.model, task.ndim)
        self.source = CaseSource(_dataset(config), self.model, half_widths(self.model, config.misalignment))
        self.withheld = self.source.withheld
        self.view = make_view(
            config.observation, ndim=task.ndim, size=config.view_size, spacing_mm=config.view_spacing_mm
        )
        self.actions = make_actions(
            config.actions, self.model, steps=config.steps, default_steps=task.steps, stop=config.stop
        )
        self.canvas = make_canvas(self.view, lanes, config.threads, config.device)
        self.dynamics = Dynamics(self.model, self.view.extent_mm)
        self._make_potentials()
        self._dtype = np.dtype(config.dtype)
        self._frames = np.tile(np.eye(task.ndim + 1), (lanes, 1, 1))
        self._moving_centres = np.zeros((lanes, task.ndim))
        self._errors = PointErrors(lanes, task.ndim)
        self._ids = np.full(lanes, "", dtype=object)
        self.transforms = np.tile(np.eye(task.ndim + 1), (lanes, 1, 1))
        self.starts = self.transforms.copy()
        self.elapsed = np.zeros(lanes, np.int64)
        self.similarity = np.zeros(lanes)
        self.potential = np.zeros(lanes)

    def _make_potentials(self) -> None:
        config = self.config
        volume = (config.view_size, config.view_spacing_mm) if config.reward_region == "volume" else None
        self.reward = make_potential(
            config.reward, lanes=self.lanes, volume=volume, withheld=self.withheld, threads=config.threads
        )
        # The similarity in info is the reward's where that is one, else the id's own.
        self._monitor = (
            self.reward
            if isinstance(self.reward, SimilarityPotential)
            else SimilarityPotential(get_similarity(config.task.similarity), self.lanes, None, config.threads)
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
            options: ``{"pair": id, "start": (d + 1, d + 1) matrix}``, either may be left out.

        Raises:
            ValueError: On an unknown option or pair, or a start that is no transform of this model.
        """
        options = dict(options or {})
        drawn = int(rng.integers(len(self.source)))
        index = self.source.index(options.pop("pair")) if "pair" in options else drawn
        start = self._checked_start(options.pop("start")) if "start" in options else None
        if options:
            raise ValueError(f"unknown reset options {sorted(options)}; known: 'pair', 'start'")
        if start is None:
            start = self.source.draw_start(index, rng)
        self.place(lane, index, start)
        self.starts[lane] = start
        self.elapsed[lane] = 0

    def place(self, lane: int, index: int, transform: NDArray[np.float64]) -> None:
        """Puts pair ``index`` at a pose on a lane; renders the fixed image if the pair is new there."""
        case = self.source.case(index)
        if self.canvas.cases[lane] is not case:
            self.canvas.load(lane, case)
            for potential in {id(p): p for p in (self.reward, self._monitor)}.values():
                potential.load(self, lane)
            self._ids[lane] = case.id
            self._frames[lane] = case.frame
            self._moving_centres[lane] = case.moving_grid.centre
            self._errors.load(lane, case.privileged)
        self.transforms[lane] = transform

    def refresh(self, lanes: slice = ALL) -> None:
        """Renders lanes at their current poses and takes similarity and potential from that."""
        self.canvas.render(self.transforms, lanes)
        self.similarity[lanes] = self._monitor.values(self, lanes)
        self.potential[lanes] = (
            self.similarity[lanes] if self.reward is self._monitor else self.reward.values(self, lanes)
        )

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
        coefficients, stops = self.actions.decode(actions)
        if resting is not None:
            coefficients = np.where(resting[:, None], 0.0, coefficients)
            stops = stops & ~resting
        self.transforms = self.dynamics.advance(self.transforms, coefficients, self._frames, self._moving_centres)
        before = self.potential.copy()
        self.refresh()
        rewards = self.config.reward_scale * (self.potential - before) - np.where(stops, 0.0, self.config.step_cost)
        self.elapsed += 1
        terminated = stops
        if self.config.goal is not None:
            reached = np.linalg.norm(self.model.log(self.residual()), axis=1) <= self.config.goal
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
        return {"image": image, "parameters": self._since_start(lanes)}

    def info(self, lanes: slice = ALL) -> Info:
        """Infos of some lanes, arrays over them: plain numbers, and the truth's only where it is not withheld."""
        info: Info = {
            "transform": self.transforms[lanes].copy(),
            "start": self.starts[lanes].copy(),
            "similarity": self.similarity[lanes].copy(),
            "pair_id": self._ids[lanes].copy(),
        }
        if self._errors.known[lanes].any():
            info["tre"] = self.tre(lanes)
            info["is_success"] = info["tre"] < self.config.task.success_mm
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
        """The true transform of a lane's pair, ``(d + 1, d + 1)``; raises WithheldError on the test split."""
        return require_privileged(self.case(lane), "truth()", self.withheld).transform.copy()

    @property
    def known(self) -> NDArray[np.bool_]:
        """``(B,)`` whether the lane's truth is known and not withheld; only there does info hold a ``tre``."""
        return self._errors.known

    def tre(self, lanes: slice = ALL) -> NDArray[np.float64]:
        """Mean TRE ``(B,)`` of some lanes in mm; train and validation only."""
        return self._errors.mean(self.transforms[lanes], lanes)

    def residual(self, lanes: slice = ALL) -> NDArray[np.float64]:
        """What is left to do, in the view's frame: ``F^-1 T^-1 T_true F``, ``(B, d + 1, d + 1)``."""
        frames = self._frames[lanes]
        truths = np.stack([self.truth(lane) for lane in range(self.lanes)[lanes]])
        return np.linalg.inv(self.transforms[lanes] @ frames) @ truths @ frames

    def expert_action(self, lane: int) -> Any:
        """The action that a greedy expert who knows the truth would take; raises WithheldError on the test split."""
        privileged = require_privileged(self.case(lane), "expert_action()", self.withheld)
        frame = self._frames[lane]
        local = (privileged.points - frame[:-1, -1]) @ frame[:-1, :-1]
        return self.actions.expert(self.residual(slice(lane, lane + 1))[0], local)

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
        self.place(lane, self.source.index(state["pair_id"]), self._checked_start(state["transform"]))
        self.starts[lane] = state["start"]
        self.elapsed[lane] = state["elapsed"]
        self.refresh(slice(lane, lane + 1))

    def observe(self, pair_ids: Sequence[object], transforms: ArrayLike) -> NDArray:
        """Image observations ``(N, ...)`` of any pairs at any poses ``(N, d + 1, d + 1)``."""
        poses = np.asarray(transforms, dtype=np.float64)
        d = self.view.ndim
        if poses.shape != (len(pair_ids), d + 1, d + 1):
            raise ValueError(
                f"{len(pair_ids)} pairs need transforms {(len(pair_ids), d + 1, d + 1)}, got {poses.shape}"
            )
        canvas = make_canvas(self.view, len(pair_ids), self.config.threads, self.config.device)
        for lane, pair_id in enumerate(pair_ids):
            canvas.load(lane, self.source.case(self.source.index(pair_id)))
        canvas.render(poses)
        return canvas.observation(self._dtype)

    def _since_start(self, lanes: slice) -> NDArray[np.float64]:
        frames = self._frames[lanes]
        change = np.linalg.inv(self.starts[lanes] @ frames) @ self.transforms[lanes] @ frames
        return self.model.log(change)

    def _checked_start(self, start: ArrayLike) -> NDArray[np.float64]:
        d = self.model.ndim
        matrix = np.asarray(start, dtype=np.float64)
        if matrix.shape != (d + 1, d + 1) or not np.isfinite(matrix).all():
            raise ValueError(f"a start is a finite {(d + 1, d + 1)} matrix from fixed to moving points, got {start!r}")
        if not np.allclose(matrix[d], [0.0] * d + [1.0]) or np.linalg.det(matrix[:d, :d]) <= 0:
            raise ValueError(f"a start must be an invertible transform that does not mirror, got {matrix.tolist()}")
        if self.model.name == "rigid" and not np.allclose(matrix[:d, :d] @ matrix[:d, :d].T, np.eye(d), atol=1e-5):
            raise ValueError(f"the start of a rigid environment must be rigid, got {matrix.tolist()}")
        return matrix.copy()
