"""Published processes: what each shows, does and pays, with every reward computed by hand from the truth."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from scipy.linalg import logm
from scipy.optimize import lsq_linear

import regenv  # noqa: F401  (registers the ids)
from regenv.catalogue import TASKS
from regenv.core.geometry import transform_points
from regenv.envs.config import make_config
from regenv.envs.presets import PRESETS
from regenv.errors import DataError, OptionError, WithheldError
from regenv.pages import environment_page
from regenv.poses import get_model
from tests.envs.balls import Balls, c_arm, depth_camera
from tests.envs.blobs import Blobs
from tests.envs.deformable import Changed, own_dataset
from tests.envs.episodes import at_random, expert, play

VOLUME, XRAY, DEPTH = "CTCBCT-Rigid-v0", "XRayCT-Rigid-v0", "DepthCT-Rigid-v0"
SIMILARITY, AFFINE, DEFORMABLE = "CTMR-Similarity2D-v0", "CTMR-Affine2D-v0", "ProstateMR-SDM2D-v0"
SMALL = {"view_size": 24, "view_spacing_mm": 8.0}
BONUS = 10.0


def distance(transform, truth, frame):
    """L2 norm of the six parameters, in mm and degrees, that are left to the truth in a frame."""
    left = np.real(logm(np.linalg.inv(transform @ frame) @ truth @ frame))
    turn = np.rad2deg([left[2, 1], left[0, 2], left[1, 0]])
    return float(np.hypot(np.linalg.norm(left[:3, 3]), np.linalg.norm(turn)))


class Rigid:
    """A rigid process on a pair of which the truth is known; states are told by how far they are from it."""

    def __init__(self, preset: str) -> None:
        if preset == "liao2017":
            dataset, env_id, more = Blobs("train", 1), VOLUME, SMALL
        elif preset == "ma2017":
            dataset, env_id, more = Balls([depth_camera()], [[0, 0, 0], [40, 20, 5]], 40.0, imaging="depth"), DEPTH, {}
        else:
            dataset, env_id, more = Balls([c_arm(0.0)], [[0, 0, 0], [34, 14, 26], [-30, 36, -18]]), XRAY, {}
        self.keywords = {"dataset": dataset, "preset": preset, **more}
        self.env_id, self.env = env_id, gym.make(env_id, **self.keywords)
        pair = dataset.load(0)
        self.truth = pair.truth.transform
        self.frame = pair.cameras[0].frame if pair.cameras else pair.fixed.grid.frame

    def away(self, *values: float) -> np.ndarray:
        """The truth composed with a misalignment in mm and degrees."""
        step = get_model("rigid", 3).exp(np.array([values], dtype=float))[0]
        return self.truth @ self.frame @ step @ np.linalg.inv(self.frame)

    def left(self, transform: np.ndarray) -> float:
        """What is left to the truth."""
        return distance(transform, self.truth, self.frame)


# step, goal, horizon and what is seen
PROCESSES = {
    "liao2017": (1.0, 0.5, 200, (1, 24, 24, 24)),
    "ma2017": (4.0, 5.0, 60, (2, 96, 96)),
    "miao2018": (1.0, 1.0, 200, (2, 96, 96)),
}


@pytest.fixture(scope="module", params=list(PROCESSES))
def rigid(request):
    return Rigid(request.param), *PROCESSES[request.param]


def test_twelve_actions_and_no_stop(rigid):
    process, size, _, _, shape = rigid
    assert process.env.action_space == gym.spaces.Discrete(12)
    observation, _ = process.env.reset(options={"start": process.truth})
    assert observation.shape == process.env.observation_space.shape == shape
    for action in range(12):
        _, info = process.env.reset(options={"start": process.away(20, 20, 20, 5, 5, 5)})
        *_, terminated, truncated, after = process.env.step(np.int64(action))
        step = np.linalg.inv(info["transform"] @ process.frame) @ after["transform"] @ process.frame
        want = np.zeros(6)
        want[action // 2] = size * (-1) ** action
        np.testing.assert_allclose(get_model("rigid", 3).log(step[None])[0], want, atol=1e-9)
        assert not (terminated or truncated)


def test_a_step_pays_by_how_much_nearer_it_brings(rigid):
    process, _, goal, *_ = rigid
    for seed in range(2):
        episode = play(process.env, at_random(seed), seed, steps=6)
        states = [info["transform"] for info in episode.infos]
        for (before, after), reward in zip(pairwise(states), episode.rewards, strict=True):
            left = process.left(after)
            assert reward == pytest.approx(process.left(before) - left + BONUS * (left <= goal), abs=1e-6)
        assert any(reward < 0 for reward in episode.rewards)


@pytest.mark.parametrize("freedom", [0, 2, 4])
def test_the_last_step_pays_ten_more_and_ends_the_episode(rigid, freedom):
    process, size, goal, *_ = rigid
    away = np.zeros(6)
    away[freedom] = goal + 1.1 * size
    _, info = process.env.reset(options={"start": process.away(*away)})
    first, last = (process.env.step(np.int64(2 * freedom + 1)) for _ in range(2))
    assert process.left(info["transform"]) == pytest.approx(goal + 1.1 * size)
    assert first[1:4] == (pytest.approx(size), False, False)  # not yet: 0.1 steps are missing
    assert process.left(first[4]["transform"]) > goal
    gain = process.left(first[4]["transform"]) - process.left(last[4]["transform"])
    assert last[1:4] == (pytest.approx(gain + BONUS), True, False)


def test_an_episode_that_does_not_arrive_is_truncated(rigid):
    process, _, _, horizon, _ = rigid
    process.env.reset(options={"start": process.away(40, 0, 0, 0, 0, 0)})
    ends = [process.env.step(np.int64(step % 2))[2:4] for step in range(horizon)]
    assert ends[:-1] == [(False, False)] * (horizon - 1)
    assert ends[-1] == (False, True)


def test_the_way_to_the_truth_pays_its_length_and_ten(rigid):
    process, _, goal, *_ = rigid
    # whole steps of 1 mm and 1 degree end within 0.5 of few starts, such as of whole shifts
    start = process.away(9, -6, 7, *((0, 0, 0) if goal < 1 else (3, -4, 5)))
    episode = play(process.env, expert, 0, options={"start": start})
    assert episode.terminated and not episode.truncated
    gain = process.left(start) - process.left(episode.infos[-1]["transform"])
    assert sum(episode.rewards) == pytest.approx(gain + BONUS, abs=1e-6)


def test_lanes_end_one_by_one(rigid):
    process, size, goal, *_ = rigid
    near, far = process.away(goal + 0.1 * size, 0, 0, 0, 0, 0), process.away(goal + 5 * size, 0, 0, 0, 0, 0)
    envs = gym.make_vec(process.env_id, num_envs=2, **process.keywords)
    envs.reset(seed=0, options={"start": np.stack([near, far])})
    _, rewards, terminated, truncated, _ = envs.step(np.array([1, 1]))
    assert terminated.tolist() == [True, False] and not truncated.any()
    gain = goal + 0.1 * size - abs(goal - 0.9 * size)
    np.testing.assert_allclose(rewards, [gain + BONUS, size], atol=1e-6)


@pytest.mark.parametrize(
    ("preset", "widths"),
    [("liao2017", [30.0] * 6), ("ma2017", [30.0] * 3 + [20.0] * 3), ("miao2018", [15, 15, 25, 10, 10, 10])],
)
def test_starts_are_drawn_as_widely_as_is_told(preset, widths):
    process = Rigid(preset)
    starts = np.stack([process.env.reset(seed=seed)[1]["start"] for seed in range(60)])
    steps = np.linalg.inv(process.truth @ process.frame) @ starts @ process.frame
    drawn = get_model("rigid", 3).log(steps) / widths
    assert np.abs(drawn).max() <= 1.0 + 1e-9
    assert np.abs(drawn).max(0).min() > 0.9


def test_liao_sees_one_difference_volume():
    process = Rigid("liao2017")
    observation, _ = process.env.reset(options={"start": process.away(8, 0, 0, 0, 0, 0)})
    both = gym.make(VOLUME, dataset=process.keywords["dataset"], observation="volume", dtype="float32", **SMALL)
    fixed, moved = both.reset(options={"start": process.away(8, 0, 0, 0, 0, 0)})[0]
    np.testing.assert_allclose(observation[0] / 255, (moved - fixed + 1) / 2, atol=0.01)


# Deformations


@pytest.fixture(scope="module")
def krebs():
    return gym.make(DEFORMABLE, preset="krebs2017")


def test_krebs_starts_at_no_deformation_and_steps_by_a_quarter(krebs):
    model = krebs.unwrapped.model
    assert krebs.action_space == gym.spaces.Discrete(2 * model.n_parameters + 1)
    assert krebs.unwrapped.config.horizon == 150
    for seed in range(3):
        observation, info = krebs.reset(seed=seed)
        assert observation.shape == (2, 96, 96)
        assert not info["start"].any() and not info["transform"].any()
    for action in range(2 * model.n_parameters):
        krebs.reset(seed=0)
        *_, info = krebs.step(np.int64(action))
        want = np.zeros(model.n_parameters)
        want[action // 2] = 0.25 * (-1) ** action
        np.testing.assert_allclose(info["transform"], want)


def test_krebs_pays_by_how_much_nearer_the_coefficients_come(krebs):
    """To those that SciPy finds for the pair's points, within three standard deviations."""
    dataset, model = own_dataset(DEFORMABLE), krebs.unwrapped.model
    episode = play(krebs, at_random(0), 7, steps=8)
    pair = dataset.load(dataset.ids.index(episode.infos[0]["pair_id"]))
    to_local = np.linalg.inv(pair.fixed.grid.frame)
    local = transform_points(to_local, pair.truth.points_fixed)
    wanted = transform_points(to_local @ np.linalg.inv(pair.alignment), pair.truth.points_moving) - local
    best = lsq_linear(model.basis(local).reshape(-1, model.n_parameters), wanted.ravel(), (-3, 3)).x
    left = [np.linalg.norm(best - info["transform"]) for info in episode.infos]
    assert left[0] > 1.0
    np.testing.assert_allclose(episode.rewards, [a - b for a, b in pairwise(left)], atol=1e-3)


