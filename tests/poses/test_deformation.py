"""Statistical deformation models: their steps, splines, fit, projection, files and export."""

import numpy as np
import pytest
from scipy.interpolate import BSpline

from regenv.poses.deformation import BOUND, LEAST_DETERMINANT, StatisticalDeformation


def _random_model(ndim: int, k: int = 6, size: float = 1.0, cells: int = 6, extent: float = 100.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    modes = rng.normal(size=(k, ndim) + (cells + 3,) * ndim) * size
    return StatisticalDeformation(modes, extent, np.full(k, size), np.full(k, 1 / k))


def _points(ndim: int, n: int, extent: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-extent / 2, extent / 2, (n, ndim))


@pytest.mark.parametrize("ndim", [2, 3])
def test_displacement_is_the_tensor_product_spline_of_scipy(ndim):
    model = _random_model(ndim)
    points = _points(ndim, 200, 100.0)
    c = np.random.default_rng(1).normal(size=6)
    lattice = np.tensordot(c, model.modes.astype(float), 1)
    knots = np.arange(-3.0, 6 + 4)
    weights = [
        BSpline.design_matrix((points[:, axis] / 100 + 0.5) * 6, knots, 3).toarray() for axis in range(ndim)
    ]  # (N, L) of x, y[, z]
    letters = "zyx"[-ndim:]
    want = np.einsum(
        ",".join(["c" + letters, *(f"n{a}" for a in letters)]) + "->nc", lattice, *weights[::-1], optimize=True
    )
    np.testing.assert_allclose(model.displacement(c, points), want, atol=2e-5)
    np.testing.assert_allclose(model.basis(points) @ c, want, atol=2e-5)


@pytest.mark.parametrize("ndim", [2, 3])
def test_displacement_is_held_beyond_the_cube_and_takes_lanes(ndim):
    model = _random_model(ndim)
    far = _points(ndim, 50, 300.0)
    c = np.random.default_rng(2).normal(size=(4, 6))
    u = model.displacement(c, far)
    assert np.array_equal(u, model.displacement(c, np.clip(far, -50, 50)))
    own = np.stack([far + b for b in range(4)])
    each = model.displacement(c, own)
    for b in range(4):
        assert np.array_equal(model.displacement(c[b], far), u[b])
        assert np.array_equal(model.displacement(c[b], own[b]), each[b])
    assert not model.displacement(np.zeros(6), far).any()


@pytest.mark.parametrize("ndim", [2, 3])
def test_gradient_and_determinant_are_those_of_finite_differences(ndim):
    model = _random_model(ndim)
    points = _points(ndim, 100, 99.0)
    c = np.random.default_rng(3).normal(size=6)
    gradient = model.gradient(c, points)
    h = 1e-4
    for axis in range(ndim):
        ahead = model.displacement(c, points + h * np.eye(ndim)[axis])
        behind = model.displacement(c, points - h * np.eye(ndim)[axis])
        np.testing.assert_allclose(gradient[..., axis], (ahead - behind) / (2 * h), atol=1e-7)
    np.testing.assert_allclose(model.jacobian_determinants(c, points), np.linalg.det(np.eye(ndim) + gradient))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("size", [0.5, 8.0])
def test_a_step_is_taken_unless_it_leaves_the_bound_or_folds(ndim, size):
    """Against determinants computed one by one, for gentle modes and for ones that fold now and then."""
    model = _random_model(ndim, size=size)
    rng = np.random.default_rng(4)
    axis = np.linspace(-50, 50, 2 * model.cells + 1)
    lattice = np.stack(np.meshgrid(*[axis] * ndim, indexing="ij")[::-1], axis=-1).reshape(-1, ndim)
    states = np.tile(model.origin, (60, 1))
    steps = rng.normal(size=(60, 6)) * rng.uniform(0.05, 1.6, (60, 1))
    taken = model.step(states, steps)
    least = model.jacobian_determinants(steps, lattice).min(axis=1)
    np.testing.assert_allclose(model.least_determinants(steps), least, atol=1e-3)
    clear = np.abs(least - LEAST_DETERMINANT) > 1e-3
    want = (least > LEAST_DETERMINANT) & (np.abs(steps).max(axis=1) <= BOUND)
    assert np.array_equal((taken == steps).all(axis=1)[clear], want[clear])
    assert np.array_equal((taken == 0).all(axis=1)[clear], ~want[clear])
    assert want.any()
    assert (~want).any()


def test_steps_reach_the_bound_and_not_beyond_and_lanes_do_not_depend_on_each_other():
    model = _random_model(3, size=0.2)
    states = model.origin[None]
    tenth = np.eye(6)[:1] * 0.1
    for _ in range(30):
        states = model.step(states, tenth)
    assert states[0, 0] == pytest.approx(3.0)
    assert np.array_equal(model.step(states, tenth), states)
    assert model.step(states, -tenth)[0, 0] == pytest.approx(2.9)
    rng = np.random.default_rng(5)
    many, steps = rng.normal(size=(20, 6)), rng.normal(size=(20, 6))
    together = model.step(many, steps)
    lattices = model.lattices(together)
    assert 0 < (together == many).all(axis=1).sum() < 20
    for b in range(20):
        assert np.array_equal(model.step(many[b : b + 1], steps[b : b + 1])[0], together[b])
        assert np.array_equal(model.lattices(together[b : b + 1])[0], lattices[b])


def test_a_state_that_folds_is_kept_by_a_step_of_nothing_and_left_by_a_step_back():
    model = _random_model(3, size=8.0)
    rng = np.random.default_rng(6)
    folded = rng.uniform(-2.5, 2.5, (20, 6))
    folded = folded[model.least_determinants(folded) < 0]
    assert len(folded) > 3
    assert np.array_equal(model.step(folded, np.zeros_like(folded)), folded)
    assert np.array_equal(model.step(folded, -folded), np.zeros_like(folded))


def test_it_speaks_as_a_transform_model_does():
    model = _random_model(2)
    assert (model.name, model.ndim, model.n_parameters) == ("sdm", 2, 6)
    assert model.names[:2] == ("c1", "c2")
    assert model.units == ("sd",) * 6
    assert model.origin.shape == (6,)
    assert model.lanes(2, 100.0).advance(np.tile(model.origin, (2, 1)), np.zeros((2, 6))).shape == (2, 6)


def test_misfits_are_refused():
    model = _random_model(3)
    model.check(3, 100.0)
    model.check(3, [100.0, 99.5, 100.4])
    with pytest.raises(ValueError, match="3-D and the view 2-D"):
        model.check(2, 100.0)
    with pytest.raises(ValueError, match=r"spans 100 mm and the view 128 mm .*make the view 100 mm wide"):
        model.check(3, 128.0)
    with pytest.raises(ValueError, match=r"needs \(B, 6\) coefficients"):
        model.step(np.zeros((1, 5)), np.zeros((1, 6)))
    with pytest.raises(ValueError, match="2 states need as many steps"):
        model.step(np.zeros((2, 6)), np.zeros((1, 6)))
    with pytest.raises(ValueError, match="points must be"):
        model.displacement(np.zeros(6), np.zeros((5, 2)))
    with pytest.raises(ValueError, match="fixed image's frame"):
        model.lattice_scale_offset(np.eye(4)[[1, 0, 2, 3]])
    with pytest.raises(ValueError, match="not finite"):
        StatisticalDeformation(np.full((1, 2, 5, 5), np.nan), 10.0, np.ones(1), np.ones(1))
    with pytest.raises(ValueError, match="modes must be"):
        StatisticalDeformation(np.zeros((1, 2, 5, 6)), 10.0, np.ones(1), np.ones(1))
