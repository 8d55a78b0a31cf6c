"""The process of slices: what a thick slice averages, errors out of its plane, slices beside the volume, stacks."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import SimpleITK as sitk

import regenv  # noqa: F401  (registers the ids)
from regenv.catalogue import TASKS
from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.core.sitk import image_to_sitk, matrix_to_sitk
from regenv.errors import DataError
from regenv.imaging.slices import SAMPLES
from regenv.imaging.windows import window_of
from regenv.poses import get_model
from regenv.synthesis.phantom import PhantomDataset
from tests.envs.deformable import Changed, own_dataset
from tests.envs.episodes import at_random, at_truth, play

SLICE, HEART = "SliceMR-Rigid-v0", "CardiacMR-SDM-v0"


def scaled(image):
    """An image in its window."""
    low, high = window_of(image)
    return replace(image, array=np.clip((image.array - low) / (high - low), 0, 1), background=0.0)


def resampled(image, grid, transform):
    """SimpleITK's linear resampling, 0 outside."""
    target = image_to_sitk(Image(np.zeros(grid.shape, np.float32), grid))
    return sitk.GetArrayFromImage(sitk.Resample(image_to_sitk(image), target, transform, sitk.sitkLinear, 0.0))


def slabs(pair, count, size=64, pitch=3.0):
    """Grids of a view's pixels within each slice of the fixed image, ``count`` planes across the slice."""
    fixed = pair.fixed.grid
    for s in range(fixed.size[2]):
        centre = fixed.centre + fixed.direction[:, 2] * (s - (fixed.size[2] - 1) / 2) * fixed.spacing[2]
        yield Grid.centred((size, size, count), (pitch, pitch, pair.slice_mm / count), centre, fixed.direction)


def averaged(pair, transform, count, pitch=3.0, moving=None):
    """The moved slices ``(S, H, W)`` by SimpleITK: the mean of so many planes across each."""
    moving, told = moving or scaled(pair.moving), matrix_to_sitk(transform)
    return np.stack([resampled(moving, grid, told).mean(0) for grid in slabs(pair, count, pitch=pitch)])


def well_inside(pair, transform, count, pitch=3.0):
    """Which pixels ``(S, H, W)`` have all their planes within the voxel centres of the moving image."""
    ones = replace(pair.moving, array=np.ones_like(pair.moving.array))
    outer = averaged(pair, transform, count, pitch, ones)
    voxels = np.asarray(pair.moving.grid.size) - 1
    within = [
        transform_points(pair.moving.grid.physical_to_index @ transform, grid.points())
        for grid in slabs(pair, count, pitch=pitch)
    ]
    return np.stack([((index >= 0) & (index <= voxels)).all((0, -1)) for index in within]) & (outer == 1)


@pytest.fixture(scope="module", params=["adult", "fetal", "stack"])
def sliced(request):
    """Environment in float32, and a pair."""
    dataset = PhantomDataset("train", ("t2", "t2"), request.param, TASKS[SLICE].recipe)
    env = gym.make(SLICE, field_of_view=request.param, dtype="float32")
    pair_id = env.reset(seed=7)[1]["pair_id"]
    return env, dataset.load(dataset.ids.index(pair_id))


def away(pair, *values):
    """A start so far from the truth, in the frame of the slice: mm and degrees."""
    step = get_model("rigid", 3).exp(np.array([values], dtype=float))[0]
    frame = pair.fixed.grid.frame
    return pair.truth.transform @ frame @ step @ np.linalg.inv(frame)


# What is seen


def test_the_moved_slice_is_the_mean_across_its_thickness(sliced):
    env, pair = sliced
    count = pair.fixed.grid.size[2]
    assert 3.0 <= pair.slice_mm <= pair.fixed.grid.spacing[2]
    assert (count == 3) == (pair.slice_mm < pair.fixed.grid.spacing[2])  # gaps between the slices of a stack alone
    for start in (pair.truth.transform, away(pair, 5, -4, 6, 8, -7, 10)):
        observation, _ = env.reset(options={"pair": pair.id, "start": start})
        assert observation.shape == (2 * count, 64, 64)
        brute, inside = averaged(pair, start, SAMPLES), well_inside(pair, start, SAMPLES)
        assert brute.std() > 0.1 and inside.mean() > 0.2
        np.testing.assert_allclose(observation[count:][inside], brute[inside], atol=2e-4)


