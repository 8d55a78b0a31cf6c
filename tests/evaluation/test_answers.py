"""Answers as rows store them: poses, linear transforms and fields, and what is none of these."""

from __future__ import annotations

import base64
import gzip
import json

import numpy as np
import pytest
import SimpleITK as sitk

from regenv.core.geometry import transform_points
from regenv.evaluation.answers import LARGEST_TEXT, FieldAnswer, LinearAnswer, PoseAnswer, answer_of, read_answer
from regenv.evaluation.cases import new_track
from regenv.evaluation.episodes import EPISODES
from regenv.evaluation.runner import metrics_of, run
from regenv.fields import TRANSFORM_BYTES
from regenv.leaderboard.verify import verify

from .conftest import AGENTS


@pytest.fixture(scope="module")
def torso():
    return new_track("CTCBCT-SDM-v0", "torso", cases=1, split="train").cases[0]


@pytest.fixture(scope="module")
def prostate():
    return new_track("ProstateMR-SDM2D-v0", "prostate", cases=1, split="train").cases[0]


@pytest.fixture(scope="module")
def head():
    return new_track("T1T2-Rigid-v0", "head", cases=1, split="train").cases[0]


def waves(scene, period_mm, height_mm):
    """A smooth displacement field in physical space, after the scene's alignment."""
    grid = scene.fixed_grid.refined(4.0)
    phase = 2 * np.pi * transform_points(scene.to_frame, grid.points()) / period_mm
    u = height_mm * np.sin(phase[..., ::-1])
    field = sitk.GetImageFromArray(u, isVector=True)
    field.SetSpacing(grid.spacing), field.SetOrigin(grid.origin), field.SetDirection(grid.direction.ravel().tolist())
    return sitk.DisplacementFieldTransform(field)


def gap(transform, answer, points):
    """Distances in mm between where a SimpleITK transform and an answer carry points."""
    there = np.array([transform.TransformPoint(point) for point in points.tolist()])
    return np.linalg.norm(answer.carry(points) - there, axis=1)


@pytest.mark.parametrize("name", ["torso", "prostate", "head"])
def test_a_smooth_field_is_stored_to_a_tenth_of_a_millimetre(name, request):
    case = request.getfixturevalue(name)
    transform = waves(case.scene, 160.0, 5.0)
    if name == "head":  # turned a long way as well, on a track of rigid poses
        transform = sitk.CompositeTransform([case.poses.to_sitk_transform(case.target.pose, case.scene), transform])
    answer = answer_of(transform, case.scene, case.poses)
    assert isinstance(answer, FieldAnswer)
    assert gap(transform, answer, case.target.points).max() < 0.1
    read = read_answer(json.loads(json.dumps(answer.value)), case.scene, case.poses)
    assert np.array_equal(read.carry(case.target.points), answer.carry(case.target.points))
    assert len(json.dumps(answer.value)) < TRANSFORM_BYTES


@pytest.mark.parametrize("name", ["torso", "prostate"])
def test_a_pose_of_the_model_is_stored_as_a_field_within_a_tenth_of_a_millimetre(name, request):
    """Its splines are about as fine as the stored ones: on average over the points that count."""
    case = request.getfixturevalue(name)
    for pose in (case.start, case.target.pose):
        field = answer_of(case.poses.to_sitk_transform(pose, case.scene), case.scene, case.poses)
        exact = PoseAnswer(pose, case.poses, case.scene)
        assert np.linalg.norm(field.carry(case.target.points) - exact.carry(case.target.points), axis=1).mean() < 0.1
        assert case.tre(field) == pytest.approx(case.tre(exact), abs=0.1)


