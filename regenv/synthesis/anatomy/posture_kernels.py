"""Compiled loops of a spine that bends at its discs: serial, without the global interpreter lock, cached on disk.

Coordinates are mm, angles radians.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numba import njit

_COLUMN_MM = (46.0, 50.0, 16.0)
"""Half-width and half-depth of what moves with the vertebrae, and how far behind the discs its middle lies."""
_WIDE_MM = 42.0
"""Half the height over which tissue far from the spine bends at a joint: more than the joints are apart."""
_DROP_MM = 7.0
"""How much lower two vertebrae part behind than at their disc: spinous processes point down."""


@njit(cache=True, nogil=True, inline="always")
def _step(t):
    """From 0 at 0 to 1 at 1, flat at both ends."""
    t = min(max(t, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@njit(cache=True, nogil=True)
def turn(points, rows):
    """Turns points back, joint after joint: rows of centre, left, back, up, rotation vector, half height, side."""
    wide, deep, behind = _COLUMN_MM
    for n in range(len(points)):
        for j in range(len(rows)):
            r = rows[j]
            x, y, z = points[n, 0] - r[0], points[n, 1] - r[1], points[n, 2] - r[2]
            left = r[3] * x + r[4] * y + r[5] * z
            back = r[6] * x + r[7] * y + r[8] * z
            up = r[9] * x + r[10] * y + r[11] * z
            up += _DROP_MM * _step((back - 10.0) / 22.0)
            away = np.sqrt((left / wide) ** 2 + ((back - behind) / deep) ** 2)
            half = r[15] + (_WIDE_MM - r[15]) * _step((away - 0.9) / 1.5)
            share = _step(0.5 + 0.5 * r[16] * up / half)
            if share == 0.0:
                continue
            a, b, c = share * r[12], share * r[13], share * r[14]
            angle = np.sqrt(a * a + b * b + c * c)
            if angle < 1e-12:
                continue
            # Rodrigues' rotation
            s, v = np.sin(angle) / angle, (1.0 - np.cos(angle)) / (angle * angle)
            dot = a * x + b * y + c * z
            cosine = np.cos(angle)
            points[n, 0] = r[0] + cosine * x + s * (b * z - c * y) + v * dot * a
            points[n, 1] = r[1] + cosine * y + s * (c * x - a * z) + v * dot * b
            points[n, 2] = r[2] + cosine * z + s * (a * y - b * x) + v * dot * c
