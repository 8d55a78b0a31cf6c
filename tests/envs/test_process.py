"""The decision process: starts, steps, rewards, ends, and what the truth may and may not do."""

from __future__ import annotations

import gc
import types
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import regenv
from regenv.core.geometry import transform_points
from regenv.core.points import lattice_points, mean_tre
from regenv.errors import DataError, OptionError, WithheldError
from regenv.imaging.view import VIEWS
from tests.envs.blobs import Blobs

RIGID = "CTCBCT-Rigid-v0"
IDS = ("CTCBCT-Rigid-v0", "CTCBCT-Affine-v0")


def rollout(env, policy, seed):
    """Rewards and infos of one episode, the first info included."""
    _, info = env.reset(seed=seed)
    rewards, infos = [], [info]
    over = False
    while not over:
        _, reward, terminated, truncated, info = env.step(policy(env))
        rewards.append(reward)
        infos.append(info)
        over = terminated or truncated
    return rewards, infos, terminated, truncated


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("actions", ["discrete", "unit", "multidiscrete", "continuous"])
def test_the_oracle_arrives(env_id, actions, blobs):
    env = gym.make(env_id, dataset=blobs, actions=actions, horizon=600)
    for seed in range(3):
        _, info = env.reset(seed=seed)
        start = info["tre"]
        for _ in range(600):
            action = env.unwrapped.expert_action()
            _, _, terminated, truncated, info = env.step(action)
            if terminated or truncated or info["tre"] < 0.05:
                break
        assert info["tre"] < min(2.0, start / 4), (seed, start, info["tre"])


def test_a_random_agent_does_not(blobs):
    env = gym.make(RIGID, dataset=blobs, stop=False)
    env.action_space.seed(0)
    finals = [rollout(env, lambda e: e.action_space.sample(), seed)[1][-1]["tre"] for seed in range(5)]
    assert np.median(finals) > 10


@pytest.mark.parametrize("reward", ["ncc", "ssd", "mi", "ncc+ngf", "tre", "parameter_distance", "dice"])
def test_gains_telescope(reward, blobs):
    cost = 0.02
    env = gym.make(RIGID, dataset=blobs, reward=reward, reward_scale=1.0, stop=False, horizon=15)
    assert env.unwrapped.reward.telescopes
    env.action_space.seed(1)
    env.reset(seed=3)
    first = env.unwrapped._engine.potential[0]
    rewards, _, _, _ = rollout(env, lambda e: e.action_space.sample(), 3)
    last = env.unwrapped._engine.potential[0]
    assert sum(rewards) + cost * len(rewards) == pytest.approx(last - first, abs=1e-9)


def test_a_way_to_the_truth_is_worth_more_than_any_random_one(blobs):
    env = gym.make(RIGID, dataset=blobs)
    expert = sum(rollout(env, lambda e: e.unwrapped.expert_action(), 5)[0])
    env.action_space.seed(0)
    assert expert > sum(rollout(env, lambda e: e.action_space.sample(), 5)[0])
    assert expert > 0


def test_stop_terminates_and_costs_nothing(blobs):
    env = gym.make(RIGID, dataset=blobs)
    env.reset(seed=0)
    _, reward, terminated, truncated, _ = env.step(env.action_space.n - 1)
    assert (reward, terminated, truncated) == (0.0, True, False)


def test_the_horizon_truncates_and_stop_on_the_last_step_is_both(blobs):
    env = gym.make(RIGID, dataset=blobs, horizon=2)
    env.reset(seed=0)
    assert env.step(0)[2:4] == (False, False)
    assert env.step(0)[2:4] == (False, True)
    env.reset(seed=0)
    env.step(0)
    assert env.step(env.action_space.n - 1)[2:4] == (True, True)


@pytest.mark.parametrize("env_id", IDS)
def test_an_action_does_what_the_page_says(env_id, blobs):
    env = gym.make(env_id, dataset=blobs)
    _, info = env.reset(seed=0)
    model = env.unwrapped.model
    frame = env.unwrapped._engine.case(0).scene.frame
    for k, (name, unit) in enumerate(zip(model.names, model.units, strict=True)):
        before = info["transform"]
        _, _, _, _, info = env.step(4 * k)  # the coarse step, forwards
        change = np.linalg.inv(before @ frame) @ info["transform"] @ frame
        assert model.log(change[None])[0, k] == pytest.approx(4.0), (name, unit)
        after = info["transform"]
        _, _, _, _, info = env.step(4 * k + 1)
        np.testing.assert_allclose(info["transform"], before, atol=1e-9)
        assert not np.allclose(after, before)


