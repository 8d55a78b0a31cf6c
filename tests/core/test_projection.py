from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from regenv.core.camera import Camera, detector_planes, index_rays, view_planes
from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.core.projection import attenuation, depth, depth_image, project, radiograph, sees, windowed_sums
from regenv.core.resample import array_addresses
from regenv.poses import get_model


def motion(*values: float) -> FloatArray:
    """Rigid motion: mm along x, y, z and degrees about them."""
    return get_model("rigid", 3).exp(np.array([values]))[0]


def camera_along(axes: FloatArray, size: tuple[int, int] = (48, 40), pitch: float = 5.0, behind: float = 350) -> Camera:
    grid = Grid.centred((*size, 1), (pitch, pitch, 1.0), behind * axes[:, 2], axes)
    return Camera(-650 * axes[:, 2], grid, np.zeros(3))


def views() -> list[Camera]:
    """Rays along each axis of the world, both ways, and two oblique ones."""
    eye = np.eye(3)
    turns = [eye, eye[:, [1, 2, 0]], eye[:, [2, 0, 1]], -eye[:, [1, 0, 2]]]
    turns += [motion(0, 0, 0, 20, 40, 10)[:3, :3], motion(0, 0, 0, -50, 35, -60)[:3, :3]]
    return [camera_along(turn) for turn in turns]


def lines(camera: Camera) -> tuple[FloatArray, FloatArray]:
    """Pixel positions and unit directions of all rays in the world, ``(H, W, 3)``."""
    pixels = camera.grid.points()[0]
    way = pixels - camera.source
    return pixels, way / np.linalg.norm(way, axis=-1, keepdims=True)


def box_lengths(camera: Camera, grid: Grid) -> FloatArray:
    """Exact length of every ray in a grid's box, edges of the outer voxels included."""
    local = np.linalg.inv(grid.frame)
    _, way = lines(camera)
    start, way = transform_points(local, camera.source), way @ local[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (-grid.extent / 2 - start) / way, (grid.extent / 2 - start) / way
    return np.maximum(np.maximum(a, b).min(axis=-1) - np.minimum(a, b).max(axis=-1), 0)


def ellipsoid(grid: Grid, axes_mm: FloatArray, frame: FloatArray, over: int = 4) -> Image:
    """Share of each voxel that lies in an ellipsoid, by ``over`` cubed sub-voxels."""
    inverse = np.linalg.inv(frame) @ grid.index_to_physical
    shifts = (np.arange(over) + 0.5) / over - 0.5
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")[::-1], axis=-1).astype(float)
    total = np.zeros(grid.shape)
    for shift in np.stack(np.meshgrid(shifts, shifts, shifts), axis=-1).reshape(-1, 3):
        local = transform_points(inverse, index + shift) / axes_mm
        total += (local**2).sum(axis=-1) < 1
    return Image((total / over**3).astype(np.float32), grid)


def ellipsoid_lengths(camera: Camera, axes_mm: FloatArray, frame: FloatArray) -> FloatArray:
    """Exact chord of every ray through the ellipsoid."""
    inverse = np.linalg.inv(frame)
    _, way = lines(camera)
    start, way = transform_points(inverse, camera.source) / axes_mm, (way @ inverse[:3, :3].T) / axes_mm
    a, b, c = (way**2).sum(-1), (way * start).sum(-1), (start**2).sum() - 1
    return 2 * np.sqrt(np.maximum(b * b - a * c, 0)) / a


OBLIQUE = Grid.centred((50, 44, 31), (2.1, 2.6, 3.9), (5.0, -4.0, 3.0), motion(0, 0, 0, 12, -20, 33)[:3, :3])


@pytest.mark.parametrize("view", range(6))
def test_a_homogeneous_box_has_its_exact_length(view: int) -> None:
    camera = views()[view]
    got, valid = radiograph(Image(np.ones(OBLIQUE.shape, np.float32), OBLIQUE), camera)
    want = box_lengths(camera, OBLIQUE)
    np.testing.assert_allclose(got, want, atol=2e-4)
    np.testing.assert_array_equal(valid, want > 0)
    assert 0.1 < valid.mean() <= 1


@pytest.mark.parametrize("view", range(6))
def test_an_ellipsoid_has_its_exact_chords(view: int) -> None:
    """To 0.5 % of the range in the mean and 2 % at most, but for the rim, which the voxels blur."""
    camera, frame, axes_mm = views()[view], motion(4, -3, 2, 25, 10, -30), np.array([30.0, 44.0, 38.0])
    fine = Grid.centred((84, 81, 60), (1.3, 1.4, 1.9), OBLIQUE.centre, OBLIQUE.direction)
    got, _ = radiograph(ellipsoid(fine, axes_mm, frame), camera)
    want = ellipsoid_lengths(camera, axes_mm, frame)
    assert want.max() > 55
    error = np.abs(got - want)[want > 0] / want.max()
    assert error.mean() < 0.005
    core = want > 0.4 * want.max()
    assert error[core[want > 0]].max() < 0.02


def test_moving_the_volume_is_moving_the_pose() -> None:
    """T maps world to volume: the volume shifted by its header and the pose that says so give one radiograph."""
    rng, camera, pose = np.random.default_rng(0), views()[4], motion(20, -10, 15, 8, -12, 30)
    image = Image(rng.random(OBLIQUE.shape, dtype=np.float32), OBLIQUE)
    moved = Image(image.array, OBLIQUE.moved_by(np.linalg.inv(pose)))
    want, want_valid = radiograph(moved, camera)
    got, got_valid = radiograph(image, camera, pose)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)
    assert (got_valid == want_valid).mean() > 0.999


