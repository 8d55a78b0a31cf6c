"""Compiled loops of a trunk in motion: where the tissue at rest lies that a point shows, and noise carried with it."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numba import njit

# columns of the table of levels, see ``motion.Motion``
SPINE_X, SPINE_Y, FORWARD, OUTWARD, UPWARD, GLIDE, SHIFT_X, SHIFT_Y, SHIFT_Z, TILT_X, TILT_Y, WEIGHT = range(6, 18)
N_COLUMNS = 18

AUTO, INSIDE, OUTSIDE = 0, 1, 2
"""Whether a point glides with the contents of the cavity: as its position says, always, never."""


@njit(cache=True, nogil=True, inline="always")
def _level(table, z0, dz, z, row):
    """Interpolates the table at a height."""
    f = min(max((z - z0) / dz, 0.0), table.shape[0] - 1.001)
    a = int(f)
    w = f - a
    for c in range(table.shape[1]):
        row[c] = table[a, c] + w * (table[a + 1, c] - table[a, c])


@njit(cache=True, nogil=True, inline="always")
def _free(x, y, row):
    """0 in the spine and its muscles to 1 at 35 mm from them."""
    dx, dy = x - row[SPINE_X], y - row[SPINE_Y]
    body = np.sqrt(dx * dx + dy * dy) - 26.0
    behind = np.sqrt(dx * dx + (dy - 30.0) ** 2) - 42.0
    t = min(max(min(body, behind) / 35.0, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@njit(cache=True, nogil=True, inline="always")
def _waves(x, y, z, waves, first, last):
    total = 0.0
    for n in range(first, last):
        phase = waves[n, 0] * x + waves[n, 1] * y + waves[n, 2] * z + waves[n, 3]
        total += waves[n, 4] * np.cos(phase)
    return total


@njit(cache=True, nogil=True, inline="always")
def _glide(x, y, z, row, tilt, waves):
    """How far along the wall of the cavity a point glides, mm; ``row`` belongs to its height."""
    if row[GLIDE] == 0.0:
        return 0.0
    dx, dy = x - row[0], y - row[1]
    regional = 1.0 + tilt[0] * np.tanh(dx / 45.0) + tilt[1] * np.tanh(dy / 90.0) + _waves(x, y, z, waves, 0, 4)
    return row[GLIDE] * _free(x, y, row) * max(regional, 0.1)


@njit(cache=True, nogil=True)
def move(x, y, z, volume, table, z0, dz, tilt, waves, region):
    """Moves points in template mm in place, and says by how much tissue is denser there than at rest.

    Args:
        x: ``(N,)`` coordinates.
        y: The same.
        z: The same.
        volume: ``(N,)``, written: volume at rest over volume as seen, inside the cavity; 1 elsewhere.
        table: ``(L, N_COLUMNS)`` at levels ``z0 + dz * n``: the six columns of the cavity's loft, then the columns
            named above.
        z0: Height of the first level.
        dz: Step of levels.
        tilt: ``(2,)`` how much farther the left and the back glide than the mean.
        waves: ``(W, 5)`` wave vector (rad/mm), phase and amplitude of smooth variation: four of the glide, then
            displacement in plane along x (three) and y (three), mm.
        region: ``AUTO``, ``INSIDE`` or ``OUTSIDE``.
    """
    row = np.empty(table.shape[1])
    low = np.empty(table.shape[1])
    for n in range(x.shape[0]):
        px, py, pz = float(x[n]), float(y[n]), float(z[n])
        # posture: every level shifts and tilts about the spine
        _level(table, z0, dz, pz, row)
        dx, dy = px - row[SPINE_X], py - row[SPINE_Y]
        px += row[SHIFT_X]
        py += row[SHIFT_Y]
        pz += row[SHIFT_Z] + row[TILT_X] * dx + row[TILT_Y] * dy
        # the wall: ribs forward, outward and upward; the spine stays
        _level(table, z0, dz, pz, row)
        dx, dy = px - row[SPINE_X], py - row[SPINE_Y]
        ahead = max(-dy, 0.0)
        forward = ahead * ahead / (ahead + 50.0) / 150.0
        outward = dx * abs(dx) / (abs(dx) + 40.0) / 100.0
        dense = (1.0 - row[FORWARD] * ahead * (ahead + 100.0) / (ahead + 50.0) ** 2 / 150.0) * (
            1.0 - row[OUTWARD] * abs(dx) * (abs(dx) + 80.0) / (abs(dx) + 40.0) ** 2 / 100.0
        )
        py += row[FORWARD] * forward
        px -= row[OUTWARD] * outward
        pz -= row[UPWARD] * forward
        _level(table, z0, dz, pz, row)
        # the contents of the cavity
        dx, dy = px - row[0], py - row[1]
        c = 3 if dy < 0 else 4
        u, v = dx / row[2], dy / row[c]
        r2 = u * u + v * v + 1e-9
        corner = 4.0 * u * u * v * v / (r2 * r2)
        rho = np.sqrt(r2) / (1.0 + row[5] * corner)
        volume[n] = 1.0
        if region == INSIDE or (region == AUTO and rho < 1.0):
            inner = max(1.0 - rho * rho, 0.0) * _free(px, py, row) * min(row[GLIDE] / 10.0, 1.0)
            if inner > 0.0:
                ax = inner * _waves(px, py, pz, waves, 4, 7)
                ay = inner * _waves(px, py, pz, waves, 7, 10)
                px += ax
                py += ay
                dx, dy = px - row[0], py - row[1]
                c = 3 if dy < 0 else 4
                u, v = dx / row[2], dy / row[c]
                r2 = u * u + v * v + 1e-9
                corner = 4.0 * u * u * v * v / (r2 * r2)
            glide = _glide(px, py, pz, row, tilt, waves)
            _level(table, z0, dz, pz + glide, low)
            # the same share of the way to the wall: the wall is carried into itself
            stretch = (1.0 + low[5] * corner) / (1.0 + row[5] * corner)
            area = low[2] * (low[3] + low[4]) / (row[2] * (row[3] + row[4])) * stretch * stretch
            # the slope of the glide along the wall
            _level(table, z0, dz, pz + 2.0, row)
            further = _glide(row[0] + u * row[2], row[1] + v * row[c], pz + 2.0, row, tilt, waves)
            volume[n] = dense * area * max(1.0 + 0.5 * (further - glide), 0.1)
            px = low[0] + u * stretch * low[2]
            py = low[1] + v * stretch * low[c]
            pz += glide
        elif row[WEIGHT] != 0.0:
            # fat laid on outside the ribs (12 mm) since the scan at rest
            r = np.sqrt(dx * dx + dy * dy)
            outside = r * (1.0 - 1.0 / max(rho, 1e-3)) - 12.0
            if outside > 0.0:
                back = row[WEIGHT] * outside / (outside + 30.0)
                px -= back * dx / r
                py -= back * dy / r
        x[n] = px
        y[n] = py
        z[n] = pz


@njit(cache=True, nogil=True)
def spline_noise(x, y, z, tile, scale, out):
    """A cubic B-spline over a periodic tile of knots, at any points; tiles are a power of two wide."""
    n = tile.shape[0] - 1
    wx, wy, wz = np.empty(4, np.float32), np.empty(4, np.float32), np.empty(4, np.float32)
    ix = np.empty(4, np.int64)
    inverse = np.float32(1.0 / scale)
    for m in range(x.shape[0]):
        bx, by, bz = _weights(x[m] * inverse, wx), _weights(y[m] * inverse, wy), _weights(z[m] * inverse, wz)
        for i in range(4):
            ix[i] = (bx + i) & n
        total = np.float32(0.0)
        for k in range(4):
            plane = tile[(bz + k) & n]
            for j in range(4):
                line = plane[(by + j) & n]
                total += (
                    wz[k]
                    * wy[j]
                    * (wx[0] * line[ix[0]] + wx[1] * line[ix[1]] + wx[2] * line[ix[2]] + wx[3] * line[ix[3]])
                )
        out[m] = total


@njit(cache=True, nogil=True, inline="always")
def _weights(position, weights):
    base = np.floor(position)
    t = np.float32(position - base)
    s = np.float32(1.0) - t
    sixth = np.float32(1.0 / 6.0)
    weights[0] = s * s * s * sixth
    weights[1] = (np.float32(3.0) * t * t * (t - np.float32(2.0)) + np.float32(4.0)) * sixth
    weights[2] = (np.float32(3.0) * s * s * (s - np.float32(2.0)) + np.float32(4.0)) * sixth
    weights[3] = t * t * t * sixth
    return int(base) - 1
