"""Lattices of points, and what lies at a point of a voxel grid."""

import numpy as np
import pytest

from regenv.core.geometry import Grid, transform_points
from regenv.synthesis.anatomy.points import between_voxels, cube, lattice, nearest, within
from regenv.synthesis.anatomy.shapes import rotation

OBLIQUE = Grid.centred((5, 4, 3), (2.0, 3.0, 4.0), (7.0, -2.0, 1.0), rotation(10.0, -20.0, 30.0))


def test_a_lattice_is_every_combination_with_the_last_coordinate_fastest():
    assert lattice([0, 1], [5], [2, 3]).tolist() == [[0, 5, 2], [0, 5, 3], [1, 5, 2], [1, 5, 3]]
    assert lattice([1.5, 2.5]).tolist() == [[1.5], [2.5]]


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_cube_has_the_origin_and_ends_within_its_half_width(ndim):
    points = cube(10.0, 4.0, ndim)
    assert points.shape == (5**ndim, ndim)
    assert np.abs(points).max() == 8.0
    assert (points == 0).all(axis=1).sum() == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_])
def test_points_read_the_voxel_that_they_lie_in(dtype):
    rng = np.random.default_rng(0)
    array = rng.integers(1, 200, OBLIQUE.shape).astype(dtype)
    index = np.stack([rng.integers(0, n, 50) for n in OBLIQUE.size], axis=1)
    points = transform_points(OBLIQUE.index_to_physical, index + rng.uniform(-0.49, 0.49, (50, 3)))
    found = nearest(array, OBLIQUE, points)
    assert found.dtype == dtype
    assert np.array_equal(found, array[tuple(index.T[::-1])])
    assert within(OBLIQUE, points).all()


def test_nothing_lies_beyond_the_faces_of_the_outermost_voxels():
    half = np.asarray(OBLIQUE.extent) / 2
    for axis in range(3):
        for sign in (-1.0, 1.0):
            step = np.zeros((1, 3))
            step[0, axis] = sign * half[axis]
            inner, outer = (transform_points(OBLIQUE.frame, share * step) for share in (0.999, 1.001))
            assert within(OBLIQUE, inner).all() and not within(OBLIQUE, outer).any()
            assert nearest(np.ones(OBLIQUE.shape, np.uint8), OBLIQUE, outer).tolist() == [0]
            centres = (half[axis] - OBLIQUE.spacing[axis] / 2) / half[axis]
            inner, outer = (transform_points(OBLIQUE.frame, share * centres * step) for share in (0.999, 1.001))
            assert between_voxels(OBLIQUE, inner).all() and not between_voxels(OBLIQUE, outer).any()