@pytest.mark.parametrize("view", range(6))
def test_agrees_with_dense_trilinear_sampling(view: int) -> None:
    """Smooth content: Joseph's samples and trilinear ones every tenth of a voxel differ little."""
    camera = views()[view]
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in OBLIQUE.shape], indexing="ij")
    image = Image((1 + np.sin(4 * x + y) * np.cos(3 * y - 2 * z)).astype(np.float32), OBLIQUE)
    got, valid = radiograph(image, camera)
    pixels, way = lines(camera)
    step = 0.2
    t = np.arange(450, 850, step)
    rows, columns = np.array([12, 20, 27]), np.array([10, 24, 33])
    for i, j in zip(rows, columns, strict=True):
        points = camera.source + (t[:, None] + step / 2) * way[i, j]
        index = transform_points(OBLIQUE.physical_to_index, points)
        inside = np.all((index >= -0.5) & (index < np.array(OBLIQUE.size) - 0.5), axis=1)
        values = map_coordinates(image.array, index[inside, ::-1].T, order=1, mode="nearest")
        assert got[i, j] == pytest.approx(values.sum() * step, rel=0.01, abs=0.5)
        assert valid[i, j] == inside.any()


def test_lanes_views_and_threads_change_no_bit() -> None:
    rng, camera = np.random.default_rng(1), views()[5]
    grids = [OBLIQUE, Grid.centred((30, 41, 52), (3.0, 2.0, 2.0))]
    images = [Image(rng.random(g.shape, dtype=np.float32), g) for g in grids]
    planes = np.concatenate([view_planes(camera, 24, 6.0), view_planes(camera, 24, 2.0, (20, 22))])
    to_index = np.stack([g.physical_to_index @ motion(3, 2, 1, 4, 5, 6) for g in grids])
    sources, rays = index_rays(camera, planes, to_index)
    sources = np.repeat(sources[:, None], 2, axis=1)
    addresses, shapes = array_addresses([i.array for i in images])
    spacings = np.array([g.spacing for g in grids])
    levels = np.array([0.95, 0.99], np.float32)

    def cast(lanes: slice, threads: int) -> list[np.ndarray]:
        n = len(addresses[lanes])
        result = []
        for kind in (project, depth):
            out, valid = np.full((n, 2, 24, 24), np.nan, np.float32), np.empty((n, 2, 24, 24), np.uint8)
            more = () if kind is project else (levels[lanes],)
            given = addresses[lanes], shapes[lanes], spacings[lanes], sources[lanes], rays[lanes], *more
            kind(*given, out, valid, threads=threads)  # type: ignore[operator]
            result += [out, valid]
        return result

    both, threaded = cast(slice(0, 2), 1), cast(slice(0, 2), 2)
    alone = [np.concatenate(parts) for parts in zip(cast(slice(0, 1), 1), cast(slice(1, 2), 1), strict=True)]
    for a, b, c in zip(both, threaded, alone, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert both[0][:, 1].min() > 0  # the small view sees the volume everywhere
    whole, _ = radiograph(images[1], camera, motion(3, 2, 1, 4, 5, 6))
    i, j = np.arange(24), 12
    pixel = planes[0, 0] + i[:, None] * planes[0, 1] + j * planes[0, 2]
    near = map_coordinates(whole, pixel[:, ::-1].T, order=1, mode="nearest")
    assert np.abs(both[0][1, 0, :, j] - near).mean() < 0.05 * near.mean()


def test_the_detector_ends_the_ray() -> None:
    """A detector in the middle of the volume records the half before it, and depth goes on."""
    grid = Grid.centred((20, 20, 20), (5.0, 5.0, 5.0))
    image = Image(np.ones(grid.shape, np.float32), grid)
    camera = camera_along(np.eye(3), (9, 9), 4.0, behind=0)
    got, _ = radiograph(image, camera)
    assert got[4, 4] == pytest.approx(50.0, abs=1e-4)
    image.array[:14] = 0
    distance, hit = depth_image(image, camera, 0.5)
    # value 0 at voxel 13, 1 at voxel 14: half way
    assert hit.all() and distance[4, 4] == pytest.approx(650 + (13.5 - 9.5) * 5, abs=1e-3)


@pytest.mark.parametrize("view", range(6))
def test_depth_of_an_ellipsoid(view: int) -> None:
    camera, frame, axes_mm = views()[view], motion(4, -3, 2, 25, 10, -30), np.array([30.0, 44.0, 38.0])
    got, hit = depth_image(ellipsoid(OBLIQUE, axes_mm, frame), camera, 0.5)
    chord = ellipsoid_lengths(camera, axes_mm, frame)
    inverse = np.linalg.inv(frame)
    _, way = lines(camera)
    start, local = transform_points(inverse, camera.source) / axes_mm, (way @ inverse[:3, :3].T) / axes_mm
    want = -(local * start).sum(-1) / (local**2).sum(-1) - chord / 2
    assert (hit == (chord > 0)).mean() > 0.97
    steep = chord > 30
    assert steep.sum() > 50 and hit[steep].all()
    error = np.abs(got - want)[steep]
    assert error.mean() < 0.4 and error.max() < 1.5  # voxels of 2.1 to 3.9 mm


def test_depth_of_a_plane_is_exact() -> None:
    """A linear ramp crosses its threshold on a plane, which linear refinement finds exactly."""
    grid = Grid.centred((30, 28, 26), (3.0, 4.0, 5.0), direction=motion(0, 0, 0, 10, 15, -20)[:3, :3])
    normal = np.array([0.3, -0.2, 0.93])
    image = Image((grid.points() @ normal).astype(np.float32), grid)
    camera = camera_along(np.eye(3), (15, 15), 3.0)
    got, hit = depth_image(image, camera, 7.0)
    _, way = lines(camera)
    want = (7.0 - camera.source @ normal) / (way @ normal)
    assert hit.all()
    np.testing.assert_allclose(got, want, atol=2e-3)


def test_depth_ends_where_the_body_is_cut() -> None:
    grid = Grid.centred((20, 20, 20), (5.0, 5.0, 5.0))
    camera = camera_along(np.eye(3), (5, 5), 4.0)
    distance, hit = depth_image(Image(np.ones(grid.shape, np.float32), grid), camera, 0.5)
    assert hit.all() and distance[2, 2] == pytest.approx(600.0, abs=1e-3)
    nothing, hit = depth_image(Image(np.zeros(grid.shape, np.float32), grid), camera, 0.5)
    assert not hit.any() and not nothing.any()


def test_sees_refuses_poses_that_look_past_or_start_inside() -> None:
    camera = camera_along(np.eye(3))
    image = Image(np.ones(OBLIQUE.shape, np.float32), OBLIQUE)
    poses = [np.eye(4), motion(2000, 0, 0, 0, 0, 0), motion(0, 0, 650, 0, 0, 0), motion(0, 0, -2000, 0, 0, 0)]
    poses += [motion(0, 0, 2000, 0, 0, 0), motion(150, 0, 0, 0, 0, 0)]
    to_index = np.stack([OBLIQUE.physical_to_index @ pose for pose in poses])
    sources, planes = index_rays(camera, detector_planes(camera), to_index)
    shapes = np.repeat(np.array([OBLIQUE.shape]), len(poses), axis=0)
    got = sees(shapes, sources[:, None], planes, (40, 48))
    # before the source, behind the detector, beside the view: nothing; at the view's edge: something
    assert got.tolist() == [True, False, False, False, False, True]
    for pose, seen in zip(poses, got, strict=True):
        value, valid = radiograph(image, camera, pose)
        if not seen and not np.allclose(pose, poses[2]):
            assert not valid.any() and not value.any()
        else:
            assert valid.any()
    behind = sees(shapes, sources[:, None], planes, (40, 48), beyond=True)
    assert behind[3] or behind[4]
    two = np.stack([sources[[0, 0, 0]], sources[[0, 1, 2]]], axis=1)
    both = np.concatenate([planes[[0, 0, 0]], planes[[0, 1, 2]]], axis=1)
    assert sees(shapes[:3], two, both, (40, 48)).tolist() == [True, False, False]
    assert sees(shapes[:3], two, both, (40, 48), every=False).tolist() == [True, True, False]


def test_windowed_sums() -> None:
    rng = np.random.default_rng(2)
    raw = rng.uniform(-1, 9, (3, 2, 7, 11)).astype(np.float32)
    valid = (rng.random(raw.shape) < 0.8).astype(np.uint8)
    mask = (rng.random(raw.shape) < 0.7).astype(np.uint8) * 255
    fixed = rng.random(raw.shape, dtype=np.float32)
    low, high = np.array([0, 1, 8], np.float32), np.array([8, 5, 0], np.float32)
    outside = np.array([0, 0.5, 1], np.float32)
    moved, u8, sums = np.empty_like(raw), np.empty_like(valid), np.empty((3, 7))
    windowed_sums(raw, valid, low, high, outside, fixed, mask, moved, u8, sums)
    shape = (3, 1, 1, 1)
    want = np.clip((raw - low.reshape(shape)) / (high - low).reshape(shape), 0, 1)
    want = np.where(valid != 0, want, outside.reshape(shape))
    np.testing.assert_allclose(moved, want, atol=1e-6)
    assert np.abs(u8 - np.rint(255 * want)).max() <= 1 and (u8 == np.rint(255 * want)).mean() > 0.999
    for lane in range(3):
        counted = (mask[lane] != 0) & (valid[lane] != 0)
        f, m = fixed[lane][counted].astype(float), moved[lane][counted].astype(float)
        expected = [np.count_nonzero(mask[lane]), len(f), f.sum(), m.sum(), (f * f).sum(), (m * m).sum(), (f * m).sum()]
        np.testing.assert_allclose(sums[lane], expected, rtol=1e-9)
    again = raw.copy()
    windowed_sums(again, valid, low, high, outside, None, None, again)
    np.testing.assert_array_equal(again, moved)


def test_bad_arguments_are_refused() -> None:
    grid = Grid.centred((8, 8, 8), (2.0, 2.0, 2.0))
    camera = camera_along(np.eye(3), (5, 4))
    image = Image(np.zeros(grid.shape, np.float32), grid)
    addresses, shapes = array_addresses([image.array])
    sources, planes = index_rays(camera, detector_planes(camera), grid.physical_to_index[None])
    sources, spacings = sources[:, None], np.array([grid.spacing])
    out, valid = np.empty((1, 1, 4, 5), np.float32), np.empty((1, 1, 4, 5), np.uint8)
    project(addresses, shapes, spacings, sources, planes, out, valid)
    with pytest.raises(ValueError, match="3-D volumes"):
        project(addresses, shapes[:, :2], spacings, sources, planes, out, valid)
    with pytest.raises(ValueError, match="spacings"):
        project(addresses, shapes, -spacings, sources, planes, out, valid)
    with pytest.raises(ValueError, match="sources"):
        project(addresses, shapes, spacings, sources[:, 0], planes, out, valid)
    with pytest.raises(ValueError, match="planes"):
        project(addresses, shapes, spacings, sources, planes[:, :, :2], out, valid)
    with pytest.raises(ValueError, match="out"):
        project(addresses, shapes, spacings, sources, planes, out[0], valid)
    with pytest.raises(ValueError, match="valid"):
        project(addresses, shapes, spacings, sources, planes, out, valid.astype(np.bool_))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="thresholds"):
        depth(addresses, shapes, spacings, sources, planes, np.zeros(2, np.float32), out, valid)
    with pytest.raises(ValueError, match="only a 3-D volume"):
        radiograph(Image(np.zeros((4, 4), np.float32), Grid.centred((4, 4), (1.0, 1.0))), camera)
    one = np.ones(1, np.float32)
    with pytest.raises(ValueError, match="finite width"):
        windowed_sums(out, valid, one, one, one, None, None, out)
    with pytest.raises(ValueError, match="sums must be"):
        windowed_sums(out, valid, one * 0, one, one, out, valid, out, None, np.empty((1, 6)))


def test_attenuation() -> None:
    got = attenuation(np.array([-1024, -950, -900, 0, 1000]))
    np.testing.assert_allclose(got, [0, 0, 0.00195, 0.0195, 0.039], rtol=1e-5)
    assert got.dtype == np.float32
