"""The process of projection: pictures, steps and errors against the cameras' geometry, and poses that are refused.

A state T maps points of the cameras' world to points of the volume. So a point q of the volume is where T^-1 q is in
the world, and a step along +x, on the fixed side, moves the picture along -x.
"""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from scipy.ndimage import center_of_mass, label, map_coordinates

import regenv  # noqa: F401  (registers the ids)
from regenv.catalogue import TASKS
from regenv.core.camera import Camera
from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.core.projection import attenuation, depth_image, radiograph
from regenv.errors import DataError
from regenv.imaging.radiograph import Radiograph
from regenv.imaging.windows import window_of
from regenv.synthesis.phantom import PhantomDataset
from tests.envs.balls import SKIN_HU, SKIN_MM, Balls, c_arm, depth_camera, pose
from tests.envs.deformable import Changed
from tests.envs.episodes import at_random, at_truth, play

XRAY, DEPTH = "XRayCT-Rigid-v0", "DepthCT-Rigid-v0"
BIPLANE = (c_arm(0.0), c_arm(85.0))
AXES = {"x": 0, "y": 1, "z": 2}


def real(env_id, field):
    """An environment of the embedded pairs in float32, and their data set."""
    task = TASKS[env_id]
    env = gym.make(env_id, field_of_view=field, dtype="float32")
    return env, PhantomDataset("train", task.modalities, field, task.recipe)


@pytest.fixture(
    scope="module", params=[(XRAY, "ct"), (XRAY, "biplane"), (DEPTH, "bare")], ids=lambda param: "-".join(param)
)
def seen(request):
    """Environment, pair and observation at the truth."""
    env, dataset = real(*request.param)
    pair_id = env.reset(seed=7)[1]["pair_id"]
    observation, info = at_truth(env, pair_id)
    return env, dataset.load(dataset.ids.index(pair_id)), observation, info


def view_of(env, camera):
    """The camera with the pixels of the environment's view for a detector."""
    size, pitch = env.unwrapped.config.view_size, env.unwrapped.config.view_spacing_mm
    grid = Grid.centred((size, size, 1), (pitch,) * 3, camera.grid.centre, camera.grid.direction)
    return Camera(camera.source, grid, camera.isocentre)


def scaled(values, pair):
    """In the window of the fixed image, which is that of the moved one."""
    low, high = window_of(pair.fixed)
    high += (high - low) * (Radiograph.headroom if pair.fixed.modality == "xray" else 0.0)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def rays(camera, count, seed=0):
    """Some pixels ``(N, 2)`` as (row, column), and points ``(N, 3)`` where they lie."""
    grid = camera.grid
    pixels = np.random.default_rng(seed).integers(0, grid.size[:2][::-1], (count, 2))
    return pixels, grid.points()[0][pixels[:, 0], pixels[:, 1]]


def along(pair, source, ends, share):
    """CT numbers ``(N, S)`` at shares of the ways from the source to the ends, by SciPy."""
    points = source + share[None, :, None] * (ends - source)[:, None]
    index = transform_points(pair.moving.grid.physical_to_index @ pair.truth.transform, points)
    half = np.asarray(pair.moving.grid.size) - 0.5
    outside = ((index < -0.5) | (index > half)).any(-1)
    values = map_coordinates(pair.moving.array, np.moveaxis(index[..., ::-1], -1, 0), order=1, mode="nearest")
    return np.where(outside, -1000.0, values)


# What is seen


def test_at_the_truth_the_pairs_own_projection_is_seen(seen):
    env, pair, observation, _ = seen
    planes = len(pair.cameras)
    assert observation.shape == (2 * planes, 96, 96)
    for camera, moved in zip(pair.cameras, observation[planes:], strict=True):
        view = view_of(env, camera)
        if pair.fixed.modality == "depth":
            raw, valid = depth_image(pair.moving, view, SKIN_HU, pair.truth.transform)
            want = np.where(valid, scaled(raw, pair), scaled(pair.fixed.background, pair))
        else:
            through = Image(attenuation(pair.moving.array), pair.moving.grid)
            want = scaled(radiograph(through, view, pair.truth.transform)[0], pair)
        assert want.std() > 0.05
        np.testing.assert_allclose(moved, want, atol=1e-5)