def test_a_few_planes_are_as_good_as_many(sliced):
    """And a thin slice is not."""
    env, pair = sliced
    observation, _ = at_truth(env, pair.id)
    whole, middle = (averaged(pair, pair.truth.transform, count) for count in (40, 1))
    shown = whole > 0.05
    error = np.abs(observation[len(whole) :] - whole)[shown].mean()
    assert error < 0.004
    assert np.abs(middle - whole)[shown].mean() > 3 * error


def test_the_fixed_slice_is_not_averaged_again(sliced):
    env, pair = sliced
    observation, _ = at_truth(env, pair.id)
    fixed = scaled(pair.fixed)
    for s, plane in enumerate(slabs(pair, 1)):
        index = transform_points(fixed.grid.physical_to_index, plane.points()[0])
        np.testing.assert_allclose(index[..., 2], s, atol=1e-9)
        inside = ((index >= -1e-6) & (index <= np.asarray(fixed.grid.size) - 1 + 1e-6)).all(-1)
        brute = resampled(fixed, plane, sitk.Transform(3, sitk.sitkIdentity))[0]
        assert inside.mean() > 0.2
        np.testing.assert_allclose(observation[s][inside], brute[inside], atol=2e-4)


def test_a_closer_view_averages_as_thickly(sliced):
    """The thickness is that of the slice, not a number of view pixels."""
    env, pair = sliced
    closer = gym.make(
        SLICE, field_of_view=env.unwrapped.config.field_of_view, dtype="float32", observation="zoom", view_size=48
    )
    observation, _ = at_truth(closer, pair.id)
    count = pair.fixed.grid.size[2]
    assert observation.shape == (4 * count, 48, 48)
    start, middle = pair.truth.transform, slice(8, 56)  # of 64 pixels
    for moved, pitch in ((observation[2 * count : 3 * count], 3.0), (observation[3 * count :], 1.5)):
        brute, inside = (f(pair, start, SAMPLES, pitch)[:, middle, middle] for f in (averaged, well_inside))
        assert inside.mean() > 0.2
        np.testing.assert_allclose(moved[inside], brute[inside], atol=2e-4)


@pytest.mark.parametrize(("name", "channels"), [("slices", 2), ("difference", 1), ("zoom", 4)])
def test_observations_have_the_shape_that_is_told(name, channels, sliced):
    field = sliced[0].unwrapped.config.field_of_view
    env = gym.make(SLICE, field_of_view=field, observation=name, view_size=40)
    observation, _ = env.reset(seed=7)
    slices = 3 if field == "stack" else 1
    assert observation.shape == env.observation_space.shape == (channels * slices, 40, 40)


def test_slices_that_touch_are_as_thick_as_they_are_apart():
    """Where a data set does not say how thick they are."""
    stack = PhantomDataset("train", ("t2", "t2"), "stack", TASKS[SLICE].recipe)
    touching = Changed(stack, lambda pair: replace(pair, slice_mm=None))
    env = gym.make(SLICE, dataset=touching, field_of_view="stack", dtype="float32")
    pair = touching.load(0)
    observation, _ = at_truth(env, pair.id)
    pair = replace(pair, slice_mm=pair.fixed.grid.spacing[2])
    brute = averaged(pair, pair.truth.transform, SAMPLES)
    inside = well_inside(pair, pair.truth.transform, SAMPLES)
    np.testing.assert_allclose(observation[3:][inside], brute[inside], atol=2e-4)


@pytest.mark.parametrize(("field", "other", "counts"), [("adult", "stack", "3.*1"), ("stack", "adult", "1.*3")])
def test_a_pair_of_another_number_of_slices_is_named(field, other, counts):
    dataset = PhantomDataset("train", ("t2", "t2"), other, TASKS[SLICE].recipe)
    with pytest.raises(DataError, match="has {} slices, this environment shows {}".format(*counts.split(".*"))):
        gym.make(SLICE, dataset=dataset, field_of_view=field).reset(seed=7)


# Errors