def test_plus_tx_moves_the_sampling_point_by_plus_x(blobs):
    env = gym.make(RIGID, dataset=blobs)
    _, info = env.reset(seed=0)
    scene = env.unwrapped._engine.case(0).scene
    step = scene.fixed_grid.direction[:, 0] * 4.0
    where = transform_points(info["transform"], scene.fixed_grid.centre + step)
    _, _, _, _, info = env.step(0)
    np.testing.assert_allclose(transform_points(info["transform"], scene.fixed_grid.centre), where, atol=1e-9)


def test_starts_are_the_truth_composed_with_the_misalignment(blobs):
    env = gym.make(RIGID, dataset=blobs)
    widths = np.array([30.0] * 3 + [20.0] * 3)
    drawn = []
    for seed in range(40):
        env.reset(seed=seed)
        left = env.unwrapped._engine.process.left()[0]
        drawn.append(np.linalg.norm(left))
        # the inverse of a combined motion keeps the norm of its parts within their ranges' diagonal
        assert np.linalg.norm(left[:3]) <= np.linalg.norm(widths[:3]) * 1.05
        assert np.linalg.norm(left[3:]) <= np.linalg.norm(widths[3:]) * 1.0001
    assert np.std(drawn) > 2


def test_neither_identity_nor_the_centres_solve_a_case(blobs):
    env = gym.make(RIGID, dataset=blobs)
    for seed in range(5):
        env.reset(seed=seed)
        scene = env.unwrapped._engine.case(0).scene
        truth, points = env.unwrapped.truth(), lattice_points(None, scene.fixed_grid)
        centred = np.eye(4)
        centred[:3, 3] = scene.moving_grid.centre - scene.fixed_grid.centre
        assert mean_tre(np.eye(4), truth, points) > 20
        assert mean_tre(centred, truth, points) > 20


def test_info_agrees_with_the_truth(blobs):
    env = gym.make(RIGID, dataset=blobs)
    _, info = env.reset(seed=4)
    pair = blobs.load(blobs.ids.index(info["pair_id"]))
    points = lattice_points(pair.fixed_mask, pair.fixed.grid)
    assert info["tre"] == pytest.approx(float(mean_tre(info["transform"], pair.truth.transform, points)))
    np.testing.assert_array_equal(env.unwrapped.truth(), pair.truth.transform)
    assert isinstance(info["tre"], float) and isinstance(info["is_success"], bool)


def test_pinned_pair_and_start(blobs):
    env = gym.make(RIGID, dataset=blobs)
    start = blobs.load(1).truth.transform
    _, info = env.reset(seed=0, options={"pair": blobs.ids[1], "start": start})
    assert info["pair_id"] == blobs.ids[1] and info["tre"] < 1e-9
    np.testing.assert_array_equal(info["start"], start)


def test_the_centre_cannot_be_carried_out_of_sight(blobs):
    env = gym.make(RIGID, dataset=blobs, horizon=1000, stop=False, steps=(16.0,))
    _, info = env.reset(seed=0)
    for _ in range(60):
        before = info
        _, reward, _, _, info = env.step(0)
    np.testing.assert_array_equal(info["transform"], before["transform"])
    assert reward == -0.02
    scene = env.unwrapped._engine.case(0).scene
    distance = np.linalg.norm(transform_points(info["transform"], scene.fixed_grid.centre) - scene.moving_grid.centre)
    assert distance <= 64 * 3.0
    assert np.isfinite(info["similarity"])


@pytest.mark.parametrize("name", ["sx", "sz", "hxy", "hyz"])
@pytest.mark.parametrize("sign", [0, 1])
def test_nothing_is_stretched_without_end(blobs, name, sign):
    """One step again and again is refused in the end, and its way back is open."""
    env = gym.make("CTCBCT-Affine-v0", dataset=blobs, horizon=300, actions="unit", steps=(4.0,))
    _, info = env.reset(seed=0)
    action = 2 * env.unwrapped.model.names.index(name) + sign
    worst = 0.0
    for _ in range(80):
        before = info
        _, reward, _, _, info = env.step(action)
        worst = max(worst, info["tre"])
    np.testing.assert_array_equal(info["transform"], before["transform"])
    assert reward == -0.02
    assert worst < 250  # of a body of 170 mm
    *_, back = env.step(action ^ 1)
    assert not np.array_equal(back["transform"], info["transform"])