def test_krebs_stops_at_no_cost_and_a_refused_step_pays_nothing(krebs):
    model = krebs.unwrapped.model
    full = np.zeros(model.n_parameters)
    full[-1] = 2.9
    krebs.reset(seed=7, options={"start": full})
    _, reward, terminated, _, info = krebs.step(np.int64(2 * (model.n_parameters - 1)))
    assert (reward, terminated) == (0.0, False)
    np.testing.assert_array_equal(info["transform"], full)
    assert krebs.step(np.int64(2 * model.n_parameters))[1:4] == (0.0, True, False)


def test_krebs_expert_goes_to_the_best_and_no_bonus_is_paid(krebs):
    episode = play(krebs, expert, 7)
    best = krebs.unwrapped.truth()
    left = [np.linalg.norm(best - info["transform"]) for info in (episode.infos[0], episode.infos[-1])]
    assert episode.terminated and left[1] < left[0]
    assert sum(episode.rewards) == pytest.approx(left[0] - left[1], abs=1e-9)


# A lattice of fixed points


def lattice(pair):
    """Points 20 mm apart about the middle of a 2-D image, where its mask is."""
    grid = pair.fixed.grid
    reach = [int((n - 1) * s / 2 / 20.0) for n, s in zip(grid.size, grid.spacing, strict=True)]
    steps = np.array([[x, y] for x in range(-reach[0], reach[0] + 1) for y in range(-reach[1], reach[1] + 1)])
    points = grid.centre + 20.0 * steps @ grid.direction.T
    index = np.rint(transform_points(grid.physical_to_index, points)).astype(int)
    return points[pair.fixed_mask[index[:, 1], index[:, 0]]]


