"""Compiled loops of a beating heart: serial, without the global interpreter lock, cached on disk.

``heart`` is a :class:`heartbeat.Heart`; the maps are those that :mod:`heartbeat` describes.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numba import njit


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
    """Radii in mm at end-diastole, in a direction (radians) at a level: of cavity, wall and right ventricle."""
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
def forward(points, heart, planar, out):
    """Fills ``out`` as :func:`heartbeat.diastole` says."""
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
def backward(points, heart, planar, out):
    """The inverse of :func:`forward`, by bisection of its three maps."""
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


@njit(cache=True, nogil=True)
def distances(x, y, z, heart, endo, epi, rv, depth):
    """Radial distances to the cavity, the wall and the right ventricle, and the right ventricle's depth there."""
    nz, ny, nx = x.shape
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                r = np.sqrt(x[k, j, i] ** 2 + y[k, j, i] ** 2)
                a, b, c = radii(np.arctan2(y[k, j, i], x[k, j, i]), z[k, j, i], heart)
                endo[k, j, i] = r - a
                epi[k, j, i] = r - b
                rv[k, j, i] = r - c
                depth[k, j, i] = c - b
