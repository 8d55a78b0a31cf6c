"""Pictures of an anatomy: random contrast, and what scanners do to an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.shapes.anatomy import LABELS, SIZE, TABLE, Anatomy, FloatVolume
from regenv.synthesis.shapes.kernels import paint, smooth


@dataclass(frozen=True, eq=False)
class Acquisition:
    """A picture of an anatomy.

    Attributes:
        array: float32 intensities in [0, 1] on a grid that may be coarser along one axis.
        scale: ``(3,)`` voxels of ``array`` per voxel of the anatomy, along (x, y, z).
        shift: ``(3,)`` with index = scale * anatomy index + shift.
        low: ``(3,)`` first anatomy index of the field of view, (x, y, z).
        high: ``(3,)`` last anatomy index of the field of view.
        cylinder: ``(axis, centre_u, centre_v, radius)`` in anatomy voxels; a radius of 0 means none.
        background: Value outside.
    """

    array: FloatVolume
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    cylinder: NDArray[np.float64]
    background: float

    def shows(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which anatomy indices ``(N, 3)`` lie in the field of view."""
        inside: NDArray[np.bool_] = np.all((points >= self.low) & (points < self.high), axis=1)
        axis, u, v, radius = self.cylinder
        if radius > 0:
            across = [a for a in range(3) if a != int(axis)]
            inside &= np.hypot(points[:, across[0]] - u, points[:, across[1]] - v) < radius
        return inside


def _gaussian(sigma: float) -> FloatVolume:
    half = max(1, int(np.ceil(2.2 * sigma)))
    taps = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    return (taps / taps.sum()).astype(np.float32)


@dataclass(eq=False)
class Pools:
    """Noise drawn once and read at random places: drawing a million normals per picture costs more than the picture."""

    white: FloatVolume
    smooth: FloatVolume
    streaks: FloatVolume


def make_pools(seed: int) -> Pools:
    """The pools of a seed."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal(1 << 21, dtype=np.float32)
    smooth = np.convolve(white, _gaussian(1.2), "same").astype(np.float32)
    smooth /= smooth.std()
    line = np.arange(SIZE, dtype=np.float32) - SIZE / 2
    y, x = np.meshgrid(line, line, indexing="ij")
    streaks = np.zeros((24, SIZE, SIZE), np.float32)
    for pattern in streaks:
        for _ in range(int(rng.integers(6, 40))):
            angle, offset = rng.uniform(0, np.pi), rng.uniform(-40, 40)
            distance = x * np.cos(angle) + y * np.sin(angle) - offset
            pattern += rng.standard_normal() * np.exp(-0.5 * (distance / rng.uniform(0.7, 2.5)) ** 2)
        if rng.random() < 0.5:  # rings
            r = np.hypot(x, y)
            pattern += rng.standard_normal() * np.sin(r * rng.uniform(0.4, 2.0) + rng.uniform(0, 6)) * 0.7
        pattern /= pattern.std() + 1e-6
    return Pools(white, smooth, streaks)


def draw_contrasts(
    rng: np.random.Generator, intensities: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Intensity tables ``(2, LABELS)`` and texture gains ``(2, LABELS)`` for the two images of a pair.

    Where the anatomy has ``intensities``, half of the pairs show these, a little changed.

    Between the images the tables are related by nothing, by a smooth monotone curve, or by an arbitrary smooth curve
    (inversion among them), each with some labels changed and some edges lost.
    """
    first = rng.random(LABELS)
    if rng.random() < 0.3:  # few grey levels: many edges lost
        first = np.round(first * rng.integers(2, 6)) / 5
    kind = rng.random()
    if kind < 0.4:
        second = rng.random(LABELS)
    elif kind < 0.75:
        second = first ** rng.uniform(0.5, 2.0)
        if rng.random() < 0.15:
            second = 1 - second
    else:
        knots = rng.random(5)
        second = np.interp(first, np.linspace(0, 1, 5), knots)
    if kind >= 0.4:
        changed = rng.random(LABELS) < rng.choice([0.0, 0.1, 0.3])
        second = np.where(changed, rng.random(LABELS), second) + rng.normal(0, 0.03, LABELS)
    tables = np.stack([first, second])
    real = intensities is not None and rng.random() < 0.5
    if intensities is not None and real:
        tables = intensities + rng.normal(0, 0.02, (2, LABELS)) + rng.normal(0, 0.02, LABELS)
        tables = tables * rng.uniform(0.85, 1.1, (2, 1)) + rng.uniform(-0.03, 0.03, (2, 1))
    for table in tables:
        if real:
            break
        if rng.random() < 0.35:  # neighbouring structures of equal intensity
            merged = rng.integers(1, LABELS, int(rng.integers(2, 14)))
            table[merged] = table[merged[0]]
        air = rng.uniform(-0.1, 0.05) if rng.random() < 0.85 else rng.uniform(0, 1)
        table[0] = air
        if rng.random() < 0.5:
            table[TABLE] = air
        if rng.random() < 0.15:  # shells invisible, as skull and fat in diffusion images
            table[LABELS - 7 : LABELS - 3] = air
    gains = np.zeros((2, LABELS))
    if rng.random() < 0.7:
        shared = rng.normal(0, 0.08, LABELS) * rng.random()
        gains[0] = shared
        gains[1] = shared * rng.choice([1.0, 0.6, 0.0, -0.7, 0.3])
    gains[:, 0] = 0
    return tables.astype(np.float32), (gains / 32.0).astype(np.float32)


