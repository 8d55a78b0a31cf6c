"""What is moved: rigid, similarity, affine and deformable poses.

A new pose model is a file here and a row of :data:`MODELS`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from regenv.errors import near_miss
from regenv.poses.base import PoseModel

MODELS = {
    "rigid": "rigid",
    "similarity": "similarity",
    "affine": "affine",
    "sdm": "deformation",
}
"""File of each pose model, by its word in the table of environments."""


def pose_model(name: str) -> Any:
    """The class of the pose model of that name.

    Raises:
        ValueError: If there is none; the message names the nearest.
    """
    if name not in MODELS:
        raise ValueError(f"unknown transform model {name!r}; {near_miss(name, MODELS)}")
    return import_module(f"regenv.poses.{MODELS[name]}").MODEL


def make_poses(name: str, ndim: int, population: Callable[[], Any] | None = None) -> PoseModel:
    """The pose model of that name and dimension.

    Args:
        name: A key of :data:`MODELS`.
        ndim: 2 or 3.
        population: Gives the fitted model, where one is needed.

    Raises:
        ValueError: If the name or the dimension is unknown.
    """
    model: PoseModel = pose_model(name).of(ndim, population)
    return model


@cache
def get_model(name: str, ndim: int) -> Any:
    """The matrix group of that name and dimension, one object for each (see :mod:`regenv.poses.matrix`).

    Raises:
        ValueError: If the name or the dimension is unknown; the message names the nearest.
    """
    return make_poses(name, ndim)
