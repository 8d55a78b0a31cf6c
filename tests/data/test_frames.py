"""The random frame of a case: nothing of the images or the truth may change, and neither header nor centre may help."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.data.frames import (
    case_generator,
    crop_image,
    inside,
    random_crop,
    random_rotation,
    reorder_array,
    reorder_grid,
    tilt_moving,
    with_random_frame,
)
from regenv.data.pair import ImagePair, Truth
from regenv.errors import OptionError


def aligned_pair(size: tuple[int, ...] = (40, 36, 30)) -> ImagePair:
    """Two images of one anatomy in one oblique frame: every voxel has its own value, so points can be recognised."""
    d = len(size)
    direction = random_rotation(d, np.random.default_rng(5))
    grid = Grid.centred(size, (2.0, 2.5, 3.0)[:d], np.array([10.0, -20.0, 400.0])[:d], direction)
    values = np.random.default_rng(1).permutation(int(np.prod(size))).astype(np.float32).reshape(grid.shape)
    middle = tuple(slice(n // 2 - 3, n // 2 + 3) for n in grid.shape)
    points = grid.points()[middle].reshape(-1, d)
    labels = (values % 7).astype(np.int32)
    truth = Truth(
        transform=np.eye(d + 1),
        landmarks_fixed=points,
        landmarks_moving=points.copy(),
        landmark_names=tuple(f"p{i}" for i in range(len(points))),
        labels_fixed=labels,
        labels_moving=labels.copy(),
    )
    mask = values > 10
    return ImagePair("a", "s", Image(values, grid), Image(values.copy(), grid), mask, mask.copy(), truth)


def value_at(image: Image, points: np.ndarray, array: np.ndarray | None = None) -> np.ndarray:
    index = transform_points(image.grid.physical_to_index, points)
    nearest = np.rint(index).astype(int)
    assert np.abs(index - nearest).max() < 1e-6  # the points are voxel centres
    return (image.array if array is None else array)[tuple(nearest.T[::-1])]


@pytest.mark.parametrize("size", [(40, 36, 30), (40, 36)])
@pytest.mark.parametrize("case", range(8))
def test_truth_maps_each_point_to_the_same_anatomy(size: tuple[int, ...], case: int) -> None:
    pair = with_random_frame(aligned_pair(size), case_generator("test", case))
    truth = pair.truth
    assert truth is not None and truth.transform is not None and truth.landmarks_fixed is not None
    fixed = pair.fixed.grid.points().reshape(-1, len(size))
    moving = transform_points(truth.transform, fixed)
    shared = inside(pair.moving.grid, moving)
    assert shared.sum() > 0.3 * len(shared)
    fixed, moving = fixed[shared], moving[shared]
    np.testing.assert_array_equal(value_at(pair.fixed, fixed), value_at(pair.moving, moving))
    for on_fixed, on_moving in ((pair.fixed_mask, pair.moving_mask), (truth.labels_fixed, truth.labels_moving)):
        assert on_fixed is not None and on_moving is not None
        np.testing.assert_array_equal(value_at(pair.fixed, fixed, on_fixed), value_at(pair.moving, moving, on_moving))
    np.testing.assert_allclose(
        transform_points(truth.transform, truth.landmarks_fixed), truth.landmarks_moving, atol=1e-9
    )
    assert len(truth.landmark_names) == len(truth.landmarks_fixed)


def test_voxels_are_moved_and_never_changed() -> None:
    source = aligned_pair()
    before = source.moving.array.copy()
    pair = with_random_frame(source, case_generator("voxels"), max_crop=0.0)
    np.testing.assert_array_equal(np.sort(pair.moving.array.ravel()), np.sort(before.ravel()))
    np.testing.assert_array_equal(pair.fixed.array, source.fixed.array)
    np.testing.assert_array_equal(source.moving.array, before)


def test_header_and_centre_do_not_solve_the_case() -> None:
    """TRE of four guesses that use no image: the headers, the centres, the axes of the arrays, and the first truth."""
    errors: dict[str, list[float]] = {"header": [], "centre": [], "axes": [], "inverse": []}
    first = None
    for case in range(60):
        pair = with_random_frame(aligned_pair((128, 120, 100)), case_generator("guess", case))
        fixed, moving, truth = pair.fixed.grid, pair.moving.grid, pair.truth
        assert truth is not None and truth.transform is not None
        first = truth.transform if first is None else first
        corners = np.array(list(itertools.product(*[(0.2 * n, 0.8 * n) for n in fixed.size])))
        points = transform_points(fixed.index_to_physical, corners)
        centred = np.eye(4)
        centred[:3, 3] = moving.centre - fixed.centre
        guesses = {
            "header": np.eye(4),
            "centre": centred,
            "axes": moving.frame @ np.linalg.inv(fixed.frame),
            "inverse": first,
        }
        for name, guess in guesses.items():
            apart = transform_points(guess, points) - transform_points(truth.transform, points)
            errors[name].append(float(np.linalg.norm(apart, axis=1).mean()))
    for name, values in errors.items():
        rest = values[1:] if name == "inverse" else values
        assert np.median(rest) > 80.0, name
        assert np.mean(np.array(rest) < 10.0) < 0.1, name


def test_the_same_case_is_the_same_and_another_is_another() -> None:
    one, again, other = (with_random_frame(aligned_pair(), case_generator("phantom", "train", k)) for k in (3, 3, 4))
    np.testing.assert_array_equal(one.moving.grid.index_to_physical, again.moving.grid.index_to_physical)
    np.testing.assert_array_equal(one.moving.array, again.moving.array)
    assert np.abs(one.moving.grid.index_to_physical - other.moving.grid.index_to_physical).max() > 1.0


def test_case_generator_is_the_same_on_every_machine() -> None:
    assert case_generator("phantom", "test", 7).integers(0, 2**31, 3).tolist() == [1136840566, 1700649194, 360260330]


def test_rotations_are_uniform() -> None:
    """The angle of a Haar-random rotation has density (1 - cos a) / pi, mean 90 + 360 / pi^2 = 126.5 degrees."""
    rng = np.random.default_rng(0)
    rotations = np.array([random_rotation(3, rng) for _ in range(4000)])
    angles = np.degrees(np.arccos(np.clip((np.trace(rotations, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    assert abs(angles.mean() - (90 + 360 / np.pi**2)) < 2.0
    assert np.abs(rotations.mean(axis=0)).max() < 0.05
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0, atol=1e-12)


@pytest.mark.parametrize("size", [(100, 80, 60), (9, 8, 3), (270, 320, 29)])
def test_crops_keep_the_middle_and_enough_voxels(size: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    seen = set()
    for _ in range(200):
        box = random_crop(Grid.centred(size, (1, 1, 1)), rng, 0.15)
        for n, s in zip(size, box, strict=True):
            assert s.start <= (n - 1) // 2 < s.stop
            assert s.stop - s.start >= min(n, 8)
            assert s.start <= 0.15 * n and n - s.stop <= 0.15 * n
        seen.add(tuple((s.start, s.stop) for s in box))
    assert len(seen) > 100 or max(size) < 10


def test_landmarks_cut_off_are_left_out() -> None:
    source = aligned_pair()
    grid = source.fixed.grid
    ends = grid.points()[[0, -1], [0, -1], [0, -1]]
    middle = grid.centre[None]
    points = np.concatenate([ends, middle])
    assert source.truth is not None
    truth = Truth(np.eye(4), points, points.copy(), ("first", "last", "middle"))
    pair = with_random_frame(
        ImagePair("a", "s", source.fixed, source.moving, truth=truth), case_generator("cut", 1), max_crop=0.4
    )
    assert pair.truth is not None
    assert pair.truth.landmark_names == ("middle",)
    np.testing.assert_allclose(pair.truth.landmarks_fixed, middle)


def test_a_crop_never_empties_a_mask() -> None:
    """An organ at the edge: the images are cropped only where at least half of it stays."""
    source = aligned_pair()
    mask = np.zeros(source.fixed.grid.shape, dtype=bool)
    mask[:2] = True
    cropped = 0
    for case in range(30):
        pair = with_random_frame(replace(source, fixed_mask=mask, moving_mask=mask), case_generator("edge", case))
        assert pair.fixed_mask is not None and pair.moving_mask is not None
        assert pair.fixed_mask.shape == pair.fixed.array.shape
        assert min(pair.fixed_mask.sum(), pair.moving_mask.sum()) >= mask.sum() / 2
        cropped += pair.fixed.array.size < source.fixed.array.size
    assert 0 < cropped < 30


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flip", [(False, True, False), (True, True, True)])
def test_reordered_voxels_stay_where_they_are(order: tuple[int, ...], flip: tuple[bool, ...]) -> None:
    image = aligned_pair((7, 6, 5)).fixed
    grid = reorder_grid(image.grid, order, flip)
    array = reorder_array(image.array, order, flip)
    assert array.shape == grid.shape
    points = image.grid.points().reshape(-1, 3)
    np.testing.assert_array_equal(value_at(Image(array, grid), points), image.array.ravel())


def test_moving_axes_keep_their_handedness() -> None:
    for case in range(20):
        pair = with_random_frame(aligned_pair(), case_generator("hand", case))
        assert np.linalg.det(pair.moving.grid.direction) == pytest.approx(1.0)


def test_crop_image_keeps_positions() -> None:
    image = aligned_pair().fixed
    cropped = crop_image(image, (slice(3, 20), slice(0, 10), slice(5, 30)))
    assert cropped.array.shape == (25, 10, 17)
    np.testing.assert_allclose(cropped.grid.points()[0, 0, 0], image.grid.points()[5, 0, 3])
    assert cropped.array[0, 0, 0] == image.array[5, 0, 3]


def test_a_crop_of_half_is_refused() -> None:
    with pytest.raises(OptionError, match="max_crop=0.5"):
        with_random_frame(aligned_pair(), np.random.default_rng(0), max_crop=0.5)


def test_a_tilt_hides_the_rotation_from_the_headers_and_keeps_the_anatomy() -> None:
    grid = Grid.centred((40, 36, 30), (2.0, 2.5, 3.0), (10.0, -20.0, 400.0))
    ramp = (grid.points() @ [0.5, -0.3, 0.2]).astype(np.float32)  # linear interpolation reproduces a ramp
    mask = np.ones(grid.shape, bool)
    truth = Truth(transform=np.eye(4), labels_fixed=mask.astype(int), labels_moving=mask.astype(int))
    pair = ImagePair("a", "s", Image(ramp, grid), Image(ramp.copy(), grid), mask, mask.copy(), truth)
    tilted = tilt_moving(pair, case_generator("tilt"))
    turn = grid.direction.T @ tilted.moving.grid.direction
    angle = np.degrees(np.arccos((np.trace(turn) - 1) / 2))
    assert 1.0 < angle < 18.0
    assert tilted.moving_mask is not None and 0.5 < tilted.moving_mask.mean() < 1.0
    assert tilted.truth is not None and tilted.truth.labels_moving is not None
    np.testing.assert_array_equal(tilted.truth.labels_moving, tilted.moving_mask)
    centre = tuple(slice(n // 4, -(n // 4)) for n in grid.shape)
    expected = tilted.moving.grid.points() @ [0.5, -0.3, 0.2]
    np.testing.assert_allclose(tilted.moving.array[centre], expected[centre], atol=1e-3)
    np.testing.assert_array_equal(tilted.truth.transform, np.eye(4))
