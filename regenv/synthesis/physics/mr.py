"""Magnetic resonance imaging: the signal equations of common sequences, receive field, Rician noise.

Signals follow the steady-state equations of spoiled gradient echo, spin echo, inversion recovery, balanced SSFP and
double-echo steady state (Bernstein, King and Zhou, Handbook of MRI Pulse Sequences, 2004, chapters 14 and 16).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.errors import check_option
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.tissues import Tissue
from regenv.synthesis.physics.relaxation import RELAXATION, Relaxation
from regenv.synthesis.physics.scan import Displace, scan
from regenv.synthesis.physics.tissue_kernels import mix

Range = tuple[float, float]


@dataclass(frozen=True)
class Sequence:
    """How a contrast is made; each range is what protocols differ in.

    Attributes:
        modality: Of the image that comes out.
        kind: ``"spoiled"``, ``"spin"``, ``"inversion"`` (its TI nulls cerebrospinal fluid), ``"balanced"``, ``"dess"``.
        tr_ms: Repetition time.
        te_ms: Echo time.
        flip_deg: Flip angle of a gradient echo.
        fat: Share of the fat's signal that is left (1 without suppression).
        void: Whether flowing blood leaves the slice between the pulses (else it comes in fresh and is brighter).
    """

    modality: str
    kind: str
    tr_ms: Range
    te_ms: Range
    flip_deg: Range = (90.0, 90.0)
    fat: Range = (1.0, 1.0)
    void: bool = True


SEQUENCES: dict[str, Sequence] = {
    "t1": Sequence("t1", "spoiled", (18, 24), (3, 6), (24, 32), void=False),
    "t1_se": Sequence("t1", "spin", (420, 650), (9, 15)),
    "t2": Sequence("t2", "spin", (3800, 6000), (80, 110)),
    "t2_fs": Sequence("t2", "spin", (3800, 6000), (70, 95), fat=(0.05, 0.15)),
    "pd": Sequence("pd", "spin", (2600, 3800), (12, 28)),
    "pd_fs": Sequence("pd", "spin", (2600, 3800), (25, 38), fat=(0.05, 0.15)),
    "flair": Sequence("flair", "inversion", (8500, 10500), (95, 130)),
    "cine": Sequence("mr", "balanced", (3.0, 3.8), (1.3, 1.8), (45, 65), void=False),
    "dess": Sequence("mr", "dess", (15.0, 18.0), (4.5, 6.0), (22, 30), (0.06, 0.15), void=False),
}
"""T1 by gradient and by spin echo, T2 and PD by fast spin echo (``_fs``: fat suppressed), FLAIR, cine, DESS."""


def mr_signal(
    anatomy: Anatomy,
    sequence: str,
    rng: np.random.Generator,
    relaxation: Mapping[Tissue, Relaxation] | None = None,
) -> Image:
    """The noise-free signal of an anatomy, on its own grid.

    Args:
        anatomy: The subject; how its tissues differ from the mean comes from its seed, so that two scans agree.
        sequence: One of :data:`SEQUENCES`.
        rng: Draws field strength and protocol.
        relaxation: Tissues whose values differ from :data:`RELAXATION` (of a fetus, for one).

    Returns:
        Image in units of the proton density of water, 0 outside.

    Raises:
        OptionError: If the sequence is unknown.
    """
    check_option("sequence", sequence, tuple(SEQUENCES))
    protocol = SEQUENCES[sequence]
    strength = int(rng.integers(2))
    tr, te, flip, fat = (
        float(rng.uniform(*r)) for r in (protocol.tr_ms, protocol.te_ms, protocol.flip_deg, protocol.fat)
    )
    detune = float(rng.uniform(0.97, 1.03))
    own = np.random.default_rng([anatomy.seed, 21])
    table = np.zeros((256, 3), np.float32)
    for tissue in Tissue:
        kind = RELAXATION[tissue] if relaxation is None else relaxation.get(tissue, RELAXATION[tissue])
        vary = np.exp(kind.between * np.clip(own.standard_normal(3), -2.2, 2.2))
        t1, t2 = kind.t1_ms[strength] * vary[0], kind.t2_ms[strength] * vary[1]
        inflow = 1.0 if protocol.void else 1.0 - 0.35 * kind.flow
        value = _steady_state(protocol.kind, t1 * inflow, t2, tr, te, np.deg2rad(flip), detune, strength)
        value *= kind.density * vary[2] * (1.0 - kind.fat * (1.0 - fat))
        if protocol.void:
            value *= max(1.0 - kind.flow * 1.15, 0.04)
        table[tissue] = value, value * kind.coarse, value * kind.fine
    out = np.empty(anatomy.grid.shape, np.float32)
    mix(anatomy.tissue, anatomy.under, anatomy.share, anatomy.coarse, anatomy.fine, table, out)
    return Image(np.maximum(out, 0.0, out=out), anatomy.grid, protocol.modality, 0.0)


def mr(
    anatomy: Anatomy,
    rng: np.random.Generator,
    sequence: str,
    grid: Grid,
    fwhm_mm: float = 1.2,
    slice_mm: float | None = None,
    displace: Displace | None = None,
    relaxation: Mapping[Tissue, Relaxation] | None = None,
) -> Image:
    """An MR scan of an anatomy.

    Args:
        anatomy: The subject.
        rng: Draws protocol, receive field, noise and gain.
        sequence: One of :data:`SEQUENCES`.
        grid: Voxels of the scan, at any angle.
        fwhm_mm: Point spread in plane, mm; never less than a pixel.
        slice_mm: Thickness of a slice, mm; default the third spacing.
        displace: Points of the scan to points of the anatomy at rest, see :func:`regenv.synthesis.physics.scan.scan`.
        relaxation: As in :func:`mr_signal`.

    Returns:
        Image of the sequence's modality (``"t1"``, ``"t2"``, ``"pd"``, ``"flair"``, ``"mr"``) in arbitrary units, at
        least 0, background 0.
    """
    signal = mr_signal(anatomy, sequence, rng, relaxation)
    return receive(scan(signal, grid, fwhm_mm, slice_mm, displace), rng)


def receive(image: Image, rng: np.random.Generator, bias: float = 0.12, snr: Range = (18.0, 60.0)) -> Image:
    """Receive field, noise and gain of a scanner.

    Args:
        image: The blurred, noise-free signal.
        rng: Draws all three.
        bias: Standard deviation of the receive field's logarithm over the field of view.
        snr: Range of the ratio of the median signal of tissue to the noise's standard deviation.

    Returns:
        The image in arbitrary units with Rician noise (Gudbjartsson and Patz, Magn. Reson. Med. 34 (1995) 910-914).
    """
    array = image.array
    seen = array[array > 0.02 * float(array.max())] if array.max() > 0 else np.ones(1, np.float32)
    level = max(float(np.median(seen)), 1e-6)
    gain = float(np.exp(rng.uniform(np.log(120), np.log(700)))) / level
    noise = np.float32(gain * level / rng.uniform(*snr))
    real = array * receive_field(image.grid, rng, bias) * np.float32(gain)
    real += noise * rng.standard_normal(array.shape, dtype=np.float32)
    imaginary = noise * rng.standard_normal(array.shape, dtype=np.float32)
    return Image(np.sqrt(real * real + imaginary * imaginary), image.grid, image.modality, 0.0)


def receive_field(grid: Grid, rng: np.random.Generator, amplitude: float) -> NDArray[np.float32]:
    """A positive smooth factor of mean about 1: the exponential of random products of cosines over the grid."""
    d = grid.ndim
    field = np.zeros(grid.shape, np.float32)
    waves = 3
    for _ in range(waves):
        wave = np.float32(amplitude * np.sqrt(2.0**d / waves))
        product = np.ones((1,) * d, np.float32) * wave
        for axis in range(d):
            # up to three quarters of a wave across 300 mm
            length = grid.spacing[axis] * np.arange(grid.size[axis])
            turns = rng.uniform(0.1, 0.75) * length / 300.0 + rng.uniform()
            shape = [1] * d
            shape[d - 1 - axis] = -1
            product = product * np.cos(2 * np.pi * turns).astype(np.float32).reshape(shape)
        field += product
    return np.exp(field - field.mean())


def _steady_state(
    kind: str, t1: float, t2: float, tr: float, te: float, flip: float, detune: float, strength: int
) -> float:
    """Signal of protons of unit density."""
    # field inhomogeneity shortens the decay of gradient echoes
    t2_prime = (60.0, 40.0)[strength]
    t2_star = 1.0 / (1.0 / t2 + 1.0 / t2_prime)
    e1, e2, c = np.exp(-tr / t1), np.exp(-tr / t2), np.cos(flip)
    if kind == "spoiled":
        return float(np.sin(flip) * (1 - e1) / (1 - e1 * c) * np.exp(-te / t2_star))
    if kind == "spin":
        return float((1 - e1) * np.exp(-te / t2))
    if kind == "inversion":
        fluid = RELAXATION[Tissue.CSF].t1_ms[strength]
        ti = detune * fluid * np.log(2.0 / (1.0 + np.exp(-tr / fluid)))
        return float(abs(1 - 2 * np.exp(-ti / t1) + e1) * np.exp(-te / t2))
    if kind == "balanced":
        ratio = t1 / t2
        return float(np.sin(flip) / (ratio + 1 - c * (ratio - 1)) * np.exp(-te / t2))
    root = np.sqrt((1 - e2 * e2) / ((1 - e1 * c) ** 2 - e2 * e2 * (e1 - c) ** 2))
    first = 1 - (e1 - c) * root
    second = 1 - (1 - e1 * c) * root
    # the second echo forms at the next pulse, so before it less is lost to T2 and more to inhomogeneity
    return float(np.tan(flip / 2) * (first * np.exp(-te / t2_star) + second * np.exp(te / t2 - te / t2_prime)))
