"""Variations: exact problems, whatever is done to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from regenv.core.camera import Camera
from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.core.labels import labels_at
from regenv.core.resample import resample
from regenv.data.pair import ImagePair, Truth
from regenv.poses import get_model
from regenv.synthesis.variation import draw_warp, mirrored, varied, warped
from tests.envs.blobs import Blobs

PLAIN = np.array([-1e6, 1.0, -1e6, 1e9, 0.0, 0.0], np.float32)
"""A tone that changes nothing."""


def motion(ndim: int, seed: int) -> np.ndarray:
    model = get_model("affine", ndim)
    widths = {"mm": 20.0, "deg": 15.0, "%": 5.0}
    rng = np.random.default_rng(seed)
    return model.exp((rng.uniform(-1, 1, model.n_parameters) * [widths[unit] for unit in model.units])[None])[0]


def ramps(grid: Grid, axis: int) -> Image:
    """An image whose value is a physical coordinate: interpolation of it is exact."""
    return Image(grid.points()[..., axis].astype(np.float32), grid, "other", -1e6)


def coordinates_pair(ndim: int, axis: int, linear: bool, seed: int = 0) -> ImagePair:
    """Both images tell where they were sampled; landmarks lie all over them."""
    rng = np.random.default_rng(seed)
    size, spacing = ((60, 50, 40), (3.0, 3.5, 4.0)) if ndim == 3 else ((90, 80), (2.0, 1.5))
    turn = get_model("rigid", ndim).exp(np.zeros((1, 6 if ndim == 3 else 3)) + 8.0)[0][:ndim, :ndim]
    fixed = Grid.centred(size, spacing, rng.uniform(-50, 50, ndim), turn)
    truth = motion(ndim, seed)
    moving = Grid.centred(size, spacing, transform_points(truth, fixed.centre), truth[:ndim, :ndim] * 0 + turn.T)
    inner = rng.uniform(-0.3, 0.3, (40, ndim)) * fixed.extent
    points = transform_points(fixed.frame, inner)
    partners = transform_points(truth, points) + (0.0 if linear else rng.normal(0, 4, points.shape))
    known = Truth(truth if linear else None, points, partners, points_fixed=points, points_moving=partners)
    images = ramps(fixed, axis), ramps(moving, axis)
    return ImagePair("", "", *images, truth=known, alignment=None if linear else truth)


def sampled(image: Image, points: np.ndarray) -> np.ndarray:
    """Linear interpolation at points, in float64."""
    values = [
        resample(image, Grid((1,) * points.shape[1], (1.0,) * points.shape[1], tuple(p), np.eye(points.shape[1])))[0]
        for p in points
    ]
    return np.array(values, dtype=np.float64).ravel()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("linear", [True, False])
def test_points_and_images_stay_together_to_a_tenth_of_a_millimetre(ndim: int, linear: bool) -> None:
    for axis in range(ndim):
        pair = coordinates_pair(ndim, axis, linear)
        rng = np.random.default_rng(5)
        warp = draw_warp(pair.fixed.grid, rng)
        new = warped(pair, warp, rng, (PLAIN, PLAIN))
        before, after = pair.truth, new.truth
        assert np.linalg.norm(after.landmarks_fixed - before.landmarks_fixed, axis=1).max() > 2.0
        np.testing.assert_allclose(sampled(new.fixed, after.landmarks_fixed), before.landmarks_fixed[:, axis], atol=0.1)
        np.testing.assert_allclose(
            sampled(new.moving, after.landmarks_moving), before.landmarks_moving[:, axis], atol=0.1
        )
        np.testing.assert_array_equal(after.points_moving, after.landmarks_moving)
        if linear:
            np.testing.assert_array_equal(after.transform, before.transform)
            carried = transform_points(after.transform, after.landmarks_fixed)
            np.testing.assert_allclose(carried, after.landmarks_moving, atol=1e-6)


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_warp_is_invertible_and_keeps_the_centre(ndim: int) -> None:
    grid = coordinates_pair(ndim, 0, True).fixed.grid
    for seed in range(20):
        warp = draw_warp(grid, np.random.default_rng(seed))
        points = grid.points().reshape(-1, ndim)[::37]
        np.testing.assert_allclose(warp(warp.inverse(points)), points, atol=1e-8)
        np.testing.assert_allclose(warp(grid.centre), grid.centre, atol=1e-9)
        steps = 1e-3 * np.eye(ndim)
        jacobian = np.stack([(warp(points + s) - warp(points - s)) / 2e-3 for s in steps], axis=-1)
        assert np.linalg.det(jacobian).min() > 0.4


def test_across_single_slices_nothing_is_moved() -> None:
    grid = Grid.centred((60, 60, 1), (2.0, 2.0, 5.0), (5.0, 6.0, 7.0))
    warp = draw_warp(grid, np.random.default_rng(0))
    moved = warp(grid.points()) - grid.points()
    assert np.abs(moved[..., 2]).max() == 0 and np.abs(moved[..., :2]).max() > 1
    above = grid.points() + [0, 0, 30.0]
    np.testing.assert_allclose(warp(above) - above, moved, atol=1e-9)


def correlation(pair: ImagePair, shift: float = 0.0) -> float:
    off = np.eye(4)
    off[0, 3] = shift
    moved, valid = resample(pair.moving, pair.fixed.grid, pair.truth.transform @ off)
    inside = pair.fixed_mask & valid
    return float(np.corrcoef(moved[inside], pair.fixed.array[inside])[0, 1])


def with_labels(pair: ImagePair) -> ImagePair:
    """Label 1 on the left of the fixed image's middle, 2 on the right, in both images."""
    back = np.linalg.inv(pair.truth.transform)
    right = [
        transform_points(matrix, grid.points())[..., 0] > pair.fixed.grid.centre[0]
        for matrix, grid in ((np.eye(4), pair.fixed.grid), (back, pair.moving.grid))
    ]
    fixed, moving = (np.where(r, 2, 1).astype(np.uint8) for r in right)
    rng = np.random.default_rng(0)
    marks = transform_points(pair.fixed.grid.frame, rng.uniform(-40, 40, (50, 3)))
    truth = replace(
        pair.truth,
        landmarks_fixed=marks,
        landmarks_moving=transform_points(pair.truth.transform, marks),
        landmark_names=tuple(
            f"{'right' if m[0] > pair.fixed.grid.centre[0] else 'left'}_{i}" for i, m in enumerate(marks)
        ),
        labels_fixed=fixed,
        labels_moving=moving,
        label_names={1: "left lung", 2: "right lung"},
    )
    return replace(pair, truth=truth)


