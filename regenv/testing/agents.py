"""``check_agent``."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium as gym
import numpy as np

from regenv.data.pair import ImagePair
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
    from regenv.evaluation.agents import answers_at_once, environment_keywords, load_agent
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
    remake = isinstance(agent, str) or (isinstance(agent, type) or not _is_agent(agent))
    if remake:
        again = load_agent(agent, SEED) if isinstance(agent, str) else _made(agent)
        second = play(again, env_id, keywords, method.uses_truth)
        assert equal(first, second), (
            f"{spec} made twice with seed {SEED} acts differently: draw every random number from a generator that the "
            "factory seeds with its argument"
        )


def _made(factory: Any) -> Any:
    if _is_agent(factory):
        return factory
    assert callable(factory), f"{factory!r} is neither an agent nor a factory: give factory(seed: int) -> agent"
    made = factory(seed=SEED)
    assert _is_agent(made), (
        f"the factory gave {type(made).__name__}, which has neither act(observation) nor register(fixed, "
        "moving, initial)"
    )
    return made


def _is_agent(candidate: Any) -> bool:
    return not isinstance(candidate, type) and any(callable(getattr(candidate, n, None)) for n in ("act", "register"))


def _start(pair: ImagePair) -> np.ndarray:
    from regenv.core.models import get_model
    from regenv.envs.starts import misaligned

    assert pair.truth is not None and pair.truth.transform is not None
    offset = np.array([12.0, -9.0, 7.0, 6.0, -4.0, 8.0])
    return misaligned(pair.truth.transform, pair.fixed.grid.frame, offset, get_model("rigid", 3))


def _act(agent: Any, env_id: str, keywords: dict[str, Any], uses_truth: bool) -> list[Any]:
    """Plays both pairs and gives all actions."""
    from regenv.evaluation.track import TrackCase

    assert callable(getattr(agent, "reset", None)), (
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
        start = _start(pair)
        if callable(getattr(agent, "attach", None)):
            agent.attach(env)
        if callable(getattr(agent, "seed", None)):
            agent.seed(SEED + index)
        observation, info = env.reset(seed=SEED, options={"pair": str(index), "start": start})
        if uses_truth:
            frame, truth = pair.fixed.grid.frame, pair.truth
            assert truth is not None and truth.transform is not None
            case = TrackCase("0", "0", "0", start, truth.transform, frame, pair.moving.grid.centre)
            info = {**info, "truth": case.truth, "frame": frame, "points": frame[:3, 3] + 60 * np.eye(3)}
        agent.reset(observation, info)
        episodes.append(_episode(agent, env, observation))
    env.close()
    return episodes


def _episode(agent: Any, env: Any, observation: Any) -> list[Any]:
    actions: list[Any] = []
    over = False
    while not over:
        before = pickle.dumps(observation)
        action = agent.act(observation)
        assert pickle.dumps(observation) == before, "act changed the observation: work on a copy"
        assert env.action_space.contains(action) or env.action_space.contains(np.asarray(action)), (
            f"act gave {action!r}, which is not in {env.action_space}"
        )
        if not actions and callable(getattr(agent, "act_batch", None)):
            _check_batch(agent, env, observation)
        actions.append(np.asarray(action).tolist())
        observation, _, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
    return actions


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
    answers = agent.act_batch(stacked)
    assert len(answers) == lanes, f"act_batch gave {len(answers)} actions for {lanes} observations"
    for answer in answers:
        assert env.action_space.contains(answer) or env.action_space.contains(np.asarray(answer)), (
            f"act_batch gave {answer!r}, which is not in {env.action_space}"
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
        if uses_truth:
            assert pair.truth is not None
            agent.truth = pair.truth.transform
        answer = agent.register(fixed, moving, initial)
        assert isinstance(answer, sitk.Transform), (
            f"register gave {type(answer).__name__}: give a SimpleITK transform from fixed to moving points"
        )
        try:
            matrix = matrix_from_sitk(answer)
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
