"""What the tests of recipes measure where the truth is a matrix: exactness, agreement, overlap."""

from functools import lru_cache

import numpy as np

from regenv.core.geometry import transform_points
from regenv.core.labels import label_resample
from regenv.core.resample import resample
from regenv.synthesis.anatomy.shapes import rotation


@lru_cache(maxsize=16)
def made(recipe, seed, modalities, field_of_view):
    """A pair that several tests look at."""
    return recipe.make(seed, modalities, field_of_view)


def mutual_information(a, b, bins=24):
    """Of two arrays of values, in nats."""
    edges = [np.quantile(v, np.linspace(0, 1, bins + 1)) for v in (a, b)]
    codes = [np.clip(np.searchsorted(e, v, side="right") - 1, 0, bins - 1) for e, v in zip(edges, (a, b), strict=True)]
    joint = np.bincount(codes[0] * bins + codes[1], minlength=bins * bins).reshape(bins, bins) / len(a)
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / product[some])).sum())


def agreement(pair, transform, at_least=0.5):
    """Mutual information of fixed and moved image where both show something of the fixed body."""
    moved, valid = resample(pair.moving, pair.fixed.grid, transform)
    inside = valid & pair.fixed_mask
    if inside.sum() < at_least * pair.fixed_mask.sum():
        return -np.inf
    return mutual_information(pair.fixed.array[inside], moved[inside])


def random_misalignments(pair, rng, count=50, degrees=20.0, millimetres=30.0):
    """The truth followed by a turn about the middle of the moving image and a shift, neither of them small."""
    d = pair.ndim
    centre = pair.moving.grid.centre
    out = []
    while len(out) < count:
        motion = np.eye(d + 1)
        angles = rng.uniform(-degrees, degrees, 3)
        turn = rotation(*angles) if d == 3 else rotation(rz=angles[2])[:2, :2]
        shift = rng.uniform(-millimetres, millimetres, d)
        if np.linalg.norm(shift) < 0.2 * millimetres and np.abs(angles[2]) < 0.2 * degrees:
            continue
        motion[:d, :d] = turn
        motion[:d, d] = centre - turn @ centre + shift
        out.append(motion @ pair.truth.transform)
    return out


def overlap(pair, transform, label):
    """Dice overlap of one label under a transform."""
    moved = label_resample(pair.truth.labels_moving, pair.moving.grid, pair.fixed.grid, transform) == label
    fixed = pair.truth.labels_fixed == label
    return 2 * (moved & fixed).sum() / max((moved.sum() + fixed.sum()), 1)


def landmark_error(pair):
    """Largest distance in mm between the landmarks under the true transform and where they are."""
    moved = transform_points(pair.truth.transform, pair.truth.landmarks_fixed)
    return float(np.linalg.norm(moved - pair.truth.landmarks_moving, axis=1).max())
