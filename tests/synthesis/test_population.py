"""Population models: fitted to a recipe's training subjects, and those that come with the package."""

import numpy as np
import pytest

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.pair import ImagePair, Truth
from regenv.errors import DataError
from regenv.synthesis import population
from regenv.synthesis.population import VALIDATION_SEEDS, fit_population, load_population, population_path
from regenv.synthesis.recipe import Recipe, get_recipe, recipe_names

ANATOMIES = [name for name in recipe_names() if get_recipe(name).displacement is not None]


def _displacement(seed: int, field_of_view: str, local: np.ndarray) -> np.ndarray:
    """Two degrees of freedom within 40 mm of the centre, and noise far outside."""
    rng = np.random.default_rng([7, seed])
    a, b = rng.normal(size=2)
    swell = np.exp(-(local**2).sum(-1, keepdims=True) / (2 * 25.0**2))
    u = a * 4 * swell * np.array([1.0, 0.5]) + b * 3 * swell * local[:, :1] / 25 * np.array([0.0, 1.0])
    far = (np.abs(local).max(-1) > 45)[:, None]
    return u + far * rng.normal(size=2) * 20


def _make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    grid = Grid.centred((40, 40), (2.5, 2.5))
    image = Image(np.zeros(grid.shape, np.float32), grid, "t1")
    inside = (grid.points() ** 2).sum(-1) < 35.0**2
    return ImagePair("", "", image, image, fixed_mask=inside, truth=Truth(np.eye(3)))


RECIPE = Recipe("two", 3, ("t1",), ("whole",), _make, ndim=2, displacement=_displacement, crop_fixed=0.0)


def test_the_model_spans_subjects_that_it_was_not_fitted_on_where_they_have_a_body():
    found = fit_population(RECIPE, "whole", 100.0, subjects=40, modes=2, cells=8, validation=20)
    assert found.displacement_mm > 2
    assert found.residual_mm < 0.5
    assert found.model.extent_mm == 100.0
    assert found.model.source == "two whole, version 3, seeds 0..39"
    points = np.random.default_rng(0).uniform(-20, 20, (50, 2))
    u = _displacement(VALIDATION_SEEDS + 777, "whole", points)
    assert found.model.residual(points, u) < 0.3
    again = fit_population(RECIPE, "whole", 100.0, subjects=40, modes=2, cells=8, validation=1)
    assert np.array_equal(again.model.modes, found.model.modes)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="5 modes cannot be told from 4 subjects"):
        fit_population(RECIPE, "whole", 100.0, subjects=4, modes=5)
    linear = Recipe("none", 1, ("t1",), ("whole",), _make)
    with pytest.raises(ValueError, match="'none' has no displacement"):
        fit_population(linear, "whole", 100.0)


def test_a_missing_model_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(population, "FOLDER", tmp_path)
    load_population.cache_clear()
    with pytest.raises(DataError, match=rf"fit_deformations --recipe {ANATOMIES[0]}"):
        load_population(ANATOMIES[0])
    load_population.cache_clear()


def test_one_file_for_each_field_of_view():
    assert population_path(RECIPE, "whole").name == "two.npz"
    more = Recipe("two", 3, ("t1",), ("whole", "half"), _make, ndim=2, displacement=_displacement)
    assert population_path(more, "half").name == "two-half.npz"


@pytest.mark.parametrize("name", ANATOMIES)
def test_the_models_of_the_package_are_of_the_present_recipes(name):
    recipe = get_recipe(name)
    for field in recipe.fields_of_view:
        model = load_population(name, field)
        assert load_population(name, field) is model
        assert model.ndim == recipe.ndim
        assert model.source.startswith(f"{name} {field}, version {recipe.version}, seeds 0..")
        assert population_path(recipe, field).stat().st_size < 300_000
        assert model.explained.sum() > 0.6
        # a subject of neither fit nor validation: the model carries most of its displacement
        points = np.random.default_rng(1).uniform(-model.extent_mm / 5, model.extent_mm / 5, (200, model.ndim))
        u = recipe.displacement(4321, field, points)
        assert model.residual(points, u) < 0.75 * np.sqrt((u**2).sum(-1).mean())
