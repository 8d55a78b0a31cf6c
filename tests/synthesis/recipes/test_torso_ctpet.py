"""PET and CT of one trunk: reproducible, exact, and hidden from the headers."""

import numpy as np
import pytest

from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import get_recipe
from tests.synthesis.recipes.linear import agreement, landmark_error, made, overlap, random_misalignments

RECIPE = get_recipe("torso_ctpet")


@pytest.fixture(scope="module")
def pair():
    return made(RECIPE, 3, ("pet", "ct"), "torso")


def test_equal_seeds_give_equal_bytes(pair):
    again = RECIPE.make(3, ("pet", "ct"), "torso")
    other = made(RECIPE, 4, ("pet", "ct"), "torso")
    for role in ("fixed", "moving"):
        one, two, three = (getattr(p, role) for p in (pair, again, other))
        assert one.array.tobytes() == two.array.tobytes()
        assert np.array_equal(one.grid.index_to_physical, two.grid.index_to_physical)
        assert one.array.shape != three.array.shape or not np.array_equal(one.array, three.array)
    assert np.array_equal(pair.truth.labels_moving, again.truth.labels_moving)


def test_images_are_what_they_say(pair):
    assert (pair.fixed.modality, pair.moving.modality) == ("pet", "ct")
    assert pair.fixed.array.min() >= 0 and 3 < pair.fixed.array.max() < 80
    assert pair.moving.array.min() >= -1024 and 500 < pair.moving.array.max() <= 3071
    assert pair.fixed_mask.shape == pair.fixed.array.shape and 0.25 < pair.fixed_mask.mean() < 0.75
    assert pair.moving_mask.shape == pair.moving.array.shape and 0.25 < pair.moving_mask.mean() < 0.75
    assert np.median(pair.moving.array[pair.truth.labels_moving == Organ.LUNG_LEFT]) < -700
    liver, lung = (np.median(pair.fixed.array[pair.truth.labels_fixed == o]) for o in (Organ.LIVER, Organ.LUNG_LEFT))
    assert liver > 2 * lung


@pytest.mark.parametrize("seed", range(4))
def test_the_patient_lies_differently_and_the_scan_does_not_run_out_of_him(seed):
    pair = made(RECIPE, seed, ("pet", "ct"), "torso")
    relative = pair.fixed.grid.direction.T @ pair.moving.grid.direction
    angle = np.rad2deg(np.arccos(np.clip((np.trace(relative) - 1) / 2, -1, 1)))
    assert 0.5 < angle < 18
    for mask in (pair.fixed_mask, pair.moving_mask):
        shares = mask.mean(axis=(1, 2))
        assert min(shares[0], shares[-1]) > 0.5 * np.median(shares)


def test_the_truth_is_exact(pair):
    assert landmark_error(pair) == 0.0
    assert len(pair.truth.landmark_names) > 30
    for organ in (Organ.LIVER, Organ.HEART, Organ.LUNG_RIGHT, Organ.SPLEEN):
        assert overlap(pair, pair.truth.transform, organ) > 0.85, organ.name
    start = random_misalignments(pair, np.random.default_rng(0), 5)
    for transform in start:
        assert overlap(pair, transform, Organ.LIVER) < overlap(pair, pair.truth.transform, Organ.LIVER) - 0.05


@pytest.mark.parametrize("seed", [0, 3])
def test_the_images_agree_best_at_the_truth(seed):
    pair = made(RECIPE, seed, ("pet", "ct"), "torso")
    best = agreement(pair, pair.truth.transform)
    others = [agreement(pair, t) for t in random_misalignments(pair, np.random.default_rng(seed))]
    assert best > max(others)


def test_either_modality_serves_on_either_side():
    pair = made(RECIPE, 1, ("ct", "pet"), "torso")
    assert (pair.fixed.modality, pair.moving.modality) == ("ct", "pet")
    assert np.array_equal(pair.fixed.grid.direction, np.eye(3))
