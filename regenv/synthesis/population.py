"""Population models of the deformable environments: fitted to a recipe's training subjects, kept as package data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regenv.core.deformation_fit import sample_points
from regenv.core.geometry import transform_points
from regenv.errors import DataError
from regenv.poses.deformation import StatisticalDeformation
from regenv.synthesis.recipe import Recipe, get_recipe

FOLDER = Path(__file__).with_name("populations")
CELLS = {2: 12, 3: 9}
"""Spline cells per axis, by dimension."""

VALIDATION_SEEDS = 10_000  # the first seed of the validation split
_MASKS = 12  # subjects whose masks are averaged
_ELSEWHERE = 0.002  # weight of what lies in no mask, lest the modes run wild there


@dataclass(frozen=True)
class PopulationFit:
    """A fitted model and how well it spans subjects that it was not fitted on.

    Attributes:
        model: The model.
        displacement_mm: RMS length of the validation subjects' displacements, within the masks.
        residual_mm: RMS length of their part outside the model there: no agent can go below.
        folded: Share of the validation subjects whose projection had to be scaled back from folding.
    """

    model: StatisticalDeformation
    displacement_mm: float
    residual_mm: float
    folded: float


def population_path(recipe: Recipe, field_of_view: str) -> Path:
    """Where the model of a recipe's field of view lies."""
    name = recipe.name.replace("-", "_")
    return FOLDER / f"{name if len(recipe.fields_of_view) == 1 else f'{name}-{field_of_view}'}.npz"


@cache
def load_population(recipe_name: str, field_of_view: str | None = None) -> StatisticalDeformation:
    """The population model of a recipe, read once a process.

    Args:
        recipe_name: A file of :mod:`regenv.synthesis.recipes`.
        field_of_view: One of the recipe's; default its first.

    Raises:
        DataError: If it has not been fitted; the message names the command.
        ValueError: If its file is none of a model.
    """
    recipe = get_recipe(recipe_name)
    field = field_of_view or recipe.fields_of_view[0]
    path = population_path(recipe, field)
    if not path.exists():
        raise DataError(
            f"no population model of recipe {recipe_name!r}, field of view {field!r}: {path} is missing; fit it with "
            f"python -m benchmarks.tools.fit_deformations --recipe {recipe_name} --extent MM, in a clone"
        )
    return StatisticalDeformation.load(path)


def fit_population(
    recipe: Recipe,
    field_of_view: str,
    extent_mm: float,
    subjects: int = 150,
    modes: int = 16,
    cells: int | None = None,
    validation: int = 50,
    progress: Callable[[str, int, int], None] | None = None,
) -> PopulationFit:
    """Fits the model of a recipe's true displacements over training subjects 0, 1, ..., and measures it on validation.

    Displacements count where the subjects' fixed masks lie, averaged over some of them, and hardly elsewhere.

    Args:
        recipe: With ``displacement``.
        field_of_view: One of its.
        extent_mm: Width of the view, which the model spans.
        subjects: Training subjects.
        modes: Modes.
        cells: Spline cells per axis; default :data:`CELLS`.
        validation: Validation subjects.
        progress: Called as ``progress(what, done, total)``.

    Raises:
        ValueError: If the recipe has no displacement, or there are fewer subjects than modes.
    """
    if recipe.displacement is None:
        raise ValueError(f"recipe {recipe.name!r} has no displacement: its truth is linear")
    if subjects < modes:
        raise ValueError(f"{modes} modes cannot be told from {subjects} subjects: give more")
    n_cells = CELLS[recipe.ndim] if cells is None else cells
    points = sample_points(recipe.ndim, extent_mm, 2 * (n_cells + 1) + 1)
    flat = points.reshape(-1, recipe.ndim)
    say = progress or (lambda what, done, total: None)

    def field(seed: int) -> NDArray[np.float64]:
        assert recipe.displacement is not None
        return np.asarray(recipe.displacement(seed, field_of_view, flat), dtype=np.float64)

    fields = []
    for seed in range(subjects):
        say("training", seed, subjects)
        fields.append(field(seed).reshape(points.shape))
    weights = _ELSEWHERE + (1 - _ELSEWHERE) * mean_mask(recipe, field_of_view, flat, say)
    model = StatisticalDeformation.fit(
        np.stack(fields), extent_mm, n_cells, modes, weights.reshape(points.shape[:-1]),
        source=f"{recipe.name} {field_of_view}, version {recipe.version}, seeds 0..{subjects - 1}",
    )  # fmt: skip
    inside = weights > 0.5
    moved, left, folded = [], [], 0
    for k in range(validation):
        say("validation", k, validation)
        u = field(VALIDATION_SEEDS + k)[inside]
        c = model.project(flat[inside], u)
        moved.append((u**2).sum(-1).mean())
        left.append(((u - model.displacement(c, flat[inside])) ** 2).sum(-1).mean())
        folded += int(model.least_determinants(c[None])[0] < 0.06)
    return PopulationFit(model, float(np.sqrt(np.mean(moved))), float(np.sqrt(np.mean(left))), folded / validation)


def mean_mask(
    recipe: Recipe, field_of_view: str, points: NDArray[np.float64], progress: Callable[[str, int, int], None]
) -> NDArray[np.float64]:
    """Share of some training subjects whose fixed mask (the image where it has none) holds each of the local points."""
    held = np.zeros(len(points))
    for seed in range(_MASKS):
        progress("masks", seed, _MASKS)
        pair = recipe.make(seed, (recipe.modalities[0], recipe.modalities[-1]), field_of_view)
        grid = pair.fixed.grid
        mask = np.ones(grid.shape, bool) if pair.fixed_mask is None else pair.fixed_mask
        index = transform_points(grid.physical_to_index @ grid.frame, points)
        nearest = np.floor(index + 0.5).astype(np.int64)
        inside = np.all((nearest >= 0) & (nearest < np.asarray(grid.size)), axis=-1)
        held[inside] += mask[tuple(nearest[inside].T[::-1])]
    return held / _MASKS
