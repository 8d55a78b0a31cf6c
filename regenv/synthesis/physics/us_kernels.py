"""Compiled loops of the ultrasound model: serial over a range of lanes, without the global interpreter lock.

Beam arrays are ``[sweep, beam, depth]``. ``geometry`` holds shape (1 cylinder, 0 fan), inner and outer radius, half
angle, half sweep, the steps along sweep, beam and depth, and their counts; see ``us._Beams``.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numba import njit

SPECULAR = 70.0
"""Echo amplitude of a facing surface of reflection coefficient 1, against that of the reference's scatterers."""


@njit(cache=True, nogil=True)
def properties(start, stop, tissue, under, share, coarse, fine, table, out):
    """Backscatter amplitude, impedance and attenuation of every voxel (rows of ``out``)."""
    amplitude = np.empty(256, np.float32)
    for t in range(256):
        amplitude[t] = 10.0 ** (table[t, 0] / 20.0)
    neper = np.float32(np.log(10.0) / 20.0)
    for k in range(start, stop):
        for j in range(tissue.shape[1]):
            for i in range(tissue.shape[2]):
                a, b = tissue[k, j, i], under[k, j, i]
                w = np.float32(share[k, j, i]) * np.float32(1.0 / 255.0)
                v = np.float32(1.0) - w
                texture = (w * table[a, 3] + v * table[b, 3]) * coarse[k, j, i] + (
                    w * table[a, 4] + v * table[b, 4]
                ) * fine[k, j, i]
                out[0, k, j, i] = (w * amplitude[a] + v * amplitude[b]) * np.exp(neper * texture)
                out[1, k, j, i] = w * table[a, 1] + v * table[b, 1]
                out[2, k, j, i] = w * table[a, 2] + v * table[b, 2]


@njit(cache=True, nogil=True, inline="always")
def _cell(position, size):
    """Lower index and weight of the upper one, held at the border."""
    p = min(max(position, 0.0), size - 1.0)
    a = min(int(p), max(size - 2, 0))
    return a, min(a + 1, size - 1), np.float32(p - a)


@njit(cache=True, nogil=True)
def sample(start, stop, fields, to_index, to_world, geometry, lattice, lattice_matrix, out):
    """Reads fields ``(C, z, y, x)`` along all beams, where the tissue has been displaced to."""
    cylinder, inner, half_angle, half_sweep = geometry[0] > 0.5, geometry[1], geometry[3], geometry[4]
    n_beam, n_depth = out.shape[2], out.shape[3]
    moved = lattice.shape[1] > 1
    p = np.empty(3)
    q = np.empty(3)
    for s in range(start, stop):
        sweep = -half_sweep + s * geometry[5]
        for t in range(n_beam):
            angle = -half_angle + t * geometry[6]
            lateral, forward, aside = np.sin(angle), np.cos(angle), 0.0
            if not cylinder:
                aside, forward = forward * np.sin(sweep), forward * np.cos(sweep)
            for r in range(n_depth):
                radius = inner + r * geometry[7]
                a, d = lateral * radius, forward * radius
                e = sweep if cylinder else aside * radius
                for c in range(3):
                    p[c] = to_world[c, 0] * a + to_world[c, 1] * e + to_world[c, 2] * d + to_world[c, 3]
                if moved:
                    _shift(p, lattice, lattice_matrix, q)
                for c in range(3):
                    q[c] = to_index[c, 0] * p[0] + to_index[c, 1] * p[1] + to_index[c, 2] * p[2] + to_index[c, 3]
                i0, i1, u = _cell(q[0], fields.shape[3])
                j0, j1, v = _cell(q[1], fields.shape[2])
                k0, k1, w = _cell(q[2], fields.shape[1])
                for c in range(fields.shape[0]):
                    f = fields[c]
                    lower = f[k0, j0, i0] + u * (f[k0, j0, i1] - f[k0, j0, i0])
                    lower += v * (f[k0, j1, i0] + u * (f[k0, j1, i1] - f[k0, j1, i0]) - lower)
                    upper = f[k1, j0, i0] + u * (f[k1, j0, i1] - f[k1, j0, i0])
                    upper += v * (f[k1, j1, i0] + u * (f[k1, j1, i1] - f[k1, j1, i0]) - upper)
                    out[c, s, t, r] = lower + w * (upper - lower)


