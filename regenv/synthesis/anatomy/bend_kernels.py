"""Compiled loops of the flexion of a knee: serial, without the global interpreter lock, cached on disk.

Coordinates are template mm, angles radians.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numba import njit

CENTRE = (4.0, 25.0)
"""Where the axis of flexion, which runs from side to side, meets a sagittal plane: y and z in template mm."""


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
def unbend_fields(y, z, flexion):
    """Straightens coordinate fields ``[z, y, x]`` in place."""
    nz, ny, nx = y.shape
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                y[k, j, i], z[k, j, i] = _straight(y[k, j, i], z[k, j, i], flexion)


@njit(cache=True, nogil=True)
def unbend(points, flexion):
    """Straightens points ``(N, 3)`` in place."""
    for n in range(points.shape[0]):
        points[n, 1], points[n, 2] = _straight(points[n, 1], points[n, 2], flexion)


@njit(cache=True, nogil=True)
def bend(points, flexion):
    """The inverse of :func:`unbend`, in place.

    The angle is found by fixed-point iteration, which contracts by the slope of the share.
    """
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
