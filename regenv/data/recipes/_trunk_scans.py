"""What the recipes of the trunk share: a CT at any angle, tilted grids, labels, masks and landmarks of a scan."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.core.resample import label_resample
from regenv.data.anatomy.anatomy import Anatomy
from regenv.data.anatomy.shapes import rotation
from regenv.data.anatomy.tissues import ORGAN_NAMES
from regenv.data.modality.common import AIR_HU, add_table, hounsfield
from regenv.data.modality.ct import add_noise
from regenv.data.modality.scan import Displace, scan
from regenv.data.pair import Truth

TILT_DEG = 10.0
"""Largest angle about each axis by which the patient lies differently in the second scan."""


def ct_scan(
    anatomy: Anatomy, rng: np.random.Generator, grid: Grid, low_dose: bool = False, displace: Displace | None = None
) -> Image:
    """A CT on a grid at any angle: with or without contrast medium, on a table along the scanner's axes.

    Args:
        anatomy: The subject.
        rng: Draws contrast medium, kernel, table and noise.
        grid: Voxels of the scan; rows run from front to back.
        low_dose: The noise of a scan for attenuation correction instead of a diagnostic one.
        displace: As in :func:`regenv.data.modality.scan.scan`.

    Returns:
        Image in HU of modality ``"ct"``, background -1000.
    """
    enhanced = not low_dose and rng.random() < 0.5
    enhancement = float(rng.uniform(80, 330)) if enhanced else 0.0
    hu = hounsfield(anatomy, enhancement, venous=float(rng.uniform(0.2, 1.1)))
    image = scan(hu, grid, float(rng.uniform(0.8, 2.0)), grid.spacing[2], displace)
    image = add_table(image, rng, curved=True)
    noise = float(rng.uniform(18, 38) if low_dose else rng.uniform(5, 16))
    array = add_noise(image, rng, noise)
    return Image(np.clip(np.rint(array), -1024, 3071), grid, "ct", AIR_HU)


def tilt(rng: np.random.Generator, most_deg: float = TILT_DEG) -> NDArray[np.float64]:
    """A rotation of up to ``most_deg`` about each axis."""
    return rotation(*(float(a) for a in rng.uniform(-most_deg, most_deg, 3)))


def labels_and_body(
    anatomy: Anatomy, grid: Grid, transform: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Organ labels and body mask on a grid, whose points ``transform`` maps into the anatomy."""
    # the body rides on the labels' highest bit: one look-up for both
    both = label_resample(anatomy.organ | (anatomy.body.astype(np.uint8) << 7), anatomy.grid, grid, transform)
    return (both & 127).astype(np.uint8), both >= 128


def truth_of(
    points: Mapping[str, NDArray[np.float64]],
    grids: tuple[Grid, Grid],
    labels: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    to_fixed: NDArray[np.float64] | None = None,
    to_moving: NDArray[np.float64] | None = None,
) -> Truth:
    """The truth of two scans of one subject, with the landmarks that lie in both masks.

    Args:
        points: Landmarks by name in the anatomy's mm.
        grids: Of the fixed and the moving scan.
        labels: Of both.
        masks: Of both.
        to_fixed: ``(4, 4)`` from the anatomy to where the fixed scan shows it; default the identity.
        to_moving: The same of the moving scan.
    """
    first, second = (np.eye(4) if matrix is None else matrix for matrix in (to_fixed, to_moving))
    names, where = list(points), np.array(list(points.values())).reshape(-1, 3)
    fixed, moving = transform_points(first, where), transform_points(second, where)
    seen = in_mask(masks[0], grids[0], fixed) & in_mask(masks[1], grids[1], moving)
    return Truth(
        transform=second @ np.linalg.inv(first),
        landmarks_fixed=fixed[seen],
        landmarks_moving=moving[seen],
        landmark_names=tuple(name for name, kept in zip(names, seen, strict=True) if kept),
        labels_fixed=labels[0],
        labels_moving=labels[1],
        label_names=ORGAN_NAMES,
    )


def in_mask(mask: NDArray[np.bool_], grid: Grid, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the voxel nearest to each physical point ``(N, d)`` is in a mask."""
    index = np.rint(transform_points(grid.physical_to_index, points)).astype(int)
    inside = np.all((index >= 0) & (index < grid.size), axis=1)
    index = np.where(inside[:, None], index, 0)
    return np.asarray(inside & mask[tuple(index.T[::-1])], dtype=np.bool_)
