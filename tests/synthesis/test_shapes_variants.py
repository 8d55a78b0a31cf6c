"""Random shapes in every kind of environment: flat, in thick slices, deformed."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

import regenv  # noqa: F401  (registers the ids)
from regenv.core.geometry import transform_points
from regenv.data.dataset import SPAN
from regenv.datasets import make_dataset
from regenv.errors import OptionError
from regenv.synthesis.population import load_population
from regenv.synthesis.shapes import variants

IDS = ("CTMR-Affine2D-v0", "CardiacMR-SDM2D-v0", "BrainMR-SDM-v0", "SliceMR-Rigid-v0")


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("REGENV_CACHE", str(tmp_path_factory.getbasetemp() / "shapes-cache"))


@pytest.mark.parametrize("env_id", IDS)
def test_the_oracle_brings_shapes_together(env_id):
    env = gym.make(env_id, dataset="shapes")
    assert env.unwrapped.config.reward == "mi"  # whatever the id's: random contrasts do not correlate
    gains = []
    for seed in range(3):
        _, info = env.reset(seed=seed)
        start, before, over = info["tre"], info["similarity"], False
        while not over:
            _, _, terminated, truncated, info = env.step(env.unwrapped.expert_action())
            over = terminated or truncated
        assert info["tre"] < max(1.0, 0.6 * start)
        gains.append(info["similarity"] - before)
    assert np.median(gains) > 0


def test_a_subject_is_deformed_once(monkeypatch):
    deformed, calls = variants.deformed, []
    monkeypatch.setattr(variants, "deformed", lambda *given: calls.append(1) or deformed(*given))
    dataset = make_dataset("shapes", model="sdm", ndim=2, recipe="cardiac_slices", extent_mm=128.0)
    for index in (0, SPAN, 0):
        dataset.load(index)
    assert calls == [1]


def test_every_case_of_a_subject_is_the_same_pair_elsewhere():
    dataset = make_dataset("shapes", split="validation", model="sdm", recipe="brain_between", field_of_view="head")
    first, again = dataset.load(0), dataset.load(len(set(dataset.subjects)))
    np.testing.assert_array_equal(first.fixed.array, again.fixed.array)
    assert not np.allclose(first.alignment, again.alignment)
    assert not np.array_equal(first.fixed.array, dataset.load(1).fixed.array)


def test_points_of_a_deformation_are_where_the_image_shows_them():
    """Of an image whose value is its own x in mm, the deformed one shows at each point where that point belongs."""
    pair = make_dataset("shapes", ndim=2, extent_mm=345.6).load(0)
    grid = pair.fixed.grid
    axes = replace(pair.fixed, array=np.ascontiguousarray(grid.points()[..., 0], dtype=np.float32))
    model = load_population("chest_xray", "chest")
    shown = variants.deformed(replace(pair, fixed=axes), np.random.default_rng(0), model)
    index = transform_points(grid.physical_to_index, shown.truth.points_fixed)
    inside = np.all((index > 1) & (index < np.array(grid.size) - 2), axis=1)
    seen = map_coordinates(shown.fixed.array, index[inside].T[::-1], order=1)
    there = shown.truth.points_moving[inside, 0]
    held = np.abs(there - grid.centre[0]) < grid.extent[0] / 2 - 2 * grid.spacing[0]  # else beyond the image
    assert held.sum() > 50
    assert np.abs(seen - there)[held].max() < 0.1


def test_a_deformation_lies_only_partly_in_the_span():
    model = load_population("brain_between", "head")
    shares = []
    dataset = make_dataset("shapes", model="sdm", recipe="brain_between", field_of_view="head")
    for index in range(4):
        pair = dataset.load(index)
        local = transform_points(np.linalg.inv(pair.fixed.grid.frame), pair.truth.points_fixed)
        there = transform_points(np.linalg.inv(pair.alignment @ pair.fixed.grid.frame), pair.truth.points_moving)
        u = there - local
        rest = u - model.displacement(model.project(local, u), local)
        shares.append(np.sqrt((rest**2).sum() / (u**2).sum()))
    assert 0.02 < np.median(shares) < 0.5


def test_a_thick_slice_shows_what_the_volume_has_there():
    pair = make_dataset("shapes", imaging="slice").load(0)
    assert pair.fixed.grid.size[2] == 1 and 3.0 <= pair.fixed.grid.spacing[2] <= 6.0
    env = gym.make("SliceMR-Rigid-v0", dataset="shapes", reward="nmi")
    _, info = env.reset(seed=0)
    truth = env.unwrapped.truth()
    best = env.reset(options={"pair": info["pair_id"], "start": truth})[1]["similarity"]
    rng = np.random.default_rng(0)
    for _ in range(10):
        away = env.unwrapped.model.exp(rng.uniform(-1, 1, (1, 6)) * [20, 20, 20, 15, 15, 15])[0]
        frame = env.unwrapped._engine.case(0).scene.frame
        start = truth @ frame @ away @ np.linalg.inv(frame)
        assert env.reset(options={"pair": info["pair_id"], "start": start})[1]["similarity"] < best


def test_flat_shapes_are_images_of_one_plane():
    pair = make_dataset("shapes", ndim=2, extent_mm=134.0).load(3)
    assert pair.ndim == 2 and pair.fixed.array.ndim == 2
    assert min(pair.fixed.grid.spacing) >= 134 / 96 - 1e-6 and pair.fixed_mask.any()


def test_radiographs_of_shapes_are_refused():
    with pytest.raises(OptionError, match="radiograph"):
        gym.make("XRayCT-Rigid-v0", dataset="shapes")
