"""One head whose tissue has moved between two contrasts."""

import numpy as np
import pytest

from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import get_recipe
from tests.synthesis.recipes.deformed import agreement, determinants, mask_points, misaligned, overlap, true_points

RECIPE = get_recipe("brain_deformed")


@pytest.fixture(scope="module")
def pair():
    return RECIPE.make(2, ("t1", "t2"), "head")


def test_the_same_seed_gives_the_same_bytes(pair):
    again = RECIPE.make(2, ("t1", "t2"), "head")
    assert np.array_equal(pair.fixed.array, again.fixed.array)
    assert np.array_equal(pair.moving.array, again.moving.array)


def test_points_and_landmarks_are_what_the_displacement_says(pair):
    for fixed, moving in (
        (pair.truth.points_fixed, pair.truth.points_moving),
        (pair.truth.landmarks_fixed, pair.truth.landmarks_moving),
    ):
        np.testing.assert_allclose(true_points(RECIPE, 2, pair, fixed), moving, atol=1e-6)
    assert np.array_equal(pair.alignment, np.eye(4))
    assert len(pair.truth.landmark_names) >= 20


@pytest.mark.parametrize("seed", range(4))
def test_the_displacement_is_of_clinical_size_and_does_not_fold(seed):
    axes = [np.arange(-80.0, 81.0, 8.0)] * 3
    local = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    length = np.linalg.norm(RECIPE.displacement(seed, "head", local), axis=1)
    assert 1.5 < length.mean() < 4.5
    assert 4.0 < length.max() < 11.0
    assert determinants(RECIPE, seed, (84.0, 96.0, 80.0), 6.0).min() > 0.4


def test_the_truth_agrees_better_than_the_start_and_misalignments(pair):
    points = mask_points(pair)
    at_truth = true_points(RECIPE, 2, pair, points)
    for organ in (Organ.WHITE_MATTER, Organ.VENTRICLES, Organ.DEEP_GREY):
        assert overlap(pair, points, at_truth, organ) > max(0.7, overlap(pair, points, points, organ))
    best = agreement(pair, points, at_truth)
    assert best > agreement(pair, points, points)
    assert best > max(agreement(pair, points, elsewhere) for elsewhere in misaligned(at_truth))
