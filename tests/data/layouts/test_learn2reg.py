"""Learn2Reg: the lists of its JSON files, keypoints, labels, axial slices."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from regenv.core.geometry import transform_points
from regenv.errors import DataError
from tests.data.layouts import trees
from tests.data.layouts.support import pairs_of, truth_of


def test_learn2reg_splits_and_keypoints(tmp_path: Path) -> None:
    trees.learn2reg(tmp_path)
    root = f"learn2reg:{tmp_path}?frame=file"
    train = pairs_of(root, "ct", "ct", split="train")
    assert train.subjects == ("NLST_0001", "NLST_0002")  # 0003 is listed for training too, and validates
    assert train.ids[0] == "NLST_0001_0000-NLST_0001_0001"
    pair = train.load(0)
    assert pair.fixed_mask is not None and pair.moving_mask is not None
    moving = truth_of(pair).landmarks_moving
    np.testing.assert_allclose(moving, transform_points(pair.moving.grid.index_to_physical, trees.MOVING_MARKS))
    assert pairs_of(root, "ct", "ct", split="test").load(0).truth is None


def test_an_unpaired_task_of_learn2reg(tmp_path: Path) -> None:
    trees.oasis(tmp_path)
    train = pairs_of(f"oasis:{tmp_path}?frame=file", "t1", "t1", split="train")
    assert len(train.ids) == 5 * 4 and len(set(train.subjects)) == 5
    assert not {"OASIS_0006", "OASIS_0007"} & set(train.subjects)
    known = truth_of(train.load(0))
    assert known.label_names == {1: "Left-Cerebral-White-Matter", 2: "Left-Cerebral-Cortex"}
    assert known.labels_fixed is not None and set(np.unique(known.labels_fixed)) == {0, 1, 2, 3}
    assert pairs_of(f"oasis:{tmp_path}", "t1", "t1", split="test").load(0).truth is None


def test_slices_of_brains_are_axial_whatever_the_order_of_axes(tmp_path: Path) -> None:
    trees.oasis(tmp_path)
    for folder in ("imagesTr", "labelsTr", "masksTr", "imagesTs"):
        for path in (tmp_path / folder).iterdir():
            made = sitk.PermuteAxes(sitk.ReadImage(str(path)), [0, 2, 1])  # the axis to the head is the second
            sitk.WriteImage(made, str(path))
    root = f"oasis:{tmp_path}?frame=file"
    volume = pairs_of(root, "t1", "t1", split="validation").load(0)
    pair = pairs_of(root, "t1", "t1", split="validation", ndim=2).load(1)
    k = round(0.5 * (trees.SIZE[2] - 1))
    np.testing.assert_array_equal(pair.moving.array, volume.moving.array[:, k])
    np.testing.assert_array_equal(truth_of(pair).labels_fixed, truth_of(volume).labels_fixed[:, k])
    assert pair.fixed.grid.spacing == pytest.approx((1.5, 2.0))


def test_modalities_of_learn2reg(tmp_path: Path) -> None:
    trees.learn2reg(tmp_path, "ThoraxCBCT")
    path = tmp_path / "ThoraxCBCT_dataset.json"
    task = json.loads(path.read_text())
    path.write_text(json.dumps({**task, "modality": {"0": "FBCT", "1": "CBCT"}}))
    pair = pairs_of(f"learn2reg:{tmp_path}", "cbct", "ct", split="validation").load(0)
    assert (pair.fixed.modality, pair.moving.modality) == ("ct", "cbct")
    path.write_text("{}")
    with pytest.raises(DataError, match="has no list 'training'"):
        pairs_of(f"learn2reg:{tmp_path}", "cbct", "ct")
    path.write_text(json.dumps({**task, "registration_val": [{"fixed": "a.nii.gz"}]}))
    with pytest.raises(DataError, match="entry 1 of 'registration_val' does not name its fixed and moving, got"):
        pairs_of(f"learn2reg:{tmp_path}", "cbct", "ct")
    path.write_text(json.dumps({"training": [{"img": "a.nii.gz"}]}))
    with pytest.raises(DataError, match="entry 1 of 'training' does not name its image, got"):
        pairs_of(f"learn2reg:{tmp_path}", "cbct", "ct")
    path.write_text("{")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        pairs_of(f"learn2reg:{tmp_path}", "cbct", "ct")


def test_keypoints_between_other_scans(tmp_path: Path) -> None:
    """A planning scan 0 with two cone-beam scans has points of its own for each: a pair takes those that both have."""
    for scan, marks in ((0, trees.FIXED_MARKS), (1, trees.MOVING_MARKS), (2, trees.MOVING_MARKS[::-1])):
        trees.save(tmp_path / "imagesTr" / f"T_0001_{scan:04d}.nii.gz", trees.image(marks, scan))
    for folder, scan, marks in (
        ("keypoints01", 0, trees.FIXED_MARKS[:2]),
        ("keypoints01", 1, trees.MOVING_MARKS[:2]),
        ("keypoints02", 0, trees.FIXED_MARKS),
        ("keypoints02", 2, trees.MOVING_MARKS),
    ):
        rows = "".join("{},{},{}\n".format(*row) for row in marks)
        trees.text(tmp_path / f"{folder}Tr" / f"T_0001_{scan:04d}.csv", rows)
    task = {
        "modality": {"0": "FBCT", "1": "CBCT", "2": "CBCT"},
        "training": [
            {
                "image": f"./imagesTr/T_0001_{scan:04d}.nii.gz",
                **{key: f"./{key}Tr/T_0001_{scan:04d}.nii.gz" for key in keys},
            }
            for scan, keys in enumerate((("keypoints01", "keypoints02"), ("keypoints01",), ("keypoints02",)))
        ],
        "training_paired_images": [
            {"fixed": f"./imagesTr/T_0001_{scan:04d}.nii.gz", "moving": "./imagesTr/T_0001_0000.nii.gz"}
            for scan in (1, 2)
        ],
    }
    trees.text(tmp_path / "T_dataset.json", json.dumps(task))
    pairs = pairs_of(f"learn2reg:{tmp_path}?frame=file", "cbct", "ct", split="train")
    first, second = (truth_of(pairs.load(i)) for i in (0, 1))
    assert first.landmarks_fixed is not None and len(first.landmarks_fixed) == 2
    assert second.landmarks_fixed is not None and len(second.landmarks_fixed) == 4
    moving = trees.physical(trees.image(trees.FIXED_MARKS, 0), trees.FIXED_MARKS)
    np.testing.assert_allclose(second.landmarks_moving, moving)
    assert [pairs.load(1).fixed.modality, pairs.load(1).moving.modality] == ["cbct", "ct"]


def test_a_task_without_lists_of_pairs(tmp_path: Path) -> None:
    """The first releases of LungCT: exhale 0000 and inhale 0001 of a subject, and nothing else said."""
    trees.learn2reg(tmp_path, "LungCT")
    path = tmp_path / "LungCT_dataset.json"
    task = json.loads(path.read_text())
    path.write_text(json.dumps({"training": task["training"], "modality": {"0": "CT"}}))
    ids = pairs_of(f"learn2reg:{tmp_path}", "ct", "ct", split="train").ids
    assert ids == tuple(f"LungCT_{n:04d}_0000-LungCT_{n:04d}_0001" for n in (1, 2, 3))
