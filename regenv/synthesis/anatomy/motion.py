"""A trunk in motion: breathing that slides along the chest wall, posture and weight.

A point that the scan in motion shows is sent to where its tissue lies at rest, both in template mm:

1. *Posture* shifts and tilts every level about the spine, smoothly along it.
2. *The chest wall* moves ribs and abdominal wall forward, outward and upward, by nothing at the spine.
3. *Gliding*: what lies in the cavity (lungs, mediastinum, diaphragm, abdomen) moves along the inner surface of rib
   cage and abdominal wall. Each point keeps its share of the way from the cavity's axis to its wall and its angle,
   and changes its height, so the wall is carried into itself: the displacement across the pleura is continuous,
   along the pleura it jumps. A point belongs to the inside or to the outside by where it lies, and so does its
   displacement. Within each region the map is one-to-one and smooth; as both keep their common surface, the whole map
   is one-to-one. Near the spine, to which the mediastinum is tied, gliding fades to nothing over 35 mm instead: there
   tissue shears.

Figures of quiet and of deep breathing: excursion of the diaphragm 10 to 30 mm and more behind than in front (Keall et
al., AAPM TG 76, Med. Phys. 33 (2006) 3874-3900), gliding of a few mm to 2 cm at the base of the lungs and none at the
apex (Vandemeulebroucke et al., Med. Phys. 39 (2012) 1006-1015).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid
from regenv.synthesis.anatomy import motion_kernels as kernels
from regenv.synthesis.anatomy.canvas import Box, Canvas
from regenv.synthesis.anatomy.points import lattice
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.warp import Warp

_TILE = 64


@dataclass(frozen=True)
class Change:
    """What has changed from the scan at rest to the scan in motion; all zero is no change.

    Attributes:
        excursion: Lowering of the diaphragm, mm.
        forward: Movement of the sternum forward, mm.
        outward: Movement of the lower ribs to each side, mm.
        belly: Movement of the abdominal wall forward, mm.
        left: How much farther than the mean the left diaphragm moves, as a share.
        back: How much farther the back of the diaphragm moves, as a share.
        uneven: Amplitude of the local variation of the excursion, as a share.
        inner: Amplitude of the movement in plane within the lungs, mm.
        bend_side: Bending of the spine to the left over the 350 mm of the trunk, degrees.
        bend_forward: The same forward.
        weight: Thickness of fat laid on, mm.
        seed: Of the local variation.
    """

    excursion: float = 0.0
    forward: float = 0.0
    outward: float = 0.0
    belly: float = 0.0
    left: float = 0.0
    back: float = 0.0
    uneven: float = 0.0
    inner: float = 0.0
    bend_side: float = 0.0
    bend_forward: float = 0.0
    weight: float = 0.0
    seed: int = 0


class Motion:
    """The map of a :class:`Change` for one subject's trunk, in template mm.

    Args:
        subject: Whose spine and cavity.
        change: What has changed.
    """

    def __init__(self, subject: Subject, change: Change) -> None:
        self.cavity = subject.cavity
        rows = subject.cavity.table
        z: FloatArray = subject.cavity.z0 + subject.cavity.STEP * np.arange(len(rows), dtype=np.float64)
        table = np.zeros((len(rows), kernels.N_COLUMNS))
        table[:, :6] = rows
        table[:, kernels.SPINE_X], table[:, kernels.SPINE_Y] = (_smooth(v) for v in subject.spine_at(z))
        chest = _smooth(np.interp(z, [-150, -60, 20, 90, 170], [0.0, 1.0, 1.0, 0.8, 0.0]))
        belly = _smooth(np.interp(z, [-420, -300, -190, -100, -20], [0.2, 0.7, 1.0, 0.7, 0.0]))
        table[:, kernels.FORWARD] = change.forward * chest + change.belly * belly
        table[:, kernels.OUTWARD] = change.outward * _smooth(
            np.interp(z, [-300, -150, -40, 60, 150], [0.2, 0.8, 1.0, 0.5, 0.0])
        )
        table[:, kernels.UPWARD] = 0.6 * change.forward * chest
        # least at the apex of the lungs, all of it at the diaphragm, less again toward the pelvis
        table[:, kernels.GLIDE] = change.excursion * _smooth(
            np.interp(z, [-420, -330, -150, -30, 40, 110, 160], [0.3, 0.6, 1.0, 1.0, 0.62, 0.22, 0.0])
        )
        table[z > 166, kernels.GLIDE] = 0.0
        self._set_posture(table, z, change)
        table[:, kernels.WEIGHT] = change.weight * _smooth(np.interp(z, [-420, -100, 60, 140], [1.5, 1.0, 0.6, 0.2]))
        self.table = table
        self.tilt = np.array([change.left, change.back])
        self.waves = _draw_waves(change)

    @staticmethod
    def _set_posture(table: FloatArray, z: FloatArray, change: Change) -> None:
        """Shift and tilt of every level: the integral of a curvature about T11, and the angle itself."""
        for bend, shift, tilt in (
            (change.bend_side, kernels.SHIFT_X, kernels.TILT_X),
            (change.bend_forward, kernels.SHIFT_Y, kernels.TILT_Y),
        ):
            along = np.clip((z + 60.0) / 350.0, -0.75, 0.75)
            angle = np.deg2rad(bend) * along
            step = float(z[1] - z[0])
            moved = np.cumsum(angle) * step
            moved -= np.interp(-60.0, z, moved)
            # the scan shows the spine bent to the left (forward): its tissue lies farther right (back) at rest
            sign = -1.0 if shift == kernels.SHIFT_X else 1.0
            table[:, shift] = _smooth(sign * moved)
            table[:, tilt] = _smooth(-sign * angle)

    def apply(self, points: FloatArray, region: int = kernels.AUTO) -> FloatArray:
        """Where the tissue of points ``(N, 3)`` lies at rest."""
        x, y, z = (np.array(column, np.float64) for column in points.T)
        self._move(x, y, z, np.empty(len(x)), region)
        return np.column_stack([x, y, z])

    def apply_fields(self, x: NDArray, y: NDArray, z: NDArray) -> NDArray[np.float32]:
        """Moves coordinate fields in place; returns the volume at rest over the volume as seen (1 outside)."""
        volume = np.empty(x.shape, np.float32)
        self._move(x.reshape(-1), y.reshape(-1), z.reshape(-1), volume.reshape(-1), kernels.AUTO)
        return volume

    def _move(self, x: NDArray, y: NDArray, z: NDArray, volume: NDArray, region: int) -> None:
        kernels.move(x, y, z, volume, self.table, self.cavity.z0, self.cavity.STEP, self.tilt, self.waves, region)

    def undo(self, rest: FloatArray, region: int = kernels.AUTO, iterations: int = 40) -> FloatArray:
        """Where points at rest ``(N, 3)`` are seen, by fixed-point iteration in the region that they lie in."""
        rest = np.atleast_2d(np.asarray(rest, np.float64))
        if region == kernels.AUTO:
            inside = self.inside(rest)
            out = np.empty_like(rest)
            for code, chosen in ((kernels.INSIDE, inside), (kernels.OUTSIDE, ~inside)):
                out[chosen] = self.undo(rest[chosen], code, iterations)
            return out
        points = rest.copy()
        for _ in range(iterations):
            points -= self.apply(points, region) - rest
        return points

    def inside(self, rest: FloatArray) -> NDArray[np.bool_]:
        """Whether points at rest lie in the cavity and so glide."""
        x, y, z = (np.ascontiguousarray(column).reshape(1, 1, -1) for column in rest.T)
        return self.cavity.distance(x, y, z).reshape(-1) < 0


def _smooth(values: FloatArray) -> FloatArray:
    """Rounds the corners of a profile over about 50 mm (levels are 4 mm apart)."""
    weights = np.hanning(15)[1:-1]
    smoothed: FloatArray = np.convolve(np.pad(values, 6, mode="edge"), weights / weights.sum(), "valid")
    return smoothed


def _draw_waves(change: Change) -> FloatArray:
    """Plane waves of 130 to 260 mm: four for the excursion, three each for the displacement in plane.

    Patients share the waves and differ in their amplitudes: breathing varies in few ways by much.
    """
    shared = np.random.default_rng(83)
    direction = shared.standard_normal((10, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    wave = 2 * np.pi / shared.uniform(130, 260, (10, 1))
    phase = shared.uniform(0, 2 * np.pi, 10)
    drawn = np.clip(np.random.default_rng([change.seed, 83]).standard_normal(10), -1.8, 1.8)
    amplitude = np.where(np.arange(10) < 4, change.uneven / 2, change.inner / np.sqrt(3)) * drawn
    return np.column_stack([direction * wave, phase, amplitude])


class MovedWarp(Warp):
    """Scan to template coordinates of a subject in motion: its warp, then its motion.

    Args:
        warp: Map of the scan's space to the template; that of the subject at rest, or one that differs a little.
        motion: Motion in template mm, or None at rest.
    """

    def __init__(self, warp: Warp, motion: Motion | None) -> None:
        self.warp, self.motion = warp, motion
        self.scale, self.knot_mm, self.origin, self.lattices = warp.scale, warp.knot_mm, warp.origin, warp.lattices

    def fields(self, grid: Grid) -> tuple[tuple[NDArray[np.float32], ...], NDArray[np.float32] | None]:
        """Template x, y, z of an axis-aligned grid, and the volume at rest over that seen (None at rest)."""
        x, y, z = super().template_coordinates(grid)
        return (x, y, z), None if self.motion is None else self.motion.apply_fields(x, y, z)

    def template_coordinates(self, grid: Grid) -> tuple[NDArray[np.float32], ...]:
        """Template x, y, z of every voxel of an axis-aligned grid."""
        return self.fields(grid)[0]

    def to_template(self, points: FloatArray) -> FloatArray:
        """Template points ``(N, 3)`` of scanned points."""
        points = np.atleast_2d(np.asarray(points, np.float64))
        template: FloatArray = (points + self.displacement(points)) / self.scale
        return template if self.motion is None else self.motion.apply(template)

    def to_subject(self, template_points: FloatArray, iterations: int = 30) -> FloatArray:
        """Scanned positions ``(N, 3)`` of template points."""
        points = np.atleast_2d(np.asarray(template_points, np.float64))
        if self.motion is not None:
            points = self.motion.undo(points, iterations=iterations + 10 if iterations > 10 else iterations)
        return super().to_subject(points, iterations)

    def bounds(self, lo: FloatArray, hi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """A scanned box that covers a template box, whether its tissue glides or not."""
        if self.motion is None:
            return super().bounds(lo, hi)
        steps = [np.linspace(a, b, int(np.ceil((b - a) / 45.0)) + 1) for a, b in zip(lo, hi, strict=True)]
        corners = lattice(*steps)
        both = np.vstack([self.motion.undo(corners, code, 5) for code in (kernels.INSIDE, kernels.OUTSIDE)])
        points = super().to_subject(both, 4)
        return points.min(axis=0) - 4.0, points.max(axis=0) + 4.0


class MovedCanvas(Canvas):
    """A canvas all of whose painting is a function of template coordinates, so that tissue keeps its texture."""

    def __init__(self, lo: FloatArray, hi: FloatArray, spacing: float, warp: MovedWarp) -> None:
        super().__init__(tuple(lo), tuple(hi), spacing, warp)

    def noise(self, rng: np.random.Generator, scale_mm: float) -> NDArray[np.float32]:
        """As on any canvas, but carried along with the tissue."""
        tile = rng.standard_normal((_TILE, _TILE, _TILE), dtype=np.float32) * np.float32(1 / 0.325)
        out = np.empty(self.grid.shape, np.float32)
        x, y, z = (c.reshape(-1) for c in (self.x, self.y, self.z))
        kernels.spline_noise(x, y, z, tile, scale_mm, out.reshape(-1))
        return out

    def heights(self, box: Box, column: tuple[int, int]) -> NDArray[np.float32]:
        """Template z of every voxel of a box."""
        return self.z[box]