@njit(cache=True, nogil=True)
def _shift(p, lattice, matrix, q):
    """Adds the displacement at ``p`` to it; ``q`` is scratch."""
    for c in range(3):
        q[c] = matrix[c, 0] * p[0] + matrix[c, 1] * p[1] + matrix[c, 2] * p[2] + matrix[c, 3]
    i0, i1, u = _cell(q[0], lattice.shape[3])
    j0, j1, v = _cell(q[1], lattice.shape[2])
    k0, k1, w = _cell(q[2], lattice.shape[1])
    for c in range(3):
        f = lattice[c]
        lower = (1 - v) * ((1 - u) * f[k0, j0, i0] + u * f[k0, j0, i1])
        lower += v * ((1 - u) * f[k0, j1, i0] + u * f[k0, j1, i1])
        upper = (1 - v) * ((1 - u) * f[k1, j0, i0] + u * f[k1, j0, i1])
        upper += v * ((1 - u) * f[k1, j1, i0] + u * f[k1, j1, i1])
        p[c] += (1 - w) * lower + w * upper


@njit(cache=True, nogil=True)
def propagate(start, stop, sampled, geometry, tgc, speckle_gain, frequency, noise_db, wave):
    """Turns unit complex noise ``wave (2, ...)`` into the field of echoes before the point spread.

    ``sampled`` holds backscatter amplitude, impedance and attenuation; ``tgc`` the dB per MHz that the machine adds at
    every depth, and dB that do not depend on the frequency.
    """
    cylinder, inner, step = geometry[0] > 0.5, geometry[1], geometry[7]
    amplitude, impedance, attenuation = sampled[0], sampled[1], sampled[2]
    n_sweep, n_beam, n_depth = amplitude.shape
    neper = np.log(10.0) / 20.0
    for s in range(start, stop):
        s0, s1 = max(s - 1, 0), min(s + 1, n_sweep - 1)
        for t in range(n_beam):
            t0, t1 = max(t - 1, 0), min(t + 1, n_beam - 1)
            loss, haze = 0.0, 0.0
            for r in range(n_depth):
                radius = inner + r * step
                before, after = max(r - 1, 0), min(r + 1, n_depth - 1)
                z0, z1 = impedance[s, t, before], impedance[s, t, after]
                along = (z1 - z0) / (step * (after - before))
                across = (impedance[s, t1, r] - impedance[s, t0, r]) / (geometry[6] * radius * (t1 - t0))
                width = geometry[5] if cylinder else geometry[5] * radius
                aside = (impedance[s1, t, r] - impedance[s0, t, r]) / (width * (s1 - s0))
                slope2 = along * along + across * across + aside * aside
                reflection = abs(z1 - z0) / (z1 + z0)
                # facing surfaces shine, slanted ones still scatter a little from their roughness
                facing = along * along / slope2 if slope2 > 1e-12 else 0.0
                surface = SPECULAR * reflection * (0.12 + 0.88 * facing * facing)
                gain_db = tgc[0, r] * frequency + tgc[1, r]
                gain = np.exp(neper * (gain_db - loss))
                noise = np.exp(neper * (gain_db + noise_db))
                contact = 9.0 * np.exp(-(radius - inner) / 1.1)
                scatter = amplitude[s, t, r] * gain + haze + noise + contact
                scatter *= speckle_gain[r] * np.float32(0.70710678)
                wave[0, s, t, r] = wave[0, s, t, r] * scatter + surface * gain
                wave[1, s, t, r] *= scatter
                loss += 2.0 * attenuation[s, t, r] * frequency * step / 10.0
                here = abs(z1 - impedance[s, t, r]) / (z1 + impedance[s, t, r])
                # out and back through the next step's surface
                loss -= 20.0 * np.log10(max(1.0 - here * here, 1e-3))
                # gas rings: a dirty shadow that fades
                haze *= np.exp(-step / 9.0)
                if reflection > 0.7:
                    haze = max(haze, 0.35 * gain)


@njit(cache=True, nogil=True)
def blur_within(start, stop, wave, axial, lateral, out):
    """Pulse along depth and beam across beams, for both parts of the complex field."""
    n_beam, n_depth = wave.shape[2], wave.shape[3]
    reach, wide = len(axial) // 2, lateral.shape[0] // 2
    plane = np.empty((n_beam, n_depth), np.float32)
    for c in range(2):
        for s in range(start, stop):
            for t in range(n_beam):
                for r in range(n_depth):
                    total = np.float32(0.0)
                    for m in range(-reach, reach + 1):
                        total += axial[m + reach] * wave[c, s, t, min(max(r + m, 0), n_depth - 1)]
                    plane[t, r] = total
            for t in range(n_beam):
                for r in range(n_depth):
                    out[c, s, t, r] = 0.0
                for m in range(-wide, wide + 1):
                    u = min(max(t + m, 0), n_beam - 1)
                    for r in range(n_depth):
                        out[c, s, t, r] += lateral[m + wide, r] * plane[u, r]