def test_kinds_of_transforms(torso, head):
    """A B-spline is a field, a composite of linear transforms a matrix, which on a rigid track must be rigid."""
    spline = sitk.BSplineTransformInitializer(sitk.Image(50, 50, 50, sitk.sitkFloat32), [4, 4, 4])
    assert isinstance(answer_of(spline, head.scene, head.poses), FieldAnswer)
    rigid = sitk.CompositeTransform([sitk.TranslationTransform(3, (1.0, 2.0, 3.0)), sitk.Euler3DTransform()])
    assert isinstance(answer_of(rigid, head.scene, head.poses), PoseAnswer)
    assert isinstance(answer_of(rigid, torso.scene, torso.poses), LinearAnswer)
    with pytest.raises(ValueError, match="must be rigid"):
        answer_of(sitk.ScaleTransform(3, (1.2, 1.0, 1.0)), head.scene, head.poses)
    broken = waves(torso.scene, 160.0, np.nan)
    with pytest.raises(ValueError, match="not finite"):
        answer_of(broken, torso.scene, torso.poses)


def field_value(case):
    return answer_of(waves(case.scene, 160.0, 3.0), case.scene, case.poses).value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scale_mm": float("nan")}, "positive numbers"),
        ({"extent_mm": [100.0, -1.0]}, "positive numbers"),
        ({"extent_mm": 100.0}, "2 extent_mm"),
        ({"scale_mm": "1"}, "positive numbers"),
        ({"lattice": "A" * (LARGEST_TEXT + 4)}, "at most"),
        ({"lattice": "no base64!"}, "base64|character"),
        ({"lattice": base64.b64encode(bytes(2 * 3 * 5**2)).decode()}, "cubes"),
        ({"matrix": [[1.0, 0.0], [0.0, 1.0]]}, "finite"),
        ({"matrix": np.diag([0.0, 1.0, 1.0]).tolist()}, "inverted"),
        ({"surprise": 1}, "entries"),
    ],
)
def test_fields_that_are_none(prostate, change, words):
    with pytest.raises(ValueError, match=words):
        prostate.answer({**field_value(prostate), **change})


def test_coefficients_that_are_none(prostate):
    count = prostate.poses.n_parameters
    for value in ([0.0] * (count + 1), [float("nan")] * count, [99.0] * count, "up"):
        with pytest.raises((ValueError, TypeError)):
            prostate.answer(value)


@pytest.fixture()
def rows(tmp_path):
    """A replayed row of coefficients and a row of fields on one track."""
    track = new_track("ProstateMR-SDM2D-v0", "tampered", cases=2, split="train")
    return [run(track, spec, out=tmp_path).folder for spec in ("agents.random:factory", f"{AGENTS}:copy_of_start")]


def edited(folder, edit):
    records = [json.loads(line) for line in gzip.decompress((folder / EPISODES).read_bytes()).splitlines()]
    edit(records)
    (folder / EPISODES).write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in records).encode()))
    return {failure.kind for failure in verify(folder).failures}


def test_tampered_coefficients(rows):
    found = verify(rows[0])
    assert found.level == "replayed"
    case = found.track.cases[0]
    truth = case.target.pose.tolist()

    def forge(records):
        records[0].update(transform=truth, metrics=metrics_of(case, case.answer(truth)))

    assert edited(rows[0], forge) == {"replay", "metrics"}  # the truth, and metrics that fit it


@pytest.mark.parametrize(
    ("transform", "kind"),
    [
        ([0.0], "transform"),
        ([99.0] * 8, "transform"),
        ({"lattice": ""}, "transform"),
        ("up", "schema"),
        ([None], "schema"),
    ],
)
def test_answers_of_another_kind(rows, transform, kind):
    for folder in rows:
        assert edited(folder, lambda records: records[0].update(transform=transform)) == {kind}


def test_tampered_lattices(rows):
    assert verify(rows[1]).level == "recomputed"

    def shift(records):
        packed = records[0]["transform"]
        numbers = np.frombuffer(base64.b64decode(packed["lattice"]), "<i2") + 100
        packed.update(lattice=base64.b64encode(numbers.astype("<i2").tobytes()).decode(), scale_mm=0.01)

    assert edited(rows[1], shift) == {"metrics"}
    assert edited(rows[1], lambda records: records[0]["transform"].update(lattice="A" * 70_000)) == {"transform"}
