"""Several agents on one registration: PettingZoo's own tests, what each sees, and how proposals are combined."""

from __future__ import annotations

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest

from regenv.adapters.pettingzoo import combined, parallel_env, spread
from regenv.errors import OptionError, WithheldError
from regenv.imaging import make_view

pettingzoo_test = pytest.importorskip("pettingzoo.test", reason="needs regenv[marl]")

TEAMS = {
    "XRayCT-Rigid-v0": {"agents": 3, "field_of_view": "ct"},
    "CTMR-Affine2D-v0": {"agents": {"left": (30.0, 0.0), "right": (-30.0, 10.0)}, "combine": "vote"},
    "T1T2-Rigid-v0": {"agents": "axes"},
    "CTPET-Rigid-v0": {"agents": 2, "combine": "mean"},
    "CardiacMR-SDM2D-v0": {"agents": 2},
    "SliceMR-Rigid-v0": {"agents": 2},
}


@pytest.mark.parametrize("env_id", list(TEAMS))
def test_pettingzoos_parallel_tests_pass(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = parallel_env(env_id, **TEAMS[env_id], horizon=8)
        pettingzoo_test.parallel_api_test(env, num_cycles=20)
    pettingzoo_test.parallel_seed_test(lambda: parallel_env(env_id, **TEAMS[env_id], horizon=6), num_cycles=12)


def test_a_pickled_copy_goes_on_alike():
    env = parallel_env("CTMR-Affine2D-v0", agents=2, combine="mean")
    assert pickle.loads(pickle.dumps(env)).agents == []
    env.reset(seed=4)
    env.step(dict.fromkeys(env.agents, 3))
    copy = pickle.loads(pickle.dumps(env))
    for actions in (dict.fromkeys(env.agents, action) for action in (0, 7)):
        one, two = env.step(actions), copy.step(actions)
        assert one[1:4] == two[1:4]
        for name in env.agents:
            np.testing.assert_array_equal(one[0][name], two[0][name])
    np.testing.assert_array_equal(env.reset()[1]["region_0"]["start"], copy.reset()[1]["region_0"]["start"])


def test_one_agent_that_is_sure_is_the_single_environment():
    team = parallel_env("T1T2-Rigid-v0", agents=1)
    single = gym.make("T1T2-Rigid-v0")
    _, infos = team.reset(seed=3)
    _, info = single.reset(seed=3)
    np.testing.assert_array_equal(infos["region_0"]["start"], info["start"])
    for action in (0, 5, 17, 8):
        _, rewards, _, _, infos = team.step({"region_0": {"action": action, "confidence": np.ones(1, np.float32)}})
        observation, reward, _, _, info = single.step(np.int64(action))
        assert rewards["region_0"] == pytest.approx(reward, abs=1e-12)
        np.testing.assert_array_equal(infos["region_0"]["transform"], info["transform"])
        np.testing.assert_array_equal(team.state(), observation)
    stop = single.action_space.n - 1
    _, rewards, terminated, truncated, _ = team.step({"region_0": {"action": stop, "confidence": [1.0]}})
    assert (rewards["region_0"], terminated["region_0"], truncated["region_0"]) == (0.0, True, False)
    assert team.agents == []


def test_a_region_in_the_middle_is_the_middle_of_the_view():
    env = parallel_env("CTMR-Affine2D-v0", agents={"all": (0.0, 0.0)}, region_size=40)
    seen, _ = env.reset(seed=0)
    whole = env.state()
    np.testing.assert_array_equal(seen["all"], whole[:, 28:68, 28:68])


def test_a_region_shows_what_is_at_its_point():
    spacing = 2.5
    env = parallel_env("CTMR-Affine2D-v0", agents={"moved": (10 * spacing, -4 * spacing)}, region_size=40)
    seen, _ = env.reset(seed=0)
    np.testing.assert_array_equal(seen["moved"], env.state()[:, 24:64, 38:78])


def test_regions_of_a_radiograph_and_of_a_volume_are_cut_from_the_view():
    env = parallel_env("XRayCT-Rigid-v0", agents=1, region_size=48)
    seen, _ = env.reset(seed=1)
    np.testing.assert_allclose(seen["region_0"].astype(int), env.state()[:, 24:72, 24:72].astype(int), atol=1)
    env = parallel_env("T1T2-Rigid-v0", agents={"a": (1.5, 1.5, 1.5)}, region_size=37)
    seen, _ = env.reset(seed=1)
    np.testing.assert_array_equal(seen["a"], env.state()[:, 14:51, 14:51])  # slices through voxel 32 in both


def test_experts_of_axes_register_together():
    env = parallel_env("T1T2-Rigid-v0", agents="axes", combine="mean", horizon=150)
    _, infos = env.reset(seed=5)
    start = next(iter(infos.values()))["tre"]
    sizes = np.array([4.0, -4.0, 0.5, -0.5, 0.0])
    while env.agents:
        left = env.unwrapped._engine.process.left()[0]
        choices = {name: int(np.abs(left[k] - sizes).argmin()) for k, name in enumerate(env.agents)}
        _, _, terminated, _, infos = env.step(choices)
    assert next(iter(terminated.values()))
    assert next(iter(infos.values()))["tre"] < min(1.5, start / 5)


PROPOSALS = np.array([[4.0, 0.0], [4.0, 0.0], [0.0, -1.0], [0.0, 0.0]])


def test_proposals_are_combined_as_said():
    mean, stop = combined(PROPOSALS, np.ones(4), "mean")
    np.testing.assert_allclose(mean, [2.0, -0.25])
    assert not stop
    weighted, _ = combined(PROPOSALS, np.array([0.0, 0.5, 1.5, 0.0]), "confidence")
    np.testing.assert_allclose(weighted, [1.0, -0.75])
    vote, _ = combined(PROPOSALS, np.ones(4), "vote")
    np.testing.assert_allclose(vote, [4.0, 0.0])
    earliest, _ = combined(PROPOSALS[1:3], np.ones(2), "vote")
    np.testing.assert_allclose(earliest, [4.0, 0.0])
    total, stop = combined(PROPOSALS, np.array([1.0, 1.0, 0.5, 1.0]), "sum")
    np.testing.assert_allclose(total, [8.0, -0.5])
    assert not stop


def test_stop_needs_more_than_half():
    idle = np.array([[0.0, 0.0], [0.0, 0.0], [4.0, 0.0]])
    assert combined(idle, np.ones(3), "vote")[1] and combined(idle, np.ones(3), "mean")[1]
    assert not combined(idle, np.array([0.2, 0.2, 0.9]), "confidence")[1]
    assert not combined(idle, np.ones(3), "sum")[1]
    assert combined(idle[:2], np.ones(2), "sum")[1]
    assert not combined(idle[:2], np.ones(2), "mean", stops=False)[1]
    step, stop = combined(PROPOSALS, np.zeros(4), "confidence")  # nobody is sure of anything: nothing moves
    assert not step.any() and not stop


def test_more_agents_leave_the_others_where_they_are():
    view = make_view("slices", ndim=3, size=64, spacing_mm=3.0)
    np.testing.assert_array_equal(spread(3, view), spread(7, view)[:3])
    assert not spread(1, view).any()
    assert np.abs(spread(50, view)).max() <= view.extent_mm / 4
    assert len(np.unique(spread(50, view), axis=0)) == 50


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"agents": 0}, "at least 1"),
        ({"agents": {}}, "at least one point"),
        ({"agents": "axis"}, "axes"),
        ({"agents": {"far": (500.0, 0.0, 0.0)}}, "far"),
        ({"agents": {"flat": (0.0, 0.0)}}, "3 numbers"),
        ({"combine": "votes"}, "vote"),
        ({"region_size": 99}, "64"),
        ({"region_size": "wide"}, "64 pixels, got 'wide'"),
        ({"agents": 2.5}, "agents=2.5 is neither a number of regions"),
        ({"agents": True}, "agents=True is neither"),
        ({"agents": {"odd": "middle"}}, "agent 'odd': a region's middle is a point in mm, got 'middle'"),
        ({"observation": "zoom"}, "use observation='slices'"),
        ({"dtype": "float32"}, "leave both out"),
        ({"parameters": True, "agents": "axes"}, "leave both out"),
        ({"actions": "continuous"}, "discrete"),
        ({"render_mode": "human"}, "rgb_array"),
    ],
)
def test_bad_keywords_name_the_mend(keywords, message):
    with pytest.raises(OptionError, match=message):
        parallel_env("T1T2-Rigid-v0", **keywords)


