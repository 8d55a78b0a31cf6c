"""The short refinement: precise from a few millimetres, never worse by its own measure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from regenv.alignment.refine import Resolution, refine
from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.core.points import lattice_points, mean_tre
from regenv.poses import get_model

RIGID = get_model("rigid", 3)


def body(modality: str = "ct") -> Image:
    """A body with organs in air, 2 mm voxels."""
    grid = Grid.centred((80, 70, 60), (2.0, 2.0, 2.0), centre=(10, -20, 30))
    p = grid.points() - grid.centre
    array = np.full(grid.shape, -1000.0, np.float32)
    array[((p / [70, 55, 50]) ** 2).sum(-1) < 1] = 40.0
    rng = np.random.default_rng(0)
    for _ in range(14):
        centre, size = rng.uniform(-35, 35, 3), rng.uniform(6, 16, 3)
        array[(((p - centre) / size) ** 2).sum(-1) < 1] = rng.choice([-800.0, 300.0, 120.0, 600.0])
    return Image(array, grid, modality, -1000.0)


def start(image: Image, c) -> np.ndarray:
    return RIGID.step(np.eye(4)[None], np.asarray([c], float), image.grid.frame[None])[0]


def error(image: Image, pose) -> float:
    return float(mean_tre(pose, np.eye(4), lattice_points(image.array > -900, image.grid)))


@pytest.mark.parametrize("c", [(3, -2, 2, 2, -3, 1), (-4, 4, 3, -3, 3, 3)])
def test_a_few_millimetres_become_a_tenth(c):
    fixed = body()
    noisy = fixed.array * 0.9 + 30 + np.random.default_rng(1).normal(0, 40, fixed.array.shape)
    moving = replace(fixed, array=noisy.astype(np.float32), modality="cbct")
    pose, value = refine(fixed, moving, start(fixed, c))
    assert error(fixed, start(fixed, c)) > 3
    assert error(fixed, pose) < 0.1
    assert value > 0.8


def test_another_contrast_is_met_by_mutual_information():
    fixed = body("t1")
    other = np.select([fixed.array < -900, fixed.array < 0, fixed.array < 100], [0.0, 300.0, 700.0], 150.0)
    moving = Image(other.astype(np.float32), fixed.grid, "t2", 0.0)
    pose, value = refine(fixed, moving, start(fixed, (2, 2, -3, 2, 1, -2)))
    assert error(fixed, pose) < 0.3
    assert 1 < value <= 2


def test_a_pose_is_never_less_similar_than_the_start():
    fixed = body()
    rng = np.random.default_rng(2)
    for _ in range(4):
        far = start(fixed, rng.uniform(-40, 40, 6))
        kept, before = refine(fixed, fixed, far, levels=(Resolution(64, 3.0, 0),))
        np.testing.assert_array_equal(kept, far)
        pose, value = refine(fixed, fixed, far)
        assert value > before or np.array_equal(pose, far)
    pose, value = refine(fixed, fixed, np.eye(4))
    np.testing.assert_array_equal(pose, np.eye(4))
    assert value == pytest.approx(1.0)


def test_no_overlap_returns_the_start():
    fixed = body()
    away = np.eye(4)
    away[0, 3] = 900.0
    pose, value = refine(fixed, fixed, away)
    np.testing.assert_array_equal(pose, away)
    assert value == 0.0


def test_padding_of_a_truncated_field_of_view_does_not_pull():
    """A cylinder cut out of the fixed image, whose edge is nowhere in the moving one."""
    whole = body()
    p = whole.grid.points() - whole.grid.centre
    cut = np.where(np.hypot(p[..., 0] - 8, p[..., 1] + 6) < 42, whole.array + 1.0, -1000.0)
    fixed = replace(whole, array=cut.astype(np.float32), modality="cbct")
    noise = np.random.default_rng(3).normal(0, 15, whole.array.shape).astype(np.float32)
    moving = replace(whole, array=whole.array + noise)
    pose, _ = refine(fixed, moving, start(whole, (2, 2, -2, 2, 1, -2)))
    assert error(whole, pose) < 0.2


def test_wrong_arguments_name_the_mend():
    image = body()
    with pytest.raises(ValueError, match="did you mean 'nmi'"):
        refine(image, image, np.eye(4), similarity="nmii")
    with pytest.raises(ValueError, match=r"a \(4, 4\) transform"):
        refine(image, image, np.eye(3))
