"""Two patients of one shape: warps between them that are large and still invertible.

People differ from each other in few ways by much and in many by little, which is why statistical shape models work: a
warp is a mixture of :data:`SHAPES` fields that all patients share, and a small field of the patient's own.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.synthesis.anatomy.points import lattice
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.warp import Warp

LEAST_DETERMINANT = 0.35
"""No warp compresses or stretches a volume by more than this factor over the region it is checked on."""

SHAPES = 9
"""Number of displacement fields by which all patients differ."""

OWN_MM = 0.5
"""Standard deviation of the displacement that is a patient's own."""


class Build(Subject):
    """A subject's shape with another patient's fat and muscle: the organs correspond, the layers around them do not.

    Args:
        seed: Of the shape.
        fat: Thickness of the fat under the skin, mm.
        muscle: Factor on the thickness of muscles.
    """

    def __init__(self, seed: int, fat: float, muscle: float) -> None:
        super().__init__(seed)
        self.fat, self.muscle = float(fat), float(muscle)
        self.rng = np.random.default_rng([int(seed), 72])
        self._make_trunk()


def draw_build(seed: int, rng: np.random.Generator) -> Build:
    """A build of random fat and muscle, from lean to stout."""
    return Build(seed, float(np.clip(rng.gamma(4.0, 3.2), 4, 30)), float(np.clip(rng.normal(1.0, 0.15), 0.65, 1.4)))


def draw_scale(rng: np.random.Generator, ndim: int = 3) -> tuple[float, ...]:
    """Size of a patient along each axis, relative to the template."""
    return tuple(float(s) for s in rng.normal(0.99, 0.045) * np.exp(rng.normal(0, 0.04, ndim)))


def between_warp(rng: np.random.Generator, amplitude_mm: float, knot_mm: float, lo: ArrayLike, hi: ArrayLike) -> Warp:
    """A patient's warp, as large as asked for or as it can be while it stays invertible.

    Args:
        rng: Source of size and displacement.
        amplitude_mm: Standard deviation of the shared displacement.
        knot_mm: Distance of its knots.
        lo: Lower corner of the box in which it has to be invertible, mm.
        hi: Upper corner.

    Returns:
        A warp whose Jacobian determinant (before scaling) lies above :data:`LEAST_DETERMINANT` in the box.
    """
    x, y, z = draw_scale(rng)
    warp = Warp(rng, (x, y, z), OWN_MM, knot_mm)
    warp.lattices = warp.lattices + shared_lattices(rng, warp.lattices.shape, amplitude_mm / 0.325)
    axes = [np.arange(a, b + 1, knot_mm / 4) for a, b in zip(np.asarray(lo), np.asarray(hi), strict=True)]
    points = lattice(*axes)
    # no shift of the whole: it would only carry the shapes away from where all patients share them
    warp.lattices -= warp.displacement(points).mean(axis=0).astype(np.float32)[:, None, None, None]
    while least_determinant(warp, points) < LEAST_DETERMINANT:
        warp.lattices = warp.lattices * np.float32(0.9)
    return warp


def shared_lattices(rng: np.random.Generator, shape: tuple[int, ...], deviation: float) -> NDArray[np.float32]:
    """A random mixture of the shared shapes, of which the first matter most.

    Args:
        rng: Draws the weights.
        shape: Of the lattices, components first.
        deviation: Standard deviation of a coefficient.
    """
    shares = 0.86 ** np.arange(SHAPES)
    shares *= deviation / np.sqrt((shares**2).sum())
    weights = shares * np.clip(rng.standard_normal(SHAPES), -2.0, 2.0)
    mixed: NDArray[np.float32] = np.tensordot(weights.astype(np.float32), _shapes(shape), axes=1)
    return mixed


@cache
def _shapes(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Lattices ``(SHAPES, *shape)`` of unit standard deviation."""
    drawn = np.random.default_rng(97).standard_normal((SHAPES, *shape), dtype=np.float32)
    return np.clip(drawn, -2.0, 2.0)


def least_determinant(warp: Warp, points: NDArray[np.float64]) -> float:
    """Smallest Jacobian determinant of ``p + u(p)`` over points ``(N, 3)``, by differences over 2 mm."""
    h = np.eye(3)
    columns = [(warp.displacement(points + e) - warp.displacement(points - e)) / 2 for e in h]
    return float(np.linalg.det(np.stack(columns, axis=-1) + np.eye(3)).min())