def test_what_is_seen_is_what_lies_on_the_rays(seen):
    """Sampled by SciPy a quarter of a millimetre apart."""
    env, pair, observation, _ = seen
    for camera, moved in zip(pair.cameras, observation[len(pair.cameras) :], strict=True):
        view = view_of(env, camera)
        pixels, ends = rays(view, 60)
        found = moved[pixels[:, 0], pixels[:, 1]]
        if pair.fixed.modality == "depth":  # rays go on behind the plane of the pixels
            ends = camera.source + 1.4 * (ends - camera.source)
        length = np.linalg.norm(ends - camera.source, axis=1)
        share = np.arange(0.0, 1.0, 0.25 / length.mean())
        values = along(pair, camera.source, ends, share)
        if pair.fixed.modality == "depth":
            hit = (values >= SKIN_HU).any(1)
            want = scaled(length * share[(values >= SKIN_HU).argmax(1)], pair)
            away = np.abs(found - want)[hit] * np.ptp(window_of(pair.fixed))
            assert hit.sum() > 10
            assert np.median(away) < 0.5 and np.mean(away < 2.0) > 0.9  # mm; a grazing ray may miss a bump
            np.testing.assert_allclose(found[~hit], scaled(0.0, pair), atol=1e-6)
        else:
            want = scaled(attenuation(values).sum(1) * length * share[1], pair)
            assert (want > 0.1).sum() > 20
            np.testing.assert_allclose(found, want, atol=0.015)


def test_the_fixed_image_is_that_of_the_pair(seen):
    env, pair, observation, _ = seen
    for v, camera in enumerate(pair.cameras):
        pixels, points = rays(view_of(env, camera), 200)
        at = transform_points(camera.grid.physical_to_index, points)[:, :2]
        want = map_coordinates(scaled(pair.fixed.array[v], pair), at.T[::-1], order=1, mode="nearest")
        inside = ((at > 0) & (at < np.asarray(camera.grid.size[:2]) - 1)).all(1)
        assert inside.sum() > 150
        np.testing.assert_allclose(observation[v][tuple(pixels[inside].T)], want[inside], atol=1e-4)


@pytest.mark.parametrize("away", [(0, 0, 0, 0, 0, 0), (6, -4, 15, 3, 5, -8), (15, 115, 0, 0, 0, 0)])
def test_what_pays_is_seen_within_the_mask_and_where_rays_meet_the_volume(seen, away):
    """NCC by hand, over all radiographs at once; where less than half of the mask is met it fades to 0."""
    env, pair, _, _ = seen
    field, frame = env.unwrapped.config.field_of_view, pair.cameras[0].frame
    paid = gym.make(env.spec.id, field_of_view=field, dtype="float32", reward="ncc")
    start = pair.truth.transform @ frame @ pose(*away) @ np.linalg.inv(frame)
    observation, info = paid.reset(options={"pair": pair.id, "start": start})
    fixed, moved = np.split(observation, 2)
    masks, met = [], []
    for v, camera in enumerate(pair.cameras):
        view = view_of(env, camera)
        at = transform_points(camera.grid.physical_to_index, view.grid.points()[0])[..., :2]
        inside = ((at >= -0.5) & (at < np.asarray(camera.grid.size[:2]) - 0.5)).all(-1)
        shares = map_coordinates(
            pair.fixed_mask[v].astype(float), np.moveaxis(at[..., ::-1], -1, 0), order=1, mode="nearest"
        )
        masks.append(inside & (shares > 0.99))  # no pixel that is blended with what is outside
        if pair.fixed.modality == "depth":
            met.append(depth_image(pair.moving, view, SKIN_HU, start)[1])
        else:
            met.append(radiograph(pair.moving, view, start)[1])
    mask, both = np.stack(masks), np.stack(masks) & np.stack(met)
    share = both.sum() / mask.sum()
    assert mask.sum() > 500 and both.sum() > 50
    value = np.corrcoef(fixed[both], moved[both])[0, 1] * min(1.0, share / 0.5)
    assert info["similarity"] == pytest.approx(value, abs=2e-3)


