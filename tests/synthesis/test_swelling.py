"""Bumps: the same at points and on grids, invertible within their limits, nothing beyond their reach."""

import numpy as np
import pytest

from regenv.core.geometry import Grid
from regenv.synthesis.anatomy.swelling import Bump, PlaneWarp, SwollenWarp, displaced, displacement

BUMPS = (
    Bump((3.0, -4.0, 6.0), (18.0, 14.0, 16.0), (-0.3, -0.25, -0.35)),
    Bump((-8.0, 5.0, 0.0), (20.0, 24.0, 22.0), (0.2, 0.0, 0.1), (2.0, -1.0, 4.0), compact=True),
)
REGION = {"amplitude_mm": 1.5, "knot_mm": 30.0, "lo": (-90.0,) * 3, "hi": (90.0,) * 3}


def _warp(kind=SwollenWarp, **kwargs):
    return kind(np.random.default_rng(4), (1.05, 0.95, 1.02), BUMPS, **REGION, **kwargs)


def _determinants(bump, step=0.01):
    points = np.random.default_rng(0).uniform(-60, 60, (4000, 3))
    columns = [(displaced((bump,), points + h) - displaced((bump,), points - h)) / (2 * step) for h in step * np.eye(3)]
    return np.linalg.det(np.stack(columns, axis=-1))


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("pull", [-0.9, 1.4])
def test_a_bump_within_its_limits_is_invertible(compact, pull):
    assert _determinants(Bump((0, 0, 0), (30, 30, 30), (pull,) * 3, compact=compact)).min() > 0
    assert _determinants(Bump((0, 0, 0), (30, 30, 30), push=(0.0, 14.0, 0.0), compact=compact)).min() > 0


def test_a_compact_bump_ends_at_its_radii():
    bump = Bump((0, 0, 0), (20, 30, 40), (0.3,) * 3, (1, 2, 3), compact=True)
    ends = np.array([[20.0, 0, 0], [0, 30.001, 0], [0, 0, -41], [15, 25, 0]])
    assert np.abs(displacement((bump,), ends)).max() < 1e-9
    np.testing.assert_allclose(displacement((bump,), np.zeros((1, 3))), [[1, 2, 3]])


def test_no_bump_moves_nothing():
    points = np.random.default_rng(1).uniform(-50, 50, (10, 3))
    assert np.array_equal(displaced((), points), points)


@pytest.mark.parametrize("warp", [_warp(), _warp(PlaneWarp, level=7.0)], ids=["swollen", "plane"])
def test_fields_points_and_the_inverse_agree(warp):
    grid = Grid((12, 10, 3), (5.0, 6.0, 2.0), (-28.0, -25.0, -2.0), np.eye(3))
    fields = np.stack(warp.template_coordinates(grid), axis=-1).reshape(-1, 3)
    points = grid.points().reshape(-1, 3)
    np.testing.assert_allclose(fields, warp.to_template(points), atol=2e-3)
    np.testing.assert_allclose(warp.to_subject(warp.to_template(points)), points, atol=1e-4)


def test_a_plane_warp_stays_in_its_plane():
    warp = _warp(PlaneWarp, level=7.0)
    points = np.random.default_rng(2).uniform(-30, 30, (50, 3))
    moved = warp.to_template(points)
    np.testing.assert_allclose(moved[:, 2], points[:, 2] + 7.0)
    lifted = warp.to_template(points + (0.0, 0.0, 2.0))
    np.testing.assert_allclose(lifted[:, :2], moved[:, :2])
