"""Compiled loops of cone-beam imaging: forward projection and voxel-driven back-projection.

The detector is a virtual one through the isocentre. At angle b the source is at ``D (cos b, sin b, 0)`` and detector
coordinates are u along ``(-sin b, cos b, 0)`` and v along z. Lengths are in mm about the isocentre.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def project(start, stop, volume, origin, spacing, angles, distance, us, vs, out):
    """Line integrals of two materials by Joseph's method, for views ``start`` to ``stop``.

    Joseph, IEEE Trans. Med. Imaging 1 (1982) 192-196: the ray is sampled on the planes of the axis it is most aligned
    with, bilinearly in the plane. All rays of one detector column cross a plane at the same x and y, so that the
    in-plane interpolation is done once for a whole column of voxels.

    Args:
        start: First view.
        stop: One past the last view.
        volume: ``(2, ny, nx, nz)`` float32, attenuation of two materials relative to water; it must reach above and
            below every ray.
        origin: Position (x, y, z) of voxel 0.
        spacing: Of the voxels (x, y, z).
        angles: ``(A,)`` radians.
        distance: Source to isocentre.
        us: ``(U,)`` detector columns.
        vs: ``(V,)`` detector rows.
        out: ``(A, U, V, 2)`` float32, mm of water, written.
    """
    _, ny, nx, nz = volume.shape
    n_v = vs.shape[0]
    column = np.empty((2, nz), np.float32)
    sums = np.empty((2, n_v), np.float32)
    for a in range(start, stop):
        c, s = np.cos(angles[a]), np.sin(angles[a])
        px, py = distance * c, distance * s
        for iu in range(us.shape[0]):
            dx = -px - us[iu] * s
            dy = -py + us[iu] * c
            along_x = abs(dx) / spacing[0] > abs(dy) / spacing[1]
            # index coordinates: n runs over planes, q is the other in-plane axis
            if along_x:
                n_planes, n_other = nx, ny
                p0, dp = (px - origin[0]) / spacing[0], dx / spacing[0]
                q0, dq = (py - origin[1]) / spacing[1], dy / spacing[1]
            else:
                n_planes, n_other = ny, nx
                p0, dp = (py - origin[1]) / spacing[1], dy / spacing[1]
                q0, dq = (px - origin[0]) / spacing[0], dx / spacing[0]
            slope = dq / dp
            base = q0 - p0 * slope
            lo, hi = 0.0, n_planes - 1.0
            if abs(slope) > 1e-9:
                e0, e1 = -base / slope, (n_other - 1.0 - base) / slope
                lo, hi = max(lo, min(e0, e1)), min(hi, max(e0, e1))
            elif base < 0 or base > n_other - 1:
                hi = -1.0
            sums[:] = 0.0
            for n in range(int(np.ceil(lo)), int(np.floor(hi)) + 1):
                q = base + slope * n
                iq = max(min(int(q), n_other - 2), 0)
                w = np.float32(q - iq)
                for m in range(2):
                    if along_x:
                        for k in range(nz):
                            column[m, k] = volume[m, iq, n, k] + w * (volume[m, iq + 1, n, k] - volume[m, iq, n, k])
                    else:
                        for k in range(nz):
                            column[m, k] = volume[m, n, iq, k] + w * (volume[m, n, iq + 1, k] - volume[m, n, iq, k])
                # height of the ray of row v at this plane: v times the share of the way to the detector
                scale = np.float32((n - p0) / dp / spacing[2])
                shift = np.float32(-origin[2] / spacing[2])
                for iv in range(n_v):
                    z = np.float32(vs[iv]) * scale + shift
                    iz = int(z)
                    wz = z - np.float32(iz)
                    sums[0, iv] += column[0, iz] + wz * (column[0, iz + 1] - column[0, iz])
                    sums[1, iv] += column[1, iz] + wz * (column[1, iz + 1] - column[1, iz])
            for iv in range(n_v):
                length = np.sqrt(dx * dx + dy * dy + vs[iv] * vs[iv]) / abs(dp)
                out[a, iu, iv, 0] = sums[0, iv] * length
                out[a, iu, iv, 1] = sums[1, iv] * length


@njit(cache=True, nogil=True)
def backproject(start, stop, filtered, angles, distance, u0, du, v0, dv, xs, ys, zs, radius, out):
    """Sums filtered projections into voxels with Feldkamp's weight ``1 / U**2``, for rows ``start`` to ``stop``.

    Args:
        start: First row.
        stop: One past the last row.
        filtered: ``(A, U, V)`` float32.
        angles: ``(A,)`` radians.
        distance: Source to isocentre.
        u0: First detector column.
        du: Column pitch.
        v0: First detector row.
        dv: Row pitch.
        xs: Voxel positions along x.
        ys: Along y.
        zs: Along z, ascending and regular.
        radius: Of the reconstructed cylinder.
        out: ``(len(ys), len(xs), len(zs))`` float32, added to.
    """
    n_u, n_v = filtered.shape[1], filtered.shape[2]
    nz = zs.shape[0]
    step = zs[1] - zs[0] if nz > 1 else 1.0
    for a in range(angles.shape[0]):
        c, s = np.cos(angles[a]), np.sin(angles[a])
        for j in range(start, stop):
            for i in range(xs.shape[0]):
                x, y = xs[i], ys[j]
                if x * x + y * y > radius * radius:
                    continue
                depth = (distance - x * c - y * s) / distance
                fu = ((y * c - x * s) / depth - u0) / du
                if fu < 0 or fu > n_u - 1:
                    continue
                iu = min(int(fu), n_u - 2)
                wu = np.float32(fu - iu)
                weight = np.float32(1.0 / (depth * depth))
                fv = (zs[0] / depth - v0) / dv
                dfv = step / depth / dv
                for k in range(nz):
                    v = min(max(fv + dfv * k, 0.0), n_v - 1.0)
                    iv = min(int(v), n_v - 2)
                    wv = np.float32(v - iv)
                    low = filtered[a, iu, iv] + wv * (filtered[a, iu, iv + 1] - filtered[a, iu, iv])
                    high = filtered[a, iu + 1, iv] + wv * (filtered[a, iu + 1, iv + 1] - filtered[a, iu + 1, iv])
                    out[j, i, k] += weight * (low + wu * (high - low))
