"""What a recipe is: how one family of procedural pairs is made from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
from numpy.typing import NDArray

from regenv.data.pair import ImagePair
from regenv.errors import OptionError, near_miss
from regenv.synthesis.patient import Retake

MAX_CROP = 0.15


@dataclass(frozen=True)
class Recipe:
    """One family of procedural pairs; a file of :mod:`regenv.synthesis.recipes` holds one as ``RECIPE``.

    Attributes:
        name: Name of the file.
        version: Part of every cache key: raised whenever the same seed gives other images.
        modalities: What the fixed and the moving image may be.
        fields_of_view: Variants of what is shown; the first is the default.
        make: ``make(seed, (fixed modality, moving modality), field_of_view)``: both images in the subject's own space,
            with masks and truth; the same in every process.
        ndim: Dimension of the images, 2 or 3.
        displacement: ``displacement(seed, field_of_view, local)``: the true displacement in mm ``(N, d)`` at points
            ``(N, d)`` in mm along the fixed grid's axes about its centre, without making an image. Population models
            are fitted from it. None where the truth is linear.
        crop_fixed: Largest share of an axis that a case cuts from either end of the fixed image; 0 where the view has
            to stay centred on the anatomy.
        crop_moving: The same of the moving image.
        mirrors: Whether a patient's mirror image could be a patient: not where the heart or the liver is seen.
        retake: Where the fixed image is a camera's: how it is rendered again from a varied patient.
    """

    name: str
    version: int
    modalities: tuple[str, ...]
    fields_of_view: tuple[str, ...]
    make: Callable[[int, tuple[str, str], str], ImagePair]
    ndim: int = 3
    displacement: Callable[[int, str, NDArray[np.float64]], NDArray[np.float64]] | None = None
    crop_fixed: float = MAX_CROP
    crop_moving: float = MAX_CROP
    mirrors: bool = False
    retake: Retake | None = None


def recipe_names() -> tuple[str, ...]:
    """Names of all recipes."""
    from regenv.synthesis import recipes

    return tuple(sorted(module.name for module in iter_modules(recipes.__path__) if not module.name.startswith("_")))


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        OptionError: If there is none; the message names the nearest.
    """
    if name not in recipe_names():
        raise OptionError(f"unknown recipe {name!r}; {near_miss(name, recipe_names())}")
    recipe: Recipe = import_module(f"regenv.synthesis.recipes.{name}").RECIPE
    return recipe
