"""Slices of volumes whose two sides lie on one grid, for environments in two dimensions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.data.pair import ImagePair, Truth
from regenv.errors import DataError


def slice_pair(pair: ImagePair, share: float, *, axial: bool = False) -> ImagePair:
    """The pair of slices at a share of an axis, as images in two dimensions.

    Args:
        pair: Two volumes on one grid.
        share: From 0, the first slice, to 1, the last.
        axial: Cut across the axis that runs most along the body, rather than across the third.

    Returns:
        The pair in a plane of its own: x and y are mm along the rows and columns from the first pixel. Labels and masks
        come along; a slice without structures has no labels. Landmarks, which lie between slices, do not.

    Raises:
        DataError: If the volumes lie on different grids.
    """
    grid, other = pair.fixed.grid, pair.moving.grid
    if grid.size != other.size or not np.allclose(grid.index_to_physical, other.index_to_physical, atol=1e-2):
        raise DataError("its volumes lie on different grids, so their slices do not correspond; use a 3-D environment")
    axis = int(np.argmax(np.abs(grid.direction[2]))) if axial else 2
    k = round(share * (grid.size[axis] - 1))
    rest = [a for a in range(3) if a != axis]
    plane = Grid(tuple(grid.size[a] for a in rest), tuple(grid.spacing[a] for a in rest), (0.0, 0.0), np.eye(2))

    def cut(array: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.take(array, k, axis=2 - axis))

    truth = pair.truth or Truth()
    labels = [None if found is None else cut(found) for found in (truth.labels_fixed, truth.labels_moving)]
    known = all(found is not None and found.any() for found in labels)
    masks = [None if mask is None else cut(mask) for mask in (pair.fixed_mask, pair.moving_mask)]
    masks = [mask if mask is not None and mask.any() else None for mask in masks]
    return replace(
        pair,
        fixed=replace(pair.fixed, array=cut(pair.fixed.array), grid=plane),
        moving=replace(pair.moving, array=cut(pair.moving.array), grid=plane),
        fixed_mask=masks[0],
        moving_mask=masks[1],
        truth=Truth(labels_fixed=labels[0], labels_moving=labels[1], label_names=truth.label_names) if known else None,
        alignment=None,
    )