@pytest.mark.parametrize(("freedom", "value"), [(0, 5.0), (1, -3.0), (2, 4.0)])
def test_an_error_out_of_plane_counts_as_one_in_plane(sliced, freedom, value):
    env, pair = sliced
    shift = np.zeros(6)
    shift[freedom] = value
    _, info = env.reset(options={"pair": pair.id, "start": away(pair, *shift)})
    assert info["tre"] == pytest.approx(abs(value), abs=1e-9)


def test_the_error_is_that_of_a_lattice_in_the_slice(sliced):
    """20 mm apart about the middle of the image, where the mask of the head is; of a stack in its middle slice."""
    env, pair = sliced
    grid = pair.fixed.grid
    nx, ny = (int((n - 1) * s / 2 / 20.0) for n, s in zip(grid.size[:2], grid.spacing[:2], strict=True))
    steps = np.array([[x, y, 0.0] for x in range(-nx, nx + 1) for y in range(-ny, ny + 1)])
    points = grid.centre + 20.0 * steps @ grid.direction.T
    index = np.rint(transform_points(grid.physical_to_index, points)).astype(int)
    points = points[pair.fixed_mask[index[:, 2], index[:, 1], index[:, 0]]]
    assert len(points) >= 8 and grid.spacing[2] < 20.0
    for seed in range(3):
        episode = play(env, at_random(seed), seed, steps=5, options={"pair": pair.id})
        for info in episode.infos:
            moved = transform_points(info["transform"], points)
            error = np.linalg.norm(moved - transform_points(pair.truth.transform, points), axis=1).mean()
            assert info["tre"] == pytest.approx(error, abs=1e-6)


# Beside the volume


def test_a_slice_that_misses_the_volume_is_worth_nothing(sliced):
    """As much as unrelated images, and that is 0 for NCC; steps there cost and gain nothing."""
    env, pair = sliced
    reach = float(np.linalg.norm(pair.moving.grid.extent))
    start = away(pair, 0, 0, reach, 0, 0, 0)
    observation, info = env.reset(options={"pair": pair.id, "start": start})
    slices = len(observation) // 2
    assert not observation[slices:].any() and observation[:slices].std() > 0.1
    assert info["similarity"] == 0.0
    assert info["tre"] == pytest.approx(reach, abs=1e-6)
    _, reward, *_, after = env.step(np.int64(9))
    assert reward == -0.02 and after["similarity"] == 0.0
    assert after["tre"] == pytest.approx(reach - 2.0, abs=1e-6)


def test_the_way_back_into_the_volume_pays(sliced):
    env, pair = sliced
    env.reset(options={"pair": pair.id, "start": away(pair, 0, 0, 14, 0, 0, 0)})
    steps = [env.step(np.int64(9)) for _ in range(7)]
    best = at_truth(env, pair.id)[1]["similarity"]
    assert steps[-1][4]["tre"] < 1e-6
    assert steps[-1][4]["similarity"] == pytest.approx(best, abs=1e-6)
    assert sum(reward for _, reward, *_ in steps) > 0


def test_a_step_that_carries_the_slice_out_of_reach_changes_nothing(sliced):
    """The view is 192 mm wide: so far may the middle of the slice go from that of the volume, out of its plane too."""
    env, pair = sliced
    middle, here = pair.moving.grid.centre, pair.fixed.grid.centre
    _, info = env.reset(options={"pair": pair.id, "start": away(pair, 0, 0, 170, 0, 0, 0)})
    for _ in range(60):
        before = info
        _, reward, *_, info = env.step(np.int64(8))
        if np.array_equal(before["transform"], info["transform"]):
            break
    else:
        pytest.fail("the slice went on and on")
    assert reward == -0.02
    assert 188 < np.linalg.norm(transform_points(info["transform"], here) - middle) <= 192
    *_, info = env.step(np.int64(9))  # back again
    assert not np.array_equal(before["transform"], info["transform"])


