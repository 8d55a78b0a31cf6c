"""A data set by its name: known names are made, unknown ones are met with the nearest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from regenv.catalogue import TASKS
from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.dataset import Dataset, prefetch
from regenv.data.folder import FolderDataset
from regenv.data.pair import ImagePair
from regenv.datasets import make_dataset
from regenv.errors import OptionError
from tests.data import files


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (
            {"name": "fantom"},
            r"dataset='fantom' is unknown; did you mean 'phantom'\? Known: 'phantom', 'shapes', 'folder",
        ),
        ({"name": "folder:"}, r"dataset='folder:' is unknown; did you mean 'folder:PATH'\?"),
        ({"name": "phantom", "split": "valid"}, r"split='valid' is unknown; did you mean 'validation'\?"),
        ({"name": "phantom", "field_of_view": "hart"}, r"field_of_view='hart' is unknown; did you mean 'heart'\?"),
        ({"name": "phantom", "modalities": ("pet", "ct")}, r"modality of recipe torso='pet' is unknown"),
        ({"name": "phantom", "model": "rigit"}, r"model='rigit' is unknown; did you mean 'rigid'\?"),
        ({"name": "phantom", "ndim": 4}, r"ndim=4 is unknown; known: 2, 3"),
        ({"name": "phantom", "modalities": ("ct",)}, r"modalities=\('ct',\) must name two"),
        ({"name": "phantom", "modalities": "ct"}, r"modalities=\('ct',\) must name two"),
    ],
)
def test_unknown_options_suggest_the_nearest(keywords: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make_dataset(**keywords)


def test_a_bare_path_is_told_the_prefix(tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=rf"is a path; for a folder of your own images write dataset='folder:{tmp_path}'"
    ):
        make_dataset(str(tmp_path))


def test_a_folder_is_a_dataset(tmp_path: Path) -> None:
    files.write(tmp_path / "fixed.mha", files.image(seed=1))
    files.write(tmp_path / "moving.mha", files.image(seed=2))
    dataset = make_dataset(f"folder:{tmp_path}", split="test")
    assert isinstance(dataset, Dataset) and isinstance(dataset, FolderDataset)
    assert dataset.name == f"folder:{tmp_path}"


@pytest.mark.parametrize("env_id", TASKS)
def test_every_task_has_its_embedded_data_set(env_id: str) -> None:
    task = TASKS[env_id]
    for split in ("train", "validation", "test"):
        dataset = task.dataset("phantom", split)
        assert (dataset.split, dataset.ndim) == (split, task.ndim)
        assert dataset.modalities == task.modalities and dataset.field_of_view == task.field_of_view
        assert dataset.recipe.name == task.recipe


def test_random_shapes_fill_the_view_that_is_asked_for() -> None:
    task = TASKS["CTCBCT-Rigid-v0"]
    own, wider = task.dataset("shapes"), task.dataset("shapes", extent_mm=2 * task.view_size * task.view_spacing_mm)
    assert wider._voxel_mm == pytest.approx(2 * np.array(own._voxel_mm))


class Counted:
    name, split, ndim, ids, subjects = "counted", "train", 3, ("a", "b", "c"), ("s", "s", "t")

    def __init__(self) -> None:
        self.loaded: list[int] = []

    def load(self, index: int) -> ImagePair:
        self.loaded.append(index)
        image = Image(np.zeros((2, 2, 2), np.float32), Grid.centred((2, 2, 2), (1, 1, 1)))
        return ImagePair(self.ids[index], self.subjects[index], image, image)


def test_prefetch_loads_each_pair_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    dataset = Counted()
    assert prefetch(dataset) == 3
    assert dataset.loaded == [0, 1, 2]
    assert prefetch(dataset, limit=1) == 1
    assert "preparing counted (train): 3 of 3 done" in capsys.readouterr().err


def test_naming_a_dataset_loads_no_heavy_library() -> None:
    script = (
        "import sys, regenv.datasets, regenv.data.cache, regenv.data.frames, regenv.data.manifest\n"
        "print([m for m in ('torch', 'SimpleITK', 'numba', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
