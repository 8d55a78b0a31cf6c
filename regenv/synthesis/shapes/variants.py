"""Random shapes for every kind of environment: deformed, as flat slices, and as thick slices of a volume.

Each takes a pair of volumes in one frame, as :func:`regenv.synthesis.shapes.dataset.make_subject` makes them, and
changes its fixed image (or both, for flat ones).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.core.points import lattice_points
from regenv.data.pair import ImagePair, Truth
from regenv.poses import get_model

if TYPE_CHECKING:
    from regenv.poses.deformation import StatisticalDeformation

_REST = 0.25
"""How long the part of a deformation outside the model's span is, as a share of the part within."""

_MOVED = 0.25
"""Where errors are measured: points that the modes move by this share of how far they move any."""

_LATTICE_MM = {2: 8.0, 3: 16.0}


def flat(pair: ImagePair) -> ImagePair:
    """The slice through the middle of the fixed image, of both images, in 2-D."""
    grid = pair.fixed.grid
    middle = grid.centre[2]
    images, masks = [], []
    for image, mask in ((pair.fixed, pair.fixed_mask), (pair.moving, pair.moving_mask)):
        voxel = min(image.grid.spacing[:2])
        size = [int(extent / voxel) for extent in image.grid.extent[:2]]
        centre = image.grid.centre
        plane = Grid.centred((*size, 1), (voxel, voxel, voxel), (centre[0], centre[1], middle))
        flat_grid = Grid(plane.size[:2], plane.spacing[:2], plane.origin[:2], np.eye(2))
        images.append(replace(image, array=_read(image.array, image, plane.points())[0], grid=flat_grid))
        assert mask is not None
        inside = _read(mask.astype(np.float32), replace(image, background=0.0), plane.points())[0]
        masks.append(np.asarray(inside >= 0.5))
    return ImagePair("", "", images[0], images[1], masks[0], masks[1], Truth(transform=np.eye(3)))


def sliced(pair: ImagePair, rng: np.random.Generator, count: int = 1) -> ImagePair:
    """The pair with a few thick, oblique slices of the fixed volume as its fixed image, ``(W, H, count)``."""
    from regenv.synthesis.physics.scan import scan

    fixed = pair.fixed
    turn = get_model("rigid", 3).exp([[0.0] * 3 + rng.uniform(-20.0, 20.0, 3).tolist()])[0][:3, :3]
    voxel, thick = min(fixed.grid.spacing), float(rng.uniform(3.0, 6.0))
    size = int(min(fixed.grid.extent) / voxel)
    grid = Grid.centred((size, size, count), (voxel, voxel, thick), fixed.grid.centre, turn)
    stack = scan(fixed, grid, fwhm_mm=voxel)
    assert pair.fixed_mask is not None
    body = _read(pair.fixed_mask.astype(np.float32), replace(fixed, background=0.0), grid.points()) >= 0.5
    return replace(pair, fixed=replace(fixed, array=stack.array, grid=grid), fixed_mask=body)


def deformed(pair: ImagePair, rng: np.random.Generator, model: StatisticalDeformation) -> ImagePair:
    """The pair with its fixed image deformed: by the model's modes, and by something smooth that they do not span.

    The fixed image at x shows what the moving one shows at ``x + u(x)``; points of the fixed body that the modes move
    carry the truth.
    """
    d = pair.ndim
    coefficients = model.sample(rng, 1)[0]
    other = np.random.default_rng(rng.integers(2**32))
    waves = _waves(other, d, model.extent_mm)

    grid = pair.fixed.grid
    frame = grid.frame
    everywhere = grid.points()
    local = transform_points(np.linalg.inv(frame), everywhere.reshape(-1, d))
    u, rest = model.displacement(coefficients, local), _sum_of_waves(local, waves)
    share = _REST * _rms(u) / max(_rms(rest), 1e-9)
    where = (everywhere.reshape(-1, d) + (u + rest * share) @ frame[:d, :d].T).reshape(everywhere.shape)
    fixed = replace(pair.fixed, array=_read(pair.fixed.array, pair.fixed, where))
    assert pair.fixed_mask is not None
    mask = _read(pair.fixed_mask.astype(np.float32), replace(pair.fixed, background=0.0), where) >= 0.5
    points = lattice_points(mask, grid, _LATTICE_MM[d])
    local = transform_points(np.linalg.inv(frame), points)
    reach = np.sqrt((model.basis(local).reshape(len(points), -1) ** 2).sum(axis=1))
    moved = reach >= _MOVED * reach.max()
    points, local = points[moved], local[moved]
    u = model.displacement(coefficients, local) + share * _sum_of_waves(local, waves)
    truth = Truth(points_fixed=points, points_moving=points + u @ frame[:d, :d].T)
    return replace(pair, fixed=fixed, fixed_mask=mask, truth=truth, alignment=np.eye(d + 1))


def _waves(rng: np.random.Generator, d: int, extent_mm: float) -> NDArray[np.float64]:
    """Direction, wave vector and phase of a few waves, ``(W, 2 d + 1)``, of a third of the view to all of it."""
    count = 6
    direction = rng.standard_normal((count, d))
    vector = rng.standard_normal((count, d))
    length = extent_mm * rng.uniform(0.33, 1.0, (count, 1))
    vector *= 2 * np.pi / length / np.linalg.norm(vector, axis=1, keepdims=True)
    return np.concatenate([direction, vector, rng.uniform(0, 2 * np.pi, (count, 1))], axis=1)


def _sum_of_waves(local: NDArray[np.float64], waves: NDArray[np.float64]) -> NDArray[np.float64]:
    d = local.shape[1]
    phases = local @ waves[:, d : 2 * d].T + waves[:, 2 * d]
    return np.asarray(np.sin(phases) @ waves[:, :d])


def _rms(u: NDArray[np.float64]) -> float:
    return float(np.sqrt((u**2).sum(-1).mean()))


def _read(array: NDArray[np.float32], image: Image, points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Values at physical points ``(..., d)``, linear, the image's background outside."""
    from scipy.ndimage import map_coordinates

    index = np.moveaxis(transform_points(image.grid.physical_to_index, points)[..., ::-1], -1, 0)
    edge = np.asarray(array.shape).reshape(-1, *[1] * (index.ndim - 1))
    inside = np.all((index >= -0.5) & (index < edge - 0.5), axis=0)
    values = map_coordinates(array, index, order=1, mode="nearest", output=np.float32)
    return np.where(inside, values, np.float32(image.background)).astype(np.float32)
