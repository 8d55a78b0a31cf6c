"""Label metrics of a row, from its transforms and the label maps of a folder of pairs."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from regenv.errors import DataError
from regenv.evaluation.runner import run
from regenv.evaluation.track import bind, find_track
from regenv.leaderboard.labels import label_summary
from regenv.leaderboard.verify import verify
from tests.evaluation.conftest import AGENTS, write_pairs


def with_labels(folder):
    """Writes label maps of two boxes beside the images and names them in the manifest."""
    import SimpleITK as sitk

    with open(folder / "pairs.csv") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        labels = np.zeros((40, 48, 48), np.uint8)
        labels[14:26, 16:32, 16:24], labels[14:26, 16:32, 24:32] = 1, 2
        image = sitk.GetImageFromArray(labels)
        image.CopyInformation(sitk.ReadImage(str(folder / row["fixed"])))
        sitk.WriteImage(image, str(folder / f"{row['id']}_labels.mha"))
        row["fixed_labels"] = row["moving_labels"] = f"{row['id']}_labels.mha"
    with open(folder / "pairs.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def row_of(folder, out, agent):
    track = bind(find_track("ctcbct-rigid-real"), folder)
    return verify(run(track, f"{AGENTS}:{agent}", out=out, cases=2).folder, track=track, trial=True)


def test_the_truth_overlaps_and_a_start_does_not(tmp_path):
    folder = with_labels(write_pairs(tmp_path / "pairs"))
    right = label_summary(row_of(folder, tmp_path / "rows", "teller"), folder)
    assert (right.cases, right.absent) == (2, 0)
    assert right.dice > 0.99
    assert right.hd95_mm < 1.0  # a quarter of a voxel: the random frame crops both images
    wrong = label_summary(row_of(folder, tmp_path / "rows", "at_once"), folder)
    assert wrong.dice < 0.8
    assert wrong.hd95_mm > wrong.assd_mm > 1


def test_what_is_missing_is_named(tmp_path):
    folder = write_pairs(tmp_path / "pairs")
    found = row_of(folder, tmp_path / "rows", "at_once")
    with pytest.raises(DataError, match="no label maps"):
        label_summary(found, folder)
    with pytest.raises(DataError, match="another digest"):
        label_summary(found, write_pairs(tmp_path / "others", pairs=1))
