"""Cheap variations of a pair: one smooth invertible warp of both images, mirrored, other contrasts, other noise.

The warp W acts on the fixed image's space: the fixed image f becomes f o W and the moving image m becomes
m o A W A^-1, with A the true transform, or of deformations the alignment that is given. A point p of the fixed image
and its partner q come to lie at W^-1(p) and A W^-1 A^-1(q): the true transform stays as it is, and points, landmarks,
masks and label maps are carried along exactly. What is known only as points (a deformation) is fitted again where it
is used.

Radiographs and depth maps are not warped but rendered again. There W acts on the moving image's space, the patient's:
the moving image becomes m o W and so does the whole patient, of whom it shows a part; implants go with the patient. The
pair's cameras then take the fixed image of that patient in the true pose T, with another exposure, sensor or cover: a
point q of the moving image comes to lie at W^-1(q), its partner in the world at T^-1 W^-1(q), and T stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.data.frames import inside
from regenv.data.pair import ImagePair, Truth
from regenv.modality import get_modality
from regenv.synthesis.patient import Patient, Take

F = TypeVar("F", bound=np.floating[Any])

_NODES = 28
"""The warp is computed at so many points along the fixed image, 17 to a wave or more, and is linear between them."""

_WAVES = 5
_STEEPEST = 0.05
"""Largest derivative of a wave; all of them and the stretch stay under 1 together, which makes the warp invertible."""

_STRETCH = 0.04
_LENGTHS = (0.6, 1.2)
"""Of the waves, in widths of the fixed image."""

_FINE_VOXELS = 16
_FINE_RATIO = 2.5
"""The warp does not act along axes of fewer, or of so much larger voxels: across single slices and thick ones."""

_GAIN = 0.1
_BEND = 0.3
_NOISE = 0.03
_HU_GAIN = 0.03
_HU_NOISE = 12.0

_AS_IT_IS = np.array([-1000.0, 1.0, -1e6, 1e9, 0.0, 0.0], np.float32)  # a tone, see draw_tone
_ROOM_MM = 40.0  # that a whole patient may grow at either side


@dataclass(frozen=True)
class SmoothWarp:
    """``x -> x + S x + sum a (sin(k x + phase) - sin(phase))``, in mm along a grid's axes about its centre.

    Attributes:
        frame: ``(d + 1, d + 1)`` from these coordinates to physical mm.
        stretch: ``(d,)`` diagonal of S.
        amplitudes: ``(K, d)`` mm.
        numbers: ``(K, d)`` wave numbers k, 1/mm.
        phases: ``(K,)``.
        node_mm: Distance of points between which it is linear, to a few hundredths of a voxel.
    """

    frame: FloatArray
    stretch: FloatArray
    amplitudes: FloatArray
    numbers: FloatArray
    phases: FloatArray
    node_mm: float

    def __call__(self, points: FloatArray) -> FloatArray:
        """Where physical points ``(..., d)`` are mapped."""
        local = transform_points(np.linalg.inv(self.frame), points)
        return transform_points(self.frame, local + self.displacement(local))

    def displacement(self, local: NDArray[F]) -> NDArray[F]:
        """How far local points ``(..., d)`` are moved, in their precision."""
        return local * self.stretch.astype(local.dtype) + self._waves(local)

    def inverse(self, points: FloatArray) -> FloatArray:
        """What is mapped to physical points ``(..., d)``, to 1e-9 mm."""
        target = transform_points(np.linalg.inv(self.frame), points)
        local = target / (1 + self.stretch)
        for _ in range(60):
            before, local = local, (target - self._waves(local)) / (1 + self.stretch)
            if np.abs(local - before).max(initial=0.0) < 1e-10:
                break
        return transform_points(self.frame, local)

    def _waves(self, local: NDArray[F]) -> NDArray[F]:
        numbers, amplitudes, phases = (a.astype(local.dtype) for a in (self.numbers, self.amplitudes, self.phases))
        moved: NDArray[F] = (np.sin(local @ numbers.T + phases) - np.sin(phases)) @ amplitudes
        return moved


def varied(pair: ImagePair, rng: np.random.Generator, mirrors: bool = False) -> ImagePair:
    """A variation of a pair, in the same frame.

    Args:
        pair: With its truth, before it gets a frame and crops; arrays are not modified.
        rng: Decides all.
        mirrors: Whether half of the variations are the patient's mirror image.

    Raises:
        ValueError: If the pair has cameras, see :func:`retaken`.
    """
    if pair.cameras:
        raise ValueError(f"pair {pair.id!r} has cameras: its fixed image is rendered from a varied patient, not warped")
    if mirrors and rng.random() < 0.5:
        pair = mirrored(pair, np.arange(pair.ndim) == 0)
    tones = draw_tone(pair.fixed, rng), draw_tone(pair.moving, rng)
    return warped(pair, draw_warp(pair.fixed.grid, rng), rng, tones)


def retaken(pair: ImagePair, patient: Patient, take: Take, field_of_view: str, rng: np.random.Generator) -> ImagePair:
    """A variation of a pair with cameras, in the same frame: the fixed image is rendered again from the warped patient.

    Args:
        pair: With its true transform, before it gets a frame and crops; arrays are not modified.
        patient: Whom the fixed image was taken of.
        take: How.
        field_of_view: The recipe's.
        rng: Decides all.

    Raises:
        ValueError: If the true transform is not known.
    """
    truth = pair.truth
    if truth is None or truth.transform is None:
        raise ValueError(f"pair {pair.id!r} has no true transform, in which its fixed image could be rendered again")
    to_world = np.linalg.inv(truth.transform)
    warp = draw_warp(pair.moving.grid, rng)
    moving, moving_mask, labels_moving = _resampled(
        pair.moving,
        pair.moving_mask,
        truth.labels_moving,
        warp,
        draw_tone(pair.moving, rng),
        rng,
        held=_across(pair.moving.grid),
    )
    fixed, fixed_mask = take(warped_patient(patient, warp), pair.cameras, truth.transform, field_of_view, rng)
    landmarks, points = (None if p is None else warp.inverse(p) for p in (truth.landmarks_moving, truth.points_moving))
    carried = replace(
        truth,
        landmarks_fixed=None if landmarks is None else transform_points(to_world, landmarks),
        landmarks_moving=landmarks,
        points_fixed=None if points is None else transform_points(to_world, points),
        points_moving=points,
        labels_moving=labels_moving,
    )
    return replace(pair, fixed=fixed, moving=moving, fixed_mask=fixed_mask, moving_mask=moving_mask, truth=carried)


def warped_patient(patient: Patient, warp: SmoothWarp) -> Patient:
    """A patient o warp, with room to grow at the sides, cut where the warp would reach beyond the ends."""
    hu, across = patient.hu, _across(patient.hu.grid)
    room = np.ceil(_ROOM_MM / np.asarray(hu.grid.spacing)).astype(int) * across
    array = np.pad(hu.array, [(n, n) for n in room[::-1].tolist()], constant_values=hu.background)
    origin = transform_points(hu.grid.index_to_physical, -room.astype(np.float64))
    roomy = replace(hu, array=array, grid=Grid(array.shape[::-1], hu.grid.spacing, tuple(origin), hu.grid.direction))
    displaced = _resampled(roomy, None, None, warp, _AS_IT_IS, np.random.default_rng(0), held=across)[0]
    return replace(patient, hu=displaced, points=warp.inverse(patient.points))


def _across(grid: Grid) -> NDArray[np.bool_]:
    """Which axes of a volume run across the patient, at whose sides there is air."""
    return np.arange(3) != int(np.argmax(np.abs(grid.direction[2])))


def draw_warp(grid: Grid, rng: np.random.Generator) -> SmoothWarp:
    """A random warp of the space of an image, which leaves the image's centre where it is."""
    d, spacing = grid.ndim, np.asarray(grid.spacing)
    fine = (np.asarray(grid.size) >= _FINE_VOXELS) & (spacing <= _FINE_RATIO * spacing.min())
    directions = rng.standard_normal((2, _WAVES, d)) * fine
    along, across = directions / np.maximum(np.linalg.norm(directions, axis=-1, keepdims=True), 1e-9)
    extent = float(grid.extent[fine].max(initial=1.0))
    length = rng.uniform(*_LENGTHS, (_WAVES, 1)) * extent
    return SmoothWarp(
        frame=grid.frame,
        stretch=rng.uniform(-_STRETCH, _STRETCH, d) * fine,
        amplitudes=across * _STEEPEST * rng.uniform(0.3, 1.0, (_WAVES, 1)) * length / (2 * np.pi),
        numbers=along * 2 * np.pi / length,
        phases=rng.uniform(0, 2 * np.pi, _WAVES),
        node_mm=extent / _NODES,
    )


