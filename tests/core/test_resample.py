"""Resampling: exact identity, agreement with SimpleITK, ITK's rule for the inside, sums, lanes and threads."""

from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.core.labels import label_resample
from regenv.core.resample import (
    array_addresses,
    index_matrices,
    orthogonal_planes,
    render,
    render_with_sums,
    resample,
    similarity_sums,
    volume_planes,
)
from regenv.core.sitk import image_to_sitk, matrix_to_sitk
from regenv.poses import get_model

BACKGROUND = -1.0


def _turn(ndim: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if ndim == 3:
        return Rotation.random(random_state=seed).as_matrix()
    angle = rng.uniform(-np.pi, np.pi)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _image(ndim: int, seed: int, size=(31, 27, 14), spacing=(0.7, 1.3, 4.1)) -> Image:
    rng = np.random.default_rng(seed)
    grid = Grid(size[:ndim], spacing[:ndim], tuple(rng.uniform(-2000, 2000, ndim)), _turn(ndim, seed))
    return Image(rng.random(grid.shape, dtype=np.float32), grid, background=BACKGROUND)


def _with_itk(image: Image, grid: Grid, transform: np.ndarray) -> np.ndarray:
    reference = sitk.Image(grid.size, sitk.sitkUInt8)
    reference.SetSpacing(grid.spacing)
    reference.SetOrigin(grid.origin)
    reference.SetDirection(grid.direction.ravel().tolist())
    moved = sitk.Resample(
        image_to_sitk(image), reference, matrix_to_sitk(transform), sitk.sitkLinear, image.background, sitk.sitkFloat32
    )
    return sitk.GetArrayFromImage(moved)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_identity_is_exact_on_anisotropic_oblique_grids(ndim, seed):
    image = _image(ndim, seed)
    values, valid = resample(image, image.grid)
    assert np.array_equal(values, image.array)
    assert valid.all()


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_motion_of_grid_and_transform_together_is_exact_too(ndim):
    image = _image(ndim, 3)
    model = get_model("rigid", ndim)
    motion = model.exp(np.full((1, model.n_parameters), 37.0))[0]
    values, valid = resample(image, image.grid.moved_by(motion), np.linalg.inv(motion))
    assert np.array_equal(values, image.array)
    assert valid.all()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", ["rigid", "similarity", "affine"])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_simpleitk_on_oblique_grids(ndim, name, seed):
    image = _image(ndim, seed)
    rng = np.random.default_rng(100 + seed)
    view = Grid.centred((40, 33, 25)[:ndim], (0.9, 0.8, 1.7)[:ndim], image.grid.centre, _turn(ndim, 50 + seed))
    model = get_model(name, ndim)
    start = np.tile(view.frame, (1, 1, 1))
    transform = model.step(model.origin[None], rng.uniform(-12, 12, (1, model.n_parameters)), start)[0]
    values, valid = resample(image, view, transform)
    want = _with_itk(image, view, transform)
    assert 0.1 < valid.mean() < 0.999  # the comparison reaches across the image's edge
    assert np.array_equal(want != BACKGROUND, valid)
    assert np.abs(values - want).max() < 1e-4
    assert (values[~valid] == BACKGROUND).all()


def test_inside_is_half_a_voxel_beyond_the_centres_and_the_edge_is_held():
    image = Image(np.arange(4, dtype=np.float32)[None, None] + 10, Grid((4, 1, 1), (1.0,) * 3, (0.0,) * 3, np.eye(3)))
    at = np.array([-0.5001, -0.5, -0.25, 0.0, 0.5, 3.0, 3.25, 3.4999, 3.5, 9.0])
    for axis_scale in (1.0, -1.0):  # a row may also run backwards through the image
        values, valid = [], []
        for x in at:
            grid = Grid((1, 1, 1), (1.0,) * 3, (x * axis_scale, 0.0, 0.0), np.eye(3))
            value, inside = resample(image, grid, np.diag([axis_scale, 1.0, 1.0, 1.0]))
            values.append(value.item())
            valid.append(inside.item())
        assert valid == [False, True, True, True, True, True, True, True, False, False]
        np.testing.assert_allclose(values, [0, 10, 10, 10, 10.5, 13, 13, 13, 0, 0], atol=1e-6)


def test_pixels_of_a_row_get_the_values_they_would_get_alone():
    """The inside range of a row is solved for; a pixel by itself is its own row."""
    image = _image(3, 9, size=(9, 8, 5))
    index = np.linalg.inv(image.grid.index_to_physical)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        view = Grid.centred((23, 1, 1), (1.1, 1.0, 1.0), image.grid.centre + rng.normal(size=3) * 2, _turn(3, seed))
        values, valid = resample(image, view)
        for j in range(23):
            value, inside = resample(image, view.crop((j, 0, 0), (1, 1, 1)))
            position = (index @ view.index_to_physical @ [j, 0, 0, 1])[:3]
            expected = bool(np.all((position >= -0.5) & (position < np.array(image.grid.size) - 0.5)))
            assert inside.item() == valid[0, 0, j] == expected
            assert value.item() == pytest.approx(values[0, 0, j], abs=1e-5)


@pytest.mark.parametrize("matrix", [np.nan, np.inf, 1e300])
def test_absurd_matrices_are_outside_and_do_no_harm(matrix):
    image = _image(3, 1)
    transform = np.eye(4)
    transform[:3, 3] = matrix
    with np.errstate(invalid="ignore"):
        values, valid = resample(image, image.grid, transform)
    assert not valid.any()
    assert (values == BACKGROUND).all()


@pytest.mark.parametrize("ndim", [2, 3])
def test_labels_move_by_the_nearest_voxel_as_in_simpleitk(ndim):
    image = _image(ndim, 5)
    labels = (image.array * 5).astype(np.uint8)
    view = Grid.centred((40, 33, 25)[:ndim], (0.9, 0.8, 1.7)[:ndim], image.grid.centre, _turn(ndim, 7))
    moved = label_resample(labels, image.grid, view, outside=9)
    source = sitk.GetImageFromArray(labels)
    source.CopyInformation(image_to_sitk(image))
    reference = image_to_sitk(Image(np.zeros(view.shape, np.float32), view))
    want = sitk.GetArrayFromImage(sitk.Resample(source, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 9))
    assert moved.dtype == np.uint8
    assert np.array_equal(moved, want)
    assert np.array_equal(label_resample(labels, image.grid, image.grid), labels)


@pytest.fixture
def lanes() -> SimpleNamespace:
    """Six lanes of volumes of different shapes against random fixed images, three slices of a 24^3 view."""
    rng = np.random.default_rng(0)
    view = Grid.centred((24,) * 3, (2.0,) * 3)
    shapes = [(20, 25, 30), (31, 17, 9), (40, 40, 40), (12, 50, 21), (1, 30, 30), (26, 26, 26)]
    images = [
        Image(
            rng.random(s, dtype=np.float32), Grid.centred(s[::-1], (1.3, 1.9, 2.4), rng.normal(size=3) * 5, _turn(3, k))
        )
        for k, s in enumerate(shapes)
    ]
    model = get_model("rigid", 3)
    transforms = model.exp(rng.uniform(-15, 15, (6, 6)))
    matrices = np.concatenate([index_matrices(i.grid, t[None], view) for i, t in zip(images, transforms, strict=True)])
    planes = orthogonal_planes(view.size)
    fixed = rng.random((6, 3, 24, 24), dtype=np.float32)
    mask = (rng.random((6, 3, 24, 24)) < 0.7).astype(np.uint8)
    backgrounds = rng.random(6, dtype=np.float32)
    return SimpleNamespace(
        images=images, view=view, transforms=transforms, matrices=matrices, planes=planes, fixed=fixed, mask=mask,
        backgrounds=backgrounds,
    )  # fmt: skip


def _run(c: SimpleNamespace, part: slice = slice(None), threads: int = 1) -> SimpleNamespace:
    addresses, shapes = array_addresses([image.array for image in c.images[part]])
    view = c.fixed[part].shape
    r = SimpleNamespace(out=np.empty(view, np.float32), valid=np.empty(view, np.uint8), u8=np.empty(view, np.uint8))
    r.sums = np.full((view[0], 7), np.nan)
    render_with_sums(
        addresses, shapes, c.matrices[part], c.planes, c.backgrounds[part], r.out, r.valid, c.fixed[part], c.mask[part],
        r.sums, r.u8, threads=threads,
    )  # fmt: skip
    return r


def test_sums_bytes_and_slices_are_what_they_say(lanes):
    r = _run(lanes)
    for b, image in enumerate(lanes.images):
        volume, inside = resample(
            Image(image.array, image.grid, background=float(lanes.backgrounds[b])), lanes.view, lanes.transforms[b]
        )
        slices = np.stack([volume[12], volume[:, 12], volume[:, :, 12]])
        np.testing.assert_allclose(r.out[b], slices, atol=1e-5)
        assert np.array_equal(r.valid[b] != 0, np.stack([inside[12], inside[:, 12], inside[:, :, 12]]))
        both = (lanes.mask[b] != 0) & (r.valid[b] != 0)
        f, m = lanes.fixed[b][both].astype(float), r.out[b][both].astype(float)
        want = [lanes.mask[b].sum(), both.sum(), f.sum(), m.sum(), (f * f).sum(), (m * m).sum(), (f * m).sum()]
        np.testing.assert_allclose(r.sums[b], want, rtol=1e-12)
    assert np.array_equal(r.u8, np.floor(np.clip(r.out, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8))
    assert (r.sums[:, 1] < r.sums[:, 0]).any()


def test_a_lane_alone_has_the_same_bits_as_in_a_batch_and_threads_change_none(lanes):
    together, threaded = _run(lanes), _run(lanes, threads=3)
    for name in ("out", "valid", "u8", "sums"):
        assert np.array_equal(getattr(threaded, name), getattr(together, name))
        for b in range(6):
            assert np.array_equal(getattr(_run(lanes, slice(b, b + 1)), name)[0], getattr(together, name)[b])


def test_without_images_the_sums_have_the_same_bits(lanes):
    addresses, shapes = array_addresses([image.array for image in lanes.images])
    sums = np.empty((6, 7))
    similarity_sums(
        addresses, shapes, lanes.matrices, lanes.planes, lanes.backgrounds, lanes.fixed, lanes.mask, sums, threads=2
    )
    assert np.array_equal(sums, _run(lanes).sums)
    out, valid = np.empty_like(lanes.fixed), np.empty_like(lanes.mask)
    render(addresses, shapes, lanes.matrices, lanes.planes, lanes.backgrounds, out, valid)
    assert np.array_equal(out, _run(lanes).out)
    assert np.array_equal(valid, _run(lanes).valid)


def test_planes_of_each_lane_and_read_only_inputs(lanes):
    own = np.stack([orthogonal_planes((24,) * 3, at=(b, 2 * b, 3 * b)) for b in range(6)])
    for array in (own, lanes.matrices, lanes.fixed, lanes.mask, lanes.backgrounds):
        array.setflags(write=False)
    shared = _run(lanes)
    lanes.planes = own
    r = _run(lanes)
    for b in range(6):
        lanes.planes = own[b]
        assert np.array_equal(_run(lanes, slice(b, b + 1)).out[0], r.out[b])
    assert not np.array_equal(r.out, shared.out)


def test_misfits_are_refused_before_memory_is_touched(lanes):
    addresses, shapes = array_addresses([image.array for image in lanes.images])
    out, valid = np.empty_like(lanes.fixed), np.empty_like(lanes.mask)
    good = [addresses, shapes, lanes.matrices, lanes.planes, lanes.backgrounds, out, valid]
    for k, wrong, message in (
        (2, lanes.matrices[:5], "need matrices"),
        (3, lanes.planes[:2], "planes"),
        (4, lanes.backgrounds[:1], "6 backgrounds, got 1"),
        (5, np.zeros(out.shape), "out must be C-contiguous float32"),
        (6, valid[:, :, ::2], "valid must be C-contiguous uint8"),
    ):
        with pytest.raises(ValueError, match=message):
            render(*good[:k], wrong, *good[k + 1 :])
    with pytest.raises(ValueError, match="sums must be"):
        similarity_sums(*good[:5], lanes.fixed, lanes.mask, np.empty((6, 5)))
    with pytest.raises(ValueError, match="lane 1: the kernels need C-contiguous float32"):
        array_addresses([np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2))])
    with pytest.raises(ValueError, match="cubic"):
        orthogonal_planes((4, 4, 5))
    with pytest.raises(ValueError, match="cannot be resampled on a 2-D grid"):
        resample(lanes.images[0], Grid.centred((4, 4), (1.0, 1.0)))
    with pytest.raises(ValueError, match="do not fit a grid"):
        label_resample(np.zeros((2, 2, 2)), lanes.view, lanes.view)


def test_planes_address_what_they_say():
    assert volume_planes((4, 5)).shape == (1, 3, 2)
    planes = volume_planes((4, 5, 6))
    assert planes.shape == (6, 3, 3)
    np.testing.assert_array_equal(planes[4, 0] + 2 * planes[4, 1] + 3 * planes[4, 2], (3, 2, 4))