def test_the_test_split_keeps_the_truth():
    env = parallel_env("T1T2-Rigid-v0", agents=2, split="test")
    _, infos = env.reset(seed=0)
    assert all("tre" not in info for info in infos.values())
    with pytest.raises(WithheldError):
        parallel_env("T1T2-Rigid-v0", split="test", reward="tre")


def test_a_proposal_that_is_none_is_refused():
    env = parallel_env("CTMR-Affine2D-v0", agents=1)
    before = env.reset(seed=0)[1]["region_0"]["transform"]
    for proposal, message in (
        (3, "a dict of action and confidence, got 3"),
        ({"action": 3}, "a dict of action and confidence"),
        ({"action": 3, "confidence": np.array([np.nan])}, "confidence nan is no number"),
    ):
        with pytest.raises(ValueError, match=f"agent 'region_0': .*{message}"):
            env.step({"region_0": proposal})
    after = env.step({"region_0": {"action": 3, "confidence": np.array([0.0])}})[-1]["region_0"]["transform"]
    np.testing.assert_array_equal(after, before)


def test_a_missing_proposal_is_named():
    env = parallel_env("CTMR-Affine2D-v0", agents=2, combine="vote")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="region_1"):
        env.step({"region_0": 0})
    with pytest.raises(ValueError, match="region_1"):
        env.step({"region_0": 0, "region_1": 999})
