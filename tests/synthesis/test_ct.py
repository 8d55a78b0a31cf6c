"""CT of the procedural torso: CT numbers of known tissues, blur, noise, contrast medium, table."""

import numpy as np
import pytest

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.torso import torso
from regenv.synthesis.physics.common import add_table, hounsfield, resample_blurred
from regenv.synthesis.physics.ct import add_noise, ct, draw_grid


@pytest.fixture(scope="module")
def anatomy():
    return torso(7, 3.0)


def test_known_tissues_have_their_ct_numbers(anatomy):
    hu = hounsfield(anatomy).array
    pure = anatomy.share == 255
    ranges = {
        Tissue.AIR: (-1000.1, -999.9),
        Tissue.LUNG: (-930, -740),
        Tissue.FAT: (-125, -80),
        Tissue.MUSCLE: (25, 80),
        Tissue.LIVER: (35, 85),
        Tissue.CANCELLOUS: (80, 310),
        Tissue.ARTERY: (30, 60),
    }
    for tissue, (low, high) in ranges.items():
        mean = hu[pure & (anatomy.tissue == tissue)].mean()
        assert low <= mean <= high, (tissue.name, mean)
    assert hu[anatomy.tissue == Tissue.CORTICAL].max() > 800


def test_contrast_medium_fills_the_vessels(anatomy):
    plain, filled = hounsfield(anatomy), hounsfield(anatomy, enhancement=250.0)
    artery = (anatomy.tissue == Tissue.ARTERY) & (anatomy.share == 255)
    bone = (anatomy.tissue == Tissue.CANCELLOUS) & (anatomy.share == 255)
    np.testing.assert_allclose((filled.array - plain.array)[artery], 250.0, atol=1e-2)
    np.testing.assert_allclose((filled.array - plain.array)[bone], 0.0, atol=1e-3)


def test_a_scan_is_reproducible_and_in_range(anatomy):
    first, again = (ct(anatomy, np.random.default_rng(1)) for _ in range(2))
    other = ct(anatomy, np.random.default_rng(2))
    assert np.array_equal(first.array, again.array)
    assert other.array.shape != first.array.shape or not np.array_equal(first.array, other.array)
    assert first.modality == "ct" and first.background == -1000.0
    assert -1024 <= first.array.min() < -900 and 600 < first.array.max() <= 3071


def test_resampling_keeps_a_constant_and_the_place(anatomy):
    grid = Grid.centred((40, 36, 20), (2.7, 2.7, 4.3), anatomy.grid.centre)
    flat = Image(np.full(anatomy.grid.shape, 40.0), anatomy.grid, "ct", -1000.0)
    np.testing.assert_allclose(resample_blurred(flat, grid, 1.2, 4.3).array, 40.0, atol=0.5)
    ramp = Image(anatomy.grid.points()[..., 0], anatomy.grid, "ct", 0.0)
    np.testing.assert_allclose(resample_blurred(ramp, grid, 1.2, 4.3).array, grid.points()[..., 0], atol=0.3)


def test_noise_has_the_asked_size_and_grows_with_the_patient():
    rng = np.random.default_rng(0)

    def spread(width_voxels):
        array = np.full((6, 60, 160), -1000.0, np.float32)
        array[:, :, 80 - width_voxels // 2 : 80 + width_voxels // 2] = 0
        image = Image(array, Grid.centred((160, 60, 6), (3.0,) * 3), "ct", -1000.0)
        return (add_noise(image, rng, 10.0) - array).std()

    thin, average, broad = spread(40), spread(100), spread(150)
    assert 6 < average < 16
    assert thin < average < broad


def test_slices_are_thick_and_grids_vary(anatomy):
    grids = [draw_grid(anatomy, np.random.default_rng(i)) for i in range(8)]
    assert all(2.0 <= g.spacing[0] <= 3.0 and 2.5 <= g.spacing[2] <= 5.0 for g in grids)
    assert len({g.size for g in grids}) > 4


def test_the_table_lies_behind_the_patient_and_leaves_him_alone(anatomy):
    grid = Grid.centred((120, 110, 20), (3.2, 3.2, 4.0), anatomy.grid.centre + [0, 30, 0])
    scan = resample_blurred(hounsfield(anatomy), grid, 1.0, 4.0)
    with_table = add_table(scan, np.random.default_rng(0), curved=True)
    changed = with_table.array != scan.array
    assert changed.any()
    assert not changed[scan.array > -700].any()
    rows = np.flatnonzero(changed.any(axis=(0, 2)))
    body_rows = np.flatnonzero((scan.array > -400).any(axis=(0, 2)))
    assert rows.max() > body_rows.max()
    assert rows.min() > body_rows.mean()


def test_lungs_are_dark_and_bones_bright_in_the_scan(anatomy):
    scan = ct(anatomy, np.random.default_rng(4), grid=anatomy.grid, enhancement=0.0)
    lung = np.isin(anatomy.organ, (Organ.LUNG_LEFT, Organ.LUNG_RIGHT))
    assert np.median(scan.array[lung]) < -700
    assert np.median(scan.array[anatomy.tissue == Tissue.CORTICAL]) > 250
    assert 20 < np.median(scan.array[anatomy.organ == Organ.LIVER]) < 100
