"""Planning CT and cone-beam CT of the day: one patient, changed by posture, breath, weight and bowel."""

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.synthesis.anatomy import motion_kernels
from regenv.synthesis.anatomy.motion import Change, Motion
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import get_recipe
from regenv.synthesis.recipes import torso_deformed
from tests.synthesis.recipes import deformed

RECIPE = get_recipe("torso_deformed")
BOTH = ("cbct", "ct")


@pytest.fixture(scope="module", params=RECIPE.fields_of_view)
def scanned(request):
    return request.param, RECIPE.make(1, BOTH, request.param)


def test_the_same_seed_gives_the_same_pair(scanned):
    field_of_view, pair = scanned
    assert deformed.same(pair, RECIPE.make(1, BOTH, field_of_view))


def test_the_displacement_is_that_of_the_points_and_the_landmarks(scanned):
    field_of_view, pair = scanned
    t = pair.truth
    for fixed, moving in ((t.points_fixed, t.points_moving), (t.landmarks_fixed, t.landmarks_moving)):
        np.testing.assert_allclose(deformed.true_points(RECIPE, 1, pair, fixed, field_of_view), moving, atol=1e-4)
    assert "T12_body" in t.landmark_names
    assert 100 <= len(t.points_fixed) <= 500
    moved = np.linalg.norm(t.points_moving - t.points_fixed, axis=1)
    assert 1.0 < moved.mean() < 12 and moved.max() < 35


def test_images_agree_best_at_the_truth(scanned):
    field_of_view, pair = scanned
    points = deformed.mask_points(pair)
    at = deformed.true_points(RECIPE, 1, pair, points, field_of_view)
    best = deformed.correlation(pair, points, at, -400.0, 600.0)
    assert best > 0.55
    for elsewhere in deformed.misaligned(at, millimetres=(8.0, 40.0)):
        assert deformed.correlation(pair, points, elsewhere, -400.0, 600.0) < best
    assert deformed.correlation(pair, points, transform_points(pair.alignment, points), -400.0, 600.0) < best


def test_labels_overlap_at_the_truth(scanned):
    field_of_view, pair = scanned
    points = pair.fixed.grid.points()[::2, ::2, ::2].reshape(-1, 3)
    known = deformed.true_points(RECIPE, 1, pair, points, field_of_view)
    organs = {"torso": (Organ.LUNG_LEFT, Organ.HEART), "spine": (Organ.LIVER,)}[field_of_view]
    for organ in (*organs, Organ.SPINE):
        best = deformed.overlap(pair, points, known, organ)
        assert best > (0.8 if organ == Organ.SPINE else 0.9)
        assert best > deformed.overlap(pair, points, points, organ)


def test_values_are_those_of_the_scanners(scanned):
    _, pair = scanned
    assert pair.fixed.modality == "cbct" and pair.moving.modality == "ct"
    for image, mask in ((pair.fixed, pair.fixed_mask), (pair.moving, pair.moving_mask)):
        assert image.array.min() >= -1024 and 300 < image.array.max() <= 4000
        assert 0.2 < mask.mean() < 0.95
    assert (pair.fixed.array[pair.fixed_mask] > pair.fixed.background).all()


def test_two_scans_of_one_modality_can_be_had():
    pair = RECIPE.make(2, ("ct", "ct"), "spine")
    assert pair.fixed.modality == pair.moving.modality == "ct"
    np.testing.assert_allclose(pair.fixed.grid.direction, np.eye(3))


@pytest.mark.parametrize("seed", range(6))
def test_the_map_is_one_to_one_in_each_region(seed):
    patient = torso_deformed._patient(seed, "torso")
    axis = np.arange(-130.0, 131.0, 16.0)
    points = np.stack(np.meshgrid(axis, axis * 0.9, axis, indexing="ij"), -1).reshape(-1, 3) + [0.0, -40.0, -30.0]
    motion = patient.day.motion
    rest = motion.apply(points)
    inside = motion.inside(rest)
    for region, chosen in ((motion_kernels.INSIDE, inside), (motion_kernels.OUTSIDE, ~inside)):
        p, h = points[chosen], 0.1
        columns = [(motion.apply(p + h * e, region) - motion.apply(p - h * e, region)) / (2 * h) for e in np.eye(3)]
        assert np.linalg.det(np.stack(columns, -1)).min() > 0.4
    back = patient.day.to_subject(patient.rest.to_template(points))
    np.testing.assert_allclose(patient.rest.to_subject(patient.day.to_template(back)), points, atol=1e-3)


def test_a_bent_spine_is_bent_and_fat_is_laid_on_outside_the_ribs():
    subject = Subject(2)
    spine = np.array([v.centre for v in subject.vertebrae if v.name[0] in "TL"])
    straight = Motion(subject, Change()).undo(spine)
    np.testing.assert_allclose(straight, spine, atol=1e-9)
    bent = Motion(subject, Change(bend_side=6.0)).undo(spine)
    moved = (bent - spine)[:, 0]
    assert moved.min() > -0.5 and moved[0] > 5 and moved[-1] > 2  # both ends to the left, the middle hardly
    skin = subject.skin.surface([90.0, 140.0, 220.0], [-90.0, -120.0, -120.0])
    fatter = Motion(subject, Change(weight=6.0)).undo(skin)
    grown = np.linalg.norm(fatter - skin, axis=1)
    assert (grown > 1.0).all() and (grown < 7.0).all()
    assert (np.linalg.norm(fatter[:, :2], axis=1) > np.linalg.norm(skin[:, :2], axis=1)).all()
