"""Training pairs: two pictures of one anatomy in a known residual motion, endlessly."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from regenv.data.frames import random_rotation
from regenv.synthesis.shapes.acquisition import Acquisition, Pools, acquire, draw_contrasts, make_pools
from regenv.synthesis.shapes.anatomy import SIZE, TABLE, Anatomy
from regenv.synthesis.shapes.kernels import render


def _axis_angle(vector_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    angle = np.radians(np.linalg.norm(vector_deg))
    if angle < 1e-9:
        return np.eye(3)
    k = np.radians(vector_deg) / angle
    cross = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@dataclass(frozen=True)
class Residual:
    """A share of the training pairs and how far apart they are (uniform in each degree of freedom)."""

    share: float
    degrees: float
    millimetres: float


RESIDUALS = (
    Residual(0.40, 45.0, 60.0),
    Residual(0.30, 20.0, 30.0),
    Residual(0.18, 5.0, 8.0),
    Residual(0.12, 1.0, 1.5),
)
"""An agent meets its own small errors as often as the large start."""


@dataclass(frozen=True, eq=False)
class TrainingPair:
    """One training example.

    Attributes:
        observation: ``(2, size, size, size)`` uint8: fixed and moved view.
        motion: ``(4, 4)`` residual in view axes (mm, about the view's centre): fixed point -> moved point.
        matches: ``(size / 2,) * 3 + (3,)`` float32: for each cell of the fixed view's two-voxel lattice where it is in
            the moved view (mm, x, y, z), distortion included.
        shown: ``(size / 2,) * 3``: whether both images show that place of the body.
        body: ``(size / 2,) * 3``: whether the cell lies in the body at all.
        edge: ``(size / 2,) * 3``: whether labels change within a cell of it, so that there is something to be found.
        spacing_mm: Of the view.
    """

    observation: NDArray[np.uint8]
    motion: NDArray[np.float64]
    matches: NDArray[np.float32]
    shown: NDArray[np.bool_]
    body: NDArray[np.bool_]
    edge: NDArray[np.bool_]
    spacing_mm: float


@dataclass(eq=False)
class PairGenerator:
    """Endless random pairs with a known residual motion, about 30 ms each on one core.

    Attributes:
        anatomies: To draw from.
        seed: Of the first pair.
        view_size: Voxels along each axis of the view.
        spacing_mm: Range of the view's spacing.
        residuals: How far apart.
    """

    anatomies: list[Anatomy]
    seed: int = 0
    view_size: int = 64
    spacing_mm: tuple[float, float] = (2.7, 3.3)
    fine_share: float = 0.2
    residuals: tuple[Residual, ...] = RESIDUALS
    _rng: np.random.Generator = field(init=False, repr=False)
    _pools: Pools = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._pools = make_pools(self.seed)

    def _residual(self) -> NDArray[np.float64]:
        shares = np.array([r.share for r in self.residuals])
        chosen = self.residuals[self._rng.choice(len(shares), p=shares / shares.sum())]
        motion = np.eye(4)
        motion[:3, :3] = _axis_angle(self._rng.uniform(-chosen.degrees, chosen.degrees, 3))
        motion[:3, 3] = self._rng.uniform(-chosen.millimetres, chosen.millimetres, 3)
        return motion

    def _orientation(self) -> NDArray[np.float64]:
        rng = self._rng
        if rng.random() < 0.4:
            return random_rotation(3, rng)
        axes = np.eye(3)[rng.permutation(3)] * rng.choice([-1, 1], 3)[:, None]
        if np.linalg.det(axes) < 0:
            axes[0] *= -1
        return axes if rng.random() < 0.5 else axes @ _axis_angle(rng.uniform(-15, 15, 3))

    def _waves(self, voxel_mm: float) -> NDArray[np.float64]:
        rng = self._rng
        if rng.random() > 0.3:
            return np.zeros((0, 8))
        waves = np.zeros((2, 8))
        direction = rng.standard_normal(3) if rng.random() < 0.5 else np.eye(3)[rng.integers(3)]
        for wave in waves:
            k = rng.standard_normal(3)
            wave[:3] = k / np.linalg.norm(k) * 2 * np.pi * voxel_mm / rng.uniform(60, 160)
            wave[3] = rng.uniform(0, 2 * np.pi)
            wave[4:7] = direction / np.linalg.norm(direction) * rng.uniform(0.5, 3.0) / voxel_mm
        return waves

    def draw(self) -> TrainingPair:
        """The next pair."""
        rng = self._rng
        anatomy = self.anatomies[rng.integers(len(self.anatomies))]
        voxel = rng.uniform(1.8, 3.6)
        spacing = rng.uniform(*self.spacing_mm)
        motion = self._residual()
        if rng.random() < self.fine_share:  # the finer level: half the spacing, half the distances
            spacing *= 0.5
            motion[:3, 3] *= 0.4
            motion[:3, :3] = _axis_angle(_rotation_vector(motion[:3, :3]) * 0.5)
        tables, gains = draw_contrasts(rng, anatomy.intensities)
        fixed = acquire(anatomy, tables[0], gains[0], rng, self._pools, voxel)
        moving = acquire(anatomy, tables[1], gains[1], rng, self._pools, voxel)
        to_anatomy = np.eye(4)  # fixed view mm -> anatomy index
        to_anatomy[:3, :3] = self._orientation() / voxel
        to_anatomy[:3, 3] = SIZE / 2 - 0.5 + rng.uniform(-30, 30, 3) / voxel * (0.4 if spacing > 2 else 1.5)
        view = np.eye(4)  # view index -> view mm
        view[:3, :3] *= spacing
        view[:3, 3] = -spacing * (self.view_size - 1) / 2
        moved_to_anatomy = to_anatomy @ np.linalg.inv(motion)
        waves = self._waves(voxel)
        observation = np.empty((2,) + (self.view_size,) * 3, np.uint8)
        none = np.zeros((0, 8))
        for image, matrix, wave, out in (
            (fixed, to_anatomy @ view, none, observation[0]),
            (moving, moved_to_anatomy @ view, waves, observation[1]),
        ):
            render(
                image.array, matrix[:3], image.scale, image.shift, image.low, image.high, image.cylinder, wave,
                image.background, out,
            )  # fmt: skip
        matches, shown, body, edge = self._matches(anatomy, fixed, moving, to_anatomy, moved_to_anatomy, waves, spacing)
        return TrainingPair(observation, motion, matches, shown, body, edge, spacing)

    def _matches(
        self,
        anatomy: Anatomy,
        fixed: Acquisition,
        moving: Acquisition,
        to_anatomy: NDArray[np.float64],
        moved_to_anatomy: NDArray[np.float64],
        waves: NDArray[np.float64],
        spacing: float,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Where each cell of the fixed view's two-voxel lattice is in the moved view, and whether both show it."""
        n = self.view_size // 2
        line = (np.arange(n) - (n - 1) / 2) * 2 * spacing
        z, y, x = np.meshgrid(line, line, line, indexing="ij")
        where = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1) @ to_anatomy[:3, :3].T + to_anatomy[:3, 3]
        nearest = np.rint(where).astype(np.int64)
        inside = np.all((nearest >= 0) & (nearest < SIZE), axis=1)
        value = np.zeros(len(where), np.uint8)
        i = nearest[inside]
        value[inside] = anatomy.labels[i[:, 2], i[:, 1], i[:, 0]]
        value[value == TABLE] = 0
        body = value != 0
        edge = _label_edges(value.reshape(n, n, n))
        source = where.copy()  # invert the distortion: moved index m with m + d(m) = where
        if len(waves):
            for _ in range(3):
                source = where - (_displaced(source, waves) - source)
        back = np.linalg.inv(moved_to_anatomy)
        matches = source @ back[:3, :3].T + back[:3, 3]
        limit = spacing * (self.view_size / 2 - 1)
        shown = body & fixed.shows(where) & moving.shows(where) & np.all(np.abs(matches) < limit, axis=1)
        return matches.astype(np.float32).reshape(n, n, n, 3), shown.reshape(n, n, n), body.reshape(n, n, n), edge


def _label_edges(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Cells with a neighbour of another label, ``labels.shape``."""
    edge = np.zeros(labels.shape, bool)
    for axis in range(3):
        volume, out = np.moveaxis(labels, axis, 0), np.moveaxis(edge, axis, 0)
        differs = volume[1:] != volume[:-1]
        out[1:] |= differs
        out[:-1] |= differs
    return edge


def _displaced(points: NDArray[np.float64], waves: NDArray[np.float64]) -> NDArray[np.float64]:
    out = points.copy()
    for wave in waves:
        out += np.sin(out @ wave[:3] + wave[3])[:, None] * wave[4:7]
    return out


def _rotation_vector(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation vector in degrees."""
    angle = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    if angle < 1e-9:
        return np.zeros(3)
    skew = rotation - rotation.T
    return np.degrees(np.array([skew[2, 1], skew[0, 2], skew[1, 0]]) * angle / (2 * np.sin(angle)))
