"""Chest radiographs of two patients: exact in the plane, invertible, bright bones and dark lungs."""

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.synthesis.anatomy.between import LEAST_DETERMINANT
from regenv.synthesis.anatomy.between2d import PlaneWarp
from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.physics.film import film
from regenv.synthesis.recipe import get_recipe
from tests.synthesis.recipes import deformed

FIELD, BOTH = "chest", ("xray", "xray")
RECIPE = get_recipe("chest_xray")
SEED = 2
LUNGS = (Organ.LUNG_LEFT, Organ.LUNG_RIGHT)


@pytest.fixture(scope="module")
def pair():
    return RECIPE.make(SEED, BOTH, FIELD)


def test_the_same_seed_gives_the_same_pair(pair):
    assert deformed.same(pair, RECIPE.make(SEED, BOTH, FIELD))
    assert not np.array_equal(pair.fixed.array, RECIPE.make(SEED + 1, BOTH, FIELD).fixed.array)


def test_the_displacement_is_that_of_the_points_and_the_landmarks(pair):
    t = pair.truth
    for fixed, moving in ((t.points_fixed, t.points_moving), (t.landmarks_fixed, t.landmarks_moving)):
        np.testing.assert_allclose(deformed.true_points(RECIPE, SEED, pair, fixed, FIELD), moving, atol=1e-4)
    assert {"carina", "heart_apex", "T6_body", "clavicle_left_medial"} <= set(t.landmark_names)
    assert 100 <= len(t.points_fixed) <= 500
    left = np.linalg.norm(t.points_moving - transform_points(pair.alignment, t.points_fixed), axis=1)
    assert 3 < left.mean() < 20


def test_films_agree_best_at_the_truth(pair):
    points = deformed.mask_points(pair)
    at = deformed.true_points(RECIPE, SEED, pair, points, FIELD)
    best = deformed.correlation(pair, points, at, 0.0, 12.0)
    assert best > 0.8
    for elsewhere in deformed.misaligned(at, millimetres=(8.0, 40.0)):
        assert deformed.correlation(pair, points, elsewhere, 0.0, 12.0) < best
    assert deformed.correlation(pair, points, transform_points(pair.alignment, points), 0.0, 12.0) < best


def test_labels_overlap_at_the_truth(pair):
    points = pair.fixed.grid.points().reshape(-1, 2)
    known = deformed.true_points(RECIPE, SEED, pair, points, FIELD)
    aligned = transform_points(pair.alignment, points)
    for organ, least in ((Organ.LUNG_LEFT, 0.9), (Organ.LUNG_RIGHT, 0.9), (Organ.HEART, 0.75), (Organ.CLAVICLES, 0.8)):
        best = deformed.overlap(pair, points, known, organ)
        assert best > least, organ.name
        assert best > deformed.overlap(pair, points, aligned, organ), organ.name


def test_left_is_on_the_right_and_lungs_are_dark(pair):
    t = pair.truth
    x, y = np.moveaxis(pair.fixed.grid.points(), -1, 0)
    mean_x = {organ: x[t.labels_fixed == organ].mean() for organ in (*LUNGS, Organ.HEART)}
    assert mean_x[Organ.LUNG_LEFT] > mean_x[Organ.HEART] > mean_x[Organ.LUNG_RIGHT]
    assert y[t.labels_fixed == Organ.CLAVICLES].mean() < y[np.isin(t.labels_fixed, LUNGS)].mean()
    for image, labels in ((pair.fixed, t.labels_fixed), (pair.moving, t.labels_moving)):
        assert image.array.dtype == np.float32 and image.array.min() >= 0 and image.array.max() < 12
        lung, heart = (np.median(image.array[np.isin(labels, which)]) for which in (LUNGS, (Organ.HEART,)))
        assert lung < heart - 0.2
    lungs = np.isin(t.labels_fixed, LUNGS)
    assert 0.15 < lungs.mean() < 0.6 and pair.fixed_mask[lungs].all() and pair.fixed_mask.mean() < 0.85


@pytest.mark.parametrize("seed", range(6))
def test_the_map_is_one_to_one(seed):
    axis = np.arange(-150.0, 151.0, 10.0)
    local = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    assert deformed.least_determinant(RECIPE, seed, local) > 0.2


def test_a_plane_warp_is_as_large_as_asked_and_finds_its_way_back():
    linear = np.array([[1.1, 0.1], [0.0, 0.9]])
    warps = [PlaneWarp(np.random.default_rng(n), linear, 6.0, 75.0) for n in range(8)]
    points = np.random.default_rng(0).uniform(-150, 150, (400, 2))
    spread = np.mean([warp.displacement(points).std(axis=0) for warp in warps])
    assert 3.5 < spread < 8.0
    for warp in warps:
        np.testing.assert_allclose(warp.to_subject(warp.to_template(points)), points, atol=1e-6)
        assert warp.least_determinant(points) > 0.9 * LEAST_DETERMINANT


def test_a_film_brightens_with_what_the_beam_passes_and_bone_more_than_water():
    soft = np.tile(np.linspace(0, 300, 120, dtype=np.float32), (80, 1))
    none = np.zeros_like(soft)
    plain = film(soft, none, 2.4, np.random.default_rng(1))
    assert (np.diff(plain[:, 8:-8].mean(axis=0)[::8]) > 0).all()
    bone = none.copy()
    bone[30:50, 40:80] = 20.0
    boned, watered = (film(soft + w, b, 2.4, np.random.default_rng(1)) for w, b in ((none, bone), (bone, none)))
    patch = (slice(34, 46), slice(46, 74))
    assert boned[patch].mean() > watered[patch].mean() > plain[patch].mean()
