"""T2 MR and transrectal ultrasound of one prostate: rigid, and pressed by the probe."""

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import get_recipe
from tests.synthesis.recipes import deformed, linear

SEEDS = range(4)
GLAND, CENTRAL, BLADDER = int(Organ.PROSTATE), int(Organ.CENTRAL_GLAND), int(Organ.BLADDER)
RIGID, SOFT = get_recipe("prostate_trus"), get_recipe("prostate_trus_deformed")


@pytest.fixture(scope="module")
def rigid():
    return {seed: RIGID.make(seed, ("us", "t2"), "prostate") for seed in SEEDS}


@pytest.fixture(scope="module")
def soft():
    return {seed: SOFT.make(seed, ("us", "t2"), "prostate") for seed in SEEDS}


@pytest.mark.parametrize("recipe", [RIGID, SOFT], ids=lambda r: r.name)
def test_equal_seeds_give_equal_bytes(recipe):
    first, again, other = (recipe.make(seed, ("us", "t2"), "prostate") for seed in (1, 1, 2))
    for role in ("fixed", "moving"):
        assert getattr(again, role).array.tobytes() == getattr(first, role).array.tobytes()
    assert first.fixed.grid.shape != other.fixed.grid.shape or not np.array_equal(first.fixed.array, other.fixed.array)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rigid_truth_is_exact_and_best(rigid, seed):
    pair = rigid[seed]
    assert linear.landmark_error(pair) < 1e-9
    assert linear.overlap(pair, pair.truth.transform, GLAND) > 0.8
    assert linear.overlap(pair, pair.truth.transform, CENTRAL) > 0.75
    best = linear.agreement(pair, pair.truth.transform)
    others = [
        linear.agreement(pair, t) for t in linear.random_misalignments(pair, np.random.default_rng(seed), 50, 20, 20)
    ]
    assert np.mean(np.array(others) < best) >= 0.98


def test_the_patient_lies_differently_in_the_two_scans(rigid):
    for pair in rigid.values():
        turn = pair.fixed.grid.direction.T @ pair.moving.grid.direction
        assert np.rad2deg(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) > 3.0


@pytest.mark.parametrize("kind", ["rigid", "soft"])
def test_ultrasound_shows_a_sector_with_a_black_bladder(kind, request):
    for pair in request.getfixturevalue(kind).values():
        image, labels = pair.fixed.array, pair.truth.labels_fixed
        assert image.min() == 0 and image.max() <= 255
        assert 0.2 < (image == 0).mean() < 0.85
        assert image[pair.fixed_mask].min() >= 0 and (image[pair.fixed_mask] > 0).mean() > 0.97
        seen = image > 0
        gland = image[seen & np.isin(labels, (GLAND, CENTRAL))].mean()
        assert 50 < gland < 140
        urine = seen & (labels == BLADDER)
        if urine.sum() > 500:
            assert np.quantile(image[urine], 0.2) < 0.5 * gland
        assert 0.02 < pair.fixed_mask.mean() < 0.5
        glandular = np.isin(labels, (GLAND, CENTRAL))
        assert (pair.fixed_mask & glandular).sum() > 0.8 * glandular.sum()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_soft_truth_is_exact(soft, seed):
    pair = soft[seed]
    for kind in ("points", "landmarks"):
        fixed, moving = (getattr(pair.truth, f"{kind}_{role}") for role in ("fixed", "moving"))
        np.testing.assert_allclose(deformed.true_points(SOFT, seed, pair, fixed), moving, atol=1e-4)
    assert 100 <= len(pair.truth.points_fixed) <= 500


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_meet_through_the_soft_truth(soft, seed):
    pair = soft[seed]
    overlaps = deformed.label_overlaps(SOFT, seed, pair)
    for label in (GLAND, CENTRAL):
        start, end = overlaps[label]
        assert end > start + 0.02
        assert end > 0.75


@pytest.mark.parametrize("seed", SEEDS)
def test_images_agree_best_at_the_soft_truth(soft, seed):
    assert deformed.share_beaten(SOFT, seed, soft[seed], millimetres=12.0) >= 0.94


def test_the_displacement_holds_for_whatever_the_fixed_image_is(soft):
    other = SOFT.make(1, ("t2", "us"), "prostate")
    np.testing.assert_allclose(other.fixed.grid.frame, soft[1].fixed.grid.frame)
    moved = deformed.true_points(SOFT, 1, other, other.truth.points_fixed)
    np.testing.assert_allclose(moved, other.truth.points_moving, atol=1e-4)


def test_the_probe_presses_and_nothing_folds():
    size, least = [], []
    middle = np.zeros((1, 3))
    for seed in range(40):
        least.append(deformed.determinants(SOFT, seed, (45.0,) * 3, 5.0).min())
        points = transform_points(np.eye(4), np.random.default_rng(0).uniform(-22, 22, (200, 3)))
        size.append(np.linalg.norm(SOFT.displacement(seed, "prostate", points), axis=1))
    assert min(least) > 0.25
    assert 1.5 < np.mean(size) < 6.0 and np.max(size) < 13.0
    assert np.ptp([np.linalg.norm(SOFT.displacement(seed, "prostate", middle)) for seed in range(20)]) > 2.0
