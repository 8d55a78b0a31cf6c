"""Fitting statistical deformation models, projecting on them, their files and their export to SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from regenv.core.deformation_fit import sample_points
from regenv.core.geometry import Grid, transform_points
from regenv.core.jacobian import field_determinants, folding, sdlogj, sdlogj_l2r
from regenv.poses.deformation import BOUND, LEAST_DETERMINANT, StatisticalDeformation

EXTENT = 120.0
CELLS = 6


def _bumps(ndim: int, n: int, seed: int = 0, samples: int = 15, centred: bool = False) -> np.ndarray:
    """Random smooth fields of known, few degrees of freedom: Gaussian bumps with random strengths."""
    rng = np.random.default_rng(seed)
    points = sample_points(ndim, EXTENT, samples)
    shapes = np.random.default_rng(99)
    fields = np.zeros((n, *points.shape))
    for strength in (8.0, 5.0, 3.0, 1.0):
        middle, along = shapes.uniform(-30, 30, ndim), shapes.normal(size=ndim)
        bump = np.exp(-((points - middle) ** 2).sum(-1) / (2 * 25.0**2))
        scores = rng.normal(size=n) + (0.0 if centred else 0.7)
        fields += strength * scores.reshape((n,) + (1,) * (ndim + 1)) * bump[..., None] * along / np.linalg.norm(along)
    return fields


@pytest.fixture(scope="module", params=[2, 3])
def model(request) -> StatisticalDeformation:
    return StatisticalDeformation.fit(_bumps(request.param, 30), EXTENT, CELLS, 4, source="bumps")


def test_modes_are_the_uncentred_components_of_the_population(model):
    """Against the eigenvectors of the fields themselves: energies, and that each field is rebuilt from its scores."""
    fields = _bumps(model.ndim, 30)
    n_points = fields[0, ..., 0].size
    flat = fields.reshape(30, -1) / np.sqrt(n_points)
    energies = np.linalg.eigvalsh(flat @ flat.T / 30)[::-1]
    np.testing.assert_allclose(model.sigmas**2, energies[:4], rtol=0.01)
    np.testing.assert_allclose(model.explained, energies[:4] / energies.sum(), rtol=0.01)
    assert model.explained.sum() == pytest.approx(1, abs=0.01)
    points = sample_points(model.ndim, EXTENT, 15).reshape(-1, model.ndim)
    basis = model.basis(points)
    gram = np.einsum("ndk,ndl->kl", basis, basis) / n_points
    np.testing.assert_allclose(gram, np.diag(model.sigmas**2), atol=1e-3 * gram.max())
    scores = np.array([np.linalg.lstsq(basis.reshape(-1, 4), f.ravel(), rcond=None)[0] for f in fields])
    np.testing.assert_allclose((scores**2).mean(axis=0), 1, rtol=0.02)  # a coefficient of 1 is one standard deviation
    for field, score in zip(fields, scores, strict=True):
        assert np.abs(model.displacement(score, points) - field.reshape(points.shape)).max() < 0.35


def test_the_mean_is_in_the_model_since_the_population_is_symmetrised():
    """A population that all moves one way needs no mean field: its mirror image is in it too."""
    fields = _bumps(3, 25)
    one = StatisticalDeformation.fit(fields, EXTENT, CELLS, 4)
    both = StatisticalDeformation.fit(np.concatenate([fields, -fields]), EXTENT, CELLS, 4)
    np.testing.assert_allclose(one.sigmas, both.sigmas, rtol=1e-6)
    np.testing.assert_allclose(one.modes, both.modes, atol=1e-3)


def test_weights_say_where_displacements_count():
    fields = _bumps(3, 25)
    points = sample_points(3, EXTENT, 15)
    half = (points[..., 0] > 0).astype(float)
    fields[..., 0] += np.where(points[..., 0] < -20, 30.0, 0.0) * np.random.default_rng(1).normal(size=(25, 1, 1, 1))
    everywhere = StatisticalDeformation.fit(fields, EXTENT, CELLS, 2)
    there = StatisticalDeformation.fit(fields, EXTENT, CELLS, 2, weights=half)
    assert everywhere.sigmas[0] > 2 * there.sigmas[0]
    inside = points[half > 0]
    left = [model.residual(inside, fields[0][half > 0]) for model in (everywhere, there)]
    assert left[1] < left[0]


def test_what_cannot_be_fitted_is_refused():
    fields = _bumps(2, 5)
    for wrong, options, message in (
        (fields, {"n_modes": 6}, "6 modes cannot be told from 5 training fields: give more, or ask for at most 5"),
        (fields, {"cells": 13}, "13 cells need at least 16 samples per axis, got 15"),
        (fields[..., :1], {}, "fields must be"),
        (np.where(np.arange(5).reshape(5, 1, 1, 1) == 3, np.nan, fields), {}, r"fields \[3\] hold values"),
        (np.tile(fields[:1], (5, 1, 1, 1)), {}, "only 1 of the 5 training fields are independent"),
        (np.zeros_like(fields), {}, "only 0 of the 5"),
        (fields, {"weights": np.zeros((15, 15))}, "not all 0, got .* from 0 to 0"),
        (fields, {"n_modes": 0}, "at least one mode, got n_modes=0"),
        ([fields[0], fields[1][:-1]], {}, r"sampled at the same points, got shapes \[\(14, 15, 2\), \(15, 15, 2\)\]"),
        ([], {}, "no training fields"),
    ):
        with pytest.raises(ValueError, match=message):
            StatisticalDeformation.fit(wrong, **{"extent_mm": EXTENT, "cells": CELLS, "n_modes": 2, **options})
    with pytest.raises(ValueError, match="no training fields"):
        StatisticalDeformation.fit_sitk([], EXTENT, CELLS, 2)
    with pytest.raises(ValueError, match="field 0 is an image of 1 numbers per pixel, not of displacements"):
        StatisticalDeformation.fit_sitk([sitk.Image([20, 20], sitk.sitkFloat32)] * 3, EXTENT, CELLS, 2)


def test_samples_are_within_the_bound_do_not_fold_and_repeat(model):
    drawn = model.sample(np.random.default_rng(0), 200)
    assert np.array_equal(drawn, model.sample(np.random.default_rng(0), 200))
    assert np.abs(drawn).max() <= BOUND
    assert (model.least_determinants(drawn) > LEAST_DETERMINANT).all()
    assert np.array_equal(model.step(np.tile(model.origin, (200, 1)), drawn), drawn)
    gentle = StatisticalDeformation(model.modes * 0.1, EXTENT, model.sigmas, model.explained)
    assert gentle.sample(np.random.default_rng(1), 500).std() == pytest.approx(0.99, abs=0.03)
    wild = StatisticalDeformation(model.modes * 40, EXTENT, model.sigmas, model.explained)
    assert (wild.least_determinants(wild.sample(np.random.default_rng(2), 5)) > LEAST_DETERMINANT).all()


def test_projection_finds_the_coefficients_and_holds_the_bound(model):
    rng = np.random.default_rng(3)
    points = rng.uniform(-50, 50, (150, model.ndim))
    for want in model.sample(rng, 5):
        u = model.displacement(want, points)
        np.testing.assert_allclose(model.project(points, u), want, atol=5e-3)
        assert model.residual(points, u) < 0.02
    gentle = StatisticalDeformation(model.modes * 0.05, EXTENT, model.sigmas, model.explained)
    far = gentle.project(points, gentle.displacement([9.0, 0, 0, 0], points))
    assert far[0] == pytest.approx(BOUND)
    assert np.abs(far).max() <= BOUND
    assert gentle.residual(points, np.ones_like(points) * 30) > 20
    steep = StatisticalDeformation(model.modes * 3, EXTENT, model.sigmas, model.explained)
    folded = np.array([BOUND, -BOUND, BOUND, -BOUND])
    assert steep.least_determinants(folded[None])[0] < LEAST_DETERMINANT
    back = steep.project(points, steep.displacement(folded, points))
    assert LEAST_DETERMINANT < steep.least_determinants(back[None])[0] < LEAST_DETERMINANT + 0.01
    assert np.abs(back).max() > 0.5
    with pytest.raises(ValueError, match="not finite"):
        model.project(points, np.full_like(points, np.nan))
    with pytest.raises(ValueError, match="must both be"):
        model.project(points, points[:3])


def test_a_file_gives_the_model_back_within_what_is_said(model, tmp_path):
    path = tmp_path / "model.npz"
    model.save(path)
    back = StatisticalDeformation.load(path)
    for old, new in zip(model.modes, back.modes, strict=True):
        assert np.abs(old - new).max() <= 1.6e-5 * np.abs(old).max()
    assert (back.extent_mm, back.cells, back.source) == (EXTENT, CELLS, "bumps")
    np.testing.assert_array_equal(back.sigmas, model.sigmas)
    np.testing.assert_array_equal(back.explained, model.explained)
    assert list(tmp_path.iterdir()) == [path]
    with np.load(path, allow_pickle=False) as held:
        assert held["steps"].dtype == np.int16


def test_other_files_are_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError):
        StatisticalDeformation.load(tmp_path / "none.npz")
    text = tmp_path / "text.npz"
    text.write_text("modes")
    other = tmp_path / "other.npz"
    np.savez(other, a=np.zeros(3))
    later = tmp_path / "later.npz"
    np.savez(later, format=np.array(7))
    array = tmp_path / "array.npy"
    np.save(array, np.zeros(3))
    misshapen = tmp_path / "misshapen.npz"
    held = {"steps": np.ones((2, 1, 5, 5), np.int16), "scales": np.ones(2), "sigmas": np.ones(2)}
    np.savez(misshapen, format=np.array(1), extent_mm=np.array(9.0), explained=np.ones(2), source=np.array(""), **held)
    for path, message in (
        (text, "it is no NPZ file"),
        (other, "it lacks explained, extent_mm"),
        (later, "its format is 7, this version reads 1"),
        (array, "it is no NPZ file"),
        (misshapen, "modes must be"),
    ):
        with pytest.raises(ValueError, match=rf"{path.name} .*{message}"):
            StatisticalDeformation.load(path)


def test_a_folder_that_is_not_there_is_named(model, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.npz cannot be written: there is no folder .*nowhere"):
        model.save(tmp_path / "nowhere" / "model.npz")


def _frame(ndim: int, seed: int = 0) -> np.ndarray:
    frame = np.eye(ndim + 1)
    frame[:ndim, :ndim] = Rotation.random(random_state=seed).as_matrix() if ndim == 3 else [[0.8, -0.6], [0.6, 0.8]]
    frame[:ndim, ndim] = np.random.default_rng(seed).uniform(-300, 300, ndim)
    return frame


@pytest.mark.parametrize("aligned", [False, True])
def test_simpleitk_transforms_carry_points_as_the_model_does(model, aligned):
    d = model.ndim
    frame = _frame(d)
    alignment = _frame(d, 1) if aligned else None
    if aligned:
        alignment[:d, :d] *= 1.1
    c = np.array([1.5, -1.0, 0.5, 2.0])
    rng = np.random.default_rng(5)
    local = rng.uniform(-59, 59, (100, d))
    want = transform_points(frame, local + model.displacement(c, local))
    want = want if alignment is None else transform_points(alignment, want)
    spline = model.to_sitk(c, frame, alignment)
    got = [spline.TransformPoint(p.tolist()) for p in transform_points(frame, local)]
    np.testing.assert_allclose(got, want, atol=1e-5)  # the model's basis is exact, its lattices float32
    grid = Grid.centred((41,) * d, (3.0,) * d, frame[:d, d], frame[:d, :d])
    field = model.to_sitk(c, frame, alignment, grid)
    nodes = transform_points(grid.index_to_physical, rng.integers(2, 38, (50, d)).astype(float))
    local = transform_points(np.linalg.inv(frame), nodes)
    want = transform_points(frame, local + model.displacement(c, local))
    want = want if alignment is None else transform_points(alignment, want)
    np.testing.assert_allclose([field.TransformPoint(p.tolist()) for p in nodes], want, atol=1e-5)


@pytest.mark.parametrize("kind", ["transforms", "images"])
def test_fitting_simpleitk_fields_gives_their_displacements_back(model, kind):
    d = model.ndim
    frame = _frame(d, 2)
    drawn = model.sample(np.random.default_rng(6), 12)
    grid = Grid.centred((61,) * d, (2.2,) * d, frame[:d, d], frame[:d, :d])
    if kind == "transforms":
        fields = [model.to_sitk(c, frame) for c in drawn]
    else:
        fields = [model.to_sitk(c, frame, grid=grid).GetDisplacementField() for c in drawn]
    again = StatisticalDeformation.fit_sitk(fields, EXTENT, CELLS, 4, frame)
    points = np.random.default_rng(7).uniform(-50, 50, (80, d))
    for c in drawn:
        u = model.displacement(c, points)
        assert again.residual(points, u) < 0.02 * np.sqrt((u**2).sum(-1).mean()) + 0.1
    with pytest.raises(ValueError, match="field 1 is"):
        StatisticalDeformation.fit_sitk([fields[0], sitk.Transform(5 - d, sitk.sitkIdentity)], EXTENT, CELLS, 1, frame)


def test_regularity_figures_are_what_they_say(model):
    c = np.array([1.0, -1.0, 1.0, 0.5])
    points = sample_points(model.ndim, EXTENT, 41)
    flat = points.reshape(-1, model.ndim)
    determinants = model.jacobian_determinants(c, flat)
    assert model.sdlogj(c, flat) == pytest.approx(np.log(np.maximum(determinants, 1e-9)).std())
    assert model.folding(c, flat) == (determinants <= 0).mean()
    field = model.displacement(c, flat).reshape(points.shape)
    by_differences = field_determinants(field, [EXTENT / 40] * model.ndim)
    inner = (slice(2, -2),) * model.ndim
    np.testing.assert_allclose(by_differences[inner], determinants.reshape(points.shape[:-1])[inner], atol=0.03)
    assert model.sdlogj(np.zeros(4), flat) == 0
    assert folding([1.0, 0.5, 0.0, -1.0]) == 0.5
    assert sdlogj([1.0, np.e]) == pytest.approx(0.5)
    assert sdlogj_l2r([1.0, -1.0]) == pytest.approx(np.log(2) / 2)
    with pytest.raises(ValueError, match="empty"):
        folding([])
    with pytest.raises(ValueError, match="components"):
        field_determinants(np.zeros((4, 4, 3)), [1.0, 1.0])


def test_field_determinants_keep_axes_and_components_apart():
    """u_x = 0.2 y on anisotropic samples leaves volume alone, u_x = 0.2 x does not."""
    grid = Grid.centred((5, 6, 7), (1.0, 2.0, 3.0))
    p = grid.points()
    u = np.zeros_like(p)
    u[..., 0] = 0.2 * p[..., 1] + 0.1 * p[..., 0]
    u[..., 2] = -0.5 * p[..., 2]
    np.testing.assert_allclose(field_determinants(u, grid.spacing), 1.1 * 0.5)


def test_fields_that_end_within_the_cube_keep_their_edge_values():
    """A field of twice the width and its middle part, which is constant beyond, give the same modes."""
    rng = np.random.default_rng(3)
    wide, narrow = [], []
    for push in rng.normal(size=(6, 2)) * 5:
        field = np.tile(push, (61, 61, 1))
        field[20:41, 20:41] += push[::-1] * np.hanning(21)[:, None, None] * np.hanning(21)[:, None]
        for size, out in ((61, wide), (21, narrow)):
            cut = (61 - size) // 2
            image = sitk.GetImageFromArray(field[cut : cut + size, cut : cut + size], isVector=True)
            image.SetSpacing((4.0, 4.0))
            image.SetOrigin([-4.0 * (size - 1) / 2] * 2)
            out.append(image)
    whole, part = (StatisticalDeformation.fit_sitk(fields, 200.0, 8, 2) for fields in (wide, narrow))
    np.testing.assert_allclose(part.modes, whole.modes, atol=1e-5)
    transforms = [sitk.DisplacementFieldTransform(sitk.Image(image)) for image in narrow]
    np.testing.assert_allclose(StatisticalDeformation.fit_sitk(transforms, 200.0, 8, 2).modes, part.modes, atol=1e-9)


def test_a_spline_that_does_not_cover_the_cube_is_refused():
    spline = sitk.BSplineTransformInitializer(sitk.Image([100, 50], sitk.sitkFloat32), [4, 4], 3)
    with pytest.raises(ValueError, match=r"field 1 is a B-spline over .* x .* mm, .* cube of 90 mm"):
        StatisticalDeformation.fit_sitk([sitk.TranslationTransform(2, (3.0, 1.0)), spline], 90.0, 5, 1)


def test_a_damaged_file_is_named_whatever_is_damaged(tmp_path):
    path, rng = tmp_path / "model.npz", np.random.default_rng(0)
    StatisticalDeformation(rng.normal(size=(2, 2, 8, 8)), 100.0, np.ones(2), np.full(2, 0.4)).save(path)
    whole, refused = path.read_bytes(), 0
    for _ in range(300):
        broken = bytearray(whole)
        broken[rng.integers(len(broken))] ^= int(rng.integers(1, 256))
        path.write_bytes(broken)
        try:
            StatisticalDeformation.load(path)  # some bytes are dates and the like
        except ValueError as error:
            assert "model.npz" in str(error)
            refused += 1
    assert refused > 200
