"""MR and CT of one pelvis or lumbar spine, rigid; the pelvis's anatomy."""

import numpy as np
import pytest

from regenv.synthesis.anatomy.pelvis import PelvisSubject, pelvis
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.recipe import get_recipe
from tests.synthesis.recipes import linear

RECIPE = get_recipe("pelvis")
CASES = [("pelvis", 0, "t2"), ("pelvis", 3, "t1"), ("spine", 1, "t2")]
_MADE = {}


@pytest.fixture(params=CASES, ids=lambda p: "-".join(map(str, p)))
def pair(request):
    view, seed, sequence = request.param
    if request.param not in _MADE:
        _MADE[request.param] = RECIPE.make(seed, (sequence, "ct"), view)
    return _MADE[request.param]


def test_equal_seeds_give_equal_bytes():
    first, again, other = (RECIPE.make(seed, ("t2", "ct"), "pelvis") for seed in (5, 5, 6))
    for role in ("fixed", "moving"):
        assert getattr(again, role).array.tobytes() == getattr(first, role).array.tobytes()
        assert getattr(other, role).array.tobytes() != getattr(first, role).array.tobytes()


def test_the_truth_is_exact_and_best(pair):
    assert linear.landmark_error(pair) < 1e-9
    assert len(pair.truth.landmark_names) == len(pair.truth.landmarks_fixed) >= 6
    best = linear.agreement(pair, pair.truth.transform)
    others = linear.random_misalignments(pair, np.random.default_rng(0), 50, 15, 40)
    assert np.mean([linear.agreement(pair, t) < best for t in others]) == 1.0


def test_labels_meet_at_the_truth(pair):
    for label in np.unique(pair.truth.labels_fixed):
        size = (pair.truth.labels_fixed == label).sum() * np.prod(pair.fixed.grid.spacing) / 1000
        if label in (Organ.PELVIS_BONE, Organ.FEMUR_LEFT, Organ.BLADDER, Organ.SPINE) and size > 60:
            assert linear.overlap(pair, pair.truth.transform, label) > 0.7


def test_the_patient_lies_differently_in_the_two_scans(pair):
    turn = pair.fixed.grid.direction.T @ pair.moving.grid.direction
    assert 1.0 < np.rad2deg(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) < 36.0


def test_values_are_those_of_the_modality(pair):
    ct, mr = pair.moving.array, pair.fixed.array
    assert pair.moving.modality == "ct" and pair.fixed.modality in ("t1", "t2")
    assert -1024 <= ct.min() < -900 and 500 < ct.max() <= 3071
    body = ct[pair.moving_mask]
    assert 0.1 < ((body > -160) & (body < -40)).mean() < 0.75
    assert mr.min() >= 0 and mr[pair.fixed_mask].mean() > 4 * mr[~pair.fixed_mask].mean()
    assert 0.2 < pair.fixed_mask.mean() < 0.97


@pytest.mark.parametrize("seed", [1, 3])
def test_a_pelvis_has_what_a_pelvis_has(seed):
    anatomy = pelvis(seed, 3.5)
    millilitres = np.prod(anatomy.grid.spacing) / 1000
    sizes = {organ: (anatomy.organ == organ).sum() * millilitres for organ in Organ}
    assert 600 < sizes[Organ.PELVIS_BONE] < 2400
    assert 0.8 < sizes[Organ.FEMUR_LEFT] / sizes[Organ.FEMUR_RIGHT] < 1.25
    assert 40 < sizes[Organ.BLADDER] < 600
    assert 40 < sizes[Organ.RECTUM] < 500
    female = PelvisSubject.of(seed).trunk.female
    assert (sizes[Organ.PROSTATE] == 0) == female
    assert ((anatomy.tissue == Tissue.GLAND).sum() > 0) == female
    left, right = (anatomy.landmarks[f"femoral_head_{side}"] for side in ("left", "right"))
    assert 140 < np.linalg.norm(left - right) < 215
    for name, tissue in (("femoral_head_left", Tissue.CANCELLOUS), ("bladder_centre", Tissue.URINE)):
        index = np.rint((anatomy.landmarks[name] - anatomy.grid.origin) / anatomy.grid.spacing).astype(int)
        assert anatomy.tissue[tuple(index[::-1])] == tissue


def test_resolution_does_not_change_the_patient():
    fine, coarse = pelvis(2, 3.5), pelvis(2, 6.0)
    for name in ("promontory", "femoral_head_left", "bladder_centre"):
        np.testing.assert_allclose(fine.landmarks[name], coarse.landmarks[name], atol=1e-6)
    for organ in (Organ.PELVIS_BONE, Organ.BLADDER):
        volumes = [(a.organ == organ).sum() * np.prod(a.grid.spacing) for a in (fine, coarse)]
        assert volumes[1] == pytest.approx(volumes[0], rel=0.15)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="spacing_mm"):
        pelvis(0, 0.0)
