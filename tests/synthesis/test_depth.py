from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray, Grid
from regenv.synthesis.physics.depth import DepthSensor, depth_camera, draw_sensor, slant

PERFECT = DepthSensor(noise=0.0, ripple_mm=0.0, dropout=0.0, grazing_deg=200.0)
STRUCTURED = replace(PERFECT, kind="structured_light", noise=0.0)


def camera(pixels: int = 96) -> Camera:
    return Camera(np.array([0.0, -1000.0, 0.0]), _plane(pixels), np.zeros(3))


def _plane(pixels: int) -> Grid:
    axes = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
    return Grid.centred((pixels, pixels, 1), (5.0, 5.0, 5.0), None, axes)


def wall(at: Camera, distance: float, tilt_deg: float = 0.0) -> FloatArray:
    """Distance along each ray to a plane through the axis at ``distance``, tilted about the image's rows."""
    way = at.grid.points()[0] - at.source
    way /= np.linalg.norm(way, axis=-1, keepdims=True)
    tilt = np.deg2rad(tilt_deg)
    normal = np.array([0.0, np.cos(tilt), np.sin(tilt)])
    return normal[1] * distance / (way @ normal)


ALL = np.ones((96, 96), np.bool_)


@pytest.mark.parametrize("tilt", [0.0, 30.0, 60.0])
def test_slant_is_the_angle_of_the_surface(tilt: float) -> None:
    at = camera()
    got = np.rad2deg(slant(wall(at, 1000.0, tilt), at))
    assert got[47:49, 47:49].mean() == pytest.approx(tilt, abs=1.0)


def test_a_perfect_sensor_only_rounds() -> None:
    at = camera()
    exact = wall(at, 1234.4, 20.0)
    image = depth_camera(exact, ALL, at, np.random.default_rng(0), PERFECT)
    assert image.modality == "depth" and image.array.shape == (1, 96, 96) and image.background == 0
    assert np.abs(image.array[0] - exact).max() <= 0.5001
    steps = np.unique(depth_camera(exact, ALL, at, np.random.default_rng(0), STRUCTURED).array)
    spread = np.diff(steps)
    at_1200 = spread[(steps[1:] > 1200) & (steps[1:] < 1300)]
    assert np.median(at_1200) == pytest.approx(2.85e-6 * 1250**2, rel=0.2)  # quanta of about 4 mm


@pytest.mark.parametrize("kind", ["time_of_flight", "structured_light"])
def test_noise_grows_with_distance(kind: str) -> None:
    at, sensor = camera(), replace(PERFECT, kind=kind, noise=1.5)

    def deviation(distance: float, tilt: float = 0.0) -> float:
        exact = wall(at, distance, tilt)
        image = depth_camera(exact, ALL, at, np.random.default_rng(1), sensor)
        error = (image.array[0] - exact)[40:56, 20:76]
        return float(error.std())

    near, far = deviation(800.0), deviation(2200.0)
    assert 0.8 < near < 3.5 and far > 1.8 * near
    assert deviation(1000.0, 70.0) > 1.15 * deviation(1000.0)


def test_pixels_go_missing_where_they_should() -> None:
    at = camera()
    steep = depth_camera(wall(at, 1000.0, 80.0), ALL, at, np.random.default_rng(2), replace(PERFECT, grazing_deg=75.0))
    head_on = depth_camera(wall(at, 1000.0), ALL, at, np.random.default_rng(2), replace(PERFECT, grazing_deg=75.0))
    assert (steep.array[0, 44:52, 44:52] == 0).mean() > 0.8 and (head_on.array == 0).mean() < 0.001
    some = depth_camera(wall(at, 1000.0), ALL, at, np.random.default_rng(2), replace(PERFECT, dropout=0.02))
    assert (some.array == 0).mean() == pytest.approx(0.02, abs=0.005)
    far = depth_camera(wall(at, 3000.0), ALL, at, np.random.default_rng(2), PERFECT)
    assert not far.array.any()
    half = ALL.copy()
    half[:, :48] = False
    unseen = depth_camera(wall(at, 1000.0), half, at, np.random.default_rng(2), PERFECT)
    assert not unseen.array[0, :, :47].any() and unseen.array[0, :, 50:].all()


def test_flying_pixels_lie_between_the_sides_of_a_jump_and_nowhere_else() -> None:
    at = camera()
    exact = wall(at, 1200.0)
    exact[:, 48:] = wall(at, 1000.0)[:, 48:]
    image = depth_camera(exact, ALL, at, np.random.default_rng(3), PERFECT).array[0]
    kept = image > 0
    between = kept & (np.abs(image - wall(at, 1200.0)) > 5) & (np.abs(image - wall(at, 1000.0)) > 5)
    assert between.sum() > 40
    assert set(np.nonzero(between)[1]) <= {47, 48}
    inside = image[between]
    assert inside.min() > 1000 and inside.max() < 1200 * 1.03
    other = depth_camera(exact, ALL, at, np.random.default_rng(3), STRUCTURED).array[0]
    assert (other[:, 47:49] == 0).mean() > 0.3 and (other[:, :46] > 0).all()


def test_same_seed_same_bytes_and_bad_arguments() -> None:
    at = camera()
    exact = wall(at, 1100.0)
    one, two = (depth_camera(exact, ALL, at, np.random.default_rng(4)).array for _ in range(2))
    np.testing.assert_array_equal(one, two)
    with pytest.raises(ValueError, match="do not fit"):
        depth_camera(exact[:-1], ALL, at, np.random.default_rng(0))
    with pytest.raises(ValueError, match="stereo"):
        depth_camera(exact, ALL, at, np.random.default_rng(0), replace(PERFECT, kind="stereo"))
    kinds = {draw_sensor(np.random.default_rng(i)).kind for i in range(20)}
    assert kinds == {"time_of_flight", "structured_light"}