@pytest.fixture(scope="module", params=[(SIMILARITY, 8), (AFFINE, 12)], ids=["similarity", "affine"])
def hu(request):
    """Environment, number of its actions, a pair, and its error by hand."""
    env_id, actions = request.param
    env = gym.make(env_id, preset="hu2021")
    dataset = own_dataset(env_id)
    pair = dataset.load(dataset.ids.index(env.reset(seed=7)[1]["pair_id"]))
    points = lattice(pair)
    assert len(points) > 20

    def error(transform):
        there = transform_points(pair.truth.transform, points)
        return np.linalg.norm(transform_points(transform, points) - there, axis=1).mean()

    return env, actions, pair, error


def test_hu_shows_two_images_and_steps_by_one(hu):
    env, actions, pair, _ = hu
    assert env.action_space == gym.spaces.Discrete(actions)
    model = env.unwrapped.model
    assert model.names[:3] == ("tx", "ty", "rz") and 2 * len(model.names) == actions
    frame = pair.fixed.grid.frame
    for action in range(actions):
        observation, info = env.reset(seed=7)
        assert observation.shape == (2, 96, 96)
        *_, after = env.step(np.int64(action))
        step = np.linalg.inv(info["transform"] @ frame) @ after["transform"] @ frame
        want = np.zeros(len(model.names))
        want[action // 2] = (-1) ** action
        np.testing.assert_allclose(model.log(step[None])[0], want, atol=1e-9)


def test_hu_pays_the_fall_of_the_mean_error_of_a_lattice(hu):
    env, _, pair, error = hu
    for seed in range(2):
        episode = play(env, at_random(seed), seed, steps=6, options={"pair": pair.id})
        errors = [error(info["transform"]) for info in episode.infos]
        assert min(errors) > 2.0
        np.testing.assert_allclose(episode.rewards, [a - b for a, b in pairwise(errors)], atol=1e-9)


def test_hu_pays_ten_more_once_the_error_is_two_millimetres(hu):
    """The error in mm, and not what is left of the parameters, which is more than 2 of shift and scales here."""
    env, _, pair, error = hu
    frame, model = pair.fixed.grid.frame, env.unwrapped.model
    away = np.array([3.0 if name == "tx" else 2.0 if name in ("s", "sx", "sy") else 0.0 for name in model.names])
    start = pair.truth.transform @ frame @ model.exp(away[None])[0] @ np.linalg.inv(frame)
    _, info = env.reset(options={"pair": pair.id, "start": start})
    first, last = env.step(np.int64(1)), env.step(np.int64(1))
    errors = [error(step["transform"]) for step in (info, first[4], last[4])]
    left = np.linalg.inv(pair.truth.transform @ frame) @ last[4]["transform"] @ frame
    assert errors[1] > 2.0 >= errors[2] and np.linalg.norm(model.log(left[None])) > 2.0
    assert first[1:4] == (pytest.approx(errors[0] - errors[1]), False, False)
    assert last[1:4] == (pytest.approx(errors[1] - errors[2] + BONUS), True, False)


def test_hu_is_truncated_after_two_hundred(hu):
    env, *_ = hu
    env.reset(seed=7)
    ends = [env.step(np.int64(step % 2))[2:4] for step in range(200)]
    assert set(ends[:-1]) == {(False, False)} and ends[-1] == (False, True)


# On the test split


@pytest.mark.parametrize("preset", list(PROCESSES))
def test_at_the_truth_nothing_is_paid_there_and_nothing_ends(preset):
    """An end at the goal would tell the truth."""
    process = Rigid(preset)
    keywords = dict(process.keywords)
    dataset = keywords["dataset"] = Blobs("test", 1) if preset == "liao2017" else keywords["dataset"]
    dataset.split = "test"
    env = gym.make(process.env_id, split="test", **keywords)
    assert env.observation_space == process.env.observation_space and env.action_space == process.env.action_space
    truth = dataset.load(0).truth.transform
    for start in (truth, None):
        env.reset(seed=0, options={} if start is None else {"start": start})
        for action in (0, 1, 1, 0, 6, 7):
            _, reward, terminated, truncated, info = env.step(np.int64(action))
            assert (reward, terminated, truncated) == (0.0, False, False)
            assert {"tre", "is_success"}.isdisjoint(info)
    assert env.unwrapped.config.horizon == process.env.unwrapped.config.horizon
    assert not env.unwrapped.reward.uses_truth


@pytest.mark.parametrize(("env_id", "preset"), [(DEFORMABLE, "krebs2017"), (SIMILARITY, "hu2021")])
def test_neither_coefficients_nor_a_lattice_pay_there(env_id, preset):
    env, trained = gym.make(env_id, preset=preset, split="test"), gym.make(env_id, preset=preset)
    assert env.observation_space == trained.observation_space and env.action_space == trained.action_space
    env.reset(seed=7)
    for action in (0, 3, 4, 1):
        assert env.step(np.int64(action))[1:4] == (0.0, False, False)
    assert env.unwrapped.config.horizon == trained.unwrapped.config.horizon


def test_a_data_set_of_the_test_split_is_one_whatever_the_keyword_says(withheld_blobs):
    env = gym.make(VOLUME, dataset=withheld_blobs, preset="liao2017", **SMALL)
    env.reset(seed=0, options={"start": withheld_blobs.load(0).truth.transform, "pair": "0"})
    for action in (0, 1):
        assert env.step(np.int64(action))[1:4] == (0.0, False, False)
    with pytest.raises(WithheldError, match="parameter_distance"):
        gym.make(VOLUME, dataset=withheld_blobs, preset="liao2017", reward="parameter_distance", **SMALL)
    with pytest.raises(WithheldError, match="goal"):
        gym.make(VOLUME, dataset=withheld_blobs, goal=1.0)


@pytest.mark.parametrize("measure", ["tre", "parameter_distance"])
def test_a_goal_without_a_truth_is_an_error_at_reset(measure):
    bare = Changed(Blobs("train", 1), lambda pair: replace(pair, truth=None))
    env = gym.make(VOLUME, dataset=bare, goal=1.0, goal_measure=measure, goal_bonus=BONUS)
    with pytest.raises(DataError, match="goal needs the truth.*'train-0'"):
        env.reset(seed=0, options={"start": Blobs("train", 1).load(0).truth.transform})


# Which preset fits which id


@pytest.mark.parametrize("env_id", list(TASKS))
def test_a_page_names_the_presets_that_can_be_made_there(env_id):
    row = next(line for line in environment_page(env_id).splitlines() if line.startswith("| `preset` |"))
    named = {name for name in PRESETS if f'"{name}"' in row}
    assert named
    for name in PRESETS:
        if name in named:
            assert make_config(env_id, name).task.id == env_id
            continue
        with pytest.raises(OptionError) as raised:
            make_config(env_id, name)
        assert repr(name) in str(raised.value) and env_id in str(raised.value)
        assert all(fit in str(raised.value) for fit in named)


@pytest.mark.parametrize(
    ("env_id", "preset"),
    [(XRAY, "liao2017"), (SIMILARITY, "liao2017"), (DEFORMABLE, "hu2021"), (VOLUME, "krebs2017")],
)
@pytest.mark.parametrize("make", [gym.make, lambda *a, **k: gym.make_vec(*a, num_envs=2, **k)], ids=["make", "vec"])
def test_a_preset_that_does_not_fit_is_refused_by_both_faces(env_id, preset, make):
    with pytest.raises(OptionError, match=f"preset='{preset}' is no process of {env_id}; there it has"):
        make(env_id, preset=preset)


def test_keywords_given_beside_a_preset_win():
    env = gym.make(VOLUME, dataset=Blobs("train", 1), preset="liao2017", observation="slices", horizon=7, stop=True)
    config = env.unwrapped.config
    assert env.observation_space.shape == (6, 64, 64) and env.action_space.n == 13
    assert (config.horizon, config.goal, config.reward) == (7, 0.5, "parameter_distance")
    wide = make_config("CTCBCT-Affine-v0", "liao2017")
    assert wide.misalignment == {"mm": 30.0, "deg": 30.0, "%": 10.0}  # the paper says nothing of scales


def test_a_preset_survives_json():
    env = gym.make(DEFORMABLE, preset="krebs2017")
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.config == env.unwrapped.config
