"""What the recipes share: lattices in a mask, landmarks of two scans, the pair that two scans make."""

import numpy as np
import pytest

from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.shapes import rotation
from regenv.synthesis.population import load_population
from regenv.synthesis.recipe import get_recipe
from regenv.synthesis.recipes._scans import (
    Landmarks,
    Scan,
    beyond_alignment,
    common_names,
    deformed_pair,
    either_way,
    fit_affine,
    inner_lattice,
    labels_and_body,
    linear_pair,
    mask_lattice,
    tilt,
)

GRID = Grid.centred((21, 19, 17), (2.0, 2.5, 3.0), (5.0, -7.0, 11.0), rotation(8.0, -5.0, 12.0))


def scan(grid=GRID, labels=(1, 2), seed=0):
    """A scan with labels in its halves and a ball for a mask."""
    local = transform_points(np.linalg.inv(grid.frame), grid.points())
    organs = np.where(local[..., 0] < 0, labels[0], labels[1]).astype(np.uint8)
    values = np.random.default_rng(seed).uniform(0, 1, grid.shape).astype(np.float32)
    return Scan(Image(values, grid, "ct"), organs, np.linalg.norm(local, axis=-1) < 15.0)


def test_tilts_are_rotations_of_up_to_the_angle():
    rng = np.random.default_rng(0)
    turns = np.stack([tilt(rng, 7.0) for _ in range(200)])
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-12)
    angles = np.rad2deg(np.arccos((np.trace(turns, axis1=1, axis2=2) - 1) / 2))
    assert 7.0 < angles.max() < 7.0 * np.sqrt(3.0) + 0.5


def test_the_lattice_runs_along_the_grid_through_its_centre_within_the_mask():
    seen = scan()
    points = mask_lattice(seen.mask, GRID, 5.0)
    local = transform_points(np.linalg.inv(GRID.frame), points)
    np.testing.assert_allclose(local / 5.0, np.rint(local / 5.0), atol=1e-9)
    assert np.abs(local).min(axis=0).max() < 1e-9  # some lie on each of the planes through the centre
    assert seen.shows(points).all()
    whole = mask_lattice(np.ones(GRID.shape, bool), GRID, 5.0)
    assert len(whole) == np.prod([2 * int(e / 2 / 5.0) + 1 for e in GRID.extent])


def test_the_inner_lattice_leaves_out_what_lies_at_the_border():
    mask = scan().mask
    inner, all_points = inner_lattice(mask, GRID, 5.1), mask_lattice(mask, GRID, 5.1)
    assert 0 < len(inner) < len(all_points)
    steps = GRID.direction * np.asarray(GRID.spacing)
    shown = scan()
    for step in (*steps.T, *-steps.T):  # no lattice point lies between two voxels, so a step leads to the neighbour
        assert shown.shows(inner + step).all()


def test_landmarks_are_those_that_both_scans_have_and_show():
    a = {"inside": GRID.centre, "beside": GRID.centre + 100.0, "own": GRID.centre}
    b = {"beside": GRID.centre, "inside": GRID.centre + 1.0, "other": GRID.centre}
    marks = Landmarks.common(a, b)
    assert marks.names == ("inside", "beside")
    np.testing.assert_array_equal(marks.moving, [GRID.centre + 1.0, GRID.centre])
    kept = marks.shown(scan(), scan())
    assert kept.names == ("inside",)
    np.testing.assert_array_equal(kept.fixed, [GRID.centre])


def test_an_affine_map_is_fitted_and_what_it_leaves_is_along_the_grid():
    rng = np.random.default_rng(1)
    source = rng.uniform(-50, 50, (40, 3))
    matrix = np.eye(4)
    matrix[:3] += rng.normal(0, 0.1, (3, 4))
    np.testing.assert_allclose(fit_affine(source, transform_points(matrix, source)), matrix, atol=1e-10)
    local = rng.uniform(-20, 20, (10, 3))
    shift = rng.uniform(-3, 3, (10, 3))
    matched = transform_points(matrix @ GRID.frame, local + shift)
    np.testing.assert_allclose(beyond_alignment(GRID, matrix, local, matched), shift, atol=1e-10)


