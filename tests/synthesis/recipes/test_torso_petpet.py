"""PET before and after treatment: an affine change that is exact, and uptake that differs."""

import numpy as np
import pytest

from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import get_recipe
from regenv.synthesis.recipes.torso_petpet import weight_change
from tests.synthesis.recipes.linear import agreement, landmark_error, made, overlap, random_misalignments

RECIPE = get_recipe("torso_petpet")


@pytest.fixture(scope="module")
def pair():
    return made(RECIPE, 2, ("pet", "pet"), "torso")


def test_equal_seeds_give_equal_bytes(pair):
    again = RECIPE.make(2, ("pet", "pet"), "torso")
    other = made(RECIPE, 3, ("pet", "pet"), "torso")
    assert pair.fixed.array.tobytes() == again.fixed.array.tobytes()
    assert pair.moving.array.tobytes() == again.moving.array.tobytes()
    assert np.array_equal(pair.truth.transform, again.truth.transform)
    assert not np.array_equal(pair.truth.transform, other.truth.transform)


def test_weight_changes_are_of_a_size_seen_in_clinics():
    changes = [weight_change(np.random.default_rng(seed), np.zeros(3)) for seed in range(200)]
    volumes = np.array([np.linalg.det(c[:3, :3]) for c in changes])
    assert 0.8 < volumes.min() < 0.95 and 1.05 < volumes.max() < 1.25
    heights = np.array([c[2, 2] for c in changes])
    assert np.abs(heights - 1).max() < 0.04
    # invertible, of course, and never the identity
    assert min(np.abs(c - np.eye(4)).max() for c in changes) > 0.005


def test_the_truth_is_exact_and_no_rigid_motion(pair):
    assert landmark_error(pair) < 1e-9
    assert len(pair.truth.landmark_names) > 25
    linear = pair.truth.transform[:3, :3]
    assert not np.allclose(linear @ linear.T, np.eye(3), atol=5e-3)
    for organ in (Organ.LIVER, Organ.HEART, Organ.LUNG_LEFT):
        assert overlap(pair, pair.truth.transform, organ) > 0.85, organ.name
    # the identity leaves what weight has changed
    assert overlap(pair, np.eye(4), Organ.SPINE) < overlap(pair, pair.truth.transform, Organ.SPINE)


@pytest.mark.parametrize("seed", [2, 3])
def test_the_images_agree_best_at_the_truth(seed):
    pair = made(RECIPE, seed, ("pet", "pet"), "torso")
    best = agreement(pair, pair.truth.transform)
    others = [agreement(pair, t) for t in random_misalignments(pair, np.random.default_rng(seed))]
    assert best > max(others)


def test_uptake_changes_between_the_days():
    ratios = []
    for seed in range(4):
        pair = made(RECIPE, seed, ("pet", "pet"), "torso")
        values = [
            np.median(image.array[labels == Organ.HEART])
            for image, labels in ((pair.fixed, pair.truth.labels_fixed), (pair.moving, pair.truth.labels_moving))
        ]
        ratios.append(values[1] / values[0])
        assert pair.moving.array.min() >= 0
        for mask in (pair.fixed_mask, pair.moving_mask):
            shares = mask.mean(axis=(1, 2))
            assert min(shares[0], shares[-1]) > 0.5 * np.median(shares)
    assert np.std(np.log(ratios)) > 0.05