def test_a_start_beyond_the_largest_stretch_can_only_come_back(blobs):
    env = gym.make("CTCBCT-Affine-v0", dataset=blobs, actions="unit", steps=(4.0,))
    env.reset(seed=0)
    start = env.unwrapped.truth() @ np.diag([2.5, 2.5, 2.5, 1.0])
    _, info = env.reset(seed=0, options={"start": start})
    grow = 2 * env.unwrapped.model.names.index("sx")
    np.testing.assert_array_equal(env.step(grow)[4]["transform"], info["start"])
    for name in ("sx", "sy", "sz"):
        *_, info = env.step(2 * env.unwrapped.model.names.index(name) + 1)
    assert env.unwrapped.model.stretch(info["transform"][None])[0] < 2.5


def test_similarity_is_best_at_the_truth(blobs):
    env = gym.make(RIGID, dataset=blobs)
    for pair in blobs.ids:
        truth = blobs.load(blobs.ids.index(pair)).truth.transform
        at_truth = env.reset(seed=0, options={"pair": pair, "start": truth})[1]["similarity"]
        rng = np.random.default_rng(0)
        frame = env.unwrapped._engine.case(0).scene.frame
        for _ in range(20):
            away = env.unwrapped.model.exp(rng.uniform(-1, 1, (1, 6)) * [30, 30, 30, 20, 20, 20])[0]
            start = truth @ frame @ away @ np.linalg.inv(frame)
            assert env.reset(options={"pair": pair, "start": start})[1]["similarity"] < at_truth


@pytest.mark.parametrize("name", list(VIEWS))
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_observations_lie_in_their_space_and_share_no_memory(name, dtype, blobs):
    env = gym.make(RIGID, dataset=blobs, observation=name, dtype=dtype, view_size=24, view_spacing_mm=8.0)
    first, _ = env.reset(seed=0)
    kept = first.copy()
    second = env.step(0)[0]
    assert env.observation_space.contains(first) and env.observation_space.contains(second)
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, kept)
    assert first.std() > 0 and not np.array_equal(first, second)


def test_at_the_truth_fixed_and_moved_look_alike(blobs):
    env = gym.make(RIGID, dataset=blobs, dtype="float32")
    truth = blobs.load(0).truth.transform
    observation, _ = env.reset(seed=0, options={"pair": blobs.ids[0], "start": truth})
    fixed, moved = observation[:3].ravel(), observation[3:].ravel()
    seen = (fixed > 0) & (moved > 0)  # either image is cropped on its own
    assert np.corrcoef(fixed[seen], moved[seen])[0, 1] > 0.9


def test_parameters_tell_the_pose_since_the_start(blobs):
    env = gym.make(RIGID, dataset=blobs, parameters=True)
    observation, _ = env.reset(seed=0)
    np.testing.assert_allclose(observation["pose"], 0, atol=1e-9)
    observation = env.step(4)[0]
    np.testing.assert_allclose(observation["pose"], [0, 4, 0, 0, 0, 0], atol=1e-9)


