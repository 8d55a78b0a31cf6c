"""SimpleITK images and transforms, both ways."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.core.sitk import image_from_sitk, image_to_sitk, matrix_from_sitk, matrix_to_sitk, to_sitk
from regenv.poses import get_model

KINDS = {
    ("rigid", 2): "Euler2DTransform", ("rigid", 3): "Euler3DTransform", ("similarity", 2): "Similarity2DTransform",
    ("similarity", 3): "Similarity3DTransform", ("affine", 2): "AffineTransform", ("affine", 3): "AffineTransform",
}  # fmt: skip


@pytest.mark.parametrize(("name", "ndim"), list(KINDS))
def test_matrices_round_trip_as_the_most_special_transform(name, ndim):
    model = get_model(name, ndim)
    rng = np.random.default_rng(0)
    for matrix in model.exp(rng.uniform(-40, 40, (50, model.n_parameters))):
        transform = matrix_to_sitk(matrix)
        assert transform.GetName() == KINDS[name, ndim]
        np.testing.assert_allclose(matrix_from_sitk(transform), matrix, atol=1e-9)
        point = rng.normal(size=ndim) * 100
        np.testing.assert_allclose(transform.TransformPoint(point), (matrix @ [*point, 1])[:ndim], atol=1e-6)


@pytest.mark.parametrize("order", ["xyz", "zxy", "yxz"])
@pytest.mark.parametrize("angles", [(90, 17, 6), (6, 90, 11), (90, 90, 57), (-90, 11, 17), (180, 0, 0), (0, 0, 180)])
def test_rotations_where_euler_angles_fail(order, angles):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler(order, angles, degrees=True).as_matrix()
    np.testing.assert_allclose(matrix_from_sitk(matrix_to_sitk(matrix)), matrix, atol=1e-9)


def test_mirrors_are_affine():
    matrix = np.diag([-1.0, 1.0, 1.0, 1.0])
    transform = matrix_to_sitk(matrix)
    assert transform.GetName() == "AffineTransform"
    np.testing.assert_allclose(matrix_from_sitk(transform), matrix)


def test_centres_and_composites_of_linear_transforms_become_one_matrix():
    turn = sitk.Euler3DTransform((1.0, 2.0, 3.0), 0.1, 0.2, 0.3, (5.0, 6.0, 7.0))
    inner = sitk.CompositeTransform([turn, sitk.ScaleTransform(3, (1.1, 1.0, 0.9))])
    whole = sitk.CompositeTransform([inner, sitk.TranslationTransform(3, (1.0, -2.0, 3.0))])
    matrix = matrix_from_sitk(sitk.Transform(whole))
    for point in ((10.0, -20.0, 4.0), (0.0, 0.0, 0.0)):
        np.testing.assert_allclose((matrix @ [*point, 1])[:3], whole.TransformPoint(point), atol=1e-12)
    np.testing.assert_array_equal(matrix_from_sitk(sitk.Transform(2, sitk.sitkIdentity)), np.eye(3))


def test_what_has_no_matrix_is_refused():
    with pytest.raises(ValueError, match="BSplineTransform is not linear"):
        matrix_from_sitk(sitk.CompositeTransform([sitk.Euler3DTransform(), sitk.BSplineTransform(3)]))
    with pytest.raises(ValueError, match="homogeneous"):
        matrix_to_sitk(np.ones((4, 4)))
    with pytest.raises(ValueError, match="homogeneous"):
        matrix_to_sitk(np.eye(5))
    with pytest.raises(ValueError, match="shape"):
        to_sitk(np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match=r"shape \(16,\); of coefficients, env.unwrapped.to_sitk"):
        to_sitk(np.zeros(16))


@pytest.mark.parametrize("ndim", [2, 3])
def test_images_round_trip(ndim):
    rng = np.random.default_rng(0)
    direction = Rotation.from_rotvec([0.1, 0.2, 0.3]).as_matrix() if ndim == 3 else np.array([[0.0, -1.0], [1.0, 0.0]])
    grid = Grid((5, 6, 7)[:ndim], (0.5, 1.5, 2.5)[:ndim], (-9.0, 8.0, 7.0)[:ndim], direction)
    image = Image(rng.random(grid.shape, dtype=np.float32), grid, "ct", -1000.0)
    back = image_from_sitk(image_to_sitk(image), "ct", -1000.0)
    assert np.array_equal(back.array, image.array)
    assert (back.modality, back.background) == ("ct", -1000.0)
    np.testing.assert_allclose(back.grid.index_to_physical, grid.index_to_physical, atol=1e-12)
    assert isinstance(to_sitk(image), sitk.Image)


def test_images_of_integers_are_taken_and_of_colours_are_not():
    image = image_from_sitk(sitk.Cast(sitk.GaussianSource(sitk.sitkFloat32, (8, 8)), sitk.sitkInt16))
    assert image.array.dtype == np.float32
    with pytest.raises(ValueError, match="3; select one channel"):
        image_from_sitk(sitk.Image((4, 4), sitk.sitkVectorUInt8, 3))
    with pytest.raises(ValueError, match="got 4"):
        image_from_sitk(sitk.Image((4, 4, 4, 4), sitk.sitkUInt8))


def test_to_sitk_resamples_as_the_suite_does():
    from regenv.core.resample import resample

    rng = np.random.default_rng(1)
    image = Image(rng.random((12, 13, 14), dtype=np.float32), Grid.centred((14, 13, 12), (1.0, 1.5, 2.0)))
    matrix = get_model("rigid", 3).exp(rng.uniform(-6, 6, (1, 6)))
    moving = to_sitk(image)
    want = sitk.GetArrayFromImage(sitk.Resample(moving, moving, to_sitk(matrix), sitk.sitkLinear, 0.0))
    np.testing.assert_allclose(resample(image, image.grid, matrix[0])[0], want, atol=1e-4)
