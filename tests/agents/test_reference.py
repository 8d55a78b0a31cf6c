from __future__ import annotations

import re
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import regenv
from agents import centre, greedy_search, header, identity, oracle, random
from regenv.agent import Problem, answer, play
from regenv.core.points import point_errors
from regenv.core.sitk import image_to_sitk, matrix_from_sitk, matrix_to_sitk
from regenv.envs.simulator import Simulator
from regenv.testing import check_agent
from tests.envs.blobs import Blobs
from tests.envs.targets import known_of

ID = "CTCBCT-Rigid-v0"
ELSEWHERE = {"ants", "elastix", "given"}  # two that need extras, and one that only a deformation can be asked of
NAMES = [
    path.stem
    for path in sorted(Path(centre.__file__).parent.glob("*.py"))
    if re.search(r"^(def )?factory\b", path.read_text(encoding="utf-8"), re.MULTILINE) and path.stem not in ELSEWHERE
]


@pytest.mark.parametrize("name", NAMES)
def test_each_keeps_the_protocol(name: str) -> None:
    if name == "shipped":
        pytest.importorskip("onnxruntime", reason="needs `pip install 'regenv[align]'`")
    check_agent(f"agents.{name}:factory")


def test_the_unit_oracle_keeps_the_protocol() -> None:
    check_agent("agents.oracle:unit")


def _play(agent: object, env: gym.Env, **reset: object) -> tuple[list[int], list[dict]]:
    observation, info = env.reset(**reset)
    agent.plan(Simulator(env))
    infos, actions, over = [info], [], False
    agent.reset(observation, info)
    while not over:
        actions.append(int(agent.act(observation)))
        observation, _, terminated, truncated, info = env.step(actions[-1])
        infos.append(info)
        over = terminated or truncated
    return actions, infos


def test_the_fixed_answers_are_what_they_say() -> None:
    pair = Blobs("train").load(0)
    fixed, moving = image_to_sitk(pair.fixed), image_to_sitk(pair.moving)
    start = np.eye(4)
    start[:3, 3] = (3.0, -4.0, 5.0)
    initial = matrix_to_sitk(start)
    np.testing.assert_array_equal(matrix_from_sitk(identity.factory().register(fixed, moving, initial)), start)
    np.testing.assert_array_equal(matrix_from_sitk(header.factory().register(fixed, moving, initial)), np.eye(4))
    found = matrix_from_sitk(answer(centre.factory(), Problem(fixed, moving, initial)))
    np.testing.assert_array_equal(found[:3, :3], np.eye(3))
    np.testing.assert_allclose(found[:3, 3] + pair.fixed.grid.centre, pair.moving.grid.centre, atol=1e-9)


def test_neither_header_nor_centre_finds_the_truth() -> None:
    for index in range(3):
        pair = Blobs("train").load(index)
        known = known_of(pair)
        fixed, moving = image_to_sitk(pair.fixed), image_to_sitk(pair.moving)
        for agent in (header.factory(), centre.factory()):
            found = matrix_from_sitk(answer(agent, Problem(fixed, moving, regenv.to_sitk(np.eye(4)))))
            assert point_errors(found, known.points, known.partners).mean() > 10.0


def test_random_actions_cover_the_space_and_repeat_with_their_seed() -> None:
    env = gym.make(ID, dataset=Blobs("train"), actions="multidiscrete")
    agent = random.factory(seed=3)
    agent.seed(5)
    agent.plan(Simulator(env))
    drawn = [agent.act(None) for _ in range(200)]
    assert all(env.action_space.contains(action) for action in drawn)
    assert set(np.concatenate(drawn).tolist()) == {0, 1, 2}
    agent.plan(Simulator(env))
    np.testing.assert_array_equal([agent.act(None) for _ in range(200)], drawn)


def test_greedy_search_climbs_the_similarity_and_stops_where_no_action_gains() -> None:
    env = gym.make(ID, dataset=Blobs("test"), split="test")
    agent = greedy_search.factory()
    actions, infos = _play(agent, env, seed=4)
    gained = np.diff([info["similarity"] for info in infos])
    assert actions[-1] == env.action_space.n - 1
    assert len(actions) > 10
    assert (gained[:-1] > 0).all() and gained[-1] == 0
    assert agent.evaluations == env.action_space.n * len(actions)

    # Every action from where it stopped, each tried in the environment itself, is no better.
    state = {**env.unwrapped.get_state(), "over": False}
    for action in range(env.action_space.n - 1):
        env.unwrapped.set_state(state)
        assert env.unwrapped.step(action)[-1]["similarity"] <= infos[-1]["similarity"] + 1e-12


def test_greedy_search_needs_actions_that_can_be_listed_and_an_environment() -> None:
    agent = greedy_search.factory()
    with pytest.raises(RuntimeError, match="plan"):
        agent.act(None)
    with pytest.raises(TypeError, match="Discrete"):
        agent.plan(Simulator(gym.make(ID, dataset=Blobs("train"), actions="continuous")))


@pytest.mark.parametrize("make", [oracle.factory, oracle.unit])
def test_the_oracle_reaches_the_truth_on_the_test_split_with_what_the_evaluation_hands_over(make) -> None:
    agent = make()
    blobs = Blobs("test")
    env = gym.make(ID, dataset=blobs, split="test", **agent.env_kwargs)
    for index in range(2):
        known = known_of(blobs.load(index))
        played = play(agent, env, seed=index, options={"pair": str(index)}, target=known)
        assert played.terminated and not played.truncated
        start, end = (
            point_errors(pose, known.points, known.partners).mean()
            for pose in (played.first["start"], played.last["transform"])
        )
        assert end < 1.0 < 5.0 < start


def test_the_oracle_is_the_environments_expert_where_the_truth_is_not_withheld() -> None:
    env = gym.make(ID, dataset=Blobs("train"))
    agent = oracle.factory()
    observation, info = env.reset(seed=1)
    agent.plan(Simulator(env))
    agent.reset(observation, info)
    assert agent.act(observation) == env.unwrapped.expert_action()


def test_the_oracle_declares_that_it_is_told_the_truth() -> None:
    from regenv.evaluation.method import describe

    method = describe(oracle.factory(), "agents.oracle:factory")
    assert method.uses_truth and method.family == "reference"