def test_state_goes_back_and_forth(blobs):
    env = gym.make(RIGID, dataset=blobs, horizon=50)
    env.reset(seed=0)
    env.step(0)
    state = env.unwrapped.get_state()
    ahead = [env.step(a) for a in (4, 9, 14)]
    env.unwrapped.set_state(state)
    again = [env.step(a) for a in (4, 9, 14)]
    for one, two in zip(ahead, again, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        assert one[1:4] == two[1:4]


def test_observe_renders_what_an_episode_shows(blobs):
    env = gym.make(RIGID, dataset=blobs)
    env.reset(seed=0)
    observation, _, _, _, info = env.step(8)
    np.testing.assert_array_equal(env.unwrapped.observe(info["pair_id"], info["transform"]), observation)
    both = env.unwrapped.observe([info["pair_id"]] * 2, np.stack([info["transform"], info["start"]]))
    np.testing.assert_array_equal(both[0], observation)
    assert not np.array_equal(both[1], observation)


def test_reward_region_volume_differs_from_the_slices(blobs):
    totals = {}
    for region in ("view", "volume"):
        env = gym.make(RIGID, dataset=blobs, reward_region=region)
        env.reset(seed=0)
        totals[region] = env.step(0)[1]
    assert totals["view"] != totals["volume"]


def test_a_learned_metric_sees_the_region(blobs):
    shapes = []

    def metric(fixed, moved, valid):
        shapes.append((fixed.shape, moved.shape, valid.shape))
        return -np.abs(fixed - moved).mean((1, 2, 3))

    env = gym.make(RIGID, dataset=blobs, reward=metric, reward_region="volume")
    env.reset(seed=0)
    env.step(0)
    assert set(shapes) == {((1, 64, 64, 64),) * 3}


def test_a_pair_that_fails_to_load_fails_again(blobs):
    class Unlabelled(Blobs):
        def load(self, index):
            pair = super().load(index)
            return replace(pair, truth=replace(pair.truth, labels_fixed=None)) if index == 1 else pair

    env = gym.make(RIGID, dataset=Unlabelled(), reward="dice").unwrapped
    env.reset(seed=0, options={"pair": "train-0"})
    for _ in range(2):
        with pytest.raises(DataError, match="train-1"):
            env.reset(options={"pair": "train-1"})
    with pytest.raises(RuntimeError, match="reset"):
        env.step(0)
    _, info = env.reset(options={"pair": "train-0", "start": blobs.load(0).truth.transform})
    assert info["pair_id"] == "train-0" and info["tre"] < 1e-9


def test_the_truth_of_a_rigid_environment_is_rigid(blobs):
    class Stretched(Blobs):
        def load(self, index):
            pair = super().load(index)
            return replace(pair, truth=replace(pair.truth, transform=pair.truth.transform @ np.diag([1.1, 1, 0.9, 1])))

    env = gym.make(RIGID, dataset=Stretched()).unwrapped
    _, info = env.reset(seed=0)
    for matrix in (env.truth(), info["transform"]):
        np.testing.assert_allclose(matrix[:3, :3].T @ matrix[:3, :3], np.eye(3), atol=1e-9)
    _, info = env.reset(options={"pair": info["pair_id"], "start": env.truth()})
    assert 0.5 < info["tre"] < 10.0  # what no rigid transform can take away


@pytest.mark.parametrize("keywords", [{"parameters": True}, {"reward": "parameter_distance", "steps": (2.0,)}])
def test_an_affine_pose_may_turn_all_the_way_round(keywords, blobs):
    env = gym.make("CTCBCT-Affine-v0", dataset=blobs, **keywords).unwrapped
    for seed in range(3):
        env.reset(seed=seed)
        about_x = 3 * 2 * len(env.config.steps or env.config.task.steps)
        steps = [env.step(about_x) for _ in range(110)]
        assert np.isfinite([reward for _, reward, *_ in steps]).all()


def test_a_learned_metric_can_pay(blobs):
    def metric(fixed, moved, valid):
        return -np.abs(fixed - moved).mean((1, 2, 3))

    env = gym.make(RIGID, dataset=blobs, reward=metric, reward_scale=100.0)
    rewards = rollout(env, lambda e: e.unwrapped.expert_action(), 0)[0]
    assert sum(rewards) > 0


def test_liao2017(blobs):
    env = gym.make(RIGID, dataset=blobs, preset="liao2017", view_size=24, view_spacing_mm=8.0)
    assert env.action_space.n == 12 and env.observation_space.shape == (1, 24, 24, 24)
    rewards, infos, terminated, _ = rollout(env, lambda e: e.unwrapped.expert_action(), 1)
    if terminated:  # the goal pays 10 once
        assert rewards[-1] > 9.0
    assert infos[-1]["tre"] < infos[0]["tre"]


# On the test split


def reachable(root):
    """Every object that can be reached from another, without going through modules and classes."""
    seen, queue = {}, [root]
    while queue:
        thing = queue.pop()
        if id(thing) in seen or isinstance(thing, type | types.ModuleType | types.FrameType | types.CodeType):
            continue
        seen[id(thing)] = thing
        if isinstance(thing, types.FunctionType):
            queue.extend(cell.cell_contents for cell in thing.__closure__ or ())
            continue
        queue.extend(gc.get_referents(thing))
    return seen.values()


def test_no_truth_is_reachable_on_the_test_split(withheld_blobs):
    env = gym.make(RIGID, dataset=withheld_blobs, split="test")
    _, info = env.reset(seed=0)
    assert {"tre", "is_success"}.isdisjoint(info)
    env.step(0)
    truth = withheld_blobs.load(int(info["pair_id"])).truth.transform
    for thing in reachable(env.unwrapped):
        assert type(thing).__name__ not in ("Truth", "Target")
        if isinstance(thing, np.ndarray) and thing.dtype == np.float64 and thing.shape[-2:] == (4, 4):
            for matrix in thing.reshape(-1, 4, 4):
                assert not np.allclose(matrix, truth, atol=1e-6)


def test_what_needs_the_truth_is_refused_on_the_test_split(withheld_blobs):
    env = gym.make(RIGID, dataset=withheld_blobs, split="test")
    env.reset(seed=0)
    with pytest.raises(WithheldError, match="test split"):
        env.unwrapped.truth()
    with pytest.raises(WithheldError, match="test split"):
        env.unwrapped.expert_action()
    for reward in ("tre", "parameter_distance", "dice"):
        with pytest.raises(WithheldError, match=reward):
            gym.make(RIGID, dataset=withheld_blobs, split="test", reward=reward)


def test_a_preset_pays_nothing_on_the_test_split(withheld_blobs):
    env = gym.make(RIGID, dataset=withheld_blobs, split="test", preset="liao2017", view_size=24)
    env.reset(seed=0)
    assert env.step(0)[1] == 0.0
    assert env.action_space.n == 12


# Bad input


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"observaton": "slices"}, "did you mean 'observation'"),
        ({"observation": "slice"}, "did you mean 'slices'"),
        ({"actions": "discret"}, "did you mean 'discrete'"),
        ({"reward": "nccc"}, "did you mean 'ncc'"),
        ({"preset": "liao2071"}, "did you mean 'liao2017'"),
        ({"preset": "krebs2017"}, "no process of CTCBCT-Rigid-v0"),
        ({"deformation": "some.npz"}, "ids that end in SDM"),
        ({"dtype": "float16"}, "float32"),
        ({"steps": (4.0, -1.0)}, "positive"),
        ({"steps": ()}, "positive"),
        ({"horizon": 0}, "at least 1"),
        ({"horizon": "long"}, "horizon must be a finite number, got 'long'"),
        ({"step_cost": float("nan")}, "step_cost must be a finite number, got nan"),
        ({"view_size": "big"}, "view_size must be a finite number, got 'big'"),
        ({"misalignment": 3}, "a range for each unit, .* got 3"),
        ({"view_size": 3}, "at least 8"),
        ({"view_spacing_mm": -1.0}, "positive"),
        ({"misalignment": {"mm": 30.0}}, "deg"),
        ({"misalignment": {"mm": -3.0, "deg": 1.0}}, "negative"),
        ({"reward_region": "all"}, "volume"),
        ({"steps": "a"}, r"steps must be sizes of steps, .*, got 'a'"),
        ({"reward": 3}, "reward must be a name, a callable or 'module:function', got 3"),
        ({"dataset": 3}, "dataset must be a name such as 'phantom' .*, got 3"),
        ({"threads": "x"}, "threads must be a whole number of at least 1, got 'x'"),
        ({"threads": -1}, "threads must be a whole number of at least 1, got -1"),
        ({"goal": -1.0}, "goal must be a number that is not negative, got -1.0"),
        ({"stop": "yes"}, "stop must be True or False, got 'yes'"),
    ],
)
def test_a_bad_keyword_is_named(keywords, message, blobs):
    with pytest.raises(ValueError, match=message):
        gym.make(RIGID, **{"dataset": blobs, **keywords})


