"""Metrics on request: of labels, images and Jacobians, from a row's transforms and a folder of pairs."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from regenv.errors import DataError
from regenv.evaluation.cases import bind, new_track
from regenv.evaluation.runner import run
from regenv.evaluation.track import find_track
from regenv.leaderboard.extras import extra_metrics
from regenv.leaderboard.verify import verify
from tests.evaluation import some_agents
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


def labels_of(found, folder, **keywords):
    return extra_metrics(found, ["labels"], folder, **keywords)["labels"]


def test_the_truth_overlaps_and_a_start_does_not(tmp_path):
    folder = with_labels(write_pairs(tmp_path / "pairs"))
    right = labels_of(row_of(folder, tmp_path / "rows", "teller"), folder)
    assert (right.cases, right.left_out, right.means["labels"]) == (2, 0, 2)
    assert right.means["dice"] > 0.99
    assert right.means["hd95_mm"] < 1.0  # a quarter of a voxel: the random frame crops both images
    found = row_of(folder, tmp_path / "rows", "at_once")
    wrong = labels_of(found, folder).means
    assert wrong["dice"] < 0.8
    assert wrong["hd95_mm"] > wrong["assd_mm"] > 1
    other = labels_of(found, folder, definition="monai")
    assert other.means["dice"] == wrong["dice"] and other.means["assd_mm"] != wrong["assd_mm"]
    assert "'monai'" in str(other)


def test_images_are_alike_at_the_truth(tmp_path):
    folder = write_pairs(tmp_path / "pairs")
    right, wrong = (
        extra_metrics(row_of(folder, tmp_path / "rows", agent), ["images"], folder)["images"].means
        for agent in ("teller", "at_once")
    )
    assert right["cc"] > 0.9 > wrong["cc"]
    assert right["mse"] < wrong["mse"]
    assert right["ssim"] > wrong["ssim"]


def test_jacobians_need_no_images(tmp_path):
    found = row_of(write_pairs(tmp_path / "pairs"), tmp_path / "rows", "teller")
    means = extra_metrics(found, ["jacobians"])["jacobians"].means
    assert means["sdlogj"] < 1e-9 and means["folding"] == 0


def test_what_is_missing_is_named(tmp_path):
    folder = write_pairs(tmp_path / "pairs")
    found = row_of(folder, tmp_path / "rows", "at_once")
    with pytest.raises(DataError, match="no label maps"):
        labels_of(found, folder)
    with pytest.raises(ValueError, match="fewer than 40 cases"):
        labels_of(found, write_pairs(tmp_path / "others", pairs=1))
    with pytest.raises(ValueError, match="did you mean 'labels'"):
        extra_metrics(found, ["lables"], folder)


def test_in_projection_no_labels_are_compared(tmp_path):
    track = new_track("DepthCT-Rigid-v0", "depth", cases=1, split="train")
    found = verify(run(track, "agents.identity:factory", out=tmp_path).folder)
    with pytest.raises(DataError, match="shows a depth"):
        labels_of(found, None)
    assert 0 < extra_metrics(found, ["images"])["images"].means["cc"] < 1


def test_a_deformation_has_them_all(tmp_path, monkeypatch):
    """As a pose, and as a field, which is rendered and carried from its lattice."""
    track = new_track("ProstateMR-SDM2D-v0", "flat", cases=1, split="train")
    kinds = ("labels", "images", "jacobians")
    row = run(track, "agents.random:factory", out=tmp_path)
    pose = extra_metrics(verify(row.folder), kinds)
    (case,), (episode,) = track.cases, row.episodes
    bent = case.poses.to_sitk_transform(np.array(episode.transform), case.scene)
    monkeypatch.setattr(some_agents.CopyOfStart, "register", lambda agent, problem: bent)
    field = extra_metrics(verify(run(track, f"{AGENTS}:copy_of_start", out=tmp_path).folder), kinds)
    for kind in kinds:
        assert pose[kind].means == pytest.approx(field[kind].means, rel=1e-2, abs=1e-4)
    assert pose["jacobians"].means["sdlogj"] > 0.01
