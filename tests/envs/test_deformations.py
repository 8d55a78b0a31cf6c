"""The process of statistical deformations: steps that are refused, starts, models from files, labels, errors in mm."""

from __future__ import annotations

import pickle
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import regenv  # noqa: F401  (registers the ids)
from regenv.catalogue import TASKS
from regenv.core.geometry import transform_points
from regenv.core.points import fit_rotation
from regenv.data.pair import Truth
from regenv.errors import DataError, OptionError, WithheldError
from regenv.poses.deformation import BOUND, LEAST_DETERMINANT, StatisticalDeformation
from regenv.synthesis.population import load_population
from tests.envs.deformable import Changed, own_dataset, stronger
from tests.envs.episodes import at_random, at_truth, expert, play

FLAT, SOLID = "BrainMR-SDM2D-v0", "T1T2-SDM-v0"
BOTH = (FLAT, SOLID)
COST = 0.02


@pytest.fixture(scope="module", params=BOTH)
def env(request):
    return gym.make(request.param)


def at(env, coefficients):
    """Observation and info at coefficients, of one pair."""
    return env.reset(seed=7, options={"start": coefficients})


def test_the_state_is_the_coefficients(env):
    _, info = env.reset(seed=3)
    model = env.unwrapped.model
    assert info["transform"].shape == info["start"].shape == (model.n_parameters,)
    assert env.action_space.n == 4 * model.n_parameters + 1
    assert set(model.units) == {"sd"}


def test_an_action_does_what_the_page_says(env):
    steps = TASKS[env.spec.id].steps
    at(env, np.zeros(env.unwrapped.model.n_parameters))
    for k in range(env.unwrapped.model.n_parameters):
        for i, size in enumerate(steps):
            for j, sign in enumerate((1, -1)):
                before = env.unwrapped.get_state()["transform"]
                *_, info = env.step(np.int64(2 * len(steps) * k + 2 * i + j))
                want = np.zeros_like(before)
                want[k] = sign * size
                np.testing.assert_allclose(info["transform"] - before, want, atol=1e-12)


def test_a_step_beyond_three_standard_deviations_changes_nothing(env):
    start = np.zeros(env.unwrapped.model.n_parameters)
    start[-1] = 2.8  # the weakest mode folds last
    observation, info = at(env, start)
    refused = np.int64(4 * (len(start) - 1))  # + 0.5
    seen, reward, terminated, _, after = env.step(refused)
    np.testing.assert_array_equal(after["transform"], start)
    np.testing.assert_array_equal(seen, observation)
    assert (reward, terminated) == (-COST, False)
    assert (after["tre"], after["similarity"]) == (info["tre"], info["similarity"])
    *_, after = env.step(refused + 2)  # + 0.1 is within the bound
    assert after["transform"][-1] == pytest.approx(2.9)


@pytest.mark.parametrize("env_id", BOTH)
def test_a_step_that_would_fold_changes_nothing(env_id):
    own = load_population(TASKS[env_id].recipe, TASKS[env_id].field_of_view)
    env = gym.make(env_id, deformation=stronger(own, 25.0))
    model = env.unwrapped.model
    at(env, np.zeros(model.n_parameters))
    refused = False
    for _ in range(6):
        before = env.unwrapped.get_state()["transform"]
        _, reward, _, _, info = env.step(np.int64(0))
        wanted = before.copy()
        wanted[0] += 0.5
        folds = model.least_determinants(wanted[None])[0] <= LEAST_DETERMINANT
        if folds and wanted[0] <= BOUND:
            refused = True
            np.testing.assert_array_equal(info["transform"], before)
            assert reward == -COST
        elif wanted[0] <= BOUND:
            np.testing.assert_allclose(info["transform"], wanted)
    assert refused  # else the model was too weak to show anything


