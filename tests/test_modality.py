"""The table of modalities knows every image that the project makes or reads."""

from __future__ import annotations

import numpy as np
import pytest

from regenv.catalogue import TASKS
from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.layouts.learn2reg import KINDS
from regenv.imaging.windows import window_of
from regenv.modality import MODALITIES, get_modality
from regenv.synthesis.recipe import get_recipe, recipe_names


@pytest.mark.parametrize("recipe", recipe_names())
def test_what_a_recipe_makes_has_a_row(recipe: str) -> None:
    assert set(get_recipe(recipe).modalities) <= set(MODALITIES)


def test_what_tasks_and_foreign_names_say_has_a_row() -> None:
    assert {name for task in TASKS.values() for name in task.modalities} <= set(MODALITIES)
    assert set(KINDS.values()) <= set(MODALITIES)


def test_an_unknown_modality_has_a_scale_of_each_image() -> None:
    row = get_modality("no such scan")
    assert (row.words, row.window, row.background, row.hounsfield) == ("no such scan", None, 0.0, False)


def _image(modality: str, background: float) -> Image:
    array = np.linspace(100, 300, 1000, dtype=np.float32).reshape(10, 10, 10)
    return Image(array, Grid.centred((10, 10, 10), (1.0, 1.0, 1.0)), modality, background)


def test_windows_follow_the_rows() -> None:
    assert window_of(_image("cbct", -1000.0)) == window_of(_image("ct", -1000.0)) == (-1000.0, 700.0)
    assert window_of(_image("pet", 0.0)) == (0.0, 8.0)
    low, high = window_of(_image("t1", 0.0))
    assert low == 0.0 and high == pytest.approx(299, abs=0.2)
    low, _ = window_of(_image("depth", 10_000.0))  # its background is no depth, and a body may come 30 mm nearer
    assert low == pytest.approx(101 - 30, abs=0.2)
