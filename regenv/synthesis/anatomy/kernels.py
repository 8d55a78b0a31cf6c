"""Compiled loops of the painter: serial, without the global interpreter lock, cached on disk."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, inline="always")
def _put(top, under, share, organ, k, j, i, cover, tissue, organ_id, over):
    """Covers a share of one voxel with a tissue."""
    dominant = top[k, j, i] if share[k, j, i] >= 128 else under[k, j, i]
    if over[dominant] == 0:
        return
    if cover >= 1.0:
        top[k, j, i] = tissue
        under[k, j, i] = tissue
        share[k, j, i] = 255
    else:
        new = np.uint8(cover * 255.0)
        if top[k, j, i] == tissue:
            # the same tissue again (two segments of one tube): the union, not a second layer
            share[k, j, i] = max(share[k, j, i], new)
        else:
            under[k, j, i] = dominant
            top[k, j, i] = tissue
            share[k, j, i] = new
    if cover >= 0.5 and organ_id >= 0:
        organ[k, j, i] = organ_id


@njit(cache=True, nogil=True)
def paint(distance, top, under, share, organ, tissue, organ_id, over, spacing):
    """Paints a field of signed distances; the cover falls linearly over one voxel across the surface."""
    nz, ny, nx = distance.shape
    inverse = np.float32(1.0 / spacing)
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                cover = np.float32(0.5) - distance[k, j, i] * inverse
                if cover > 0.004:
                    _put(top, under, share, organ, k, j, i, cover, tissue, organ_id, over)


@njit(cache=True, nogil=True)
def paint_tubes(rows, grow, boxes, x, y, z, top, under, share, organ, tissue, organ_id, over, spacing):
    """Paints round cone segments, see ``Canvas.tubes``."""
    for s in range(rows.shape[0]):
        ax, ay, az, ra = rows[s, 0], rows[s, 1], rows[s, 2], rows[s, 3] + grow
        bx, by, bz, rb = rows[s, 4], rows[s, 5], rows[s, 6], rows[s, 7] + grow
        largest = max(ra, rb)
        if largest <= 0.0:
            continue
        vx, vy, vz = bx - ax, by - ay, bz - az
        length2 = vx * vx + vy * vy + vz * vz + 1e-9
        limit = (largest + spacing) ** 2
        for k in range(boxes[s, 0], boxes[s, 1]):
            for j in range(boxes[s, 2], boxes[s, 3]):
                for i in range(boxes[s, 4], boxes[s, 5]):
                    px, py, pz = x[k, j, i] - ax, y[k, j, i] - ay, z[k, j, i] - az
                    t = (px * vx + py * vy + pz * vz) / length2
                    t = min(max(t, 0.0), 1.0)
                    dx, dy, dz = px - t * vx, py - t * vy, pz - t * vz
                    d2 = dx * dx + dy * dy + dz * dz
                    if d2 > limit:
                        continue
                    radius = ra + t * (rb - ra)
                    # thinner than a voxel: cover by area instead of by depth
                    cover = 0.5 - (np.sqrt(d2) - radius) / spacing
                    if radius < 0.5 * spacing:
                        cover *= 4.0 * (radius / spacing) ** 2
                    if cover > 0.004:
                        _put(top, under, share, organ, k, j, i, cover, tissue, organ_id, over)


@njit(cache=True, nogil=True)
def paint_bands(nodes, grow, boxes, x, y, z, top, under, share, organ, tissue, organ_id, over, spacing):
    """Paints a flat tube along nodes, see ``Canvas.bands``."""
    for s in range(nodes.shape[0] - 1):
        ax, ay, az = nodes[s, 0], nodes[s, 1], nodes[s, 2]
        bx, by, bz = nodes[s + 1, 0], nodes[s + 1, 1], nodes[s + 1, 2]
        largest = max(max(nodes[s, 3], nodes[s + 1, 3]), max(nodes[s, 4], nodes[s + 1, 4])) + grow
        if largest <= 0.0:
            continue
        vx, vy, vz = bx - ax, by - ay, bz - az
        length2 = vx * vx + vy * vy + vz * vz + 1e-9
        limit = (largest + spacing) ** 2
        for k in range(boxes[s, 0], boxes[s, 1]):
            for j in range(boxes[s, 2], boxes[s, 3]):
                for i in range(boxes[s, 4], boxes[s, 5]):
                    px, py, pz = x[k, j, i] - ax, y[k, j, i] - ay, z[k, j, i] - az
                    t = (px * vx + py * vy + pz * vz) / length2
                    t = min(max(t, 0.0), 1.0)
                    dx, dy, dz = px - t * vx, py - t * vy, pz - t * vz
                    d2 = dx * dx + dy * dy + dz * dz
                    if d2 > limit:
                        continue
                    thin = max(nodes[s, 3] + t * (nodes[s + 1, 3] - nodes[s, 3]) + grow, 0.3)
                    wide = max(nodes[s, 4] + t * (nodes[s + 1, 4] - nodes[s, 4]) + grow, 0.3)
                    along = (
                        dx * (nodes[s, 5] + t * (nodes[s + 1, 5] - nodes[s, 5]))
                        + dy * (nodes[s, 6] + t * (nodes[s + 1, 6] - nodes[s, 6]))
                        + dz * (nodes[s, 7] + t * (nodes[s + 1, 7] - nodes[s, 7]))
                    )
                    across2 = max(d2 - along * along, 0.0)
                    rho = np.sqrt((along / thin) ** 2 + across2 / (wide * wide))
                    # distance along the ray from the axis
                    d = np.sqrt(d2) * (1.0 - 1.0 / rho) if rho > 1e-6 else -thin
                    cover = 0.5 - d / spacing
                    if cover > 0.004:
                        _put(top, under, share, organ, k, j, i, cover, tissue, organ_id, over)


@njit(cache=True, nogil=True)
def loft(x, y, z, table, z0, dz, out):
    """Radial signed distance to a loft of rounded cross-sections.

    ``table`` holds, per level of z, the columns x centre, y centre, half-width, depth forward (-y), depth backward (+y)
    and squareness; see ``shapes.Loft``.
    """
    nz, ny, nx = x.shape
    levels = table.shape[0]
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                f = (z[k, j, i] - z0) / dz
                f = min(max(f, 0.0), levels - 1.001)
                a = int(f)
                w = f - a
                xc = table[a, 0] + w * (table[a + 1, 0] - table[a, 0])
                yc = table[a, 1] + w * (table[a + 1, 1] - table[a, 1])
                half = table[a, 2] + w * (table[a + 1, 2] - table[a, 2])
                dx = x[k, j, i] - xc
                dy = y[k, j, i] - yc
                c = 3 if dy < 0 else 4
                depth = table[a, c] + w * (table[a + 1, c] - table[a, c])
                square = table[a, 5] + w * (table[a + 1, 5] - table[a, 5])
                u = dx / half
                v = dy / depth
                r2 = u * u + v * v + 1e-9
                rho = np.sqrt(r2) / (1.0 + square * 4.0 * u * u * v * v / (r2 * r2))
                r = np.sqrt(dx * dx + dy * dy)
                out[k, j, i] = r * (1.0 - 1.0 / max(rho, 1e-3)) if rho > 0.05 else -min(half, depth)


@njit(cache=True, nogil=True)
def upsample(lattice, start, step, out):
    """Evaluates a uniform cubic B-spline lattice on a regular grid.

    Voxel n of an axis lies at lattice position ``start + step * n``, which must keep one knot on its left and two on
    its right.
    """
    nz, ny, nx = out.shape
    lz, ly, lx = lattice.shape
    along_x = np.empty((lz, ly, nx), np.float32)
    weights = np.empty(4, np.float64)
    for i in range(nx):
        base = _spline(start[0] + step[0] * i, weights)
        for k in range(lz):
            for j in range(ly):
                s = 0.0
                for m in range(4):
                    s += weights[m] * lattice[k, j, base + m]
                along_x[k, j, i] = s
    along_y = np.empty((lz, ny, nx), np.float32)
    for j in range(ny):
        base = _spline(start[1] + step[1] * j, weights)
        w0, w1, w2, w3 = np.float32(weights[0]), np.float32(weights[1]), np.float32(weights[2]), np.float32(weights[3])
        for k in range(lz):
            for i in range(nx):
                along_y[k, j, i] = (
                    w0 * along_x[k, base, i]
                    + w1 * along_x[k, base + 1, i]
                    + w2 * along_x[k, base + 2, i]
                    + w3 * along_x[k, base + 3, i]
                )
    for k in range(nz):
        base = _spline(start[2] + step[2] * k, weights)
        w0, w1, w2, w3 = np.float32(weights[0]), np.float32(weights[1]), np.float32(weights[2]), np.float32(weights[3])
        for j in range(ny):
            for i in range(nx):
                out[k, j, i] = (
                    w0 * along_y[base, j, i]
                    + w1 * along_y[base + 1, j, i]
                    + w2 * along_y[base + 2, j, i]
                    + w3 * along_y[base + 3, j, i]
                )


@njit(cache=True, nogil=True, inline="always")
def _spline(position, weights):
    """Cubic B-spline weights at a lattice position; returns the first of the four knots."""
    base = int(np.floor(position))
    t = position - base
    weights[0] = (1 - t) ** 3 / 6.0
    weights[1] = (3 * t**3 - 6 * t * t + 4) / 6.0
    weights[2] = (-3 * t**3 + 3 * t * t + 3 * t + 1) / 6.0
    weights[3] = t**3 / 6.0
    return base - 1


@njit(cache=True, nogil=True)
def displace(points, lattices, origin, knot, out):
    """Evaluates a three-component cubic B-spline lattice at points, held at its border.

    Args:
        points: ``(N, 3)`` mm.
        lattices: ``(3, z, y, x)`` float32 knots of the components x, y, z; knot 2 of each axis lies at ``origin``.
        origin: ``(3,)`` mm.
        knot: Millimetres between knots.
        out: ``(N, 3)``, filled.
    """
    weights = np.empty((3, 4), np.float64)
    base = np.empty(3, np.int64)
    for n in range(points.shape[0]):
        for axis in range(3):
            last = lattices.shape[3 - axis] - 3.001
            position = min(max((points[n, axis] - origin[axis]) / knot + 2.0, 1.0), last)
            base[axis] = _spline(position, weights[axis])
        for c in range(3):
            total = 0.0
            for k in range(4):
                for j in range(4):
                    for i in range(4):
                        total += (
                            lattices[c, base[2] + k, base[1] + j, base[0] + i]
                            * weights[2, k]
                            * weights[1, j]
                            * weights[0, i]
                        )
            out[n, c] = total
