"""A spine that bends at its discs, and the loin that it stands in."""

import numpy as np
import pytest

from regenv.synthesis.anatomy.loin import loin
from regenv.synthesis.anatomy.posture import joints, straightened
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.warp import Warp

NAMES = ("T12", "L1", "L2", "L3", "L4", "L5")


@pytest.fixture(scope="module")
def spine():
    subject = Subject(3)
    warp = Warp(np.random.default_rng([3, 13]), subject.scale)
    vertebrae = [v for v in subject.vertebrae if v.name in NAMES]
    bodies = {v.name: warp.to_subject(v.centre)[0] for v in vertebrae}
    return joints(vertebrae, warp, "L3"), bodies


def test_joints_are_the_discs(spine):
    found, bodies = spine
    assert [j.upward for j in found] == [True, True, True, False, False, False]
    for joint, upper, lower in zip(found[:5], NAMES[:-1], NAMES[1:], strict=True):
        between = 0.5 * (bodies[upper] + bodies[lower])
        assert np.linalg.norm(joint.centre - between) < 4.0
        np.testing.assert_allclose(joint.axes.T @ joint.axes, np.eye(3), atol=1e-9)
        assert np.linalg.det(joint.axes) > 0.99 and joint.axes[2, 2] > 0.8 and joint.axes[1, 1] > 0.8


def test_nothing_moves_without_angles(spine):
    points = np.random.default_rng(0).uniform(-150, 150, (500, 3))
    np.testing.assert_array_equal(straightened(spine[0], np.zeros((6, 3)), points), points)


@pytest.mark.parametrize(
    ("turned", "moving", "still"), [(2, ("T12", "L1", "L2"), ("L3", "L4")), (3, ("L4",), ("L3", "L2"))]
)
def test_one_joint_turns_all_beyond_it_about_its_disc_by_its_angle(spine, turned, moving, still):
    found, bodies = spine
    angles = np.zeros((6, 3))
    angles[turned, 0] = np.deg2rad(3.0)
    for name in still:
        np.testing.assert_array_equal(straightened(found, angles, bodies[name][None])[0], bodies[name])
    joint = found[turned]
    for name in moving:
        before = bodies[name] - joint.centre
        after = straightened(found, angles, bodies[name][None])[0] - joint.centre
        # in the plane across the axis the angle is that of the joint
        y, z = (joint.axes.T @ before)[1:], (joint.axes.T @ after)[1:]
        angle = np.arctan2(y[0] * z[1] - y[1] * z[0], y @ z)
        assert np.rad2deg(angle) == pytest.approx(3.0, abs=1e-6)
        assert np.linalg.norm(after) == pytest.approx(np.linalg.norm(before))


def test_far_from_the_spine_tissue_bends_over_centimetres(spine):
    found, _ = spine
    angles = np.zeros((6, 3))
    angles[2, 0] = np.deg2rad(3.0)
    joint, heights = found[2], np.linspace(-60, 60, 121)

    def breadth(forward):
        """Height over which a column in front of the joint takes on the turn."""
        column = joint.centre + np.outer(heights, joint.axes[:, 2]) - forward * joint.axes[:, 1]
        moved = straightened(found, angles, column) - column
        share = np.linalg.norm(moved, axis=1) / np.linalg.norm(column - joint.centre, axis=1).clip(1e-9)
        share /= share.max()
        return np.count_nonzero((share > 0.05) & (share < 0.95))

    assert breadth(5.0) < 15 and breadth(110.0) > 50


def test_the_loin_has_a_whole_l5_on_a_sacrum_and_discs_with_rings():
    anatomy = loin(3, 3.0)

    def at(point):
        index = tuple(np.rint((point - np.asarray(anatomy.grid.origin)) / 3.0).astype(int)[::-1])
        return anatomy.organ[index], anatomy.tissue[index]

    marks = anatomy.landmarks
    assert at(marks["L5_body"]) == (Organ.SPINE, Tissue.CANCELLOUS)
    assert at(marks["sacrum_3"])[0] == Organ.PELVIS_BONE
    assert marks["iliac_crest_left"][0] > 90 > -90 > marks["iliac_crest_right"][0]
    assert marks["sacrum_3"][2] < marks["promontory"][2] < marks["L5_body"][2]
    subject = Subject(3)
    warp = Warp(np.random.default_rng([3, 13]), subject.scale)
    v = subject.vertebra("L3")
    disc = v.centre - v.axes @ np.array([0, 0, (v.height + v.disc) / 2])
    front = disc - v.axes @ np.array([0, 0.44 * v.depth, 0])
    core, ring = warp.to_subject(np.array([disc, front]))
    assert at(core)[1] == Tissue.DISC and at(ring)[1] == Tissue.LIGAMENT
