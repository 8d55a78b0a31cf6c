"""The procedural torso: reproducible, labelled, with landmarks in the tissue that they name."""

import numpy as np
import pytest

from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import CT_NUMBERS, Organ, Tissue
from regenv.synthesis.anatomy.torso import torso
from regenv.synthesis.anatomy.warp import Warp, smooth_noise

MM = 4.0


@pytest.fixture(scope="module")
def anatomy():
    return torso(3, 3.0)


def _at(anatomy, array, name):
    index = np.rint((anatomy.landmarks[name] - anatomy.grid.origin) / anatomy.grid.spacing).astype(int)
    return array[tuple(index[::-1])]


def _around(anatomy, array, name, reach=2):
    index = np.rint((anatomy.landmarks[name] - anatomy.grid.origin) / anatomy.grid.spacing).astype(int)
    return array[tuple(slice(max(i - reach, 0), i + reach + 1) for i in index[::-1])]


def test_the_same_seed_gives_the_same_subject_and_another_seed_another():
    first, again, other = torso(5, MM), torso(5, MM), torso(6, MM)
    assert np.array_equal(first.tissue, again.tissue)
    assert np.array_equal(first.share, again.share)
    assert np.array_equal(first.fine, again.fine)
    assert other.tissue.shape != first.tissue.shape or (other.tissue != first.tissue).mean() > 0.05


def test_resolution_does_not_change_the_subject():
    fine, coarse = torso(2, 3.0), torso(2, 6.0)
    for name, point in coarse.landmarks.items():
        if name in fine.landmarks:
            np.testing.assert_allclose(fine.landmarks[name], point, atol=1e-6)
    for organ in (Organ.LUNG_LEFT, Organ.LIVER, Organ.HEART):
        volumes = [(a.organ == organ).sum() * np.prod(a.grid.spacing) for a in (fine, coarse)]
        assert volumes[1] == pytest.approx(volumes[0], rel=0.08)


def test_organs_have_the_size_of_organs(anatomy):
    litre = np.prod(anatomy.grid.spacing) * 1e-6
    bounds = {
        Organ.LUNG_LEFT: (0.9, 3.6),
        Organ.LUNG_RIGHT: (0.9, 3.8),
        Organ.HEART: (0.25, 0.95),
        Organ.LIVER: (0.6, 2.2),
        Organ.KIDNEY_LEFT: (0.04, 0.3),
        Organ.SPINE: (0.2, 0.8),
        Organ.RIBS: (0.2, 0.9),
    }
    for organ, (low, high) in bounds.items():
        assert low < (anatomy.organ == organ).sum() * litre < high, organ.name


def test_left_and_right_are_where_they_belong(anatomy):
    x = anatomy.grid.origin[0] + anatomy.grid.spacing[0] * np.arange(anatomy.grid.size[0])

    def middle(organ):
        return (anatomy.organ == organ).sum(axis=(0, 1)) @ x / (anatomy.organ == organ).sum()

    assert middle(Organ.LUNG_LEFT) > 30 > -30 > middle(Organ.LUNG_RIGHT)
    assert middle(Organ.LIVER) < -15 < 15 < middle(Organ.SPLEEN)
    assert middle(Organ.HEART) > 0


def test_landmarks_lie_in_what_they_name(anatomy):
    for name in anatomy.landmarks:
        if name.endswith("_body"):
            assert _at(anatomy, anatomy.tissue, name) == Tissue.CANCELLOUS, name
        elif name.endswith("_spinous"):
            assert Organ.SPINE in _around(anatomy, anatomy.organ, name), name
        elif name.startswith("rib_"):
            assert Organ.RIBS in _around(anatomy, anatomy.organ, name), name
        elif name.startswith("kidney"):
            assert {Organ.KIDNEY_LEFT, Organ.KIDNEY_RIGHT} & set(_around(anatomy, anatomy.organ, name, 3).flat), name
    assert _at(anatomy, anatomy.organ, "carina") == Organ.TRACHEA
    assert _at(anatomy, anatomy.organ, "aortic_arch") == Organ.AORTA
    assert Organ.HEART in _around(anatomy, anatomy.organ, "heart_apex", 3)
    assert len(anatomy.landmarks) > 40


