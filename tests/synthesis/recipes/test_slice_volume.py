"""A thick slice in a volume: of an adult, of a fetus, and three slices at once."""

import numpy as np
import pytest

from regenv.core.labels import label_resample
from regenv.synthesis.recipe import get_recipe
from tests.synthesis.recipes.linear import agreement, random_misalignments

RECIPE = get_recipe("slice_volume")


@pytest.fixture(scope="module", params=RECIPE.fields_of_view)
def case(request):
    return request.param, RECIPE.make(1, ("t2", "t2"), request.param)


def test_the_same_seed_gives_the_same_bytes(case):
    field, pair = case
    again = RECIPE.make(1, ("t2", "t2"), field)
    assert np.array_equal(pair.fixed.array, again.fixed.array)
    assert np.array_equal(pair.moving.array, again.moving.array)


def test_shapes(case):
    field, pair = case
    slices = 3 if field == "stack" else 1
    assert pair.fixed.grid.size[2] == slices
    assert 3.0 <= pair.fixed.grid.spacing[2] <= (18.0 if field == "stack" else 6.0)
    assert min(pair.moving.grid.size) > 40
    for image, mask in ((pair.fixed, pair.fixed_mask), (pair.moving, pair.moving_mask)):
        assert image.array.min() >= 0
        assert 0.1 < mask.mean() < 0.8
    assert set(np.unique(pair.truth.labels_fixed)) - {0} <= set(pair.truth.label_names)


def test_slices_lie_at_any_angle():
    directions = [np.abs(RECIPE.make(s, ("t2", "t2"), "adult").fixed.grid.direction[:, 2]) for s in range(4)]
    assert len({int(np.argmax(d)) for d in directions}) > 1
    assert all(np.sort(d)[-2] > 0.02 for d in directions)


def test_the_labels_agree_under_the_truth(case):
    _, pair = case
    moved = label_resample(pair.truth.labels_moving, pair.moving.grid, pair.fixed.grid)
    either = (moved > 0) | (pair.truth.labels_fixed > 0)
    assert (moved == pair.truth.labels_fixed)[either].mean() > 0.6


def test_the_truth_agrees_better_than_misalignments(case):
    _, pair = case
    best = agreement(pair, pair.truth.transform)
    others = [agreement(pair, t) for t in random_misalignments(pair, np.random.default_rng(1), 50)]
    assert best > max(others)


def test_white_matter_of_a_fetus_is_brighter_than_its_cortex():
    pair = RECIPE.make(3, ("t2", "t2"), "fetal")
    names = {name: value for value, name in pair.truth.label_names.items()}
    labels, image = pair.truth.labels_moving, pair.moving.array
    white, cortex = (np.median(image[labels == names[n]]) for n in ("white_matter", "cortex"))
    assert white > 1.05 * cortex
    outside = image[~pair.moving_mask]
    assert np.percentile(outside, 90) > 1.1 * white  # amniotic fluid
