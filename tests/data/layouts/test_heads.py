"""Heads: the rigid truth of RIRE, pairs within and between subjects of IXI and BIDS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.data.layouts import rire
from regenv.errors import DataError
from tests.data.layouts import trees
from tests.data.layouts.support import pairs_of, truth_of


def test_the_truth_of_rire_in_both_directions(tmp_path: Path) -> None:
    trees.rire(tmp_path)
    root = f"rire:{tmp_path}?frame=file"
    forwards = truth_of(pairs_of(root, "ct", "t1", split="train").load(0)).transform
    backwards = truth_of(pairs_of(root, "mr", "ct", split="train").load(0)).transform
    assert forwards is not None and backwards is not None
    np.testing.assert_allclose(forwards, trees.rire_truth(), atol=2e-4)  # corners are written to 0.0001 mm
    np.testing.assert_allclose(backwards @ forwards, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(forwards), 1.0, atol=1e-9)
    rectified = pairs_of(f"{root}&rectified=yes", "t1", "ct", split="train").load(0)
    assert rectified.truth is not None and rectified.truth.transform is not None
    withheld = pairs_of(f"rire:{tmp_path}?test=all", "t1", "ct")
    assert withheld.ids == ("patient_001", "training_001")
    assert withheld.load(0).truth is None
    with pytest.raises(DataError, match="RIRE has no us images"):
        pairs_of(root, "us", "ct")


def test_a_random_frame_of_rire_has_the_truth_exactly(tmp_path: Path) -> None:
    trees.rire(tmp_path)
    root = f"rire:{tmp_path}"
    still = pairs_of(f"{root}?frame=file", "t1", "ct", split="train").load(0)
    moved = pairs_of(root, "t1", "ct", split="train").load(0)
    rigid = truth_of(moved).transform @ np.linalg.inv(truth_of(still).transform)
    np.testing.assert_allclose(rigid[:3, :3] @ rigid[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.abs(rigid - np.eye(4)).max() > 1.0
    np.testing.assert_allclose(moved.alignment, truth_of(moved).transform, atol=1e-9)


def test_transformations_of_rire_that_cannot_be_used(tmp_path: Path) -> None:
    trees.rire(tmp_path)
    path = tmp_path / "training_001" / "transformations" / "ct_T1.standard"
    lines = path.read_text().splitlines()
    last = next(i for i, line in enumerate(lines) if line.split()[:1] == ["8"])
    words = lines[last].split()
    for row, message in (
        ("", "has 7 of the eight corners"),
        (" ".join([*words[:6], "x"]), r"is not six numbers"),
        (" ".join([*words[:6], "99.0"]), r"no rigid motion fits its corners \(by \d+\.\d\d mm\)"),
    ):
        path.write_text("\n".join([*lines[:last], row, *lines[last + 1 :]]))
        with pytest.raises(DataError, match=rf"^rire case training_001: .*ct_T1\.standard.*{message}"):
            pairs_of(f"rire:{tmp_path}", "ct", "t1", split="train").load(0)


def test_ixi_within_and_between_subjects(tmp_path: Path) -> None:
    trees.ixi(tmp_path)
    within = pairs_of(f"ixi:{tmp_path}?test=all", "t1", "t2")
    assert len(within.ids) == 19  # one has no T2
    assert "IXI003-T1-T2" not in within.ids and "IXI002-T1-T2" in within.ids
    assert within.load(0).truth is None
    counts = {s: len(pairs_of(f"ixi:{tmp_path}", "t1", "t1", split=s).ids) for s in ("train", "validation", "test")}
    assert sum(counts.values()) == 20 and min(counts.values()) >= 1
    between = pairs_of(f"ixi:{tmp_path}", "t1", "t1", split="train")
    assert all(name.split("-")[0] != name.split("-")[1] for name in between.ids)
    with pytest.raises(DataError, match=r"IXI has no flair images \(it has t1, t2, pd, mra\)"):
        pairs_of(f"ixi:{tmp_path}", "t1", "flair")


def test_bids_sessions_subjects_and_splits(tmp_path: Path) -> None:
    trees.bids(tmp_path)
    assert "sub-01_t1-t2" in pairs_of(f"bids:{tmp_path}?test=all", "t1", "t2").ids
    sessions = pairs_of(f"bids:{tmp_path}?test=all&pairs=sessions", "t1", "t1")
    assert sessions.ids == ("sub-99_ses-a-to-sub-99_ses-b_t1-t1", "sub-99_ses-a-to-sub-99_ses-c_t1-t1")
    between = pairs_of(f"bids:{tmp_path}?test=all&pairs=between", "t1", "t2")
    assert len(between.ids) == 12 and len(set(between.subjects)) == 12
    rows = "".join(f"sub-{n:02d}\t{'train' if n < 5 else 'test'}\n" for n in (*range(1, 13), 99))
    trees.text(tmp_path / "participants.tsv", "participant_id\tsplit\n" + rows)
    assert set(pairs_of(f"bids:{tmp_path}", "t1", "t2", split="train").subjects) == {
        f"sub-{n:02d}" for n in range(1, 5)
    }
    trees.text(tmp_path / "participants.tsv", "participant_id\tsplit\n" + rows.replace("sub-99\ttest", "sub-99\thold"))
    with pytest.raises(DataError, match=r"participants\.tsv: split 'hold' is unknown"):
        pairs_of(f"bids:{tmp_path}", "t1", "t2", split="train")
    trees.text(tmp_path / "participants.tsv", "participant_id\tsplit\n" + rows.replace("sub-99\ttest\n", ""))
    with pytest.raises(DataError, match=r"participants\.tsv names no split for 1 subjects \(sub-99\)"):
        pairs_of(f"bids:{tmp_path}", "t1", "t1", split="train")


def test_corners_of_rire_are_voxel_centres(tmp_path: Path) -> None:
    trees.rire(tmp_path)
    grid = pairs_of(f"rire:{tmp_path}?frame=file", "ct", "t1", split="train").load(0)
    path = tmp_path / "training_001" / "transformations" / "ct_T1.standard"
    matrix = rire.read_standard(path, grid.fixed.grid, grid.moving.grid)
    last = np.array(trees.SIZE) - 1.0
    corner = transform_points(grid.fixed.grid.index_to_physical, last[None])
    row = next(line.split() for line in path.read_text().splitlines() if line.split()[:1] == ["8"])
    np.testing.assert_allclose(
        transform_points(matrix, corner)[0] - grid.moving.grid.origin, np.array(row[4:], dtype=float), atol=1e-3
    )


def test_two_people_are_brought_together_by_their_middles(tmp_path: Path) -> None:
    for number, origin in ((1, (10.0, -20.0, 30.0)), (2, (-70.0, 5.0, 90.0))):
        for kind in ("T1w", "T2w"):
            path = tmp_path / f"sub-{number}" / "anat" / f"sub-{number}_{kind}.nii.gz"
            trees.save(path, trees.image(trees.FIXED_MARKS, number, origin=origin))
    between = pairs_of(f"bids:{tmp_path}?test=all", "t1", "t1").load(0)
    middle = transform_points(between.alignment, between.fixed.grid.centre[None])[0]
    np.testing.assert_allclose(middle, between.moving.grid.centre, atol=1e-6)
    within = pairs_of(f"bids:{tmp_path}?test=all&frame=file", "t1", "t2").load(0)
    np.testing.assert_array_equal(within.alignment, np.eye(4))  # one session, one frame
    with pytest.raises(DataError, match="has no image of the suffix FLAIR"):
        pairs_of(f"bids:{tmp_path}?test=all", "t1", "flair")
    still = pairs_of(f"bids:{tmp_path}?test=all&frame=file", "t1", "t1").load(0)
    np.testing.assert_allclose(still.alignment[:3, :3], np.eye(3))
    assert np.linalg.norm(still.alignment[:3, 3]) > 50
