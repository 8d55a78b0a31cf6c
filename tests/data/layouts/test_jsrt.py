"""Radiographs: their polarity, size and masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from regenv.data.layouts import jsrt
from regenv.errors import DataError
from tests.data.layouts import trees
from tests.data.layouts.support import pairs_of, truth_of


def test_radiographs_are_turned_round_and_halved(tmp_path: Path) -> None:
    trees.jsrt(tmp_path)
    dataset = pairs_of(f"jsrt:{tmp_path}?test=all&frame=file", "xray", "xray", ndim=2)
    pair = dataset.load(0)
    film = np.fromfile(tmp_path / "All247images" / "JPCLN001.IMG", ">u2").reshape(64, 64).astype(float)
    assert pair.fixed.array[0, 0] == pytest.approx(4095 - film[:2, :2].mean())
    assert pair.fixed.array[5, 7] == pytest.approx(4095 - film[10:12, 14:16].mean())
    assert pair.fixed.grid.spacing == (0.35, 0.35)
    known = truth_of(pair)
    assert known.labels_fixed is not None and set(np.unique(known.labels_fixed)) == {0, *jsrt.LABELS}
    assert known.labels_fixed[4 * 3 + 3, 8] == 3  # the heart
    (tmp_path / "All247images" / "JPCLN001.IMG").write_bytes(np.full((64, 64), 9000, ">u2").tobytes())
    with pytest.raises(DataError, match=r"JPCLN001\.IMG holds values above 4095"):
        pairs_of(f"jsrt:{tmp_path}?test=all", "xray", "xray", ndim=2).load(0)


def test_radiographs_without_masks(tmp_path: Path) -> None:
    trees.jsrt(tmp_path, masks=False)
    dataset = pairs_of(f"jsrt:{tmp_path}?test=all", "xray", "xray", ndim=2)
    assert dataset.ids[0] == "JPCLN001-JPCLN003"  # the next of its fold
    assert dataset.load(0).truth is None


def test_folds_are_the_odd_and_the_even_images_of_the_whole_list() -> None:
    names = [f"JPCLN{i:03d}" for i in range(1, 155)] + [f"JPCNN{i:03d}" for i in range(1, 94)]
    splits = [jsrt._split(name) for name in names]
    assert set(splits[1::2]) == {"test"} and set(splits[::2]) == {"train", "validation"}
    assert splits[8::10] == ["validation"] * len(splits[8::10]) and splits.count("validation") == 24