def test_lanes_of_unlike_stacks_are_single_environments():
    """Each lane has slices of its own thickness, at their own distance."""
    keywords = {"field_of_view": "stack", "dtype": "float32"}
    stack = PhantomDataset("train", ("t2", "t2"), "stack", TASKS[SLICE].recipe)
    pairs = [stack.ids[i] for i in (20, 21, 22)]
    assert len({stack.load(i).slice_mm for i in (20, 21, 22)}) == 3
    envs = gym.make_vec(SLICE, num_envs=3, **keywords)
    singles = [gym.make(SLICE, **keywords) for _ in pairs]
    seen, _ = envs.reset(seed=5, options={"pair": pairs})
    alone = [single.reset(seed=5 + i, options={"pair": pairs[i]})[0] for i, single in enumerate(singles)]
    np.testing.assert_array_equal(seen, np.stack(alone))
    for actions in ((0, 9, 13), (4, 17, 20)):
        seen, rewards, *_, infos = envs.step(np.array(actions))
        alone = [single.step(np.int64(a)) for single, a in zip(singles, actions, strict=True)]
        np.testing.assert_array_equal(seen, np.stack([a[0] for a in alone]))
        np.testing.assert_allclose(rewards, [a[1] for a in alone], atol=1e-9)
        np.testing.assert_allclose(infos["tre"], [a[4]["tre"] for a in alone], atol=1e-9)


# Thick slices of a deforming heart


@pytest.fixture(scope="module")
def heart():
    """Environment in float32, and a pair whose slices are 8 to 10 mm thick."""
    env = gym.make(HEART, dtype="float32")
    dataset = own_dataset(HEART)
    return env, dataset.load(dataset.ids.index(env.reset(seed=7)[1]["pair_id"]))


@pytest.mark.parametrize("state", ["none", "best", "drawn"])
def test_thick_slices_are_resampled_as_simpleitk_does(heart, state):
    """Nothing is averaged here: both images have the same slices, and the moving one is read at displaced points."""
    env, pair = heart
    for grid in (pair.fixed.grid, pair.moving.grid):
        assert max(grid.spacing) >= 8.0 and sorted(grid.spacing)[1] < 1.6
    model = env.unwrapped.model
    env.reset(options={"pair": pair.id})
    coefficients = {
        "none": np.zeros(model.n_parameters),
        "best": env.unwrapped.truth(),
        "drawn": np.random.default_rng(0).uniform(-0.8, 0.8, model.n_parameters),
    }[state]
    observation, _ = env.reset(options={"pair": pair.id, "start": coefficients})
    view = Grid.centred((64,) * 3, (2.0,) * 3, pair.fixed.grid.centre, pair.fixed.grid.direction)
    told = model.to_sitk(coefficients, pair.fixed.grid.frame, pair.alignment)
    middle = 32  # axial, coronal, sagittal
    planes = ((middle,), (slice(None), middle), (slice(None), slice(None), middle))
    for role, transform, image in ((0, sitk.Transform(3, sitk.sitkIdentity), pair.fixed), (3, told, pair.moving)):
        brute = resampled(scaled(image), view, transform)
        ones = replace(image, array=np.ones_like(image.array))
        around = [replace(view, origin=view.origin + by) for by in 1e-3 * np.array([*np.eye(3), *-np.eye(3)])]
        inside = np.all([resampled(ones, near, transform) == 1 for near in around], axis=0)  # not on the very edge
        for k, plane in enumerate(planes):
            assert inside[plane].mean() > 0.3
            found = observation[role + k][inside[plane]]
            np.testing.assert_allclose(found, brute[plane][inside[plane]], atol=1e-3)


def test_the_slices_are_those_of_the_volume(heart):
    env, pair = heart
    volume = gym.make(HEART, dtype="float32", observation="volume")
    start = at_truth(env, pair.id)[1]["transform"]
    slices, _ = env.reset(options={"pair": pair.id, "start": start})
    whole, _ = volume.reset(options={"pair": pair.id, "start": start})
    assert slices.shape == (6, 64, 64) and whole.shape == (2, 64, 64, 64)
    for image, (axial, coronal, sagittal) in zip(whole, (slices[:3], slices[3:]), strict=True):
        np.testing.assert_allclose(image[32], axial, atol=1e-6)
        np.testing.assert_allclose(image[:, 32], coronal, atol=1e-6)
        np.testing.assert_allclose(image[:, :, 32], sagittal, atol=1e-6)
