"""Two patients' abdomens: exact correspondence of the organs, invertible warps, portal venous contrast."""

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.synthesis.anatomy.between import LEAST_DETERMINANT, least_determinant
from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import get_recipe
from regenv.synthesis.recipes import liver
from tests.synthesis.recipes import deformed

FIELD = "liver"
RECIPE = get_recipe("liver")
SOLID = (Organ.LIVER, Organ.SPLEEN, Organ.KIDNEY_LEFT, Organ.KIDNEY_RIGHT)


@pytest.fixture(scope="module")
def pair():
    return RECIPE.make(1, ("ct", "ct"), FIELD)


def test_the_same_seed_gives_the_same_pair(pair):
    assert deformed.same(pair, RECIPE.make(1, ("ct", "ct"), FIELD))
    assert not np.array_equal(pair.fixed.array, RECIPE.make(2, ("ct", "ct"), FIELD).fixed.array)


def test_the_displacement_is_that_of_the_points_and_the_landmarks(pair):
    t = pair.truth
    for fixed, moving in ((t.points_fixed, t.points_moving), (t.landmarks_fixed, t.landmarks_moving)):
        np.testing.assert_allclose(deformed.true_points(RECIPE, 1, pair, fixed, FIELD), moving, atol=1e-3)
    assert {"liver_tip", "spleen_centre", "T12_body"} <= set(t.landmark_names)
    assert 100 <= len(t.points_fixed) <= 700


def test_the_alignment_is_the_best_affine_and_leaves_what_patients_differ_in(pair):
    t = pair.truth
    left = np.linalg.norm(t.points_moving - transform_points(pair.alignment, t.points_fixed), axis=1)
    assert 4 < left.mean() < 25
    assert left.mean() < np.linalg.norm(t.points_moving - t.points_fixed, axis=1).mean()


def test_organs_overlap_at_the_truth(pair):
    points = pair.fixed.grid.points()[::2, ::2, ::2].reshape(-1, 3)
    known = deformed.true_points(RECIPE, 1, pair, points, FIELD)
    aligned = transform_points(pair.alignment, points)
    for organ in SOLID:
        best = deformed.overlap(pair, points, known, organ)
        assert best > (0.93 if organ == Organ.LIVER else 0.85)
        assert best > deformed.overlap(pair, points, aligned, organ)


def test_images_agree_best_at_the_truth(pair):
    points = deformed.mask_points(pair)
    at = deformed.true_points(RECIPE, 1, pair, points, FIELD)
    best = deformed.correlation(pair, points, at, -160.0, 240.0)
    assert best > 0.55
    for elsewhere in deformed.misaligned(at, millimetres=(8.0, 40.0)):
        assert deformed.correlation(pair, points, elsewhere, -160.0, 240.0) < best
    assert deformed.correlation(pair, points, transform_points(pair.alignment, points), -160.0, 240.0) < best


@pytest.mark.parametrize("seed", range(4))
def test_the_map_is_one_to_one(seed):
    axis = np.arange(-140.0, 141.0, 20.0)
    local = np.stack(np.meshgrid(axis, axis * 0.7, axis, indexing="ij"), -1).reshape(-1, 3)
    assert deformed.least_determinant(RECIPE, seed, local) > 0.2
    for patient in liver._patients(seed):
        assert least_determinant(patient.warp.warp, local + liver._centre(patient)) > 0.9 * LEAST_DETERMINANT


def test_organs_have_the_size_and_the_contrast_of_organs(pair):
    t = pair.truth
    litre = np.prod(pair.fixed.grid.spacing) * 1e-6
    for image, labels in ((pair.fixed, t.labels_fixed), (pair.moving, t.labels_moving)):
        assert 0.6 < (labels == Organ.LIVER).sum() * litre < 2.4
        assert 0.06 < (labels == Organ.SPLEEN).sum() * litre < 0.5
        assert 70 < np.median(image.array[labels == Organ.LIVER]) < 150
        assert 110 < np.median(image.array[labels == Organ.AORTA]) < 240
    assert pair.fixed_mask[np.isin(t.labels_fixed, SOLID)].all() and pair.fixed_mask.mean() < 0.4
