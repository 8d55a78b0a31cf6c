"""Overlap of label maps at a pose, on the view grid, by nearest neighbour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.labels import dice_by_label, labels_at, shared_labels
from regenv.errors import DataError
from regenv.imaging.case import Case
from regenv.imaging.view import View
from regenv.poses.base import PoseModel


class LabelOverlap:
    """Dice of one case.

    Args:
        case: With label maps in its truth.
        view: Whose grid the labels are compared on.
        poses: The pose model.

    Raises:
        DataError: If the case has no label maps, or they share no label.
    """

    def __init__(self, case: Case, view: View, poses: PoseModel) -> None:
        truth, scene = case.truth, case.scene
        if truth is None or truth.labels_fixed is None or truth.labels_moving is None or scene.cameras:
            raise DataError(f"reward='dice' needs label maps on both images, and pair {case.id!r} has none")
        self._scene, self._poses, self._labels = scene, poses, truth.labels_moving
        self._points = view.grid(scene.fixed_grid, view.levels[0]).points().reshape(-1, scene.ndim)
        self._fixed = labels_at(truth.labels_fixed, scene.fixed_grid, self._points)
        self._values = shared_labels(self._fixed, self._labels)
        if not self._values:
            there = [[int(v) for v in np.unique(labels) if v != 0] for labels in (self._fixed, self._labels)]
            raise DataError(
                f"reward='dice': the label maps of pair {case.id!r} share no label: fixed has {there[0]} in the view, "
                f"moving {there[1]}; give a structure the same value in both"
            )

    def mean_dice(self, pose: NDArray[np.float64]) -> float:
        """Mean Dice coefficient at a pose, in [0, 1]."""
        there = self._poses.carry(pose, self._points, self._scene)
        moved = labels_at(self._labels, self._scene.moving_grid, there)
        return float(np.mean(list(dice_by_label(self._fixed, moved, self._values).values())))
