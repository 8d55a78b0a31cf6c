"""What every layout keeps to: splits, frames, alignment, and errors that print the tree or count what is missing."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from regenv.core.geometry import transform_points
from regenv.data.dataset import SPLITS, Dataset
from regenv.data.frames import inside
from regenv.data.layouts import LAYOUTS
from regenv.data.pair import ImagePair
from regenv.datasets import make_dataset
from regenv.errors import DataError, OptionError
from tests.data.layouts import trees
from tests.data.layouts.support import TREES


def made(name: str, root: Path, *, query: str = "?test=all", split: str = "test", model: str = "rigid") -> Dataset:
    tree = TREES[name]
    return make_dataset(f"{name}:{root}{query}", split=split, modalities=tree.modalities, model=model, ndim=tree.ndim)


def test_every_layout_is_tested() -> None:
    assert set(TREES) == set(LAYOUTS), "a layout has its row in TREES of tests/data/layouts/support.py"


@pytest.mark.parametrize("name", TREES)
def test_pairs_are_read_and_repeat(name: str, tmp_path: Path) -> None:
    TREES[name].write(tmp_path)
    dataset = made(name, tmp_path)
    assert isinstance(dataset, Dataset)
    assert len(dataset.ids) == len(set(dataset.ids)) == len(dataset.subjects) >= 1
    pair = dataset.load(0)
    assert (pair.id, pair.subject, pair.ndim) == (dataset.ids[0], dataset.subjects[0], TREES[name].ndim)
    assert dataset.load(0) is pair
    again = pickle.loads(pickle.dumps(dataset)).load(0)
    np.testing.assert_array_equal(again.moving.array, pair.moving.array)
    np.testing.assert_array_equal(again.moving.grid.index_to_physical, pair.moving.grid.index_to_physical)
    modalities = {"rire": ("t1", "ct"), "learn2reg": ("ct", "ct")}.get(name, TREES[name].modalities)
    assert (pair.fixed.modality, pair.moving.modality) == modalities


@pytest.mark.parametrize("name", TREES)
def test_splits_share_no_subject(name: str, tmp_path: Path) -> None:
    TREES[name].write(tmp_path)
    subjects: dict[str, set[str]] = {}
    for split in SPLITS:
        try:
            subjects[split] = set(made(name, tmp_path, query="", split=split).subjects)
        except DataError as error:
            assert f"has no pair of split {split!r} (it has" in str(error)
            assert f"{name}:{tmp_path}?test=all" in str(error)
    shared = [a & b for x, a in subjects.items() for y, b in subjects.items() if x < y]
    assert subjects and not any(shared)


@pytest.mark.parametrize("name", TREES)
def test_random_frames_carry_the_truth_and_the_alignment(name: str, tmp_path: Path) -> None:
    TREES[name].write(tmp_path)
    framed, plain = made(name, tmp_path, model="sdm"), made(name, tmp_path, query="?test=all&frame=file", model="sdm")
    for index in range(min(2, len(framed.ids))):
        moved, still = framed.load(index), plain.load(index)
        assert moved.alignment is not None and still.alignment is not None
        assert np.abs(moved.moving.grid.centre - still.moving.grid.centre).max() > 1.0
        # the motion of the subject takes every point that belonged to the old image to one of the new
        motion = moved.alignment @ np.linalg.inv(still.alignment)
        np.testing.assert_allclose(motion[:-1, :-1] @ motion[:-1, :-1].T, np.eye(still.ndim), atol=1e-9)
        assert inside(moved.moving.grid, transform_points(motion, still.moving.grid.centre[None])).all()
        if still.truth is not None and still.truth.landmarks_moving is not None:
            assert moved.truth is not None and moved.truth.landmarks_moving is not None
            np.testing.assert_allclose(
                moved.truth.landmarks_moving, transform_points(motion, still.truth.landmarks_moving), atol=1e-6
            )
            assert_on_marks(moved)
            assert_on_marks(still)


@pytest.mark.parametrize("name", TREES)
def test_another_folder_is_answered_with_the_tree(name: str, tmp_path: Path) -> None:
    (tmp_path / "something.txt").write_text("else")
    with pytest.raises(DataError) as raised:
        made(name, tmp_path)
    message = str(raised.value)
    layout = import_module(f"regenv.data.layouts.{name}").LAYOUT
    assert layout.title in message
    assert layout.tree.replace("PATH", str(tmp_path), 1) in message
    with pytest.raises(DataError, match=r"nowhere is not a folder; the layout of"):
        made(name, tmp_path / "nowhere")


@pytest.mark.parametrize("name", [name for name, tree in TREES.items() if tree.lost])
def test_missing_files_are_named_and_counted(name: str, tmp_path: Path) -> None:
    TREES[name].write(tmp_path)
    assert made(name, tmp_path).ids
    (tmp_path / TREES[name].lost).unlink()
    with pytest.raises(DataError) as raised:
        made(name, tmp_path)
    assert "lacks 1 of " in str(raised.value)
    lost = TREES[name].lost.replace("IM-0003-", "IM-0001-")  # which series an image was of is not known without it
    assert f"\n  {lost}\n" in str(raised.value)


TABLES = {
    "acdc": "testing/patient101/Info.cfg",
    "bids": "participants.tsv",
    "oasis": "OASIS_dataset.json",
    "sunnybrook": "scd_patientdata.csv",
}
"""Files that are read when the data set is made."""


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_no_text_is_named(name: str, tmp_path: Path) -> None:
    TREES[name].write(tmp_path)
    (tmp_path / TABLES[name]).write_bytes(b"\x90\xf9\xce")
    with pytest.raises(DataError, match=f"{Path(TABLES[name]).name} cannot be read as (text|JSON)"):
        made(name, tmp_path)


def test_of_many_missing_files_the_first_are_named(tmp_path: Path) -> None:
    trees.oasis(tmp_path)
    for path in sorted((tmp_path / "labelsTr").iterdir()):
        path.unlink()
    with pytest.raises(DataError, match=r"lacks 7 of 23 files of OASIS \(Learn2Reg\):\n(  .*\n){5}  and 2 more\n"):
        made("oasis", tmp_path)


def test_missing_files_have_the_names_of_their_case(tmp_path: Path) -> None:
    trees.dirlab(tmp_path)
    for path in [p for p in tmp_path.rglob("*") if p.is_file()]:
        path.unlink()
    with pytest.raises(DataError) as raised:
        made("dirlab", tmp_path)
    assert "lacks 16 of 16 files" in str(raised.value)
    for name in ("Case1Pack/Images/case1_T00_s.img", "Case2Pack/Images/case2_T00-ssm.img"):
        assert f"\n  {name}\n" in str(raised.value)


def test_what_no_pair_can_be_made_of_is_named(tmp_path: Path) -> None:
    for path in (trees.ixi(tmp_path / "ixi") / "IXI-T2").iterdir():
        path.unlink()
    with pytest.raises(
        DataError, match=r"no subject with all images .* 0 T2; IXI002-\*-T2, .* are missing\); the layout"
    ):
        made("ixi", tmp_path / "ixi")
    for path in trees.resect(tmp_path / "resect").rglob("*-MRI-beforeUS.tag"):
        path.unlink()
    with pytest.raises(
        DataError, match=r"has none of 3 landmark files \(NIFTI/Case1/Landmarks/Case1-MRI-beforeUS.tag, "
    ):
        made("resect", tmp_path / "resect")
    for path in trees.bids(tmp_path / "bids").rglob("*_T2w.nii.gz"):
        path.unlink()
    with pytest.raises(DataError, match="has no image of the suffix T2w; the layout"):
        made("bids", tmp_path / "bids")
    trees.sunnybrook(tmp_path / "scd").joinpath("scd_patientdata.csv").write_text("Patient\nSCD0000101\n")
    with pytest.raises(
        DataError, match=r"no patient of whom scd_patientdata.csv names images \(PatientID; \d+ folders"
    ):
        made("sunnybrook", tmp_path / "scd")
    with pytest.raises(DataError, match=r"is not a folder \(options are written \?name=value"):
        made("bids", tmp_path / "bids", query="?test")
    shutil.rmtree(trees.rire(tmp_path / "rire") / "training_001" / "transformations")
    with pytest.raises(DataError, match=r"lacks 1 of .*\n  training_001/transformations/ct_T1.standard"):
        made("rire", tmp_path / "rire")


def test_options(tmp_path: Path) -> None:
    trees.learn2reg(tmp_path)
    validation = made("learn2reg", tmp_path, query="?test=validation")
    assert validation.subjects == ("NLST_0003",)
    assert validation.ids == made("learn2reg", tmp_path, query="", split="validation").ids
    with pytest.raises(OptionError, match=r"test='al' is unknown; did you mean 'all'\?"):
        made("learn2reg", tmp_path, query="?test=al")
    with pytest.raises(OptionError, match=r"option of learn2reg='frames' is unknown; did you mean 'frame'\?"):
        made("learn2reg", tmp_path, query="?frames=file")
    with pytest.raises(DataError, match="'oasis:' has no path; write oasis:PATH"):
        make_dataset("oasis:")


def test_a_misspelt_layout() -> None:
    with pytest.raises(OptionError, match=r"dataset='dirlabs:/data/x' is unknown; did you mean 'dirlab:PATH'\?"):
        make_dataset("dirlabs:/data/x")


def test_a_folder_whose_name_has_a_question_mark(tmp_path: Path) -> None:
    root = tmp_path / "what?"
    trees.learn2reg(root)
    assert made("learn2reg", root, query="", split="train").ids


def test_dimensions_that_a_layout_has_not(tmp_path: Path) -> None:
    trees.jsrt(tmp_path)
    with pytest.raises(DataError, match="JSRT holds 2-D images and this environment registers 3-D ones"):
        make_dataset(f"jsrt:{tmp_path}", modalities=("xray", "xray"))
    trees.ixi(tmp_path)
    with pytest.raises(DataError, match="IXI holds volumes whose slices do not correspond"):
        make_dataset(f"ixi:{tmp_path}", modalities=("t1", "t2"), ndim=2)


def test_layouts_are_imported_when_they_are_asked_for() -> None:
    code = (
        "import regenv, sys; print([m for m in sys.modules if 'layouts' in m or m in ('SimpleITK', 'numba', 'torch')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def assert_on_marks(pair: ImagePair) -> None:
    """The voxel at every landmark is the bright one that the tree put there."""
    assert pair.truth is not None
    sides = (pair.fixed, pair.truth.landmarks_fixed), (pair.moving, pair.truth.landmarks_moving)
    for image, points in sides:
        assert points is not None and len(points) >= len(trees.FIXED_MARKS)
        n = len(trees.FIXED_MARKS)
        index = np.rint(transform_points(image.grid.physical_to_index, points[:n])).astype(int)
        values = image.array[tuple(index.T[::-1])]
        offset = values[0] - trees.MARK  # CTs are stored with one
        np.testing.assert_allclose(values - offset, trees.MARK + 100 * np.arange(n))
        assert offset in (0.0, -1024.0)
