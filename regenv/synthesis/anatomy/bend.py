"""Flexion of the knee as a smooth one-to-one bend about the axis through the femoral condyles."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid
from regenv.synthesis.anatomy import bend_kernels as kernels
from regenv.synthesis.anatomy.warp import Warp

SHAPES = 14
"""Number of displacement fields by which all subjects differ."""


class BentWarp(Warp):
    """A subject whose knee is bent: ``template = unbend((p + u(p)) / scale)``.

    People differ from each other in few ways by much and in many by little, which is why statistical shape models work:
    u is a mixture of :data:`SHAPES` fields that all subjects share, and a small field of the subject's own.

    The tibia stays and the femur turns back with all that lies above, about the one axis through the origins of the
    collateral ligaments about which the condyles are round (Hollister et al., Clin. Orthop. 290 (1993) 259-268). Each
    point moves on its circle about the axis, by an angle that falls from the whole flexion around the femur to nothing
    around the tibia; near the axis, in the condyles, all turn. The angle on each circle stays increasing, so the bend
    is one-to-one at up to 25 degrees.

    Args:
        rng: Source of the displacement.
        scale: As in :class:`Warp`.
        flexion_deg: Angle by which this subject's knee is bent more than the template's.
        amplitude_mm: Standard deviation of the displacement that is shared.
        own_mm: Standard deviation of the displacement that is the subject's own.
        knot_mm: As in :class:`Warp`.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        scale: tuple[float, float, float],
        flexion_deg: float,
        amplitude_mm: float = 2.4,
        own_mm: float = 0.5,
        knot_mm: float = 45.0,
    ) -> None:
        super().__init__(rng, scale, own_mm, knot_mm, (-140.0, -140.0, -140.0), (140.0, 140.0, 140.0))
        self.flexion = float(np.deg2rad(flexion_deg))
        # the first shapes matter most: their shares fall geometrically
        shares = 0.86 ** np.arange(SHAPES)
        shares *= amplitude_mm / np.sqrt((shares**2).sum())
        for share, weight, field in zip(shares, rng.standard_normal(SHAPES), _shapes(self.lattices.shape), strict=True):
            self.lattices += np.float32(share * np.clip(weight, -2.0, 2.0)) * field

    def template_coordinates(self, grid: Grid) -> tuple[NDArray[np.float32], ...]:
        """Template x, y, z of every voxel of an axis-aligned grid in subject space."""
        x, y, z = super().template_coordinates(grid)
        kernels.unbend_fields(y, z, self.flexion)
        return x, y, z

    def to_template(self, points: FloatArray) -> FloatArray:
        """Template positions ``(N, 3)`` of subject points."""
        out = (points + self.displacement(points)) / self.scale
        kernels.unbend(out, self.flexion)
        return out

    def to_subject(self, template_points: FloatArray, iterations: int = 20) -> FloatArray:
        """Subject positions ``(N, 3)`` of template points, by fixed-point iteration."""
        bent = np.array(np.atleast_2d(np.asarray(template_points, dtype=np.float64)))
        kernels.bend(bent, self.flexion)
        return super().to_subject(bent, iterations)


@cache
def _shapes(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Lattices ``(SHAPES, *shape)`` of the shared fields, each of unit standard deviation."""
    drawn = np.random.default_rng(45).standard_normal((SHAPES, *shape), dtype=np.float32)
    return np.clip(drawn / np.float32(0.325), -5.0, 5.0)
