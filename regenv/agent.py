"""What an agent is, as three small protocols, and the one function that plays an episode.

An agent *acts* step by step, or it *registers* a problem at once. One that acts may also *plan*: before each episode
it is given a simulator of the process. Optional for all: ``seed(seed)``, called before an episode, and
``evaluations``, the similarities that it computed in one.
"""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from regenv.core.camera import Camera
from regenv.core.scene import Target
from regenv.envs.simulator import Simulator

if TYPE_CHECKING:
    import gymnasium as gym
    import SimpleITK as sitk

CLINIC_INFO = ("transform", "start", "similarity")
"""What of ``info`` an agent has in a clinic too; ``act(observation, info)`` is handed these."""


@runtime_checkable
class Actor(Protocol):
    """Acts step by step."""

    def reset(self, observation: Any, info: Mapping[str, Any]) -> None:
        """A new episode begins."""
        ...

    def act(self, observation: Any) -> Any:
        """The action for an observation; with a second argument it is handed :data:`CLINIC_INFO` as well."""
        ...


@runtime_checkable
class Planner(Actor, Protocol):
    """Acts, and looks ahead on a simulator."""

    def plan(self, simulator: Simulator) -> None:
        """Given before each episode's ``reset``; it stands where the episode stands."""
        ...


@runtime_checkable
class Registrar(Protocol):
    """Answers at once."""

    def register(self, problem: Problem) -> sitk.Transform:
        """The transform from fixed to moving points; ``register(fixed, moving, initial)`` works as well."""
        ...


@dataclass(frozen=True)
class Problem:
    """A registration as a method that answers at once is given it. Images and transforms are SimpleITK's.

    Attributes:
        fixed: The fixed image; several slices or radiographs are one image.
        moving: The moving image.
        initial: Where to start, fixed to moving physical points.
        model: The pose model that is asked for: ``"rigid"``, ``"similarity"``, ``"affine"``, ``"sdm"``.
        fixed_mask: Of the body in the fixed image, or None for the whole.
        moving_mask: The same of the moving image.
        cameras: That took the fixed image, in projection.
        slice_mm: How thick the fixed image's slices are.
        alignment: Linear transform that a deformation is given, or None.
        truth: The true transform or its nearest, for references that declare ``uses_truth``; else None.
    """

    fixed: sitk.Image
    moving: sitk.Image
    initial: sitk.Transform
    model: str = "rigid"
    fixed_mask: sitk.Image | None = None
    moving_mask: sitk.Image | None = None
    cameras: tuple[Camera, ...] = ()
    slice_mm: float = 0.0
    alignment: sitk.Transform | None = None
    truth: sitk.Transform | None = None


def is_agent(candidate: Any) -> bool:
    """Whether something acts or registers; a class is none."""
    return not isinstance(candidate, type) and (isinstance(candidate, Registrar) or hasattr(candidate, "act"))


def answers_at_once(agent: Any) -> bool:
    """Whether the agent registers two images in one call instead of acting step by step."""
    return isinstance(agent, Registrar)


def reseed(agent: Any, seed: int) -> None:
    """Hands an agent that takes one the seed of the episode to come, and sets its count of evaluations to 0."""
    if callable(getattr(agent, "seed", None)):
        agent.seed(seed)
    with contextlib.suppress(AttributeError):
        agent.evaluations = 0


def answer(agent: Registrar, problem: Problem) -> Any:
    """What a method that answers at once gives, in either form of ``register``.

    Raises:
        TypeError: If that is no SimpleITK transform.
    """
    import SimpleITK as sitk

    register: Any = agent.register
    old_form = _takes(register, 3)
    found = register(problem.fixed, problem.moving, problem.initial) if old_form else register(problem)
    if not isinstance(found, sitk.Transform):
        raise TypeError(f"register must return a SimpleITK transform from fixed to moving, got {type(found).__name__}")
    return found


def acting(agent: Any) -> Callable[[Any, Mapping[str, Any]], Any]:
    """The agent's action as a function of observation and info; of info it gets what a clinic knows, if it wants it."""
    if not _takes(agent.act, 2) or (_takes(agent.act, 1) and not _names(agent.act, "info")):
        return lambda observation, info: agent.act(observation)
    return lambda observation, info: agent.act(observation, {key: info[key] for key in CLINIC_INFO})


def _names(function: Callable[..., Any], parameter: str) -> bool:
    return parameter in inspect.signature(function).parameters


def _takes(function: Callable[..., Any], count: int) -> bool:
    """Whether a function takes so many positional arguments."""
    try:
        inspect.signature(function).bind(*range(count))
    except (TypeError, ValueError):  # the latter: a built-in function that tells nothing
        return False
    return True


@dataclass(frozen=True)
class Played:
    """A played episode.

    Attributes:
        actions: All of them in order.
        first: Info of the reset.
        last: Info of the last step.
        terminated: Whether it ended by itself.
        truncated: Whether it reached the horizon.
        seconds: Time in the agent and the environment from the agent's reset on.
    """

    actions: list[Any]
    first: Mapping[str, Any]
    last: Mapping[str, Any]
    terminated: bool
    truncated: bool
    seconds: float


def play(
    agent: Any,
    env: gym.Env[Any, Any],
    *,
    seed: int | None = None,
    options: dict[str, Any] | None = None,
    target: Target | None = None,
    most: int | None = None,
    watch: Callable[[Any], None] | None = None,
) -> Played:
    """Plays one episode.

    Args:
        agent: That acts.
        env: A registration environment.
        seed: Of the environment.
        options: For its reset.
        target: The truth, which a planner's simulator is told where the environment withholds it.
        most: Steps after which the episode is broken off.
        watch: Called with the environment after the reset and after each step.

    Returns:
        What happened.
    """
    observation, info = env.reset(seed=seed, options=options)
    if isinstance(agent, Planner):
        agent.plan(Simulator(env, target))
    if watch is not None:
        watch(env)
    act = acting(agent)
    first, terminated, truncated = info, False, False
    actions: list[Any] = []
    began = time.perf_counter()
    agent.reset(observation, info)
    while not (terminated or truncated) and (most is None or len(actions) < most):
        action = act(observation, info)
        observation, _, terminated, truncated, info = env.step(action)
        actions.append(np.asarray(action).tolist())
        if watch is not None:
            watch(env)
    seconds = time.perf_counter() - began
    return Played(actions, first, info, bool(terminated), bool(truncated), seconds)
