"""The pages of public data: their tree is the reader's, and their code runs on a miniature of that tree."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from regenv.catalogue import TASKS
from regenv.core.geometry import transform_points
from regenv.data.layouts import LAYOUTS
from regenv.data.pair import ImagePair
from regenv.datasets import make_dataset
from tests.data import files
from tests.data.layouts import trees
from tests.data.layouts.support import TREES

PAGES = Path(__file__).parents[3] / "docs" / "data"


def blobs(root: Path, images: list[str], labels: list[str], apart_mm: float = 0.0) -> None:
    """Images and label maps, each ``apart_mm`` from the one before, as in the frames of different scanners."""
    for names, make in ((images, lambda seed: trees.image(trees.FIXED_MARKS, seed)), (labels, trees.labels_of)):
        for seed, name in enumerate(names):
            made = make(seed)
            made.SetOrigin([made.GetOrigin()[0] + seed * apart_mm, *made.GetOrigin()[1:]])
            trees.save(root / name, made)


def lits(root: Path) -> None:
    blobs(root, [f"volume-{i}.nii" for i in range(12)], [f"segmentation-{i}.nii" for i in range(12)], 150.0)


def sliver(root: Path) -> None:
    numbers = range(1, 13)
    blobs(root, [f"liver-orig{i:03d}.mhd" for i in numbers], [f"liver-seg{i:03d}.mhd" for i in numbers], 150.0)


def msd(root: Path) -> None:
    names = [f"liver_{i}.nii.gz" for i in range(12)]
    blobs(root, [f"imagesTr/{name}" for name in names], [f"labelsTr/{name}" for name in names], 150.0)
    trees.text(root / "imagesTr" / "._liver_0.nii.gz", "macOS")


def oai(root: Path) -> None:
    rows = []
    for i, split in enumerate(("train", "train", "validation", "test", "test")):
        series = Path("0.C.2") / f"{9000099 + i}" / "20050715" / "10245003"
        (root / series).parent.mkdir(parents=True)
        files.write_series(root / series, f"1.2.3.{i}")
        for k, path in enumerate(sorted((root / series).iterdir()), 1):
            path.rename(path.with_name(f"{k:03d}"))
        rows.append(f"{9000099 + i},{split},{series}\n")
    trees.text(root / "knees.csv", "subject,split,series\n" + "".join(rows))


def loni(root: Path) -> None:
    for subject in (f"002_S_{number:04d}" for number in range(295, 307)):
        for i, date in enumerate(("2006-04-18_08_20_30.0", "2007-05-02_10_00_00.0")):
            name = f"{root.name}_{subject}_MR_MP-RAGE_I{i}.nii"
            image = trees.image(trees.FIXED_MARKS, i)
            trees.save(root / subject / "MP-RAGE" / date / f"I{13722 + i}" / name, image)


def table(*kinds: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        rows = []
        for subject in ("A01", "A02"):
            for i, kind in enumerate(kinds):
                trees.save(root / "raw" / f"{subject}_{i}.nii.gz", trees.image(trees.FIXED_MARKS, i))
                rows.append(f"raw/{subject}_{i}.nii.gz,{subject},1,{kind}\n")
        trees.text(root / "scans.csv", "file,subject,session,suffix\n" + "".join(rows))

    return write


def abide(root: Path) -> None:
    for number in range(50002, 50022):
        stem = f"sub-{number:07d}"
        trees.save(root / stem / "anat" / f"{stem}_T1w.nii.gz", trees.image(trees.FIXED_MARKS, number))


def empire10(root: Path) -> None:
    for case in ("01", "02"):
        for side in ("Fixed", "Moving"):
            image = trees.image(trees.FIXED_MARKS, int(case))
            trees.save(root / "scans" / f"{case}_{side}.mhd", image)
            trees.save(root / "lungMasks" / f"{case}_{side}.mhd", sitk.Cast(image > 0, sitk.sitkUInt8))


def brats(root: Path) -> None:
    for i in (0, 2, 3):
        stem = f"BraTS2021_{i:05d}/BraTS2021_{i:05d}"
        blobs(root, [f"{stem}_{kind}.nii.gz" for kind in ("t1", "t1ce", "t2", "flair")], [f"{stem}_seg.nii.gz"])


SCRIPTED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "abide": ("ABIDE", abide),
    "adni": ("ADNI", loni),
    "brats": ("BraTS", brats),
    "empire10": ("EMPIRE10", empire10),
    "habs": ("HABS", table("T1w", "FLAIR")),
    "lits": ("LiTS", lits),
    "mcic": ("MCIC", table("T1w")),
    "msd": ("Task03_Liver", msd),
    "nlst": ("NLST", trees.learn2reg),
    "oai": ("OAI", oai),
    "ppmi": ("PPMI", loni),
    "sliver": ("SLIVER", sliver),
}
"""Of the pages that have no layout of their own: the folder that the code names, and what writes a miniature of it."""

WITH_CODE = sorted({*TREES, *SCRIPTED})


def write_miniature(page: str, root: Path) -> Path:
    """Writes what a page's code reads; returns its folder."""
    if page in SCRIPTED:
        folder, write = SCRIPTED[page]
    else:
        named = re.search(rf'make_dataset\("{page}:([^"?]+)', (PAGES / f"{page}.md").read_text())
        assert named, f'{page}.md has no code make_dataset("{page}:FOLDER", ...)'
        folder, write = named[1], TREES[page].write
    write(root / folder)
    return root / folder


