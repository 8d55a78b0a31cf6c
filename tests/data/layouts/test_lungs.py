"""Lungs: raw voxels, landmarks in voxels from 1 and in mm from the first voxel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from regenv.data.layouts import copdgene, dirlab
from regenv.data.layouts._raw import read_raw
from regenv.errors import DataError
from tests.data.layouts import trees
from tests.data.layouts.support import pairs_of, truth_of


def test_raw_lungs_are_turned_to_the_head_and_to_hounsfield_units(tmp_path: Path) -> None:
    trees.dirlab(tmp_path)
    dataset = pairs_of(f"dirlab:{tmp_path}?test=all&frame=file", "ct", "ct")
    assert dataset.ids == ("case1", "case2", "case6", "case8")  # four ways in which their files are named
    pair = dataset.load(0)
    raw = trees.marked(trees.FIXED_MARKS, 1).astype(np.float32)
    raw[0, 0, :3] = 0.0  # padding becomes air
    np.testing.assert_array_equal(pair.fixed.array, np.maximum(raw[::-1] - 1024, -1024))
    np.testing.assert_array_equal(pair.fixed.grid.direction, np.eye(3))
    assert pair.fixed.background == -1024.0
    first = truth_of(pair).landmarks_fixed
    assert first is not None
    x, y, z = trees.FIXED_MARKS[0]
    np.testing.assert_allclose(first[0], (x * 1.5, y * 2.0, (trees.SIZE[2] - 1 - z) * 3.0))


@pytest.mark.usefixtures("true_sizes")
def test_the_first_case_of_dirlab_in_its_true_size(tmp_path: Path) -> None:
    size, spacing = dirlab.GRIDS[1]
    trees.dirlab(tmp_path, (1,), size)
    pair = pairs_of(f"dirlab:{tmp_path}?test=all&frame=file", "ct", "ct").load(0)
    assert (pair.fixed.grid.size, pair.fixed.grid.spacing) == (size, spacing) == ((256, 256, 94), (0.97, 0.97, 2.5))
    known = truth_of(pair)
    assert known.landmarks_fixed is not None and known.landmarks_moving is not None
    apart = (trees.FIXED_MARKS - trees.MOVING_MARKS) * spacing * np.array([1, 1, -1])
    np.testing.assert_allclose(known.landmarks_fixed - known.landmarks_moving, apart)


@pytest.mark.usefixtures("true_sizes")
def test_tables_of_sizes() -> None:
    assert {size[:2] for size, _ in copdgene.GRIDS.values()} == {(512, 512)}
    assert [size[2] for size, _ in copdgene.GRIDS.values()] == [121, 102, 126, 126, 131, 119, 112, 115, 116, 135]
    assert [size[0] for size, _ in dirlab.GRIDS.values()] == [256] * 5 + [512] * 5
    assert {spacing[2] for _, spacing in (*dirlab.GRIDS.values(), *copdgene.GRIDS.values())} == {2.5}


def test_raw_files_of_another_length(tmp_path: Path) -> None:
    path = trees.raw_lungs(tmp_path / "a.img", trees.FIXED_MARKS, 1)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError, match=r"a\.img has 7678 bytes and 20 x 16 x 12 voxels of 2 bytes are 7680"):
        read_raw(path, trees.SIZE, "<i2")
    np.testing.assert_array_equal(read_raw(path, (1, 3839), ">i2").ravel()[:5], np.fromfile(path, ">i2")[:5])


def test_landmarks_of_dirlab_that_cannot_be_used(tmp_path: Path) -> None:
    trees.copdgene(tmp_path)
    points = tmp_path / "copd1" / "copd1_300_eBH_xyz_r1.txt"
    good = points.read_text()
    dataset = f"copdgene:{tmp_path}?test=all"
    for content, message in (
        (good + "5 5 5\n", r"eBH_xyz_r1\.txt has 5 landmarks and copd1_300_iBH_xyz_r1\.txt 4"),
        (good.replace(" 6\t6\t4", "600 6 4"), r"1 of 4 landmarks lie outside their image, the first is number 1"),
        (good + "a b c\n", r"copd1_300_eBH_xyz_r1\.txt line 5: 'a b c' is not 3 numbers"),
        ("", r"copd1_300_eBH_xyz_r1\.txt holds no point"),
    ):
        points.write_text(content)
        with pytest.raises(DataError, match=rf"^copdgene case copd1: .*{message}"):
            pairs_of(dataset, "ct", "ct").load(0)


def test_popi_counts_from_the_first_voxel_and_leaves_out_the_artefact(tmp_path: Path) -> None:
    trees.popi(tmp_path)
    moved = trees.image(trees.FIXED_MARKS, 10)  # the same image elsewhere in space
    trees.save(tmp_path / "4DCT-MetaImage" / "10-P.mhd", moved)
    dataset = pairs_of(f"popi:{tmp_path}?frame=file", "ct", "ct")
    assert dataset.ids == ("10-60",)
    known = truth_of(dataset.load(0))
    assert known.landmarks_fixed is not None and known.landmarks_fixed.shape == (40, 3)
    np.testing.assert_allclose(known.landmarks_fixed[:4], trees.physical(moved, trees.FIXED_MARKS))
    assert pairs_of(f"popi:{tmp_path}?phases=all", "ct", "ct").ids == ("10-00", "10-60")
