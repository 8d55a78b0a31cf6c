"""MR and CT of one pelvis whose bladder and rectum have filled or emptied, or of one lumbar spine bent otherwise."""

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import get_recipe
from regenv.synthesis.recipes._lumbar import lying
from tests.synthesis.recipes import deformed

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


@pytest.fixture(scope="module")
def spines():
    return {seed: RECIPE.make(seed, ("t2", "ct"), "spine") for seed in SEEDS}


def _landmarks(pair):
    truth = pair.truth
    return {
        name: (fixed, moving)
        for name, fixed, moving in zip(truth.landmark_names, truth.landmarks_fixed, truth.landmarks_moving, strict=True)
    }


def test_spines_of_equal_seeds_have_equal_bytes_and_are_no_pelves(spines, pairs):
    assert deformed.same(RECIPE.make(1, ("t2", "ct"), "spine"), spines[1])
    assert not deformed.same(spines[1], spines[2])
    assert "L2_body" in spines[1].truth.landmark_names and "L2_body" not in pairs[1].truth.landmark_names


@pytest.mark.parametrize("seed", SEEDS)
def test_the_truth_of_a_spine_is_exact(spines, seed):
    pair = spines[seed]
    for kind in ("points", "landmarks"):
        fixed, moving = (getattr(pair.truth, f"{kind}_{role}") for role in ("fixed", "moving"))
        np.testing.assert_allclose(deformed.true_points(RECIPE, seed, pair, fixed, "spine"), moving, atol=1e-6)
    assert 150 <= len(pair.truth.points_fixed) <= 500
    moved = np.linalg.norm(pair.truth.points_fixed - pair.truth.points_moving, axis=1)
    assert 0.5 < moved.mean() < 8.0 and moved.max() < 20.0


@pytest.mark.parametrize("seed", SEEDS)
def test_spines_meet_through_the_truth(spines, seed):
    overlaps = deformed.label_overlaps(RECIPE, seed, spines[seed], "spine")
    gains = []
    for label in (Organ.SPINE, Organ.SPINAL_CANAL, Organ.PELVIS_BONE):
        start, end = overlaps[label]
        assert end > 0.85 and end > start - 0.01
        gains.append(end - start)
    assert max(gains) > 0.03
    assert deformed.share_beaten(RECIPE, seed, spines[seed], 30, 16.0, "spine") >= 0.98


@pytest.mark.parametrize("seed", SEEDS)
def test_vertebrae_are_rigid_discs_give_way_and_l3_stays(spines, seed):
    marks = _landmarks(spines[seed])
    apart = []
    for upper, lower in zip(("L1", "L2", "L3", "L4"), ("L2", "L3", "L4", "L5"), strict=True):
        body, spinous, below = (marks[name] for name in (f"{upper}_body", f"{upper}_spinous", f"{lower}_spinous"))
        lengths = [np.linalg.norm(body[role] - spinous[role]) for role in (0, 1)]
        assert abs(lengths[0] - lengths[1]) < 0.2
        apart.append(abs(np.linalg.norm(below[0] - spinous[0]) - np.linalg.norm(below[1] - spinous[1])))
    assert max(apart) > 0.3
    np.testing.assert_allclose(*marks["L3_body"], atol=1e-9)
    patient = lying("pelvis_deformed", seed)
    bodies = np.array([marks[f"L{n}_body"][0] for n in range(1, 6)])
    around = (bodies[:, None] + np.random.default_rng(0).uniform(-7, 7, (40, 3))).reshape(-1, 3)
    columns = [(patient.at_rest(around + h) - patient.at_rest(around - h)) / 0.4 for h in 0.2 * np.eye(3)]
    stretch = np.linalg.svd(np.stack(columns, axis=-1), compute_uv=False)
    assert np.abs(stretch - 1.0).max() < 1e-6


def test_no_spine_folds_and_all_bend_both_ways_by_what_was_measured():
    axes = [np.arange(-h, h + 1, 8.0) for h in (128.0, 128.0, 88.0)]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    angles = []
    for seed in range(20):
        assert deformed.least_determinant(RECIPE, seed, lattice, "spine") > 0.2
        angles.append(np.rad2deg(lying("pelvis_deformed", seed).angles))
    assert np.abs(angles).max() <= 3.8 + 1e-9
    total = np.array(angles).sum(axis=1)  # flexion, bending, twist of each patient
    assert (total[:, :2].min(axis=0) < -4.0).all() and (total[:, :2].max(axis=0) > 4.0).all()
    assert np.corrcoef(total[:, 1], total[:, 2])[0, 1] < -0.9


def test_the_displacement_of_a_spine_holds_for_whatever_the_fixed_image_is(spines):
    other = RECIPE.make(1, ("ct", "t1"), "spine")
    assert (other.fixed.modality, other.moving.modality) == ("ct", "t1")
    moved = deformed.true_points(RECIPE, 1, other, other.truth.points_fixed, "spine")
    np.testing.assert_allclose(moved, other.truth.points_moving, atol=1e-6)
    assert np.array_equal(other.truth.points_fixed, spines[1].truth.points_fixed)
