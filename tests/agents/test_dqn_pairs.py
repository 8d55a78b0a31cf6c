from __future__ import annotations

import itertools

import numpy as np
import pytest

from agents.dqn.pairs import MorePairs, mirrored
from regenv.core.points import lattice_points, mean_tre
from regenv.core.resample import resample
from tests.envs.blobs import Blobs


def _correlation(pair) -> float:
    moved, valid = resample(pair.moving, pair.fixed.grid, pair.truth.transform)
    inside = pair.fixed_mask & valid.astype(bool)
    return float(np.corrcoef(moved[inside], pair.fixed.array[inside])[0, 1])


@pytest.mark.parametrize("axes", list(itertools.product([False, True], repeat=3)))
def test_a_mirrored_pair_matches_as_well_as_the_pair_itself(axes: tuple[bool, ...]) -> None:
    pair = Blobs("train").load(0)
    turned = mirrored(pair, np.array(axes))
    linear = turned.truth.transform[:3, :3]
    np.testing.assert_allclose(linear @ linear.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(linear) == pytest.approx(1.0)
    assert _correlation(turned) == pytest.approx(_correlation(pair), abs=0.01)
    assert _correlation(pair) > 0.9
    assert np.array_equal(turned.fixed.array, pair.fixed.array) == (not any(axes))


def test_variations_are_exact_problems_and_differ() -> None:
    pairs = MorePairs(Blobs("train"), 9, base=2)
    assert len(set(pairs.ids)) == 9
    assert set(pairs.subjects) == {"train-0", "train-1"}
    first, again, third = pairs.load(0), Blobs("train").load(0), pairs.load(2)
    np.testing.assert_array_equal(first.fixed.array, again.fixed.array)
    assert third.id != first.id
    points = lattice_points(third.fixed_mask, third.fixed.grid)
    assert mean_tre(third.truth.transform, first.truth.transform, points) > 10.0
    for index in range(9):
        assert _correlation(pairs.load(index)) > 0.9
    np.testing.assert_array_equal(pairs.load(5).fixed.array, pairs.load(5).fixed.array)
    with pytest.raises(IndexError):
        pairs.load(9)


def test_a_pair_without_its_truth_cannot_be_mirrored() -> None:
    with pytest.raises(ValueError, match="no true transform"):
        mirrored(Blobs("train").load(0).without_truth(), np.array([True, False, False]))