BETWEEN_PEOPLE = ("lits", "msd", "oai", "sliver")
"""Pages whose manifest pairs different people for a deformable environment."""


def test_every_page_is_run_and_listed() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"index"}
    assert pages == set(WITH_CODE)
    assert set(LAYOUTS) <= pages
    linked = re.findall(r"\]\((\w+)\.md\)", (PAGES / "index.md").read_text())
    assert set(linked) - {"your-scans"} == pages


@pytest.mark.parametrize("page", WITH_CODE)
def test_the_code_of_a_page_gives_pairs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_miniature(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", (PAGES / f"{page}.md").read_text(), re.DOTALL):
        exec(code, names)
    assert isinstance(names["pair"], ImagePair)
    dataset = names["pairs"]
    assert len(dataset.ids) >= 1  # type: ignore[attr-defined]
    truth = names["pair"].truth
    says = (PAGES / "index.md").read_text()
    promised = next(line for line in says.splitlines() if f"]({page}.md)" in line).split("|")[-2].strip()
    known = {
        "labels": truth is not None and truth.labels_fixed is not None,
        "landmarks": truth is not None and truth.landmarks_fixed is not None,
        "keypoints": truth is not None and truth.landmarks_fixed is not None,
        "transform (training patient)": truth is not None and truth.transform is not None,
        "the provider's registration": truth is not None and truth.transform is not None,
        "none": truth is None,
        "withheld": truth is None,
        "by task": True,
    }
    assert known[promised]


@pytest.mark.parametrize("page", WITH_CODE)
def test_the_environment_that_a_page_names_takes_the_pairs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_miniature(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    text = (PAGES / f"{page}.md").read_text()
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)[:-1]:  # the last one reads pairs, the others write
        exec(code, {})
    calls = re.findall(r'gym\.make\("([^"]+)", dataset="([^"]+)", split="(\w+)"\)', text)
    assert len(calls) == 1
    env_id, dataset, split = calls[0]
    task = TASKS[env_id]
    pairs = make_dataset(dataset, split=split, modalities=task.modalities, model=task.model, ndim=task.ndim)
    pair = pairs.load(0)
    assert pair.ndim == task.ndim
    if dataset.startswith(tuple(f"{name}:" for name in LAYOUTS)):
        assert pair.alignment is not None
    if page in BETWEEN_PEOPLE:  # scanners' frames of two people have nothing in common
        assert pair.alignment is not None
        middle = transform_points(pair.alignment, pair.fixed.grid.centre)
        np.testing.assert_allclose(middle, pair.moving.grid.centre, atol=1e-6)


@pytest.mark.parametrize("page", BETWEEN_PEOPLE)
def test_nobody_is_paired_with_himself(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The miniatures have a split of one person."""
    folder = write_miniature(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    script = re.findall(r"```python\n(.*?)```", (PAGES / f"{page}.md").read_text(), re.DOTALL)[0]
    exec(script, {})
    with (folder / "pairs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["split"] for row in rows} == {"train", "test"}
    assert all(row["fixed"] != row["moving"] for row in rows)


@pytest.mark.parametrize("name", TREES)
def test_the_tree_of_a_page_is_the_readers(name: str) -> None:
    layout = import_module(f"regenv.data.layouts.{name}").LAYOUT
    text = (PAGES / f"{name}.md").read_text()
    assert f"```text\n{layout.tree}\n```" in text
    for option, values in layout.options.items():
        assert any(f"?{option}={value}" in text for value in values), option
