"""Scanning a signal: the right place at any angle, the asked blur, the asked slice, deformations."""

import numpy as np
import pytest

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.synthesis.anatomy.shapes import rotation
from regenv.synthesis.physics.scan import flat, scan


def _ramp(ndim=3):
    grid = Grid.centred((60, 56, 52)[:ndim], (2.0, 2.0, 2.0)[:ndim], (3.0, -5.0, 7.0)[:ndim])
    return Image(grid.points() @ np.array([1.0, -2.0, 0.5])[:ndim], grid, "t1")


def _oblique(size=(24, 20, 10), spacing=(2.5, 2.5, 5.0)):
    return Grid.centred(size, spacing, (1.0, -3.0, 9.0), rotation(8.0, -20.0, 33.0))


def test_a_ramp_stays_where_it_is_at_any_angle():
    grid = _oblique()
    expected = grid.points() @ np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(scan(_ramp(), grid, 1.2).array, expected, atol=1e-3)
    flat = Grid.centred((20, 22), (2.2, 2.2), (1.0, -2.0), rotation(rz=30.0)[:2, :2])
    np.testing.assert_allclose(scan(_ramp(2), flat, 1.2).array, flat.points() @ [1.0, -2.0], atol=1e-3)


def test_a_displacement_is_exact_at_voxel_centres():
    grid = _oblique()

    def bend(points):
        return points + np.column_stack([np.sin(points[:, 1] / 9), points[:, 2] / 20, -points[:, 0] / 15])

    expected = bend(grid.points().reshape(-1, 3)) @ np.array([1.0, -2.0, 0.5])
    moved = scan(_ramp(), grid, 1.2, displace=bend).array
    np.testing.assert_allclose(moved.ravel(), expected, atol=1e-3)
    still = scan(_ramp(), grid, 1.2, displace=lambda p: p).array
    np.testing.assert_allclose(still, scan(_ramp(), grid, 1.2).array, atol=1e-3)


@pytest.mark.parametrize("fwhm", [2.0, 4.0, 7.0])
def test_point_spread_has_the_asked_width(fwhm):
    source = Grid.centred((81, 81, 41), (1.0, 1.0, 1.0))
    array = np.zeros(source.shape, np.float32)
    array[20, 40, 40] = 1.0
    fine = Grid.centred((161, 161, 1), (0.25, 0.25, 1.0), (0, 0, 0), rotation(rz=25.0))
    seen = scan(Image(array, source, "t1"), fine, fwhm, slice_mm=1.0).array[0]
    x = (np.arange(161) - 80) * 0.25
    variance = (seen.sum(axis=0) * x**2).sum() / seen.sum()
    assert np.sqrt(variance) * 2.3548 == pytest.approx(fwhm, rel=0.05)


def test_a_slice_is_the_mean_over_its_thickness():
    source = Grid.centred((9, 9, 41), (1.0, 1.0, 1.0))
    array = np.zeros(source.shape, np.float32)
    array[20] = 1.0  # a sheet one voxel thick
    sheet = Image(array, source, "t1")
    across = Grid.centred((3, 3, 81), (1.0, 1.0, 0.25))
    for thickness in (3.0, 6.0):
        seen = scan(sheet, across, 1.0, slice_mm=thickness).array[:, 1, 1]
        wide = (seen > 0.5 * seen.max()).sum() * 0.25
        assert wide == pytest.approx(thickness, abs=0.8)
        assert seen.sum() * 0.25 == pytest.approx(1.0, rel=0.02)


def test_outside_the_signal_lies_its_background():
    signal = Image(np.full((20, 20, 20), 5.0), Grid.centred((20, 20, 20), (1.0,) * 3), "ct", -1000.0)
    grid = Grid.centred((4, 4, 4), (2.0,) * 3, (100.0, 0, 0))
    assert (scan(signal, grid, 1.0).array == -1000.0).all()
    assert (scan(signal, grid, 1.0, displace=lambda p: p).array == -1000.0).all()
    assert scan(signal, grid, 1.0).background == -1000.0 and scan(signal, grid, 1.0).modality == "ct"


def test_dimensions_must_agree():
    with pytest.raises(ValueError, match="2-D signal"):
        scan(_ramp(2), _oblique(), 1.0)


def test_a_flat_slice_keeps_distances_and_its_own_coordinates():
    grid = _oblique(size=(12, 9, 1))
    image = flat(Image(np.arange(108, dtype=np.float32).reshape(1, 9, 12), grid, "t2"))
    assert image.grid.ndim == 2 and image.array.shape == (9, 12) and image.modality == "t2"
    inplane = grid.points()[0] @ grid.direction[:, :2]
    np.testing.assert_allclose(image.grid.points(), inplane, atol=1e-9)
    with pytest.raises(ValueError, match="single slice"):
        flat(_ramp())
