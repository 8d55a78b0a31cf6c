"""Several agents on one registration, as a PettingZoo parallel environment.

Each agent sees a region of its own, or owns one degree of freedom, and proposes an action; the proposals are combined
into the one step that the registration takes, and all are paid alike. With regions on a radiograph this is the
setting of Miao et al., "Dilated FCN for multi-agent 2D/3D medical image registration", AAAI 2018.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from numpy.typing import NDArray

from regenv.actions import DiscreteActions
from regenv.envs.config import KEYWORDS, make_config
from regenv.envs.engine import Engine
from regenv.envs.rendering import RENDER_MODES, check_render_mode, render_ansi, render_frame
from regenv.envs.words import check_keywords
from regenv.errors import OptionError, check_option, require
from regenv.imaging.base import Imaging
from regenv.imaging.view import Level, View

if TYPE_CHECKING:
    from regenv.imaging.renderer import Renderer

_pettingzoo: Any = require("pettingzoo", "marl")

COMBINATIONS = ("confidence", "mean", "vote")
ONE = slice(0, 1)


def parallel_env(
    env_id: str,
    *,
    agents: int | str | Mapping[str, Sequence[float]] = 4,
    combine: str = "confidence",
    region_size: int = 36,
    render_mode: str | None = None,
    preset: str | None = None,
    **keywords: Any,
) -> Any:
    """A ``pettingzoo.ParallelEnv`` of an environment.

    Args:
        env_id: Any id, such as ``"XRayCT-Rigid-v0"``.
        agents: A number of regions, spread evenly over the middle of the view; or ``{name: point}`` with the middle of
            each agent's region in mm along the view's axes about its centre (``(d,)``; two numbers on radiographs,
            depth maps and in 2-D), such as landmarks of the fixed image; or ``"axes"``: an agent for each degree of
            freedom, which sees the whole view.
        combine: ``"confidence"``: an action comes with a number in [0, 1], and the step is the mean of the proposals
            weighted by it; ``"mean"``: all weigh alike; ``"vote"``: the action that most propose. STOP counts when it
            has more than half of the weight. Agents of axes add up: each has its own, weighted by its confidence, and
            STOP is when all stop.
        region_size: Pixels along each side of a region, at the view's spacing.
        render_mode: ``"rgb_array"``, ``"ansi"`` or None.
        preset: A published decision process.
        **keywords: Fields of :class:`regenv.envs.config.Config`; actions have to be discrete.

    Returns:
        The environment; it passes PettingZoo's parallel API and seed tests.

    Raises:
        MissingExtraError: If PettingZoo is not installed.
        OptionError: On a bad keyword (a TypeError too) or value; the message names the fix.
    """
    check_keywords("parallel_env", keywords, ("agents", "combine", "region_size", *KEYWORDS))
    check_render_mode(render_mode)
    check_option("combine", combine, COMBINATIONS)
    config = make_config(env_id, preset, **keywords)
    if config.actions not in ("discrete", "unit"):
        raise OptionError(f"actions={config.actions!r}: agents propose discrete actions; use 'discrete' or 'unit'")
    if config.dtype != "uint8" or config.parameters:
        raise OptionError(
            f"dtype={config.dtype!r}, parameters={config.parameters}: agents see uint8 images alone; leave both out"
        )
    if agents != "axes" and config.observation != "slices":
        raise OptionError(
            f"observation={config.observation!r}: agents see slices of their regions; use observation='slices', or "
            "agents='axes', who see the whole view"
        )
    engine = Engine(config, lanes=1)
    team = _team(engine, agents, region_size)
    how = "sum" if agents == "axes" else combine
    own = {"agents": agents, "combine": combine, "region_size": region_size, "render_mode": render_mode}
    made_by = (env_id, {**own, "preset": preset, **keywords})
    return RegistrationParallelEnv(engine, team, how, combine == "confidence", render_mode, made_by)


def _restored(env_id: str, keywords: dict[str, Any], episode: dict[str, Any] | None, rng: np.random.Generator) -> Any:
    """An unpickled environment: kernels read images by address, so a copy has to load its own."""
    env = parallel_env(env_id, **keywords)
    env.restore(episode, rng)
    return env


class _Member(NamedTuple):
    """One agent: what it sees, and what its actions mean.

    Attributes:
        table: ``(A, K)`` coefficients of each of its actions; a row of zeros at the end is STOP, or no proposal.
        renderer: Of its region; None for the whole view.
    """

    table: NDArray[np.float64]
    renderer: Renderer | None


def _team(engine: Engine, agents: int | str | Mapping[str, Sequence[float]], size: int) -> dict[str, _Member]:
    """The agents by name."""
    scheme = engine.actions
    assert isinstance(scheme, DiscreteActions)
    if isinstance(agents, str):
        check_option("agents", agents, ("axes",))
        return {name: _Member(_axis_table(scheme, k), None) for k, name in enumerate(engine.poses.names)}
    if isinstance(agents, Mapping):
        points = {str(name): _point(name, point) for name, point in agents.items()}
    elif isinstance(agents, int | np.integer) and not isinstance(agents, bool):
        if agents < 1:
            raise OptionError(f"agents={agents} must be at least 1")
        points = {f"region_{i}": point for i, point in enumerate(spread(int(agents), engine.view))}
    else:
        raise OptionError(f"agents={agents!r} is neither a number of regions, nor {{name: point}}, nor 'axes'")
    if not points:
        raise OptionError("agents={} names none; give at least one point, or a number of regions")
    members = {}
    for name, point in points.items():
        view = region_view(engine.view, engine.config.imaging, point, size, name)
        members[name] = _Member(scheme.table, engine.make_renderer(1, view, threads=1))
    return members


def _point(name: object, point: Sequence[float]) -> NDArray[np.float64]:
    """The middle of a region as given; where it may lie is checked by :func:`region_view`."""
    try:
        return np.asarray(point, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(f"agent {name!r}: a region's middle is a point in mm, got {point!r}") from error


def _axis_table(scheme: DiscreteActions, k: int) -> NDArray[np.float64]:
    """The steps along one degree of freedom, and one of zeros."""
    own = scheme.table[scheme.table[:, k] != 0]
    return np.concatenate([own, np.zeros((1, scheme.table.shape[1]))])


def spread(count: int, view: View) -> NDArray[np.float64]:
    """Points ``(count, d)`` in mm spread evenly over the middle half of a view, the first in its centre.

    A Halton sequence (Halton, Numer. Math. 2 (1960) 84-90), so that more agents leave the others where they are.
    """
    from scipy.stats import qmc

    points = qmc.Halton(view.ndim, scramble=False).random(count) - 0.5
    points[0] = 0.0
    return points * view.extent_mm / 2


def region_view(view: View, imaging: Imaging, point: NDArray[np.float64], size: int, name: str) -> View:
    """A window of ``size`` pixels about a point ``(d,)`` of a view, in mm about its centre, at its spacing.

    Raises:
        OptionError: If the point has another dimension or lies outside the view, or the window is larger than the view.
    """
    d = view.ndim
    if point.shape != (d,) or not np.isfinite(point).all() or np.abs(point).max() > view.extent_mm / 2:
        raise OptionError(
            f"agent {name!r}: a region's middle is {d} numbers within {view.extent_mm / 2:g} mm of the centre of the "
            f"view, got {point.tolist()}"
        )
    if not isinstance(size, int | np.integer) or not 8 <= size <= view.size:
        raise OptionError(f"region_size must be from 8 to the view's {view.size} pixels, got {size!r}")
    middle = point / view.spacing_mm + (view.size - 1) / 2
    planes = imaging.region(view, middle)
    for plane in planes:  # rows and columns begin half a window before the middle
        along = plane[1] + plane[2]
        plane[0] = np.where(along > 0, middle - (size - 1) / 2, plane[0])
    return replace(view, levels=(Level(planes, size),), volumetric=False, difference=False, orthogonal=False)


class RegistrationParallelEnv(_pettingzoo.ParallelEnv):
    """The environment that :func:`parallel_env` makes."""

    def __init__(
        self,
        engine: Engine,
        team: dict[str, _Member],
        how: str,
        confident: bool,
        render_mode: str | None,
        made_by: tuple[str, dict[str, Any]],
    ) -> None:
        self.metadata = {"name": engine.config.task.id, "render_modes": list(RENDER_MODES), "is_parallelizable": True}
        self.render_mode = render_mode
        self.possible_agents = list(team)
        self.agents: list[str] = []
        self._engine, self._team = engine, team
        self._how, self._confident = how, confident
        self.observation_spaces = {name: self._seen(member) for name, member in team.items()}
        self.action_spaces = {name: self._proposals(member) for name, member in team.items()}
        self.state_space = engine.observation_space
        self._made_by = made_by
        self._rng, _ = seeding.np_random(None)

    def __reduce__(self) -> Any:
        begun = self._engine.begun
        episode = {**self._engine.get_state(0), "agents": list(self.agents)} if begun else None
        return _restored, (*self._made_by, episode, self._rng)

    def restore(self, episode: dict[str, Any] | None, rng: np.random.Generator) -> None:
        """Takes over an episode and the generator of another environment that was made alike."""
        self._rng = rng
        if episode is not None:
            self._engine.set_state(0, episode)
            self._load_regions()
            self.agents = list(episode["agents"])

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Space of an agent's observation: fixed and moved slices of its region, uint8."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Space of an agent's proposals: ``Discrete``, or a Dict of ``action`` and ``confidence``."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draws a pair and a start, or takes ``options["pair"]`` and ``["start"]``; PettingZoo has others ignored."""
        if seed is not None:
            self._rng, _ = seeding.np_random(seed)
        known = {key: value for key, value in (options or {}).items() if key in ("pair", "start")}
        self._engine.begin([0], [self._rng], [known])
        self._engine.refresh()
        self._load_regions()
        self.agents = list(self.possible_agents)
        return self._observations(), self._infos()

    def step(self, actions: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """One step of the registration from the proposals of all agents."""
        if not self.agents:
            return {}, {}, {}, {}, {}
        missing = set(self.agents) - set(actions)
        if missing:
            raise ValueError(f"every agent proposes an action; none came from {sorted(missing)}")
        coefficients, stop = self._combined(actions)
        rewards, terminated, truncated = self._engine.advance(coefficients[None], np.array([stop]))
        names = self.agents
        shared = (dict.fromkeys(names, value.item()) for value in (rewards[0], terminated[0], truncated[0]))
        results = (self._observations(), *shared, self._infos())
        if terminated[0] or truncated[0]:
            self.agents = []
        return results

    def state(self) -> Any:
        """What the single environment would show: the whole view."""
        return self._engine.observation(ONE)[0]

    def render(self) -> Any:
        """As in the single environment."""
        if self.render_mode is None:
            return None
        return render_frame(self._engine, 0) if self.render_mode == "rgb_array" else render_ansi(self._engine, 0)

    def _load_regions(self) -> None:
        """Shows the agents' regions of the case, where it is a new one."""
        case = self._engine.case(0)
        for member in self._team.values():
            if member.renderer is not None and member.renderer.cases[0] is not case:
                member.renderer.load(0, case)

    def _seen(self, member: _Member) -> spaces.Box:
        return spaces.Box(0, 255, (member.renderer or self._engine.renderer).view.shape, np.uint8)

    def _proposals(self, member: _Member) -> spaces.Space[Any]:
        action = spaces.Discrete(len(member.table))
        if not self._confident:
            return action
        return spaces.Dict({"action": action, "confidence": spaces.Box(0.0, 1.0, (1,), np.float32)})

    def _combined(self, actions: Mapping[str, Any]) -> tuple[NDArray[np.float64], bool]:
        """Coefficients ``(K,)`` of the step that the proposals make, and whether they stop."""
        chosen, weights = [], []
        for name in self.agents:
            proposal = actions[name]
            weight = 1.0
            if self._confident:
                if not isinstance(proposal, Mapping) or not {"action", "confidence"} <= set(proposal):
                    raise ValueError(
                        f"agent {name!r}: a proposal is a dict of action and confidence, got {proposal!r}; with "
                        "combine='mean' or 'vote' it is the action alone"
                    )
                weight = float(np.asarray(proposal["confidence"], dtype=np.float64).reshape(-1)[0])
                if not np.isfinite(weight):
                    raise ValueError(f"agent {name!r}: confidence {weight} is no number in [0, 1]")
                weight = min(max(weight, 0.0), 1.0)
                proposal = proposal["action"]
            if not self._team[name].table.shape[0] > int(proposal) >= 0:
                raise ValueError(f"agent {name!r}: action {proposal!r} is not in {self.action_spaces[name]}")
            chosen.append(self._team[name].table[int(proposal)])
            weights.append(weight)
        return combined(np.array(chosen), np.array(weights), self._how, stops=self._engine.config.stop is not False)

    def _observations(self) -> dict[str, NDArray[np.uint8]]:
        seen = {}
        for name in self.agents:
            renderer = self._team[name].renderer
            if renderer is not None:
                renderer.render(self._engine.process.pose)
            seen[name] = (renderer or self._engine.renderer).observation(np.dtype(np.uint8), ONE)[0]
        return seen

    def _infos(self) -> dict[str, dict[str, Any]]:
        values = self._engine.info(ONE)
        info = {k: v[0] if v.ndim > 1 or v.dtype == object else v[0].item() for k, v in values.items()}
        return {
            name: {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in info.items()} for name in self.agents
        }


def combined(
    proposals: NDArray[np.float64], weights: NDArray[np.float64], how: str, stops: bool = True
) -> tuple[NDArray[np.float64], bool]:
    """The step that proposals ``(N, K)`` with weights ``(N,)`` make, and whether it is STOP.

    Args:
        proposals: Coefficients in mm, degree, % or standard deviations; all zero is STOP, or no proposal.
        weights: At least 0.
        how: ``"vote"`` takes the proposal with the most weight, the earliest among equals; ``"sum"`` adds them up;
            ``"mean"`` and ``"confidence"`` take their mean.
        stops: Whether zeros are STOP: of all for a sum, else of more than half of the weight.
    """
    total = float(weights.sum())
    if total == 0.0:
        return np.zeros(proposals.shape[1]), False
    idle = ~proposals.any(axis=1)
    if how == "sum":
        return weights @ proposals, bool(stops and idle.all())
    if stops and float(weights[idle].sum()) > total / 2:
        return np.zeros(proposals.shape[1]), True
    if how != "vote":
        return weights @ proposals / total, False
    kinds, first, of = np.unique(proposals, axis=0, return_index=True, return_inverse=True)
    votes = np.bincount(of.ravel(), weights)
    order = np.lexsort((first, -votes))
    return kinds[order[0]], False
