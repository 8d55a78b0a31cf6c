"""Surfaces of label maps as area-weighted points, for distances in mm that do not depend on the voxel's shape.

The surface of a binary image runs through the middles of the edges between inside and outside voxels (marching cubes,
Lorensen and Cline 1987; marching squares in 2-D). Each cell of 2x2(x2) voxels that the surface crosses gives one
element: its area-weighted centroid, and its area in mm^2 (length in mm in 2-D). Areas of curved surfaces come out 5 to
10 % large, as with all marching cubes on binary images; as weights they serve.
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points


def _corner_offsets(ndim: int) -> NDArray[np.int64]:
    """``(2**d, d)`` corners of a cell as ``(x, y[, z])`` offsets; corner ``c`` has bit ``k`` set along axis ``k``."""
    return np.array([[(corner >> axis) & 1 for axis in range(ndim)] for corner in range(2**ndim)])


def _face_segments(ndim: int, code: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Pieces of the outline on each square face of a cell, each between two crossed edges (pairs of corners).

    Where the two inside corners of a face are opposite each other, they are kept apart, in both cells that share the
    face alike, so that the surface is closed.
    """
    segments = []
    for first, second in combinations(range(ndim), 2):
        others = [axis for axis in range(ndim) if axis not in (first, second)]
        for side in range(2 ** len(others)):
            base = sum(((side >> i) & 1) << axis for i, axis in enumerate(others))
            ring = [base, base | 1 << first, base | 1 << first | 1 << second, base | 1 << second]
            inside = [bool(code >> corner & 1) for corner in ring]
            # Edge i joins corner i of the ring to corner i + 1, which is corner i - 3.
            edges = [(min(ring[i], ring[i - 3]), max(ring[i], ring[i - 3])) for i in range(4)]
            crossed = [i for i in range(4) if inside[i] != inside[i - 3]]
            if len(crossed) == 2:
                segments.append((edges[crossed[0]], edges[crossed[1]]))
            elif len(crossed) == 4:  # cut off each inside corner by the two edges that meet in it
                segments += [(edges[i - 1], edges[i]) for i in range(4) if inside[i]]
    return segments


@cache
def _facets(ndim: int) -> tuple[tuple[NDArray[np.float64], ...], ...]:
    """Facets of the surface in each of the ``2**2**d`` cells, in cell coordinates: ``(d, d)`` vertices each."""
    corners = _corner_offsets(ndim)

    def middle(edge: tuple[int, int]) -> NDArray[np.float64]:
        return (corners[edge[0]] + corners[edge[1]]) / 2

    table = []
    for code in range(2 ** len(corners)):
        segments = _face_segments(ndim, code)
        if ndim == 2:
            table.append(tuple(np.array([middle(a), middle(b)]) for a, b in segments))
            continue
        facets = []
        while segments:  # follow the outline from face to face until it closes, then fan it about its middle
            loop = list(segments.pop())
            while loop[0] != loop[-1]:
                following = next(s for s in segments if loop[-1] in s)
                segments.remove(following)
                loop.append(following[1] if following[0] == loop[-1] else following[0])
            vertices = [middle(edge) for edge in loop]
            centre = np.mean(vertices[:-1], axis=0)
            facets += [np.array([centre, a, b]) for a, b in pairwise(vertices)]
        table.append(tuple(facets))
    return tuple(table)


@lru_cache(maxsize=16)
def _elements(spacing: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Area ``(codes,)`` in mm^(d-1) and centroid ``(codes, d)`` in cell coordinates for each cell code."""
    ndim = len(spacing)
    table = _facets(ndim)
    areas = np.zeros(len(table))
    centroids = np.full((len(table), ndim), 0.5)
    for code, facets in enumerate(table):
        if not facets:
            continue
        vertices = np.stack(facets)
        edges = (vertices[:, 1:] - vertices[:, :1]) * np.asarray(spacing)
        if ndim == 2:
            area = np.linalg.norm(edges[:, 0], axis=-1)
        else:
            area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=-1) / 2
        areas[code] = area.sum()
        centroids[code] = (vertices.mean(axis=1) * area[:, None]).sum(axis=0) / area.sum()
    return areas, centroids


def surface_elements(mask: NDArray[np.bool_], grid: Grid) -> tuple[FloatArray, FloatArray]:
    """The surface of a binary image.

    Args:
        mask: Boolean, ``grid.shape``. Outside the grid counts as outside the object.
        grid: Where the voxels lie; spacing, origin and direction are honoured.

    Returns:
        ``(N, d)`` physical points in mm and ``(N,)`` areas in mm^2 (lengths in mm in 2-D); none for an empty mask.
    """
    if mask.shape != grid.shape:
        raise ValueError(f"mask of shape {mask.shape} does not fit a grid of shape {grid.shape}")
    ndim = grid.ndim
    padded = np.pad(np.asarray(mask, dtype=bool), 1)
    cells = tuple(n - 1 for n in padded.shape)
    code = np.zeros(cells, dtype=np.uint8)
    for corner, offset in enumerate(_corner_offsets(ndim)):
        window = tuple(slice(o, o + n) for o, n in zip(offset[::-1], cells, strict=True))
        code |= padded[window].astype(np.uint8) << np.uint8(corner)
    crossed = np.flatnonzero((code > 0) & (code < 2**2**ndim - 1))
    codes = code.reshape(-1)[crossed]
    areas, centroids = _elements(tuple(grid.spacing))
    lower = np.stack(np.unravel_index(crossed, cells)[::-1], axis=-1) - 1.0  # -1: the padding
    points = transform_points(grid.index_to_physical, lower + centroids[codes])
    return points, areas[codes]
