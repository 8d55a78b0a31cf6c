"""Resampling through a spline displacement: exact where it is zero, agreement with SciPy and SimpleITK, lanes."""

from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.core.resample import (
    array_addresses,
    index_matrices,
    orthogonal_planes,
    render_with_sums,
    volume_planes,
)
from regenv.core.sitk import image_to_sitk, matrix_to_sitk
from regenv.core.warp import direction_matrices, render_warped, render_warped_with_sums, warped_similarity_sums
from regenv.poses import get_model
from regenv.poses.deformation import StatisticalDeformation

K = 5


def _turn(ndim: int, seed: int) -> np.ndarray:
    if ndim == 3:
        return Rotation.random(random_state=seed).as_matrix()
    angle = np.random.default_rng(seed).uniform(-np.pi, np.pi)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _case(ndim: int, volume: bool, spread: float = 4.0) -> SimpleNamespace:
    """Four lanes of oblique images of different shapes, an oblique view of 24 x 2.5 mm and a model of 60 mm."""
    rng = np.random.default_rng(ndim)
    view = Grid.centred((24,) * ndim, (2.5,) * ndim, rng.uniform(-900, 900, ndim), _turn(ndim, 1))
    model = StatisticalDeformation(rng.normal(size=(K, ndim) + (8,) * ndim), 60.0, np.ones(K), np.full(K, 1 / K))
    shapes = [(25, 28, 33), (31, 27, 19), (40, 40, 40), (1, 30, 30)]
    images, transforms = [], []
    frame = np.tile(view.frame, (1, 1, 1))
    affine = get_model("affine", ndim)
    for b, shape in enumerate(shapes):
        turned = _turn(ndim, 9 + b)
        grid = Grid.centred(shape[-ndim:][::-1], (1.7, 2.1, 2.6)[:ndim], rng.normal(size=ndim) * 40, turned)
        images.append(Image(rng.random(grid.shape, dtype=np.float32), grid))
        move = affine.step(affine.origin[None], rng.uniform(-spread, spread, (1, affine.n_parameters)), frame)[0]
        transforms.append(grid.frame @ np.linalg.inv(view.frame) @ move)  # centre on centre, then a little more
    matrices = np.concatenate([index_matrices(i.grid, t[None], view) for i, t in zip(images, transforms, strict=True)])
    directions = np.concatenate(
        [direction_matrices(i.grid, t[None], view.frame) for i, t in zip(images, transforms, strict=True)]
    )
    planes = orthogonal_planes(view.size, at=(5, 12, 20)) if ndim == 3 and not volume else volume_planes(view.size)
    scale, offset = model.lattice_scale_offset(np.linalg.inv(view.frame) @ view.index_to_physical)
    sides = (4, len(planes), 24, 24)
    return SimpleNamespace(
        view=view, model=model, images=images, transforms=transforms, matrices=matrices, directions=directions,
        planes=planes, scale=scale, offset=offset, coefficients=rng.normal(size=(4, K)) * 0.8,
        fixed=rng.random(sides, dtype=np.float32), mask=(rng.random(sides) < 0.7).astype(np.uint8),
        backgrounds=-1 - np.arange(4, dtype=np.float32),
    )  # fmt: skip


def _run(c: SimpleNamespace, part: slice = slice(None), threads: int = 1) -> SimpleNamespace:
    addresses, shapes = array_addresses([image.array for image in c.images[part]])
    view = c.fixed[part].shape
    r = SimpleNamespace(out=np.empty(view, np.float32), valid=np.empty(view, np.uint8), u8=np.empty(view, np.uint8))
    r.sums = np.full((view[0], 7), np.nan)
    render_warped_with_sums(
        addresses, shapes, c.matrices[part], c.directions[part], c.planes, c.model.lattices(c.coefficients[part]),
        c.scale, c.offset, c.backgrounds[part], r.out, r.valid, c.fixed[part], c.mask[part], r.sums, r.u8,
        threads=threads,
    )  # fmt: skip
    return r


def _moving_index(c: SimpleNamespace, b: int) -> np.ndarray:
    """Where the definition, T(x) = A F (l + u(l)), puts each pixel in lane b's image, ``(S, H, W, d)``."""
    i, j = np.meshgrid(np.arange(24.0), np.arange(24.0), indexing="ij")
    planes = c.planes[:, :, None, None]
    view_index = planes[:, 0] + i[..., None] * planes[:, 1] + j[..., None] * planes[:, 2]
    local = transform_points(np.linalg.inv(c.view.frame) @ c.view.index_to_physical, view_index)
    d = c.view.ndim
    u = c.model.displacement(c.coefficients[b], local.reshape(-1, d)).reshape(local.shape)
    return transform_points(c.images[b].grid.physical_to_index @ c.transforms[b] @ c.view.frame, local + u)


