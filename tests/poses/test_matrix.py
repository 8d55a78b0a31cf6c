"""The matrix groups: exponential and logarithm, steps in a frame, names and errors."""

import numpy as np
import pytest
from scipy.linalg import expm

from regenv.core.geometry import Grid
from regenv.poses import MODELS, get_model, pose_model
from regenv.poses.matrix import MatrixModel

DOF = {
    ("rigid", 2): 3,
    ("rigid", 3): 6,
    ("similarity", 2): 4,
    ("similarity", 3): 7,
    ("affine", 2): 6,
    ("affine", 3): 12,
}
ALL = [(name, ndim) for name in MODELS if pose_model(name).sampling == "matrix" for ndim in (2, 3)]


def _draw(model: MatrixModel, lanes: int, size: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(-size, size, (lanes, model.n_parameters))


@pytest.mark.parametrize(("name", "ndim"), ALL)
def test_exp_equals_the_matrix_exponential_of_its_generators(name, ndim):
    model = get_model(name, ndim)
    s = _draw(model, 20, 40)
    want = np.stack([expm(np.tensordot(row, model.generators, 1)) for row in s])
    np.testing.assert_allclose(model.exp(s), want, atol=1e-11)


@pytest.mark.parametrize(("name", "ndim"), ALL)
def test_log_and_exp_are_inverse(name, ndim):
    model = get_model(name, ndim)
    s = _draw(model, 50, 60)
    transforms = model.exp(s)
    np.testing.assert_allclose(model.log(transforms), s, atol=1e-9)
    np.testing.assert_allclose(model.exp(model.log(transforms)), transforms, atol=1e-10)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 90.0, 179.0, 179.99999, 180.0])
@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -2, 3)])
def test_log_of_small_and_half_turns(angle, axis):
    model = get_model("rigid", 3)
    s = np.concatenate([[5.0, -3.0, 2.0], angle * np.array(axis) / np.linalg.norm(axis)])[None]
    transform = model.exp(s)
    coefficients = model.log(transform)
    assert np.linalg.norm(coefficients[0, 3:]) == pytest.approx(angle, abs=1e-5)
    np.testing.assert_allclose(model.exp(coefficients), transform, atol=1e-8)


@pytest.mark.parametrize(("name", "ndim"), ALL)
def test_names_units_and_generators_agree(name, ndim):
    model = get_model(name, ndim)
    assert model.n_parameters == len(model.names) == len(model.units) == len(model.generators)
    assert model.n_parameters == DOF.get((name, ndim), model.n_parameters)
    assert len(set(model.names)) == model.n_parameters
    assert model.units[: ndim + 1] == (("mm",) * ndim + ("deg",))[: model.n_parameters]


def test_one_unit_is_a_millimetre_a_degree_a_percent():
    model = get_model("affine", 3)
    one = dict(zip(model.names, model.exp(np.eye(12)), strict=True))
    np.testing.assert_allclose(one["ty"][:3, 3], (0, 1, 0))
    c, s = np.cos(np.pi / 180), np.sin(np.pi / 180)
    np.testing.assert_allclose(one["rz"][:2, :2], [[c, -s], [s, c]], atol=1e-15)
    np.testing.assert_allclose(one["rx"][1:3, 1:3], [[c, -s], [s, c]], atol=1e-15)
    np.testing.assert_allclose(one["ry"][0, [0, 2]], [c, s], atol=1e-15)
    assert one["sz"][2, 2] == pytest.approx(np.exp(0.01))
    assert one["hxy"][0, 1] == pytest.approx(0.01)


@pytest.mark.parametrize(("name", "ndim"), ALL)
def test_step_composes_on_the_fixed_side_in_the_frame_of_the_view(name, ndim):
    model = get_model(name, ndim)
    turn = get_model("rigid", ndim).exp(np.full((1, DOF["rigid", ndim]), 33.0))[0]
    frame = Grid.centred((9,) * ndim, (2.0,) * ndim, np.arange(ndim) * 50.0 - 400, turn[:ndim, :ndim]).frame
    transforms, s = model.exp(_draw(model, 4, 30)), _draw(model, 4, 5)
    stepped = model.step(transforms, s, np.tile(frame, (4, 1, 1)))
    want = transforms @ frame @ model.exp(s) @ np.linalg.inv(frame)
    np.testing.assert_allclose(stepped, want, atol=1e-10)


def test_a_translation_step_moves_the_sampling_point_along_the_view_axis_whatever_the_pose():
    model = get_model("rigid", 3)
    frame = Grid.centred((9, 9, 9), (2.0, 2.0, 2.0), (10.0, 20.0, 30.0)).frame[None]
    transform = model.exp(np.array([[3.0, 4.0, 5.0, 20.0, -50.0, 70.0]]))
    point = np.array([1.0, 2.0, 3.0, 1.0])
    moved = model.step(transform, np.array([[2.0, 0, 0, 0, 0, 0]]), frame)[0] @ point
    np.testing.assert_allclose(moved, transform[0] @ (point + [2.0, 0, 0, 0]), atol=1e-12)


