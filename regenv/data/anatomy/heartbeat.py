"""The shape of a heart about the long axis of its left ventricle, and the map between its end-systole and end-diastole.

Coordinates are the short-axis frame of the subject: z along the left ventricle's long axis towards the base, x towards
the lateral wall, y towards the inferior wall, the axis at x = y = 0 (what a short-axis slice shows when it is looked at
from the apex). The heart is described at end-diastole, at rest, by radii about the axis.

The map from an end-systolic point to the same tissue at end-diastole is three maps one after the other, each of them
one-to-one because it is increasing in the one coordinate that it moves:

1. along the axis: the base comes down by the longitudinal shortening, the apex stays (so does the tissue far away);
2. about the axis: the apex turns against the base (torsion);
3. along the radius, on its square: ``R^2 = s q + k q_i S(q / q_i)``. With ``s`` the longitudinal shortening, a wall
   (``S`` = 1) keeps its volume and so thickens, as the cylinder of Guccione, McCulloch and Waldman, J. Biomech. Eng.
   113 (1991) 42-55; the cavity within gives its blood away. The right ventricle is stretched by its own factor, and
   what lies beyond takes up the rest, to nothing at ``far``.

In a slice alone (``planar``) the first map is left out.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Heart(NamedTuple):
    """One heart, at end-diastole, and how it beats. Lengths in mm, angles in radians.

    Attributes:
        endo: Largest radius of the left ventricle's cavity.
        wall: Thickness of its wall there.
        level: Where the cavity is widest.
        apex: Length of the cavity from there to its apex.
        taper: Length over which it would close towards the base.
        base: Level of the mitral valve.
        oval: Relative deviation of the wall from a circle, with two lobes.
        oval_angle: Direction of the long axis of that oval.
        corner: The same with three lobes.
        corner_angle: Direction of a lobe.
        rv_depth: Largest depth of the right ventricle's cavity beyond the septum.
        rv_angle: Direction of its middle.
        rv_width: Half of the angle that it goes around the left ventricle.
        rv_level: Level of its largest depth.
        rv_reach: Length from there to its apex.
        shortening: Length of the left ventricle at end-systole over that at end-diastole.
        squeeze: ``k`` above: area of the cavity at end-diastole over that at end-systole, less ``shortening``.
        twist_apex: Angle by which the apex turns from end-systole to end-diastole.
        twist_base: The same at the base.
        infarct: Share of the squeeze that is lost in the middle of the infarct (0: none).
        infarct_angle: Direction of its middle.
        infarct_level: Level of its middle.
        infarct_focus: Concentration about its direction (von Mises).
        infarct_height: Standard deviation along the axis.
        rv_stretch: Area of the right ventricle at end-diastole over that at end-systole.
        far: Radius at which the motion has died out.
    """

    endo: float
    wall: float
    level: float
    apex: float
    taper: float
    base: float
    oval: float
    oval_angle: float
    corner: float
    corner_angle: float
    rv_depth: float
    rv_angle: float
    rv_width: float
    rv_level: float
    rv_reach: float
    shortening: float
    squeeze: float
    twist_apex: float
    twist_base: float
    infarct: float
    infarct_angle: float
    infarct_level: float
    infarct_focus: float
    infarct_height: float
    rv_stretch: float
    far: float


def draw_heart(rng: np.random.Generator) -> Heart:
    """Draws a heart: two in three eject 50 to 70 %, the others, with an infarct, 25 to 50 %."""
    ill = rng.random() < 0.34
    endo = rng.uniform(23.5, 31.5) if ill else rng.uniform(22.0, 27.0)
    ejection = rng.uniform(0.30, 0.50) if ill else rng.uniform(0.50, 0.69)
    shortening = 1.0 - 0.24 * ejection - rng.uniform(0.0, 0.02)
    septum = np.deg2rad(rng.uniform(168, 202))
    return Heart(
        endo=endo,
        wall=rng.uniform(7.0, 9.5),
        level=rng.uniform(6.0, 14.0),
        apex=rng.uniform(50.0, 60.0),
        taper=rng.uniform(80.0, 110.0),
        base=rng.uniform(34.0, 42.0),
        oval=rng.uniform(0.0, 0.045),
        oval_angle=rng.uniform(0.0, np.pi),
        corner=rng.uniform(0.0, 0.025),
        corner_angle=rng.uniform(0.0, 2 * np.pi),
        rv_depth=rng.uniform(18.0, 28.0),
        rv_angle=septum,
        rv_width=np.deg2rad(rng.uniform(66, 82)),
        rv_level=rng.uniform(14.0, 30.0),
        rv_reach=rng.uniform(56.0, 70.0),
        shortening=shortening,
        squeeze=shortening * ejection / (1.0 - ejection),
        twist_apex=np.deg2rad(rng.uniform(3.0, 10.0)) * (0.6 if ill else 1.0),
        twist_base=-np.deg2rad(rng.uniform(0.0, 5.0)),
        infarct=rng.uniform(0.40, 0.75) if ill else 0.0,
        infarct_angle=rng.uniform(0.0, 2 * np.pi),
        infarct_level=rng.uniform(-30.0, 15.0),
        infarct_focus=rng.uniform(1.5, 4.0),
        infarct_height=rng.uniform(18.0, 35.0),
        rv_stretch=rng.uniform(1.3, 1.75),
        far=rng.uniform(82.0, 90.0),
    )


def diastole(points: NDArray[np.float64], heart: Heart, planar: bool = False) -> NDArray[np.float64]:
    """Where the tissue at end-systolic points ``(N, 3)`` lies at end-diastole, mm."""
    out = np.empty((len(points), 3))
    _forward(np.ascontiguousarray(points, dtype=np.float64), heart, planar, out)
    return out


def systole(points: NDArray[np.float64], heart: Heart, planar: bool = False) -> NDArray[np.float64]:
    """Where the tissue at end-diastolic points ``(N, 3)`` lies at end-systole: the inverse of :func:`diastole`."""
    out = np.empty((len(points), 3))
    _backward(np.ascontiguousarray(points, dtype=np.float64), heart, planar, out)
    return out


@njit(cache=True, nogil=True, inline="always")
def _step(t):
    """Smooth step from 0 at ``t`` = 0 to 1 at ``t`` = 1."""
    t = min(max(t, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@njit(cache=True, nogil=True, inline="always")
def _positive(value, width):
    """``max(value, 0)``, rounded over ``width``."""
    return 0.5 * (value + np.sqrt(value * value + width * width))


@njit(cache=True, nogil=True)
def radii(angle, z, heart):
    """Radii at end-diastole in one direction at one level: of the cavity, of the wall, and of the right ventricle."""
    oval = 1.0 + heart.oval * np.cos(2.0 * (angle - heart.oval_angle))
    oval += heart.corner * np.cos(3.0 * (angle - heart.corner_angle))
    offset = z - heart.level
    inner = offset / (heart.apex if offset < 0.0 else heart.taper)
    outer = offset / (heart.apex + heart.wall if offset < 0.0 else heart.taper + heart.wall)
    endo = heart.endo * oval * np.sqrt(_positive(1.0 - inner * inner, 0.02))
    epi = (heart.endo * oval + heart.wall) * np.sqrt(_positive(1.0 - outer * outer, 0.02))
    depth = 0.0
    turn = angle - heart.rv_angle
    turn -= 2.0 * np.pi * np.floor(turn / (2.0 * np.pi) + 0.5)
    around = np.cos(0.5 * np.pi * turn / heart.rv_width) if abs(turn) < 1.6 * heart.rv_width else -1.0
    if around > -0.8:
        along = (z - heart.rv_level) / (heart.rv_reach if z < heart.rv_level else 1.5 * heart.rv_reach)
        size = np.sqrt(_positive(1.0 - along * along, 0.05))
        depth = heart.rv_depth * size * max(_positive(around, 0.08) - 0.002, 0.0) ** 0.85
    return endo, max(epi, endo + 0.5), max(epi, endo + 0.5) + depth


@njit(cache=True, nogil=True)
def _along(rho, zeta, heart):
    """Shift of the level from end-systole to end-diastole."""
    bottom = heart.level - heart.apex - heart.wall
    top = bottom + heart.shortening * (heart.base - bottom)
    rate = 1.0 / heart.shortening - 1.0
    soft, decay = 6.0, 62.0
    if zeta <= bottom - soft:
        shift = 0.0
    elif zeta < bottom + soft:
        shift = rate * (zeta - bottom + soft) ** 2 / (4.0 * soft)
    elif zeta < top:
        shift = rate * (zeta - bottom)
    elif zeta < top + decay:
        v = (zeta - top) / decay
        shift = rate * (top - bottom) * (2 * v**3 - 3 * v**2 + 1) + rate * decay * (v**3 - 2 * v**2 + v)
    else:
        shift = 0.0
    return shift * (1.0 - _step((rho - 40.0) / (heart.far - 44.0)))


@njit(cache=True, nogil=True)
def _turn(rho, z, heart):
    """Angle from end-systole to end-diastole about the axis, at an end-systolic radius and an end-diastolic level."""
    bottom = heart.level - heart.apex - heart.wall
    share = _step((z - bottom) / (heart.base - bottom))
    angle = heart.twist_apex + share * (heart.twist_base - heart.twist_apex)
    angle *= 1.0 - _step((z - heart.base) / 45.0)
    angle *= 1.0 - _step((bottom - z) / 35.0)
    return angle * (1.0 - _step((rho - 28.0) / (heart.far - 36.0)))


@njit(cache=True, nogil=True)
def _square(q, angle, z, heart):
    """Square of the end-diastolic radius from that of the end-systolic radius, ``q``."""
    endo, epi, rv = radii(angle, z, heart)
    fade = 1.0 - _step((z - heart.base) / 40.0)
    s = 1.0 - (1.0 - heart.shortening) * fade
    k = heart.squeeze * fade
    away = (z - heart.infarct_level) / heart.infarct_height
    k *= 1.0 - heart.infarct * np.exp(
        heart.infarct_focus * (np.cos(angle - heart.infarct_angle) - 1.0) - 0.5 * away * away
    )
    inner = endo * endo / (s + k)
    outer = (epi * epi - k * inner) / s
    if q < inner:
        return s * q + k * q * (2.0 - q / inner)
    if q < outer:
        return s * q + k * inner
    stretch = 1.0 + (heart.rv_stretch - 1.0) * fade
    edge = outer + (rv * rv - epi * epi) / stretch
    if q < edge:
        return epi * epi + stretch * (q - outer)
    excess = rv * rv - edge
    return q + excess * (1.0 - _step((q - edge) / (heart.far * heart.far - edge)))


@njit(cache=True, nogil=True)
def _forward(points, heart, planar, out):
    for n in range(points.shape[0]):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        q = x * x + y * y
        rho = np.sqrt(q)
        if not planar:
            z += _along(rho, z, heart)
        angle = np.arctan2(y, x) + _turn(rho, z, heart)
        r = np.sqrt(_square(q, angle, z, heart))
        out[n, 0] = r * np.cos(angle)
        out[n, 1] = r * np.sin(angle)
        out[n, 2] = z


@njit(cache=True, nogil=True)
def _backward(points, heart, planar, out):
    for n in range(points.shape[0]):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        target = x * x + y * y
        angle = np.arctan2(y, x)
        low, high = 0.0, max(target, heart.far * heart.far)
        for _ in range(60):
            middle = 0.5 * (low + high)
            if _square(middle, angle, z, heart) < target:
                low = middle
            else:
                high = middle
        rho = np.sqrt(0.5 * (low + high))
        angle -= _turn(rho, z, heart)
        if not planar:
            low, high = z - 40.0, z + 1.0
            for _ in range(60):
                middle = 0.5 * (low + high)
                if middle + _along(rho, middle, heart) < z:
                    low = middle
                else:
                    high = middle
            z = 0.5 * (low + high)
        out[n, 0] = rho * np.cos(angle)
        out[n, 1] = rho * np.sin(angle)
        out[n, 2] = z