def test_a_lane_that_is_refused_does_not_hold_the_others():
    own = load_population(TASKS[FLAT].recipe, TASKS[FLAT].field_of_view)
    envs = gym.make_vec(FLAT, num_envs=2)
    full = np.zeros(own.n_parameters)
    full[-1] = 2.8
    _, infos = envs.reset(seed=7, options={"start": np.stack([full, np.zeros_like(full)])})  # one a lane
    *_, after = envs.step(np.array([4 * (own.n_parameters - 1)] * 2))
    np.testing.assert_array_equal(after["transform"][0], infos["transform"][0])
    assert after["transform"][1, -1] == 0.5


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_episode_starts_at_the_given_alignment(split):
    """Coefficients of 0, without a sign, on every pair; nothing that a policy could go back to without looking."""
    envs = gym.make_vec(FLAT, num_envs=2, split=split)
    for seed in (7, None):
        _, infos = envs.reset(seed=seed)
        assert not infos["start"].any() and not np.signbit(infos["start"]).any()
        np.testing.assert_array_equal(infos["transform"], infos["start"])


def test_starts_are_drawn_within_the_misalignment(env):
    pair = {"pair": env.reset(seed=7)[1]["pair_id"]}
    assert not env.reset(seed=7, options=pair)[1]["start"].any()
    wide = gym.make(env.spec.id, misalignment={"sd": 1.0})
    starts = np.array([wide.reset(seed=seed, options=pair)[1]["start"] for seed in range(60)])
    assert np.abs(starts).max() <= 1.0
    assert np.abs(starts).max() > 0.9 and abs(starts.mean()) < 0.1
    assert starts.std() == pytest.approx(1 / np.sqrt(3), rel=0.1)
    narrow = gym.make(env.spec.id, misalignment={"sd": 0.2})
    assert np.abs([narrow.reset(seed=seed, options=pair)[1]["start"] for seed in range(20)]).max() <= 0.2
    other = gym.make(env.spec.id, misalignment={"sd": 0.0, "c2": 0.7})
    start = other.reset(seed=0, options=pair)[1]["start"]
    assert start[1] != 0 and not np.delete(start, 1).any()


def test_starts_tell_nothing_of_the_truth(env):
    """The same generator gives the same start whatever the pair is; on the test split, whatever its truth is."""
    drawn = {"misalignment": {"sd": 1.0}}
    wide = gym.make(env.spec.id, **drawn)
    _, info = wide.reset(seed=7)
    _, other = wide.reset(seed=8)
    assert info["pair_id"] != other["pair_id"]
    _, swapped = wide.reset(seed=7, options={"pair": other["pair_id"]})
    np.testing.assert_array_equal(swapped["start"], info["start"])
    hidden = gym.make(env.spec.id, split="test", **drawn)
    other = gym.make(env.spec.id, dataset=Changed(own_dataset(env.spec.id, "test"), with_another_truth), **drawn)
    starts = [e.reset(seed=7, options={"pair": "0"})[1]["start"] for e in (hidden, other)]
    np.testing.assert_array_equal(*starts)
    assert not np.array_equal(starts[0], hidden.reset(options={"pair": "1"})[1]["start"])


def with_another_truth(pair):
    return replace(pair, truth=replace(pair.truth, points_moving=pair.truth.points_moving + 5.0))


def test_no_start_is_folded():
    own = load_population(TASKS[FLAT].recipe, TASKS[FLAT].field_of_view)
    env = gym.make(FLAT, deformation=stronger(own, 8.0), misalignment={"sd": 1.0})
    pair = {"pair": env.reset(seed=7)[1]["pair_id"]}
    starts = np.array([env.reset(seed=seed, options=pair)[1]["start"] for seed in range(40)])
    drawn = np.random.default_rng(0).uniform(-1, 1, starts.shape)
    least = env.unwrapped.model.least_determinants
    assert (least(drawn) <= LEAST_DETERMINANT).any()  # else nothing had to be mended
    assert (least(starts) > LEAST_DETERMINANT).all()


def test_starts_beyond_the_bound_are_refused():
    for wide in ({"sd": 3.5}, {"sd": 1.0, "c2": 4.0}):
        with pytest.raises(ValueError, match="within 3 standard deviations"):
            gym.make(FLAT, misalignment=wide)
    gym.make(FLAT, misalignment={"sd": 3.0})


