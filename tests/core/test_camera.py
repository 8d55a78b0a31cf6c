from __future__ import annotations

import numpy as np
import pytest

from regenv.core.camera import Camera, detector_planes, index_rays, view_planes
from regenv.core.geometry import Grid, transform_points
from regenv.poses import get_model


def c_arm(axes: np.ndarray | None = None) -> Camera:
    """Source 700 mm before the isocentre, detector 400 mm behind it, 80 x 60 pixels, along the columns of ``axes``."""
    axes = np.eye(3) if axes is None else axes
    isocentre = np.array([10.0, -20.0, 30.0])
    grid = Grid.centred((80, 60, 1), (2.0, 3.0, 1.0), isocentre + 400 * axes[:, 2], axes)
    return Camera(isocentre - 700 * axes[:, 2], grid, isocentre)


def random_motion(seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(-40, 40, 6)
    return get_model("rigid", 3).exp(values[None])[0]


def test_frame_is_u_v_n_about_the_isocentre() -> None:
    turned = random_motion(0)[:3, :3]
    camera = c_arm(turned)
    np.testing.assert_allclose(camera.frame[:3, :3], turned, atol=1e-12)
    np.testing.assert_allclose(camera.frame[:3, 3], camera.isocentre)
    assert camera.distance_mm == pytest.approx(1100)
    assert camera.magnification == pytest.approx(1100 / 700)


def test_pixels_lie_on_the_ray() -> None:
    camera = c_arm(random_motion(1)[:3, :3])
    pixels = np.array([[0.0, 0.0], [79.0, 59.0], [12.25, 40.5]])
    on_detector = transform_points(camera.grid.index_to_physical, np.c_[pixels, np.zeros(3)])
    for share in (0.1, 0.6, 1.0, 1.7):
        points = camera.source + share * (on_detector - camera.source)
        np.testing.assert_allclose(camera.pixels(points), pixels, atol=1e-9)
    assert np.isnan(camera.pixels(camera.source[None] - (on_detector[:1] - camera.source))).all()


def test_pixels_do_not_change_when_the_world_moves() -> None:
    camera, motion = c_arm(), random_motion(2)
    points = np.random.default_rng(3).normal(0, 50, (20, 3)) + camera.isocentre
    moved = camera.moved_by(motion)
    np.testing.assert_allclose(moved.pixels(transform_points(motion, points)), camera.pixels(points), atol=1e-9)
    np.testing.assert_allclose(moved.frame, motion @ camera.frame, atol=1e-9)


def test_index_rays_reach_the_pixels() -> None:
    """Index coordinates of pixels, mapped back through the volume's grid and the pose, are the pixels' positions."""
    camera, pose = c_arm(random_motion(4)[:3, :3]), random_motion(5)
    volume = Grid((40, 50, 60), (1.0, 2.0, 3.5), (-5.0, 6.0, 7.0), random_motion(6)[:3, :3])
    planes = np.concatenate([detector_planes(camera), view_planes(camera, 16, 4.5)])
    to_index = np.stack([volume.physical_to_index @ pose, volume.physical_to_index])
    sources, rays = index_rays(camera, planes, to_index)
    assert sources.shape == (2, 3) and rays.shape == (2, 2, 3, 3)
    for lane, matrix in enumerate((pose, np.eye(4))):
        back = np.linalg.inv(matrix) @ volume.index_to_physical
        np.testing.assert_allclose(transform_points(back, sources[lane]), camera.source, atol=1e-9)
        for s, (i, j) in ((0, (59, 79)), (0, (0, 5)), (1, (15, 3))):
            pixel = planes[s, 0] + i * planes[s, 1] + j * planes[s, 2]
            want = transform_points(camera.grid.index_to_physical, [*pixel, 0.0])
            point = rays[lane, s, 0] + i * rays[lane, s, 1] + j * rays[lane, s, 2]
            np.testing.assert_allclose(transform_points(back, point), want, atol=1e-9)


def test_view_is_centred_and_square_in_mm() -> None:
    camera = c_arm()
    plane = view_planes(camera, 32, 6.0)[0]
    corners = np.array([plane[0], plane[0] + 31 * plane[1] + 31 * plane[2]])
    positions = transform_points(camera.grid.index_to_physical, np.c_[corners, np.zeros(2)])
    np.testing.assert_allclose(positions.mean(axis=0), camera.grid.centre, atol=1e-9)
    np.testing.assert_allclose(positions[1] - positions[0], [31 * 6, 31 * 6, 0], atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": np.zeros(2)}, "source is a finite point"),
        ({"isocentre": np.array([0.0, np.nan, 0.0])}, "isocentre is a finite point"),
        ({"grid": Grid.centred((8, 8), (1.0, 1.0))}, r"size \(W, H, 1\)"),
        ({"grid": Grid.centred((8, 8, 2), (1.0, 1.0, 1.0))}, r"size \(W, H, 1\)"),
        ({"source": np.array([500.0, 3.0, 0.0])}, "detector's plane"),
    ],
)
def test_bad_cameras_are_refused(change: dict[str, object], message: str) -> None:
    good = {"source": np.array([0.0, 0.0, -500.0]), "isocentre": np.zeros(3)}
    good |= {"grid": Grid.centred((8, 8, 1), (1.0, 1.0, 1.0))}  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=message):
        Camera(**{**good, **change})  # type: ignore[arg-type]


def test_bad_planes_are_refused() -> None:
    camera = c_arm()
    with pytest.raises(ValueError, match=r"\(S, 3, 2\)"):
        index_rays(camera, np.zeros((1, 3, 3)), np.eye(4)[None])
    with pytest.raises(ValueError, match=r"\(B, 4, 4\)"):
        index_rays(camera, detector_planes(camera), np.eye(4))
