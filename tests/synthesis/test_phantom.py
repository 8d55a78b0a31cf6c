"""The phantom data set: the protocol, the truth, disjoint splits, fields of view."""

from dataclasses import replace

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.core.resample import resample
from regenv.data.dataset import SPAN, SPLITS
from regenv.errors import OptionError
from regenv.synthesis.phantom import CASES, PhantomDataset
from regenv.synthesis.procedural import SUBJECTS, subject_seed
from regenv.synthesis.recipes import torso


@pytest.fixture(autouse=True)
def _coarse(monkeypatch, tmp_path_factory):
    """Coarse anatomies in a cache of their own keep these tests quick."""
    monkeypatch.setenv("REGENV_CACHE", str(tmp_path_factory.getbasetemp() / "phantom-cache"))
    monkeypatch.setattr(torso, "_ANATOMY_MM", dict.fromkeys(torso._ANATOMY_MM, 4.0))
    monkeypatch.setattr(torso, "RECIPE", replace(torso.RECIPE, version="test"))


def test_splits_are_disjoint_and_of_the_announced_size():
    sets = {split: PhantomDataset(split) for split in SPLITS}
    for split in SUBJECTS:
        dataset = sets[split]
        assert len(set(dataset.subjects)) == SUBJECTS[split]
        assert len(dataset.ids) == CASES[split] == len(set(dataset.ids)) == len(dataset.subjects)
        assert dataset.ndim == 3 and dataset.split == split
    assert {sets["train"].subjects[i] for i in range(0, 30_000, 7)}.isdisjoint(
        {*sets["validation"].subjects, *sets["test"].subjects}
    )


def test_seeds_of_splits_are_disjoint_however_many_subjects_are_trained_on():
    fixed = [subject_seed(split, n) for split in SUBJECTS for n in range(SUBJECTS[split])]
    assert fixed[0] == 10_000 and fixed[SUBJECTS["validation"]] == 20_000  # of data that is out in the world
    training = [subject_seed("train", n) for n in (*range(40_000), 10**6, SPAN - 1)]
    assert len(set(training)) == len(training) and not set(training) & set(fixed)
    # a recipe that shows two subjects adds this to the seed for the second
    assert not {s + 1_000_000 for s in training} & {*fixed, *(s + 1_000_000 for s in fixed)}


def test_training_subjects_have_no_end_and_can_be_limited():
    endless, few = PhantomDataset("train"), PhantomDataset("train", subjects=3)
    index = 12_345 + 7 * SPAN
    assert endless.ids[index] == "phantom-torso-train-12345-v7"
    assert endless.ids.index(endless.ids[index]) == index
    assert endless.subjects[index] == "phantom-train-12345"
    assert endless.ids[3] == "phantom-torso-train-0003"
    assert few.ids[2 + SPAN] == "phantom-torso-train-0002-v1"
    with pytest.raises(IndexError, match="subject 3 of 3"):
        few.ids[3]
    with pytest.raises(TypeError, match="not iterable"):
        list(endless.ids)  # which would never end
    for name in ("phantom-torso-train-0003", "phantom-torso-train-2", "phantom-torso-train-0002-v0", "0001"):
        with pytest.raises(ValueError, match="names are such as 'phantom-torso-train-0000'"):
            few.ids.index(name)
    for bad in ({"subjects": 0}, {"split": "validation", "subjects": 5}):
        with pytest.raises(OptionError, match="must be at least 1"):
            PhantomDataset(**bad)


def test_a_variation_is_a_function_of_subject_and_number():
    dataset, again = PhantomDataset("train"), PhantomDataset("train", subjects=4)
    plain, first, second = (dataset.load(2 + v * SPAN) for v in range(3))
    same = again.load(2 + SPAN)
    assert np.array_equal(first.fixed.array, same.fixed.array)
    assert np.array_equal(first.truth.transform, same.truth.transform)
    assert first.subject == second.subject == plain.subject
    assert len({pair.id for pair in (plain, first, second)}) == 3
    assert len({pair.fixed.array.tobytes() for pair in (plain, first, second)}) == 3