def test_bad_starts_are_named(env):
    k = env.unwrapped.model.n_parameters
    for start, message in (
        (np.full(k, 3.5), "within 3 standard deviations"),
        (np.zeros(k + 1), "finite coefficients"),
        (np.eye(4), "finite coefficients"),
        (np.full(k, np.nan), "finite coefficients"),
    ):
        with pytest.raises(ValueError, match=message):
            env.reset(options={"start": start})


# Models from elsewhere


def test_a_model_object_and_its_file_make_the_same_environment(tmp_path):
    own = stronger(load_population(TASKS[FLAT].recipe, TASKS[FLAT].field_of_view), 0.5)
    own.save(tmp_path / "half.npz")
    given, read = gym.make(FLAT, deformation=own), gym.make(FLAT, deformation=str(tmp_path / "half.npz"))
    default = gym.make(FLAT)
    steps = [4 * k for k in range(6)]
    seen = []
    for env in (given, read, default):
        env.reset(seed=7)
        seen.append([env.step(np.int64(a)) for a in steps][-1])
    np.testing.assert_allclose(seen[0][0].astype(int), seen[1][0].astype(int), atol=1)
    assert seen[0][4]["tre"] == pytest.approx(seen[1][4]["tre"], abs=1e-3)
    assert abs(seen[0][4]["tre"] - seen[2][4]["tre"]) > 0.05
    again = gym.make(gym.envs.registration.EnvSpec.from_json(read.spec.to_json()))
    assert again.unwrapped.config.deformation == str(tmp_path / "half.npz")


def test_fewer_modes_make_fewer_actions():
    own = load_population(TASKS[FLAT].recipe, TASKS[FLAT].field_of_view)
    few = StatisticalDeformation(own.modes[:3], own.extent_mm, own.sigmas[:3], own.explained[:3])
    env = gym.make(FLAT, deformation=few)
    assert env.action_space.n == 13
    episode = play(env, expert, 7)
    assert episode.terminated and episode.end_mm < episode.start_mm


def test_a_model_of_another_cube_or_dimension_is_refused():
    flat, solid = (load_population(TASKS[i].recipe, TASKS[i].field_of_view) for i in BOTH)
    wide = StatisticalDeformation(flat.modes, 2 * flat.extent_mm, flat.sigmas, flat.explained)
    with pytest.raises(OptionError, match=rf"{FLAT}.*384 mm.*192"):
        gym.make(FLAT, deformation=wide)
    with pytest.raises(OptionError, match=rf"{FLAT}.*3-D.*2-D"):
        gym.make(FLAT, deformation=solid)
    with pytest.raises(OptionError, match=rf"{FLAT}.*192 mm.*240"):
        gym.make(FLAT, view_spacing_mm=2.5)  # its own model, on another spacing


@pytest.mark.parametrize("kind", ["missing", "text", "cut", "pickle", "other"])
def test_a_file_that_cannot_be_read_is_named(kind, tmp_path):
    path = tmp_path / f"{kind}.npz"
    if kind == "text":
        path.write_text("modes, extent\n")
    elif kind == "cut":
        load_population(TASKS[FLAT].recipe, TASKS[FLAT].field_of_view).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"modes": np.zeros((3, 2, 8, 8))}))
    elif kind == "other":
        np.savez(path, weights=np.zeros(3))
    with pytest.raises(OptionError, match=f"deformation=.*{kind}"):
        gym.make(FLAT, deformation=str(path))
    with pytest.raises(OptionError, match="deformation=3 is no model"):
        gym.make(FLAT, deformation=3)


# Lanes


