"""Ultrasound: what the physics promises, on slabs and spheres whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from regenv.core.geometry import Grid, transform_points
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.shapes import rotation
from regenv.synthesis.anatomy.tissues import Tissue
from regenv.synthesis.physics.us import Acoustic, Probe, us, us_sector

TISSUE = Tissue.PROSTATE_PERIPHERAL
GRID = Grid.centred((56, 56, 40), (1.5, 1.5, 1.5), (0, 0, 45))
PROBE = Probe(radius_mm=12.0, depth_mm=70.0, angle_deg=80.0, sweep=60.0)
NARROW = replace(PROBE, angle_deg=36.0, sweep=30.0)


def _anatomy(paint=None, seed=5):
    """Uniform tissue in which ``paint(x, y, z) -> mask`` by tissue replaces some; depth is z."""
    grid = Grid.centred((90, 90, 80), (1.2, 1.2, 1.2), (0, 0, 45))
    tissue = np.full(grid.shape, int(TISSUE), np.uint8)
    x, y, z = np.moveaxis(grid.points(), -1, 0)
    for what, where in (paint or {}).items():
        tissue[where(x, y, z)] = int(what)
    still = np.zeros(grid.shape, np.float32)
    full = np.full(grid.shape, 255, np.uint8)
    return Anatomy(grid, tissue, tissue, full, np.zeros_like(tissue), tissue > 0, still, still, {}, seed)


def _mean(image, x, y, z, radius=4.0):
    """Mean brightness within a ball about a physical point."""
    near = np.linalg.norm(image.grid.points() - np.array([x, y, z]), axis=-1) < radius
    return float(image.array[near].mean())


def _image(anatomy, seed=0, grid=GRID, probe=PROBE, **kwargs):
    return us(anatomy, np.random.default_rng(seed), grid, probe, **kwargs)


def _ball(centre, radius):
    return lambda x, y, z: (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 < radius**2


def test_the_same_generator_gives_the_same_image_and_another_other_speckle():
    anatomy = _anatomy()
    first, again, other = _image(anatomy), _image(anatomy), _image(anatomy, seed=1)
    assert np.array_equal(first.array, again.array)
    assert np.corrcoef(first.array[first.array > 0], other.array[first.array > 0])[0, 1] < 0.65
    assert first.modality == "us" and first.array.min() >= 0 and first.array.max() <= 255


def test_speckle_is_fully_developed():
    """The envelope of many scatterers is Rayleigh: 5.57 dB of spread after the logarithm; compounding calms it."""
    grid = Grid.centred((40, 40, 40), (0.4, 0.4, 0.4), (0, 0, 47))
    image = _image(_anatomy(), grid=grid, probe=replace(NARROW, looks=1))
    spread = image.array.std() / 255 * np.array([48, 60])
    # interpolation between beams smooths a little
    assert spread[0] < 5.7 and spread[1] > 4.3
    assert _image(_anatomy(), grid=grid, probe=replace(NARROW, looks=4)).array.std() < 0.65 * image.array.std()
    skew = ((image.array - image.array.mean()) ** 3).mean() / image.array.std() ** 3
    assert skew < -0.3, "log-compressed speckle has its tail in the dark"


def test_resolution_is_finer_along_the_beam_than_across_and_grows_with_depth():
    fine = Grid.centred((48, 12, 160), (0.4, 2.0, 0.4), (0, 0, 48))
    image = _image(_anatomy(), grid=fine, probe=NARROW).array

    def correlation(block, axis):
        a = np.take(block, np.arange(block.shape[axis] - 2), axis)
        b = np.take(block, np.arange(2, block.shape[axis]), axis)
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    focus, deep = image[75:105], image[120:]
    assert correlation(focus, 2) > correlation(focus, 0) + 0.15
    assert correlation(deep, 2) > correlation(focus, 2) + 0.02


def test_outside_the_sector_is_black_and_inside_is_not():
    image, sector = _image(_anatomy()), us_sector(GRID, PROBE)
    assert 0.2 < sector.mean() < 0.9
    assert image.array[~sector].max() == 0
    assert (image.array[sector] > 0).mean() > 0.95


def test_bone_and_gas_throw_shadows_and_fluid_brightens_what_lies_behind():
    plain = _image(_anatomy())
    for tissue in (Tissue.CORTICAL, Tissue.GAS):
        image = _image(_anatomy({tissue: _ball((0, 0, 40), 8)}))
        assert _mean(image, 0, 0, 68) < _mean(plain, 0, 0, 68) - 35, tissue.name
        assert _mean(image, 22, 0, 60) == pytest.approx(_mean(plain, 22, 0, 60), abs=6)
        assert _mean(image, 0, 0, 32.5, 1.5) > _mean(plain, 0, 0, 32.5, 1.5) + 30, tissue.name
    cyst = _image(_anatomy({Tissue.URINE: _ball((0, 0, 40), 8)}))
    assert _mean(cyst, 0, 0, 40) < 0.5 * _mean(plain, 0, 0, 40)
    assert _mean(cyst, 0, 0, 60) > _mean(plain, 0, 0, 60) + 10


def test_a_surface_shines_where_it_faces_the_transducer():
    tilt = np.deg2rad(60)
    facing = _image(_anatomy({Tissue.FAT: lambda x, y, z: z > 50}))
    slanted = _image(_anatomy({Tissue.FAT: lambda x, y, z: (z - 50) * np.cos(tilt) + x * np.sin(tilt) > 0}))
    around = {"y": 0.0, "z": 49.8, "radius": 1.6}
    plain = _mean(_image(_anatomy()), 0, **around)
    assert _mean(facing, 0, **around) > plain + 20
    assert _mean(facing, 0, **around) > _mean(slanted, 0, **around) + 15


def test_the_frame_of_grid_and_probe_does_not_matter():
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = rotation(20, -35, 50), (30, -20, 10)
    grid = GRID.moved_by(motion)
    probe = Probe(transform_points(motion, np.zeros(3)), motion[:3, :3], "fan", 12.0, 70.0, 80.0, 60.0)
    assert np.mean(us_sector(grid, probe) != us_sector(GRID, PROBE)) < 1e-3
    anatomy = _anatomy({Tissue.URINE: _ball((0, 0, 40), 8)})
    inverse = np.linalg.inv(motion)
    moved = _image(anatomy, grid=grid, probe=probe, displace=lambda p: transform_points(inverse, p))
    assert np.abs(moved.array - _image(anatomy).array).mean() < 1.0


def test_displaced_tissue_is_seen_where_it_has_gone():
    anatomy = _anatomy({Tissue.URINE: _ball((0, 0, 40), 8)})
    image = _image(anatomy, displace=lambda p: p - np.array([10.0, 0.0, 6.0]))
    assert _mean(image, 10, 0, 46) < 0.5 * _mean(_image(anatomy), 10, 0, 46)


def test_a_cylinder_sees_round_its_axis():
    probe = Probe(shape="cylinder", radius_mm=10.0, depth_mm=50.0, angle_deg=180.0, sweep=50.0, focus_mm=25.0)
    sector = us_sector(GRID, probe)
    points = GRID.points()
    radius = np.hypot(points[..., 0], points[..., 2])
    expected = (radius > 10) & (radius < 60) & (points[..., 2] > 0) & (np.abs(points[..., 1]) < 25)
    assert np.mean(sector != expected) < 0.01
    assert (_image(_anatomy(), probe=probe).array[sector] > 0).mean() > 0.95


def test_a_table_of_ones_own_replaces_entries():
    dark = _image(_anatomy(), acoustics={TISSUE: Acoustic(-25.0, 1.63, 0.6)})
    assert dark.array[GRID.shape[0] // 2].mean() < 0.6 * _image(_anatomy()).array[GRID.shape[0] // 2].mean()


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="shape must be"):
        Probe(shape="square")
    with pytest.raises(ValueError, match="orthonormal"):
        Probe(axes=np.ones((3, 3)))
    with pytest.raises(ValueError, match="no sector"):
        Probe(angle_deg=0.0)
