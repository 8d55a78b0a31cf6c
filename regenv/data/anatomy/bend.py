"""Flexion of the knee as a smooth one-to-one bend about the axis through the femoral condyles."""

# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code="untyped-decorator"

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.data.anatomy.warp import Warp

CENTRE = (4.0, 25.0)
"""Where the axis of flexion, which runs from side to side, meets a sagittal plane: y and z in template mm."""

SHAPES = 14
"""Number of displacement fields by which all subjects differ."""

Points = NDArray[np.float64]


class BentWarp(Warp):
    """A subject whose knee is bent: ``template = unbend((p + u(p)) / scale)``.

    People differ from each other in few ways by much and in many by little, which is why statistical shape models work:
    u is a mixture of :data:`SHAPES` fields that all subjects share, and a small field of the subject's own.

    The tibia stays and the femur turns back with all that lies above. Each point moves on its circle about the axis, by
    an angle that falls from the whole flexion around the femur to nothing around the tibia; near the axis, in the
    condyles, all turn. The angle on each circle stays increasing, so the bend is one-to-one at up to 25 degrees.

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
        _unbend_fields(y, z, self.flexion)
        return x, y, z

    def to_template(self, points: Points) -> Points:
        """Template positions ``(N, 3)`` of subject points."""
        out = (points + self.displacement(points)) / self.scale
        _unbend(out, self.flexion)
        return out

    def to_subject(self, template_points: Points, iterations: int = 20) -> Points:
        """Subject positions ``(N, 3)`` of template points, by fixed-point iteration."""
        bent = np.array(np.atleast_2d(np.asarray(template_points, dtype=np.float64)))
        _bend(bent, self.flexion)
        return super().to_subject(bent, iterations)


@cache
def _shapes(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Lattices ``(SHAPES, *shape)`` of the shared fields, each of unit standard deviation."""
    drawn = np.random.default_rng(45).standard_normal((SHAPES, *shape), dtype=np.float32)
    return np.clip(drawn / np.float32(0.325), -5.0, 5.0)


@njit(cache=True, nogil=True, inline="always")
def _share(rho, psi):
    """Share of the flexion that a point of the bent knee has taken, at a radius and an angle about the axis."""
    away = abs(psi + 0.5 * np.pi)
    if away > np.pi:
        away = 2.0 * np.pi - away
    t = min(max((away - 0.75) / 1.55, 0.0), 1.0)
    tibia = 1.0 - t * t * (3.0 - 2.0 * t)
    t = min(max((rho - 16.0) / 15.0, 0.0), 1.0)
    return 1.0 - tibia * t * t * (3.0 - 2.0 * t)


@njit(cache=True, nogil=True, inline="always")
def _straight(y, z, flexion):
    """Position in the straight knee of a point of the bent one."""
    dy, dz = y - CENTRE[0], z - CENTRE[1]
    rho = np.sqrt(dy * dy + dz * dz)
    turn = flexion * _share(rho, np.arctan2(dz, dy))
    c, s = np.cos(turn), np.sin(turn)
    return CENTRE[0] + c * dy - s * dz, CENTRE[1] + s * dy + c * dz


@njit(cache=True, nogil=True)
def _unbend_fields(y, z, flexion):
    nz, ny, nx = y.shape
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                y[k, j, i], z[k, j, i] = _straight(y[k, j, i], z[k, j, i], flexion)


@njit(cache=True, nogil=True)
def _unbend(points, flexion):
    for n in range(points.shape[0]):
        points[n, 1], points[n, 2] = _straight(points[n, 1], points[n, 2], flexion)


@njit(cache=True, nogil=True)
def _bend(points, flexion):
    """The inverse: the angle is found by fixed-point iteration, which contracts by the slope of the share."""
    for n in range(points.shape[0]):
        dy, dz = points[n, 1] - CENTRE[0], points[n, 2] - CENTRE[1]
        rho = np.sqrt(dy * dy + dz * dz)
        straight = np.arctan2(dz, dy)
        bent = straight
        for _ in range(30):
            bent = straight - flexion * _share(rho, bent)
            if bent < -np.pi:
                bent += 2.0 * np.pi
            elif bent > np.pi:
                bent -= 2.0 * np.pi
        points[n, 1] = CENTRE[0] + rho * np.cos(bent)
        points[n, 2] = CENTRE[1] + rho * np.sin(bent)