def test_rotations_stay_orthonormal_over_many_steps_and_zeros_change_no_bit():
    rng = np.random.default_rng(1)
    for name in ("rigid", "similarity"):
        model = get_model(name, 3)
        transform, frame = model.origin[None], Grid.centred((9, 9, 9), (2.0, 2.0, 2.0), (1e3, -2e3, 500.0)).frame[None]
        for _ in range(2000):
            transform = model.step(transform, rng.uniform(-4, 4, (1, model.n_parameters)), frame)
        linear = transform[0, :3, :3]
        scale = np.cbrt(np.linalg.det(linear))
        np.testing.assert_allclose(linear @ linear.T / scale**2, np.eye(3), atol=1e-14)
        if name == "rigid":
            assert scale == pytest.approx(1.0, abs=1e-14)
        still = model.step(transform, np.zeros((1, model.n_parameters)), frame)
        assert np.array_equal(still, transform)
        assert not np.shares_memory(still, transform)


def test_a_lane_does_not_depend_on_the_batch():
    model = get_model("affine", 3)
    transforms, s = model.exp(_draw(model, 33, 20)), _draw(model, 33, 3)
    frames = np.tile(Grid.centred((8, 8, 8), (1.0, 2.0, 3.0)).frame, (33, 1, 1))
    together = model.step(transforms, s, frames)
    for lane in (0, 7, 32):
        alone = model.step(transforms[lane : lane + 1], s[lane : lane + 1], frames[lane : lane + 1])
        assert np.array_equal(alone[0], together[lane])


def test_errors_name_the_mend():
    with pytest.raises(ValueError, match="did you mean 'affine'"):
        get_model("afine", 3)
    with pytest.raises(ValueError, match="got 4"):
        get_model("rigid", 4)
    with pytest.raises(ValueError, match=r"needs \(B, 6\) coefficients, got \(1, 5\)"):
        get_model("rigid", 3).exp(np.zeros((1, 5)))
    with pytest.raises(ValueError, match="not rigid"):
        get_model("rigid", 3).log(np.diag([1.1, 1.1, 1.1, 1.0])[None])
    with pytest.raises(ValueError, match="not similarity"):
        get_model("similarity", 3).log(np.diag([1.1, 1.0, 1.1, 1.0])[None])
    with pytest.raises(ValueError, match="no real logarithm"):
        get_model("affine", 3).log(np.diag([-1.0, 1.0, 1.0, 1.0])[None])
    with pytest.raises(ValueError, match="not rigid"):
        get_model("rigid", 2).log(np.diag([1.0, -1.0, 1.0])[None])


def test_an_affine_half_turn_with_unequal_scales_has_only_a_nearest_logarithm():
    model = get_model("affine", 3)
    turned = model.exp([[0, 0, 0, 180, 0, 0, 0, 0, 0, 0, 0, 0]]) @ model.exp([[3, 0, 0, 0, 0, 0, 5, 10, -10, 0, 0, 0]])
    with pytest.raises(ValueError, match="no real logarithm"):
        model.log(turned)
    np.testing.assert_allclose(
        np.abs(model.log(turned, nearest=True)[0, 3:]), [180, 0, 0, 5, 10, 10, 0, 0, 0], atol=1e-6
    )
    plain = model.exp([[1, 2, 3, 20, -10, 5, 5, 10, -10, 1, 2, 3]])
    np.testing.assert_array_equal(model.log(plain, nearest=True), model.log(plain))


def test_a_group_knows_its_own():
    for name, scale, shear in (("rigid", 0, 0), ("similarity", 10, 0), ("affine", 10, 5)):
        matrix = get_model("affine", 3).exp([[1, 2, 3, 20, -10, 5, scale, scale, scale, shear, 0, 0]])[0]
        held = [other for other in ("rigid", "similarity", "affine") if get_model(other, 3).contains(matrix)]
        assert held == ["rigid", "similarity", "affine"][["rigid", "similarity", "affine"].index(name) :]


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_stretch_is_the_farthest_singular_value_from_one(ndim):
    model, rng = get_model("affine", ndim), np.random.default_rng(0)
    matrices = np.tile(np.eye(ndim + 1), (603, 1, 1))
    matrices[:300, :ndim, :ndim] += rng.uniform(-0.3, 0.3, (300, ndim, ndim))
    matrices[300:600, :ndim, :ndim] += 1e-9 * rng.normal(size=(300, ndim, ndim))
    matrices[600] = model.exp(np.eye(model.n_parameters)[:1] * 90.0)[0]  # far off, but no longer and no shorter
    matrices[601:, :ndim, :ndim] *= np.array([3.0, 0.2])[:, None, None]
    lengths = np.linalg.svd(matrices[:, :ndim, :ndim], compute_uv=False)
    want = np.maximum(lengths[:, 0], 1 / lengths[:, -1])
    found = model.stretch(matrices)
    np.testing.assert_allclose(found, want, rtol=1e-9)
    assert [model.stretch(one[None])[0] for one in matrices] == found.tolist()
    matrices[0, :ndim, :ndim] = 0.0
    assert model.stretch(matrices[:1])[0] == np.inf


def test_rigid_groups_need_no_look_at_their_stretch():
    assert [get_model(name, 3).stretches for name in ("rigid", "similarity", "affine")] == [False, True, True]