@pytest.mark.parametrize("seed", range(4))
def test_a_variation_is_as_exact_as_the_pair(seed: int) -> None:
    pair = with_labels(Blobs("train").load(0))
    new = varied(pair, np.random.default_rng(seed), mirrors=True)
    same = varied(pair, np.random.default_rng(seed), mirrors=True)
    np.testing.assert_array_equal(new.fixed.array, same.fixed.array)
    assert correlation(new) > correlation(pair) - 0.02 > correlation(new, shift=6.0)
    assert not np.array_equal(new.fixed.array.shape, pair.fixed.array.shape) or not np.array_equal(
        new.fixed.array, pair.fixed.array
    )
    # what a landmark's name says is what the label maps say where it lies, in both images
    for points, labels, grid in (
        (new.truth.landmarks_fixed, new.truth.labels_fixed, new.fixed.grid),
        (new.truth.landmarks_moving, new.truth.labels_moving, new.moving.grid),
    ):
        found = labels_at(labels, grid, points)
        names = [new.truth.label_names[int(value)].split()[0] for value in found]
        agree = [name == mark.split("_")[0] for name, mark in zip(names, new.truth.landmark_names, strict=True)]
        assert np.mean(agree) > 0.9
    assert new.fixed_mask.shape == new.fixed.array.shape == new.truth.labels_fixed.shape
    assert new.moving.array.shape == new.truth.labels_moving.shape


def test_what_is_mirrored_is_another_patient() -> None:
    pair = with_labels(Blobs("train").load(0))
    new = mirrored(pair, np.array([True, False, False]))
    assert new.truth.label_names == {1: "right lung", 2: "left lung"}
    assert np.linalg.det(new.truth.transform[:3, :3]) == pytest.approx(1.0)
    assert correlation(new) == pytest.approx(correlation(pair), abs=0.01)


def test_a_pair_with_cameras_is_not_warped() -> None:
    pair = Blobs("train").load(0)
    detector = Grid.centred((8, 8, 1), (1.0, 1.0, 1.0))
    pair = replace(pair, cameras=(Camera(np.array([0.0, 0.0, 500.0]), detector, np.zeros(3)),))
    with pytest.raises(ValueError, match="rendered from a varied patient"):
        varied(pair, np.random.default_rng(3))
