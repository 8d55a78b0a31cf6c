"""Ultrasound of brains with a tumour: to MR before the operation, and before to after the resection."""

import numpy as np
import pytest

from regenv.core.labels import label_resample
from regenv.synthesis.anatomy.glioma import opened, resected
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.recipe import get_recipe
from regenv.synthesis.recipes._brain_ultrasound import patient
from tests.synthesis.recipes.linear import agreement, landmark_error, made, overlap, random_misalignments

MR = get_recipe("brain_us")
US = get_recipe("brain_us_us")


@pytest.fixture(scope="module")
def to_mr():
    return made(MR, 4, ("us", "flair"), "brain")


@pytest.fixture(scope="module")
def to_us():
    return made(US, 4, ("us", "us"), "brain")


@pytest.fixture(scope="module")
def head():
    return patient("brain_us", 4)


@pytest.mark.parametrize(("recipe", "modalities"), [(MR, ("us", "flair")), (US, ("us", "us"))])
def test_equal_seeds_give_equal_bytes(recipe, modalities, to_mr, to_us):
    first = to_mr if recipe is MR else to_us
    again, other = recipe.make(4, modalities, "brain"), made(recipe, 5, modalities, "brain")
    for role in ("fixed", "moving"):
        assert getattr(first, role).array.tobytes() == getattr(again, role).array.tobytes()
        a, b = getattr(first, role).array, getattr(other, role).array
        assert a.shape != b.shape or not np.array_equal(a, b)
    assert np.array_equal(first.truth.transform, again.truth.transform)


def test_images_are_what_they_say(to_mr, to_us):
    assert (to_mr.fixed.modality, to_mr.moving.modality) == ("us", "flair")
    assert (to_us.fixed.modality, to_us.moving.modality) == ("us", "us")
    for image in (to_mr.fixed, to_us.fixed, to_us.moving):
        assert image.array.min() == 0 and 150 < image.array.max() <= 255
    for pair in (to_mr, to_us):
        assert 0.08 < pair.fixed_mask.mean() < 0.6
        assert (pair.fixed.array[pair.fixed_mask] > 0).mean() > 0.98
        assert set(np.unique(pair.truth.labels_fixed)) <= {int(o) for o in Organ}


def test_the_tumour_is_bright_in_flair_and_in_ultrasound_and_dark_in_t1():
    brighter = {"us": [], "flair": [], "t1": []}
    for seed in range(4, 7):
        for modalities in (("us", "flair"), ("us", "t1")):
            pair = made(MR, seed, modalities, "brain")
            for image, labels in ((pair.fixed, pair.truth.labels_fixed), (pair.moving, pair.truth.labels_moving)):
                medians = [np.median(image.array[labels == o]) for o in (Organ.TUMOUR, Organ.WHITE_MATTER)]
                brighter[image.modality].append(medians[0] / medians[1])
    assert np.median(brighter["flair"]) > 1.15
    assert np.median(brighter["us"]) > 1.08
    assert np.median(brighter["t1"]) < 0.9


def test_ventricles_are_dark_and_furrows_bright_in_ultrasound():
    values = {"ventricle": [], "furrow": [], "white": []}
    for seed in range(4, 7):
        pair = made(MR, seed, ("us", "t1"), "brain")
        anatomy, glioma = patient("brain_us", seed)
        tissue = label_resample(opened(anatomy, glioma).tissue, anatomy.grid, pair.fixed.grid)
        sector = pair.fixed_mask
        for name, where in (
            ("ventricle", sector & (pair.truth.labels_fixed == Organ.VENTRICLES)),
            ("furrow", sector & (tissue == Tissue.WALL)),
            ("white", sector & (pair.truth.labels_fixed == Organ.WHITE_MATTER)),
        ):
            if where.sum() > 30:
                values[name].append(np.median(pair.fixed.array[where]))
    assert np.mean(values["ventricle"]) < 0.8 * np.mean(values["white"])
    assert np.mean(values["furrow"]) > 1.1 * np.mean(values["white"])


