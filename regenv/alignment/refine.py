"""A short local refinement: what an agent has caught is made precise.

Gauss-Newton (:mod:`regenv.core.gauss_newton`) from coarse to fine; a pose is accepted only where the pair's similarity
(NCC or NMI) is higher than at the start.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from regenv.core.gauss_newton import GaussNewton, Resolution, Source
from regenv.core.geometry import FloatArray, transform_points
from regenv.core.image import Image
from regenv.core.similarity import get_similarity
from regenv.errors import check_option
from regenv.modality import get_modality
from regenv.poses import get_model

SIMILARITIES = ("auto", "ncc", "nmi", "mi")
FARTHEST_MM = 15.0
"""A refinement that moves the body further than this has left what the agent caught, and is dropped."""

LEVELS = (Resolution(32, 6.0, 14), Resolution(64, 3.0, 8))


def refine(
    fixed: Image,
    moving: Image,
    transform: ArrayLike,
    *,
    similarity: str = "auto",
    levels: tuple[Resolution, ...] = LEVELS,
) -> tuple[FloatArray, float]:
    """Improves a rigid pose that is right to within some millimetres.

    Args:
        fixed: 3-D image.
        moving: 3-D image.
        transform: ``(4, 4)`` from fixed to moving physical points.
        similarity: ``"ncc"``, ``"nmi"`` or ``"mi"``, by which a pose is accepted; ``"auto"`` is NCC for CT and CBCT and
            NMI for all else. With NCC the intensities are taken to be linearly related.
        levels: Resolutions, coarse first.

    Returns:
        The pose, ``(4, 4)`` float64, and its similarity (larger is better) on the last level's view. Where nothing
        better is found it is the pose that was given.

    Raises:
        ValueError: If an image is not 3-D, the transform has another shape, or the similarity is unknown.
    """
    check_option("similarity", similarity, SIMILARITIES)
    start = np.asarray(transform, dtype=np.float64)
    if fixed.grid.ndim != 3 or moving.grid.ndim != 3 or start.shape != (4, 4):
        raise ValueError(
            f"refine works on 3-D images and a (4, 4) transform, got {fixed.grid.ndim}-D, {moving.grid.ndim}-D and "
            f"{start.shape}"
        )
    linear = all(get_modality(image.modality).hounsfield for image in (fixed, moving))
    name = ("ncc" if linear else "nmi") if similarity == "auto" else similarity
    metric = get_similarity(name)
    sources = _source(fixed), _source(moving)
    views = [GaussNewton(*sources, level, metric, name == "ncc", get_model("rigid", 3)) for level in levels]
    pose = start
    for view in views[:-1]:
        pose, _ = view.descend(pose)
    last = views[-1]
    at_start = last.similarity(start)
    found, value = last.descend(pose)
    if len(views) > 1 and value <= at_start:
        found, value = last.descend(start)
    corners = transform_points(last.grid.frame, _box(last.grid.extent.max() / 4))
    moved = np.linalg.norm(transform_points(found, corners) - transform_points(start, corners), axis=1).mean()
    if value <= at_start or moved > FARTHEST_MM:
        return start, at_start
    return found, value


def _box(half: float) -> FloatArray:
    return np.stack(np.meshgrid(*[(-half, half)] * 3), axis=-1).reshape(-1, 3)


def _source(image: Image) -> Source:
    modality = get_modality(image.modality)
    if modality.window is not None:
        low, high = modality.window
    else:
        step = max(1, round((image.array.size / 2e5) ** (1 / 3)))  # percentiles of some voxels are those of all
        low, high = np.percentile(image.array[::step, ::step, ::step], (0.5, 99.5))
    scale = 1.0 / max(high - low, 1e-6)
    # Where an image in Hounsfield units holds exactly its smallest value, it is taken to be padded: what lies outside a
    # scanner's field of view, or air without noise. Its edge is in one image only and would pull.
    padding = np.float32(image.array.min()) if modality.hounsfield else None
    return Source(image, np.float32(scale), np.float32(-low * scale), padding)
