"""Folders of pairs: what can be used is used exactly, what cannot is named by line, file and mend."""

from __future__ import annotations

import pickle
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

import regenv  # noqa: F401  (registers the ids)
from regenv.core.geometry import transform_points
from regenv.data.folder import FolderDataset
from regenv.data.frames import inside
from regenv.data.image_io import read_header
from regenv.data.pair import ImagePair, Truth
from regenv.datasets import make_dataset
from regenv.errors import DataError
from tests.data import files


def truth_of(pair: ImagePair) -> Truth:
    assert pair.truth is not None
    return pair.truth


def manifest(folder: Path, *rows: str, header: str = "fixed,moving") -> Path:
    (folder / "pairs.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images of one oblique grid, masks, labels and three landmarks."""
    oblique = files.oblique()
    files.write(tmp_path / "ct.nii.gz", files.image(seed=1, direction=oblique))
    files.write(tmp_path / "cbct.mha", files.image(seed=2, direction=oblique))
    labels = sitk.Cast(files.image(seed=1, direction=oblique) > 0, sitk.sitkUInt8)
    files.write(tmp_path / "labels.nrrd", labels)
    files.write(tmp_path / "empty.nrrd", labels * 0)
    points(tmp_path / "three.csv", tmp_path, [[4, 4, 4], [8, 9, 6], [15, 3, 7]])
    points(tmp_path / "two.csv", tmp_path, [[4, 4, 4], [8, 9, 6]])
    return tmp_path


def points(path: Path, folder: Path, index: list[list[int]]) -> None:
    grid = read_header(folder / "ct.nii.gz").grid
    place = transform_points(grid.index_to_physical, np.array(index, dtype=float))
    path.write_text("".join(f"{x:.9f},{y:.9f},{z:.9f}\n" for x, y, z in place))


def shift(path: Path, *offset: float) -> Path:
    sitk.WriteTransform(sitk.TranslationTransform(3, offset), str(path))
    return path


# What can be used.


def test_a_pair_in_the_frames_of_its_files(folder: Path) -> None:
    rigid = sitk.Euler3DTransform((1.0, 2.0, 3.0), 0.1, -0.2, 0.3, (4.0, 5.0, 6.0))
    sitk.WriteTransform(rigid, str(folder / "truth.tfm"))
    manifest(
        folder,
        "one,anna,ct.nii.gz,cbct.mha,labels.nrrd,labels.nrrd,three.csv,three.csv,labels.nrrd,truth.tfm",
        header="id,subject,fixed,moving,fixed_mask,moving_labels,fixed_landmarks,moving_landmarks,fixed_labels,transform",
    )
    dataset = make_dataset(f"folder:{folder}", split="test", modalities=("ct", "cbct"))
    assert (dataset.ids, dataset.subjects, dataset.ndim) == (("one",), ("anna",), 3)
    pair = dataset.load(0)
    source = sitk.ReadImage(str(folder / "ct.nii.gz"))
    np.testing.assert_array_equal(pair.fixed.array, sitk.GetArrayFromImage(source).astype(np.float32))
    assert (pair.fixed.modality, pair.moving.modality) == ("ct", "cbct")
    point = (10.0, -5.0, 20.0)
    truth = truth_of(pair)
    assert truth.transform is not None
    np.testing.assert_allclose(transform_points(truth.transform, [point])[0], rigid.TransformPoint(point), atol=1e-9)
    assert pair.fixed_mask is not None and pair.fixed_mask.mean() == pytest.approx(0.5, abs=0.05)
    assert truth.labels_fixed is not None and set(np.unique(truth.labels_fixed)) == {0, 1}
    assert truth.landmarks_fixed is not None and truth.landmarks_fixed.shape == (3, 3)


def test_an_aligned_pair_gets_frames_of_its_own(folder: Path) -> None:
    manifest(
        folder,
        "one,ct.nii.gz,ct.nii.gz,ct,ct,true,3,three.csv,three.csv,labels.nrrd,labels.nrrd",
        header="id,fixed,moving,fixed_modality,moving_modality,aligned,cases,fixed_landmarks,moving_landmarks,"
        "fixed_labels,moving_labels",
    )
    dataset = FolderDataset(folder)
    assert dataset.ids == ("one#0", "one#1", "one#2")
    assert len(set(dataset.subjects)) == 1
    transforms = []
    for index in range(3):
        pair = dataset.load(index)
        truth = truth_of(pair)
        assert pair.id == dataset.ids[index]
        assert truth.transform is not None and truth.labels_moving is not None and truth.labels_fixed is not None
        fixed = pair.fixed.grid.points().reshape(-1, 3)
        moving = transform_points(truth.transform, fixed)
        shared = inside(pair.moving.grid, moving)
        at = np.rint(transform_points(pair.moving.grid.physical_to_index, moving[shared])).astype(int)
        # the moving image was resampled once, on a turned grid: alike, and no longer equal
        alike = np.corrcoef(pair.fixed.array.ravel()[shared], pair.moving.array[tuple(at.T[::-1])])[0, 1]
        agree = truth.labels_fixed.ravel()[shared] == truth.labels_moving[tuple(at.T[::-1])]
        assert alike > 0.3 and agree.mean() > 0.7, (alike, agree.mean())
        transforms.append(truth.transform)
    assert min(np.abs(transforms[0] - other).max() for other in transforms[1:]) > 1.0
    again = FolderDataset(folder).load(2)
    np.testing.assert_array_equal(truth_of(again).transform, transforms[2])
    np.testing.assert_array_equal(again.moving.array, dataset.load(2).moving.array)


def test_a_random_frame_for_a_pair_known_by_landmarks(folder: Path) -> None:
    manifest(
        folder,
        "ct.nii.gz,cbct.mha,three.csv,three.csv,random",
        header="fixed,moving,fixed_landmarks,moving_landmarks,frame",
    )
    pair = FolderDataset(folder).load(0)
    truth = truth_of(pair)
    assert truth.transform is None
    assert truth.landmarks_fixed is not None and truth.landmarks_moving is not None
    assert truth.landmarks_fixed.shape == (3, 3)  # nothing is cropped: the landmarks are the only truth
    assert np.linalg.norm(truth.landmarks_fixed - truth.landmarks_moving, axis=1).min() > 5
    assert inside(pair.moving.grid, truth.landmarks_moving).all()


@pytest.mark.parametrize(
    ("cell", "shift_mm"),
    [("shift.tfm", [3.0, 0.0, -2.0]), ("identity", [0.0, 0.0, 0.0]), ("centres", [6.0, 0.0, 0.0]), ("", None)],
)
def test_an_alignment_is_given(folder: Path, cell: str, shift_mm: list[float] | None) -> None:
    shift(folder / "shift.tfm", 3.0, 0.0, -2.0)
    moved = sitk.ReadImage(str(folder / "cbct.mha"))
    moved.SetOrigin((np.array(moved.GetOrigin()) + [6.0, 0.0, 0.0]).tolist())
    files.write(folder / "cbct.mha", moved)
    pair = FolderDataset(manifest(folder, f"ct.nii.gz,cbct.mha,{cell}", header="fixed,moving,alignment")).load(0)
    if shift_mm is None:
        assert pair.alignment is None  # nothing is known
    else:
        assert pair.alignment is not None
        np.testing.assert_allclose(pair.alignment[:3, 3], shift_mm, atol=1e-6)
        np.testing.assert_array_equal(pair.alignment[:3, :3], np.eye(3))


def test_a_deformable_pair_keeps_its_middle(folder: Path) -> None:
    """The model lies about the middle of the fixed image: no crop; the alignment goes with the random frame."""
    manifest(
        folder,
        "ct.nii.gz,cbct.mha,three.csv,three.csv,random",
        header="fixed,moving,fixed_landmarks,moving_landmarks,frame",
    )
    pair = FolderDataset(folder, modalities=("ct", "cbct"), model="sdm").load(0)
    assert pair.fixed.grid.size == read_header(folder / "ct.nii.gz").grid.size
    assert sorted(pair.moving.grid.size) == sorted(read_header(folder / "cbct.mha").grid.size)
    truth = truth_of(pair)
    assert truth.landmarks_fixed is not None and truth.landmarks_moving is not None and pair.alignment is not None
    assert np.linalg.norm(truth.landmarks_moving - truth.landmarks_fixed, axis=1).min() > 1
    np.testing.assert_allclose(
        transform_points(pair.alignment, truth.landmarks_fixed), truth.landmarks_moving, atol=1e-6
    )


def test_the_true_transform_is_the_alignment_unless_told(folder: Path) -> None:
    shift(folder / "truth.tfm", 1.0, 2.0, 3.0)
    manifest(
        folder,
        "ct.nii.gz,cbct.mha,truth.tfm,",
        "ct.nii.gz,cbct.mha,truth.tfm,identity",
        header="fixed,moving,transform,alignment",
    )
    dataset = FolderDataset(folder)
    told = [pair.alignment for pair in (dataset.load(0), dataset.load(1))]
    assert told[0] is not None and told[0][:3, 3].tolist() == [1.0, 2.0, 3.0]
    assert told[1] is not None and told[1][:3, 3].tolist() == [0.0, 0.0, 0.0]


def test_two_images_need_no_manifest(tmp_path: Path) -> None:
    files.write(tmp_path / "fixed.nii.gz", files.image(seed=1))
    files.write(tmp_path / "moving.mhd", files.image(seed=2))
    pair = make_dataset(f"folder:{tmp_path}", split="test", modalities=("t1", "flair")).load(0)
    assert (pair.fixed.modality, pair.moving.modality) == ("t1", "flair")
    assert pair.truth is None


def test_a_dicom_series_in_a_manifest(tmp_path: Path) -> None:
    files.write_series(tmp_path / "scan", "1.2.3.1")
    files.write_series(tmp_path / "scan", "1.2.3.2", slices=4)
    pair = FolderDataset(manifest(tmp_path, "scan#1.2.3.1,scan#1.2.3.2")).load(0)
    assert pair.fixed.array.shape == (6, 8, 10)
    assert pair.moving.array.shape == (4, 8, 10)


def test_splits_are_rows(folder: Path) -> None:
    manifest(folder, "ct.nii.gz,cbct.mha,train", "ct.nii.gz,cbct.mha,validation", header="fixed,moving,split")
    assert FolderDataset(folder, split="train").ids == ("pair-2",)
    assert FolderDataset(folder, split="validation").ids == ("pair-3",)
    with pytest.raises(DataError, match=r"has no row of split 'test' \(it has train: 1, validation: 1\); make the env"):
        FolderDataset(folder, split="test")


def test_a_dataset_is_pickled_without_its_images(folder: Path) -> None:
    manifest(folder, "ct.nii.gz,cbct.mha")
    dataset = FolderDataset(folder)
    first = dataset.load(0)
    data = pickle.dumps(dataset)
    assert len(data) < 5000
    np.testing.assert_array_equal(pickle.loads(data).load(0).fixed.array, first.fixed.array)


def test_a_pair_is_read_once(folder: Path) -> None:
    dataset = FolderDataset(manifest(folder, "ct.nii.gz,cbct.mha"))
    assert dataset.load(0) is dataset.load(0)


def test_a_two_dimensional_folder(tmp_path: Path) -> None:
    for name, seed in (("a.mha", 1), ("b.mha", 2)):
        files.write(tmp_path / name, files.image((20, 16), seed=seed))
    manifest(tmp_path, "a.mha,b.mha,true", header="fixed,moving,aligned")
    pair = FolderDataset(tmp_path, ndim=2).load(0)
    assert pair.ndim == 2 and truth_of(pair).transform.shape == (3, 3)
    with pytest.raises(DataError, match=r"pairs.csv line 2: .*a\.mha is a 2-D image .* registers 3-D ones"):
        FolderDataset(tmp_path)


def test_one_slice_is_registered_to_its_volume(tmp_path: Path) -> None:
    """What the page of one's own scans promises of SliceMR; every other environment refuses a single slice."""
    noise = np.random.default_rng(0).standard_normal((48, 48, 48))
    volume = sitk.GetImageFromArray(gaussian_filter(noise, 2.0).astype(np.float32) * 1e4)
    volume.SetSpacing((3.0, 3.0, 3.0))
    volume.SetDirection(files.oblique().ravel().tolist())
    files.write(tmp_path / "volume.nii.gz", volume)
    files.write(tmp_path / "slice.nii.gz", volume[:, :, 24:25])
    files.write(tmp_path / "mask.mha", sitk.Cast(volume[:, :, 24:25] > -1e9, sitk.sitkUInt8))
    header = "fixed,moving,fixed_mask,aligned,split"
    manifest(tmp_path, "slice.nii.gz,volume.nii.gz,mask.mha,true,validation", header=header)
    env = gym.make("SliceMR-Rigid-v0", dataset=f"folder:{tmp_path}", split="validation")
    starts = [env.reset(seed=seed)[1] for seed in range(5)]
    truth = {"pair": starts[0]["pair_id"], "start": env.unwrapped.truth()}
    there = env.reset(options=truth)[1]
    assert there["tre"] < 1e-6 < min(info["tre"] for info in starts)
    assert there["similarity"] > 0.8 and there["similarity"] > 0.3 + max(info["similarity"] for info in starts)
    with pytest.raises(DataError, match=r"slice\.nii\.gz has 48 x 48 x 1 voxels: a single slice"):
        FolderDataset(tmp_path, split="validation")


def test_a_simulated_pair_needs_a_volume(folder: Path) -> None:
    with pytest.raises(DataError, match="line 2: simulate needs a volume"):
        FolderDataset(manifest(folder, "ct.nii.gz,cbct", header="moving,simulate"), ndim=2)


# What cannot be used. Each is found when the data set is made, but for the voxels of masks and images.


def bad_files(folder: Path) -> None:
    """Files of which each has one thing wrong with it."""
    truncated = files.write(folder / "cut.nii", files.image(seed=1))
    truncated.write_bytes(truncated.read_bytes()[:-500])
    files.write(folder / "flat.mha", files.image() * 0)
    files.write(folder / "far.mha", files.image(origin=(900.0, 0.0, 0.0)))
    files.write(folder / "small.nrrd", sitk.ReadImage(str(folder / "labels.nrrd"))[:-2])
    files.write(folder / "slice.nii.gz", files.image((20, 16, 1)))
    points(folder / "line.csv", folder, [[2, 4, 4], [5, 4, 4], [12, 4, 4], [17, 4, 4]])
    (folder / "outside.csv").write_text("1000,0,0\n")
    (folder / "one.csv").write_text((folder / "three.csv").read_text().splitlines()[0] + "\n")
    rows = (folder / "three.csv").read_text().splitlines()
    (folder / "abc.csv").write_text("".join(f"{row},{name}\n" for row, name in zip(rows, "abc", strict=True)))
    (folder / "acb.csv").write_text("".join(f"{row},{name}\n" for row, name in zip(rows, "acb", strict=True)))
    shift(folder / "shift.tfm", 1.0, 2.0, 3.0)
    shift(folder / "away.tfm", 5000.0, 0.0, 0.0)
    (folder / "broken.tfm").write_text("no transform\n")
    spline = sitk.BSplineTransformInitializer(files.image(), [3, 3, 3])
    spline.SetParameters(np.random.default_rng(0).normal(size=len(spline.GetParameters())).tolist())
    sitk.WriteTransform(spline, str(folder / "spline.tfm"))
    sitk.WriteTransform(sitk.Euler2DTransform(), str(folder / "flat.tfm"))


LANDMARKS = "fixed,moving,fixed_landmarks,moving_landmarks"
BAD = [
    ("fixed,moving", "ct.nii.gz,gone.mha", r"line 2: .*gone\.mha does not exist"),
    ("fixed,moving", "ct.nii.gz,slice.nii.gz", r"line 2: .*slice\.nii\.gz has 20 x 16 x 1 voxels: a single slice"),
    ("fixed,moving,moving_mask", "ct.nii.gz,cbct.mha,gone.mha", r"line 2: .*gone\.mha does not exist"),
    (
        "fixed,moving,moving_mask",
        "ct.nii.gz,cbct.mha,small.nrrd",
        r"small\.nrrd has 18 x 16 x 12 voxels and its image 20",
    ),
    (LANDMARKS, "ct.nii.gz,cbct.mha,three.csv,two.csv", r"line 2: landmarks two\.csv has 2 points, three\.csv has 3"),
    (LANDMARKS, "ct.nii.gz,cbct.mha,abc.csv,acb.csv", r"landmarks acb\.csv: point 2 is 'c' and in abc\.csv 'b'"),
    (
        LANDMARKS,
        "ct.nii.gz,cbct.mha,one.csv,outside.csv",
        r"outside\.csv: 1 of 1 points lie outside cbct\.mha, the first",
    ),
    (LANDMARKS, "ct.nii.gz,cbct.mha,three.csv,gone.csv", r"landmarks gone\.csv do not exist"),
    (
        LANDMARKS,
        "ct.nii.gz,cbct.mha,two.csv,two.csv",
        r"landmarks two\.csv has 2 points: they do not tell how .* give 3",
    ),
    (LANDMARKS, "ct.nii.gz,cbct.mha,line.csv,line.csv", r"landmarks line\.csv has points on one line"),
    ("fixed,moving,transform", "ct.nii.gz,cbct.mha,gone.tfm", r"transform gone\.tfm does not exist"),
    ("fixed,moving,transform", "ct.nii.gz,cbct.mha,broken.tfm", r"transform broken\.tfm cannot be read as an ITK"),
    ("fixed,moving,transform", "ct.nii.gz,cbct.mha,spline.tfm", r"transform spline\.tfm is not linear \(BSpline"),
    ("fixed,moving,transform", "ct.nii.gz,cbct.mha,flat.tfm", r"transform flat\.tfm is 2-D and the images are 3-D"),
    (
        "fixed,moving,transform",
        "ct.nii.gz,cbct.mha,away.tfm",
        r"ct\.nii\.gz and cbct\.mha do not overlap under transform",
    ),
    ("fixed,moving,aligned", "ct.nii.gz,far.mha,true", r"ct\.nii\.gz and far\.mha do not overlap under the files' own"),
    (
        "fixed,moving,alignment",
        "ct.nii.gz,cbct.mha,gone.tfm",
        r"alignment .*gone\.tfm is no file, and neither .identity. nor",
    ),
    (
        "fixed,moving,alignment",
        "ct.nii.gz,cbct.mha,away.tfm",
        r"do not overlap under alignment away\.tfm; give a linear",
    ),
]


def test_a_deformable_environment_needs_overlap(folder: Path) -> None:
    bad_files(folder)
    manifest(folder, "ct.nii.gz,far.mha")
    FolderDataset(folder)
    with pytest.raises(DataError, match="line 2: .* do not overlap under the files' own frames; give .*'centres'"):
        FolderDataset(folder, model="sdm")


@pytest.mark.parametrize(("header", "row", "message"), BAD)
def test_what_cannot_be_used_is_named_at_once(folder: Path, header: str, row: str, message: str) -> None:
    bad_files(folder)
    with pytest.raises(DataError, match=rf"^pairs\.csv line 2: .*{message.removeprefix('line 2: ')}"):
        FolderDataset(manifest(folder, row, header=header))


def test_a_good_transform_is_not_refused(folder: Path) -> None:
    bad_files(folder)
    assert FolderDataset(manifest(folder, "ct.nii.gz,cbct.mha,shift.tfm", header="fixed,moving,transform")).ids


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("fixed,moving", "ct.nii.gz,cut.nii", r"cut\.nii is truncated or damaged \(\d+ of \d+ bytes\)"),
        ("fixed,moving", "ct.nii.gz,flat.mha", r"flat\.mha is 0 everywhere"),
        ("fixed,moving,fixed_mask", "ct.nii.gz,cbct.mha,empty.nrrd", r"mask empty\.nrrd is empty"),
        ("fixed,moving,fixed_labels,moving_labels", "ct.nii.gz,cbct.mha,empty.nrrd,labels.nrrd", r"labels empty\.nrrd"),
    ],
)
def test_bad_voxels_are_named_on_loading(folder: Path, header: str, row: str, message: str) -> None:
    bad_files(folder)
    dataset = FolderDataset(manifest(folder, row, header=header))
    with pytest.raises(DataError, match=rf"^pairs\.csv line 2: .*{message}"):
        dataset.load(0)


