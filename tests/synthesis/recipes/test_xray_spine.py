from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from regenv.core.camera import index_rays, view_planes
from regenv.core.geometry import transform_points
from regenv.core.projection import attenuation, project, sees, windowed_sums
from regenv.core.resample import array_addresses
from regenv.core.similarity import get_similarity
from regenv.data.pair import ImagePair
from regenv.poses import get_model
from regenv.synthesis.recipes.xray_spine import PITCH_MM, PIXELS, RECIPE, TARGETS, _to_subject, draw_implants

SIZE, SPACING = 64, 4.5
FIELDS = RECIPE.fields_of_view


@cache
def pair(seed: int, field: str) -> ImagePair:
    return RECIPE.make(seed, ("xray", "ct"), field)


def similarities(made: ImagePair, misalignments: np.ndarray) -> np.ndarray:
    """LNCC of the radiographs with those of the volume, misaligned in the first camera's frame."""
    frame = made.cameras[0].frame
    assert made.truth is not None and made.truth.transform is not None and made.fixed_mask is not None
    poses = made.truth.transform @ frame @ misalignments @ np.linalg.inv(frame)
    to_index = made.moving.grid.physical_to_index @ poses
    planes = [view_planes(camera, SIZE, SPACING) for camera in made.cameras]
    cast = [index_rays(camera, p, to_index) for camera, p in zip(made.cameras, planes, strict=True)]
    sources, rays = np.stack([c[0] for c in cast], axis=1), np.concatenate([c[1] for c in cast], axis=1)
    volume = attenuation(made.moving.array)
    addresses, shapes = array_addresses([volume] * len(poses))
    view = (len(poses), len(planes), SIZE, SIZE)
    assert sees(shapes, sources, rays, (SIZE, SIZE)).all()
    out, valid = np.empty(view, np.float32), np.empty(view, np.uint8)
    spacings = np.repeat([made.moving.grid.spacing], len(poses), axis=0)
    project(addresses, shapes, spacings, sources, rays, out, valid, threads=1)
    i, j = np.mgrid[:SIZE, :SIZE]
    fixed, mask = np.empty(view[1:], np.float32), np.empty(view[1:], np.uint8)
    for v, (plane,) in enumerate(planes):
        x, y = (plane[0] + i[..., None] * plane[1] + j[..., None] * plane[2]).transpose(2, 0, 1)
        fixed[v] = map_coordinates(made.fixed.array[v], [y, x], order=1, mode="nearest")
        mask[v] = map_coordinates(made.fixed_mask[v].astype(np.float32), [y, x], order=1) > 0.9
    high = np.full(len(poses), np.percentile(made.fixed.array[made.fixed_mask], 99.5), np.float32)
    windowed_sums(out, valid, 0 * high, high, 0 * high, None, None, out)
    fixed = np.repeat(np.clip(fixed / high[0], 0, 1)[None], len(poses), axis=0)
    return get_similarity("lncc").evaluate(fixed, out, np.repeat(mask[None], len(poses), axis=0), valid)


@pytest.mark.parametrize("field", FIELDS)
def test_same_seed_same_bytes(field: str) -> None:
    again, made = RECIPE.make(3, ("xray", "ct"), field), pair(3, field)
    np.testing.assert_array_equal(made.fixed.array, again.fixed.array)
    np.testing.assert_array_equal(made.moving.array, again.moving.array)
    assert made.truth is not None and again.truth is not None
    np.testing.assert_array_equal(made.truth.points_fixed, again.truth.points_fixed)
    assert (pair(4, field).fixed.array != made.fixed.array).any()


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("seed", [3, 4])
def test_images_are_what_they_say(seed: int, field: str) -> None:
    made = pair(seed, field)
    views = 2 if field == "biplane" else 1
    assert made.fixed.modality == "xray" and made.moving.modality == ("cbct" if field == "cbct" else "ct")
    assert made.fixed.array.shape == (views, PIXELS, PIXELS) and len(made.cameras) == views
    assert made.fixed_mask is not None and made.fixed_mask.mean() > 0.2
    values = made.fixed.array[made.fixed_mask]
    assert values.min() > 0.3 and values.max() < 12 and 2 < np.median(values) < 7.5
    assert made.moving.array.min() < -900 and made.moving.array.max() > 250
    for camera in made.cameras:
        assert 1000 <= camera.distance_mm <= 1200 and 1.45 < camera.magnification < 1.75
        assert camera.grid.spacing[0] == PITCH_MM
    if views == 2:
        first, second = (camera.frame[:3, 2] for camera in made.cameras)
        assert abs(first @ second) < np.sin(np.deg2rad(25))


@pytest.mark.parametrize("field", FIELDS)
def test_truth_is_exact_and_in_view(field: str) -> None:
    truth, made = pair(3, field).truth, pair(3, field)
    assert truth is not None and truth.transform is not None and truth.points_fixed is not None
    assert truth.points_fixed.shape == truth.points_moving.shape == (8, 3)  # type: ignore[union-attr]
    np.testing.assert_allclose(transform_points(truth.transform, truth.points_fixed), truth.points_moving, atol=1e-9)
    np.testing.assert_allclose(transform_points(truth.transform, truth.landmarks_fixed), truth.landmarks_moving)
    assert truth.landmarks_moving is not None
    centre = truth.points_moving.mean(axis=0)  # type: ignore[union-attr]
    bodies = [p for p, n in zip(truth.landmarks_moving, truth.landmark_names, strict=True) if n[:-5] in TARGETS]
    assert min(np.linalg.norm(p - centre) for p in bodies) < 35  # the box reaches behind the body
    index = transform_points(made.moving.grid.physical_to_index, truth.points_moving)
    assert np.all((index > 0) & (index < np.array(made.moving.grid.size)))
    for camera in made.cameras:
        pixels = camera.pixels(truth.points_fixed)
        assert np.all((pixels > 0) & (pixels < PIXELS))
    assert np.linalg.norm(truth.transform[:3, :3] - np.eye(3)) > 0.02


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("seed", [3, 4])
def test_the_truth_is_the_most_similar(seed: int, field: str) -> None:
    rng = np.random.default_rng(seed)
    far = rng.uniform(-1, 1, (50, 6)) * [30, 30, 30, 20, 20, 20]
    far += np.sign(far) * [4, 4, 4, 3, 3, 3]
    poses = np.concatenate([np.eye(4)[None], get_model("rigid", 3).exp(far)])
    got = similarities(pair(seed, field), poses)
    assert got[0] > got[1:].max()


def test_vertebrae_lie_where_the_torso_has_them() -> None:
    truth = pair(3, "ct").truth
    assert truth is not None and truth.landmarks_moving is not None
    for name, point in zip(truth.landmark_names, truth.landmarks_moving, strict=True):
        if name.endswith("_body"):
            np.testing.assert_allclose(_to_subject(3, name[:-5], np.zeros((1, 3)))[0], point, atol=1e-6)


def test_implants_are_drawn_of_every_kind() -> None:
    drawn = [draw_implants(0, "L1", np.random.default_rng(i)) for i in range(40)]
    assert any(not metal for metal in drawn)
    kinds = {(c.metal, c.radius_mm > 6) for metal in drawn for c in metal}
    assert kinds == {("steel", False), ("titanium", False), ("titanium", True)}
    assert all(0.5 < c.radius_mm < 7 and np.linalg.norm(c.end - c.start) < 240 for metal in drawn for c in metal)
