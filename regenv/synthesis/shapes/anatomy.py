"""Random anatomies: label maps of nested structures that no patient has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.data.frames import random_rotation

VERSION = 1
"""Part of every cache key: raise it when the numbers made here change."""

SIZE = 96
"""Voxels along each axis of an anatomy."""

LABELS = 40
"""Label values; 0 is air around the body, :data:`TABLE` an object outside the body seen in one image only."""

TABLE = LABELS - 1

FloatVolume = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What there is to see.

    Attributes:
        labels: ``(SIZE, SIZE, SIZE)`` uint8 label map, ``[z, y, x]``.
        texture: int8 of the same shape, zero mean, standard deviation about 32: variation inside the labels.
        intensities: ``(LABELS,)`` in [0, 1], how a real scanner would show each label, or None where none would.
    """

    labels: NDArray[np.uint8]
    texture: NDArray[np.int8]
    intensities: NDArray[np.float32] | None = None


def _band_noise(rng: np.random.Generator, wavelength: float, width: float = 0.35) -> FloatVolume:
    """Unit-variance Gaussian noise whose wavelengths (voxels) lie around ``wavelength``."""
    from scipy.fft import irfftn, rfftn

    n = SIZE
    f = np.fft.fftfreq(n).astype(np.float32)
    r = np.sqrt(f[:, None, None] ** 2 + f[None, :, None] ** 2 + np.fft.rfftfreq(n).astype(np.float32) ** 2)
    centre = 1.0 / wavelength
    gain = np.exp(-0.5 * ((r - centre) / (width * centre)) ** 2)
    noise = rfftn(rng.standard_normal((n, n, n), dtype=np.float32))
    volume = irfftn(noise * gain, s=(n, n, n)).astype(np.float32)
    return (volume / max(float(volume.std()), 1e-6)).astype(np.float32)


def _ellipsoid_radius(
    rng: np.random.Generator, centre: NDArray[np.float64], axes: NDArray[np.float64], power: float, rotate: bool
) -> FloatVolume:
    """Superquadric radius (1 on the surface) over the cube [-1, 1]^3."""
    line = np.linspace(-1, 1, SIZE, dtype=np.float32)
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    rotation = random_rotation(3, rng) if rotate else np.eye(3)
    total = np.zeros_like(x)
    for row, axis in zip(rotation, axes, strict=True):
        u = row[0] * (x - centre[0]) + row[1] * (y - centre[1]) + row[2] * (z - centre[2])
        total += np.abs(u / axis).astype(np.float32) ** power
    return np.power(total, np.float32(1 / power), dtype=np.float32)


def _structure(rng: np.random.Generator) -> NDArray[np.bool_]:
    """A fine pattern: blobs, folded sheets (cortex-like) or tubes (vessel-like)."""
    kind = rng.integers(3)
    wavelength = rng.uniform(7, 18)
    first = _band_noise(rng, wavelength)
    if kind == 0:
        return first > rng.uniform(0.3, 1.4)
    if kind == 1:
        return np.abs(first) < rng.uniform(0.2, 0.5)
    return first**2 + _band_noise(rng, wavelength) ** 2 < rng.uniform(0.15, 0.5)


def _chain(rng: np.random.Generator, labels: NDArray[np.uint8], value: int) -> None:
    """A spine-like chain of blocks along a slightly curved line, in place."""
    axis = int(rng.integers(3))
    n = SIZE
    period = int(rng.integers(9, 15))
    gap = int(rng.integers(2, 4))
    half = rng.integers(5, 10, 2)
    centre = n / 2 + rng.uniform(-20, 20, 2)
    bend = rng.uniform(-8, 8, 2)
    volume = np.moveaxis(labels, axis, 0)
    for i in range(n):
        if i % period < gap:
            continue
        middle = centre + bend * np.sin(np.pi * i / n)
        lo = np.maximum((middle - half).astype(int), 0)
        hi = np.minimum((middle + half).astype(int), n)
        volume[i, lo[0] : hi[0], lo[1] : hi[1]] = value


def make_anatomy(seed: int) -> Anatomy:
    """Draws an anatomy; the same seed gives the same one."""
    rng = np.random.default_rng([VERSION, seed])
    wide = rng.random() < 0.3  # a body wider than the volume: no air on most sides, as inside a chest
    axes = rng.uniform(0.9, 1.6, 3) if wide else rng.uniform(0.5, 0.95, 3)
    radius = _ellipsoid_radius(rng, rng.uniform(-0.1, 0.1, 3), axes, rng.uniform(1.8, 4.0), rng.random() < 0.7)
    radius += rng.uniform(0.02, 0.12) * _band_noise(rng, rng.uniform(30, 60))

    fields = [_band_noise(rng, rng.uniform(22, 70)) for _ in range(int(rng.integers(3, 8)))]
    labels = (np.argmax(np.stack(fields), axis=0) + 1).astype(np.uint8)
    following = len(fields) + 1
    for value in range(1, len(fields) + 1):  # some regions carry a fine pattern of their own
        if rng.random() < 0.45:
            labels[(labels == value) & _structure(rng)] = following
            following += 1
    for _ in range(int(rng.integers(3, 12))):
        size = rng.uniform(0.06, 0.38) * rng.uniform(0.6, 1.5, 3)
        organ = _ellipsoid_radius(rng, rng.uniform(-0.7, 0.7, 3), size, rng.uniform(1.6, 4), True)
        if rng.random() < 0.6:
            organ += rng.uniform(0.05, 0.3) * _band_noise(rng, rng.uniform(14, 40))
        labels[organ < 1] = following
        if rng.random() < 0.25:  # a wall
            labels[(organ < 1) & (organ > 0.8)] = following + 1
        following = following + 2 if following < LABELS - 10 else LABELS - 12
    if rng.random() < 0.35:
        _chain(rng, labels, LABELS - 9)
    if rng.random() < 0.3:  # structure through everything: vessels, airways
        tubes = _band_noise(rng, 24.0) ** 2 + _band_noise(rng, 24.0) ** 2 < rng.uniform(0.03, 0.12)
        labels[tubes] = LABELS - 8
    depth = 1.0 - radius
    level = 0.0
    for shell in range(int(rng.integers(0, 4))):  # skin, fat, bone, fluid
        thickness = rng.uniform(0.03, 0.12)
        wobble = 1 + 0.3 * _band_noise(rng, 30.0)
        labels[(depth > level) & (depth <= level + thickness * wobble)] = LABELS - 7 + shell
        level += thickness
    labels[depth <= 0] = 0
    if rng.random() < 0.4:
        _plate(rng, labels)
    texture = np.zeros((SIZE,) * 3, np.float32)
    for wavelength in (5.0, 9.0, 18.0, 36.0):
        texture += rng.uniform(0.2, 1.0) * _band_noise(rng, wavelength)
    texture *= 32.0 / texture.std()
    return Anatomy(labels, np.clip(texture, -127, 127).astype(np.int8))


def _plate(rng: np.random.Generator, labels: NDArray[np.uint8]) -> None:
    """A table beside the body, in place."""
    volume = np.moveaxis(labels, int(rng.integers(3)), 0)
    if rng.random() < 0.5:
        volume = volume[::-1]
    start = int(rng.integers(2, 20))
    slab = volume[
        start : start + int(rng.integers(2, 5)), :, int(rng.integers(0, 25)) : SIZE - int(rng.integers(0, 25))
    ]
    slab[slab == 0] = TABLE