@pytest.mark.parametrize(("ndim", "volume"), [(2, False), (3, False), (3, True)])
def test_agrees_with_the_definition_by_scipy(ndim, volume):
    c = _case(ndim, volume)
    r = _run(c)
    for b, image in enumerate(c.images):
        index = _moving_index(c, b)
        size = np.array(image.grid.size)
        margin = np.minimum(index + 0.5, size - 0.5 - index).min(axis=-1)
        inside = margin >= 0
        clear = np.abs(margin) > 1e-4
        assert np.array_equal(r.valid[b][clear] != 0, inside[clear])
        held = np.clip(index, 0, size - 1)
        want = map_coordinates(image.array, held[..., ::-1].reshape(-1, ndim).T, order=1).reshape(index.shape[:-1])
        assert np.abs(r.out[b] - want)[inside & clear].max() < 1e-4
        assert (r.out[b][~inside & clear] == c.backgrounds[b]).all()
        assert inside.mean() > 0.02
    assert 0.1 < r.valid.mean() < 0.9  # the comparison reaches across the edges
    assert np.array_equal(r.u8, np.floor(np.clip(r.out, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8))


@pytest.mark.parametrize("ndim", [2, 3])
def test_agrees_with_simpleitk_resampling_through_a_displacement_field(ndim):
    """The field is sampled at the view's own voxels, where ITK does not interpolate it."""
    c = _case(ndim, True)
    r = _run(c)
    reference = image_to_sitk(Image(np.zeros(c.view.shape, np.float32), c.view))
    local = transform_points(np.linalg.inv(c.view.frame), c.view.points())
    for b, image in enumerate(c.images):
        u = c.model.displacement(c.coefficients[b], local.reshape(-1, ndim)).reshape(local.shape)
        field = sitk.GetImageFromArray(u @ c.view.frame[:ndim, :ndim].T, isVector=True)
        field.CopyInformation(reference)
        transform = sitk.CompositeTransform([matrix_to_sitk(c.transforms[b]), sitk.DisplacementFieldTransform(field)])
        background = float(c.backgrounds[b])
        moved = sitk.Resample(image_to_sitk(image), reference, transform, sitk.sitkLinear, background)
        want = sitk.GetArrayFromImage(moved).reshape(r.out[b].shape)
        agree = np.abs(r.out[b] - want) < 1e-4
        assert agree.mean() > 0.9999  # a pixel on the very edge may fall on either side
        assert (r.valid[b] != 0).mean() > 0.02


@pytest.mark.parametrize(("ndim", "volume"), [(2, False), (3, False), (3, True)])
def test_zero_coefficients_give_the_bits_of_the_linear_kernel(ndim, volume):
    c = _case(ndim, volume)
    c.coefficients[[0, 2, 3]] = 0.0
    c.coefficients[2] = -0.0
    r = _run(c)
    addresses, shapes = array_addresses([image.array for image in c.images])
    out, valid, u8 = np.empty_like(r.out), np.empty_like(r.valid), np.empty_like(r.u8)
    sums = np.empty((4, 7))
    render_with_sums(
        addresses, shapes, c.matrices, c.planes, c.backgrounds, out, valid, c.fixed, c.mask, sums, u8, threads=1
    )
    for name, want in (("out", out), ("valid", valid), ("u8", u8), ("sums", sums)):
        for b in (0, 2, 3):
            assert np.array_equal(getattr(r, name)[b], want[b])
    assert not np.array_equal(r.out[1], out[1])


def test_sums_are_those_of_the_pixels_and_the_identity_is_a_fixed_point():
    c = _case(3, False)
    r = _run(c)
    for b in range(4):
        both = (c.mask[b] != 0) & (r.valid[b] != 0)
        f, m = c.fixed[b][both].astype(float), r.out[b][both].astype(float)
        want = [c.mask[b].sum(), both.sum(), f.sum(), m.sum(), (f * f).sum(), (m * m).sum(), (f * m).sum()]
        np.testing.assert_allclose(r.sums[b], want, rtol=1e-12)
    assert (r.sums[:, 1] < r.sums[:, 0]).any()
    image = Image(np.random.default_rng(0).random(c.view.shape, dtype=np.float32), c.view)
    c.images, c.transforms = [image], [np.eye(4)]
    c.matrices = index_matrices(image.grid, np.eye(4)[None], c.view)
    c.planes, c.coefficients = volume_planes(c.view.size), np.zeros((1, K))
    c.fixed, c.mask = image.array[None].copy(), np.ones((1, 24, 24, 24), np.uint8)
    assert np.array_equal(_run(c, slice(0, 1)).out[0], image.array)


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_lane_alone_has_the_same_bits_as_in_a_batch_and_threads_change_none(ndim):
    c = _case(ndim, False)
    c.coefficients[3] = 0.0
    together, threaded = _run(c), _run(c, threads=3)
    for name in ("out", "valid", "u8", "sums"):
        assert np.array_equal(getattr(threaded, name), getattr(together, name))
        for b in range(4):
            assert np.array_equal(getattr(_run(c, slice(b, b + 1)), name)[0], getattr(together, name)[b])


def test_without_images_or_sums_the_bits_are_the_same():
    c = _case(3, False)
    r = _run(c)
    addresses, shapes = array_addresses([image.array for image in c.images])
    lattices = c.model.lattices(c.coefficients)
    given = (addresses, shapes, c.matrices, c.directions, c.planes, lattices, c.scale, c.offset, c.backgrounds)
    sums, out, valid = np.empty((4, 7)), np.empty_like(r.out), np.empty_like(r.valid)
    warped_similarity_sums(*given, c.fixed, c.mask, sums, threads=2)
    render_warped(*given, out, valid)
    assert np.array_equal(sums, r.sums)
    assert np.array_equal(out, r.out)
    assert np.array_equal(valid, r.valid)


def test_planes_of_each_lane_and_steps_of_other_lengths():
    c = _case(3, False)
    c.planes = np.stack([orthogonal_planes((24,) * 3, at=(b + 3, 2 * b + 5, 3 * b)) for b in range(4)])
    c.planes[:, :, 1:] *= 0.5  # a zoomed view
    r = _run(c)
    for b in range(4):
        one = SimpleNamespace(**{**vars(c), "planes": c.planes[b]})
        assert np.array_equal(_run(one, slice(b, b + 1)).out[0], r.out[b])
        index = _moving_index(one, b)
        size = np.array(c.images[b].grid.size)
        inside = np.minimum(index, size - 1 - index).min(axis=-1) > 1e-4
        want = map_coordinates(c.images[b].array, index[inside][:, ::-1].T, order=1)
        np.testing.assert_allclose(r.out[b][inside], want, atol=1e-4)


def test_absurd_displacements_are_outside_and_do_no_harm():
    c = _case(3, False)
    for value in (np.nan, np.inf, -1e30):
        addresses, shapes = array_addresses([image.array for image in c.images])
        lattices = np.full((4, 3, 8, 8, 8), value, np.float32)
        out, valid = np.empty(c.fixed.shape, np.float32), np.empty(c.mask.shape, np.uint8)
        render_warped(
            addresses,
            shapes,
            c.matrices,
            c.directions,
            c.planes,
            lattices,
            c.scale,
            c.offset,
            c.backgrounds,
            out,
            valid,
        )
        assert not valid.any()
        assert (out == c.backgrounds[:, None, None, None]).all()


def test_misfits_are_refused_before_memory_is_touched():
    c = _case(3, False)
    addresses, shapes = array_addresses([image.array for image in c.images])
    lattices = c.model.lattices(c.coefficients)
    out, valid = np.empty(c.fixed.shape, np.float32), np.empty(c.mask.shape, np.uint8)
    good = [addresses, shapes, c.matrices, c.directions, c.planes, lattices, c.scale, c.offset, c.backgrounds]
    good += [out, valid]
    oblique = c.planes.copy()
    oblique[1, 1] = 0.7
    same = c.planes.copy()
    same[0, 1] = same[0, 2]
    for k, wrong, message in (
        (2, c.matrices[:3], "matrices of 4 lanes in 3-D must have shape"),
        (3, c.directions[:1], "directions"),
        (4, c.planes[:2], "planes"),
        (4, oblique, "along one axis"),
        (4, same, "along one axis"),
        (5, lattices[:, :2], "lattices"),
        (5, lattices[..., :3, :3, :3], "at least 4 coefficients"),
        (6, c.scale[:2], "scale"),
        (9, np.zeros(out.shape), "out must be C-contiguous float32"),
    ):
        with pytest.raises(ValueError, match=message):
            render_warped(*good[:k], wrong, *good[k + 1 :])
