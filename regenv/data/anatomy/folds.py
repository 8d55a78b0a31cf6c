"""Folding of the cortex: furrows are the zero set of a random field of narrow bandwidth, which winds as gyri do.

A band-passed random field has a zero set of nearly even spacing that branches, bends and ends (a labyrinth). The field
is read at points pushed outward from an axis in the middle of the hemisphere, so that the sheets where it vanishes
stand nearly upright on the surface, and sheets reach as deep as a second, slower field says.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

_TILE = 64
_KNOT_MM = 6.1
"""Distance between knots of the field: furrows lie about twice that apart."""


@lru_cache(maxsize=1)
def template_lattice() -> NDArray[np.float32]:
    """The knots of the one template brain, periodic, band-passed to unit variance of the field."""
    lattice = np.random.default_rng(20).standard_normal((_TILE,) * 3, dtype=np.float32)
    wave = np.fft.fftfreq(_TILE) * 2 * np.pi
    square = wave[:, None, None] ** 2 + wave[None, :, None] ** 2 + wave[None, None, : _TILE // 2 + 1] ** 2
    # wavelength of four knots, a fifth wide
    band = np.exp(-0.5 * ((np.sqrt(square) - np.pi / 2) / (0.2 * np.pi / 2)) ** 2)
    filtered = np.fft.irfftn(np.fft.rfftn(lattice) * band, s=lattice.shape, axes=(0, 1, 2))
    # a cubic B-spline passes 0.47 of a wave of four knots along an axis
    return np.ascontiguousarray(filtered / filtered.std() / 0.5, dtype=np.float32)


def furrows(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    z: NDArray[np.float32],
    depth: NDArray[np.float32],
    shift: tuple[int, int, int],
    own: float,
    width_mm: float,
    spacing: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distances of brain tissue to the fluid that surrounds it, furrows included.

    Args:
        x: Template coordinate of every voxel, mm; as ``y`` and ``z``.
        y: See there.
        z: See there.
        depth: Depth in mm under the smooth hull, negative outside.
        shift: Knots by which a subject's own share of the field is displaced.
        own: Amplitude of that share relative to the template's.
        width_mm: Half the width of a furrow.
        spacing: Voxel size, mm: furrows narrower than a voxel cover their share of it.

    Returns:
        The distance that decides what is tissue (as :meth:`Canvas.paint` covers a voxel), and the distance that layers
        of cortex follow.
    """
    surface, layer = np.empty(x.shape, np.float32), np.empty(x.shape, np.float32)
    _furrows(
        x, y, z, depth, template_lattice(), np.array(shift, np.int64), own, width_mm, spacing, _KNOT_MM, surface, layer
    )
    return surface, layer


@njit(cache=True, nogil=True, inline="always")
def _weights(t, w, g):
    """Cubic B-spline weights and their derivatives."""
    s = 1 - t
    w[0], w[3] = s * s * s / 6, t * t * t / 6
    w[1], w[2] = (3 * t * t * t - 6 * t * t + 4) / 6, (3 * s * s * s - 6 * s * s + 4) / 6
    g[0], g[3] = -s * s / 2, t * t / 2
    g[1], g[2] = (3 * t * t - 4 * t) / 2, -(3 * s * s - 4 * s) / 2


@njit(cache=True, nogil=True, fastmath={"contract", "nsz"})
def _field(lattice, px, py, pz, weights, slopes, out):
    """Value and gradient (per knot) of the periodic field at a position in knots."""
    bx, by, bz = int(np.floor(px)), int(np.floor(py)), int(np.floor(pz))
    _weights(np.float32(px - bx), weights[0], slopes[0])
    _weights(np.float32(py - by), weights[1], slopes[1])
    _weights(np.float32(pz - bz), weights[2], slopes[2])
    value, gx, gy, gz = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for k in range(4):
        row = np.float32(0)
        row_x = np.float32(0)
        row_y = np.float32(0)
        for j in range(4):
            line = lattice[(bz + k) & 63, (by + j) & 63]
            s, sx = np.float32(0), np.float32(0)
            for i in range(4):
                c = line[(bx + i) & 63]
                s += weights[0, i] * c
                sx += slopes[0, i] * c
            row += weights[1, j] * s
            row_x += weights[1, j] * sx
            row_y += slopes[1, j] * s
        value += weights[2, k] * row
        gx += weights[2, k] * row_x
        gy += weights[2, k] * row_y
        gz += slopes[2, k] * row
    out[0], out[1], out[2], out[3] = value, gx, gy, gz


@njit(cache=True, nogil=True)
def _furrows(x, y, z, depth, lattice, shift, own, width, spacing, knot, surface, layer):
    weights, slopes = np.empty((3, 4), np.float32), np.empty((3, 4), np.float32)
    main, other, slow = np.empty(4, np.float32), np.empty(4, np.float32), np.empty(4, np.float32)
    nz, ny, nx = x.shape
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                d = depth[k, j, i]
                surface[k, j, i] = d
                layer[k, j, i] = d
                if d < -spacing or d > 34.0:
                    continue
                px, py, pz = x[k, j, i], y[k, j, i], z[k, j, i]
                side = 1.0 if px >= 0 else -1.0
                vx, vy, vz = px - side * 20.0, py - min(max(py, -30.0), 58.0), pz - 8.0
                radius = max(np.sqrt(vx * vx + vy * vy + vz * vz), 12.0)
                stretch = (45.0 / radius) ** 0.7
                # the other hemisphere has furrows of its own
                qx = (side * 20.0 + vx * stretch) / knot + 17.0 * (side + 2.0)
                qy = (py - vy + vy * stretch) / knot + 30.0
                qz = (8.0 + vz * stretch) / knot + 30.0
                _field(lattice, qx, qy, qz, weights, slopes, main)
                if own > 0:
                    _field(lattice, qx + shift[0], qy + shift[1], qz + shift[2], weights, slopes, other)
                    for c in range(4):
                        main[c] += own * other[c]
                # the stretch scales across the axis fully and along the radius by three tenths
                gradient = np.sqrt(main[1] ** 2 + main[2] ** 2 + main[3] ** 2) * stretch / knot
                away = abs(main[0]) / max(gradient, 0.04)
                _field(lattice, 0.6 * qx + 9.0, 0.6 * qy, 0.6 * qz + 40.0, weights, slopes, slow)
                reach = min(max(16.0 + 4.0 * slow[0], 9.0), 24.0)
                # wider where it opens to the surface
                half = width + 0.7 * np.exp(-max(d, 0.0) / 3.0)
                across, below = away - half, d - reach
                gap = min(half, away + 0.5 * spacing) - max(-half, away - 0.5 * spacing)
                gap = min(max(gap, 0.0), spacing) * min(max(0.5 - below / spacing, 0.0), 1.0)
                surface[k, j, i] = min(d, 0.5 * spacing - gap) if gap > 0 else d
                if across < 0 and below < 0:
                    layer[k, j, i] = min(d, max(across, below))
                else:
                    layer[k, j, i] = min(d, np.sqrt(max(across, 0.0) ** 2 + max(below, 0.0) ** 2))
