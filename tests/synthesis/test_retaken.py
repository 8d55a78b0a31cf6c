"""Variations of pairs with cameras: the fixed image is rendered from the varied patient, and the truth stays exact."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from regenv.core.geometry import FloatArray, transform_points
from regenv.core.image import Image
from regenv.core.projection import depth_image
from regenv.data.dataset import SPAN
from regenv.data.pair import ImagePair
from regenv.poses import get_model
from regenv.synthesis.patient import Patient, pack_patient, unpack_patient
from regenv.synthesis.phantom import PhantomDataset
from regenv.synthesis.physics.xray import draw_xray, xray
from regenv.synthesis.procedural import Whole, subject_seed
from regenv.synthesis.recipe import get_recipe
from regenv.synthesis.recipes.depth_surface import SKIN_HU
from regenv.synthesis.recipes.xray_spine import implants_of
from regenv.synthesis.variation import draw_warp, retaken, warped_patient
from tests.synthesis.recipes import test_depth_surface, test_xray_spine

SUBJECT = 4  # in whose "cbct", unlike in that of some, no far pose beats the truth
KINDS = (
    ("xray_spine", ("xray", "ct"), "ct"),
    ("xray_spine", ("xray", "cbct"), "cbct"),
    ("xray_spine", ("xray", "ct"), "biplane"),
    ("depth_surface", ("depth", "ct"), "bare"),
    ("depth_surface", ("depth", "ct"), "clothed"),
    ("depth_surface", ("depth", "ct"), "blanket"),
)
IDS = [f"{recipe}-{field}" for recipe, _, field in KINDS]
Kind = tuple[str, tuple[str, str], str]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=IDS)


@cache
def dataset(kind: Kind, split: str = "train") -> PhantomDataset:
    recipe, modalities, field = kind
    return PhantomDataset(split, modalities, field, recipe)


@cache
def whole(kind: Kind) -> Whole:
    return dataset(kind).whole(SUBJECT)


def taken(kind: Kind, seed: int) -> tuple[ImagePair, Patient, np.random.Generator]:
    """A variation in the patient's own space, the patient that its image was taken of, and the generator by then."""
    seen: list[tuple[Patient, np.random.Generator]] = []
    how = get_recipe(kind[0]).retake

    def take(patient: Patient, *others: object) -> tuple[Image, np.ndarray]:
        seen.append((patient, deepcopy(others[-1])))
        return how.take(patient, *others)

    made = whole(kind)
    pair = retaken(made.pair, made.patient, take, kind[2], np.random.default_rng(seed))
    return pair, *seen[0]


@each_kind
def test_a_variation_is_a_function_of_its_subject_and_its_number(kind: Kind) -> None:
    variations = [dataset(kind).load(SUBJECT + SPAN * v) for v in (1, 2)]
    again = PhantomDataset("train", kind[1], kind[2], kind[0]).load(SUBJECT + SPAN)
    first, second = variations
    np.testing.assert_array_equal(first.fixed.array, again.fixed.array)
    np.testing.assert_array_equal(first.moving.array, again.moving.array)
    np.testing.assert_array_equal(first.fixed_mask, again.fixed_mask)
    np.testing.assert_array_equal(first.truth.points_moving, again.truth.points_moving)
    assert np.abs(first.truth.points_fixed - second.truth.points_fixed).max() > 1.0
    assert (first.fixed.array != second.fixed.array).mean() > 0.3
    assert first.fixed.array.shape == second.fixed.array.shape == whole(kind).pair.fixed.array.shape


@each_kind
@pytest.mark.parametrize("variation", [1, 2])
def test_the_truth_is_exact(kind: Kind, variation: int) -> None:
    pair, plain = dataset(kind).load(SUBJECT + SPAN * variation), whole(kind).pair
    truth = pair.truth
    for fixed, moving in (
        (truth.points_fixed, truth.points_moving),
        (truth.landmarks_fixed, truth.landmarks_moving),
    ):
        np.testing.assert_allclose(transform_points(truth.transform, fixed), moving, atol=1e-8)
        for camera in pair.cameras:  # what the camera sees them at does not depend on the frame of the volume
            back = transform_points(np.linalg.inv(truth.transform), moving)
            np.testing.assert_allclose(camera.pixels(back), camera.pixels(fixed), atol=1e-6)
    assert len(truth.landmarks_fixed) == len(truth.landmark_names) == len(plain.truth.landmarks_fixed)
    moved = np.linalg.norm(truth.points_fixed - plain.truth.points_fixed, axis=1)
    assert 0.5 < moved.max() < 40
    for before, after in zip(plain.cameras, pair.cameras, strict=True):
        np.testing.assert_array_equal(before.frame, after.frame)
        np.testing.assert_array_equal(before.source, after.source)
    assert pair.truth.labels_moving.shape == pair.moving.array.shape == pair.moving_mask.shape
    assert pair.fixed_mask.mean() > 0.1