def draw_tone(image: Image, rng: np.random.Generator) -> NDArray[np.float32]:
    """A random contrast of an image's modality, as :func:`regenv.synthesis.variation_kernels.warp` takes it."""
    some = image.array.ravel()[::97]
    bottom, top = float(image.array.min()), float(some.max())
    gain, bend, noise = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(0, 1)
    modality = get_modality(image.modality)
    if not modality.toned:
        gain, bend, noise = 0.0, 0.0, 0.0
    elif modality.hounsfield:
        gain, bend, noise = _HU_GAIN * gain, 0.0, _HU_NOISE * noise
        bottom = min(bottom, image.background)
    else:
        gain, bend, noise = _GAIN * gain, _BEND * bend, _NOISE * noise * float(some.std())
    return np.array([image.background, 1 + gain, bottom, max(top - bottom, 1e-6), bend, noise], np.float32)


def warped(
    pair: ImagePair,
    warp: SmoothWarp,
    rng: np.random.Generator,
    tones: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> ImagePair:
    """Both images warped by one warp of the fixed image's space, cropped where the border would show, and toned.

    Args:
        pair: Without cameras.
        warp: Of the fixed image's space.
        rng: Of the noise.
        tones: Of the fixed and of the moving image, see :func:`draw_tone`.
    """
    truth = pair.truth or Truth()
    linear = truth.transform if truth.transform is not None else pair.alignment
    there = replace(warp, frame=warp.frame if linear is None else linear @ warp.frame)
    fixed, fixed_mask, labels_fixed = _resampled(pair.fixed, pair.fixed_mask, truth.labels_fixed, warp, tones[0], rng)
    moving, moving_mask, labels_moving = _resampled(
        pair.moving, pair.moving_mask, truth.labels_moving, there, tones[1], rng
    )

    def back(which: SmoothWarp, points: FloatArray | None) -> FloatArray | None:
        return None if points is None else which.inverse(points)

    points_fixed, points_moving = back(warp, truth.points_fixed), back(there, truth.points_moving)
    if points_fixed is not None and points_moving is not None:  # errors are measured where the fixed image shows
        shown = inside(fixed.grid, points_fixed)
        points_fixed, points_moving = points_fixed[shown], points_moving[shown]
    carried = replace(
        truth,
        landmarks_fixed=back(warp, truth.landmarks_fixed),
        landmarks_moving=back(there, truth.landmarks_moving),
        points_fixed=points_fixed,
        points_moving=points_moving,
        labels_fixed=labels_fixed,
        labels_moving=labels_moving,
    )
    return replace(
        pair,
        fixed=fixed,
        moving=moving,
        fixed_mask=fixed_mask,
        moving_mask=moving_mask,
        truth=None if pair.truth is None else carried,
    )


def _resampled(
    image: Image,
    mask: NDArray[np.bool_] | None,
    labels: NDArray[np.integer] | None,
    warp: SmoothWarp,
    tone: NDArray[np.float32],
    rng: np.random.Generator,
    held: NDArray[np.bool_] | None = None,
) -> tuple[Image, NDArray[np.bool_] | None, NDArray[np.integer] | None]:
    """An image o warp, on as much of its grid as the warp maps into it, with its mask and its label map.

    Along the axes ``held``, ``(d,)``, it keeps its whole grid, and its border goes on beyond it.
    """
    from regenv.synthesis import variation_kernels as kernels

    grid = image.grid
    step = np.maximum(1, warp.node_mm / np.asarray(grid.spacing)).astype(int)
    nodes, first = _displacements(grid, step, warp)
    first = first if held is None else np.where(held, 0, first)
    size = np.asarray(grid.size) - 2 * first
    steps, origin = (np.append(a, [0] * (3 - grid.ndim)).astype(np.int64) for a in (step, first))
    steps = np.maximum(steps, 1)
    shape = tuple(int(n) for n in size[::-1])
    deep = (1,) * (3 - grid.ndim)
    out = np.empty(deep + shape, np.float32)
    pool = _noise_pool()
    shift = int(rng.integers(len(pool)))
    kernels.warp(image.array.reshape(deep + grid.shape), nodes, steps, origin, tone, pool, shift, out)

    result = replace(image, array=out.reshape(shape), grid=grid.crop(first.tolist(), size.tolist()))
    if mask is None and labels is None:
        return result, None, None
    # both at once, in the bits of one number
    both = np.zeros(grid.shape, np.int16) if labels is None else 2 * labels.astype(np.int16)
    if mask is not None:
        both += mask
    there = np.empty(deep + shape, np.int16)
    kernels.warp_labels(both.reshape(deep + grid.shape), nodes, steps, origin, there)
    there = there.reshape(shape)
    return (
        result,
        None if mask is None else (there & 1).astype(np.bool_),
        None if labels is None else (there >> 1).astype(labels.dtype),
    )


def _displacements(
    grid: Grid, step: NDArray[np.int_], warp: SmoothWarp
) -> tuple[NDArray[np.float32], NDArray[np.int_]]:
    """Displacements in voxels at every ``step``-th voxel, ``(Z, Y, X, 3)``, and how far from either end to crop."""
    d = grid.ndim
    counts = (np.asarray(grid.size) - 1) // step + 2
    nodes = np.zeros((*([1] * (3 - d)), *counts[::-1], 3), np.float32)
    crop = np.zeros(d, int)
    axes = [np.arange(n, dtype=np.float32) * s for n, s in zip(counts, step.astype(np.float32), strict=True)]
    index = np.stack(np.meshgrid(*axes[::-1], indexing="ij")[::-1], axis=-1)
    to_local = (np.linalg.inv(warp.frame) @ grid.index_to_physical).astype(np.float32)
    from_local = (grid.physical_to_index @ warp.frame).astype(np.float32)
    moves = warp.displacement(index @ to_local[:d, :d].T + to_local[:d, d]) @ from_local[:d, :d].T
    nodes[..., :d] = moves
    for axis in range(d):
        moved = np.moveaxis(moves[..., axis], d - 1 - axis, 0)
        last = counts[axis] - 2
        beyond = max(-float(moved[0].min()), float(moved[last : last + 2].max()), 0.0)
        crop[axis] = min(int(np.ceil(1.15 * beyond - 0.5)), grid.size[axis] // 8) if beyond > 0.5 else 0
    return np.repeat(nodes, 2, axis=0) if d == 2 else nodes, crop


@cache
def _noise_pool() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(2**18, dtype=np.float32)


# Mirrors


def mirrored(pair: ImagePair, axes: NDArray[np.bool_]) -> ImagePair:
    """The pair with the fixed image turned over along some of its axes, and the moving one to match.

    An odd number of mirrors makes the mirror image of a patient, so the moving image is mirrored too; along which of
    its axes does not matter, since the truth is carried along. Left and right change places in names.

    Args:
        pair: With its truth; without cameras.
        axes: ``(d,)`` which of the fixed image's axes ``(x, y[, z])``.

    Raises:
        ValueError: If nothing is known of the truth.
    """
    truth = pair.truth
    if truth is None or (truth.transform is None and truth.points_fixed is None and truth.landmarks_fixed is None):
        raise ValueError(f"pair {pair.id} has no true transform or points, which a mirrored pair needs")
    odd = bool(axes.sum() % 2)
    moving_axes = (np.arange(pair.ndim) == 0) & odd
    here, there = _mirror(pair.fixed.grid, axes), _mirror(pair.moving.grid, moving_axes)

    def swapped(name: str) -> str:
        return re.sub("left|right", lambda side: {"left": "right", "right": "left"}[side[0]], name) if odd else name

    def moved(matrix: FloatArray, points: FloatArray | None) -> FloatArray | None:
        return None if points is None else transform_points(matrix, points)

    carried = Truth(
        transform=None if truth.transform is None else there @ truth.transform @ here,
        landmarks_fixed=moved(here, truth.landmarks_fixed),
        landmarks_moving=moved(there, truth.landmarks_moving),
        landmark_names=tuple(swapped(name) for name in truth.landmark_names),
        labels_fixed=_flipped(truth.labels_fixed, axes),
        labels_moving=_flipped(truth.labels_moving, moving_axes),
        label_names={value: swapped(name) for value, name in truth.label_names.items()},
        points_fixed=moved(here, truth.points_fixed),
        points_moving=moved(there, truth.points_moving),
    )
    return replace(
        pair,
        fixed=replace(pair.fixed, array=_flipped(pair.fixed.array, axes)),
        moving=replace(pair.moving, array=_flipped(pair.moving.array, moving_axes)),
        fixed_mask=_flipped(pair.fixed_mask, axes),
        moving_mask=_flipped(pair.moving_mask, moving_axes),
        truth=carried,
        alignment=None if pair.alignment is None else there @ pair.alignment @ here,
    )


def _mirror(grid: Grid, axes: NDArray[np.bool_]) -> FloatArray:
    """The ``(d + 1, d + 1)`` reflection of physical space that turns the grid's voxels over along some axes."""
    signs = np.append(np.where(axes, -1.0, 1.0), 1.0)
    matrix: FloatArray = grid.frame @ np.diag(signs) @ np.linalg.inv(grid.frame)
    return matrix


def _flipped(array: Any, axes: NDArray[np.bool_]) -> Any:
    if array is None:
        return None
    return np.ascontiguousarray(np.flip(array, [array.ndim - 1 - int(axis) for axis in np.flatnonzero(axes)]))
