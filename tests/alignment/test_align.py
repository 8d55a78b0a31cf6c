"""``regenv.align``: SimpleITK images in, a transform and an honest account of it out."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

import regenv
from regenv.core.points import lattice_points, mean_tre
from regenv.core.sitk import image_to_sitk, matrix_from_sitk, matrix_to_sitk
from regenv.errors import DataError
from tests.envs.blobs import Blobs


class Answers:
    """An agent that answers at once with a transform it was given."""

    def __init__(self, answer):
        self.answer = answer

    def register(self, fixed, moving, initial):
        """The answer it was given, whatever the start."""
        return self.answer


class Climbs:
    """An agent that acts: one step forth, one back, then STOP."""

    env_kwargs = {"observation": "slices"}

    def reset(self, observation, info):
        """Begins again."""
        self._actions = [24, 1, 0]

    def act(self, observation):
        """The next of three actions."""
        assert observation.shape == (6, 64, 64)
        return self._actions.pop()


@pytest.fixture(scope="module")
def problem():
    """Images, a start 12 mm off, and the truth."""
    pair = Blobs().load(0)
    truth = pair.truth.transform
    start = truth.copy()
    start[:3, 3] += [12.0, 0.0, 0.0]
    return image_to_sitk(pair.fixed), image_to_sitk(pair.moving), start, truth


def test_a_good_answer_is_returned_with_its_gain(problem):
    fixed, moving, start, truth = problem
    result = regenv.align(fixed, moving, initial=matrix_to_sitk(start), agent=Answers(matrix_to_sitk(truth)))
    np.testing.assert_allclose(matrix_from_sitk(result.transform), truth, atol=1e-6)
    assert result.similarity_end > result.similarity_start
    assert result.similarity == "ncc" and result.warnings == () and result.confidence == 1.0 and result.seconds > 0


def test_a_worse_pose_is_not_returned_and_said(problem):
    fixed, moving, start, truth = problem
    away = truth.copy()
    away[:3, 3] += [40.0, 20.0, 0.0]
    result = regenv.align(fixed, moving, initial=matrix_to_sitk(truth), agent=Answers(matrix_to_sitk(away)), runs=1)
    np.testing.assert_allclose(matrix_from_sitk(result.transform), truth, atol=1e-6)
    assert result.similarity_end == result.similarity_start
    assert "the start is returned" in result.warnings[0]


def test_an_agent_that_acts_is_run_in_its_environment(problem):
    fixed, moving, start, _ = problem
    result = regenv.align(fixed, moving, initial=matrix_to_sitk(start), agent=Climbs(), runs=1)
    assert result.steps == 3
    np.testing.assert_allclose(matrix_from_sitk(result.transform), start, atol=1e-6)


def test_centres_are_aligned_without_an_initial_transform(problem):
    fixed, moving, _, _ = problem
    result = regenv.align(fixed, moving, agent=Climbs(), runs=1)
    centre = lambda image: np.array(  # noqa: E731
        image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    )
    np.testing.assert_allclose(result.transform.TransformPoint(centre(fixed)), centre(moving), atol=1e-6)


def test_the_shipped_agent_finds_the_truth(problem):
    pytest.importorskip("onnxruntime", reason="needs the extra 'align'")
    fixed, moving, start, truth = problem
    result = regenv.align(fixed, moving, initial=matrix_to_sitk(start))
    found = matrix_from_sitk(result.transform)
    points = lattice_points(None, Blobs().load(0).fixed.grid)
    assert float(mean_tre(found, truth, points)) < 2.0
    assert result.confidence == 1.0


def test_images_that_have_nothing_in_common_are_not_sold_as_aligned(problem):
    pytest.importorskip("onnxruntime", reason="needs the extra 'align'")
    fixed, _, _, _ = problem
    result = regenv.align(fixed, image_to_sitk(Blobs().load(1).moving))
    assert result.confidence == 0.0 and result.warnings


@pytest.mark.parametrize("spoil", ["nan", "constant", "flat"])
def test_an_image_that_cannot_be_used_is_named(spoil, problem):
    fixed, moving, _, _ = problem
    array = sitk.GetArrayFromImage(fixed)
    if spoil == "nan":
        array[0, 0, 0] = np.nan
    bad = sitk.GetImageFromArray(np.zeros_like(array) if spoil == "constant" else array)
    if spoil == "flat":
        bad = fixed[:, :, 10]
    with pytest.raises(DataError, match={"nan": "NaN", "constant": "single value", "flat": "2-D"}[spoil]):
        regenv.align(bad, moving, agent=Climbs())


def test_images_apart_are_refused(problem):
    fixed, moving, start, _ = problem
    away = start.copy()
    away[:3, 3] += 5000.0
    with pytest.raises(DataError, match="do not overlap"):
        regenv.align(fixed, moving, initial=matrix_to_sitk(away), agent=Climbs())


def test_the_shipped_policy_is_rigid(problem):
    fixed, moving, _, _ = problem
    with pytest.raises(ValueError, match="rigid"):
        regenv.align(fixed, moving, model="affine")
    with pytest.raises(ValueError, match="did you mean 'affine'"):
        regenv.align(fixed, moving, model="afine")
