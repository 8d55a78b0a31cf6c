"""Folding of the cortex: furrows are the zero set of a random field of narrow bandwidth, which winds as gyri do.

A band-passed random field has a zero set of nearly even spacing that branches, bends and ends (a labyrinth). The field
is read at points pushed outward from an axis in the middle of the hemisphere, so that the sheets where it vanishes
stand nearly upright on the surface, and sheets reach as deep as a second, slower field says.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy import folds_kernels as kernels

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
    kernels.furrows(
        x, y, z, depth, template_lattice(), np.array(shift, np.int64), own, width_mm, spacing, _KNOT_MM, surface, layer
    )
    return surface, layer
