"""Overlap and surface distances against shapes whose answer is known."""

from functools import partial

import numpy as np
import pytest

from regenv.core.geometry import Grid, transform_points
from regenv.core.labels import (
    DEFINITIONS,
    dice_by_label,
    label_metrics,
    label_resample,
    shared_labels,
    surface_distances,
    surface_elements,
    warp_labels,
)


def ball(grid, radius, centre=(0, 0, 0)):
    return np.linalg.norm(grid.points() - np.asarray(centre)[: grid.ndim], axis=-1) <= radius


def test_area_of_a_box_and_of_a_sphere():
    grid = Grid.centred((60, 50, 40), (0.5, 1.0, 1.5))
    box = np.zeros(grid.shape, bool)
    box[5:25, 10:40, 10:50] = True  # 20 mm x 30 mm x 30 mm
    points, areas = surface_elements(box, grid)
    assert areas.sum() == pytest.approx(2 * (20 * 30 + 20 * 30 + 30 * 30), rel=0.04)  # edges are bevelled
    assert points.mean(axis=0) == pytest.approx([0, 0, -7.5], abs=0.2)
    fine = Grid.centred((80, 80, 80), (1.0, 1.0, 1.0))
    _, areas = surface_elements(ball(fine, 30), fine)
    assert areas.sum() == pytest.approx(4 * np.pi * 30**2, rel=0.12)  # a staircase overestimates a little


def test_surface_reaches_the_edge_of_the_image_and_is_closed():
    grid = Grid.centred((4, 4, 4), (2.0, 2.0, 2.0))
    points, areas = surface_elements(np.ones(grid.shape, bool), grid)
    assert areas.sum() == pytest.approx(6 * 64, rel=0.2)
    assert surface_elements(np.zeros(grid.shape, bool), grid)[1].size == 0


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.0, 2.0)])
def test_concentric_spheres(spacing):
    grid = Grid.centred([int(100 / s) for s in spacing], spacing)
    hd95, assd = surface_distances(ball(grid, 30), ball(grid, 36), grid)
    assert assd == pytest.approx(6, abs=0.4)
    assert hd95 == pytest.approx(6, abs=0.7)


def test_shifted_planes_in_true_spacing():
    grid = Grid.centred((30, 30, 60), (1.0, 1.0, 3.0))
    first, second = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    first[:20], second[:24] = True, True  # 4 voxels of 3 mm apart; the sides and the bottom coincide
    hd95, assd = surface_distances(first, second, grid)
    assert hd95 == pytest.approx(12, abs=0.5)
    assert 0 < assd < 2


def test_area_weighting_differs_from_counting_elements():
    """A thin slab in 10 mm slices: its faces are few elements of large area, its rim many of small area."""
    grid = Grid.centred((80, 80, 9), (1.0, 1.0, 10.0))
    slab = np.zeros(grid.shape, bool)
    slab[4, 10:70, 10:70] = True
    wide = np.zeros(grid.shape, bool)
    wide[4, 5:75, 5:75] = True
    _, areas = surface_elements(slab, grid)
    assert areas.sum() == pytest.approx(2 * 60 * 60 + 4 * 60 * 10, rel=0.05)
    _, assd = surface_distances(slab, wide, grid)
    # Faces of the smaller one lie on the larger one (distance 0); rims are 5 mm off.
    rim = 4 * (60 + 70) * 10 * 5 + 2 * (70**2 - 60**2) * 2.5
    area = 2 * 60**2 + 4 * 60 * 10 + 2 * 70**2 + 4 * 70 * 10
    assert assd == pytest.approx(rim / area, rel=0.15)


def test_two_dimensions():
    grid = Grid.centred((101, 101), (0.5, 0.5))
    _, lengths = surface_elements(ball(grid, 15), grid)
    assert lengths.sum() == pytest.approx(2 * np.pi * 15, rel=0.12)
    hd95, assd = surface_distances(ball(grid, 12), ball(grid, 15), grid)
    assert (hd95, assd) == pytest.approx((3, 3), abs=0.4)


def test_dice_by_hand_and_undefined():
    first, second = np.zeros((4, 4), int), np.zeros((4, 4), int)
    first[:2], second[1:3], first[3] = 1, 1, 7
    assert shared_labels(first, second) == [1]
    assert dice_by_label(first, second, [1, 7]) == {1: 0.5, 7: 0.0}
    with pytest.raises(ValueError, match="label 2, which is absent"):
        dice_by_label(first, second, [2])


def test_labels_follow_a_deformation():
    grid = Grid.centred((30, 30, 30), (1.0, 1.0, 1.0))
    labels = ball(grid, 8).astype(np.uint8)

    def stretched(points):
        return points * [0.5, 1.0, 1.0]

    moved = warp_labels(labels, grid, grid, stretched)
    assert moved.sum() == pytest.approx(2 * labels.sum(), rel=0.05)
    squeezed = label_metrics(moved, labels, grid, grid, stretched)
    assert (squeezed.dice, squeezed.hd95_mm) == (1.0, 0.0)
    assert label_metrics(moved, labels, grid, grid, lambda points: points).dice < 0.8


def test_warp_identity_is_exact_and_shift_is_by_whole_voxels():
    grid = Grid.centred((7, 6, 5), (1.0, 2.0, 3.0))
    labels = np.random.default_rng(0).integers(0, 5, grid.shape).astype(np.uint8)
    assert np.array_equal(warp_labels(labels, grid, grid, partial(transform_points, np.eye(4))), labels)
    shift = np.eye(4)
    shift[1, 3] = 2.0  # one voxel along y: the sampling point moves by +y
    moved = warp_labels(labels, grid, grid, partial(transform_points, shift))
    assert np.array_equal(moved[:, :-1], labels[:, 1:])
    assert not moved[:, -1].any()


