"""Grids: conventions of ITK, crops, frames, errors."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from regenv.core.geometry import Grid, transform_points

OBLIQUE = Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix()


def test_index_to_physical_is_itks():
    grid = Grid((5, 6, 7), (0.7, 1.3, 4.1), (-12.0, 80.0, 3.0), OBLIQUE)
    image = sitk.Image(grid.size, sitk.sitkFloat32)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction.ravel().tolist())
    for index in ((0.0, 0.0, 0.0), (4.0, 5.0, 6.0), (1.25, 2.5, 0.1)):
        point = image.TransformContinuousIndexToPhysicalPoint(index)
        np.testing.assert_allclose(transform_points(grid.index_to_physical, index), point, atol=1e-12)
        np.testing.assert_allclose(transform_points(grid.physical_to_index, point), index, atol=1e-12)


def test_points_follow_the_array():
    grid = Grid((5, 6, 7), (0.7, 1.3, 4.1), (-12.0, 80.0, 3.0), OBLIQUE)
    points = grid.points()
    assert points.shape == (7, 6, 5, 3)
    np.testing.assert_allclose(points[3, 2, 4], transform_points(grid.index_to_physical, (4, 2, 3)))
    np.testing.assert_allclose(points.reshape(-1, 3).mean(axis=0), grid.centre)


def test_crop_keeps_the_points_and_moving_moves_them():
    grid = Grid((9, 8, 7), (0.7, 1.3, 4.1), (-12.0, 80.0, 3.0), OBLIQUE)
    np.testing.assert_allclose(grid.crop((2, 1, 3), (4, 5, 2)).points(), grid.points()[3:5, 1:6, 2:6])
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = Rotation.from_rotvec([1, 2, 3]).as_matrix(), (5, -6, 7)
    np.testing.assert_allclose(grid.moved_by(motion).points(), transform_points(motion, grid.points()), atol=1e-12)


def test_centred_puts_the_middle_where_it_was_asked():
    grid = Grid.centred((4, 5), (2.0, 3.0), (7.0, -8.0))
    np.testing.assert_allclose(grid.centre, (7.0, -8.0))
    np.testing.assert_allclose(grid.extent, (8.0, 15.0))
    np.testing.assert_allclose(transform_points(grid.frame, (0.0, 0.0)), (7.0, -8.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (4,)}, "2 or 3 axes"),
        ({"direction": np.eye(2)}, "direction must be a"),
        ({"size": (4, 0, 4)}, "at least one voxel"),
        ({"spacing": (1.0, 0.0, 1.0)}, "positive"),
        ({"spacing": (1.0, float("nan"), 1.0)}, "positive and finite"),
        ({"origin": (0.0, float("inf"), 0.0)}, "origin must be finite"),
        ({"origin": (0.0, 0.0)}, "differ in length"),
        ({"direction": np.diag([1.0, 2.0, 1.0])}, "orthonormal"),
    ],
)
def test_bad_grids_are_refused(change, message):
    good = {"size": (4, 4, 4), "spacing": (1.0, 1.0, 1.0), "origin": (0.0, 0.0, 0.0), "direction": np.eye(3)}
    with pytest.raises(ValueError, match=message):
        Grid(**{**good, **change})


def test_points_of_another_dimension_are_refused():
    with pytest.raises(ValueError, match="3-D transform cannot map points of 2"):
        transform_points(np.eye(4), np.zeros((5, 2)))
