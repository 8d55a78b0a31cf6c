"""Cone-beam CT: exact where nothing is wrong, and wrong in the known ways where something is."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import shift

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.synthesis.physics.cbct import ConeBeam, _parker, cbct_from_attenuation

PERFECT = {
    "scatter": 0.0,
    "photons": float("inf"),
    "hardening": False,
    "gain_error": 0.0,
    "hu_gain": 1.0,
    "hu_offset": 0.0,
}
SMALL = ConeBeam(radius_mm=75.0, height_mm=50.0, voxel_mm=3.0, views=180, pixel_mm=2.5, smoothing=1.6)


def _cylinder(radius=60.0, value=0.0, size=64, direction=None):
    grid = Grid.centred((size, size, 22), (3.0, 3.0, 3.0), direction=direction)
    x = (np.arange(size) - (size - 1) / 2) * 3.0
    r = np.hypot(x[None, :], x[:, None])
    inside = np.clip(0.5 - (r - radius) / 3.0, 0, 1)
    array = np.broadcast_to(-1000 + inside * (value + 1000), (22, size, size)).astype(np.float32)
    return Image(array.copy(), grid, "ct", -1000.0)


def _rings(image, *radii):
    """Mean over the middle slice within 6 mm of each radius."""
    middle = image.array[image.array.shape[0] // 2]
    v = image.grid.spacing[0]
    x = (np.arange(middle.shape[1]) - (middle.shape[1] - 1) / 2) * v
    r = np.hypot(x[None, :], x[:, None])
    return [float(middle[np.abs(r - radius) < 6].mean()) for radius in radii]


def test_a_perfect_scan_gives_back_the_ct_numbers():
    for short in (False, True):
        image = cbct_from_attenuation(_cylinder(), np.random.default_rng(0), scanner=SMALL, **PERFECT, short_scan=short)
        inner, outer = _rings(image, 0, 40)
        assert abs(inner) < 25 and abs(outer) < 25, (short, inner, outer)


def test_density_is_linear():
    values = [
        _rings(cbct_from_attenuation(_cylinder(value=v), np.random.default_rng(0), scanner=SMALL, **PERFECT), 0)[0]
        for v in (-500.0, 0.0, 300.0)
    ]
    np.testing.assert_allclose(values, [-500, 0, 300], atol=35)


def test_an_object_stays_where_it_is_in_any_frame():
    axes, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    axes[:, 0] *= np.sign(np.linalg.det(axes))
    for direction in (np.eye(3), np.eye(3)[:, [2, 0, 1]], np.diag([1.0, -1.0, 1.0]), axes):
        volume = _cylinder(radius=70.0, value=0.0, direction=direction)
        array = volume.array.copy()
        array[12:15, 24:27, 38:41] = 1500
        volume = Image(array, volume.grid, "ct", -1000.0)
        scan = cbct_from_attenuation(
            volume, np.random.default_rng(0), scanner=SMALL, **PERFECT, isocentre=volume.grid.centre, height_mm=90.0
        )
        bright = np.argwhere(scan.array > 0.6 * scan.array.max())[:, ::-1]
        weight = scan.array[tuple(bright[:, ::-1].T)]
        found = scan.grid.index_to_physical[:3, :3] @ (bright * weight[:, None]).sum(0) / weight.sum()
        found = found + scan.grid.index_to_physical[:3, 3]
        wanted = volume.grid.index_to_physical @ np.array([39, 25, 13, 1.0])
        assert np.linalg.norm(found - wanted[:3]) < 0.8


def test_scatter_makes_a_cup():
    clean = cbct_from_attenuation(_cylinder(), np.random.default_rng(0), scanner=SMALL, **PERFECT)
    hazy = cbct_from_attenuation(_cylinder(), np.random.default_rng(0), scanner=SMALL, **{**PERFECT, "scatter": 1.0})
    cup = np.diff(_rings(hazy, 0, 45))[0]
    assert cup > 40
    assert cup > np.diff(_rings(clean, 0, 45))[0] + 40
    assert _rings(hazy, 0)[0] < -80


def test_fewer_photons_make_more_noise():
    def noise(photons):
        image = cbct_from_attenuation(
            _cylinder(), np.random.default_rng(0), scanner=SMALL, **{**PERFECT, "photons": photons}
        )
        middle = image.array[5:-5, 20:-20, 20:-20]
        return (middle - np.median(middle, axis=0)).std()

    assert noise(3e3) > 2 * noise(1e5)


def test_hardening_darkens_between_two_bones():
    volume = _cylinder(radius=70)
    array = volume.array.copy()
    for column in (16, 39):
        array[:, 28:36, column : column + 9] = 1200
    volume = Image(array, volume.grid, "ct", -1000.0)

    def between(**physics):
        image = cbct_from_attenuation(volume, np.random.default_rng(0), scanner=SMALL, **{**PERFECT, **physics})
        n = image.array.shape[1] // 2
        middle = image.array[image.array.shape[0] // 2]
        return middle[n - 2 : n + 3, n - 4 : n + 5].mean() - middle[n - 14 : n - 10, n - 4 : n + 5].mean()

    assert between(hardening=True) < between(hardening=False) - 12


def test_a_narrow_detector_truncates():
    wide = _cylinder(radius=135.0, size=96)
    scan = cbct_from_attenuation(wide, np.random.default_rng(0), scanner=SMALL, **PERFECT, radius_mm=45.0)
    outside = scan.array == -1000
    assert 0.1 < outside.mean() < 0.35
    assert not outside[:, scan.array.shape[1] // 2, scan.array.shape[2] // 2].any()
    inner, rim = _rings(scan, 0, 37)
    assert rim > inner + 15, (inner, rim)


def _line(beta, gamma):
    """Direction of a ray of the fan and its moment about the isocentre, which tell one line from another."""
    source, across = np.array([np.cos(beta), np.sin(beta)]), np.array([-np.sin(beta), np.cos(beta)])
    way = (np.tan(gamma) * across - source) * np.cos(gamma)
    return np.array([*way, source[0] * way[1] - source[1] * way[0]])


@pytest.mark.parametrize("gamma", [-0.1, 0.0, 0.07])
def test_parker_weights_of_conjugate_rays_sum_to_one(gamma):
    arc = np.pi + 0.4
    shared = 0
    for beta in np.linspace(0, arc - np.pi, 9)[1:-1]:
        opposite = beta + np.pi - 2 * gamma
        np.testing.assert_allclose(_line(opposite, -gamma), -_line(beta, gamma), atol=1e-12)
        if opposite < arc:
            here, there = np.diag(_parker(np.array([beta, opposite]), np.array([gamma, -gamma]), arc))
            assert here + there == pytest.approx(1.0)
            shared += 0.05 < here < 0.95
    assert shared >= 2
    once = _parker(np.array([arc / 2]), np.array([gamma]), arc)[0, 0]
    assert once == 1.0


def test_the_same_generator_gives_the_same_scan_and_options_are_checked():
    first, again = (cbct_from_attenuation(_cylinder(), np.random.default_rng(5), scanner=SMALL) for _ in range(2))
    assert np.array_equal(first.array, again.array)
    assert first.modality == "cbct"
    with pytest.raises(TypeError, match="photon_count"):
        cbct_from_attenuation(_cylinder(), np.random.default_rng(5), photon_count=3)
    flat = Image(np.zeros((8, 8)), Grid.centred((8, 8), (1.0, 1.0)), "ct", -1000.0)
    with pytest.raises(ValueError, match="3-D"):
        cbct_from_attenuation(flat, np.random.default_rng(5))


def test_a_real_scan_becomes_a_cbct_that_matches_it_in_place():
    folder = Path(os.environ.get("REGENV_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
    path = folder / "elastix_lung" / "3DCT_lung_baseline_small.mha"
    if not path.exists():
        pytest.skip("the shared data are not here (set REGENV_SHARED_DATA)")
    from regenv.core.resample import resample
    from regenv.data.image_io import read_image

    real = read_image(path, "ct")
    scan = cbct_from_attenuation(real, np.random.default_rng(0), radius_mm=90.0, views=90, pixel_mm=3.0)
    same, valid = resample(real, scan.grid)
    inside = valid & (scan.array > -1000)

    def correlation(moved):
        return np.corrcoef(scan.array[inside], moved[inside])[0, 1]

    here = correlation(same)
    assert here > 0.85
    for axis in range(3):
        for step in (-2, 2):
            offset = np.zeros(3)
            offset[axis] = step
            assert correlation(shift(same, offset, order=1, mode="nearest")) < here