def test_a_bad_render_mode_is_named(blobs):
    with pytest.raises(OptionError, match="rgb_array"):
        regenv.envs.single.RegistrationEnv(RIGID, render_mode="human", dataset=blobs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pair": "train-9"}, "no pair 'train-9'"),
        ({"start": np.zeros((4, 4))}, "invertible"),
        ({"start": np.eye(3)}, "matrix"),
        ({"start": np.diag([2.0, 1, 1, 1])}, "rigid"),
        ({"start": np.full((4, 4), np.nan)}, "finite"),
        ({"pairs": "x"}, "unknown reset options"),
    ],
)
def test_bad_reset_options_are_named(options, message, blobs):
    env = gym.make(RIGID, dataset=blobs)
    with pytest.raises(ValueError, match=message):
        env.reset(seed=0, options=options)


def test_step_before_reset(blobs):
    with pytest.raises((RuntimeError, gym.error.ResetNeeded), match="reset"):
        gym.make(RIGID, dataset=blobs).unwrapped.step(0)


def test_an_action_out_of_range(blobs):
    env = gym.make(RIGID, dataset=blobs).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="Discrete"):
        env.step(99)


@pytest.mark.parametrize("steps", [(4.0, 0.5), [4.0, 0.5], np.array([4.0, 0.5])])
def test_steps_of_any_sequence(steps, blobs):
    assert gym.make(RIGID, dataset=blobs, steps=steps).action_space.n == 25


def test_an_empty_split_says_so():
    with pytest.raises(ValueError, match="no pair"):
        gym.make(RIGID, dataset=Blobs("validation", 0))
