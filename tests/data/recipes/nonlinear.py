"""How well the images of a deformed pair agree under the truth and under random misalignments; folding."""

import numpy as np
from scipy.ndimage import map_coordinates

from regenv.core.geometry import transform_points
from tests.data.recipes.misaligned import mutual_information


def true_points(recipe, seed, pair, points):
    """Where the displacement and the alignment of a recipe say that physical points ``(N, d)`` belong."""
    frame = pair.fixed.grid.frame
    local = transform_points(np.linalg.inv(frame), points)
    moved = local + recipe.displacement(seed, recipe.fields_of_view[0], local)
    return transform_points(pair.alignment @ frame, moved)


def sampled(image, points, order=1):
    """Values of an image at physical points; NaN outside."""
    index = transform_points(image.grid.physical_to_index, points)[:, ::-1].T
    return map_coordinates(image.array, index, order=order, mode="constant", cval=np.nan)


def agreement(pair, fixed, moved_points):
    """Mutual information of values of the fixed image with those of the moving image where their points are sent."""
    moved = sampled(pair.moving, moved_points)
    seen = np.isfinite(moved)
    return mutual_information(fixed[seen], moved[seen]) if seen.mean() > 0.5 else -np.inf


def share_beaten(recipe, seed, pair, count=50, millimetres=8.0, degrees=10.0):
    """Of random turns and shifts after the truth, none of them small: the share with less agreement than the truth."""
    rng = np.random.default_rng(0)
    d = pair.ndim
    step = max(1, int(pair.fixed_mask.sum()) // 20000)
    points, fixed = (a[pair.fixed_mask][::step] for a in (pair.fixed.grid.points(), pair.fixed.array))
    truth = true_points(recipe, seed, pair, points)
    centre = truth.mean(axis=0)
    best = agreement(pair, fixed, truth)
    beaten = 0
    for _ in range(count):
        angle = np.deg2rad(rng.uniform(-degrees, degrees))
        shift = rng.standard_normal(d)
        shift *= rng.uniform(0.3, 1.0) * millimetres / np.linalg.norm(shift)
        turn = np.eye(d)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        beaten += agreement(pair, fixed, (truth - centre) @ turn.T + centre + shift) < best
    return beaten / count


def determinants(recipe, seed, half_mm, step_mm):
    """Jacobian determinants of ``x + u(x)`` on a lattice of the view."""
    axes = [np.arange(-h, h + step_mm / 2, step_mm) for h in half_mm]
    local = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    d = len(axes)
    moved = local + recipe.displacement(seed, recipe.fields_of_view[0], local.reshape(-1, d)).reshape(local.shape)
    return np.linalg.det(np.stack(np.gradient(moved, step_mm, axis=tuple(range(d))), axis=-1))


def label_overlaps(recipe, seed, pair):
    """Dice overlap of every label before the truth (through the alignment alone) and through it: ``{label: (2,)}``."""
    points = pair.fixed.grid.points()
    fixed = pair.truth.labels_fixed
    if pair.ndim == 3:  # every second voxel of a slice is enough
        points, fixed = points[:, ::2, ::2], fixed[:, ::2, ::2]
    points, fixed = points.reshape(-1, pair.ndim), fixed.reshape(-1)
    out = {}
    wheres = (transform_points(pair.alignment, points), true_points(recipe, seed, pair, points))
    indices = [transform_points(pair.moving.grid.physical_to_index, where)[:, ::-1].T for where in wheres]
    for label in pair.truth.label_names:
        moving = (pair.truth.labels_moving == label).astype(float)
        found = [map_coordinates(moving, index, order=1) > 0.5 for index in indices]
        out[label] = [2 * (f & (fixed == label)).sum() / (f.sum() + (fixed == label).sum()) for f in found]
    return out