def test_a_pair_is_complete_and_reproducible():
    pair, again = PhantomDataset("train").load(1), PhantomDataset("train").load(1)
    assert (pair.fixed.modality, pair.moving.modality) == ("cbct", "ct")
    assert pair.id == PhantomDataset("train").ids[1]
    assert np.array_equal(pair.fixed.array, again.fixed.array)
    assert np.array_equal(pair.truth.transform, again.truth.transform)
    for image, mask, labels in (
        (pair.fixed, pair.fixed_mask, pair.truth.labels_fixed),
        (pair.moving, pair.moving_mask, pair.truth.labels_moving),
    ):
        assert mask.shape == labels.shape == image.array.shape
        assert mask.dtype == bool and mask.any() and not mask.all()
        assert len(np.unique(labels)) > 5
    assert len(pair.truth.landmark_names) == len(pair.truth.landmarks_fixed) > 5


def test_the_truth_holds_in_landmarks_labels_and_intensities():
    pair = PhantomDataset("validation").load(2)
    truth = pair.truth
    rotation = truth.transform[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(
        transform_points(truth.transform, truth.landmarks_fixed), truth.landmarks_moving, atol=1e-6
    )
    moved, valid = resample(pair.moving, pair.fixed.grid, truth.transform)
    inside = valid & pair.fixed_mask
    aligned = np.corrcoef(moved[inside], pair.fixed.array[inside])[0, 1]
    assert 0.75 < aligned < 0.999
    off = np.eye(4)
    off[:3, 3] = [8.0, -6.0, 5.0]
    moved, valid = resample(pair.moving, pair.fixed.grid, truth.transform @ off)
    inside = valid & pair.fixed_mask
    assert np.corrcoef(moved[inside], pair.fixed.array[inside])[0, 1] < aligned - 0.05


def test_cases_of_one_subject_differ_in_frame_and_crop():
    dataset = PhantomDataset("validation")
    n = SUBJECTS["validation"]
    first, second = dataset.load(0), dataset.load(n)
    assert first.subject == second.subject and first.id != second.id
    assert np.abs(first.truth.transform - second.truth.transform).max() > 1.0
    assert np.abs(first.truth.transform - np.eye(4)).max() > 1.0


def test_the_fixed_mask_is_the_patient_in_the_field_of_view():
    pair = PhantomDataset("train").load(0)
    assert (pair.fixed.array[pair.fixed_mask] > -1000).all()
    outside_body = pair.fixed.array[~pair.fixed_mask]
    assert np.median(outside_body) < -800


@pytest.mark.parametrize("field_of_view", ["spine", "heart", "head_and_neck"])
def test_fields_of_view_differ(field_of_view):
    part = PhantomDataset("validation", field_of_view=field_of_view).load(0)
    whole = PhantomDataset("validation").load(0)
    assert part.moving.array.shape != whole.moving.array.shape
    names = " ".join(part.truth.landmark_names)
    assert {"heart": "heart_apex", "spine": "L1_body", "head_and_neck": "sella"}[field_of_view] in names


def test_two_cts_of_one_patient_are_two_scans():
    pair = PhantomDataset("validation", modalities=("ct", "ct")).load(0)
    assert pair.fixed.modality == pair.moving.modality == "ct"
    assert pair.fixed.array.shape != pair.moving.array.shape or not np.array_equal(pair.fixed.array, pair.moving.array)


def test_bad_options_suggest_the_near_miss():
    with pytest.raises(OptionError, match="train"):
        PhantomDataset("trian")
    with pytest.raises(OptionError, match="heart"):
        PhantomDataset(field_of_view="haert")
    with pytest.raises(OptionError, match="cbct"):
        PhantomDataset(modalities=("cbtc", "ct"))
    with pytest.raises(IndexError):
        PhantomDataset("validation").load(999)
    with pytest.raises(IndexError):
        PhantomDataset().load(-1)


def test_without_truth_nothing_of_it_is_left():
    pair = PhantomDataset("validation").load(0)
    assert replace(pair, truth=None).truth is None is pair.without_truth().truth