def test_a_vertebra_has_a_shell_around_a_spongy_core_and_a_canal_behind(anatomy):
    subject = Subject(anatomy.seed)
    v = subject.vertebra("T10")
    warp = Warp(np.random.default_rng([anatomy.seed, 13]), subject.scale)
    line = np.array([v.centre + v.axes @ np.array([0.0, t, 0.0]) for t in np.arange(0.0, v.depth / 2 + 9, 1.0)])
    index = np.rint((warp.to_subject(line) - anatomy.grid.origin) / anatomy.grid.spacing).astype(int)
    tissues = [anatomy.tissue[tuple(i[::-1])] for i in index]
    assert tissues[0] == Tissue.CANCELLOUS
    assert Tissue.CORTICAL in tissues
    assert tissues[-1] in (Tissue.NERVE, Tissue.CSF)
    assert tissues.index(Tissue.CORTICAL) > 4


def test_everything_solid_lies_inside_the_body(anatomy):
    solid = ~np.isin(anatomy.tissue, (Tissue.AIR, Tissue.GAS, Tissue.LUNG))
    assert (solid & ~anatomy.body).sum() < 0.005 * solid.sum()
    assert 0.2 < anatomy.body.mean() < 0.9


def test_partial_volume_is_kept_at_surfaces(anatomy):
    mixed = (anatomy.share < 250) & (anatomy.tissue != anatomy.under)
    assert 0.02 < mixed.mean() < 0.4
    assert anatomy.share.min() >= 127


@pytest.mark.parametrize("field_of_view", ["spine", "heart"])
def test_fields_of_view_show_what_they_name(field_of_view):
    part, whole = torso(4, MM, field_of_view), torso(4, MM)
    assert part.grid.size[2] != whole.grid.size[2]
    if field_of_view == "heart":
        assert "heart_apex" in part.landmarks
        assert (part.organ == Organ.HEART).sum() == pytest.approx((whole.organ == Organ.HEART).sum(), rel=0.02)
        assert "L3_body" not in part.landmarks
    else:
        assert {"T10_body", "L1_body", "L3_body"} <= set(part.landmarks)
        assert "T2_body" not in part.landmarks


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="elbow"):
        torso(1, 4.0, "elbow")
    with pytest.raises(ValueError, match="spacing_mm"):
        torso(1, 0.0)


def test_every_tissue_has_a_ct_number():
    assert set(CT_NUMBERS) == set(Tissue)


@pytest.mark.parametrize("seed", range(6))
def test_the_warp_is_invertible(seed):
    subject = Subject(seed)
    warp = Warp(np.random.default_rng([seed, 13]), subject.scale)
    points = np.random.default_rng(seed).uniform(-150, 150, (200, 3))
    there = warp.to_subject(points)
    back = (there + warp.displacement(there)) / warp.scale
    np.testing.assert_allclose(back, points, atol=1e-3)


def test_noise_is_one_function_of_space():
    from regenv.core.geometry import Grid

    fine = Grid((41, 41, 41), (1.0,) * 3, (-20.0, -20.0, -20.0), np.eye(3))
    coarse = Grid((21, 21, 21), (2.0,) * 3, (-20.0, -20.0, -20.0), np.eye(3))
    a = smooth_noise(np.random.default_rng(1), fine, 6.0)
    b = smooth_noise(np.random.default_rng(1), coarse, 6.0)
    np.testing.assert_allclose(a[::2, ::2, ::2], b, atol=1e-4)
    assert 0.6 < a.std() < 1.5


def test_the_head_holds_what_a_head_holds():
    head = torso(2, 3.0, "head_and_neck")
    litre = np.prod(head.grid.spacing) * 1e-6
    assert 0.9 < (head.organ == Organ.BRAIN).sum() * litre < 1.9
    assert 0.25 < (head.organ == Organ.SKULL).sum() * litre < 1.2
    assert (head.organ == Organ.MANDIBLE).sum() * litre > 0.02
    assert (head.tissue == Tissue.TOOTH).any()
    assert {"C2_body", "C5_body", "chin", "sella", "eye_left", "hyoid"} <= set(head.landmarks)
    assert head.landmarks["eye_left"][0] > head.landmarks["eye_right"][0] + 40
    assert head.landmarks["chin"][1] < head.landmarks["C3_body"][1] - 50
    assert _at(head, head.tissue, "eye_left") == Tissue.FLUID
    assert _at(head, head.tissue, "C4_body") == Tissue.CANCELLOUS
    solid = ~np.isin(head.tissue, (Tissue.AIR, Tissue.GAS, Tissue.LUNG))
    assert (solid & ~head.body).sum() < 0.01 * solid.sum()
