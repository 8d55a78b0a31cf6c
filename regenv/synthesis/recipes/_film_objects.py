"""What lies on some chest films but in no anatomy: nodules, devices, leads, jewellery, clips, letters of lead."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray

Floats = NDArray[np.float32]

# strokes of the letters, mm
_LETTERS = {
    "L": (((0, 0), (0, 14)), ((0, 14), (9, 14))),
    "R": (((0, 0), (0, 14)), ((0, 0), (9, 3)), ((9, 3), (0, 7)), ((0, 7), (9, 14))),
}


def add_objects(
    soft: Floats, bone: Floats, lungs: NDArray[np.bool_], pixel_mm: float, rng: np.random.Generator
) -> None:
    """Adds, in place, what belongs to one patient or one film alone.

    Args:
        soft: ``(H, W)`` mm of water.
        bone: ``(H, W)`` mm of water that dense things are worth.
        lungs: Lung fields, in which nodules lie.
        pixel_mm: Size of a pixel.
        rng: Draws them.
    """
    height, width = soft.shape
    y, x = np.mgrid[:height, :width].astype(np.float32) * np.float32(pixel_mm)
    extent = np.array([width, height]) * pixel_mm
    rows = np.argwhere(lungs)
    for _ in range(int(rng.poisson(0.6)) if len(rows) else 0):
        cy, cx = rows[rng.integers(len(rows))] * pixel_mm
        radius = float(rng.uniform(4, 14))
        soft += np.float32(1.6 * radius) * np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) / (0.8 * radius**2)))
    for draw, share in ((_pacemaker, 0.12), (_electrodes, 0.18), (_medal, 0.10), (_clips, 0.10), (_letter, 0.6)):
        if rng.random() < share:
            draw(bone, x, y, extent, rng)


def _pacemaker(bone: Floats, x: Floats, y: Floats, extent: FloatArray, rng: np.random.Generator) -> None:
    """A can under a clavicle, and a lead to the heart."""
    side = float(rng.choice([-1, 1]))
    can = extent * [0.5 + side * rng.uniform(0.22, 0.30), rng.uniform(0.20, 0.32)]
    bone += 60.0 * _disc(x, y, can, (float(rng.uniform(18, 24)), float(rng.uniform(14, 19))))
    vein = extent * [0.5 + side * 0.05, rng.uniform(0.2, 0.3)]
    tip = extent * [rng.uniform(0.52, 0.62), rng.uniform(0.60, 0.70)]
    bone += 9.0 * _wire(x, y, [can, vein, extent * [0.47, 0.45], tip], 0.9)


def _electrodes(bone: Floats, x: Floats, y: Floats, extent: FloatArray, rng: np.random.Generator) -> None:
    """Two to four electrodes on the skin, with their leads."""
    for _ in range(int(rng.integers(2, 5))):
        at = extent * rng.uniform([0.15, 0.15], [0.85, 0.8])
        bone += 14.0 * _disc(x, y, at, (5.0, 5.0))
        bone += 3.5 * _wire(x, y, [at, at + rng.normal(0, 40, 2), extent * [rng.uniform(0.1, 0.9), 0.98]], 0.8)


def _medal(bone: Floats, x: Floats, y: Floats, extent: FloatArray, rng: np.random.Generator) -> None:
    """A medal on its chain."""
    at = extent * [rng.uniform(0.45, 0.55), rng.uniform(0.28, 0.40)]
    bone += 40.0 * _disc(x, y, at, (6.0, 7.0))
    for side in (-1, 1):
        bone += 5.0 * _wire(x, y, [at, extent * [0.5 + side * 0.10, 0.02]], 0.6)


def _clips(bone: Floats, x: Floats, y: Floats, extent: FloatArray, rng: np.random.Generator) -> None:
    """Surgical clips."""
    for _ in range(int(rng.integers(3, 8))):
        at = extent * rng.uniform([0.3, 0.3], [0.7, 0.8])
        bone += 18.0 * _wire(x, y, [at, at + rng.normal(0, 5, 2)], 0.7)


def _letter(bone: Floats, x: Floats, y: Floats, extent: FloatArray, rng: np.random.Generator) -> None:
    """The letter of a side, at an upper edge."""
    at = extent * [float(rng.choice([0.06, 0.90])), rng.uniform(0.05, 0.2)]
    for a, b in _LETTERS[str(rng.choice(["L", "R"]))]:
        bone += 70.0 * _wire(x, y, [at + np.array(a), at + np.array(b)], 1.6)


def _disc(x: Floats, y: Floats, at: FloatArray, radii: tuple[float, float]) -> Floats:
    """1 inside an ellipse, 0 outside, over about a pixel."""
    rho = np.sqrt(((x - at[0]) / radii[0]) ** 2 + ((y - at[1]) / radii[1]) ** 2)
    cover: Floats = np.clip(0.5 - (rho - 1) * min(radii) / 2.4, 0, 1).astype(np.float32)
    return cover


def _wire(x: Floats, y: Floats, points: list[FloatArray], half_mm: float) -> Floats:
    """Share of each pixel that a bent wire of half width ``half_mm`` covers, about."""
    from regenv.synthesis.anatomy.shapes import catmull_rom

    line = catmull_rom(np.array(points, float), 8)
    best = np.full(x.shape, np.inf, np.float32)
    for (ax, ay), (bx, by) in zip(line[:-1], line[1:], strict=True):
        t = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2 + 1e-9), 0, 1)
        best = np.minimum(best, np.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay)))
    cover: Floats = (min(1.0, half_mm / 1.2) * np.exp(-0.5 * (best / np.hypot(half_mm, 1.0)) ** 2)).astype(np.float32)
    return cover
