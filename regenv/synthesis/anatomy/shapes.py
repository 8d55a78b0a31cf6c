"""Signed distances, in mm and negative inside, of the shapes that organs are made of.

All take coordinate fields as NumPy arrays of one shape. Distances are exact near the surface only up to a smooth
factor, which is enough for the cover of a voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.synthesis.anatomy import kernels

Field = NDArray[np.floating]


def rotation(rx: float = 0.0, ry: float = 0.0, rz: float = 0.0) -> NDArray[np.float64]:
    """Rotation matrix about x, then y, then z, angles in degrees; columns are the axes of the turned shape."""
    a, b, c = np.deg2rad([rx, ry, rz])
    mx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    my = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    mz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return mz @ my @ mx


def local(
    x: Field, y: Field, z: Field, centre: ArrayLike, axes: NDArray[np.float64] | None = None
) -> tuple[Field, Field, Field]:
    """Coordinates in mm along the columns of ``axes (3, 3)`` about ``centre (3,)``; default along x, y, z."""
    c = np.asarray(centre, dtype=np.float32)
    dx, dy, dz = x - c[0], y - c[1], z - c[2]
    if axes is None:
        return dx, dy, dz
    m = np.asarray(axes, dtype=np.float32)
    return (
        m[0, 0] * dx + m[1, 0] * dy + m[2, 0] * dz,
        m[0, 1] * dx + m[1, 1] * dy + m[2, 1] * dz,
        m[0, 2] * dx + m[1, 2] * dy + m[2, 2] * dz,
    )


def ellipsoid(x: Field, y: Field, z: Field, centre: Any, radii: Any, axes: NDArray[np.float64] | None = None) -> Field:
    """Ellipsoid of half-axes ``radii`` (mm) along the columns of ``axes (3, 3)`` about ``centre (3,)``."""
    u, v, w = local(x, y, z, centre, axes)
    a, b, c = (np.float32(r) for r in radii)
    k0 = np.sqrt((u / a) ** 2 + (v / b) ** 2 + (w / c) ** 2) + np.float32(1e-6)
    k1 = np.sqrt((u / (a * a)) ** 2 + (v / (b * b)) ** 2 + (w / (c * c)) ** 2) + np.float32(1e-6)
    return k0 * (k0 - 1) / k1


def rounded_box(u: Field, v: Field, w: Field, half: Sequence[float], radius: float) -> Field:
    """Box of half-sizes ``half`` in mm (rounding included) with edges of ``radius`` mm, about the origin."""
    qx, qy, qz = (np.abs(c) - np.float32(h - radius) for c, h in zip((u, v, w), half, strict=True))
    outside = np.sqrt(np.maximum(qx, 0) ** 2 + np.maximum(qy, 0) ** 2 + np.maximum(qz, 0) ** 2)
    return outside + np.minimum(np.maximum(np.maximum(qx, qy), qz), 0) - np.float32(radius)


def capsule(u: Field, v: Field, w: Field, a: ArrayLike, b: ArrayLike, ra: float, rb: float | None = None) -> Field:
    """Round cone from point ``a (3,)`` of radius ``ra`` to ``b`` of radius ``rb`` (default ``ra``), mm."""
    p, q = np.asarray(a, np.float32), np.asarray(b, np.float32)
    d = q - p
    du, dv, dw = u - p[0], v - p[1], w - p[2]
    t = np.clip((du * d[0] + dv * d[1] + dw * d[2]) / np.float32(d @ d + 1e-9), 0, 1)
    radius = np.float32(ra) if rb is None else np.float32(ra) + t * np.float32(rb - ra)
    return np.sqrt((du - t * d[0]) ** 2 + (dv - t * d[1]) ** 2 + (dw - t * d[2]) ** 2) - radius


def smooth_min(a: Field, b: Field, k: float) -> Field:
    """Union with a fillet of about ``k`` mm (polynomial smooth minimum)."""
    from regenv.synthesis.anatomy.smooth_kernels import smooth_min

    return smooth_min(a, b, np.float32(k))


def smooth_max(a: Field, b: Field, k: float) -> Field:
    """Intersection with edges rounded over about ``k`` mm."""
    from regenv.synthesis.anatomy.smooth_kernels import smooth_max

    return smooth_max(a, b, np.float32(k))


class Loft:
    """A stack of rounded cross-sections along z, interpolated between levels.

    A cross-section is an ellipse of half-width a and of one depth forward (-y) and one backward, whose radius is raised
    by the factor ``1 + squareness * sin(2 theta)**2``.

    Args:
        z: Increasing levels in template mm.
        columns: ``(len(z), 6)``: x centre, y centre, half-width, depth forward, depth backward, squareness.
    """

    STEP = 4.0

    def __init__(self, z: ArrayLike, columns: ArrayLike) -> None:
        knots, values = np.asarray(z, float), np.asarray(columns, float)
        self.z0 = float(knots[0])
        levels = np.arange(self.z0, knots[-1] + self.STEP, self.STEP)
        table = np.stack([np.interp(levels, knots, column) for column in values.T], axis=1)
        padded = np.pad(table, ((4, 4), (0, 0)), mode="edge")
        weights = np.array([1, 4, 8, 12, 14, 12, 8, 4, 1]) / 64.0
        self.table = np.stack([np.convolve(column, weights, "valid") for column in padded.T], axis=1)

    def distance(self, x: Field, y: Field, z: Field) -> NDArray[np.float32]:
        """Radial signed distance at coordinate fields ``[z, y, x]``."""
        out = np.empty(x.shape, np.float32)
        kernels.loft(x, y, z, self.table, self.z0, self.STEP, out)
        return out

    def at(self, z: ArrayLike) -> NDArray[np.float64]:
        """The six columns at levels ``z``, shape ``z.shape + (6,)``."""
        f = np.clip((np.asarray(z, float) - self.z0) / self.STEP, 0, len(self.table) - 1.001)
        a = f.astype(int)
        w = (f - a)[..., None]
        return self.table[a] * (1 - w) + self.table[a + 1] * w

    def surface(self, theta_deg: ArrayLike, z: ArrayLike, offset: float = 0.0) -> NDArray[np.float64]:
        """Surface points ``(N, 3)``, mm.

        Args:
            theta_deg: Angles ``(N,)`` from the back (0) by the left side (90) to the front (180).
            z: Levels, one for all or one each.
            offset: Millimetres outside the surface.
        """
        theta = np.deg2rad(np.asarray(theta_deg, float))
        level = np.broadcast_to(np.asarray(z, float), theta.shape)
        c = self.at(level)
        s, k = np.sin(theta), np.cos(theta)
        depth = np.where(k > 0, c[..., 4], c[..., 3])
        grow = 1 + c[..., 5] * np.sin(2 * theta) ** 2
        px, py = c[..., 2] * s * grow, depth * k * grow
        r = np.hypot(px, py)
        factor = (r + offset) / np.maximum(r, 1e-6)
        return np.stack([c[..., 0] + px * factor, c[..., 1] + py * factor, level], axis=-1)


def path(points: Any, radii: ArrayLike, steps: int = 6) -> NDArray[np.float64]:
    """Segments ``(N, 8)`` for ``Canvas.tubes`` along a Catmull-Rom curve through points.

    Args:
        points: ``(M, 3)`` template mm.
        radii: ``(M,)`` mm.
        steps: Segments between two points.
    """
    curve = catmull_rom(np.column_stack([np.asarray(points, float), np.asarray(radii, float)]), steps)
    return np.hstack([curve[:-1], curve[1:]])


def catmull_rom(values: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Interpolates rows ``(M, C)`` smoothly with ``steps`` samples per interval, the ends included."""
    p = np.vstack([2 * values[0] - values[1], values, 2 * values[-1] - values[-2]])
    t = np.arange(steps)[:, None] / steps
    rows = [
        0.5
        * (
            2 * p[i]
            + (p[i + 1] - p[i - 1]) * t
            + (2 * p[i - 1] - 5 * p[i] + 4 * p[i + 1] - p[i + 2]) * t**2
            + (3 * p[i] - p[i - 1] - 3 * p[i + 1] + p[i + 2]) * t**3
        )
        for i in range(1, len(p) - 2)
    ]
    return np.vstack([*rows, values[-1:]])
