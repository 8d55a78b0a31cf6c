"""One episode after another: where each method ends, as a SimpleITK transform, and what is measured of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import transform_points
from regenv.core.sitk import image_to_sitk
from regenv.data.pair import ImagePair
from regenv.imaging import get_imaging
from regenv.imaging.case import target_of
from regenv.poses import get_model

if TYPE_CHECKING:
    import SimpleITK as sitk


def run_label_oracle(env: Any, pair: ImagePair) -> None:
    """Greedy steps on the true overlap: the bound of the actions of a deformable environment where labels are known.

    Args:
        env: At the start of an episode, its actions the default ones.
        pair: The episode's pair, with label maps.
    """
    engine = env.unwrapped
    model, actions = engine.model, engine._engine.actions
    truth = pair.truth
    assert truth is not None and truth.labels_fixed is not None and truth.labels_moving is not None
    labels = truth.labels_moving
    points = pair.fixed.grid.points().reshape(-1, pair.ndim)
    alignment = np.eye(pair.ndim + 1) if pair.alignment is None else pair.alignment
    basis = model.basis(transform_points(np.linalg.inv(pair.fixed.grid.frame), points))
    linear = (alignment @ pair.fixed.grid.frame)[:-1, :-1]
    placed = transform_points(alignment, points)
    wanted = truth.labels_fixed.ravel() > 0

    def overlap(state: NDArray[np.float64]) -> float:
        index = transform_points(pair.moving.grid.physical_to_index, placed + (basis @ state) @ linear.T)
        nearest = np.floor(index + 0.5).astype(np.int64)
        inside = np.all((nearest >= 0) & (nearest < np.asarray(labels.shape[::-1])), axis=-1)
        got = np.zeros(len(points), bool)
        got[inside] = labels[tuple(nearest[inside].T[::-1])] > 0
        return 2 * float((got & wanted).sum()) / float(got.sum() + wanted.sum())

    while True:
        state = engine.get_state()["transform"]
        after = model.step(np.tile(state, (len(actions.table), 1)), actions.table)
        values = np.array([overlap(row) for row in after])
        values[-1] = np.nextafter(overlap(state), 1)  # the last action is STOP
        _, _, terminated, truncated, _ = env.step(np.int64(np.argmax(values)))
        if terminated or truncated:
            return


def measured(pair: ImagePair, transform: sitk.Transform) -> dict[str, float]:
    """What is known of a transform: ``tre`` (mm), ``dice`` and ``ncc``, each where the pair allows it.

    Args:
        pair: With its truth.
        transform: Fixed to moving points.
    """
    import SimpleITK as sitk

    found = {}
    target = target_of(pair, get_model("rigid", pair.ndim), get_imaging("volume").scene(pair))
    if target is not None:
        moved = np.array([transform.TransformPoint(p.tolist()) for p in target.points])
        found["tre"] = float(np.linalg.norm(moved - target.partners, axis=1).mean())
    if pair.cameras:
        return found
    fixed = image_to_sitk(pair.fixed)
    moving = image_to_sitk(pair.moving)
    labels = None if pair.truth is None else pair.truth.labels_moving
    if labels is not None and pair.truth is not None and pair.truth.labels_fixed is not None:
        source = sitk.GetImageFromArray(labels.astype(np.uint8))
        source.CopyInformation(moving)
        got = sitk.GetArrayFromImage(sitk.Resample(source, fixed, transform, sitk.sitkNearestNeighbor, 0)) > 0
        wanted = pair.truth.labels_fixed > 0
        found["dice"] = 2 * float((got & wanted).sum()) / float(got.sum() + wanted.sum())
    if pair.fixed.modality == pair.moving.modality:
        inside = sitk.Resample(sitk.Cast(moving * 0 + 1, sitk.sitkUInt8), fixed, transform, sitk.sitkNearestNeighbor, 0)
        seen = sitk.GetArrayFromImage(inside) > 0
        if pair.fixed_mask is not None:
            seen &= pair.fixed_mask
        array = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear, pair.moving.background))
        found["ncc"] = float(np.corrcoef(array[seen], pair.fixed.array[seen])[0, 1]) if seen.sum() > 10 else 0.0
    return found


def mask_of(pair: ImagePair) -> sitk.Image | None:
    """The fixed mask as SimpleITK wants it."""
    import SimpleITK as sitk

    if pair.fixed_mask is None:
        return None
    mask = sitk.GetImageFromArray(pair.fixed_mask.astype(np.uint8))
    mask.CopyInformation(image_to_sitk(pair.fixed))
    return mask
