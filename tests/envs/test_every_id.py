"""The decision process on every id: the oracle arrives, random does not, gains telescope, poses leave as SimpleITK's.

Every id is looked at in three cases of its training split with default keywords; the sweep over fields of view,
keywords and more cases is marked slow.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import regenv  # noqa: F401  (registers the ids)
from regenv.catalogue import TASKS
from regenv.core.geometry import transform_points
from regenv.imaging.view import VIEWS
from regenv.pages import SECTIONS, environment_page
from regenv.synthesis.recipe import get_recipe
from tests.envs.episodes import Episode, at_random, at_truth, expert, play

SEEDS = (7, 8, 9)  # those of the conformance tests, so that no further subjects are made


def carried_by_sitk(env: Any, points: np.ndarray) -> np.ndarray:
    """Points where SimpleITK takes them."""
    transform = env.unwrapped.to_sitk()
    return np.array([transform.TransformPoint(p.tolist()) for p in points])


def carried_by_definition(env: Any, points: np.ndarray) -> np.ndarray:
    """Points where the design says: T p, or A (p + u(p)) with u along the fixed grid's axes about its centre."""
    scene, state = env.unwrapped._engine.case(0).scene, env.unwrapped.get_state()["transform"]
    if state.ndim == 2:
        return transform_points(state, points)
    local = transform_points(np.linalg.inv(scene.frame), points)
    moved = local + env.unwrapped.model.displacement(state, local)
    return transform_points(scene.alignment @ scene.frame, moved)


class Played:
    """What the tests of one id share: three episodes of the oracle and as many of a random agent."""

    def __init__(self, env_id: str) -> None:
        self.task = TASKS[env_id]
        self.env = gym.make(env_id)
        self.oracle: list[Episode] = [play(self.env, expert, seed) for seed in SEEDS]
        self.random = [play(gym.make(env_id, stop=False), at_random(seed), seed, steps=40) for seed in SEEDS]
        self.pairs = [e.infos[0]["pair_id"] for e in self.oracle]
        self.best = [at_truth(self.env, pair)[1] for pair in self.pairs]

    def gains(self) -> np.ndarray:
        """Similarity at the truth less that at the start, of five starts of each pair."""
        return np.array(
            [
                best["similarity"] - self.env.reset(seed=seed, options={"pair": pair})[1]["similarity"]
                for pair, best in zip(self.pairs, self.best, strict=True)
                for seed in range(5)
            ]
        )


@pytest.fixture(scope="module", params=list(TASKS))
def played(request: pytest.FixtureRequest) -> Played:
    return Played(request.param)


def test_the_oracle_arrives_and_stops(played):
    for episode, best in zip(played.oracle, played.best, strict=True):
        assert episode.terminated and not episode.truncated
        assert len(episode.rewards) <= played.task.horizon
        floor = best["tre"]
        assert episode.end_mm - floor < 0.25 * (episode.start_mm - floor), (episode.start_mm, episode.end_mm, floor)
    assert sum(e.infos[-1]["is_success"] for e in played.oracle) >= 2, [e.end_mm for e in played.oracle]


def test_a_random_agent_does_not(played):
    by_chance, by_truth = (np.median([e.end_mm for e in episodes]) for episodes in (played.random, played.oracle))
    assert by_chance > 1.5 * by_truth
    assert by_chance > 0.5 * np.median([e.start_mm for e in played.random])
    assert sum(e.infos[-1]["is_success"] for e in played.random) <= 1


def test_starts_are_no_successes(played):
    if played.task.model == "sdm":  # some given alignments are good to begin with: pages say how many
        assert played.task.calibration["oracle"]["start_success"] <= 0.25
    else:
        assert sum(e.infos[0]["is_success"] for e in played.oracle) <= 1


def test_the_truth_looks_better_than_the_start(played):
    gains = played.gains()
    assert (gains > 0).mean() > 0.5, gains


