"""Gauss-Newton on the six rigid degrees of freedom, for images whose intensities are related by an unknown curve.

``moving(T p) = g(fixed(p))``. The curve is the mean of the moved intensities for each fixed intensity, estimated again
at every iteration (its explained share of the variance is the correlation ratio of Roche et al., MICCAI 1998); for
images that share a scale (CT and CBCT) it is a straight line, and what is maximised is NCC. The gradient is that of the
fixed image, so that it and the normal matrix are computed once (inverse compositional alignment, Baker and Matthews,
IJCV 2004): an iteration costs one rendering and two passes, 3 ms for 64^3 on one core.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid
from regenv.core.image import Image
from regenv.core.matrix_groups import MatrixGroup
from regenv.core.resample import array_addresses, index_matrices, render, volume_planes
from regenv.core.similarity import Similarity

OUTLIER = 6.0
"""On a shared scale, residuals beyond this many standard deviations lose their say: a table, gas that moved, the edge
of a field of view. Where the scales differ they are needed to find the curve that relates them."""

BINS = 32


@dataclass(frozen=True)
class Resolution:
    """One resolution.

    Attributes:
        size: Voxels along each axis of the view.
        spacing_mm: Of the view.
        iterations: Gauss-Newton steps at most.
    """

    size: int
    spacing_mm: float
    iterations: int


@dataclass(frozen=True, eq=False)
class Source:
    """An image, the scale that brings its window to [0, 1] (value * scale + offset), and its padding (None: none)."""

    image: Image
    scale: np.float32
    offset: np.float32
    padding: np.float32 | None


class GaussNewton:
    """Fixed image, its gradients and normal matrices on one view, and the search on it.

    Args:
        fixed: 3-D image.
        moving: 3-D image.
        level: Of the view.
        metric: What a pose is judged by.
        linear: Whether the curve is a straight line.
        rigid: Steps in mm and degrees.
    """

    def __init__(
        self, fixed: Source, moving: Source, level: Resolution, metric: Similarity, linear: bool, rigid: MatrixGroup
    ) -> None:
        from regenv.core._gauss_newton_kernels import gradients, normal_matrices

        self.level, self.metric, self.linear, self.moving = level, metric, linear, moving
        self.model = rigid
        grid = fixed.image.grid
        self.grid = Grid.centred((level.size,) * 3, (level.spacing_mm,) * 3, grid.centre, grid.direction)
        self.planes = volume_planes(self.grid.size)
        self.shape = (1, *self.grid.shape)
        self.moved, self.valid = np.empty(self.shape, np.float32), np.empty(self.shape, np.uint8)
        self.fixed, self.mask = np.empty(self.shape, np.float32), np.empty(self.shape, np.uint8)
        self._sample(fixed, np.eye(4), self.fixed, self.mask)
        self.gradient = np.zeros((*self.grid.shape, 3), np.float32)
        gradients(self.fixed[0], level.spacing_mm, self.gradient)
        self.normal = np.zeros((BINS, 6, 6))
        normal_matrices(self.fixed[0], self.gradient, self.mask[0], level.spacing_mm, BINS, self.normal)
        self.state = metric.prepare(self.fixed, self.mask, True)

    def _sample(self, source: Source, pose: FloatArray, out: NDArray, valid: NDArray) -> None:
        """The image on the view, in [0, 1], and where it is known."""
        from regenv.core._gauss_newton_kernels import drop_padding

        image = source.image
        addresses, shapes = array_addresses([image.array])
        background = np.array([image.background], np.float32)
        matrices = index_matrices(image.grid, pose[None], self.grid)
        render(addresses, shapes, matrices, self.planes, background, out, valid, threads=1)
        if source.padding is not None:
            drop_padding(out[0], valid[0], source.padding)
        out *= source.scale
        out += source.offset
        np.clip(out, 0.0, 1.0, out=out)

    def similarity(self, pose: FloatArray) -> float:
        """The metric at a pose; leaves the moved image rendered."""
        self._sample(self.moving, pose, self.moved, self.valid)
        return float(
            self.metric.evaluate(self.fixed, self.moved, self.mask, self.valid, True, self.state, threads=1)[0]
        )

    def descend(self, pose: FloatArray) -> tuple[FloatArray, float]:
        """Gauss-Newton from a pose; the most similar pose met and its similarity."""
        best, value = pose, self.similarity(pose)
        worse = 0
        for _ in range(self.level.iterations):
            step = self._step()
            pose = self.model.step(pose[None], step[None], self.grid.frame[None])[0]
            now = self.similarity(pose)
            if now > value:
                gained, best, value, worse = now - value, pose, now, 0
                if gained < 1e-6 or np.abs(step).max() < 0.01:
                    break
            else:
                worse += 1
                if worse == 2 or np.abs(step).max() < 0.01:
                    break
        return best, value

    def _step(self) -> FloatArray:
        """Motion (mm, degrees) that explains the moved image best, at most 3 in each."""
        from regenv.core._gauss_newton_kernels import conditional_sums, right_side

        counts, sums, squares = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)
        conditional_sums(self.fixed, self.moved, self.mask, self.valid, BINS, counts, sums, squares)
        centre = (np.arange(BINS) + 0.5) / BINS
        filled = counts > 0
        if filled.sum() < 2:
            return np.zeros(6)
        value = np.interp(centre, centre[filled], sums[filled] / counts[filled])
        if self.linear:
            slope, offset = np.polyfit(centre, value, 1, w=np.sqrt(counts))
            value = offset + slope * centre
            slopes = np.full(BINS, slope)
        else:
            slopes = np.gradient(value, centre)
        normal = np.einsum("b,bij->ij", slopes**2, self.normal)
        variance = (squares - sums**2 / np.maximum(counts, 1)).sum() / counts.sum()
        scale = OUTLIER * np.sqrt(max(variance, 1e-4)) if self.linear else 100.0
        right = np.zeros(6)
        right_side(
            self.fixed[0], self.gradient, self.moved[0], self.mask[0], self.valid[0], self.level.spacing_mm, BINS,
            value.astype(np.float32), slopes.astype(np.float32), np.float32(scale), right,
        )  # fmt: skip
        damped = normal + np.diag(1e-3 * np.diag(normal) + 1e-9)
        return np.clip(-np.linalg.solve(damped, right), -3.0, 3.0)
