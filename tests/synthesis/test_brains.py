"""The brain of MR images: volumes of its parts, where landmarks lie, what subjects share and what they do not."""

import numpy as np
import pytest

from regenv.synthesis.anatomy.brains import LANDMARKS, BrainSubject, brain, in_brain
from regenv.synthesis.anatomy.fetus import FETAL_LANDMARKS, fetus
from regenv.synthesis.anatomy.folds import template_lattice
from regenv.synthesis.anatomy.tissues import Organ, Tissue


@pytest.fixture(scope="module")
def heads():
    return [brain(BrainSubject.draw(seed), 2.5) for seed in (0, 5)]


def _millilitres(anatomy, *organs):
    return np.isin(anatomy.organ, organs).sum() * anatomy.grid.spacing[0] ** 3 / 1000


def test_parts_have_the_volumes_of_adults(heads):
    for head in heads:
        inside = _millilitres(head, *range(Organ.CORTEX, Organ.BRAINSTEM + 1), Organ.BRAIN)
        assert 1050 < inside < 1900
        cortex, white = (_millilitres(head, o) for o in (Organ.CORTEX, Organ.WHITE_MATTER))
        assert 350 < cortex < 800
        assert 300 < white < 700
        assert 1.0 < cortex / white < 2.0
        assert 4 < _millilitres(head, Organ.VENTRICLES) < 90
        assert 80 < _millilitres(head, Organ.CEREBELLUM) < 190
        assert 15 < _millilitres(head, Organ.BRAINSTEM) < 50


def test_cortex_lies_between_white_matter_and_fluid(heads):
    tissue = heads[0].tissue
    cortex = (heads[0].organ == Organ.CORTEX) & (tissue == Tissue.GREY_MATTER)
    touching = {Tissue.WHITE_MATTER: 0, Tissue.CSF: 0, Tissue.CORTICAL: 0}
    for axis in range(3):
        for step in (-1, 1):
            neighbour = np.roll(tissue, step, axis)[cortex]
            for kind in touching:
                touching[kind] += int((neighbour == kind).sum())
    assert touching[Tissue.WHITE_MATTER] > 0.3 * cortex.sum()
    assert touching[Tissue.CSF] > 0.3 * cortex.sum()
    # fluid keeps it from the bone
    assert touching[Tissue.CORTICAL] < 0.02 * cortex.sum()


def test_landmarks_lie_in_what_they_are_named_after(heads):
    expected = {"putamen_left": Organ.DEEP_GREY, "pons": Organ.BRAINSTEM, "atrium_right": Organ.VENTRICLES}
    for head in heads:
        assert set(head.landmarks) == set(LANDMARKS)
        for name, organ in expected.items():
            index = np.rint((head.landmarks[name] - head.grid.origin) / head.grid.spacing).astype(int)
            assert head.organ[tuple(index[::-1])] == organ, name


def test_subjects_differ_and_repeat():
    first, again, other = (brain(BrainSubject.draw(seed), 5.0) for seed in (1, 1, 2))
    assert np.array_equal(first.tissue, again.tissue) and np.array_equal(first.fine, again.fine)
    assert first.tissue.shape != other.tissue.shape or (first.tissue != other.tissue).mean() > 0.1


def test_a_slab_is_a_part_of_the_whole():
    subject = BrainSubject.draw(3)
    whole = brain(subject, 3.0)
    level = whole.grid.origin[2] + 3.0 * 30
    slab = brain(subject, 3.0, (level, level + 6.0))
    assert slab.grid.size[2] == 3
    assert (slab.organ == whole.organ[30:33]).mean() > 0.995


def test_in_plane_subjects_share_their_levels():
    subject = BrainSubject.draw(6, in_plane=True)
    points = np.random.default_rng(0).uniform(-60, 60, (200, 3))
    moved = subject.warp.to_subject(points)
    np.testing.assert_allclose(moved[:, 2], points[:, 2] * subject.warp.scale[2], atol=1e-9)
    points[:, 2] += 13.0
    np.testing.assert_allclose(subject.warp.to_subject(points)[:, :2], moved[:, :2], atol=1e-9)


def test_the_field_of_folding_is_band_passed():
    lattice = template_lattice()
    power = np.abs(np.fft.fftn(lattice)) ** 2
    wave = np.fft.fftfreq(64)
    radius = np.sqrt(wave[:, None, None] ** 2 + wave[None, :, None] ** 2 + wave[None, None] ** 2)
    band = (radius > 0.15) & (radius < 0.36)
    assert power[band].sum() > 0.9 * power.sum()


def test_the_brain_is_where_its_surface_says(heads):
    points = np.array([[0.0, 14, 6], [40, 20, 30], [0, 14, 120], [100, 0, 0]])
    distance = in_brain(points)
    assert (distance[:2] < -5).all() and (distance[2:] > 20).all()


def test_a_fetus_lies_in_fluid():
    womb = fetus(4, 2.5)
    assert set(womb.landmarks) == set(FETAL_LANDMARKS)
    head = womb.body
    ring = np.zeros_like(head)
    for axis in range(3):
        for step in (-2, 2):
            ring |= np.roll(head, step, axis)
    ring &= ~head
    assert (womb.tissue[ring] == Tissue.AMNION).mean() > 0.4
    assert 100 < _millilitres(womb, *range(Organ.CORTEX, Organ.BRAINSTEM + 1)) < 450
