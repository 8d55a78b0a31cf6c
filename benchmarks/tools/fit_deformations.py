"""Fits the population models of deformable environments: ``python -m benchmarks.tools.fit_deformations ID ...``.

Writes ``regenv/synthesis/populations/<recipe>.npz`` (package data) and prints what the model explains of the training
subjects, and how much of the validation subjects' displacement no coefficients reach. ``--stale`` fits what is missing
or of another version of its recipe. A model of other subjects, modes, cells or extent than the shipped one goes to a
file of its own, ``--out``, for ``gym.make(ID, deformation=FILE)``. A recipe without an id is named by ``--recipe NAME
--extent MM``. The same seeds give the same file on the same machine.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from regenv.catalogue import TASKS, get_task
from regenv.errors import check_option
from regenv.poses.deformation import StatisticalDeformation
from regenv.synthesis.population import fit_population, population_path
from regenv.synthesis.recipe import Recipe, get_recipe

DEFAULTS = {"subjects": 150, "modes": 16, "cells": None}
"""Of the shipped models."""


def fit(recipe_name: str, extent_mm: float, options: argparse.Namespace) -> None:
    """Fits and writes the models of all fields of view of a recipe, and prints a line of figures for each.

    Raises:
        ValueError: If there is no such recipe or field of view, the shipped model is of another extent, or there are
            fewer subjects than modes.
    """
    recipe = get_recipe(recipe_name)
    if options.field_of_view is not None:
        check_option("field-of-view", options.field_of_view, recipe.fields_of_view)
    fields = [f for f in recipe.fields_of_view if options.field_of_view in (None, f)]
    if options.out and len(fields) > 1:
        raise ValueError(f"--out holds one model; choose one by --field-of-view: {', '.join(fields)}")
    for field in fields:
        if options.stale and is_present(recipe, field):
            continue
        path = options.out or population_path(recipe, field)
        if not options.out and path.exists() and (shipped := StatisticalDeformation.load(path).extent_mm) != extent_mm:
            raise ValueError(f"the shipped {path.name} spans {shipped:g} mm, not {extent_mm:g}; name a file by --out")
        began = time.perf_counter()
        counts = (options.subjects, options.modes, options.cells)
        found = fit_population(recipe, field, extent_mm, *counts, progress=_show)
        path.parent.mkdir(parents=True, exist_ok=True)
        found.model.save(path)
        explained = found.model.explained.cumsum()
        shares = ", ".join(
            f"{k}: {explained[k - 1]:.1%}" for k in sorted({1, 2, 4, 8, options.modes}) if k <= options.modes
        )
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
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tools.fit_deformations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="environments that end in SDM")
    parser.add_argument("--stale", action="store_true", help="only what is missing or outdated; without ids, of all")
    parser.add_argument("--recipe", help="a recipe instead of an id; needs --extent")
    parser.add_argument("--extent", type=float, metavar="MM", help="width of the recipe's view")
    parser.add_argument("--field-of-view", help="only this field of view")
    parser.add_argument("--subjects", type=int, default=DEFAULTS["subjects"], help="training subjects (default 150)")
    parser.add_argument("--modes", type=int, default=DEFAULTS["modes"], help="modes (default 16)")
    parser.add_argument("--cells", type=int, help="spline cells per axis (default 9 in 3-D, 12 in 2-D)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write one model, instead of the package")
    options = parser.parse_args(arguments)
    if (options.recipe is None) != (options.extent is None) or not (options.ids or options.recipe or options.stale):
        parser.error("name ids, or give --stale, or both --recipe and --extent")
    other = [f"--{name}" for name, value in DEFAULTS.items() if getattr(options, name) != value]
    if other and not options.out:
        parser.error(f"{' '.join(other)} would not make the shipped model; name another file by --out")
    if options.out and (len(options.ids) > 1 or options.stale):
        parser.error("--out holds one model; name one id")
    try:
        for recipe, extent_mm in _wanted(options):
            fit(recipe, extent_mm, options)
    except ValueError as error:
        parser.error(str(error))
    return 0


def _wanted(options: argparse.Namespace) -> list[tuple[str, float]]:
    """Recipes and the extents of their views.

    Raises:
        ValueError: If an id is unknown, or not of a statistical deformation.
    """
    if options.recipe:
        return [(options.recipe, options.extent)]
    wanted = []
    for task_id in options.ids or [name for name, task in TASKS.items() if task.model == "sdm"]:
        task = get_task(task_id)
        if task.model != "sdm":
            raise ValueError(f"{task_id} is {task.model}, not a statistical deformation")
        wanted.append((task.recipe, task.view_size * task.view_spacing_mm))
    return wanted


if __name__ == "__main__":
    raise SystemExit(main())
