"""Two people's brains: correspondences of one template, in 3-D and in axial slices."""

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.data.frames import inside
from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import get_recipe
from tests.synthesis.recipes.deformed import agreement, determinants, mask_points, misaligned, overlap, true_points

RECIPES = {"brain_between": ("head", (84.0, 96.0, 80.0)), "brain_slices": ("axial", (84.0, 96.0))}


@pytest.fixture(scope="module", params=RECIPES)
def case(request):
    recipe = get_recipe(request.param)
    field, half = RECIPES[request.param]
    return recipe, recipe.make(3, ("t1", "t1"), field), half


def test_the_same_seed_gives_the_same_bytes(case):
    recipe, pair, _ = case
    again = recipe.make(3, ("t1", "t1"), recipe.fields_of_view[0])
    assert np.array_equal(pair.fixed.array, again.fixed.array)
    assert np.array_equal(pair.moving.array, again.moving.array)
    assert np.array_equal(pair.truth.points_moving, again.truth.points_moving)


def test_the_points_are_what_alignment_and_displacement_say(case):
    recipe, pair, _ = case
    known = pair.truth
    assert known.transform is None
    assert 150 < len(known.points_fixed) < 500
    found = true_points(recipe, 3, pair, known.points_fixed)
    np.testing.assert_allclose(found, known.points_moving, atol=1e-5)
    assert inside(pair.fixed.grid, known.points_fixed).all()
    assert inside(pair.moving.grid, known.points_moving).mean() > 0.98
    if known.landmarks_fixed is not None:
        found = true_points(recipe, 3, pair, known.landmarks_fixed)
        np.testing.assert_allclose(found, known.landmarks_moving, atol=1e-5)


def test_the_alignment_is_the_best_affine_map_and_leaves_some_millimetres(case):
    _, pair, _ = case
    fixed, moving = pair.truth.points_fixed, pair.truth.points_moving
    rest = moving - transform_points(pair.alignment, fixed)
    # least squares: the rest has no mean and no linear part
    design = np.column_stack([np.ones(len(fixed)), fixed - fixed.mean(axis=0)])
    np.testing.assert_allclose(design.T @ rest / len(fixed), 0, atol=1e-6)
    length = np.linalg.norm(rest, axis=1)
    assert 1.2 < length.mean() < 9.0
    assert length.max() < 25.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", RECIPES)
def test_the_map_does_not_fold(name, seed):
    recipe = get_recipe(name)
    half = RECIPES[name][1]
    jacobian = determinants(recipe, seed, half, 6.0 if len(half) == 3 else 3.0)
    assert jacobian.min() > 0.2
    assert jacobian.max() < 4.0


def test_structures_overlap_more_under_the_truth_than_at_the_start(case):
    recipe, pair, _ = case
    points = mask_points(pair, 30_000)
    aligned = transform_points(pair.alignment, points)
    at_truth = true_points(recipe, 3, pair, points)
    for organ in (Organ.WHITE_MATTER, Organ.CORTEX, Organ.VENTRICLES):
        assert overlap(pair, points, at_truth, organ) > overlap(pair, points, aligned, organ)
    assert overlap(pair, points, at_truth, Organ.WHITE_MATTER) > 0.6


def test_the_truth_agrees_better_than_misalignments(case):
    recipe, pair, _ = case
    points = mask_points(pair)
    at_truth = true_points(recipe, 3, pair, points)
    best = agreement(pair, points, at_truth)
    assert best > max(agreement(pair, points, elsewhere) for elsewhere in misaligned(at_truth))
    assert best > agreement(pair, points, transform_points(pair.alignment, points))


def test_dimensions_and_values(case):
    recipe, pair, half = case
    assert pair.ndim == recipe.ndim == len(half)
    for image, mask in ((pair.fixed, pair.fixed_mask), (pair.moving, pair.moving_mask)):
        assert image.array.min() >= 0 and image.array.max() < 1e5
        assert image.array[mask].mean() > 2 * np.percentile(image.array, 5)
        assert 0.1 < mask.mean() < 0.6
    assert recipe.crop_fixed == 0.0
