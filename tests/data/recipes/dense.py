"""What the tests of the brain recipes measure where the truth is no matrix."""

import numpy as np
from scipy.ndimage import map_coordinates

from regenv.core.geometry import transform_points
from tests.data.recipes.misaligned import mutual_information


def truth(recipe, pair, seed, points):
    """Where the recipe's displacement and alignment send physical points ``(N, d)``."""
    frame = pair.fixed.grid.frame
    local = transform_points(np.linalg.inv(frame), points)
    moved = local + recipe.displacement(seed, recipe.fields_of_view[0], local)
    return transform_points(pair.alignment @ frame, moved)


def mask_points(pair, count=20_000):
    """Physical centres of random voxels of the fixed mask."""
    rows = np.argwhere(pair.fixed_mask)
    rows = rows[np.random.default_rng(0).choice(len(rows), min(count, len(rows)), replace=False)]
    return transform_points(pair.fixed.grid.index_to_physical, rows[:, ::-1].astype(float))


def agreement(pair, points, at):
    """Mutual information of the fixed image at ``points`` with the moving image ``at`` others."""
    read = []
    for image, where in ((pair.fixed, points), (pair.moving, at)):
        index = transform_points(image.grid.physical_to_index, where)[:, ::-1].T
        read.append(map_coordinates(image.array, index, order=1, mode="nearest"))
    return mutual_information(*read)


def misaligned(points, count=50, millimetres=(4.0, 20.0), degrees=10.0):
    """Points after random turns about their middle and shifts of at least some millimetres, one set at a time."""
    rng = np.random.default_rng(1)
    d, centre = points.shape[1], points.mean(axis=0)
    for _ in range(count):
        shift = rng.standard_normal(d)
        shift *= rng.uniform(*millimetres) / np.linalg.norm(shift)
        angle = np.deg2rad(rng.uniform(-degrees, degrees))
        turn = np.eye(d)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        yield (points - centre) @ turn.T + centre + shift


def overlap(pair, points, at, label):
    """Dice overlap of a label at ``points`` of the fixed image with where they are sent."""
    found = []
    for labels, grid, where in (
        (pair.truth.labels_fixed, pair.fixed.grid, points),
        (pair.truth.labels_moving, pair.moving.grid, at),
    ):
        index = np.rint(transform_points(grid.physical_to_index, where)).astype(int)
        index = np.clip(index, 0, np.array(grid.size) - 1)
        found.append(labels[tuple(index[:, ::-1].T)] == label)
    return 2 * (found[0] & found[1]).sum() / (found[0].sum() + found[1].sum())


def determinants(recipe, seed, half_mm, step_mm):
    """Jacobian determinants of ``x + u(x)`` on a lattice of the view."""
    axes = [np.arange(-h, h + step_mm / 2, step_mm) for h in half_mm]
    local = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    d = len(axes)
    moved = local + recipe.displacement(seed, recipe.fields_of_view[0], local.reshape(-1, d)).reshape(local.shape)
    return np.linalg.det(np.stack(np.gradient(moved, step_mm, axis=tuple(range(d))), axis=-1))
