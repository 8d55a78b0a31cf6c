"""The random physical frame and crop of a case: headers are rewritten, voxels are never resampled.

If aligned pairs shared their physical frame, the identity (or the inverse of a known start) would solve every case, and
if their arrays shared size and order, aligning the grids would. So every case

1. moves its moving subject by a random rigid motion of physical space (the header alone changes),
2. stores the moving array in a random order of axes (a lossless permutation, with the direction matrix to match), and
3. crops fixed and moving independently,

and the truth is carried along exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.core.labels import label_resample
from regenv.core.resample import resample
from regenv.data.pair import ImagePair, Truth
from regenv.errors import OptionError
from regenv.poses import get_model

MAX_CROP = 0.15
"""Largest share of an axis cut from either end."""

MAX_SHIFT_MM = 200.0
"""Largest shift of the moving subject along each physical axis."""

MAX_TILT_DEG = 10.0
"""Largest angle about each axis by which a real moving image is turned against its scanner's axes."""

MIN_VOXELS = 8
"""No crop leaves fewer voxels than this along an axis (axes that have fewer are not cropped)."""


def case_generator(*keys: object) -> np.random.Generator:
    """A generator seeded by what names a case, the same on every machine and in every process.

    Args:
        keys: Such as ``("phantom", "train", 17)``; their ``str`` is hashed.

    Returns:
        An independent generator for these keys.
    """
    digest = hashlib.sha256("\x1f".join(str(key) for key in keys).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype="<u4"))


def random_rotation(ndim: int, rng: np.random.Generator) -> FloatArray:
    """A rotation matrix drawn uniformly (Haar measure), ``(ndim, ndim)``.

    In 3-D from a uniform unit quaternion (Shoemake, "Uniform random rotations", Graphics Gems III, 1992).
    """
    if ndim == 2:
        angle = rng.uniform(0.0, 2 * np.pi)
        c, s = np.cos(angle), np.sin(angle)
        return np.array([[c, -s], [s, c]])
    quaternion = rng.standard_normal(4)
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def random_rigid(centre: FloatArray, rng: np.random.Generator, max_shift_mm: float = MAX_SHIFT_MM) -> FloatArray:
    """A random rigid motion: any rotation about ``centre`` (``(d,)`` mm), then a shift, ``(d + 1, d + 1)``."""
    d = len(centre)
    motion = np.eye(d + 1)
    motion[:d, :d] = random_rotation(d, rng)
    motion[:d, d] = centre - motion[:d, :d] @ centre + rng.uniform(-max_shift_mm, max_shift_mm, d)
    return motion


def with_random_frame(
    pair: ImagePair,
    rng: np.random.Generator,
    *,
    max_crop: float | tuple[float, float] = MAX_CROP,
    max_shift_mm: float = MAX_SHIFT_MM,
    shuffle_axes: bool = True,
) -> ImagePair:
    """The same pair in a random physical frame, cropped at random, with its truth carried along exactly.

    Args:
        pair: A pair whose truth holds a transform, landmarks, or both; arrays are not modified.
        rng: Draws motion, order of axes and crops.
        max_crop: Largest share of an axis cut from either end of either image, in ``[0, 0.5)``; one number, or one for
            the fixed and one for the moving image.
        max_shift_mm: Largest shift along each physical axis.
        shuffle_axes: Store the moving array in a random order and direction of its axes.

    Returns:
        A new pair. Landmarks that the crop of the fixed image cuts off are left out; an image of whose mask a crop
        would leave less than half is not cropped.

    Raises:
        OptionError: If ``max_crop`` is out of range.
    """
    shares = max_crop if isinstance(max_crop, tuple) else (max_crop, max_crop)
    if not all(0.0 <= share < 0.5 for share in shares):
        raise OptionError(f"max_crop={max_crop} must be at least 0 and below 0.5 of an axis")
    pair = move_subject(pair, random_rigid(pair.moving.grid.centre, rng, max_shift_mm))
    if shuffle_axes:
        pair = _shuffle_moving(pair, rng)
    grids = (pair.fixed.grid, pair.moving.grid)
    boxes = [random_crop(grid, rng, share) for grid, share in zip(grids, shares, strict=True)]
    masks = (pair.fixed_mask, pair.moving_mask)
    fixed_box, moving_box = (_unless_it_empties(box, mask) for box, mask in zip(boxes, masks, strict=True))
    return crop_pair(pair, fixed_box, moving_box)


