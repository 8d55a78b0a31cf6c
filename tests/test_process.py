"""The process without pixels is the environment's: the same actions lead to the same poses and the same ends."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import regenv  # noqa: F401  (registers the ids)
from regenv.catalogue import TASKS
from regenv.core.geometry import transform_points
from regenv.core.scene import Scene
from regenv.envs.config import make_config
from regenv.process import Process
from tests.envs.balls import Balls, c_arm

SEED = 7  # that of the conformance tests, so that no further subjects are made
KINDS = {(task.imaging, task.model, task.ndim): task.id for task in reversed(TASKS.values())}
RIGID = "CTCBCT-Rigid-v0"


def begun(env: Any, info: dict[str, Any]) -> Process:
    """A process of its own at the start of an environment's episode; it is given the scene alone."""
    process = env.unwrapped.config.make_process(1)
    scene = env.unwrapped._engine.case(0).scene
    assert isinstance(scene, Scene)
    process.load(0, scene, None)
    process.begin(0, info["start"])
    return process


def followed(env: Any, process: Process, action: Any) -> bool:
    """One step of both, which must agree; says whether the pose changed."""
    before = process.pose[0].copy()
    ends = process.advance(*process.actions.decode(np.asarray(action)[None]))
    *_, terminated, truncated, info = env.step(action)
    np.testing.assert_array_equal(process.pose[0], info["transform"])
    assert (bool(ends[0][0]), bool(ends[1][0])) == (terminated, truncated)
    assert process.sees(process.pose)[0]
    return not np.array_equal(process.pose[0], before)


@pytest.mark.parametrize("env_id", KINDS.values(), ids=["-".join(map(str, kind)) for kind in KINDS])
def test_it_goes_where_the_environment_goes(env_id):
    env = gym.make(env_id, horizon=13)
    process = begun(env, env.reset(seed=SEED)[1])
    stop = env.action_space.n - 1
    moved = [followed(env, process, a) for a in np.random.default_rng(0).integers(stop, size=12)]
    assert sum(moved) > 6
    followed(env, process, stop)  # on the last step: terminated and truncated


@pytest.mark.parametrize("env_id", KINDS.values(), ids=["-".join(map(str, kind)) for kind in KINDS])
def test_it_refuses_what_the_environment_refuses(env_id):
    """One action again and again, until the view or the model's bound is left or no camera sees the volume."""
    size = 1.0 if TASKS[env_id].model == "sdm" else 24.0
    env = gym.make(env_id, steps=(size,), horizon=60)
    process = begun(env, env.reset(seed=SEED)[1])
    taken = 0
    while followed(env, process, np.int64(0)):
        taken += 1
    assert taken > 0
    assert followed(env, process, np.int64(1))  # and back


@pytest.mark.parametrize("action", range(4))  # in plane
def test_it_refuses_what_no_camera_would_see(action):
    """Long before the view is left: these balls are smaller than it."""
    balls = Balls([c_arm(0.0)], [[0, 0, 0], [30, 0, 0], [0, -25, 10], [0, 0, 35]])
    env = gym.make("XRayCT-Rigid-v0", dataset=balls, steps=(20.0,), stop=False)
    process = begun(env, env.reset(options={"start": balls.load(0).truth.transform})[1])
    while followed(env, process, np.int64(action)):
        pass
    scene = env.unwrapped._engine.case(0).scene
    carried = transform_points(process.pose[0], scene.cameras[0].isocentre)
    assert np.linalg.norm(carried - scene.moving_grid.centre) + 20.0 < env.unwrapped._engine.view.extent_mm


@pytest.mark.parametrize("actions", ["unit", "multidiscrete", "continuous"])
def test_other_actions_lead_there_too(actions, blobs):
    env = gym.make(RIGID, dataset=blobs, actions=actions, horizon=12)
    env.action_space.seed(0)
    process = begun(env, env.reset(seed=SEED)[1])
    assert sum(followed(env, process, env.action_space.sample()) for _ in range(12)) > 6


@pytest.fixture
def lanes(blobs) -> Process:
    """Three lanes with no truth, three steps long."""
    process = make_config(RIGID, dataset=blobs, horizon=3).make_process(3)
    for lane in range(3):
        process.load(lane, process_scene(blobs, lane), None)
        process.begin(lane, np.eye(4))
    return process


def process_scene(blobs, index: int) -> Scene:
    pair = blobs.load(index)
    return Scene(pair.fixed.grid, pair.moving.grid, np.eye(4), 1.0)


def test_stop_terminates_its_lane_and_moves_none(lanes):
    stop = lanes.actions.space.n - 1
    before = lanes.pose.copy()
    terminated, truncated, reached = lanes.advance(*lanes.actions.decode(np.array([stop, 0, stop])))
    assert terminated.tolist() == [True, False, True]
    assert not truncated.any() and not reached.any()
    np.testing.assert_array_equal(lanes.pose[[0, 2]], before[[0, 2]])
    assert lanes.elapsed.tolist() == [1, 1, 1]


def test_the_horizon_truncates(lanes):
    ends = [lanes.advance(*lanes.actions.decode(np.zeros(3, int)))[:2] for _ in range(3)]
    assert [truncated.tolist() for _, truncated in ends] == [[False] * 3, [False] * 3, [True] * 3]
    assert not any(terminated.any() for terminated, _ in ends)
    lanes.begin(1, np.eye(4))
    assert lanes.elapsed.tolist() == [3, 0, 3]


def test_a_resting_lane_keeps_pose_and_count_and_does_not_end(lanes):
    stop = lanes.actions.space.n - 1
    before = lanes.pose.copy()
    resting = np.array([False, True, True])
    ends = lanes.advance(*lanes.actions.decode(np.array([0, 0, stop])), resting)
    assert not ends[0].any() and not ends[1].any()
    np.testing.assert_array_equal(lanes.pose[1:], before[1:])
    assert not np.array_equal(lanes.pose[0], before[0])
    assert lanes.elapsed.tolist() == [1, 0, 0]


def test_a_lane_without_a_target_knows_nothing(lanes, blobs):
    assert not lanes.known.any()
    env = gym.make(RIGID, dataset=blobs, horizon=200, goal=2.0, goal_measure="tre")
    env.reset(seed=SEED)
    case = env.unwrapped._engine.case(0)
    lanes.load(1, case.scene, case.target)
    lanes.begin(1, case.target.pose)
    assert lanes.known.tolist() == [False, True, False]
    assert lanes.tre(slice(1, 2))[0] < 1e-9
    np.testing.assert_allclose(lanes.left(slice(1, 2)), 0, atol=1e-6)


def test_a_goal_ends_an_episode_at_the_truth(blobs):
    env = gym.make(RIGID, dataset=blobs, goal=2.0, goal_measure="tre", stop=False)
    _, info = env.reset(seed=SEED)
    case, process = env.unwrapped._engine.case(0), env.unwrapped.config.make_process(1)
    process.load(0, case.scene, case.target)
    process.begin(0, info["start"])
    for _ in range(100):
        action = np.asarray(process.expert_action(0))[None]
        terminated, _, reached = process.advance(*process.actions.decode(action))
        assert terminated[0] == reached[0] == (process.tre()[0] <= 2.0)
        if reached[0]:
            break
    assert reached[0]