@pytest.mark.parametrize(("name", "channels"), [("slices", 4), ("difference", 2), ("zoom", 8)])
def test_two_radiographs_are_two_channels_of_each_image(name, channels):
    env = gym.make(XRAY, dataset=Balls(BIPLANE, [[0, 0, 0]]), field_of_view="biplane", observation=name)
    observation, _ = env.reset(seed=0)
    assert observation.shape == env.observation_space.shape == (channels, 96, 96)
    if name == "slices":
        assert not np.array_equal(observation[0], observation[1])


def test_a_body_that_comes_nearer_to_the_depth_camera_is_still_told_apart():
    env, dataset = real(DEPTH, "bare")
    pair_id = env.reset(seed=7)[1]["pair_id"]
    pair = dataset.load(dataset.ids.index(pair_id))
    frame, mask = pair.cameras[0].frame, env.unwrapped._engine.renderer.levels[0].mask[0, 0] > 0
    for nearer in (0.0, 15.0, 29.0):
        start = pair.truth.transform @ frame @ pose(0, 0, nearer, 0, 0, 0) @ np.linalg.inv(frame)
        observation, _ = env.reset(options={"pair": pair_id, "start": start})
        assert (observation[1][mask] > 0).mean() > 0.95


# Where balls are seen


def spots(picture):
    """Centres ``(N, 2)`` of the bright spots of a picture, as (x, y) in pixels."""
    marks, count = label(picture > 0.02)
    return np.array(center_of_mass(picture, marks, range(1, count + 1)))[:, ::-1]


def expected(env, camera, world):
    """Where world points are seen in the view, pixels (x, y)."""
    return view_of(env, camera).pixels(world)


def in_view(env, balls):
    """Where the balls are in the world at the current pose."""
    points = balls.load(0).truth.landmarks_moving
    return transform_points(np.linalg.inv(env.unwrapped.get_state()["transform"]), points)


FOUR = [[0, 0, 0], [34, 14, 26], [-30, 36, -18], [8, -36, 30]]


@pytest.fixture(scope="module", params=[1, 2], ids=["one", "two"])
def posed(request):
    """Four balls before one camera, or two."""
    balls = Balls(BIPLANE[: request.param], FOUR)
    field = "biplane" if request.param == 2 else "ct"
    return gym.make(XRAY, dataset=balls, field_of_view=field, dtype="float32", step_cost=0.02), balls


def test_at_any_pose_the_balls_are_where_the_cameras_see_them(posed):
    env, balls = posed
    rng = np.random.default_rng(0)
    truth, frame = balls.load(0).truth.transform, balls.cameras[0].frame
    for _ in range(6):
        away = pose(*rng.uniform(-1, 1, 6) * [12, 12, 20, 8, 8, 8])
        observation, _ = env.reset(options={"start": truth @ frame @ away @ np.linalg.inv(frame)})
        for camera, picture in zip(balls.cameras, observation[len(balls.cameras) :], strict=True):
            want, found = expected(env, camera, in_view(env, balls)), spots(picture)
            distance = np.linalg.norm(want[:, None] - found[None], axis=-1).min(1)
            assert distance.max() < 0.15


def places(env, balls, picture):
    """Where the balls are seen, in mm on the first detector about its middle, in their order."""
    found = spots(picture)
    want = expected(env, balls.cameras[0], in_view(env, balls))
    nearest = np.linalg.norm(want[:, None] - found[None], axis=-1).argmin(1)
    assert sorted(nearest) == list(range(len(balls.world)))
    return (found[nearest] - (96 - 1) / 2) * 3.0


def with_steps(posed, steps):
    """The same with steps of other sizes."""
    env, balls = posed
    field = env.unwrapped.config.field_of_view
    return gym.make(XRAY, dataset=balls, field_of_view=field, dtype="float32", steps=steps), balls