def tilt_moving(pair: ImagePair, rng: np.random.Generator, max_tilt_deg: float = MAX_TILT_DEG) -> ImagePair:
    """The pair with its moving image resampled once on a grid turned by up to ``max_tilt_deg`` about each axis.

    Scanners lay patients along their axes. Where both images were taken so, the true rotation is one of the few
    that map axes to axes, whatever the headers say; a turned grid hides it. The physical frame, and so the true
    transform and the landmarks, stay as they are. Pairs whose images are generated are turned when they are made.

    Args:
        pair: A 3-D pair; a 2-D one is returned as it is.
        rng: Draws the rotation.
        max_tilt_deg: Largest angle about each axis, in degrees.

    Returns:
        A new pair; voxels of the turned grid that lie outside the image have its background, or label 0.
    """
    grid = pair.moving.grid
    if grid.ndim == 2:
        return pair
    model = get_model("rigid", 3)
    angles = np.concatenate([np.zeros(3), rng.uniform(-max_tilt_deg, max_tilt_deg, 3)])
    turn = model.exp(angles[None])[0][:3, :3]
    turned = Grid.centred(grid.size, grid.spacing, grid.centre, grid.direction @ turn)
    array, _ = resample(pair.moving, turned)
    truth = pair.truth
    if truth is not None and truth.labels_moving is not None:
        truth = replace(truth, labels_moving=label_resample(truth.labels_moving, grid, turned))
    mask = pair.moving_mask
    if mask is not None:
        mask = label_resample(mask.astype(np.uint8), grid, turned).astype(np.bool_)
    return replace(pair, moving=replace(pair.moving, array=array, grid=turned), moving_mask=mask, truth=truth)


def move_subject(pair: ImagePair, motion: FloatArray) -> ImagePair:
    """The pair after a rigid ``(d + 1, d + 1)`` motion of the moving subject and its image (header only)."""
    moving = replace(pair.moving, grid=pair.moving.grid.moved_by(motion))
    truth = pair.truth
    if truth is not None:
        truth = replace(
            truth,
            transform=None if truth.transform is None else motion @ truth.transform,
            points_moving=_moved(motion, truth.points_moving),
            landmarks_moving=_moved(motion, truth.landmarks_moving),
        )
    alignment = None if pair.alignment is None else motion @ pair.alignment
    return replace(pair, moving=moving, truth=truth, alignment=alignment)


def _moved(motion: FloatArray, points: FloatArray | None) -> FloatArray | None:
    return None if points is None else transform_points(motion, points)


