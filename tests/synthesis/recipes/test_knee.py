"""Knees of two people: reproducible, in exact correspondence, one-to-one, the parts of a knee in their places."""

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.synthesis.anatomy.bend import BentWarp
from regenv.synthesis.anatomy.bend_kernels import CENTRE
from regenv.synthesis.anatomy.knee import LANDMARKS, draw_knee, knee
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.recipe import get_recipe
from regenv.synthesis.recipes.knee import correspond
from tests.synthesis.recipes.deformed import determinants, label_overlaps, share_beaten, true_points

RECIPE = get_recipe("knee")
BONES = (int(Organ.FEMUR), int(Organ.TIBIA), int(Organ.PATELLA))
CARTILAGE = (int(Organ.FEMORAL_CARTILAGE), int(Organ.TIBIAL_CARTILAGE))
SEQUENCES = {0: "mr", 1: "pd", 2: "t1"}


@pytest.fixture(scope="module")
def pairs():
    return {seed: RECIPE.make(seed, (name, name), "knee") for seed, name in SEQUENCES.items()}


def test_equal_seeds_give_equal_bytes(pairs):
    again = RECIPE.make(1, ("pd", "pd"), "knee")
    for side in ("fixed", "moving"):
        assert getattr(again, side).array.tobytes() == getattr(pairs[1], side).array.tobytes()
    assert again.truth.points_moving.tobytes() == pairs[1].truth.points_moving.tobytes()
    assert pairs[0].fixed.array.shape != pairs[1].fixed.array.shape or not np.array_equal(
        pairs[0].fixed.array, pairs[1].fixed.array
    )


@pytest.mark.parametrize("seed", SEQUENCES)
def test_the_truth_is_exact(pairs, seed):
    truth = pairs[seed].truth
    for kind in ("points", "landmarks"):
        fixed, moving = (getattr(truth, f"{kind}_{side}") for side in ("fixed", "moving"))
        np.testing.assert_allclose(true_points(RECIPE, seed, pairs[seed], fixed), moving, atol=1e-4)
    assert 100 < len(truth.points_fixed) < 500
    assert len(truth.landmark_names) > 12


@pytest.mark.parametrize("seed", SEQUENCES)
def test_labels_meet_through_the_truth(pairs, seed):
    overlaps = label_overlaps(RECIPE, seed, pairs[seed])
    for label in BONES:
        start, end = overlaps[label]
        assert end > 0.88
        assert end > start + 0.01
    for label in CARTILAGE:
        start, end = overlaps[label]
        assert end > 0.5
        assert end > start + 0.05


@pytest.mark.parametrize("seed", SEQUENCES)
def test_images_agree_best_at_the_truth(pairs, seed):
    assert share_beaten(RECIPE, seed, pairs[seed], count=50) == 1.0


@pytest.mark.parametrize("seed", range(0, 40, 5))
def test_no_pair_folds_and_all_differ_by_millimetres(seed):
    assert determinants(RECIPE, seed, (60, 60, 60), 4.0).min() > 0.2
    local = np.random.default_rng(1).uniform(-50, 50, (400, 3))
    size = np.linalg.norm(RECIPE.displacement(seed, "knee", local), axis=1)
    assert 1.5 < size.mean() < 8
    assert size.max() < 22


def test_correspondence_goes_both_ways():
    one, two = draw_knee(3).warp, draw_knee(8).warp
    points = np.random.default_rng(0).uniform(-60, 60, (500, 3))
    there = two.to_subject(one.to_template(points))
    np.testing.assert_allclose(one.to_subject(two.to_template(there)), points, atol=1e-4)


def test_the_bend_turns_the_femur_and_leaves_the_tibia():
    warp = BentWarp(np.random.default_rng(0), (1.0, 1.0, 1.0), 10.0, amplitude_mm=0.0, own_mm=0.0)
    shaft, tibia, condyle = np.array([[0.0, 4.0, 80.0], [0.0, 4.0, -40.0], [20.0, 4.0, 12.0]])
    moved = warp.to_subject(np.array([shaft, tibia, condyle]))
    turn = np.deg2rad(10.0)
    for start, end in ((shaft, moved[0]), (condyle, moved[2])):
        dy, dz = start[1:] - CENTRE
        np.testing.assert_allclose(
            end[1:] - CENTRE, [np.cos(turn) * dy + np.sin(turn) * dz, np.cos(turn) * dz - np.sin(turn) * dy], atol=1e-6
        )
    np.testing.assert_allclose(moved[1], tibia, atol=1e-6)
    assert moved[0, 1] > shaft[1]  # a bent knee carries the thigh back


def test_fixed_points_are_those_of_the_moving_knee(pairs):
    pair = pairs[0]
    centre = pair.fixed.grid.centre[None]
    np.testing.assert_allclose(true_points(RECIPE, 0, pair, centre), correspond(0, centre), atol=1e-5)


def test_a_knee_has_its_parts_in_their_places():
    anatomy = knee(draw_knee(4), 2.0)
    ml = np.prod(anatomy.grid.spacing) / 1000
    volume = {organ: (anatomy.organ == organ).sum() * ml for organ in Organ}
    assert 80 < volume[Organ.FEMUR] < 420
    assert 60 < volume[Organ.TIBIA] < 300
    assert 6 < volume[Organ.PATELLA] < 30
    assert 3 < volume[Organ.FEMORAL_CARTILAGE] < 30
    assert 1 < volume[Organ.TIBIAL_CARTILAGE] < 12
    z = anatomy.grid.points()[..., 2]
    assert z[anatomy.organ == Organ.FEMUR].mean() > 15 > -15 > z[anatomy.organ == Organ.TIBIA].mean()
    bone = {"femur_shaft": Organ.FEMUR, "patella_centre": Organ.PATELLA, "tibia_shaft": Organ.TIBIA}
    for name, organ in bone.items():
        index = np.rint(transform_points(anatomy.grid.physical_to_index, anatomy.landmarks[name])).astype(int)
        assert anatomy.organ[tuple(index[::-1])] == organ, name
    assert {Tissue.MENISCUS, Tissue.LIGAMENT, Tissue.MUSCLE, Tissue.HYALINE} <= {
        Tissue(t) for t in np.unique(anatomy.tissue)
    }
    assert not np.any(anatomy.organ[~anatomy.body])
    assert len(anatomy.landmarks) == len(LANDMARKS)


def test_contrasts_are_those_of_the_sequences(pairs):
    medians = {}
    for seed, name in SEQUENCES.items():
        labels = pairs[seed].truth.labels_moving
        medians[name] = [np.median(pairs[seed].moving.array[np.isin(labels, group)]) for group in (BONES, CARTILAGE)]
        assert pairs[seed].moving.array.min() >= 0
    assert medians["mr"][1] > 1.3 * medians["mr"][0]  # fat-suppressed: cartilage is brighter than marrow
    assert medians["t1"][0] > 1.2 * medians["t1"][1]  # marrow is brighter than cartilage
