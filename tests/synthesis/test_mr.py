"""MR: the contrast that each sequence is known for, flow, the receive field, Rician noise."""

import numpy as np
import pytest

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.errors import OptionError
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.shapes import rotation
from regenv.synthesis.anatomy.tissues import Tissue
from regenv.synthesis.physics.mr import SEQUENCES, _steady_state, mr, mr_signal, receive, receive_field
from regenv.synthesis.physics.relaxation import RELAXATION, Relaxation


def _bars(seed=3):
    """One slab of 4 voxels for every tissue, one after the other along x."""
    grid = Grid.centred((4 * len(Tissue), 8, 8), (2.0, 2.0, 2.0))
    tissue = np.broadcast_to(np.repeat(np.arange(len(Tissue)), 4), grid.shape).astype(np.uint8)
    none = np.zeros(grid.shape, np.float32)
    full = np.full(grid.shape, 255, np.uint8)
    return Anatomy(grid, tissue, tissue, full, tissue, tissue > 0, none, none, {}, seed)


def _means(sequence, protocol=0):
    signal = mr_signal(_bars(), sequence, np.random.default_rng(protocol)).array
    return {t: float(signal[:, :, 4 * int(t)].mean()) for t in Tissue}


def test_every_tissue_has_its_times():
    assert set(RELAXATION) == set(Tissue)
    for tissue, kind in RELAXATION.items():
        assert all(t2 <= t1 for t1, t2 in zip(kind.t1_ms, kind.t2_ms, strict=True)), tissue.name
        assert 0 <= kind.density <= 1 and 0 <= kind.fat <= 1 and 0 <= kind.flow <= 1


# brightest first, as every textbook has it
ORDER = {
    "t1": ["FAT", "WHITE_MATTER", "GREY_MATTER", "CSF"],
    "t1_se": ["FAT", "WHITE_MATTER", "GREY_MATTER", "CSF", "CORTICAL"],
    "t2": ["CSF", "GREY_MATTER", "WHITE_MATTER", "MUSCLE", "CORTICAL"],
    "pd": ["GREY_MATTER", "WHITE_MATTER", "LIGAMENT", "CORTICAL"],
    "flair": ["GREY_MATTER", "WHITE_MATTER", "CSF"],
    "cine": ["FAT", "BLOOD", "MYOCARDIUM", "LUNG"],
    "dess": ["SYNOVIA", "HYALINE", "MARROW"],
}


@pytest.mark.parametrize("sequence", ORDER)
@pytest.mark.parametrize("protocol", range(4))
def test_contrast(sequence, protocol):
    means = _means(sequence, protocol)
    values = [means[Tissue[name]] for name in ORDER[sequence]]
    assert all(a > 1.04 * b for a, b in zip(values, values[1:], strict=False)), (ORDER[sequence], values)


def test_prostate_zones_and_fat_in_fast_spin_echo():
    t2 = _means("t2")
    assert t2[Tissue.URINE] > t2[Tissue.PROSTATE_PERIPHERAL] > 1.3 * t2[Tissue.PROSTATE_TRANSITION]
    assert t2[Tissue.PROSTATE_PERIPHERAL] > 1.2 * t2[Tissue.TUMOUR]
    assert t2[Tissue.FAT] > 3 * t2[Tissue.MUSCLE]
    assert _means("pd_fs")[Tissue.FAT] < 0.2 * _means("pd")[Tissue.FAT]


def test_arteries_are_void_in_spin_echo_and_bright_in_gradient_echo():
    spin, gradient = _means("t2"), _means("cine")
    assert spin[Tissue.ARTERY] < 0.15 * spin[Tissue.GREY_MATTER]
    assert gradient[Tissue.ARTERY] > 1.3 * gradient[Tissue.MUSCLE]


