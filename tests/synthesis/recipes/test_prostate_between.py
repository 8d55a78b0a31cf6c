"""T2 MR of the prostates of two men, as volumes and as slices."""

from dataclasses import replace

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import get_recipe
from tests.synthesis.recipes.deformed import determinants, label_overlaps, share_beaten, true_points

NAMES = ("prostate_between", "prostate_slices")
SEEDS = range(4)
GLAND, CENTRAL = int(Organ.PROSTATE), int(Organ.CENTRAL_GLAND)
_MADE = {}


@pytest.fixture(params=[(name, seed) for name in NAMES for seed in SEEDS], ids=lambda p: f"{p[0]}-{p[1]}")
def case(request):
    name, seed = request.param
    recipe = get_recipe(name)
    if request.param not in _MADE:
        _MADE[request.param] = recipe.make(seed, ("t2", "t2"), "prostate")
    return recipe, seed, _MADE[request.param]


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_bytes(name):
    first, again, other = (get_recipe(name).make(seed, ("t2", "t2"), "prostate") for seed in (1, 1, 2))
    for role in ("fixed", "moving"):
        assert getattr(again, role).array.tobytes() == getattr(first, role).array.tobytes()
    assert not np.array_equal(first.truth.points_moving, other.truth.points_moving)


def test_the_truth_is_exact(case):
    recipe, seed, pair = case
    for kind in ("points", "landmarks"):
        fixed, moving = (getattr(pair.truth, f"{kind}_{role}") for role in ("fixed", "moving"))
        np.testing.assert_allclose(true_points(recipe, seed, pair, fixed), moving, atol=1e-4)
    assert 100 <= len(pair.truth.points_fixed) <= 500
    assert len(pair.truth.landmark_names) == len(pair.truth.landmarks_fixed) >= 5


def test_there_is_something_left_to_find(case):
    _, _, pair = case
    left = pair.truth.points_moving - transform_points(pair.alignment, pair.truth.points_fixed)
    assert 1.0 < np.linalg.norm(left, axis=1).mean() < 12.0


def test_labels_meet_through_the_truth(case):
    recipe, seed, pair = case
    start, end = label_overlaps(recipe, seed, _merged(pair))[GLAND]
    assert end > 0.88
    assert end > start + 0.01
    assert label_overlaps(recipe, seed, pair)[CENTRAL][1] > 0.7


def _merged(pair):
    """The pair with the central gland counted as prostate and nothing else."""
    labels = {
        f"labels_{role}": np.where(
            getattr(pair.truth, f"labels_{role}") == CENTRAL, GLAND, getattr(pair.truth, f"labels_{role}")
        )
        for role in ("fixed", "moving")
    }
    return replace(pair, truth=replace(pair.truth, label_names={GLAND: "prostate"}, **labels))


def test_images_agree_best_at_the_truth(case):
    recipe, seed, pair = case
    assert share_beaten(recipe, seed, pair, millimetres=12.0) >= 0.96


def test_nothing_folds(case):
    recipe, seed, pair = case
    for other in range(seed * 10, seed * 10 + 10):
        assert determinants(recipe, other, (45.0,) * pair.ndim, 5.0).min() > 0.2


def test_images_are_t2(case):
    _, _, pair = case
    for image, mask, labels in (
        (pair.fixed, pair.fixed_mask, pair.truth.labels_fixed),
        (pair.moving, pair.moving_mask, pair.truth.labels_moving),
    ):
        assert image.array.dtype == np.float32 and image.array.min() >= 0 and image.modality == "t2"
        peripheral, central = (image.array[labels == organ].mean() for organ in (GLAND, CENTRAL))
        assert peripheral > 1.15 * central
        assert 0.03 < mask.mean() < 0.6
        assert mask[np.isin(labels, (GLAND, CENTRAL))].all()


def test_glands_have_the_size_of_glands():
    millilitres = []
    for seed in range(12):
        pair = get_recipe("prostate_between").make(seed, ("t2", "t2"), "prostate")
        voxel = np.prod(pair.fixed.grid.spacing) / 1000
        millilitres.append(np.isin(pair.truth.labels_fixed, (GLAND, CENTRAL)).sum() * voxel)
    assert min(millilitres) > 15 and max(millilitres) < 120 and np.std(millilitres) > 5