def stepped(env, balls, name, sign):
    """Places of the balls before and after one coarse step from the truth."""
    k, views = env.unwrapped.model.names.index(name), len(balls.cameras)
    seen, _ = env.reset(options={"start": balls.load(0).truth.transform})
    before = places(env, balls, seen[views])
    return before, places(env, balls, env.step(np.int64(4 * k + (sign < 0)))[0][views])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_in_plane_shifts_the_picture_by_the_magnification(posed, sign):
    env, balls = posed
    magnification = 1024 / 640
    for k, name in enumerate(("tx", "ty")):
        before, after = stepped(env, balls, name, sign)
        want = np.zeros(2)
        want[k] = -sign * 2.0 * magnification
        np.testing.assert_allclose((after - before)[0], want, atol=0.1)  # the ball at the isocentre
        depth = np.array(FOUR)[:, 2]  # balls nearer to the tube shift by more
        want = -sign * 2.0 * 1024 / (640 - depth)
        np.testing.assert_allclose((after - before)[:, k], want, atol=0.1)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_in_depth_changes_the_magnification(posed, sign):
    """The tube is at +z, so the volume goes away from it: what is seen gets smaller."""
    env, balls = with_steps(posed, (40.0, 1.0))
    before, after = stepped(env, balls, "tz", sign)
    depth = np.array(FOUR)[:, 2]
    want = (640 - depth) / (640 - depth + sign * 40.0)
    np.testing.assert_allclose(after[1:], before[1:] * want[1:, None], atol=0.25)
    np.testing.assert_allclose(after[0], 0.0, atol=0.1)
    assert np.all((np.linalg.norm(after[1:], axis=1) < np.linalg.norm(before[1:], axis=1)) == (sign > 0))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_turn_in_plane_turns_the_picture(posed, sign):
    env, balls = with_steps(posed, (15.0, 1.0))
    before, after = stepped(env, balls, "rz", sign)
    angle = np.deg2rad(-sign * 15.0)  # x to y is positive; the picture turns against the step
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(after, before @ turn.T, atol=0.35)
    assert np.abs(after - before).max() > 10


# What a depth camera sees


def ball_depth(camera, centres, radius):
    """Distance along the ray of each pixel to the first ball, ``(H, W)``; infinite beside them."""
    way = camera.grid.points()[0] - camera.source
    way /= np.linalg.norm(way, axis=-1, keepdims=True)
    nearest = np.full(way.shape[:2], np.inf)
    for centre in centres:
        to = centre - camera.source
        middle = way @ to
        inside = radius**2 - (to @ to - middle**2)
        nearest = np.where(inside > 0, np.minimum(nearest, middle - np.sqrt(np.maximum(inside, 0))), nearest)
    return nearest


@pytest.fixture(scope="module")
def deep():
    """Three large balls before a depth camera."""
    balls = Balls([depth_camera()], [[0, 0, 0], [60, 20, 25], [-50, 45, -20]], radius=42.0, imaging="depth")
    return gym.make(DEPTH, dataset=balls, dtype="float32"), balls


def check_depth(env, balls, observation):
    """A depth picture is that of spheres at their places in the world."""
    camera = view_of(env, balls.cameras[0])
    pair = balls.load(0)
    want = ball_depth(camera, in_view(env, balls), balls.radius + SKIN_MM)
    sure = np.isfinite(want) == np.isfinite(ball_depth(camera, in_view(env, balls), balls.radius + SKIN_MM - 2))
    sure &= np.isfinite(want) == np.isfinite(ball_depth(camera, in_view(env, balls), balls.radius + SKIN_MM + 2))
    hit = np.isfinite(want)
    assert (hit & sure).sum() > 200
    away = (observation[1] - scaled(want, pair))[hit & sure] * np.ptp(window_of(pair.fixed))
    assert np.abs(away).max() < 2.0 and np.abs(away).mean() < 0.3  # mm
    np.testing.assert_allclose(observation[1][~hit & sure], scaled(0.0, pair), atol=1e-6)