@each_kind
def test_the_whole_patient_and_the_volume_follow_one_warp(kind: Kind) -> None:
    pair, patient, _ = taken(kind, 7)
    made = whole(kind)
    warp = draw_warp(made.pair.moving.grid, np.random.default_rng(7))  # the first that is drawn
    np.testing.assert_allclose(warp(patient.points), made.patient.points, atol=1e-8)
    np.testing.assert_allclose(warp(pair.truth.landmarks_moving), made.pair.truth.landmarks_moving, atol=1e-8)

    rng = np.random.default_rng(0)
    inner = rng.integers(12, np.array(patient.hu.grid.size) - 12, (4000, 3))
    source = warp(transform_points(patient.hu.grid.index_to_physical, inner))
    index = transform_points(made.patient.hu.grid.physical_to_index, source)
    expected = map_coordinates(made.patient.hu.array, index.T[::-1], order=1, cval=made.patient.hu.background)
    got = patient.hu.array[tuple(inner.T[::-1])]
    within = np.all((index > 0) & (index < np.array(made.patient.hu.grid.size) - 1), axis=1)
    assert within.mean() > 0.3
    assert np.abs(got - expected)[within].max() < 60 and np.abs(got - expected)[within].mean() < 1.5


@pytest.mark.parametrize("kind", KINDS[:3], ids=IDS[:3])
def test_a_radiograph_is_that_of_the_varied_patient_in_the_true_pose(kind: Kind) -> None:
    pair, patient, rng = taken(kind, 7)
    metal = implants_of(patient)
    expected, field = xray(patient.hu, pair.cameras, rng, pair.truth.transform, draw_xray(rng), metal)
    np.testing.assert_array_equal(pair.fixed.array, expected.array)
    assert not (pair.fixed_mask & ~field).any()


def test_a_depth_map_is_that_of_the_varied_patient_in_the_true_pose() -> None:
    kind = KINDS[3]
    pair, patient, _ = taken(kind, 7)
    for volume in (patient.hu, pair.moving):
        rendered, hit = depth_image(volume, pair.cameras[0], SKIN_HU, pair.truth.transform)
        both = pair.fixed_mask[0] & hit
        assert both.sum() > 0.95 * pair.fixed_mask.sum()
        gap = rendered[both] - pair.fixed.array[0][both]
        assert abs(np.median(gap)) < 6 and np.median(np.abs(gap - np.median(gap))) < 4


@each_kind
@pytest.mark.parametrize("variation", [1, 2])
def test_the_truth_is_the_most_similar(kind: Kind, variation: int) -> None:
    rng = np.random.default_rng(variation)
    far = rng.uniform(-1, 1, (40, 6)) * [30, 30, 30, 20, 20, 20]
    far += np.sign(far) * [5, 5, 5, 3, 3, 3]
    poses: FloatArray = np.concatenate([np.eye(4)[None], get_model("rigid", 3).exp(far)])
    tests = test_xray_spine if kind[0] == "xray_spine" else test_depth_surface
    got = tests.similarities(dataset(kind).load(SUBJECT + SPAN * variation), poses)
    assert got[0] > got[1:].max()


def test_implants_go_with_the_patient() -> None:
    for seed in range(4, 12):
        pair, patient = get_recipe("xray_spine").retake.make(seed, ("xray", "ct"), "ct")
        if patient.numbers.size:
            break
    implants = implants_of(patient)
    assert implants and patient.points.shape == (2 * len(implants), 3)
    warp = draw_warp(pair.moving.grid, np.random.default_rng(0))
    for before, after in zip(implants, implants_of(warped_patient(patient, warp)), strict=True):
        np.testing.assert_allclose(warp(np.stack([after.start, after.end])), [before.start, before.end], atol=1e-8)
        assert (before.metal, before.radius_mm) == (after.metal, after.radius_mm)


def test_a_patient_is_kept_in_whole_hounsfield_units() -> None:
    patient = whole(KINDS[0]).patient
    again = unpack_patient(pack_patient(patient))
    np.testing.assert_array_equal(again.hu.array, np.rint(patient.hu.array))
    np.testing.assert_array_equal(again.points, patient.points)
    np.testing.assert_array_equal(again.numbers, patient.numbers)
    assert again.hu.grid.size == patient.hu.grid.size and again.bytes_held() > again.hu.array.nbytes
    assert unpack_patient({}) is None


@each_kind
def test_subjects_are_what_they_were_and_validation_is_not_varied(kind: Kind) -> None:
    """The recipe makes the same pair with and without its patient; only training keeps patients."""
    recipe = get_recipe(kind[0])
    seed = subject_seed("train", SUBJECT)
    plain, (pair, _) = recipe.make(seed, *kind[1:]), recipe.retake.make(seed, *kind[1:])
    np.testing.assert_array_equal(plain.fixed.array, pair.fixed.array)
    np.testing.assert_array_equal(plain.moving.array, pair.moving.array)
    np.testing.assert_array_equal(plain.truth.points_fixed, pair.truth.points_fixed)
    assert dataset(kind, "validation").whole(0).patient is None


# Of subject 0 of validation: whoever changes them makes other subjects, or the same ones again under another name.
_KEYS = {
    ("xray_spine", "ct"): "24681a2e1f77",
    ("xray_spine", "cbct"): "fb3f6bf0d220",
    ("xray_spine", "biplane"): "b7e118f5e6c6",
    ("depth_surface", "bare"): "cabb80ba7f70",
    ("depth_surface", "clothed"): "e497e7d99e66",
    ("depth_surface", "blanket"): "113066f1a122",
}


@each_kind
def test_the_cache_keys_of_validation_are_as_they_were(kind: Kind) -> None:
    validation = dataset(kind, "validation")
    assert validation._key(0).endswith(_KEYS[kind[0], kind[2]])
    training = dataset(kind)
    assert training._key(0) != training._key(1) != validation._key(0)
