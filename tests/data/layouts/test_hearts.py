"""Hearts: phases, spacings, outlines, slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from regenv.data.layouts import acdc, sunnybrook
from regenv.errors import DataError
from tests.data.layouts import trees
from tests.data.layouts.support import pairs_of, truth_of


def test_acdc_takes_the_spacing_of_the_qform(tmp_path: Path) -> None:
    trees.acdc(tmp_path)
    dataset = pairs_of(f"acdc:{tmp_path}?frame=file", "mr", "mr", split="train")
    assert dataset.ids == ("patient001",)
    pair = dataset.load(0)
    assert pair.fixed.grid.spacing == pytest.approx(trees.SPACING)
    np.testing.assert_array_equal(
        pair.fixed.array, trees.marked(trees.FIXED_MARKS, 12)
    )  # frame 12 is the end of systole
    np.testing.assert_array_equal(pair.moving.array, trees.marked(trees.FIXED_MARKS, 1))
    assert truth_of(pair).label_names == acdc.LABELS
    assert set(np.unique(truth_of(pair).labels_fixed)) == {0, 1, 2, 3}
    assert pairs_of(f"acdc:{tmp_path}", "mr", "mr", split="validation").ids == ("patient005",)
    assert pairs_of(f"acdc:{tmp_path}", "mr", "mr", split="test").ids == ("patient101",)


def test_acdc_without_its_frames(tmp_path: Path) -> None:
    trees.acdc(tmp_path)
    info = tmp_path / "training" / "patient001" / "Info.cfg"
    info.write_text("Group: NOR\n")
    with pytest.raises(DataError, match=r"Info\.cfg has no lines 'ED: n' and 'ES: n'"):
        pairs_of(f"acdc:{tmp_path}", "mr", "mr")
    info.unlink()
    with pytest.raises(DataError, match=r"Info\.cfg, .* is missing in 1 of 3 patients \(patient001\)"):
        pairs_of(f"acdc:{tmp_path}", "mr", "mr")


def test_slices_of_hearts(tmp_path: Path) -> None:
    trees.acdc(tmp_path)
    volume = pairs_of(f"acdc:{tmp_path}?frame=file", "mr", "mr", split="train").load(0)
    slices = pairs_of(f"acdc:{tmp_path}?frame=file", "mr", "mr", split="train", ndim=2)
    assert slices.ids == tuple(f"patient001-slice{n}%" for n in (30, 50, 70))
    assert set(slices.subjects) == {"patient001"}
    pair = slices.load(1)
    k = round(0.5 * (trees.SIZE[2] - 1))
    np.testing.assert_array_equal(pair.fixed.array, volume.fixed.array[k])
    np.testing.assert_array_equal(truth_of(pair).labels_moving, truth_of(volume).labels_moving[k])
    assert pair.fixed.grid.spacing == pytest.approx(trees.SPACING[:2])
    moved = pairs_of(f"acdc:{tmp_path}", "mr", "mr", split="train", ndim=2).load(1)
    assert moved.alignment is not None and moved.alignment.shape == (3, 3)
    assert np.abs(moved.alignment - np.eye(3)).max() > 1.0


def test_sunnybrook_phases_labels_and_splits(tmp_path: Path) -> None:
    trees.sunnybrook(tmp_path)
    root = f"sunnybrook:{tmp_path}?frame=file"
    pair = pairs_of(root, "mr", "mr", split="train").load(0)
    assert pair.id == "SC-HF-I-1" and pair.subject == "SCD0000101"
    assert pair.fixed.array.shape == pair.moving.array.shape == (3, 24, 32)  # the first slice has one phase only
    np.testing.assert_array_equal(pair.fixed.array[:, 0, 0], [21, 41, 61])
    np.testing.assert_array_equal(pair.moving.array[:, 0, 0], [22, 42, 62])
    assert pair.fixed.grid.spacing == pytest.approx((1.4, 1.2, 10.0))
    np.testing.assert_allclose(pair.fixed.grid.origin, np.array([5, 6, 7]) + 10 * np.array([0, -0.6, 0.8]), atol=1e-4)
    known = truth_of(pair)
    assert known.label_names == sunnybrook.LABELS
    for labels, radius in ((known.labels_fixed, trees.RADIUS_PX["es"]), (known.labels_moving, trees.RADIUS_PX["ed"])):
        assert labels is not None
        assert np.count_nonzero(labels[0] == 1) == pytest.approx(np.pi * radius**2, rel=0.1)
        y, x = np.nonzero(labels[0] == 1)
        np.testing.assert_allclose((x.mean(), y.mean()), (15.0, 11.0), atol=0.1)
    assert known.labels_moving is not None and known.labels_fixed is not None
    ring = np.pi * ((trees.RADIUS_PX["ed"] + 2.5) ** 2 - trees.RADIUS_PX["ed"] ** 2)
    assert np.count_nonzero(known.labels_moving[0] == 2) == pytest.approx(ring, rel=0.1)
    assert not np.any(known.labels_fixed == 2)
    assert pairs_of(root, "mr", "mr", split="validation").ids == ("SC-HF-I-5",)
    assert pairs_of(root, "mr", "mr", split="test").ids == ("SC-N-11",)
    assert len(pairs_of(root, "mr", "mr", split="train", ndim=2).ids) == 3


def test_a_polygon_is_filled_by_pixel_centres() -> None:
    square = np.array([[0.5, 1.5], [3.5, 1.5], [3.5, 4.5], [0.5, 4.5]])
    filled = np.zeros((6, 6), dtype=bool)
    filled[2:5, 1:4] = True
    np.testing.assert_array_equal(sunnybrook.inside_polygon(square, (6, 6)), filled)
    np.testing.assert_array_equal(sunnybrook.inside_polygon(square[::-1], (6, 6)), filled)


def test_the_longest_run_of_slices() -> None:
    assert sunnybrook.longest_run([0.0, 10.0, 30.0, 40.0, 50.0, 70.0]) == [30.0, 40.0, 50.0]
    assert sunnybrook.longest_run([0.0, 10.1, 20.0]) == [0.0, 10.1, 20.0]
    assert sunnybrook.longest_run([3.0]) == [3.0]
