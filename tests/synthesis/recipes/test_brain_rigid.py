"""Two contrasts of one head: the same place in both, told from any other place."""

import numpy as np
import pytest

from regenv.synthesis.recipe import get_recipe
from tests.synthesis.recipes.linear import agreement, landmark_error, overlap, random_misalignments

RECIPE = get_recipe("brain_rigid")


@pytest.fixture(scope="module", params=[("t1", "t2"), ("flair", "t1")], ids="-".join)
def pair(request):
    return RECIPE.make(4, request.param, "head")


def test_the_same_seed_gives_the_same_bytes(pair):
    again = RECIPE.make(4, (pair.fixed.modality, pair.moving.modality), "head")
    assert np.array_equal(pair.fixed.array, again.fixed.array)
    assert np.array_equal(pair.moving.array, again.moving.array)
    other = RECIPE.make(5, (pair.fixed.modality, pair.moving.modality), "head")
    assert other.fixed.array.shape != pair.fixed.array.shape or not np.array_equal(other.fixed.array, pair.fixed.array)


def test_images_are_of_the_asked_kind(pair):
    for image, mask in ((pair.fixed, pair.fixed_mask), (pair.moving, pair.moving_mask)):
        assert image.array.dtype == np.float32 and image.background == 0.0
        assert image.array.min() >= 0 and np.isfinite(image.array).all()
        # the head is bright, the air around it is noise
        assert image.array[mask].mean() > 4 * image.array[~mask].mean()
        assert 0.25 < mask.mean() < 0.8
    assert np.abs(pair.fixed.grid.direction - pair.moving.grid.direction).max() > 0.01


def test_the_truth_is_exact(pair):
    assert np.array_equal(pair.truth.transform, np.eye(4))
    assert landmark_error(pair) == 0.0
    assert len(pair.truth.landmark_names) >= 20
    for label in pair.truth.label_names:
        assert overlap(pair, np.eye(4), label) > 0.55
    moved = np.eye(4)
    moved[0, 3] = 6.0
    for label in pair.truth.label_names:
        assert overlap(pair, moved, label) < overlap(pair, np.eye(4), label)


def test_the_truth_agrees_better_than_any_misalignment(pair):
    best = agreement(pair, pair.truth.transform)
    others = [agreement(pair, t) for t in random_misalignments(pair, np.random.default_rng(0), 50)]
    assert best > max(others)
