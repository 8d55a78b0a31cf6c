"""PET of the procedural trunk: uptake, resolution, noise, lesions, breathing."""

import numpy as np
import pytest

from regenv.core.geometry import Grid, transform_points
from regenv.core.labels import label_resample
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.lesions import Lesion, draw_lesions, with_lesions
from regenv.synthesis.anatomy.region import trunk
from regenv.synthesis.anatomy.shapes import rotation
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.physics.pet import UPTAKE, activity, draw_uptake, pet


@pytest.fixture(scope="module")
def anatomy():
    return trunk(5, 5.0, (-190.0, 120.0))


@pytest.fixture(scope="module")
def grid(anatomy):
    return Grid.centred((80, 62, 62), (4.8,) * 3, anatomy.grid.centre)


def water_cylinder(radius, spacing=4.0):
    """A phantom of muscle in air, of unit texture."""
    n = int(2 * radius / spacing) + 12
    grid = Grid.centred((n, n, 30), (spacing,) * 3)
    x, y, _ = np.moveaxis(grid.points(), -1, 0)
    inside = np.hypot(x, y) < radius
    tissue = np.where(inside, Tissue.MUSCLE, Tissue.AIR).astype(np.uint8)
    empty = np.zeros(grid.shape, np.float32)
    full = np.full(grid.shape, 255, np.uint8)
    return Anatomy(grid, tissue, tissue, full, np.zeros_like(tissue), inside, empty, empty, {}, 0)


def test_every_tissue_has_an_uptake():
    assert set(UPTAKE) == set(Tissue)


def test_equal_seeds_give_equal_scans(anatomy, grid):
    first, again = (pet(anatomy, np.random.default_rng(3), grid) for _ in range(2))
    other = pet(anatomy, np.random.default_rng(4), grid)
    assert first.array.tobytes() == again.array.tobytes()
    assert not np.array_equal(first.array, other.array)
    assert first.modality == "pet" and first.array.dtype == np.float32 and first.array.min() >= 0


def test_organs_take_up_what_they_do_in_a_clinic(anatomy, grid):
    medians = {}
    organ = label_resample(anatomy.organ, anatomy.grid, grid)
    for seed in range(6):
        image = pet(anatomy, np.random.default_rng(seed), grid)
        for name in (Organ.LIVER, Organ.LUNG_LEFT, Organ.SPLEEN, Organ.HEART):
            medians.setdefault(name, []).append(np.median(image.array[organ == name]))
    assert 1.4 < np.mean(medians[Organ.LIVER]) < 3.4
    assert 1.2 < np.mean(medians[Organ.SPLEEN]) < 2.9
    assert 0.25 < np.mean(medians[Organ.LUNG_LEFT]) < 0.9
    # the heart is what differs most between days
    assert np.std(np.log(medians[Organ.HEART])) > np.std(np.log(medians[Organ.LIVER]))


def test_a_point_is_seen_with_the_resolution_of_a_scanner():
    phantom = water_cylinder(60.0, 2.0)
    grid = Grid.centred((81, 81, 41), (1.6,) * 3)
    dot = Lesion((0.0, 0.0, 0.0), (1.6, 1.6, 1.6), 400.0, "node")
    widths = []
    for seed in range(5):
        image = pet(phantom, np.random.default_rng(seed), grid, (dot,), liver_noise=0.002)
        line = image.array[20, 40] - np.median(image.array[20])
        above = np.flatnonzero(line > line.max() / 2)
        left = above[0] - (line[above[0]] - line.max() / 2) / (line[above[0]] - line[above[0] - 1])
        right = above[-1] + (line[above[-1]] - line.max() / 2) / (line[above[-1]] - line[above[-1] + 1])
        widths.append((right - left) * 1.6)
    assert min(widths) > 5.0 and max(widths) < 7.6


