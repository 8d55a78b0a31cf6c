"""Compiled loops of cone-beam imaging: forward projection and voxel-driven back-projection.

The detector is a virtual one through the isocentre. At angle b the source is at ``D (cos b, sin b, 0)`` and detector
coordinates are u along ``(-sin b, cos b, 0)`` and v along z. Lengths are in mm about the isocentre.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, fastmath=True)
def project(start, stop, volume, origin, spacing, angles, distance, us, vs, out):  # type: ignore[no-untyped-def]
    """Line integrals of two materials by Joseph's method, for views ``start`` to ``stop``.

    Joseph, IEEE Trans. Med. Imaging 1 (1982) 192-196: the ray is sampled on the planes of the axis it is most aligned
    with, bilinearly in the plane. Above and below the volume its end slices are held, as the patient goes on.

    Args:
        start: First view.
        stop: One past the last view.
        volume: ``(nz, ny, nx, 2)`` float32, attenuation relative to water of two materials.
        origin: Position (x, y, z) of voxel 0.
        spacing: Of the voxels (x, y, z).
        angles: ``(A,)`` radians.
        distance: Source to isocentre.
        us: ``(U,)`` detector columns.
        vs: ``(V,)`` detector rows.
        out: ``(A, U, V, 2)`` float32, mm of water, written.
    """
    nz, ny, nx = volume.shape[:3]
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
            first, last = int(np.ceil(lo)), int(np.floor(hi))
            for iv in range(vs.shape[0]):
                rise = vs[iv] / spacing[2] / dp
                z_base = -origin[2] / spacing[2] - p0 * rise
                sum0 = np.float32(0.0)
                sum1 = np.float32(0.0)
                for n in range(first, last + 1):
                    q = base + slope * n
                    iq = min(int(q), n_other - 2)
                    wq = np.float32(q - iq)
                    zz = min(max(z_base + rise * n, 0.0), nz - 1.0)
                    iz = min(int(zz), nz - 2)
                    wz = np.float32(zz - iz)
                    w11 = wq * wz
                    w10 = wz - w11
                    w01 = wq - w11
                    w00 = np.float32(1.0) - wq - wz + w11
                    if along_x:
                        sum0 += (
                            w00 * volume[iz, iq, n, 0]
                            + w01 * volume[iz, iq + 1, n, 0]
                            + w10 * volume[iz + 1, iq, n, 0]
                            + w11 * volume[iz + 1, iq + 1, n, 0]
                        )
                        sum1 += (
                            w00 * volume[iz, iq, n, 1]
                            + w01 * volume[iz, iq + 1, n, 1]
                            + w10 * volume[iz + 1, iq, n, 1]
                            + w11 * volume[iz + 1, iq + 1, n, 1]
                        )
                    else:
                        sum0 += (
                            w00 * volume[iz, n, iq, 0]
                            + w01 * volume[iz, n, iq + 1, 0]
                            + w10 * volume[iz + 1, n, iq, 0]
                            + w11 * volume[iz + 1, n, iq + 1, 0]
                        )
                        sum1 += (
                            w00 * volume[iz, n, iq, 1]
                            + w01 * volume[iz, n, iq + 1, 1]
                            + w10 * volume[iz + 1, n, iq, 1]
                            + w11 * volume[iz + 1, n, iq + 1, 1]
                        )
                length = np.sqrt(dx * dx + dy * dy + vs[iv] * vs[iv]) / abs(dp)
                out[a, iu, iv, 0] = sum0 * length
                out[a, iu, iv, 1] = sum1 * length


@njit(cache=True, nogil=True, fastmath=True)
def backproject(start, stop, filtered, angles, distance, u0, du, v0, dv, xs, ys, zs, radius, out):  # type: ignore[no-untyped-def]
    """Sums filtered projections into voxels with the weight ``1 / U**2`` of Feldkamp et al., for rows ``start`` to ``stop``.

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