def test_the_skull_is_open_over_the_tumour_and_nowhere_else(head):
    anatomy, glioma = head
    after = opened(anatomy, glioma)
    bone = anatomy.tissue == Tissue.CORTICAL
    gone = bone & (after.tissue != Tissue.CORTICAL)
    assert 0.01 < gone.sum() / bone.sum() < 0.35
    points = anatomy.grid.points()[gone]
    assert np.linalg.norm(points - glioma.entry, axis=1).max() < 80
    line = glioma.entry - glioma.inward * np.arange(2.0, 14.0)[:, None]
    index = np.rint((line - anatomy.grid.origin) / anatomy.grid.spacing).astype(int)
    assert (after.tissue[tuple(index.T[::-1])] == Tissue.CSF).mean() > 0.7


def test_resection_leaves_a_cavity(head):
    anatomy, glioma = head
    after = resected(anatomy, glioma, np.random.default_rng(0))
    left = (after.organ == Organ.TUMOUR).sum() / (anatomy.organ == Organ.TUMOUR).sum()
    assert 0.0 < left < 0.7
    centre = np.rint((glioma.centre - anatomy.grid.origin) / anatomy.grid.spacing).astype(int)
    assert after.tissue[tuple(centre[::-1])] == Tissue.FLUID
    assert anatomy.tissue[tuple(centre[::-1])] in (Tissue.TUMOUR, Tissue.FLUID)


@pytest.mark.parametrize("seed", range(3))
def test_the_cavity_is_dark_where_the_tumour_was_bright(seed):
    pair = made(US, seed, ("us", "us"), "brain")
    anatomy, glioma = patient("brain_us_us", seed)
    for image, transform, low, high in (
        (pair.moving, np.eye(4), 60, 256),
        (pair.fixed, np.linalg.inv(pair.truth.transform), -1, 75),
    ):
        point = transform[:3, :3] @ glioma.centre + transform[:3, 3]
        index = np.rint(image.grid.physical_to_index[:3, :3] @ point + image.grid.physical_to_index[:3, 3]).astype(int)
        value = image.array[tuple(slice(i - 1, i + 2) for i in index[::-1])].mean()
        if glioma.cyst == 0 or image is pair.fixed:
            assert low < value < high


def test_the_truth_is_exact(to_mr, to_us):
    assert landmark_error(to_mr) == 0.0
    assert np.array_equal(to_mr.truth.transform, np.eye(4))
    assert landmark_error(to_us) < 1e-9
    volume = np.linalg.det(to_us.truth.transform[:3, :3])
    assert 0.8 < volume < 1.15
    assert not np.allclose(to_us.truth.transform[:3, :3] @ to_us.truth.transform[:3, :3].T, np.eye(3), atol=5e-3)
    for pair in (to_mr, to_us):
        assert {"tumour", "entry"} <= set(pair.truth.landmark_names)
        assert len(pair.truth.landmark_names) >= 8
    # outside its sector the fixed labels are empty, so overlap is measured on what both show
    moved = label_resample(to_mr.truth.labels_moving, to_mr.moving.grid, to_mr.fixed.grid)
    inside = to_mr.fixed_mask & (to_mr.truth.labels_fixed > 0)
    assert (moved == to_mr.truth.labels_fixed)[inside].mean() > 0.8


@pytest.mark.parametrize(
    ("recipe", "modalities", "seed"),
    [(MR, ("us", "flair"), 4), (MR, ("us", "t1"), 5), (US, ("us", "us"), 1), (US, ("us", "us"), 4)],
)
def test_the_images_agree_best_at_the_truth(recipe, modalities, seed):
    pair = made(recipe, seed, modalities, "brain")
    best = agreement(pair, pair.truth.transform, 0.3)
    others = [agreement(pair, t, 0.3) for t in random_misalignments(pair, np.random.default_rng(seed), degrees=15.0)]
    assert sum(np.isfinite(others)) > 25
    assert best > max(others)


def test_a_known_misalignment_spoils_the_overlap(to_us):
    truth = to_us.truth.transform
    shifted = truth.copy()
    shifted[:3, 3] += 8.0
    assert overlap(to_us, truth, Organ.WHITE_MATTER) > overlap(to_us, shifted, Organ.WHITE_MATTER) + 0.03