@njit(cache=True, nogil=True)
def blur_across(start, stop, wave, elevational, envelope):
    """Beam along the sweep; adds the envelope of the complex field to ``envelope``."""
    n_sweep, n_beam, n_depth = envelope.shape
    wide = elevational.shape[0] // 2
    re = np.empty(n_depth, np.float32)
    im = np.empty(n_depth, np.float32)
    for s in range(start, stop):
        for t in range(n_beam):
            re[:] = 0.0
            im[:] = 0.0
            for m in range(-wide, wide + 1):
                u = min(max(s + m, 0), n_sweep - 1)
                for r in range(n_depth):
                    re[r] += elevational[m + wide, r] * wave[0, u, t, r]
                    im[r] += elevational[m + wide, r] * wave[1, u, t, r]
            for r in range(n_depth):
                envelope[s, t, r] += np.sqrt(re[r] * re[r] + im[r] * im[r])


@njit(cache=True, nogil=True)
def compress(start, stop, envelope, looks, compression, out):
    """The mean envelope over about a voxel's depth, compressed logarithmically to 0..255."""
    n_beam, n_depth = envelope.shape[1], envelope.shape[2]
    level, span = compression[0], compression[1]
    for s in range(start, stop):
        for t in range(n_beam):
            for r in range(n_depth):
                e = 0.5 * envelope[s, t, r]
                e += 0.25 * (envelope[s, t, max(r - 1, 0)] + envelope[s, t, min(r + 1, n_depth - 1)])
                db = 20.0 * np.log10(e / looks + 1e-6)
                out[s, t, r] = min(max(255.0 * (level + db / span), 0.0), 255.0)


@njit(cache=True, nogil=True, inline="always")
def _beam_position(x, y, z, m, cylinder):
    """Sweep, angle and radius of a voxel index."""
    a = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]
    e = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]
    d = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
    if cylinder:
        return e, np.arctan2(a, d), np.sqrt(a * a + d * d)
    forward = np.sqrt(e * e + d * d)
    # behind the centre of curvature is no sector
    angle = np.arctan2(a, forward) if d > 0 else 10.0
    return np.arctan2(e, d), angle, np.sqrt(a * a + forward * forward)


@njit(cache=True, nogil=True)
def scan_convert(start, stop, pixels, geometry, matrix, out):
    """Beams to voxels, linearly; voxels outside the sector are left as they are."""
    cylinder, inner, outer = geometry[0] > 0.5, geometry[1], geometry[2]
    half_angle, half_sweep = geometry[3], geometry[4]
    for k in range(start, stop):
        for j in range(out.shape[1]):
            for i in range(out.shape[2]):
                sweep, angle, radius = _beam_position(i, j, k, matrix, cylinder)
                if radius < inner or radius > outer or abs(angle) > half_angle or abs(sweep) > half_sweep:
                    continue
                s0, s1, w = _cell((sweep + half_sweep) / geometry[5], pixels.shape[0])
                t0, t1, v = _cell((angle + half_angle) / geometry[6], pixels.shape[1])
                r0, r1, u = _cell((radius - inner) / geometry[7], pixels.shape[2])
                lower = (1 - v) * ((1 - u) * pixels[s0, t0, r0] + u * pixels[s0, t0, r1])
                lower += v * ((1 - u) * pixels[s0, t1, r0] + u * pixels[s0, t1, r1])
                upper = (1 - v) * ((1 - u) * pixels[s1, t0, r0] + u * pixels[s1, t0, r1])
                upper += v * ((1 - u) * pixels[s1, t1, r0] + u * pixels[s1, t1, r1])
                out[k, j, i] = (1 - w) * lower + w * upper


@njit(cache=True, nogil=True)
def sector(start, stop, geometry, matrix, out):
    """1 where a voxel lies in the sector."""
    cylinder = geometry[0] > 0.5
    for k in range(start, stop):
        for j in range(out.shape[1]):
            for i in range(out.shape[2]):
                sweep, angle, radius = _beam_position(i, j, k, matrix, cylinder)
                inside = geometry[1] <= radius <= geometry[2]
                if inside and abs(angle) <= geometry[3] and abs(sweep) <= geometry[4]:
                    out[k, j, i] = 1