def test_gains_telescope(played):
    config = played.env.unwrapped.config
    for episode in (*played.random, *played.oracle):
        costs = config.step_cost * (len(episode.rewards) - episode.terminated)  # STOP is free
        gain = config.reward_scale * (episode.last - episode.first)
        assert sum(episode.rewards) + costs == pytest.approx(gain, abs=1e-9 * max(1.0, config.reward_scale))
        seen = config.reward_scale * (episode.infos[-1]["similarity"] - episode.infos[0]["similarity"])
        assert seen == pytest.approx(gain, abs=1e-9)  # the similarity in info is what pays by default


def test_the_way_to_the_truth_pays(played):
    """With the cost of its steps, where the scale of the rewards is measured; else its gain."""
    config, calibration = played.env.unwrapped.config, played.task.calibration
    totals = [sum(e.rewards) for e in played.oracle]
    if "reward_scales" not in calibration:
        totals = [t + config.step_cost * len(e.rewards) for t, e in zip(totals, played.oracle, strict=True)]
    assert np.median(totals) > 0, totals
    assert np.median(totals) > np.median([sum(e.rewards) for e in played.random])


def test_a_median_start_is_worth_about_ten(played):
    if played.task.similarity not in played.task.calibration.get("reward_scales", {}):
        pytest.skip(f"{played.task.id} is not calibrated")
    scale = played.env.unwrapped.config.reward_scale
    gains = played.gains()
    assert 2.0 < scale * np.median(gains) < 50.0, gains


def test_the_horizon_is_twice_the_oracles_way(played):
    reached = played.task.calibration.get("oracle")
    if reached is None:
        pytest.skip(f"{played.task.id} is not calibrated")
    assert played.task.horizon >= 2 * reached["steps_95"]
    assert max(e.end_mm for e in played.oracle) < 2 * reached["tre_95"] + 0.5


def test_the_page_has_its_sections(played):
    page = environment_page(played.task.id)
    headings = [line[3:] for line in page.splitlines() if line.startswith("## ")]
    assert headings == list(SECTIONS)
    assert f"TRE under {played.task.success_mm:g} mm" in page
    assert str(played.env.action_space.n - 1) in page
    if "oracle" in played.task.calibration:
        assert "Greedy on the true error" in page


def test_poses_leave_as_simpleitk_transforms(played):
    env = played.env
    close = 0.2 if played.task.model == "sdm" else 0.01  # a field between its voxels, and a matrix
    for seed in SEEDS[:2]:
        play(env, at_random(seed), seed, steps=5, options={"pair": played.pairs[0]})
        case = env.unwrapped._engine.case(0)
        points = case.target.points
        index = transform_points(case.scene.fixed_grid.physical_to_index, points)
        if played.task.model == "sdm":  # beyond its voxels a field is zero
            points = points[np.all((index >= 0) & (index <= np.array(case.scene.fixed_grid.size) - 1), axis=-1)]
            assert len(points) > 0.8 * len(index)
        told = carried_by_sitk(env, points)
        np.testing.assert_allclose(told, carried_by_definition(env, points), atol=close)
        assert np.abs(told - points).max() > 1.0


def test_the_error_is_that_of_simpleitks_points(played):
    env = played.env
    episode = play(env, at_random(1), SEEDS[1], steps=4, options={"pair": played.pairs[0]})
    case = env.unwrapped._engine.case(0)
    missed = carried_by_sitk(env, case.target.points) - case.target.partners
    # of one radiograph nothing counts along the detector's normal, turned into the volume
    if played.task.imaging == "radiograph" and len(case.scene.cameras) == 1:
        normal = env.unwrapped.get_state()["transform"][:3, :3] @ case.scene.cameras[0].frame[:3, 2]
        missed -= (missed @ normal)[:, None] * normal
    close = 0.1 if played.task.model == "sdm" else 1e-6
    assert episode.end_mm == pytest.approx(np.linalg.norm(missed, axis=1).mean(), abs=close)


