"""The prostate and its neighbours: reproducible, of the right size, with landmarks on what they name."""

import numpy as np
import pytest

from regenv.synthesis.anatomy.prostate import ProstateSubject, gland_distance, prostate
from regenv.synthesis.anatomy.tissues import Organ, Tissue

GLAND = (int(Organ.PROSTATE), int(Organ.CENTRAL_GLAND))


@pytest.fixture(scope="module")
def anatomy():
    return prostate(3)


def test_the_same_seed_gives_the_same_man_and_another_seed_another(anatomy):
    again, other = prostate(3), prostate(4)
    assert np.array_equal(anatomy.tissue, again.tissue) and np.array_equal(anatomy.share, again.share)
    assert (other.tissue != anatomy.tissue).mean() > 0.05


def test_resolution_does_not_change_the_man(anatomy):
    coarse = prostate(3, 3.0)
    for name, point in coarse.landmarks.items():
        np.testing.assert_allclose(anatomy.landmarks[name], point, atol=1e-6)
    volumes = [np.isin(a.organ, GLAND).sum() * np.prod(a.grid.spacing) for a in (anatomy, coarse)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.08)


def test_the_gland_is_where_the_template_says(anatomy):
    warp = ProstateSubject(3).warp
    template = warp.to_template(anatomy.grid.points().reshape(-1, 3)).astype(np.float32)
    inside = (gland_distance(*template.T) < 0).reshape(anatomy.grid.shape)
    painted = np.isin(anatomy.organ, GLAND)
    assert 2 * (inside & painted).sum() / (inside.sum() + painted.sum()) > 0.93


def test_landmarks_lie_on_the_gland(anatomy):
    warp = ProstateSubject(3).warp
    for name in (
        "prostate_apex",
        "prostate_base",
        "prostate_left",
        "prostate_right",
        "prostate_front",
        "prostate_back",
    ):
        template = warp.to_template(anatomy.landmarks[name][None]).astype(np.float32)
        assert abs(gland_distance(*template.T)[0]) < 2.5, name


@pytest.mark.parametrize("seed", range(6))
def test_every_man_has_all_that_belongs(seed):
    anatomy = prostate(seed, 2.0)
    millilitres = np.prod(anatomy.grid.spacing) / 1000
    sizes = {organ: (anatomy.organ == organ).sum() * millilitres for organ in Organ}
    assert 15 < sizes[Organ.PROSTATE] + sizes[Organ.CENTRAL_GLAND] < 120
    assert 30 < sizes[Organ.BLADDER] < 320
    assert 20 < sizes[Organ.RECTUM] < 220
    assert sizes[Organ.PELVIS_BONE] > 10
    kinds = (Tissue.PROSTATE_PERIPHERAL, Tissue.SEMINAL_VESICLE, Tissue.URINE, Tissue.MUSCLE, Tissue.RECTUM_WALL)
    for tissue in (*kinds, Tissue.CARTILAGE, Tissue.VEIN):
        assert (anatomy.tissue == tissue).any(), tissue.name
    assert anatomy.body.all()


def test_hyperplasia_grows_the_central_gland():
    subjects = [ProstateSubject(seed) for seed in range(40)]
    order = np.argsort([s.hyperplasia for s in subjects])
    small, large = ((prostate(int(seed), 2.5).organ == Organ.CENTRAL_GLAND).sum() for seed in (order[0], order[-1]))
    assert large > 1.5 * small


def test_a_slab_is_the_same_all_through():
    slab = prostate(5, 1.5, (60.0, 60.0, 3.0), level=4.0)
    warp = ProstateSubject(5, 4.0).warp
    x, y, _ = warp.template_coordinates(slab.grid)
    assert np.array_equal(x[0], x[-1]) and np.array_equal(y[0], y[-1])


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="spacing_mm"):
        prostate(0, -1.0)