@pytest.mark.parametrize(("t1", "t2"), [(1240.0, 36.9), (3620.0, 767.0), (365.0, 133.0)])
def test_both_echoes_of_dess_are_those_of_the_bloch_equations(t1, t2):
    """Isochromats over one turn of dephasing a repetition, until they repeat; gradient echoes lose T2' besides."""
    tr, te, flip, t2_prime = 17.0, 5.0, np.deg2rad(25.0), 40.0
    turn = np.exp(1j * 2 * np.pi * (np.arange(720) + 0.5) / 720)
    across, along = np.zeros(720, complex), np.ones(720)
    for _ in range(1500):
        y = np.cos(flip) * across.imag + np.sin(flip) * along
        along = np.cos(flip) * along - np.sin(flip) * across.imag
        after = across.real + 1j * y
        across, along = after * turn * np.exp(-tr / t2), 1 + (along - 1) * np.exp(-tr / t1)
    first = abs(after.mean()) * np.exp(-te / t2 - te / t2_prime)
    # what the next pulse would find in phase, looked at TE before it
    second = abs((after * turn).mean()) * np.exp(-(tr - te) / t2 - te / t2_prime)
    assert _steady_state("dess", t1, t2, tr, te, flip, 1.0, 1) == pytest.approx(first + second, rel=2e-3)


def test_air_is_dark_everywhere():
    for sequence in SEQUENCES:
        assert _means(sequence)[Tissue.AIR] == 0.0


def test_other_relaxation_values_may_be_given():
    changed = {Tissue.WHITE_MATTER: Relaxation((3000, 3000), (300, 300), 0.95)}
    signal = mr_signal(_bars(), "t2", np.random.default_rng(0), changed).array
    white, grey = (signal[:, :, 4 * int(t)].mean() for t in (Tissue.WHITE_MATTER, Tissue.GREY_MATTER))
    assert white > grey


def test_an_unknown_sequence_names_the_known():
    with pytest.raises(OptionError, match="flair"):
        mr_signal(_bars(), "flare", np.random.default_rng(0))


def test_noise_is_rician_of_the_asked_size():
    grid = Grid.centred((40, 40, 20), (2.0,) * 3)
    array = np.zeros(grid.shape, np.float32)
    array[:, :, 20:] = 1.0
    seen = receive(Image(array, grid, "t1"), np.random.default_rng(0), bias=0.0, snr=(25.0, 25.0)).array
    tissue, air = seen[:, :, 20:], seen[:, :, :20]
    noise = tissue.std()
    assert tissue.mean() / noise == pytest.approx(25.0, rel=0.03)
    # Rayleigh in air
    assert air.mean() / noise == pytest.approx(np.sqrt(np.pi / 2), rel=0.03)
    assert air.std() / noise == pytest.approx(np.sqrt(2 - np.pi / 2), rel=0.03)
    assert seen.min() >= 0


def test_the_receive_field_is_smooth_positive_and_about_one():
    for seed in range(5):
        field = receive_field(Grid.centred((60, 60, 60), (3.0,) * 3), np.random.default_rng(seed), 0.12)
        assert 0.4 < field.min() < 1 < field.max() < 2.2
        assert max(np.abs(np.diff(field, axis=a)).max() for a in range(3)) < 0.04


def test_a_scan_is_reproducible_on_an_oblique_grid():
    grid = Grid.centred((30, 20, 12), (3.0, 3.0, 4.0), (0, 0, 0), rotation(5, 6, 7))
    first, again, other = (mr(_bars(), np.random.default_rng(s), "t2", grid) for s in (1, 1, 2))
    assert np.array_equal(first.array, again.array)
    assert not np.array_equal(first.array, other.array)
    assert first.modality == "t2" and first.background == 0.0
    assert first.array.min() >= 0 and first.array.max() > 50


def test_t1_contrast_is_that_of_real_brains(shared_data):
    from regenv.data.image_io import read_image

    arrays = {
        name: read_image(shared_data / "nilearn_mni152" / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz").array
        for name in ("t1", "gm", "wm")
    }
    grey, white = (np.median(arrays["t1"][arrays[n] > 0.95 * arrays[n].max()]) for n in ("gm", "wm"))
    made = [_means("t1", protocol) for protocol in range(6)]
    ratios = [m[Tissue.GREY_MATTER] / m[Tissue.WHITE_MATTER] for m in made]
    assert np.mean(ratios) == pytest.approx(grey / white, abs=0.06)