def test_states_go_back_and_forth(played):
    env = played.env
    play(env, at_random(2), SEEDS[0], steps=2, options={"pair": played.pairs[0]})
    state = env.unwrapped.get_state()
    ahead = [env.step(np.int64(a)) for a in (1, 6)]
    observation, info = env.unwrapped.set_state(state)
    np.testing.assert_array_equal(info["transform"], state["transform"])
    np.testing.assert_array_equal(observation, env.unwrapped.observe(info["pair_id"], info["transform"]))
    again = [env.step(np.int64(a)) for a in (1, 6)]
    for one, two in zip(ahead, again, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        assert one[1:4] == two[1:4]


def test_observe_renders_what_an_episode_shows(played):
    env = played.env
    episode = play(env, at_random(3), SEEDS[0], steps=3, options={"pair": played.pairs[0]})
    poses = [info["transform"] for info in (episode.infos[-1], episode.infos[0])]
    both = env.unwrapped.observe([played.pairs[0]] * 2, np.stack(poses))
    np.testing.assert_array_equal(both[0], episode.observation)
    assert not np.array_equal(both[0], both[1])


# The sweep


FIELDS = [(env_id, field) for env_id, task in TASKS.items() for field in get_recipe(task.recipe).fields_of_view]


@pytest.mark.slow
@pytest.mark.parametrize(("env_id", "field"), FIELDS)
def test_the_oracle_arrives_in_every_field_of_view(env_id, field):
    env = gym.make(env_id, field_of_view=field)
    episodes = [play(env, expert, seed) for seed in range(8)]
    assert all(e.terminated and e.end_mm < e.start_mm for e in episodes)
    best = [at_truth(env, e.infos[0]["pair_id"])[1] for e in episodes]
    for episode, there in zip(episodes, best, strict=True):
        assert episode.end_mm - there["tre"] < 0.3 * (episode.start_mm - there["tre"]) + 0.1
    gains = [there["similarity"] - e.infos[0]["similarity"] for e, there in zip(episodes, best, strict=True)]
    assert np.mean(np.array(gains) > 0) > 0.5, gains


@pytest.mark.slow
@pytest.mark.parametrize("env_id", list(TASKS))
@pytest.mark.parametrize("actions", ["unit", "multidiscrete", "continuous"])
def test_the_oracle_arrives_by_any_actions(env_id, actions):
    task = TASKS[env_id]
    env = gym.make(env_id, actions=actions, horizon=400, steps=task.steps[-1:] if task.model == "sdm" else None)
    for seed in range(3):
        _, info = env.reset(seed=seed)
        start, best = info["tre"], at_truth(env, info["pair_id"])[1]["tre"]
        env.reset(seed=seed)
        for _ in range(400):
            *_, terminated, truncated, info = env.step(env.unwrapped.expert_action())
            if terminated or truncated:
                break
        assert info["tre"] - best < 0.35 * (start - best) + 0.3, (seed, start, info["tre"], best)


@pytest.mark.slow
@pytest.mark.parametrize("env_id", list(TASKS))
def test_every_observation_and_dtype(env_id):
    task = TASKS[env_id]
    volumes = task.ndim == 3 and task.imaging == "volume"
    for name, (volumetric, _, _) in VIEWS.items():
        for dtype in ("uint8", "float32"):
            if volumetric and not volumes:
                with pytest.raises(ValueError, match="3-D environment"):
                    gym.make(env_id, observation=name)
                continue
            env = gym.make(env_id, observation=name, dtype=dtype)
            first, info = env.reset(seed=SEEDS[0])
            assert env.observation_space.contains(first) and first.std() > 0
            moved = env.step(np.int64(0))[0]
            assert env.observation_space.contains(moved) and not np.array_equal(first, moved)
            np.testing.assert_array_equal(env.unwrapped.observe(info["pair_id"], info["transform"]), first)


@pytest.mark.slow
@pytest.mark.parametrize("env_id", [i for i, task in TASKS.items() if task.ndim == 3 and task.imaging == "volume"])
def test_the_volume_pays_for_the_way_to_the_truth(env_id):
    env = gym.make(env_id, reward_region="volume", reward_scale=1.0, step_cost=0.0)
    episodes = [play(env, expert, seed) for seed in range(4)]
    assert np.median([sum(e.rewards) for e in episodes]) > 0
    for episode in episodes:
        assert sum(episode.rewards) == pytest.approx(episode.last - episode.first, abs=1e-9)
