"""Training without end: which case a lane shows is its own affair."""

from __future__ import annotations

import pickle
from collections import Counter

import gymnasium as gym
import numpy as np
import pytest

import regenv  # noqa: F401  (registers the ids)
from regenv.data.dataset import SPAN
from regenv.envs.window import HELD, REUSE, STREAMS, Window
from regenv.errors import OptionError

ID = "CTMR-Similarity2D-v0"


def cases_of(seed: int, episodes: int, limit: int | None = None, reuse: int = REUSE) -> list[tuple[int, int]]:
    rng, window = np.random.default_rng(seed), Window(reuse=reuse)
    return [window.draw(rng, limit) for _ in range(episodes)]


def test_the_first_reset_of_any_lane_needs_one_subject() -> None:
    assert {cases_of(seed, 1)[0][0] for seed in range(100)} == {0}
    assert len({cases_of(seed, 1)[0] for seed in range(400)}) == STREAMS


@pytest.mark.parametrize("reuse", [REUSE, 7, 2])
def test_a_lane_moves_on_for_ever_and_uses_each_case_so_often(reuse: int) -> None:
    cases = cases_of(0, 40 * REUSE * HELD, reuse=reuse)
    counts = Counter(cases)
    late = [counts[case] for case in list(dict.fromkeys(cases))[HELD:-HELD]]
    assert np.mean(late) == pytest.approx(reuse, rel=0.1 if reuse > 2 else 0.2)  # some are not drawn at all
    for start in range(reuse * HELD, len(cases) - reuse, reuse):  # few are held at a time
        assert len(set(cases[start : start + reuse])) <= HELD + 1
    subjects = [subject for subject, _ in cases]
    assert max(subjects[-50:]) > max(subjects[:-200]) > max(subjects[:200])
    assert len({v for s, v in counts if s == subjects[-1]}) >= 1


def test_lanes_together_see_many_subjects_and_never_too_many_at_once() -> None:
    lanes = [cases_of(seed, 200) for seed in range(64)]
    assert len({case[0] for lane in lanes for case in lane}) > 80
    for episode in range(0, 200, 10):
        held = {lane[e] for lane in lanes for e in range(max(0, episode - 3), episode + 1)}
        assert len(held) <= STREAMS * (HELD + 1)


def test_what_is_made_ahead_is_what_comes() -> None:
    rng, window = np.random.default_rng(4), Window()
    announced: set[int] = {0}
    for _ in range(500):
        subject, _ = window.draw(rng)
        assert subject in announced
        announced |= set(window.ahead())


def test_limited_subjects_come_again_in_other_variations() -> None:
    for limit in (1, 5, 16):
        for seed in range(3):
            cases = cases_of(seed, 40 * REUSE, limit)
            assert {subject for subject, _ in cases} == set(range(limit))
    plain, limited = ([cases_of(seed, 300, limit) for seed in range(40)] for limit in (None, 5))
    assert len({c for lane in limited for c in lane}) == len({c for lane in plain for c in lane})  # none twice


def rollout(env: gym.Env, seed: int, episodes: int) -> list[tuple[str, bytes, float]]:
    """Pair, first observation and first reward of each episode."""
    seen = []
    for episode in range(episodes):
        observation, info = env.reset(seed=seed if episode == 0 else None)
        reward, truncated = 0.0, False
        while not truncated:
            _, reward, _, truncated, _ = env.step(np.int64(episode % 3))
        seen.append((info["pair_id"], observation.tobytes(), reward))
    return seen


def test_lanes_are_the_single_environments_over_many_episodes() -> None:
    lanes, episodes, horizon = 5, 12, 2
    envs = gym.make_vec(ID, num_envs=lanes, horizon=horizon, autoreset_mode="SameStep")
    pairs: list[list[str]] = [[] for _ in range(lanes)]
    shown: list[list[bytes]] = [[] for _ in range(lanes)]
    observations, infos = envs.reset(seed=30)
    for episode in range(episodes):
        for lane in range(lanes):
            pairs[lane].append(infos["pair_id"][lane])
            shown[lane].append(observations[lane].tobytes())
        for _ in range(horizon):
            observations, _, _, _, infos = envs.step(np.full(lanes, episode % 3))
    env = gym.make(ID, horizon=horizon)
    for lane in range(lanes):
        alone = rollout(env, 30 + lane, episodes)
        assert [one[0] for one in alone] == pairs[lane]
        assert [one[1] for one in alone] == shown[lane]
    assert len({name for lane in pairs for name in lane}) > lanes