@pytest.mark.parametrize("env_id", BOTH)
def test_a_lanes_reward_does_not_depend_on_the_others(env_id):
    totals = []
    for others in ((8, 9), (8, 7)):
        envs = gym.make_vec(env_id, num_envs=3)
        envs.reset(seed=[7, *others])
        rng = np.random.default_rng(others[-1])  # the others act otherwise, too
        rewards = []
        for action in (0, 5, 9, 14, 22):
            rewards.append(envs.step(np.array([action, *rng.integers(0, 40, 2)]))[1])
        totals.append(np.array(rewards))
    np.testing.assert_array_equal(totals[0][:, 0], totals[1][:, 0])
    assert not np.array_equal(totals[0][:, 2], totals[1][:, 2])


# Truth and errors


def test_the_error_is_that_of_the_pairs_points(env):
    """From the pair as the data set gives it, SimpleITK's B-spline and the alignment alone."""
    dataset = own_dataset(env.spec.id)
    episode = play(env, at_random(0), 7, steps=6)
    pair = dataset.load(dataset.ids.index(episode.infos[0]["pair_id"]))
    model = env.unwrapped.model
    transform = model.to_sitk(episode.infos[-1]["transform"], pair.fixed.grid.frame, pair.alignment)
    local = transform_points(np.linalg.inv(pair.fixed.grid.frame), pair.truth.points_fixed)
    assert np.abs(local).max() < model.extent_mm / 2  # where the spline is exact
    moved = np.array([transform.TransformPoint(p.tolist()) for p in pair.truth.points_fixed])
    brute = np.linalg.norm(moved - pair.truth.points_moving, axis=1).mean()
    assert episode.end_mm == pytest.approx(brute, abs=1e-3)
    field = env.unwrapped.to_sitk()
    near = np.array([field.TransformPoint(p.tolist()) for p in pair.truth.points_fixed])
    assert np.linalg.norm(near - pair.truth.points_moving, axis=1).mean() == pytest.approx(brute, abs=0.05)


def test_the_truth_is_the_least_squares_best_of_the_model(env):
    """No small change of the coefficients brings the points nearer, and zero is further."""
    _, info = env.reset(seed=7)
    case, model, best = env.unwrapped._engine.case(0), env.unwrapped.model, env.unwrapped.truth()
    scene = case.scene
    local = transform_points(np.linalg.inv(scene.frame), case.target.points)
    wanted = transform_points(np.linalg.inv(scene.alignment @ scene.frame), case.target.partners) - local

    def left(c):
        return ((model.displacement(c, local) - wanted) ** 2).sum()

    assert left(best) < 0.5 * left(np.zeros_like(best))
    inside = np.abs(best) < BOUND - 0.1
    for k in np.flatnonzero(inside):
        for sign in (-1, 1):
            assert left(best + sign * 0.05 * np.eye(len(best))[k]) > left(best)
    at_best = at_truth(env, info["pair_id"])[1]
    assert at_best["tre"] > 0.02  # a part of the truth lies outside the model, as it does for patients


@pytest.mark.parametrize("region", ["slices", "volume"])
def test_no_deformation_of_a_rigidly_given_pair_is_the_rigid_environment(region):
    """Bit for bit: what is seen, and the sums that similarities are made of."""
    base = own_dataset(SOLID)

    def rigidly(pair):
        rigid = fit_rotation(pair.truth.points_fixed, pair.truth.points_moving)
        return replace(pair, alignment=rigid, truth=replace(pair.truth, transform=None))

    pairs = Changed(base, rigidly)
    deformable = gym.make(SOLID, dataset=pairs, dtype="float32", observation=region)
    linear = gym.make("T1T2-Rigid-v0", dataset=pairs, dtype="float32", observation=region)
    assert deformable.unwrapped.config.view_spacing_mm == linear.unwrapped.config.view_spacing_mm
    given = pairs.load(0).alignment
    one, there = deformable.reset(options={"start": np.zeros(deformable.unwrapped.model.n_parameters)})
    two, rigid = linear.reset(options={"start": given})
    np.testing.assert_array_equal(one, two)
    assert there["similarity"] == rigid["similarity"]
    assert there["tre"] == pytest.approx(rigid["tre"], abs=1e-9)
    coefficients = np.zeros(deformable.unwrapped.model.n_parameters)
    coefficients[0] = 1.0
    assert not np.array_equal(deformable.reset(options={"start": coefficients})[0], two)