def acquire(
    anatomy: Anatomy,
    table: NDArray[np.float32],
    gain: NDArray[np.float32],
    rng: np.random.Generator,
    pools: Pools,
    voxel_mm: float,
) -> Acquisition:
    """Takes a picture: contrast, bias, noise, streaks, blur, thick slices, window, field of view."""
    n = SIZE
    out = np.empty((n, n, n), np.float32)
    bias = rng.normal(0, 1, 9).astype(np.float32) * (rng.uniform(0, 0.2) if rng.random() < 0.6 else 0.0)
    noise = pools.white if rng.random() < 0.5 else pools.smooth
    noise_gain = rng.uniform(0, 0.12) ** 1.3 if rng.random() < 0.8 else 0.0
    streak_gain = rng.uniform(0.01, 0.08) if rng.random() < 0.2 else 0.0
    streak = pools.streaks[rng.integers(len(pools.streaks))]
    paint(
        anatomy.labels, anatomy.texture, table, gain, bias, noise, int(rng.integers(noise.size - n)),
        np.float32(noise_gain), streak, np.float32(streak_gain), out,
    )  # fmt: skip
    cylinder = np.zeros(4)
    if rng.random() < 0.25:
        cylinder[:] = (rng.integers(3), *(n / 2 + rng.uniform(-8, 8, 2)), rng.uniform(75, 130) / voxel_mm)
    background = float(table[0]) if rng.random() < 0.9 else float(rng.random())
    low, high = _field_of_view(rng, voxel_mm)
    out, scale, shift = _blur_and_slice(out, rng, voxel_mm)
    lo, hi = np.percentile(out[::5, ::5, ::5], [rng.uniform(0, 2), rng.uniform(98, 100)])
    if rng.random() < 0.25:  # a narrow window saturates, as CT's does
        lo, hi = lo + rng.uniform(0, 0.3) * (hi - lo), hi - rng.uniform(0, 0.3) * (hi - lo)
    span = max(hi - lo, 1e-3)
    out -= np.float32(lo)
    out *= np.float32(1 / span)
    np.clip(out, 0, 1, out=out)
    background = float(np.clip((background - lo) / span, 0, 1))
    return Acquisition(out, scale, shift, low, high, cylinder, background)


def _field_of_view(rng: np.random.Generator, voxel_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = np.full(3, -0.5), np.full(3, SIZE - 0.5)
    if rng.random() < 0.45:
        for axis in range(3):
            if rng.random() < 0.5:
                extent = rng.uniform(100, 240) / voxel_mm
                centre = SIZE / 2 + rng.uniform(-20, 20) / voxel_mm
                low[axis] = max(low[axis], centre - extent / 2)
                high[axis] = min(high[axis], centre + extent / 2)
    return low, high


def _blur_and_slice(
    volume: FloatVolume, rng: np.random.Generator, voxel_mm: float
) -> tuple[FloatVolume, NDArray[np.float64], NDArray[np.float64]]:
    scale, shift = np.ones(3), np.zeros(3)
    if rng.random() < 0.55:
        kernel = _gaussian(rng.uniform(0.4, 2.5) / voxel_mm)
        for axis in range(3):
            blurred = np.empty_like(volume)
            smooth(volume, axis, kernel, 1, blurred)
            volume = blurred
    if rng.random() < 0.45:  # thick slices
        axis = int(rng.integers(3))
        stride = max(2, round(rng.uniform(3.0, 7.5) / voxel_mm))
        shape = list(volume.shape)
        shape[axis] = (SIZE - 1) // stride + 1
        sliced = np.empty(shape, np.float32)
        smooth(volume, axis, _gaussian(stride * rng.uniform(0.3, 0.5)), stride, sliced)
        volume = sliced
        scale[2 - axis] = 1.0 / stride
    return volume, scale, shift
