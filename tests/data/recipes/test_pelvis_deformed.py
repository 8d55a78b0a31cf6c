"""MR and CT of one pelvis between which bladder and rectum have filled or emptied."""

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.data.anatomy.tissues import Organ
from regenv.data.recipe import get_recipe
from tests.data.recipes import deformed

RECIPE = get_recipe("pelvis_deformed")
SEEDS = range(4)


@pytest.fixture(scope="module")
def pairs():
    return {seed: RECIPE.make(seed, ("t2", "ct"), "pelvis") for seed in SEEDS}


def test_equal_seeds_give_equal_bytes(pairs):
    again = RECIPE.make(1, ("t2", "ct"), "pelvis")
    for role in ("fixed", "moving"):
        assert getattr(again, role).array.tobytes() == getattr(pairs[1], role).array.tobytes()
        assert getattr(again, role).array.tobytes() != getattr(pairs[2], role).array.tobytes()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_truth_is_exact(pairs, seed):
    pair = pairs[seed]
    for kind in ("points", "landmarks"):
        fixed, moving = (getattr(pair.truth, f"{kind}_{role}") for role in ("fixed", "moving"))
        np.testing.assert_allclose(deformed.true_points(RECIPE, seed, pair, fixed), moving, atol=1e-3)
    assert 150 <= len(pair.truth.points_fixed) <= 500
    moved = np.linalg.norm(pair.truth.points_fixed - pair.truth.points_moving, axis=1)
    assert 1.2 < moved.mean() < 6.0 and moved.max() < 16.0


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_meet_through_the_truth(pairs, seed):
    gains = []
    overlaps = deformed.label_overlaps(RECIPE, seed, pairs[seed])
    for label in (Organ.BLADDER, Organ.RECTUM):
        start, end = overlaps[label]
        assert end > 0.75 and end > start - 0.01
        gains.append(end - start)
    assert max(gains) > 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_images_agree_best_at_the_truth(pairs, seed):
    assert deformed.share_beaten(RECIPE, seed, pairs[seed], millimetres=16.0) >= 0.98


@pytest.mark.parametrize("seed", SEEDS)
def test_bones_stay(pairs, seed):
    pair = pairs[seed]
    bones = np.isin(pair.truth.labels_fixed, [Organ.PELVIS_BONE, Organ.FEMUR_LEFT, Organ.FEMUR_RIGHT, Organ.SPINE])
    points = pair.fixed.grid.points()[bones]
    moved = np.linalg.norm(deformed.true_points(RECIPE, seed, pair, points) - points, axis=1)
    assert moved.mean() < 0.2 and np.quantile(moved, 0.99) < 3.5


def test_nothing_folds_and_the_bladder_both_fills_and_empties():
    least, rise = [], []
    for seed in range(40):
        least.append(deformed.determinants(RECIPE, seed, (60.0, 60.0, 100.0), 6.0).min())
        points = np.random.default_rng(0).uniform(-15, 15, (50, 3)) + (0.0, -15.0, 35.0)
        rise.append(RECIPE.displacement(seed, "pelvis", points)[:, 2].mean())
    assert min(least) > 0.2
    assert min(rise) < -1.0 and max(rise) > 1.0


def test_the_displacement_holds_for_whatever_the_fixed_image_is(pairs):
    other = RECIPE.make(1, ("ct", "t1"), "pelvis")
    np.testing.assert_allclose(other.fixed.grid.frame, pairs[1].fixed.grid.frame)
    moved = deformed.true_points(RECIPE, 1, other, other.truth.points_fixed)
    np.testing.assert_allclose(moved, other.truth.points_moving, atol=1e-6)
    assert np.isfinite(transform_points(other.alignment, other.truth.points_fixed)).all()