# Labels


def test_dice_pays_for_overlap_and_is_simpleitks():
    import SimpleITK as sitk

    from regenv.core.image import Image
    from regenv.core.sitk import image_to_sitk

    env = gym.make(FLAT, reward="dice", reward_scale=1.0, step_cost=0.0)
    episode = play(env, expert, 7)
    assert sum(episode.rewards) == pytest.approx(episode.last - episode.first, abs=1e-12)
    assert episode.last > episode.first + 0.02

    dataset = own_dataset(FLAT)
    pair = dataset.load(dataset.ids.index(episode.infos[0]["pair_id"]))
    view = env.unwrapped._engine.view
    grid = view.grid(pair.fixed.grid, view.levels[0])
    target = image_to_sitk(Image(np.zeros(grid.shape, np.float32), grid, "mr", 0.0))
    fixed, moving = (
        image_to_sitk(Image(labels.astype(np.float32), image.grid, "mr", 0.0))
        for labels, image in ((pair.truth.labels_fixed, pair.fixed), (pair.truth.labels_moving, pair.moving))
    )
    a = sitk.GetArrayFromImage(
        sitk.Resample(fixed, target, sitk.Transform(2, sitk.sitkIdentity), sitk.sitkNearestNeighbor)
    )
    b = sitk.GetArrayFromImage(sitk.Resample(moving, target, env.unwrapped.to_sitk(), sitk.sitkNearestNeighbor))
    shared = np.setdiff1d(np.intersect1d(np.unique(a), np.unique(pair.truth.labels_moving)), [0])
    assert len(shared) > 1
    scores = [2 * ((a == v) & (b == v)).sum() / ((a == v).sum() + (b == v).sum()) for v in shared]
    assert episode.last == pytest.approx(np.mean(scores), abs=5e-3)


def without_labels(pair):
    return replace(pair, truth=replace(pair.truth, labels_fixed=None, labels_moving=None))


def with_strange_labels(pair):
    strange = np.where(pair.truth.labels_moving > 0, pair.truth.labels_moving.astype(np.int16) + 100, 0)
    return replace(pair, truth=replace(pair.truth, labels_moving=strange))


def test_dice_without_labels_or_with_none_in_common_is_an_error():
    for change, message in (
        (without_labels, "has none"),
        (with_strange_labels, "share no label: fixed has .*35.*, moving .*135"),
    ):
        env = gym.make(FLAT, dataset=Changed(own_dataset(FLAT), change), reward="dice")
        with pytest.raises(DataError, match=message):
            env.reset(seed=0)
    with pytest.raises(WithheldError):
        gym.make(FLAT, split="test", reward="dice")
    hidden = gym.make(FLAT, dataset=Changed(own_dataset(FLAT, "test"), lambda pair: pair), split="test")
    hidden.reset(seed=0)
    assert hidden.unwrapped._engine.case(0).truth is None


def test_labels_alone_are_enough_for_dice():
    """As of real pairs: no transform and no landmark is known."""

    def labels_only(pair):
        labels = {"labels_fixed": pair.truth.labels_fixed, "labels_moving": pair.truth.labels_moving}
        return replace(pair, truth=Truth(**labels))

    env = gym.make(FLAT, dataset=Changed(own_dataset(FLAT), labels_only), reward="dice", reward_scale=1.0)
    _, info = env.reset(seed=7)
    assert "tre" not in info
    known = gym.make(FLAT, dataset=Changed(own_dataset(FLAT), lambda pair: pair), reward="dice", reward_scale=1.0)
    known.reset(seed=7)
    rewards = [[e.step(np.int64(a))[1] for a in (0, 5, 9)] for e in (env, known)]
    assert rewards[0] == rewards[1] and any(r != -COST for r in rewards[0])
    with pytest.raises(DataError, match="neither a transform nor landmarks"):
        env.unwrapped.expert_action()
