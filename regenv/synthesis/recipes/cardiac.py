"""Cine MR of one beating heart, between end-diastole and end-systole, in the short-axis frame.

Both images show the stack of thick slices that is taken in one breath-hold, so their headers agree and the alignment
that is given is the identity. What is to be found is the beat: contraction with a wall that thickens and keeps its
volume, shortening along the axis, torsion, a wall that hardly moves where there is an infarct. End-systole is the fixed
image of half of the subjects, end-diastole that of the others (:func:`regenv.synthesis.recipes._scans.either_way` says
why). The image at end-diastole is the anatomy at rest, that at end-systole shows at x what lies at x + u(x) at rest;
the way back is as exact, so the truth is exact everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.points import between_voxels, nearest
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._scans import Landmarks, Scan, deformed_pair, either_way, mask_lattice

VERSION = 4
_ANATOMY_MM = 1.7
_COVERED_MM = 107.0
"""Length that the slices cover, from below the apex to above the valves."""
_POINTS_MM = 12.0
"""Spacing of the lattice on which the TRE is measured."""
FWHM_MM = 1.4
"""In-plane point spread of cine."""


@dataclass(frozen=True)
class Plan:
    """How the slices of one subject are planned.

    Attributes:
        turn: In-plane rotation of the image, radians.
        centre: Of the stack, mm in the heart's frame.
        pixel: In-plane spacing, mm.
        thickness: Of a slice, mm.
        slices: Their number.
    """

    turn: float
    centre: FloatArray
    pixel: float
    thickness: float
    slices: int

    @property
    def axes(self) -> FloatArray:
        """Directions of the image's axes in the heart's frame, as columns."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def grid(self) -> Grid:
        """Voxels of both images."""
        size = (120, 120, self.slices)
        return Grid.centred(size, (self.pixel, self.pixel, self.thickness), self.centre, self.axes)


