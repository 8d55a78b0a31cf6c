"""One slice of the beating heart, in two dimensions."""

import numpy as np
import pytest

from regenv.synthesis.anatomy.cardiac import heart_of
from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import get_recipe
from regenv.synthesis.recipes._scans import either_way
from tests.synthesis.recipes.deformed import determinants, label_overlaps, share_beaten, true_points

RECIPE = get_recipe("cardiac_slices")
CAVITY, WALL = int(Organ.LV_CAVITY), int(Organ.LV_WALL)
SEEDS = range(6)


@pytest.fixture(scope="module")
def pairs():
    return {seed: RECIPE.make(seed, ("mr", "mr"), "heart") for seed in SEEDS}


def test_equal_seeds_give_equal_bytes(pairs):
    again = RECIPE.make(1, ("mr", "mr"), "heart")
    for role in ("fixed", "moving"):
        assert getattr(again, role).array.tobytes() == getattr(pairs[1], role).array.tobytes()
    assert not np.array_equal(pairs[1].fixed.array, pairs[2].fixed.array)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_truth_is_exact(pairs, seed):
    pair = pairs[seed]
    assert pair.ndim == 2
    for kind in ("points", "landmarks"):
        fixed, moving = (getattr(pair.truth, f"{kind}_{role}") for role in ("fixed", "moving"))
        np.testing.assert_allclose(true_points(RECIPE, seed, pair, fixed), moving, atol=1e-5)
    assert 100 < len(pair.truth.points_fixed) < 500
    assert len(pair.truth.landmark_names) == len(pair.truth.landmarks_fixed) == 9


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_meet_through_the_truth(pairs, seed):
    for start, end in label_overlaps(RECIPE, seed, pairs[seed]).values():
        assert end > 0.9
        assert end > start + 0.03


@pytest.mark.parametrize("seed", SEEDS)
def test_images_agree_best_at_the_truth(pairs, seed):
    assert share_beaten(RECIPE, seed, pairs[seed]) == 1.0


@pytest.mark.parametrize("seed", SEEDS)
def test_the_slice_contracts(pairs, seed):
    """The area of the cavity falls; that of the wall grows by what the wall loses in length, which is not seen here."""
    truth = pairs[seed].truth
    systolic, diastolic = either_way(
        "cardiac_slices",
        seed,
        *(np.bincount(labels.ravel(), minlength=64) for labels in (truth.labels_fixed, truth.labels_moving)),
    )
    heart = heart_of(seed)
    assert (0.1 if heart.infarct else 0.4) < 1 - systolic[CAVITY] / diastolic[CAVITY] < 0.72
    assert systolic[WALL] * heart.shortening == pytest.approx(diastolic[WALL], rel=0.1)


@pytest.mark.parametrize("seed", range(0, 40, 5))
def test_the_beat_does_not_fold(seed):
    assert determinants(RECIPE, seed, (68, 68), 1.0).min() > 0.2  # least in a cavity that ejects
