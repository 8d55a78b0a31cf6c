"""Random shapes: reproducible, split apart, and true to the motion that they claim."""

from __future__ import annotations

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.core.resample import resample
from regenv.core.similarity import get_similarity
from regenv.data.dataset import SPAN, count_of
from regenv.datasets import make_dataset
from regenv.synthesis.procedural import SUBJECTS
from regenv.synthesis.shapes import LABELS, SIZE, PairGenerator, Residual, draw_contrasts, make_anatomy
from regenv.synthesis.shapes.dataset import CASES


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("REGENV_CACHE", str(tmp_path_factory.getbasetemp() / "shapes-cache"))


@pytest.fixture(scope="module")
def anatomies():
    return [make_anatomy(seed) for seed in (1, 2)]


def test_an_anatomy_is_its_seed(anatomies):
    again = make_anatomy(1)
    assert np.array_equal(again.labels, anatomies[0].labels) and np.array_equal(again.texture, anatomies[0].texture)
    assert not np.array_equal(again.labels, anatomies[1].labels)
    assert again.labels.shape == (SIZE,) * 3 and again.labels.max() < LABELS
    assert len(np.unique(again.labels)) > 8
    assert 0.1 < (again.labels != 0).mean() <= 1.0


def test_contrasts_of_a_pair_are_related_in_many_ways():
    rng = np.random.default_rng(0)
    correlations = np.array([np.corrcoef(*draw_contrasts(rng)[0])[0, 1] for _ in range(200)])
    assert (correlations > 0.9).any() and (correlations < -0.3).any() and (np.abs(correlations) < 0.2).any()


def test_matches_follow_the_motion(anatomies):
    generator = PairGenerator(anatomies, seed=5)
    exact = 0
    for _ in range(12):
        pair = generator.draw()
        n = pair.observation.shape[-1] // 2
        line = (np.arange(n) - (n - 1) / 2) * 2 * pair.spacing_mm
        z, y, x = np.meshgrid(line, line, line, indexing="ij")
        expected = transform_points(pair.motion, np.stack([x, y, z], axis=-1))
        off = np.linalg.norm(expected - pair.matches, axis=-1)[pair.shown]
        if off.size == 0:
            continue
        assert off.max() < 10.0  # a smooth distortion of a few mm at most
        exact += off.max() < 1e-3
        assert np.abs(pair.matches[pair.shown]).max() < pair.spacing_mm * n
        assert not (pair.shown & ~pair.body).any()
    assert 4 <= exact < 12


def test_views_show_the_same_where_they_match(anatomies):
    """Moved at the matched place has the value of fixed, where contrast and pose are the same."""
    generator = PairGenerator(anatomies, seed=3, residuals=(Residual(1.0, 10.0, 10.0),), fine_share=0.0)
    best = 0.0
    for _ in range(25):
        pair = generator.draw()
        if pair.shown.sum() < 2000:
            continue
        fixed = pair.observation[0].reshape(32, 2, 32, 2, 32, 2).mean((1, 3, 5))[pair.shown]
        index = np.rint(pair.matches[pair.shown] / pair.spacing_mm + 31.5).astype(int)
        moved = pair.observation[1][index[:, 2], index[:, 1], index[:, 0]]
        best = max(best, abs(np.corrcoef(fixed, moved)[0, 1]))
    assert best > 0.9


def test_the_same_seed_draws_the_same_pairs(anatomies):
    first, second = PairGenerator(anatomies, seed=9).draw(), PairGenerator(anatomies, seed=9).draw()
    assert np.array_equal(first.observation, second.observation) and np.array_equal(first.motion, second.motion)
    assert not np.array_equal(PairGenerator(anatomies, seed=10).draw().motion, first.motion)


def test_splits_are_disjoint():
    sets = {split: make_dataset("shapes", split=split) for split in SUBJECTS}
    for split, dataset in sets.items():
        assert len(dataset.ids) == CASES[split] and len(set(dataset.subjects)) == SUBJECTS[split]
    few = make_dataset("shapes", split="train", subjects=7)
    assert count_of(few) == 7 and few.ids[6 + 2 * SPAN] == "shapes-train-0006-v2"


def test_a_case_is_whole_and_its_truth_right():
    pair, again = (make_dataset("shapes", split="validation").load(2) for _ in range(2))
    assert np.array_equal(pair.fixed.array, again.fixed.array)
    assert np.array_equal(pair.truth.transform, again.truth.transform)
    assert pair.fixed_mask.shape == pair.fixed.grid.shape and pair.fixed_mask.any()
    metric = get_similarity("nmi")

    def alike(transform):
        moved, valid = resample(pair.moving, pair.fixed.grid, transform)
        arrays = (pair.fixed.array, moved, pair.fixed_mask.astype(np.uint8), valid.astype(np.uint8))
        return metric.evaluate(*(a[None] for a in arrays), True)[0]

    away = pair.truth.transform.copy()
    away[:3, 3] += pair.moving.grid.direction @ [8.0, 8.0, 8.0]
    assert alike(pair.truth.transform) > alike(away) + 0.005


def test_an_unknown_case_is_refused():
    with pytest.raises(IndexError, match="pair 1000 of 64"):
        make_dataset("shapes", split="validation").load(1000)