def test_depth_is_the_distance_to_the_skin_at_any_pose(deep):
    env, balls = deep
    rng = np.random.default_rng(1)
    truth, frame = balls.load(0).truth.transform, balls.cameras[0].frame
    for size in (0.0, 1.0, 1.0, 1.0):
        away = pose(*size * rng.uniform(-1, 1, 6) * [20, 20, 12, 15, 15, 15])
        check_depth(env, balls, env.reset(options={"start": truth @ frame @ away @ np.linalg.inv(frame)})[0])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_in_depth_brings_the_skin_nearer(deep, sign):
    """+z points away from the camera, so the volume comes towards it."""
    env, balls = deep
    before, _ = env.reset(options={"start": balls.load(0).truth.transform})
    after = env.step(np.int64(8 + (sign < 0)))[0]  # tz, 4 mm
    column, row = np.rint(expected(env, balls.cameras[0], balls.world)[1]).astype(int)  # the ball that lies deepest
    away = (after[1, row, column] - before[1, row, column]) * np.ptp(window_of(balls.load(0).fixed))
    assert 0 < before[1, row, column] < 1
    assert away == pytest.approx(-sign * 4.0, abs=0.2)
    check_depth(env, balls, after)


@pytest.mark.parametrize("name", ["x", "y"])
def test_a_step_in_plane_moves_the_depth_picture(deep, name):
    env, balls = deep
    before, _ = env.reset(options={"start": balls.load(0).truth.transform})
    for _ in range(6):
        after = env.step(np.int64(4 * AXES[name]))[0]
    check_depth(env, balls, after)
    moved = [np.array(center_of_mass(o[1] > 0))[::-1] for o in (before, after)]
    want = np.zeros(2)
    want[AXES[name]] = -24.0 / 6.0  # pixels of 6 mm in the plane of the isocentre
    np.testing.assert_allclose(moved[1] - moved[0], want, atol=0.4)


# Errors


def test_the_error_is_that_of_the_corners(seen):
    """Of the target's box where the pose puts them in the world; before one X-ray camera, along its detector alone."""
    env, pair, _, at_best = seen
    assert at_best["tre"] < 1e-9 and at_best["is_success"]
    if pair.fixed.modality == "xray":
        assert len(pair.truth.points_fixed) == 8
    for seed in range(3):
        episode = play(env, at_random(seed), seed, steps=4, options={"pair": pair.id})
        for info in episode.infos:
            world = transform_points(np.linalg.inv(info["transform"]), pair.truth.points_moving)
            missed = world - pair.truth.points_fixed
            if len(pair.cameras) == 1 and pair.fixed.modality == "xray":
                missed = missed @ pair.cameras[0].grid.direction[:, :2]  # u and v: what mTREproj keeps
            error = np.linalg.norm(missed, axis=1).mean()
            assert info["tre"] == pytest.approx(error, abs=1e-9)
            assert info["is_success"] == (error < env.unwrapped.config.task.success_mm)


def test_an_error_in_depth_counts_where_a_second_camera_sees_it(seen):
    env, pair, _, _ = seen
    frame = pair.cameras[0].frame
    alone = len(pair.cameras) == 1 and pair.fixed.modality == "xray"
    for k, want in ((0, 5.0), (1, 5.0), (2, 0.0 if alone else 5.0)):
        away = np.zeros(6)
        away[k] = 5.0
        start = pair.truth.transform @ frame @ pose(*away) @ np.linalg.inv(frame)
        info = env.reset(options={"pair": pair.id, "start": start})[1]
        assert info["tre"] == pytest.approx(want, abs=1e-9)


# Poses that are refused


def start_at(balls, *away):
    """A start so far from the truth, along the first camera's axes."""
    frame = balls.cameras[0].frame
    return balls.load(0).truth.transform @ frame @ pose(*away) @ np.linalg.inv(frame)


def test_a_start_that_looks_past_the_volume_or_from_within_is_named(posed, deep):
    for (env, balls), past, within in ((posed, 200.0, 640.0), (deep, 600.0, 1200.0)):
        env.reset(seed=0)
        sign = -1 if balls.imaging == "radiograph" else 1  # towards the source
        for away in ((past, 0, 0), (0, -past, 0), (0, 0, sign * within)):
            with pytest.raises(ValueError, match=r"'balls-0'.*inside the volume or looks past it"):
                env.reset(options={"start": start_at(balls, *away, 0, 0, 0)})
        observation, info = env.reset(options={"start": start_at(balls, 0, 0, 5, 0, 0, 0)})  # and goes on
        assert observation.std() > 0 and np.isfinite(info["similarity"])


