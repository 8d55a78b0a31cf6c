"""What a pair with a dense truth promises, for the recipes' tests."""

import numpy as np
from scipy.ndimage import map_coordinates

from regenv.core.geometry import transform_points


def same(a, b):
    """Whether two pairs agree in every byte that matters."""
    arrays = [
        (p.fixed.array, p.moving.array, p.fixed_mask, p.moving_mask, p.truth.points_fixed, p.truth.points_moving)
        for p in (a, b)
    ]
    return all(np.array_equal(x, y) for x, y in zip(*arrays, strict=True))


def truth(recipe, pair, seed, field_of_view, points):
    """The recipe's dense truth at physical points."""
    local = transform_points(np.linalg.inv(pair.fixed.grid.frame), points)
    moved = local + recipe.displacement(seed, field_of_view, local)
    return transform_points(pair.alignment @ pair.fixed.grid.frame, moved)


def least_determinant(recipe, seed, field_of_view, points, step=0.5):
    """Smallest Jacobian determinant of ``x + u(x)`` over local points, by central differences."""
    d = points.shape[1]
    columns = [
        (recipe.displacement(seed, field_of_view, points + h) - recipe.displacement(seed, field_of_view, points - h))
        / (2 * step)
        for h in step * np.eye(d)
    ]
    return float(np.linalg.det(np.stack(columns, axis=-1) + np.eye(d)).min())


def agreement(pair, points, at, low=-900.0, high=250.0):
    """Correlation of windowed values of the fixed image at ``points`` with those of the moving image ``at`` others."""

    def values(image, where):
        index = transform_points(image.grid.physical_to_index, where)
        read = map_coordinates(image.array, index[:, ::-1].T, order=1, mode="nearest")
        return np.clip(read, low, high)

    return float(np.corrcoef(values(pair.fixed, points), values(pair.moving, at))[0, 1])


def mask_points(pair, count=6000, seed=0):
    """Centres of random pixels of the fixed mask."""
    rows = np.argwhere(pair.fixed_mask)
    chosen = rows[np.random.default_rng(seed).choice(len(rows), min(count, len(rows)), replace=False)]
    return transform_points(pair.fixed.grid.index_to_physical, chosen[:, ::-1].astype(float))


def misalignments(ndim, count=50, mm=(8.0, 40.0), seed=1):
    """Random shifts of ``mm`` length, ``(count, d)``."""
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal((count, ndim))
    return direction / np.linalg.norm(direction, axis=1, keepdims=True) * rng.uniform(*mm, (count, 1))


def overlaps(pair, points, at, label):
    """Dice overlap of a label of the fixed image at ``points`` with that of the moving image ``at`` others."""

    def inside(array, grid, where):
        index = np.rint(transform_points(grid.physical_to_index, where)).astype(int)
        ok = np.all((index >= 0) & (index < np.asarray(grid.size)), axis=1)
        index = np.clip(index, 0, np.asarray(grid.size) - 1)
        return ok & (array[tuple(index[:, ::-1].T)] == label)

    a = inside(pair.truth.labels_fixed, pair.fixed.grid, points)
    b = inside(pair.truth.labels_moving, pair.moving.grid, at)
    return 2 * np.count_nonzero(a & b) / max(np.count_nonzero(a) + np.count_nonzero(b), 1)