def test_warp_agrees_with_simpleitk_on_an_oblique_grid():
    sitk = pytest.importorskip("SimpleITK")
    rng = np.random.default_rng(1)
    a = np.deg2rad(20)
    direction = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    moving = Grid.centred((20, 18, 16), (1.1, 0.9, 2.0), centre=(3, 4, 5), direction=direction)
    fixed = Grid.centred((15, 14, 13), (1.3, 1.7, 1.9))
    labels = rng.integers(0, 9, moving.shape).astype(np.uint8)
    transform = np.eye(4)
    transform[:3, :3] = direction
    transform[:3, 3] = (1.234, -2.1, 3.3)

    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(moving.spacing), image.SetOrigin(moving.origin), image.SetDirection(moving.direction.ravel())
    reference = sitk.Image(fixed.size, sitk.sitkUInt8)
    reference.SetSpacing(fixed.spacing), reference.SetOrigin(fixed.origin)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(transform[:3, :3].ravel()), affine.SetTranslation(transform[:3, 3])
    expected = sitk.GetArrayFromImage(sitk.Resample(image, reference, affine, sitk.sitkNearestNeighbor))
    warped = warp_labels(labels, moving, fixed, partial(transform_points, transform))
    assert (warped == expected).mean() > 0.999
    assert np.array_equal(warped, label_resample(labels, moving, fixed, transform))


def test_absent_labels_are_left_out_and_counted():
    grid = Grid.centred((20, 20, 20), (1.0, 1.0, 1.0))
    fixed, moving = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    fixed[2:8, 2:8, 2:8] = moving[2:8, 2:8, 2:8] = 1
    fixed[12:15, 12:15, 12:15] = 2
    moving[12:15, 2:5, 2:5] = 3
    result = label_metrics(fixed, moving, grid, grid, partial(transform_points, np.eye(4)))
    assert (result.dice, result.hd95_mm, result.assd_mm) == (1.0, 0.0, 0.0)
    assert (result.labels, result.absent) == (1, 2)
    away = np.eye(4)
    away[0, 3] = 500
    lost = label_metrics(fixed, moving, grid, grid, partial(transform_points, away))
    assert lost.dice == 0.0
    assert lost.hd95_mm == pytest.approx(20 * np.sqrt(3))


def ellipsoids(size, spacing, centre):
    """Two overlapping ellipsoids (ellipses in 2-D), the second 2, -1 and 1 mm from the first."""
    d = len(size)
    grid = Grid(size, spacing, np.zeros(d), np.eye(d))
    shapes = ((centre, (15, 12, 18)), (np.add(centre, (2, -1, 1)), (16, 13, 15)))
    return [(((grid.points() - c[:d]) / r[:d]) ** 2).sum(axis=-1) <= 1 for c, r in shapes], grid


def test_ellipsoids_agree_with_a_dense_sampling_of_the_true_surfaces():
    shapes, grid = ellipsoids((50, 40, 30), (1.0, 1.25, 2.0), (25, 25, 30))
    hd95, assd = surface_distances(*shapes, grid)
    assert assd == pytest.approx(1.498, abs=0.05)
    assert hd95 == pytest.approx(3.435, abs=0.25)


PUBLISHED = [  # HD95 and ASSD that surface-distance 0.1 and MONAI 1.6.1 give
    ((50, 40, 30), (1.0, 1.25, 2.0), (25, 25, 30), (4.0, 1.10419), (4.0, 1.52799)),
    ((50, 40, 12), (1.0, 1.25, 8.0), (25, 25, 45), (3.75, 0.78224), (4.0, 0.75978)),
    ((50, 40), (1.0, 1.25), (25, 25, 0), (3.0, 1.26088), (3.20156, 1.40955)),
]


@pytest.mark.parametrize(("size", "spacing", "centre", "deepmind", "monai"), PUBLISHED)
def test_published_definitions_are_met(size, spacing, centre, deepmind, monai):
    shapes, grid = ellipsoids(size, spacing, centre)
    found = {definition: surface_distances(*shapes, grid, definition) for definition in DEFINITIONS}
    assert found["monai"] == pytest.approx(monai, abs=1e-5)
    assert found["deepmind"][0] == pytest.approx(deepmind[0])
    assert found["deepmind"][1] == pytest.approx(deepmind[1], rel=3e-3)  # areas of ambiguous cells differ
    assert found["area"][1] != pytest.approx(found["monai"][1], rel=1e-2)
    with pytest.raises(ValueError, match="choose one of area, deepmind, monai"):
        surface_distances(*shapes, grid, "mean")


def test_installed_monai_agrees():
    """Runs where MONAI is installed (``pip install --no-deps monai``)."""
    metrics, torch = pytest.importorskip("monai.metrics"), pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    grid = Grid.centred((24, 20, 12), (1.0, 1.3, 4.0))
    first, second = (ball(grid, 9, rng.normal(0, 2, 3)) & (rng.random(grid.shape) < 0.9) for _ in range(2))
    one_hot = [torch.tensor(np.stack([~m, m])[None].astype(np.float32)) for m in (first, second)]
    spacing = list(grid.spacing[::-1])
    expected = (
        metrics.compute_hausdorff_distance(*one_hot, percentile=95, spacing=spacing).item(),
        metrics.compute_average_surface_distance(*one_hot, symmetric=True, spacing=spacing).item(),
    )
    assert surface_distances(first, second, grid, "monai") == pytest.approx(expected, rel=1e-5)
