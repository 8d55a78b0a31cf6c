"""Lungs breathed in and out: sliding at the wall, one-to-one, air that goes and tissue that stays."""

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.synthesis.anatomy import motion_kernels
from regenv.synthesis.anatomy.motion import Change, Motion
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import get_recipe
from regenv.synthesis.recipes._scans import either_way
from tests.synthesis.recipes import deformed

FIELD = "lungs"
RECIPE = get_recipe("lungs")


@pytest.fixture(scope="module")
def pair():
    return RECIPE.make(3, ("ct", "ct"), FIELD)


def _lattice(step, half=140.0):
    axis = np.arange(-half, half + 1, step)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def test_the_same_seed_gives_the_same_pair(pair):
    assert deformed.same(pair, RECIPE.make(3, ("ct", "ct"), FIELD))
    assert not np.array_equal(pair.fixed.array, RECIPE.make(4, ("ct", "ct"), FIELD).fixed.array)


def test_the_displacement_is_that_of_the_points_and_the_landmarks(pair):
    t = pair.truth
    for fixed, moving in ((t.points_fixed, t.points_moving), (t.landmarks_fixed, t.landmarks_moving)):
        np.testing.assert_allclose(deformed.true_points(RECIPE, 3, pair, fixed, FIELD), moving, atol=1e-4)
    assert len(t.landmark_names) == len(set(t.landmark_names)) >= 100
    assert 100 <= len(t.points_fixed) <= 800


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_breathing_has_the_size_of_breathing(seed):
    pair = RECIPE.make(seed, ("ct", "ct"), FIELD)
    t = pair.truth
    moved = np.linalg.norm(t.points_moving - t.points_fixed, axis=1)
    assert 3 < moved.mean() < 20 and moved.max() < 45
    # breathed out the diaphragm lies higher, and the lungs are smaller
    breathed_in, breathed_out = either_way(FIELD, seed, t.points_fixed, t.points_moving)
    assert (breathed_out - breathed_in)[:, 2].mean() > 2
    litre = np.prod(pair.fixed.grid.spacing) * 1e-6
    volumes = [np.isin(a, (Organ.LUNG_LEFT, Organ.LUNG_RIGHT)).sum() * litre for a in (t.labels_fixed, t.labels_moving)]
    full, empty = either_way(FIELD, seed, *volumes)
    assert 2 < empty < full < 8


def test_lung_is_denser_breathed_out_by_the_mass_that_it_keeps(pair):
    t = pair.truth
    both = []
    for image, labels in either_way(FIELD, 3, (pair.fixed, t.labels_fixed), (pair.moving, t.labels_moving)):
        lung = np.isin(labels, (Organ.LUNG_LEFT, Organ.LUNG_RIGHT)) & (image.array < -700)
        both.append((np.median(image.array[lung]), (image.array[lung] + 1000).sum() * np.prod(image.grid.spacing)))
    assert both[0][0] < both[1][0] - 3
    assert both[0][1] == pytest.approx(both[1][1], rel=0.10)


def test_images_agree_best_at_the_truth(pair):
    points = deformed.mask_points(pair)
    at = deformed.true_points(RECIPE, 3, pair, points, FIELD)
    best = deformed.correlation(pair, points, at)
    assert best > 0.93
    assert all(
        deformed.correlation(pair, points, elsewhere) < best
        for elsewhere in deformed.misaligned(at, millimetres=(8.0, 40.0))
    )
    assert deformed.correlation(pair, points, points) < best
    for organ in (Organ.LUNG_LEFT, Organ.LUNG_RIGHT):
        known = deformed.overlap(pair, points, at, organ)
        assert known > 0.93 and known >= deformed.overlap(pair, points, points, organ)


@pytest.mark.parametrize("seed", range(8))
def test_the_map_is_one_to_one_in_each_region(seed):
    from regenv.synthesis.recipes.lungs import _breath

    breath = _breath(seed)
    motion = either_way(FIELD, seed, breath.fixed, breath.moving)[0].motion
    points = _lattice(14.0) + [0.0, -38.0, 16.0]
    rest = motion.apply(points)
    inside = motion.inside(rest)
    for region, chosen in ((motion_kernels.INSIDE, inside), (motion_kernels.OUTSIDE, ~inside)):
        p, h = points[chosen], 0.1
        columns = [(motion.apply(p + h * e, region) - motion.apply(p - h * e, region)) / (2 * h) for e in np.eye(3)]
        assert np.linalg.det(np.stack(columns, -1)).min() > 0.2
    # and so is the whole: what was inside stays inside, and the way back is the way
    np.testing.assert_allclose(motion.undo(rest), points, atol=1e-6)


def test_tissue_slides_along_the_wall_and_not_through_it():
    subject = Subject(3)
    motion = Motion(subject, Change(excursion=25.0, forward=5.0, outward=3.0, back=0.2))
    angles, levels = np.meshgrid(np.linspace(50, 310, 40), np.linspace(-90, 90, 10))
    wall = motion.undo(subject.cavity.surface(angles.ravel(), levels.ravel()), motion_kernels.OUTSIDE)
    outer, inner = (motion.apply(wall, r) for r in (motion_kernels.OUTSIDE, motion_kernels.INSIDE))
    jump = inner - outer
    assert np.abs(jump[:, 2]).max() > 15
    # the inner side still lies on the wall
    on = [c.reshape(1, 1, -1).copy() for c in inner.T]
    assert np.abs(subject.cavity.distance(*on)).max() < 0.1


def test_the_spine_stays():
    subject = Subject(3)
    motion = Motion(subject, Change(excursion=28.0, forward=5.0, outward=3.0, uneven=0.3, inner=2.0))
    bodies = np.array([v.centre for v in subject.vertebrae if v.name[0] == "T"])
    np.testing.assert_allclose(motion.apply(bodies), bodies, atol=0.05)


def test_the_view_is_the_lungs(pair):
    labels = pair.truth.labels_fixed
    middle = transform_points(pair.fixed.grid.index_to_physical, (np.asarray(pair.fixed.grid.size) - 1) / 2)
    np.testing.assert_allclose(middle, pair.fixed.grid.centre)
    lungs = np.isin(labels, (Organ.LUNG_LEFT, Organ.LUNG_RIGHT))
    assert 0.15 < lungs.mean() < 0.6
    assert pair.fixed_mask[lungs].all() and pair.fixed_mask.mean() < 0.8
    assert pair.fixed.array.min() >= -1024 and 300 < pair.fixed.array.max() < 3071