def test_a_linear_pair_maps_through_the_anatomy():
    to_fixed, to_moving = np.eye(4), np.eye(4)
    to_fixed[:3, 3], to_moving[:3, :3] = (1.0, 2.0, 3.0), 1.02 * np.eye(3)
    points = {"middle": GRID.centre, "far": GRID.centre + 200.0}
    fixed, moving = scan(), scan(seed=1)
    pair = linear_pair(fixed, moving, points, to_fixed, to_moving, {1: "one", 2: "two"})
    assert pair.truth.landmark_names == ("middle",)
    moved = transform_points(pair.truth.transform, pair.truth.landmarks_fixed)
    np.testing.assert_allclose(moved, pair.truth.landmarks_moving, atol=1e-10)
    np.testing.assert_allclose(pair.truth.landmarks_moving, [1.02 * GRID.centre], atol=1e-10)
    assert pair.fixed is fixed.image and pair.moving_mask is moving.mask and pair.truth.labels_fixed is fixed.labels


def test_a_deformed_pair_holds_its_points_and_its_alignment():
    points = (np.zeros((3, 3)), np.ones((3, 3)))
    pair = deformed_pair(scan(), scan(), points, 2.0 * np.eye(4))
    assert pair.truth.transform is None and pair.truth.landmarks_fixed is None and pair.truth.landmark_names == ()
    assert pair.truth.points_moving is points[1]
    np.testing.assert_array_equal(pair.alignment, 2.0 * np.eye(4))


def test_names_are_those_of_organs_in_both_scans():
    names = common_names(scan(labels=(1, 2)), scan(labels=(0, 2)))
    assert list(names) == [2]


@pytest.mark.parametrize("way", ["transform", "displace"])
def test_labels_are_read_where_the_scan_lies_in_the_anatomy(way):
    grid = Grid.centred((12, 12, 12), (3.0, 3.0, 3.0))
    organ = np.random.default_rng(0).integers(0, 100, grid.shape).astype(np.uint8)
    body = organ % 2 == 1
    empty = np.zeros(grid.shape, np.uint8)
    anatomy = Anatomy(grid, empty, empty, empty, organ, body, empty, empty, {}, 0)
    shift = np.eye(4)
    shift[:3, 3] = (3.0, -6.0, 0.0)  # one voxel to the left, two to the front
    if way == "transform":
        labels, inside = labels_and_body(anatomy, grid, shift)
    else:
        labels, inside = labels_and_body(anatomy, grid, displace=lambda points: transform_points(shift, points))
    np.testing.assert_array_equal(labels[:, 2:, :-1], organ[:, :-2, 1:])
    np.testing.assert_array_equal(inside[:, 2:, :-1], body[:, :-2, 1:])
    assert not labels[:, :2].any() and not inside[:, :, -1].any()


def test_one_of_every_two_seeds_is_turned_round_and_which_is_drawn():
    fixed = np.array([either_way("cardiac", seed, 0, 1)[0] for seed in range(2000)]).reshape(-1, 2)
    assert (fixed.sum(axis=1) == 1).all()
    assert 0.45 < fixed[:, 0].mean() < 0.55
    # nothing is to be learnt of a couple from the one before it, nor from another recipe
    assert 0.45 < (fixed[1:, 0] == fixed[:-1, 0]).mean() < 0.55
    lungs = np.array([either_way("lungs", seed, 0, 1)[0] for seed in range(0, 2000, 2)])
    assert 0.45 < (fixed[:, 0] == lungs).mean() < 0.55
    assert (
        either_way("cardiac", 7, "a", "b") == either_way("cardiac", 7, "a", "b") == either_way("cardiac", 6, "b", "a")
    )


@pytest.mark.parametrize("name", ["cardiac", "cardiac_slices", "lungs"])
def test_no_way_of_moving_is_that_of_most_subjects(name):
    """Half of the validation subjects move one way along the first mode and half the other: neither pays unseen."""
    recipe, model = get_recipe(name), load_population(name)
    assert recipe.displacement is not None
    points = np.random.default_rng(0).uniform(-model.extent_mm / 5, model.extent_mm / 5, (300, model.ndim))
    first = np.array(
        [
            model.project(points, recipe.displacement(seed, recipe.fields_of_view[0], points))[0]
            for seed in range(10_000, 10_008)
        ]
    )
    assert np.count_nonzero(first > 0.2) == np.count_nonzero(first < -0.2) == 4
    assert abs(first.mean()) < 0.3 * np.abs(first).mean()