def test_noise_is_correlated_and_grows_with_the_patient():
    spread, correlation = [], []
    for radius in (90.0, 180.0):
        phantom = water_cylinder(radius)
        grid = Grid.centred((30, 30, 30), (4.0,) * 3)
        wide = Grid.centred(phantom.grid.size, (4.0,) * 3)
        image = pet(phantom, np.random.default_rng(0), wide, liver_noise=0.1)
        middle = tuple(slice((w - g) // 2, (w - g) // 2 + g) for w, g in zip(wide.shape, grid.shape, strict=True))
        inner = image.array[middle][4:-4]
        spread.append(inner.std() / inner.mean())
        rest = inner - inner.mean()
        correlation.append((rest[:, :, 1:] * rest[:, :, :-1]).mean() / rest.var())
    assert spread[1] > 1.5 * spread[0]
    assert all(0.25 < c < 0.95 for c in correlation)


def test_the_asked_noise_is_given():
    phantom = water_cylinder(150.0)
    image = pet(phantom, np.random.default_rng(0), phantom.grid, liver_noise=0.1)
    mean = image.array[8:-8, 30:-30, 30:-30]
    # muscle holds a third of the activity of liver: its relative noise is higher by the root of it
    assert 0.08 < mean.std() / mean.mean() < 0.35


def test_lesions_are_hot_in_pet_and_tumour_in_the_anatomy(anatomy, grid):
    drawn = [draw_lesions(anatomy, np.random.default_rng(seed)) for seed in range(12)]
    assert len({len(lesions) for lesions in drawn}) > 3
    assert {lesion.site for lesions in drawn for lesion in lesions} == {"lung", "node", "liver", "bone"}
    large = Lesion(tuple(anatomy.landmarks["carina"] + [40, 0, 0]), (14.0, 14.0, 14.0), 9.0, "lung")
    plain = pet(anatomy, np.random.default_rng(1), grid)
    hot = pet(anatomy, np.random.default_rng(1), grid, (large,))
    index = tuple(np.rint(transform_points(grid.physical_to_index, large.centre)).astype(int)[::-1])
    assert hot.array[index] > plain.array[index] + 4
    with_one = with_lesions(anatomy, (large,))
    volume = (with_one.organ == Organ.TUMOUR).sum() * np.prod(anatomy.grid.spacing)
    assert volume == pytest.approx(4 / 3 * np.pi * 14**3, rel=0.15)
    assert not (anatomy.organ == Organ.TUMOUR).any()


def test_breathing_blurs_the_dome_and_leaves_the_spine(anatomy):
    still = draw_uptake(np.random.default_rng(0))
    quiet = type(still)(still.tissue, still.organ, still.patchiness, 0.0)
    deep = type(still)(still.tissue, still.organ, still.patchiness, 18.0)
    a, b = activity(anatomy, quiet).array, activity(anatomy, deep).array
    change = np.abs(a - b)
    liver_top = np.flatnonzero((anatomy.organ == Organ.LIVER).any(axis=(1, 2)))[-1]
    near = slice(liver_top - 3, liver_top + 3)
    liver = (anatomy.organ[near] == Organ.LIVER) | (anatomy.organ[near] == Organ.LUNG_RIGHT)
    spine = anatomy.organ[near] == Organ.SPINE
    assert change[near][liver].mean() > 3 * change[near][spine].mean()
    # uptake is moved about, not made
    assert b.sum() == pytest.approx(a.sum(), rel=0.01)


def test_a_tilted_scan_shows_the_same_patient(anatomy, grid):
    tilted = Grid.centred(grid.size, grid.spacing, grid.centre, rotation(8, -6, 5))
    rng = np.random.default_rng(2)
    uptake = draw_uptake(rng)
    image = pet(anatomy, rng, tilted, uptake=uptake, liver_noise=0.03)
    organ = label_resample(anatomy.organ, anatomy.grid, tilted)
    liver = np.median(image.array[organ == Organ.LIVER])
    assert liver == pytest.approx(uptake.tissue[Tissue.LIVER, 0], rel=0.12)


def test_a_displacement_moves_what_is_seen(anatomy, grid):
    shift = np.array([9.6, 0.0, 0.0])
    rng, again = np.random.default_rng(5), np.random.default_rng(5)
    plain = pet(anatomy, rng, grid, liver_noise=0.02)
    moved = pet(anatomy, again, grid, displace=lambda points: points + shift, liver_noise=0.02)
    # 9.6 mm are two voxels
    inner = (slice(10, -10), slice(10, -10), slice(10, -10))
    rolled = np.roll(plain.array, -2, axis=2)[inner]
    assert np.corrcoef(moved.array[inner].ravel(), rolled.ravel())[0, 1] > 0.98
    assert np.corrcoef(moved.array[inner].ravel(), plain.array[inner].ravel())[0, 1] < 0.95


def test_a_follow_up_resembles_the_first_day():
    first = [draw_uptake(np.random.default_rng(seed)) for seed in range(60)]
    again = [draw_uptake(np.random.default_rng(1000 + seed), before=day) for seed, day in enumerate(first)]
    for tissue, low, high in ((Tissue.LIVER, 0.35, 0.85), (Tissue.MYOCARDIUM, 0.02, 0.65)):
        a, b = (np.log([day.tissue[tissue, 0] for day in days]) for days in (first, again))
        assert low < np.corrcoef(a, b)[0, 1] < high
        assert np.std(b) == pytest.approx(np.std(a), rel=0.4)
