"""What the tests of recipes measure where the truth is a displacement: exactness, agreement, overlap, folding."""

import numpy as np
from scipy.ndimage import map_coordinates

from regenv.core.geometry import transform_points
from tests.synthesis.recipes.linear import mutual_information


def same(a, b):
    """Whether two pairs agree in every byte that matters."""
    arrays = [
        (p.fixed.array, p.moving.array, p.fixed_mask, p.moving_mask, p.truth.points_fixed, p.truth.points_moving)
        for p in (a, b)
    ]
    return all(np.array_equal(x, y) for x, y in zip(*arrays, strict=True))


def true_points(recipe, seed, pair, points, field_of_view=None):
    """Where the displacement and the alignment of a recipe send physical points ``(N, d)`` of the fixed image."""
    frame = pair.fixed.grid.frame
    local = transform_points(np.linalg.inv(frame), points)
    moved = local + recipe.displacement(seed, field_of_view or recipe.fields_of_view[0], local)
    return transform_points(pair.alignment @ frame, moved)


def mask_points(pair, count=10_000):
    """Centres of random voxels of the fixed mask."""
    rows = np.argwhere(pair.fixed_mask)
    rows = rows[np.random.default_rng(0).choice(len(rows), min(count, len(rows)), replace=False)]
    return transform_points(pair.fixed.grid.index_to_physical, rows[:, ::-1].astype(float))


def sampled(image, points):
    """Values of an image at physical points; NaN outside."""
    index = transform_points(image.grid.physical_to_index, points)[:, ::-1].T
    return map_coordinates(image.array, index, order=1, mode="constant", cval=np.nan)


def _seen(pair, points, at):
    """Values of both images where both show something, or None where that is less than half of the points."""
    fixed, moving = sampled(pair.fixed, points), sampled(pair.moving, at)
    seen = np.isfinite(fixed) & np.isfinite(moving)
    return (fixed[seen], moving[seen]) if seen.mean() > 0.5 else None


def agreement(pair, points, at):
    """Mutual information of the fixed image at ``points`` with the moving image ``at`` others."""
    seen = _seen(pair, points, at)
    return -np.inf if seen is None else mutual_information(*seen)


def correlation(pair, points, at, low=-900.0, high=250.0):
    """As :func:`agreement`, the correlation of values clipped to a window: for images of one modality."""
    seen = _seen(pair, points, at)
    return -np.inf if seen is None else float(np.corrcoef(*(np.clip(values, low, high) for values in seen))[0, 1])


def misaligned(points, count=50, millimetres=(4.0, 20.0), degrees=10.0):
    """Points after random turns about their middle and shifts of at least some millimetres, one set at a time."""
    rng = np.random.default_rng(0)
    d, centre = points.shape[1], points.mean(axis=0)
    for _ in range(count):
        angle = np.deg2rad(rng.uniform(-degrees, degrees))
        shift = rng.standard_normal(d)
        shift *= rng.uniform(*millimetres) / np.linalg.norm(shift)
        turn = np.eye(d)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        yield (points - centre) @ turn.T + centre + shift


def share_beaten(recipe, seed, pair, count=50, millimetres=8.0, field_of_view=None):
    """Of random misalignments of up to some millimetres: the share with less agreement than the truth."""
    points = mask_points(pair, 20_000)
    truth = true_points(recipe, seed, pair, points, field_of_view)
    best = agreement(pair, points, truth)
    others = misaligned(truth, count, (0.3 * millimetres, millimetres))
    return np.mean([agreement(pair, points, elsewhere) < best for elsewhere in others])


def overlap(pair, points, at, label, order=0):
    """Dice overlap of a label of the fixed image at ``points`` with that of the moving image ``at`` others.

    Labels are read by the nearest voxel, or with ``order=1`` where the label interpolated linearly is above a half.
    """
    found = []
    for labels, grid, where in (
        (pair.truth.labels_fixed, pair.fixed.grid, points),
        (pair.truth.labels_moving, pair.moving.grid, at),
    ):
        index = transform_points(grid.physical_to_index, where)[:, ::-1].T
        found.append(map_coordinates((labels == label).astype(np.float32), index, order=order) > 0.5)
    return 2 * np.count_nonzero(found[0] & found[1]) / max(np.count_nonzero(found[0]) + np.count_nonzero(found[1]), 1)


def label_overlaps(recipe, seed, pair, field_of_view=None):
    """Dice overlap of every label before the truth (through the alignment alone) and through it: ``{label: (2,)}``."""
    points = pair.fixed.grid.points()
    if pair.ndim == 3:  # every second voxel of a slice is enough
        points = points[:, ::2, ::2]
    points = points.reshape(-1, pair.ndim)
    known = true_points(recipe, seed, pair, points, field_of_view)
    wheres = (transform_points(pair.alignment, points), known)
    return {label: [overlap(pair, points, at, label, order=1) for at in wheres] for label in pair.truth.label_names}


def determinants(recipe, seed, half_mm, step_mm):
    """Jacobian determinants of ``x + u(x)`` on a lattice of the view."""
    axes = [np.arange(-h, h + step_mm / 2, step_mm) for h in half_mm]
    local = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    d = len(axes)
    moved = local + recipe.displacement(seed, recipe.fields_of_view[0], local.reshape(-1, d)).reshape(local.shape)
    return np.linalg.det(np.stack(np.gradient(moved, step_mm, axis=tuple(range(d))), axis=-1))


def least_determinant(recipe, seed, points, field_of_view=None, step=0.5):
    """Smallest Jacobian determinant of ``x + u(x)`` at single local points, by central differences."""
    field, d = field_of_view or recipe.fields_of_view[0], points.shape[1]
    columns = [
        (recipe.displacement(seed, field, points + h) - recipe.displacement(seed, field, points - h)) / (2 * step)
        for h in step * np.eye(d)
    ]
    return float(np.linalg.det(np.stack(columns, axis=-1) + np.eye(d)).min())
