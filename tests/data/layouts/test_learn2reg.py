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
    path.write_text("{")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        pairs_of(f"learn2reg:{tmp_path}", "cbct", "ct")
