from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from regenv.catalogue import TASKS
from regenv.core.camera import index_rays, view_planes
from regenv.core.geometry import transform_points
from regenv.core.projection import depth, depth_image, sees, windowed_sums
from regenv.core.resample import array_addresses
from regenv.core.similarity import get_similarity
from regenv.data.frames import inside
from regenv.data.pair import ImagePair
from regenv.poses import get_model
from regenv.synthesis.recipes.depth_surface import PIXELS, RECIPE, SKIN_HU

SIZE, SPACING = 64, 9.0
FIELDS = RECIPE.fields_of_view


@cache
def pair(seed: int, field: str) -> ImagePair:
    return RECIPE.make(seed, ("depth", "ct"), field)


def similarities(made: ImagePair, misalignments: np.ndarray) -> np.ndarray:
    """The environment's similarity of the depth image with that of the CT, misaligned in the camera's frame."""
    camera = made.cameras[0]
    assert made.truth is not None and made.truth.transform is not None and made.fixed_mask is not None
    poses = made.truth.transform @ camera.frame @ misalignments @ np.linalg.inv(camera.frame)
    planes = view_planes(camera, SIZE, SPACING)
    sources, rays = index_rays(camera, planes, made.moving.grid.physical_to_index @ poses)
    lanes = len(poses)
    addresses, shapes = array_addresses([made.moving.array] * lanes)
    assert sees(shapes, sources[:, None], rays, (SIZE, SIZE), beyond=True).all()
    out, valid = np.empty((lanes, 1, SIZE, SIZE), np.float32), np.empty((lanes, 1, SIZE, SIZE), np.uint8)
    spacings, level = np.repeat([made.moving.grid.spacing], lanes, axis=0), np.full(lanes, SKIN_HU, np.float32)
    depth(addresses, shapes, spacings, sources[:, None], rays, level, out, valid, threads=1)
    i, j = np.mgrid[:SIZE, :SIZE]
    x, y = (planes[0, 0] + i[..., None] * planes[0, 1] + j[..., None] * planes[0, 2]).transpose(2, 0, 1)
    fixed = map_coordinates(made.fixed.array[0], [y, x], order=1)
    mask = map_coordinates(made.fixed_mask[0].astype(np.float32), [y, x], order=1) > 0.99
    low, high = np.percentile(made.fixed.array[made.fixed.array > 0], (0.5, 99.5)).astype(np.float32)
    ones = np.ones(lanes, np.float32)
    windowed_sums(out, valid, low * ones, high * ones, 0 * ones, None, None, out)
    fixed = np.clip((fixed - low) / (high - low), 0, 1)
    both = [np.repeat(a[None, None], lanes, axis=0) for a in (fixed, mask.astype(np.uint8))]
    return get_similarity(TASKS["DepthCT-Rigid-v0"].similarity).evaluate(both[0], out, both[1], valid)


@pytest.mark.parametrize("field", FIELDS)
def test_same_seed_same_bytes(field: str) -> None:
    again, made = RECIPE.make(3, ("depth", "ct"), field), pair(3, field)
    np.testing.assert_array_equal(made.fixed.array, again.fixed.array)
    np.testing.assert_array_equal(made.moving.array, again.moving.array)
    np.testing.assert_array_equal(made.fixed_mask, again.fixed_mask)
    assert (pair(4, field).fixed.array != made.fixed.array).any()


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("seed", [3, 4])
def test_images_are_what_they_say(seed: int, field: str) -> None:
    made = pair(seed, field)
    assert made.fixed.modality == "depth" and made.moving.modality == "ct" and len(made.cameras) == 1
    assert made.fixed.array.shape == (1, PIXELS, PIXELS)
    camera = made.cameras[0]
    assert 1000 <= camera.distance_mm <= 1500
    np.testing.assert_allclose(camera.isocentre, camera.grid.centre, atol=1e-9)
    shown = made.fixed.array[made.fixed.array > 0]
    assert 0.4 < len(shown) / made.fixed.array.size < 0.95
    assert shown.min() > 700 and shown.max() < 2100
    assert made.fixed_mask is not None and 0.15 < made.fixed_mask.mean() < 0.5
    assert (made.fixed.array[made.fixed_mask] > 0).all()


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("seed", [3, 4])
def test_the_skin_of_the_ct_lies_where_the_camera_sees_it(seed: int, field: str) -> None:
    """Bare to the noise; a gown lies up to 3 cm before it in hollows, and never behind it."""
    made = pair(seed, field)
    assert made.truth is not None and made.fixed_mask is not None
    rendered, hit = depth_image(made.moving, made.cameras[0], SKIN_HU, made.truth.transform)
    both = made.fixed_mask[0] & hit
    assert both.sum() > 0.97 * made.fixed_mask.sum()
    gap = rendered[both] - made.fixed.array[0][both]
    if field == "bare":
        assert abs(np.median(gap)) < 6 and np.median(np.abs(gap - np.median(gap))) < 4
    else:
        assert -6 < np.median(gap) < 30 and np.quantile(gap, 0.02) > -15
    if field == "clothed":
        assert np.median(gap) > 2


@pytest.mark.parametrize("field", FIELDS)
def test_truth_is_exact(field: str) -> None:
    made, truth = pair(3, field), pair(3, field).truth
    assert truth is not None and truth.transform is not None and truth.points_moving is not None
    np.testing.assert_allclose(transform_points(truth.transform, truth.points_fixed), truth.points_moving, atol=1e-9)
    np.testing.assert_allclose(transform_points(truth.transform, truth.landmarks_fixed), truth.landmarks_moving)
    assert len(truth.points_moving) > 500
    within = inside(made.moving.grid, truth.points_moving)
    assert within.mean() > 0.9
    index = np.rint(transform_points(made.moving.grid.physical_to_index, truth.points_moving[within])).astype(int)
    dense = made.moving.array[tuple(index.T[::-1])] > -980
    assert dense.mean() > 0.97  # in the body, lungs included
    turn = truth.transform[:3, :3]
    assert 2 < np.rad2deg(np.arccos((np.trace(turn) - 1) / 2)) < 30


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("seed", [3, 4])
def test_the_truth_is_the_most_similar(seed: int, field: str) -> None:
    rng = np.random.default_rng(seed)
    far = rng.uniform(-1, 1, (50, 6)) * [30, 30, 30, 20, 20, 20]
    far += np.sign(far) * [5, 5, 5, 3, 3, 3]
    poses = np.concatenate([np.eye(4)[None], get_model("rigid", 3).exp(far)])
    got = similarities(pair(seed, field), poses)
    assert got[0] > got[1:].max()
