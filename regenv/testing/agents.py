"""``check_agent``."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium as gym
import numpy as np

from regenv.agent import Actor, Planner, Problem, acting, answer, answers_at_once, is_agent, play, reseed
from regenv.data.pair import ImagePair
from regenv.imaging.case import target_of
from regenv.poses import get_model
from regenv.testing.compare import SEED, equal
from regenv.testing.pairs import SmallPairs


def check_agent(agent: Any, env_id: str = "CTCBCT-Rigid-v0") -> None:
    """Checks an agent against the protocol of the evaluation, on two small pairs made in memory.

    The agent's ``env_kwargs`` are accepted; every action is in the action space and the observation is left alone; an
    episode ends; nothing but the test split's info is needed; the same seed gives the same actions; ``act_batch``, if
    there is one, answers for each observation. A method that answers at once: ``register`` gives a linear SimpleITK
    transform from fixed to moving points and leaves its images alone.

    Args:
        agent: ``"package.module:factory"``, a policy file, a factory, or an agent (whose seeding cannot be checked).
        env_id: The environment to check it on.

    Raises:
        AssertionError: At the first rule that is broken.
    """
    from regenv.evaluation.agents import environment_keywords, load_agent
    from regenv.evaluation.method import AgentError, describe

    spec = agent if isinstance(agent, str) else f"{type(agent).__module__}:{type(agent).__name__}"
    try:
        made = load_agent(agent, SEED) if isinstance(agent, str) else _made(agent)
        keywords = environment_keywords(made)
        method = describe(made, spec)
    except AgentError as error:
        raise AssertionError(str(error)) from error
    play = _register if answers_at_once(made) else _act
    first = play(made, env_id, keywords, method.uses_truth)
    remake = isinstance(agent, str) or not is_agent(agent)
    if remake:
        again = load_agent(agent, SEED) if isinstance(agent, str) else _made(agent)
        second = play(again, env_id, keywords, method.uses_truth)
        assert equal(first, second), (
            f"{spec} made twice with seed {SEED} acts differently: draw every random number from a generator that the "
            "factory seeds with its argument"
        )


def _made(factory: Any) -> Any:
    if is_agent(factory):
        return factory
    assert callable(factory), f"{factory!r} is neither an agent nor a factory: give factory(seed: int) -> agent"
    made = factory(seed=SEED)
    assert is_agent(made), (
        f"the factory gave {type(made).__name__}, which has neither act(observation) nor register(problem)"
    )
    return made


def _start(pair: ImagePair) -> np.ndarray:
    assert pair.truth is not None and pair.truth.transform is not None
    offset = np.array([12.0, -9.0, 7.0, 6.0, -4.0, 8.0])
    start: np.ndarray = get_model("rigid", 3).misaligned(pair.truth.transform, offset, pair.fixed.grid.frame)
    return start


class _Watched:
    """An agent whose every action is checked against the action space, and its observations for changes."""

    def __init__(self, agent: Any, env: Any) -> None:
        self._agent, self._env, self._act, self._asked = agent, env, acting(agent), False
        self.reset = agent.reset
        if isinstance(agent, Planner):
            self.plan = agent.plan

    def act(self, observation: Any, info: Any) -> Any:
        before = pickle.dumps(observation)
        action = self._act(observation, info)
        assert pickle.dumps(observation) == before, "act changed the observation: work on a copy"
        space = self._env.action_space
        assert space.contains(action) or space.contains(np.asarray(action)), (
            f"act gave {action!r}, which is not in {space}"
        )
        if not self._asked and callable(getattr(self._agent, "act_batch", None)):
            _check_batch(self._agent, self._env, observation)
        self._asked = True
        return action


def _act(agent: Any, env_id: str, keywords: dict[str, Any], uses_truth: bool) -> list[Any]:
    """Plays both pairs and gives all actions."""
    assert isinstance(agent, Actor), (
        f"{type(agent).__name__} has act and lacks reset(observation, info), which begins an episode"
    )
    pairs = SmallPairs()
    try:
        env: Any = gym.make(env_id, split="test", dataset=pairs, **keywords)
    except (ValueError, RuntimeError, TypeError) as error:
        raise AssertionError(f"{env_id} does not take the agent's env_kwargs {keywords}: {error}") from error
    episodes = []
    for index in range(2):
        pair = pairs.load(index)
        imaging, poses = env.unwrapped.config.imaging, env.unwrapped.model
        target = target_of(pair, poses, imaging.scene(pair)) if uses_truth else None
        reseed(agent, SEED + index)
        options = {"pair": str(index), "start": _start(pair)}
        episodes.append(play(_Watched(agent, env), env, seed=SEED, options=options, target=target).actions)
    env.close()
    return episodes


def _check_batch(agent: Any, env: Any, observation: Any) -> None:
    """``act_batch`` on three equal observations; agents with memory keep it apart per lane after ``reset_batch``."""
    lanes = 3
    if callable(getattr(agent, "reset_batch", None)):
        return
    stacked = (
        {key: np.stack([value] * lanes) for key, value in observation.items()}
        if isinstance(observation, dict)
        else np.stack([observation] * lanes)
    )
    actions = agent.act_batch(stacked)
    assert len(actions) == lanes, f"act_batch gave {len(actions)} actions for {lanes} observations"
    for action in actions:
        assert env.action_space.contains(action) or env.action_space.contains(np.asarray(action)), (
            f"act_batch gave {action!r}, which is not in {env.action_space}"
        )


def _register(agent: Any, env_id: str, keywords: dict[str, Any], uses_truth: bool) -> list[Any]:
    """Registers both pairs and gives the matrices."""
    import SimpleITK as sitk

    from regenv.core.sitk import image_to_sitk, matrix_from_sitk, matrix_to_sitk

    answers = []
    pairs = SmallPairs()
    for index in range(2):
        pair = pairs.load(index)
        start = _start(pair)
        fixed, moving, initial = image_to_sitk(pair.fixed), image_to_sitk(pair.moving), matrix_to_sitk(start)
        known = None if pair.truth is None else pair.truth.transform
        truth = matrix_to_sitk(known) if uses_truth and known is not None else None
        try:
            found = answer(agent, Problem(fixed, moving, initial, truth=truth))
        except TypeError as error:
            raise AssertionError(
                f"register failed: {error}; give a SimpleITK transform from fixed to moving points"
            ) from error
        try:
            matrix = matrix_from_sitk(found)
        except (ValueError, TypeError) as error:
            raise AssertionError(f"register's transform is not linear: {error}") from error
        assert np.isfinite(matrix).all(), "register's transform has numbers that are not finite"
        untouched = np.array_equal(sitk.GetArrayViewFromImage(fixed), pair.fixed.array) and np.array_equal(
            sitk.GetArrayViewFromImage(moving), pair.moving.array
        )
        assert untouched, "register changed an image: work on a copy"
        assert np.allclose(matrix_from_sitk(initial), start, atol=1e-6), "register changed the initial transform"
        answers.append(np.round(matrix, 6).tolist())
    return answers