def test_every_row_is_looked_at_in_every_split(folder: Path) -> None:
    manifest(
        folder,
        "ct.nii.gz,gone.mha,train",
        "ct.nii.gz,cbct.mha,test",
        "also-gone.mha,cbct.mha,validation",
        header="fixed,moving,split",
    )
    with pytest.raises(DataError) as raised:
        FolderDataset(folder, split="test")
    assert "has 2 problems" in str(raised.value)
    assert "pairs.csv line 2" in str(raised.value) and "pairs.csv line 4" in str(raised.value)


def test_a_folder_that_holds_no_pairs_shows_what_it_should(tmp_path: Path) -> None:
    files.write(tmp_path / "one.mha", files.image())
    with pytest.raises(DataError, match=r"has no pairs\.csv; it should look like this") as raised:
        FolderDataset(tmp_path)
    assert "cbct_01.nii.gz,ct_01.nii.gz,cbct,ct,true" in str(raised.value)
    (tmp_path / "Pairs_final.csv").write_text("")
    with pytest.raises(DataError, match=r"it has Pairs_final\.csv: rename the manifest to pairs\.csv"):
        FolderDataset(tmp_path)
    with pytest.raises(DataError, match="does not exist; a folder of pairs looks like this"):
        FolderDataset(tmp_path / "nowhere")


def test_the_example_of_the_message_is_a_good_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        FolderDataset(tmp_path)
    lines = [line.strip() for line in str(raised.value).splitlines()]
    start = lines.index("fixed,moving,fixed_modality,moving_modality,aligned")
    for name, seed in (("cbct_01.nii.gz", 1), ("ct_01.nii.gz", 2)):
        files.write(tmp_path / name, files.image(seed=seed))
    manifest(tmp_path, lines[start + 1], header=lines[start])
    pair = FolderDataset(tmp_path).load(0)
    assert (pair.fixed.modality, pair.moving.modality) == ("cbct", "ct")
