"""The beating heart in thick slices: reproducible, exact, one-to-one, and of the size of a heart's beat."""

import numpy as np
import pytest

from regenv.synthesis.anatomy.cardiac import heart_of
from regenv.synthesis.anatomy.heartbeat import diastole, draw_heart, systole
from regenv.synthesis.anatomy.heartbeat_kernels import radii
from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import get_recipe
from regenv.synthesis.recipes._scans import either_way
from tests.synthesis.recipes.deformed import determinants, label_overlaps, sampled, share_beaten, true_points

RECIPE = get_recipe("cardiac")
CAVITY, WALL, RIGHT = int(Organ.LV_CAVITY), int(Organ.LV_WALL), int(Organ.RV_CAVITY)


@pytest.fixture(scope="module")
def pairs():
    return {seed: RECIPE.make(seed, ("mr", "mr"), "heart") for seed in range(5)}


def test_equal_seeds_give_equal_bytes(pairs):
    again = RECIPE.make(1, ("mr", "mr"), "heart")
    for role in ("fixed", "moving"):
        assert getattr(again, role).array.tobytes() == getattr(pairs[1], role).array.tobytes()
    assert again.truth.points_moving.tobytes() == pairs[1].truth.points_moving.tobytes()
    assert not np.array_equal(pairs[1].fixed.array[:11], pairs[2].fixed.array[:11])
    assert not np.array_equal(pairs[1].fixed.array, pairs[1].moving.array)


@pytest.mark.parametrize("seed", range(5))
def test_the_truth_is_exact(pairs, seed):
    pair = pairs[seed]
    for kind in ("points", "landmarks"):
        fixed, moving = (getattr(pair.truth, f"{kind}_{role}") for role in ("fixed", "moving"))
        np.testing.assert_allclose(true_points(RECIPE, seed, pair, fixed), moving, atol=1e-5)
    assert 100 < len(pair.truth.points_fixed) < 700
    assert len(pair.truth.landmark_names) == len(pair.truth.landmarks_fixed) > 20
    assert np.all(np.isfinite(sampled(pair.fixed, pair.truth.points_fixed)))


@pytest.mark.parametrize("seed", range(5))
def test_labels_meet_through_the_truth(pairs, seed):
    pair = pairs[seed]
    for start, end in label_overlaps(RECIPE, seed, pair).values():
        assert end > 0.82  # of what slices of 10 mm show
        assert end > start + 0.05 or heart_of(seed).infarct


@pytest.mark.parametrize("seed", range(3))
def test_images_agree_best_at_the_truth(pairs, seed):
    assert share_beaten(RECIPE, seed, pairs[seed]) == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_the_ventricles_eject_and_the_wall_keeps_its_volume(pairs, seed):
    truth = pairs[seed].truth
    systolic, diastolic = either_way(
        "cardiac",
        seed,
        *(np.bincount(labels.ravel(), minlength=64) for labels in (truth.labels_fixed, truth.labels_moving)),
    )
    voxel_ml = np.prod(pairs[seed].fixed.grid.spacing) / 1000
    assert 60 < diastolic[CAVITY] * voxel_ml < 260
    ejected = 1 - systolic[CAVITY] / diastolic[CAVITY]
    assert (0.15 if heart_of(seed).infarct else 0.45) < ejected < 0.75
    assert 0.2 < 1 - systolic[RIGHT] / diastolic[RIGHT] < 0.65
    assert systolic[WALL] == pytest.approx(diastolic[WALL], rel=0.12)


@pytest.mark.parametrize("seed", range(0, 24, 4))
def test_the_beat_does_not_fold(seed):
    found = determinants(RECIPE, seed, (64, 64, 56), 2.0)
    assert 0.2 < found.min() < 0.9  # least in a cavity that ejects
    assert found.max() < 12


def test_systole_undoes_diastole():
    points = np.random.default_rng(0).uniform(-70, 70, (3000, 3))
    for seed in range(8):
        for planar in (False, True):
            heart = draw_heart(np.random.default_rng(seed))
            np.testing.assert_allclose(diastole(systole(points, heart, planar), heart, planar), points, atol=1e-5)


def test_an_infarct_hardly_moves():
    heart = draw_heart(np.random.default_rng(0))._replace(
        infarct=0.8, infarct_angle=0.5, twist_apex=0.0, twist_base=0.0
    )
    moved = []
    for angle in (heart.infarct_angle, heart.infarct_angle + np.pi):
        r = radii(angle, heart.infarct_level, heart)[0]
        end = np.array([[r * np.cos(angle), r * np.sin(angle), heart.infarct_level]])
        moved.append(r - np.hypot(*systole(end, heart)[0, :2]))
    assert moved[1] > 4.0
    assert moved[0] < 0.5 * moved[1]


def test_contrast_is_that_of_cine(pairs):
    for pair in pairs.values():
        image, labels = pair.moving.array, pair.truth.labels_moving
        assert image.min() >= 0
        blood, wall, right = (np.median(image[labels == label]) for label in (CAVITY, WALL, RIGHT))
        assert blood > 1.6 * wall
        assert right > 1.4 * wall
        assert pair.fixed_mask[labels == CAVITY].all()
