"""A CBCT from a user's CT: in the CT's frame, seeded, kept on disk, and different enough to be worth registering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.data.folder import FolderDataset, _on_grid
from regenv.data.image_io import read_image
from regenv.synthesis.simulate import simulated_cbct
from tests.data import files


@pytest.fixture
def ct_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A body of water with a bone off its middle, in an oblique frame, padded as scanners do."""
    monkeypatch.setenv("REGENV_CACHE", str(tmp_path / "cache"))
    z, y, x = np.meshgrid(*[np.arange(n) - n / 2 for n in (24, 60, 60)], indexing="ij")
    array = np.full(x.shape, -1000, np.int16)
    array[np.hypot(x, y) < 22] = 0
    array[np.hypot(x - 8, y + 5) < 5] = 800
    array[np.hypot(x, y) > 29] = -2048
    ct = sitk.GetImageFromArray(array)
    ct.SetSpacing((4.0, 4.0, 5.0))
    ct.SetOrigin((-70.0, 30.0, 400.0))
    angle = np.deg2rad(12)
    c, s = np.cos(angle), np.sin(angle)
    ct.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
    return files.write(tmp_path / "ct.nii.gz", ct)


def sampled(image: Image, points: np.ndarray) -> np.ndarray:
    index = np.rint(transform_points(image.grid.physical_to_index, points)).astype(int)
    good = np.all((index >= 0) & (index < np.asarray(image.grid.size)), axis=1)
    values = np.full(len(points), np.nan)
    values[good] = image.array[tuple(index[good].T[::-1])]
    return values


def test_the_cbct_lies_where_the_ct_does(ct_file: Path) -> None:
    ct = read_image(ct_file, "ct")
    cbct = simulated_cbct(ct, "one")
    assert (cbct.modality, cbct.background) == ("cbct", -1000.0)
    points = cbct.grid.points().reshape(-1, 3)[cbct.array.ravel() != -1000.0]
    # The same physical points, a shift of 12 mm, and the frame forgotten (as if origin and direction were ignored).
    truth = np.corrcoef(np.nan_to_num(sampled(ct, points), nan=-1000), sampled(cbct, points))[0, 1]
    shifted = np.corrcoef(np.nan_to_num(sampled(ct, points + [12, 0, 0]), nan=-1000), sampled(cbct, points))[0, 1]
    assert truth > 0.8
    assert shifted < truth - 0.05
    bone, water = (sampled(ct, points) > 700), (sampled(ct, points) == 0)
    assert np.median(sampled(cbct, points)[bone]) > np.median(sampled(cbct, points)[water]) + 300


def test_it_is_seeded_by_its_name_and_kept(ct_file: Path, tmp_path: Path) -> None:
    ct = read_image(ct_file, "ct")
    one, again, other = (simulated_cbct(ct, name) for name in ("one", "one", "two"))
    np.testing.assert_array_equal(one.array, again.array)
    assert one.array.shape != other.array.shape or np.abs(one.array - other.array).max() > 10
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 2


def test_labels_half_way_between_voxels_go_to_the_upper_one() -> None:
    """As in all resampling of labels here and in ITK: halves to even would widen every second label."""
    labels = np.tile(np.arange(8, dtype=np.int32), (2, 2, 1))
    grid = Grid((8, 2, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))
    between = Grid((7, 2, 2), (1.0, 1.0, 1.0), (0.5, 0.0, 0.0), np.eye(3))
    found = _on_grid(labels, grid, between)
    assert found is not None and found[0, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_a_row_that_simulates(ct_file: Path) -> None:
    labels = sitk.ReadImage(str(ct_file)) > 700
    files.write(ct_file.parent / "bone.mha", labels)
    x, y, z = read_image(ct_file).grid.centre
    (ct_file.parent / "bone.csv").write_text(f"{x:.9f},{y:.9f},{z:.9f}\n")
    (ct_file.parent / "pairs.csv").write_text(
        "moving,simulate,moving_labels,moving_landmarks,cases\nct.nii.gz,cbct,bone.mha,bone.csv,2\n"
    )
    dataset = FolderDataset(ct_file.parent, simulate=simulated_cbct)
    for index in range(2):
        pair = dataset.load(index)
        assert (pair.fixed.modality, pair.moving.modality) == ("cbct", "ct")
        truth = pair.truth
        assert truth is not None and truth.transform is not None and pair.fixed_mask is not None
        assert truth.labels_fixed is not None and truth.landmarks_fixed is not None
        np.testing.assert_allclose(
            transform_points(truth.transform, truth.landmarks_fixed), truth.landmarks_moving, atol=1e-8
        )
        assert (pair.fixed.array[~pair.fixed_mask] == -1000).all()
        bone = pair.fixed.grid.points()[truth.labels_fixed == 1]
        assert len(bone) > 50
        values = sampled(pair.moving, transform_points(truth.transform, bone))
        assert np.mean(values[np.isfinite(values)] > 400) > 0.9  # turned once: its rim is blurred