def random_crop(grid: Grid, rng: np.random.Generator, max_crop: float) -> tuple[slice, ...]:
    """A box that keeps the middle of the grid: one slice per axis, ``(x, y[, z])``."""
    box = []
    for n in grid.size:
        most = min(int(max_crop * n), max(0, n - MIN_VOXELS) // 2)
        low, high = rng.integers(0, most + 1, size=2)
        box.append(slice(int(low), int(n - high)))
    return tuple(box)


def _unless_it_empties(box: tuple[slice, ...], mask: NDArray[np.bool_] | None) -> tuple[slice, ...]:
    """The box, or the whole image where the box would cut off more than half of the mask (of an organ at the edge)."""
    if mask is None or 2 * np.count_nonzero(mask[tuple(reversed(box))]) >= np.count_nonzero(mask):
        return box
    return tuple(slice(0, n) for n in mask.shape[::-1])


def crop_pair(pair: ImagePair, fixed_box: Sequence[slice], moving_box: Sequence[slice]) -> ImagePair:
    """Crops both images, masks and label maps; boxes are one slice per axis, ``(x, y[, z])``."""
    fixed, moving = crop_image(pair.fixed, fixed_box), crop_image(pair.moving, moving_box)
    truth = pair.truth
    if truth is not None:
        # a radiograph is a crop of no volume: landmarks are in the patient, before its detector
        truth = replace(
            truth if pair.cameras else _landmarks_inside(truth, fixed.grid),
            labels_fixed=_crop_array(truth.labels_fixed, fixed_box),
            labels_moving=_crop_array(truth.labels_moving, moving_box),
        )
    return replace(
        pair,
        fixed=fixed,
        moving=moving,
        fixed_mask=_crop_array(pair.fixed_mask, fixed_box),
        moving_mask=_crop_array(pair.moving_mask, moving_box),
        truth=truth,
    )


def crop_image(image: Image, box: Sequence[slice]) -> Image:
    """The image within a box of voxels, one slice per axis, ``(x, y[, z])``."""
    start = [s.start for s in box]
    size = [s.stop - s.start for s in box]
    array = np.ascontiguousarray(image.array[tuple(reversed(box))])
    return replace(image, array=array, grid=image.grid.crop(start, size))


def inside(grid: Grid, points: FloatArray) -> NDArray[np.bool_]:
    """Which physical points ``(N, d)`` lie in the grid by ITK's rule, continuous index in ``[-0.5, n - 0.5)``."""
    index = transform_points(grid.physical_to_index, points)
    return np.all((index >= -0.5) & (index < np.asarray(grid.size) - 0.5), axis=-1)


def reorder_grid(grid: Grid, order: Sequence[int], flip: Sequence[bool]) -> Grid:
    """The same voxels with new axis ``i`` being old axis ``order[i]``, run backwards where ``flip[i]``."""
    d = grid.ndim
    start = np.zeros(d)
    for axis, backwards in zip(order, flip, strict=True):
        start[axis] = grid.size[axis] - 1 if backwards else 0
    signs = np.where(np.asarray(flip, dtype=bool), -1.0, 1.0)
    return Grid(
        tuple(grid.size[axis] for axis in order),
        tuple(grid.spacing[axis] for axis in order),
        tuple(transform_points(grid.index_to_physical, start)),
        grid.direction[:, list(order)] * signs,
    )


def reorder_array(array: NDArray, order: Sequence[int], flip: Sequence[bool]) -> NDArray:
    """The array that goes with :func:`reorder_grid`; ``order`` and ``flip`` count axes as ``(x, y[, z])``."""
    d = array.ndim
    array_order = [d - 1 - axis for axis in reversed(list(order))]
    flipped = [d - 1 - i for i, backwards in enumerate(flip) if backwards]
    return np.ascontiguousarray(np.flip(np.transpose(array, array_order), flipped))


def _shuffle_moving(pair: ImagePair, rng: np.random.Generator) -> ImagePair:
    """Stores the moving image, mask and labels in one of the orders that keep the handedness of the axes."""
    d = pair.moving.grid.ndim
    order = [int(axis) for axis in rng.permutation(d)]
    flip = [bool(f) for f in rng.integers(0, 2, d)]
    axes = np.eye(d)[:, order] * np.where(flip, -1.0, 1.0)
    if np.linalg.det(axes) < 0:
        flip[0] = not flip[0]  # a left-handed header would be read as a mirrored patient by careless tools
    moving = pair.moving
    truth = pair.truth
    if truth is not None and truth.labels_moving is not None:
        truth = replace(truth, labels_moving=reorder_array(truth.labels_moving, order, flip))
    mask = pair.moving_mask
    return replace(
        pair,
        moving=replace(
            moving,
            array=reorder_array(moving.array, order, flip),
            grid=reorder_grid(moving.grid, order, flip),
        ),
        moving_mask=None if mask is None else reorder_array(mask, order, flip),
        truth=truth,
    )


def _crop_array(array: NDArray | None, box: Sequence[slice]) -> NDArray | None:
    return None if array is None else np.ascontiguousarray(array[tuple(reversed(box))])


def _landmarks_inside(truth: Truth, grid: Grid) -> Truth:
    """The truth with the landmarks that lie in the fixed grid; None where no one is left."""
    if truth.landmarks_fixed is None or truth.landmarks_moving is None:
        return truth
    keep = inside(grid, truth.landmarks_fixed)
    if not keep.any():
        return replace(truth, landmarks_fixed=None, landmarks_moving=None, landmark_names=())
    return replace(
        truth,
        landmarks_fixed=truth.landmarks_fixed[keep],
        landmarks_moving=truth.landmarks_moving[keep],
        landmark_names=tuple(name for name, kept in zip(truth.landmark_names, keep, strict=False) if kept),
    )
