"""The lattice and the target registration error."""

import numpy as np
import pytest

from regenv.core.geometry import Grid, transform_points
from regenv.core.points import lattice_indices, lattice_points, mean_tre, point_errors


def oblique_grid(size=(50, 40, 30), spacing=(2.0, 2.5, 4.0)):
    a = np.deg2rad(25)
    direction = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return Grid.centred(size, spacing, centre=(10, -20, 30), direction=direction)


def test_lattice_of_a_whole_grid_is_regular_and_centred():
    grid = oblique_grid()
    points = lattice_points(None, grid)
    local = transform_points(np.linalg.inv(grid.frame), points)
    assert np.allclose(local / 20, np.rint(local / 20), atol=1e-9)
    assert np.allclose(points.mean(axis=0), grid.centre)
    assert len(points) == 5 * 5 * 5  # reach of 98, 97.5 and 116 mm / 2 / 20


def test_lattice_keeps_to_the_mask():
    grid = oblique_grid()
    mask = np.zeros(grid.shape, bool)
    mask[:, :, 25:] = True  # x above the centre
    local = transform_points(np.linalg.inv(grid.frame), lattice_points(mask, grid))
    assert local[:, 0].min() >= 0
    assert local[:, 0].max() > 30


def test_small_mask_halves_the_spacing_until_eight_points():
    grid = Grid.centred((64, 64, 64), (1.0, 1.0, 1.0))
    mask = np.zeros(grid.shape, bool)
    mask[26:38, 26:38, 26:38] = True
    points, spacing = lattice_indices(mask, grid)
    assert spacing == 5.0
    assert len(points) >= 8


def test_bad_masks_are_named():
    grid = Grid.centred((8, 8, 8), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="empty"):
        lattice_points(np.zeros(grid.shape, bool), grid)
    with pytest.raises(ValueError, match="does not fit"):
        lattice_points(np.ones((2, 2, 2), bool), grid)


def test_tre_of_a_translation_and_of_a_rotation():
    grid = oblique_grid()
    points = lattice_points(None, grid)
    shift = np.eye(4)
    shift[:3, 3] = (3, 4, 12)
    assert mean_tre(shift, np.eye(4), points) == pytest.approx(13)
    assert point_errors(shift, points, points) == pytest.approx(np.full(len(points), 13))
    angle = np.deg2rad(10)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    chord = 2 * np.sin(angle / 2) * np.linalg.norm(points[:, :2], axis=1)
    assert mean_tre(turn, np.eye(4), points) == pytest.approx(chord.mean())


def test_batch_equals_single():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(7, 3)) * 50
    truth = np.eye(4)
    matrices = np.eye(4) + 0.01 * rng.normal(size=(5, 4, 4)) * [[1], [1], [1], [0]]
    batch = mean_tre(matrices, truth, points)
    assert batch == pytest.approx([float(mean_tre(m, truth, points)) for m in matrices])
    assert point_errors(matrices, points, points).mean(axis=1) == pytest.approx(batch)