def test_a_start_beside_one_of_two_cameras_is_named():
    balls = Balls(BIPLANE, FOUR)
    one = gym.make(XRAY, dataset=Balls(BIPLANE[:1], FOUR))
    one.reset(options={"start": start_at(balls, 0, 0, 200, 0, 0, 0)})  # in depth of the first, beside the second
    both = gym.make(XRAY, dataset=balls, field_of_view="biplane")
    with pytest.raises(ValueError, match="looks past it"):
        both.reset(options={"start": start_at(balls, 0, 0, 200, 0, 0, 0)})


def test_random_starts_are_seen_or_the_misalignment_is_named():
    """Of uniform draws within 250 mm about half would look past these balls."""
    env = gym.make(XRAY, dataset=Balls([c_arm(0.0)], FOUR), misalignment={"mm": 250.0, "deg": 20.0})
    engine = env.unwrapped._engine
    for seed in range(30):
        env.reset(seed=seed)
        assert engine.process.sees(engine.process.pose)[0]
    hopeless = gym.make(XRAY, dataset=Balls([c_arm(0.0)], FOUR), misalignment={"mm": 1e5, "deg": 20.0})
    with pytest.raises(ValueError, match="32 random starts.*narrow misalignment="):
        hopeless.reset(seed=0)


NEAR = (c_arm(0.0, to_isocentre=190.0, to_detector=500.0),)


@pytest.mark.parametrize(
    ("dataset", "env_id", "field", "action"),
    [
        (Balls([c_arm(0.0)], FOUR), XRAY, "ct", 0),  # past the volume
        (Balls([c_arm(0.0)], FOUR), XRAY, "ct", 5),
        (Balls(BIPLANE, FOUR), XRAY, "biplane", 8),  # past it for the second camera alone
        (Balls(NEAR, FOUR), XRAY, "ct", 9),  # the tube inside the volume
    ],
    ids=["past-x", "past-y", "past-one-of-two", "inside"],
)
def test_a_step_that_would_see_nothing_changes_nothing_and_costs_a_step(dataset, env_id, field, action):
    env = gym.make(env_id, dataset=dataset, field_of_view=field, steps=(190.0, 1.0), horizon=2)
    assert env.unwrapped._engine.view.extent_mm > 190  # else it would be refused for its length
    observation, info = env.reset(options={"start": start_at(dataset, 1, 0, 0, 0, 0, 2)})
    seen, reward, terminated, truncated, after = env.step(np.int64(action))
    np.testing.assert_array_equal(after["transform"], info["transform"])
    np.testing.assert_array_equal(seen, observation)
    assert (reward, terminated, truncated) == (-0.02, False, False)
    assert (after["tre"], after["similarity"]) == (info["tre"], info["similarity"])
    *_, truncated, after = env.step(np.int64(2))
    assert truncated and not np.array_equal(after["transform"], info["transform"])


def test_a_lane_that_would_see_nothing_does_not_hold_the_others():
    balls = Balls([c_arm(0.0)], FOUR)
    envs = gym.make_vec(XRAY, num_envs=2, dataset=balls, steps=(190.0, 1.0))
    _, infos = envs.reset(seed=0, options={"start": np.stack([start_at(balls, 1, 0, 0, 0, 0, 2)] * 2)})
    _, rewards, *_, after = envs.step(np.array([0, 2]))
    np.testing.assert_array_equal(after["transform"][0], infos["transform"][0])
    want = infos["transform"][1] @ balls.cameras[0].frame @ pose(1, 0, 0, 0, 0, 0)
    np.testing.assert_allclose(after["transform"][1], want @ np.linalg.inv(balls.cameras[0].frame), atol=1e-9)
    assert rewards[0] == -0.02 != rewards[1]


