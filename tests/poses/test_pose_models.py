"""What every pose model owes to the process, whatever its poses are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from regenv.core.deformation_fit import sample_points
from regenv.core.geometry import Grid, transform_points
from regenv.core.scene import Scene, Target
from regenv.poses import MODELS, get_model, make_poses, pose_model
from regenv.poses.base import start_widths
from regenv.poses.deformation import StatisticalDeformation

EXTENT_MM = 120.0
WIDTHS = {"mm": 12.0, "deg": 15.0, "%": 8.0, "sd": 1.5}
ALL = [(name, ndim) for name in MODELS for ndim in (2, 3)]


def population(ndim: int) -> StatisticalDeformation:
    """Three modes of Gaussian bumps that are millimetres strong."""
    rng = np.random.default_rng(ndim)
    points = sample_points(ndim, EXTENT_MM, 11)
    bumps = [np.exp(-((points - rng.uniform(-25, 25, ndim)) ** 2).sum(-1) / 1250.0) for _ in range(3)]
    along = rng.normal(size=(3, ndim))
    scores = rng.normal(size=(12, 3)) * (5.0, 3.0, 2.0)
    fields = sum(scores[:, k, *[None] * (ndim + 1)] * bumps[k][..., None] * along[k] for k in range(3))
    return StatisticalDeformation.fit(fields, EXTENT_MM, 5, 3)


class Posed:
    """A model and an oblique scene of its dimension, with points in the fixed image."""

    def __init__(self, name: str, ndim: int) -> None:
        self.model: Any = make_poses(name, ndim, lambda: population(ndim))
        rigid, rng = get_model("rigid", ndim), np.random.default_rng(0)
        turn, alignment = rigid.exp(rng.uniform(-20, 20, (2, rigid.n_parameters)))
        fixed = Grid.centred((40,) * ndim, (3.0,) * ndim, rng.uniform(-80, 80, ndim), turn[:ndim, :ndim])
        there = Grid.centred((30,) * ndim, (4.0,) * ndim, transform_points(alignment, fixed.centre))
        self.scene = Scene(fixed, there, alignment, 3.0)
        self.points = transform_points(fixed.frame, rng.uniform(-50, 50, (60, ndim)))
        self.widths = start_widths(self.model, WIDTHS)
        # matrices stay near the moving image: what lies out of reach is another test's
        self.base = alignment if self.model.starts_about_truth else self.model.origin

    def drawn(self, count: int, seed: int = 1) -> np.ndarray:
        """Random poses ``(count, ...)``."""
        rng = np.random.default_rng(seed)
        return np.stack([self.model.start(rng, self.widths, self.base, self.scene) for _ in range(count)])

    def lanes(self, poses: np.ndarray, true_pose: np.ndarray | None = None) -> Any:
        """Lanes with the scene on each."""
        lanes, target = self.model.lanes(len(poses), EXTENT_MM), None
        if true_pose is not None:
            target = Target(true_pose, self.points, self.model.carry(true_pose, self.points, self.scene))
        for lane in range(len(poses)):
            lanes.load(lane, self.scene, target)
        return lanes


@pytest.fixture(scope="module", params=ALL, ids=lambda param: f"{param[0]}-{param[1]}d")
def posed(request) -> Posed:
    return Posed(*request.param)


def test_the_origin_carries_points_as_the_identity_or_the_given_alignment_does(posed):
    given = posed.scene.alignment if posed.model.takes_alignment else np.eye(posed.model.ndim + 1)
    moved = posed.model.carry(posed.model.origin, posed.points, posed.scene)
    np.testing.assert_allclose(moved, transform_points(given, posed.points), atol=1e-9)
    away = posed.model.carry(posed.drawn(1)[0], posed.points, posed.scene)
    assert np.abs(away - moved).max() > 1.0


def test_points_are_carried_as_by_the_simpleitk_transform(posed):
    close = 0.05 if posed.model.sampling == "lattice" else 1e-6  # a field between its samples, and a matrix
    for pose in posed.drawn(3):
        transform = posed.model.to_sitk_transform(pose, posed.scene)
        told = np.array([transform.TransformPoint(p.tolist()) for p in posed.points])
        np.testing.assert_allclose(posed.model.carry(pose, posed.points, posed.scene), told, atol=close)


def test_a_pose_is_found_again_from_where_it_carries_points(posed):
    close = 1e-3 if posed.model.sampling == "lattice" else 1e-8  # standard deviations, of modes in single precision
    for pose in posed.drawn(3):
        partners = posed.model.carry(pose, posed.points, posed.scene)
        np.testing.assert_allclose(posed.model.fit_points(posed.points, partners, posed.scene), pose, atol=close)


def test_what_is_no_pose_is_refused(posed):
    good = posed.drawn(1)[0]
    kept = posed.model.checked(good.tolist())
    np.testing.assert_array_equal(kept, good)
    assert kept.dtype == np.float64 and not np.shares_memory(posed.model.checked(good), good)
    broken = good.copy()
    broken.flat[0] = np.nan
    for bad in (broken, np.full_like(good, np.inf), good[:-1], good[None], np.pad(good, 1), np.zeros(0)):
        with pytest.raises(ValueError, match="start"):
            posed.model.checked(bad)


def test_steps_of_nothing_keep_every_bit(posed):
    poses = posed.drawn(5)
    lanes = posed.lanes(poses)
    steps = np.zeros((5, posed.model.n_parameters))
    np.testing.assert_array_equal(lanes.advance(poses, steps), poses)
    steps[2, 0] = 0.25  # one lane steps, the others stay as they are
    after = lanes.advance(poses, steps)
    assert [np.array_equal(one, other) for one, other in zip(after, poses, strict=True)] == [
        True,
        True,
        False,
        *[True] * 2,
    ]
    np.testing.assert_allclose(lanes.between(poses, after, slice(None)), steps, atol=1e-9)


def test_starts_lie_within_the_misalignment_and_reach_it(posed):
    starts = posed.drawn(200)
    base = np.broadcast_to(posed.base, starts.shape)
    away = np.abs(posed.lanes(starts).between(base, starts, slice(None))) / posed.widths
    assert away.max() <= 1 + 1e-6
    assert (away.max(axis=0) > 0.9).all()
    np.testing.assert_array_equal(posed.drawn(200), starts)  # of the generator alone
    with pytest.raises(ValueError, match="misalignment"):
        start_widths(posed.model, {unit: width for unit, width in WIDTHS.items() if unit != posed.model.units[0]})


def test_what_is_left_is_least_after_the_step_to_the_truth(posed):
    pose, truth = posed.drawn(2, seed=3)
    lanes = posed.lanes(pose[None], truth)
    left = lanes.remaining(pose, 0)
    rng = np.random.default_rng(0)
    steps = np.stack([left.coefficients * share for share in (1.0, 0.0, 0.5, -1.0)])
    steps = np.concatenate([steps, left.coefficients + rng.normal(size=(20, len(steps[0]))) * posed.widths / 20])
    errors = left.errors(steps)
    assert np.argmin(errors) == 0 and errors[0] < 1e-4 < 0.01 < errors[1:].min()
    arrived = lanes.advance(pose[None], steps[:1])
    np.testing.assert_allclose(arrived[0], truth, atol=1e-5)
    assert lanes.tre(arrived, slice(None))[0] < 1e-4
    if posed.model.name in ("rigid", "sdm"):  # where a millimetre is one in either image
        after = np.stack([lanes.tre(lanes.advance(pose[None], step[None]), slice(None))[0] for step in steps])
        np.testing.assert_allclose(errors, after, atol=1e-8)


@pytest.mark.parametrize("name", [name for name in MODELS if pose_model(name).sampling == "matrix"])
def test_a_matrix_does_not_carry_the_view_out_of_reach_and_comes_back(name):
    posed = Posed(name, 3)
    pose, step = posed.base[None], np.zeros((1, posed.model.n_parameters))
    lanes = posed.lanes(pose)
    step[0, 0] = 50.0
    near = lanes.advance(lanes.advance(pose, step), step)
    assert not np.array_equal(near, pose)
    np.testing.assert_array_equal(lanes.advance(near, step), near)  # 150 mm of 120
    assert not np.array_equal(lanes.advance(near, -step), near)
    far = near.copy()
    far[0, :3, 3] += 5 * (near - pose)[0, :3, 3]  # one that already lies out of reach may come nearer, and only that
    np.testing.assert_array_equal(lanes.advance(far, step), far)
    assert not np.array_equal(lanes.advance(far, -step), far)


STRETCHES = [
    *(("similarity", ndim, "s") for ndim in (2, 3)),
    *(("affine", ndim, action) for ndim, actions in ((2, ("sx", "hxy")), (3, ("sz", "hyz"))) for action in actions),
]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("name", "ndim", "action"), STRETCHES)
def test_a_matrix_does_not_stretch_without_end_and_comes_back(name, ndim, action, sign):
    posed = Posed(name, ndim)
    pose, step = posed.base[None], np.zeros((1, posed.model.n_parameters))
    step[0, posed.model.names.index(action)] = 4.0 * sign
    lanes, before, taken = posed.lanes(pose), None, 0
    while before is None or not np.array_equal(pose, before):
        before, pose, taken = pose, lanes.advance(pose, step), taken + 1
        lengths = np.linalg.svd(pose[0, :ndim, :ndim], compute_uv=False)
        assert 0.5 <= lengths.min() <= lengths.max() <= 2.0
    assert max(lengths.max(), 1 / lengths.min()) > 2 * np.exp(-0.04)  # it went as far as it may
    assert taken > 15
    assert not np.array_equal(lanes.advance(pose, -step), pose)
    beyond = posed.model.step(
        np.tile(pose, (2, 1, 1)), np.tile(10 * step, (2, 1)), np.tile(posed.scene.frame, (2, 1, 1))
    )
    two = posed.lanes(beyond)  # poses that already lie out of range may come back towards it, and only that
    after = two.advance(beyond, np.concatenate([step, -step]))
    np.testing.assert_array_equal(after[0], beyond[0])
    assert posed.model.stretch(after)[1] < posed.model.stretch(beyond)[1]


def test_rotations_and_translations_are_free_at_the_limit_of_stretch():
    posed = Posed("affine", 3)
    sizes = np.zeros((1, 12))
    sizes[0, posed.model.names.index("sx")] = 69.0
    pose = posed.model.step(posed.base[None], sizes, posed.scene.frame[None])
    lanes, steps = posed.lanes(pose), 4.0 * np.eye(12)[:6]
    for step in steps:
        assert not np.array_equal(lanes.advance(pose, step[None]), pose)


def test_an_unknown_model_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'similarity'"):
        make_poses("similarty", 2)