def plan(seed: int) -> Plan:
    """Draws how a subject's slices are planned."""
    rng = case_generator("cardiac", seed, "plan")
    thickness = float(rng.choice([8.0, 9.0, 10.0]))
    return Plan(
        turn=float(np.deg2rad(rng.uniform(-25.0, 25.0))),
        centre=np.array([rng.uniform(-14.0, -2.0), rng.uniform(-4.0, 6.0), rng.uniform(-7.0, -1.0)]),
        pixel=float(rng.uniform(1.3, 1.5)),
        thickness=thickness,
        slices=int(np.ceil(_COVERED_MM / thickness)),
    )


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """The beat at points ``(N, 3)`` along the fixed grid's axes about its centre, mm."""
    from regenv.synthesis.anatomy.cardiac import heart_of
    from regenv.synthesis.anatomy.heartbeat import diastole, systole

    scan = plan(seed)
    points = np.asarray(local, dtype=np.float64) @ scan.axes.T + scan.centre
    to_moving, _ = either_way("cardiac", seed, diastole, systole)
    return np.asarray((to_moving(points, heart_of(seed)) - points) @ scan.axes)


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Builds a heart and scans it at both ends of its beat.

    Args:
        seed: The heart.
        modalities: ``("mr", "mr")``.
        field_of_view: ``"heart"``.

    Returns:
        The pair in the heart's frame; the alignment is the identity, the beat what is to be found.
    """
    from regenv.synthesis.anatomy.cardiac import heart_landmarks, heart_of, organ_at, short_axis
    from regenv.synthesis.anatomy.heartbeat import diastole, systole
    from regenv.synthesis.anatomy.tissues import ORGAN_NAMES, Organ
    from regenv.synthesis.physics.scan import scan

    anatomy, heart, grid = short_axis(seed, _ANATOMY_MM), heart_of(seed), plan(seed).grid()
    signal = cine_signal(anatomy, case_generator("cardiac", seed, "protocol"))
    coil = surface_coil(grid, case_generator("cardiac", seed, "coil"))
    points = grid.points().reshape(-1, 3)
    rest = diastole(points, heart)

    def at_rest(_: FloatArray) -> FloatArray:
        return rest  # the scan asks for the voxel centres, which are known

    scans = []
    organs = (Organ.LV_CAVITY, Organ.LV_WALL, Organ.RV_CAVITY)
    for phase, where in (("systole", rest), ("diastole", points)):
        image = scan(signal, grid, FWHM_MM, displace=at_rest if phase == "systole" else None)
        image = received(image, coil, case_generator("cardiac", seed, phase))
        labels = organ_at(anatomy, where, organs).reshape(grid.shape)
        scans.append(Scan(image, labels, nearest(anatomy.body, anatomy.grid, where).reshape(grid.shape)))
    fixed, moving = either_way("cardiac", seed, *scans)
    to_moving, _ = either_way("cardiac", seed, diastole, systole)
    named = heart_landmarks(heart)
    ends = np.array(list(named.values()))
    marks = Landmarks(tuple(named), *either_way("cardiac", seed, systole(ends, heart), ends))
    marks = marks.where(between_voxels(grid, marks.fixed))
    lattice = mask_lattice(fixed.mask, grid, _POINTS_MM)
    names = {int(organ): ORGAN_NAMES[organ] for organ in organs}
    return deformed_pair(fixed, moving, (lattice, to_moving(lattice, heart)), np.eye(4), marks, names)


def cine_signal(anatomy: Anatomy, rng: np.random.Generator) -> Image:
    """Balanced SSFP with its sign: that of fat is opposite to that of water.

    At an echo time of half the repetition time, of 3 to 4 ms, fat and water point in opposite directions and cancel in
    a voxel that has both: a dark line runs around every organ (Hargreaves, J. Magn. Reson. Imaging 36 (2012)
    1300-1313). Blood of both ventricles comes in about as fresh, and T2 of the heart's wall is that of the beating
    heart (52 ms: Giri et al., J. Cardiovasc. Magn. Reson. 11 (2009) 56).
    """
    from regenv.synthesis.anatomy.tissues import Tissue
    from regenv.synthesis.physics.mr import mr_signal
    from regenv.synthesis.physics.relaxation import RELAXATION

    left = replace(RELAXATION[Tissue.HEART_LEFT], t2_ms=(230.0, 210.0), flow=0.6)
    right = replace(left, t2_ms=(210.0, 190.0))
    wall = replace(RELAXATION[Tissue.MYOCARDIUM], t2_ms=(54.0, 50.0))
    changed = {Tissue.HEART_LEFT: left, Tissue.HEART_RIGHT: right, Tissue.VEIN: right, Tissue.MYOCARDIUM: wall}
    signal = mr_signal(anatomy, "cine", rng, changed)
    array, fatty = signal.array, (int(Tissue.FAT), int(Tissue.MARROW))
    top, under = np.isin(anatomy.tissue, fatty), np.isin(anatomy.under, fatty)
    whole = array[top & under]
    if len(whole) == 0:
        return signal
    share = anatomy.share.astype(np.float32) / 255.0
    fat = np.where(top & under, 1.0, np.where(top, share, np.where(under, 1.0 - share, 0.0))).astype(np.float32)
    return replace(signal, array=array - 2.0 * fat * np.float32(np.median(whole)))


def surface_coil(grid: Grid, rng: np.random.Generator) -> NDArray[np.float32]:
    """Sensitivity of the coil on the chest: it falls with the distance from the chest wall (the image's left)."""
    d = grid.ndim
    angle = np.pi + rng.normal(0, 0.35)
    depth = rng.uniform(60.0, 110.0)
    x = (np.arange(grid.size[0]) - (grid.size[0] - 1) / 2) * grid.spacing[0]
    y = (np.arange(grid.size[1]) - (grid.size[1] - 1) / 2) * grid.spacing[1]
    towards = x[None, :] * np.cos(angle) + y[:, None] * np.sin(angle)
    plane = np.exp(np.clip(towards, -100, 75) / depth).astype(np.float32)
    return np.broadcast_to(plane, grid.shape).copy() if d == 3 else plane


def received(image: Image, coil: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """The scan under the chest coil's sensitivity, with the scanner's noise and gain."""
    from regenv.synthesis.physics.mr import receive

    return receive(replace(image, array=np.abs(image.array) * coil), rng, bias=0.05, snr=(16.0, 40.0))


RECIPE = Recipe(
    name="cardiac",
    version=VERSION,
    modalities=("mr",),
    fields_of_view=("heart",),
    make=make,
    displacement=displacement,
    crop_fixed=0.0,
    crop_moving=0.08,
)
