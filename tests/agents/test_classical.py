from __future__ import annotations

import importlib

import numpy as np
import pytest

from agents.simpleitk import SimpleITKRegistration, body_mask, shrink_factors
from agents.starts import moved_to_start, with_start
from regenv.core.points import point_errors
from regenv.core.sitk import image_to_sitk, matrix_from_sitk, matrix_to_sitk
from regenv.poses import get_model
from regenv.testing import check_agent
from tests.envs.blobs import Blobs
from tests.envs.targets import known_of

OFFSET = np.array([9.0, -6.0, 5.0, 5.0, -4.0, 6.0])  # mm and degrees
EXTRAS = {"agents.elastix": "itk", "agents.ants": "ants"}


def _problem(offset: np.ndarray = OFFSET, model: str = "rigid"):
    pair = Blobs("train").load(1)
    known = known_of(pair)
    start = get_model(model, 3).misaligned(known.pose, offset, pair.fixed.grid.frame)
    images = image_to_sitk(pair.fixed), image_to_sitk(pair.moving), matrix_to_sitk(start)
    return pair, images, lambda matrix: float(point_errors(matrix, known.points, known.partners).mean())


def _factory(spec: str):
    module, _, name = spec.partition(":")
    if module in EXTRAS:
        pytest.importorskip(EXTRAS[module], reason="needs `pip install 'regenv[classical]'`")
    return getattr(importlib.import_module(module), name or "factory")


@pytest.mark.parametrize("spec", ["agents.simpleitk:mi", "agents.simpleitk:ncc", "agents.elastix", "agents.ants"])
def test_it_registers_and_repeats_itself(spec: str) -> None:
    make = _factory(spec)
    _, images, error = _problem()
    first = matrix_from_sitk(make(seed=0).register(*images))
    assert error(matrix_from_sitk(images[2])) > 10.0
    assert error(first) < 1.0
    np.testing.assert_array_equal(matrix_from_sitk(make(seed=0).register(*images)), first)


@pytest.mark.parametrize("spec", ["agents.simpleitk:mi", "agents.simpleitk:ncc"])
def test_it_keeps_the_protocol(spec: str) -> None:
    check_agent(spec)


def test_an_affine_start_is_answered_by_an_affine_transform() -> None:
    offset = np.concatenate([OFFSET, [6.0, -5.0, 4.0, 0.0, 3.0, 0.0]])
    _, images, error = _problem(offset, "affine")
    found = matrix_from_sitk(SimpleITKRegistration("ncc").register(*images))
    assert error(found) < 0.25 * error(matrix_from_sitk(images[2]))


def test_a_rigid_start_stays_rigid_and_evaluations_are_counted() -> None:
    _, images, _ = _problem()
    agent = SimpleITKRegistration("mattes", iterations=5)
    linear = matrix_from_sitk(agent.register(*images))[:3, :3]
    np.testing.assert_allclose(linear @ linear.T, np.eye(3), atol=1e-9)
    assert 3 <= agent.evaluations <= 15


def test_options_and_images() -> None:
    with pytest.raises(ValueError, match="'mattes', 'ncc'"):
        SimpleITKRegistration("mi")
    pair, (fixed, _, _), _ = _problem()
    mask = body_mask(fixed)
    assert mask is not None
    import SimpleITK as sitk

    inside = sitk.GetArrayFromImage(mask).astype(bool)
    assert inside[pair.fixed_mask].mean() > 0.99
    assert inside.mean() < 1.0
    assert body_mask(fixed + 2000.0) is None
    assert shrink_factors(fixed) == [5, 2, 1]


def test_a_start_put_into_the_header_is_the_same_registration_problem() -> None:
    _, (fixed, moving, initial), _ = _problem()
    import SimpleITK as sitk

    carried = moved_to_start(moving, initial)
    a = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, initial, sitk.sitkLinear, -1000.0))
    b = sitk.GetArrayFromImage(sitk.Resample(carried, fixed, sitk.Transform(), sitk.sitkLinear, -1000.0))
    # A voxel on the very edge may fall on either side of it.
    assert (np.abs(a - b) < 0.5).mean() > 0.9999
    np.testing.assert_allclose(matrix_from_sitk(with_start(initial, np.eye(4))), matrix_from_sitk(initial), atol=1e-9)
    scaled = np.diag([1.1, 1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="rigid"):
        moved_to_start(moving, matrix_to_sitk(scaled))


@pytest.mark.parametrize(("module", "package"), EXTRAS.items())
def test_without_its_package_the_error_names_the_extra(module: str, package: str, monkeypatch) -> None:
    made = importlib.import_module(module)
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'regenv\[classical\]'"):
        made.factory(seed=0)
