"""Fits the population models of deformable environments: ``python -m benchmarks.fit_deformations ID ...``.

Writes ``regenv/data/populations/<recipe>.npz`` (package data) and prints what the model explains of the training
subjects, and how much of the validation subjects' displacement no coefficients reach. ``--stale`` fits what is missing
or of another version of its recipe. A recipe without an id is named by ``--recipe NAME --extent MM``.
The same seeds give the same file on the same machine.
"""

from __future__ import annotations

import argparse
import sys
import time

from regenv.core.deformation import StatisticalDeformation
from regenv.data.population import FOLDER, fit_population, population_path
from regenv.data.recipe import Recipe, get_recipe
from regenv.registration import TASKS, get_task


def fit(recipe_name: str, extent_mm: float, options: argparse.Namespace) -> None:
    """Fits and writes the models of all fields of view of a recipe, and prints a line of figures for each."""
    recipe = get_recipe(recipe_name)
    for field in recipe.fields_of_view:
        path = population_path(recipe, field)
        if options.field_of_view not in (None, field) or (options.stale and is_present(recipe, field)):
            continue
        began = time.perf_counter()

        counts = (options.subjects, options.modes, options.cells)
        found = fit_population(recipe, field, extent_mm, *counts, progress=_show)
        FOLDER.mkdir(exist_ok=True)
        found.model.save(path)
        explained = found.model.explained.cumsum()
        shares = ", ".join(f"{k}: {explained[k - 1]:.1%}" for k in (1, 2, 4, 8, options.modes) if k <= options.modes)
        print(
            f"{path.name}: {recipe.ndim}-D, {extent_mm:g} mm, {found.model.cells} cells, explained by {shares}; "
            f"validation: {found.displacement_mm:.2f} mm RMS, {found.residual_mm:.2f} mm outside the model, "
            f"{found.folded:.0%} held back from folding; {path.stat().st_size / 1e3:.0f} kB, "
            f"{time.perf_counter() - began:.0f} s"
        )


def is_present(recipe: Recipe, field_of_view: str) -> bool:
    """Whether the model is there and was fitted on the recipe's present version."""
    path = population_path(recipe, field_of_view)
    start = f"{recipe.name} {field_of_view}, version {recipe.version}, "
    return path.exists() and StatisticalDeformation.load(path).source.startswith(start)


def _show(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{what} {done + 1}/{total}  ", end="\n" if done + 1 == total else "", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Fits what is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit_deformations", description=__doc__)
    parser.add_argument("ids", nargs="*", metavar="ID", help="environments that end in SDM")
    parser.add_argument("--stale", action="store_true", help="only what is missing or outdated; without ids, of all")
    parser.add_argument("--recipe", help="a recipe instead of an id; needs --extent")
    parser.add_argument("--extent", type=float, metavar="MM", help="width of the recipe's view")
    parser.add_argument("--field-of-view", help="only this field of view")
    parser.add_argument("--subjects", type=int, default=150, help="training subjects (default 150)")
    parser.add_argument("--modes", type=int, default=16, help="modes (default 16)")
    parser.add_argument("--cells", type=int, help="spline cells per axis (default 9 in 3-D, 12 in 2-D)")
    options = parser.parse_args(arguments)
    if (options.recipe is None) != (options.extent is None) or not (options.ids or options.recipe or options.stale):
        parser.error("name ids, or give --stale, or both --recipe and --extent")
    if options.recipe:
        fit(options.recipe, options.extent, options)
    every = [] if options.recipe else [name for name, task in TASKS.items() if task.model == "sdm"]
    for task_id in options.ids or every:
        task = get_task(task_id)
        if task.model != "sdm":
            parser.error(f"{task_id} is {task.model}, not a statistical deformation")
        fit(task.recipe, task.view_size * task.view_spacing_mm, options)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
