"""MR and CT slices of head and neck: one plane, a similarity between them, levels by name."""

import numpy as np
import pytest

from regenv.core.labels import label_resample
from regenv.synthesis.anatomy.region import HEAD_LEVELS, head_slab
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.torso import torso
from regenv.synthesis.recipe import get_recipe
from tests.synthesis.recipes.linear import agreement, landmark_error, overlap, random_misalignments

RECIPE = get_recipe("head_slices")


@pytest.fixture(scope="module")
def pair():
    return RECIPE.make(1, ("t1", "ct"), "head_and_neck")


def test_equal_seeds_give_equal_bytes(pair):
    again = RECIPE.make(1, ("t1", "ct"), "head_and_neck")
    other = RECIPE.make(2, ("t1", "ct"), "head_and_neck")
    assert pair.fixed.array.tobytes() == again.fixed.array.tobytes()
    assert pair.moving.array.tobytes() == again.moving.array.tobytes()
    assert np.array_equal(pair.truth.transform, again.truth.transform)
    assert other.fixed.array.shape != pair.fixed.array.shape or not np.array_equal(other.fixed.array, pair.fixed.array)


def test_images_are_two_dimensional_and_in_range(pair):
    assert pair.ndim == 2 and pair.fixed.array.ndim == 2 and pair.moving.array.ndim == 2
    assert (pair.fixed.modality, pair.moving.modality) == ("t1", "ct")
    assert pair.fixed.array.min() >= 0 and pair.fixed.background == 0
    assert -1024 <= pair.moving.array.min() < -900 and pair.moving.array.max() > 600
    for mask, image in ((pair.fixed_mask, pair.fixed), (pair.moving_mask, pair.moving)):
        assert mask.shape == image.array.shape and 0.15 < mask.mean() < 0.8
    # air is dark in MR, fat is bright
    assert np.median(pair.fixed.array[~pair.fixed_mask]) < 0.2 * np.median(pair.fixed.array[pair.fixed_mask])


@pytest.mark.parametrize("seed", range(6))
def test_the_truth_is_a_similarity_and_exact(seed):
    pair = RECIPE.make(seed, ("t2", "ct"), "head_and_neck")
    linear = pair.truth.transform[:2, :2]
    scale = np.sqrt(np.linalg.det(linear))
    np.testing.assert_allclose(linear @ linear.T, scale**2 * np.eye(2), atol=1e-12)
    assert 0.89 < scale < 1.11
    assert landmark_error(pair) < 1e-9
    assert len(pair.truth.landmark_names) >= 3
    for label in (Organ.SKULL, Organ.SPINE, Organ.BRAIN):
        if (pair.truth.labels_fixed == label).sum() > 400:
            assert overlap(pair, pair.truth.transform, label) > 0.85
    # the moving slice is turned within its plane
    assert abs(pair.moving.grid.direction[0, 1]) > 0.002


@pytest.mark.parametrize(("seed", "modality"), [(0, "t1"), (3, "t2"), (6, "t1")])
def test_the_images_agree_best_at_the_truth(seed, modality):
    pair = RECIPE.make(seed, (modality, "ct"), "nasopharynx")
    best = agreement(pair, pair.truth.transform)
    assert best > max(agreement(pair, t) for t in random_misalignments(pair, np.random.default_rng(seed)))
    # scale alone counts too
    for factor in (0.9, 1.1):
        centre = pair.moving.grid.centre
        grown = np.eye(3)
        grown[:2, :2] *= factor
        grown[:2, 2] = (1 - factor) * centre
        assert agreement(pair, grown @ pair.truth.transform) < best


def test_levels_show_what_they_name():
    shown = {level: RECIPE.make(4, ("t1", "ct"), level).truth for level in HEAD_LEVELS}
    assert (shown["orbit"].labels_fixed == Organ.BRAIN).sum() > 1000
    assert not (shown["larynx"].labels_fixed == Organ.BRAIN).any()
    assert (shown["larynx"].labels_fixed == Organ.TRACHEA).sum() > 30
    assert (shown["oropharynx"].labels_fixed == Organ.MANDIBLE).sum() > 100
    with pytest.raises(KeyError):
        RECIPE.make(4, ("t1", "ct"), "knee")


def test_a_slab_is_the_slab_of_the_whole_head():
    whole = torso(2, 2.0, "head_and_neck")
    slab = head_slab(2, 2.0, 30.0, 8.0)
    there = label_resample(whole.tissue, whole.grid, slab.grid)
    # voxels do not fall on one another exactly, so edges may differ
    solid = (there != Tissue.AIR) | (slab.tissue != Tissue.AIR)
    assert solid.mean() > 0.1
    assert (there == slab.tissue)[solid].mean() > 0.8