def test_a_seed_begins_anew_and_a_copy_goes_on() -> None:
    env = gym.make(ID, horizon=1)
    first = rollout(env, 3, 10)
    assert rollout(env, 3, 10) == first
    rollout(env, 3, 6)
    twin = pickle.loads(pickle.dumps(env.unwrapped))
    left = [env.reset()[1]["pair_id"] for _ in range(4)]
    assert left == [one[0] for one in first[6:]]
    assert [twin.reset()[1]["pair_id"] for _ in range(4)] == left


def test_any_training_case_can_be_asked_for() -> None:
    env = gym.make(ID)
    name = "phantom-head_slices-head_and_neck-train-0003-v5"
    _, info = env.reset(seed=0, options={"pair": name})
    assert info["pair_id"] == name
    state = env.unwrapped.get_state()
    observation = env.unwrapped.observe(name, state["transform"])
    env.reset(seed=1)
    again, _ = env.unwrapped.set_state(state)
    np.testing.assert_array_equal(again, observation)
    with pytest.raises(ValueError, match="no end of subjects.*did you mean 'phantom-head_slices-head_and"):
        env.reset(options={"pair": "phantom-head_slices-head_and_neck-train-x"})


def test_subjects_limit_the_training_split() -> None:
    env = gym.make(ID, subjects=2, horizon=1)
    names = [one[0] for one in rollout(env, 0, 60)]
    assert {name.split("-train-")[1][:4] for name in names} == {"0000", "0001"}
    assert len(set(names)) > 4
    with pytest.raises(ValueError, match=r"no pair '.*-0002' in the train split of 'phantom' \(2 subjects\)"):
        env.reset(options={"pair": "phantom-head_slices-head_and_neck-train-0002"})
    assert gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json())).unwrapped.config.subjects == 2


@pytest.mark.parametrize("bad", [0, -3, 1.5, "many", True])
def test_a_number_of_subjects_that_is_none_is_refused(bad: object) -> None:
    with pytest.raises(OptionError, match=f"subjects must be a whole number of at least 1, got {bad!r}"):
        gym.make(ID, subjects=bad)


@pytest.mark.parametrize("where", [{"split": "validation"}, {"split": "test"}, {"dataset": "folder:/nowhere"}])
def test_subjects_are_for_embedded_training(where: dict[str, str]) -> None:
    with pytest.raises(OptionError, match="subjects=5 limits the training subjects of 'phantom' and 'shapes'"):
        gym.make(ID, subjects=5, **where)


def test_validation_and_test_are_as_they_were() -> None:
    """Few, and drawn as ever: whatever is measured on them stays comparable."""
    for split, count in (("validation", 16), ("test", 200)):
        env = gym.make(ID, split=split)
        assert len(env.unwrapped._engine.source.ids) == count
        rng = np.random.default_rng(np.random.PCG64(np.random.SeedSequence(7)))
        expected = str(env.unwrapped._engine.source.ids[int(rng.integers(count))])
        assert env.reset(seed=7)[1]["pair_id"] == expected
        assert env.unwrapped._engine.source.index(expected) < SPAN


def test_an_environment_is_told_how_often_a_case_comes_again() -> None:
    env = gym.make(ID, reuse=1)
    seen = []
    for episode in range(9):
        env.reset(seed=5 if episode == 0 else None)
        seen.append(env.unwrapped.get_state()["pair_id"])
    assert len(set(seen)) >= 7  # drawn among the newest four of ten
    with pytest.raises(OptionError, match="reuse must be a whole number of at least 1, got 0"):
        gym.make(ID, reuse=0)