def test_a_pair_of_another_number_of_cameras_is_named():
    two, one = Balls(BIPLANE, FOUR), Balls(BIPLANE[:1], FOUR)
    without = Changed(two, lambda pair: replace(pair, cameras=pair.cameras[:1]))
    for dataset, field, message in (
        (two, "ct", "'balls-0' has 2 radiographs, this environment shows 1"),
        (one, "biplane", "'balls-0' has 1 radiographs, this environment shows 2"),
        (without, "biplane", "a camera for each of 2 fixed images, got 1"),
    ):
        with pytest.raises(DataError, match=message):
            gym.make(XRAY, dataset=dataset, field_of_view=field).reset(seed=0)


def test_pairs_of_another_kind_of_imaging_are_named(deep):
    with pytest.raises(
        DataError, match="'balls-0' has cameras, as for XRayCT-Rigid-v0; this environment shows volumes"
    ):
        gym.make("CTMR-Rigid-v0", dataset=Balls([c_arm(0.0)], FOUR)).reset(seed=0)
    with pytest.raises(DataError, match="'balls-0': this environment needs a radiograph image, got depth"):
        gym.make(XRAY, dataset=deep[1]).reset(seed=0)


# Lanes


def test_no_pose_of_a_depth_map_costs_many_times_what_the_truth_pays():
    """Far poses neither beat the truth nor are so bad that one slip outweighs all that registrations earn."""
    env, rng = gym.make(DEPTH), np.random.default_rng(0)
    _, info = env.reset(seed=7)
    engine, truth, begun = env.unwrapped._engine, env.unwrapped.truth(), env.unwrapped.get_state()

    def worth(matrix):
        env.unwrapped.set_state({**begun, "transform": matrix})
        return env.unwrapped.config.reward_scale * env.unwrapped.potential

    start, best, found = worth(info["start"]), worth(truth), []
    while len(found) < 100:
        sizes = rng.uniform(-1, 1, 6) * rng.choice([50.0, 170.0], 6)
        away = env.unwrapped.model.misaligned(truth, sizes, engine.case(0).scene.frame)
        if np.linalg.norm(sizes) > 30 and engine._sees(0, away):
            found.append(worth(away))
    assert 3 < best - start < 30
    assert max(found) < best
    assert min(found) - start > -5 * (best - start)


@pytest.mark.parametrize(("env_id", "field"), [(XRAY, "ct"), (XRAY, "biplane"), (DEPTH, "bare")])
def test_lanes_of_unlike_volumes_are_single_environments(env_id, field):
    if env_id == DEPTH:
        balls = Balls([depth_camera()], [[0, 0, 0], [30, 20, 5]], radius=30.0, pairs=3, imaging="depth")
    else:
        balls = Balls(BIPLANE[: 2 if field == "biplane" else 1], FOUR, pairs=3)
    keywords = {"dataset": balls, "field_of_view": field, "observation": "zoom"}
    pairs = [{"pair": pair_id} for pair_id in balls.ids]
    shapes = {balls.load(i).moving.grid.shape for i in range(3)}
    assert len(shapes) == 3
    envs = gym.make_vec(env_id, num_envs=3, **keywords)
    singles = [gym.make(env_id, **keywords) for _ in range(3)]
    seen, infos = envs.reset(seed=5, options={"pair": list(balls.ids)})
    alone = [single.reset(seed=5 + i, options=pairs[i]) for i, single in enumerate(singles)]
    np.testing.assert_array_equal(seen, np.stack([a[0] for a in alone]))
    assert infos["pair_id"].tolist() == list(balls.ids)
    for actions in ((0, 9, 13), (4, 17, 20), (21, 1, 8)):
        seen, rewards, *_, infos = envs.step(np.array(actions))
        alone = [single.step(np.int64(a)) for single, a in zip(singles, actions, strict=True)]
        np.testing.assert_array_equal(seen, np.stack([a[0] for a in alone]))
        np.testing.assert_allclose(rewards, [a[1] for a in alone], atol=1e-9)
        np.testing.assert_array_equal(infos["transform"], np.stack([a[4]["transform"] for a in alone]))
        np.testing.assert_allclose(infos["tre"], [a[4]["tre"] for a in alone], atol=1e-9)
